"""Two thousand broken files: whatever a reader makes of one, it returns or says ValueError or OSError."""

import io
import json
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preprocess.body.densepose import DENSEPOSE_COLOURS, load_densepose, read_densepose
from preprocess.body.openpose import read_people
from preprocess.garment.parse import load_parse
from preprocess.masks import read_mask
from preprocess.pictures import check_picture, look_at, read_picture
from preprocess.sizes.chart import SizeChart
from preprocess.sources.manifest import decoding_error
from preprocess.sources.pairs import read_pairs
from preprocess.untrusted import read_table
from shards.sample import decode, encode
from shards.ustar import pack, unpack
from tests.preprocess.people import body_25_numbers, openpose, person
from tests.shards.making import sample

FILES_A_KIND = 170
SLOWEST = 20.0
MOST_MEMORY = 1 << 30

Reader = Callable[[Path], object]


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (64, 48, 3), np.uint8)).convert(mode)


def phone() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(photo(), "JPEG", exif=exif, icc_profile=b"acsp" * 40)


def labels() -> bytes:
    parse = Image.fromarray(np.repeat(np.arange(20, dtype=np.uint8), 4)[None].repeat(64, 0), "P")
    parse.putpalette(bytes(range(60)))
    return saved(parse, "PNG")


def arrays() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, mask=np.eye(64, dtype=np.uint8))
    return buffer.getvalue()


def tar() -> bytes:
    return pack("a", encode(sample("a")))


SEEDS: dict[str, tuple[bytes, ...]] = {
    ".jpg": (phone(), saved(photo("CMYK"), "JPEG"), saved(photo(), "JPEG", progressive=True)),
    ".png": (
        labels(),
        saved(photo("RGBA"), "PNG"),
        saved(Image.fromarray(np.full((64, 48), 9000, np.uint16)), "PNG"),
        saved(Image.fromarray(DENSEPOSE_COLOURS[np.tile(np.arange(25), (40, 2))]), "PNG"),
    ),
    ".webp": (saved(photo("RGBA"), "WEBP", lossless=True), saved(photo(), "WEBP")),
    ".tif": (
        saved(photo(), "TIFF", compression="tiff_lzw"),
        saved(photo("L"), "TIFF", compression="tiff_adobe_deflate"),
        saved(photo("1"), "TIFF", compression="group4"),
    ),
    ".gif": (saved(photo("P"), "GIF"),),
    ".avif": (saved(photo(), "AVIF"),),
    ".bmp": (saved(photo(), "BMP"),),
    ".json": (json.dumps(openpose(body_25_numbers(person()))).encode(),),
    ".npz": (arrays(),),
    ".csv": (
        b"\xef\xbb\xbfsize;chest_cm;length_cm\r\nS;96,5;68\r\nM;104;70\r\n",
        b"person,garment\na.jpg,b.jpg\n",
    ),
    ".txt": (b"a.jpg b.jpg\nmy c.png\tmy d.png\n", "a.jpg b.jpg\n".encode("utf-16")),
    ".tar": (tar(),),
}


def fuzzed(kind: str, number: int) -> bytes:
    """A file of a kind with flipped bits, cut off, with another's beginning, or another kind's as it is."""
    rng = np.random.default_rng([number, *kind.encode()])
    own = SEEDS[kind]
    content = bytearray(own[number % len(own)])
    others = [seed for seeds in SEEDS.values() for seed in seeds]
    other = others[rng.integers(len(others))]
    how = number % 4
    if how == 0:
        for place in rng.integers(0, len(content), rng.integers(1, 12)):
            content[place] ^= 1 << int(rng.integers(8))
    elif how == 1:
        del content[int(rng.integers(len(content))) :]
    elif how == 2:
        head = int(rng.integers(1, 64))
        content[:head] = other[:head]
    elif number % 8 == 3:
        content = bytearray(other)
    else:
        start, length = (int(rng.integers(len(content))) for _ in range(2))
        content[start : start + length] = rng.bytes(length)
    return bytes(content)


def chart(path: Path) -> object:
    return SizeChart.read(path.with_suffix(".csv"))


def rows(path: Path) -> object:
    return list(read_table(path).rows)


def pairs(path: Path) -> object:
    return list(read_pairs(path))


def unpacked(path: Path) -> object:
    return decode("a", unpack("a", path.read_bytes()))


PICTURES: tuple[Reader, ...] = (
    read_picture,
    look_at,
    check_picture,
    read_mask,
    load_parse,
    read_densepose,
    partial(load_densepose, reduce=True),
    decoding_error,
)
READERS: dict[str, tuple[Reader, ...]] = {
    ".json": (partial(read_people, image_width=768, image_height=1024),),
    ".npz": (read_mask, load_parse, read_densepose, decoding_error),
    ".csv": (rows, chart),
    ".txt": (pairs,),
    ".tar": (unpacked,),
}


@pytest.mark.parametrize("kind", SEEDS)
def test_a_broken_file_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(FILES_A_KIND):
        path = tmp_path / f"{number}{kind}"
        path.write_bytes(fuzzed(kind, number))
        for read in READERS.get(kind, PICTURES):
            began = time.perf_counter()
            assert problem_of(read, path) != "", f"{path}: an error without a word"
            assert time.perf_counter() - began < SLOWEST, path
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < MOST_MEMORY


def problem_of(read: Reader, path: Path) -> str | None:
    """What is wrong with a file by a reader, None where it can be read; any other exception is our fault."""
    try:
        read(path)
    except (ValueError, OSError) as error:
        return str(error)
    return None
