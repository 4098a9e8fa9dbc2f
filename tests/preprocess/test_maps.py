"""Masks, parse maps and DensePose, stored in every way that people store them."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from preprocess.body.densepose import DENSEPOSE_COLOURS, load_densepose, read_densepose
from preprocess.body.keypoints import Keypoints
from preprocess.garment.joint_fit import other_scale
from preprocess.garment.parse import LIP_COLOURS, load_parse, other_labels, voc_colours
from preprocess.masks import read_mask
from preprocess.pictures import PictureError
from preprocess.vocabulary import ATR_TO_LIP, Joint, Lip, ParseLabels
from tests.preprocess.people import HEIGHT, WIDTH, person, tunic, with_sleeves

INSIDE = np.zeros((60, 40), np.bool_)
INSIDE[20:45, 10:30] = True


def png(
    array: NDArray[np.generic], mode: str | None = None, palette: NDArray[np.uint8] | None = None
) -> bytes:
    picture = Image.fromarray(array, mode)
    if palette is not None:
        picture.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def two(outside: int, inside: int, kind: type = np.uint8) -> NDArray[np.generic]:
    return np.where(INSIDE, inside, outside).astype(kind)


def drawn(colour: tuple[int, int, int]) -> bytes:
    """A colour on transparent."""
    return png(np.dstack([np.full((*INSIDE.shape, 3), colour, np.uint8), two(0, 255)]), "RGBA")


MASKS = {
    "0 and 255": png(two(0, 255)),
    "0 and 1": png(two(0, 1)),
    "100 and 200": png(two(100, 200)),
    "254 and 255": png(two(254, 255)),
    "16 bits": png(two(0, 65535, np.uint16)),
    "300 and 30000": png(two(300, 30000, np.uint16)),
    "a bit": png(INSIDE),
    "colour on black": png(np.where(INSIDE[:, :, None], (0, 0, 128), 0).astype(np.uint8)),
    "grey in RGB": png(np.repeat(two(0, 255)[:, :, None], 3, axis=2)),
    "palette by frequency": png(two(1, 0), "P", np.array([[255, 255, 255], [0, 0, 0]], np.uint8)),
    "palette of VOC": png(two(0, 1), "P", voc_colours(2)),
    "white on transparent": drawn((255, 255, 255)),
    "red on transparent": drawn((255, 0, 0)),
    "opaque": png(np.dstack([np.repeat(two(0, 255)[:, :, None], 3, axis=2), two(255, 255)]), "RGBA"),
    "bool array": INSIDE,
    "fractions": INSIDE.astype(np.float32),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_is_a_mask(name: str) -> None:
    np.testing.assert_array_equal(read_mask(MASKS[name]), INSIDE)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_in_files_are_masks_and_pickles_are_not(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"mask{suffix}"
    (np.save if suffix == ".npy" else np.savez)(path, INSIDE[None])
    np.testing.assert_array_equal(read_mask(path), INSIDE)
    (np.save if suffix == ".npy" else np.savez)(path, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(PictureError, match="without pickles"):
        read_mask(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png(two(0, 0)), "covers nothing: every pixel is 0"),
        (png(two(255, 255)), "covers everything: every pixel is 255"),
        (drawn((0, 0, 0)), r"two ways: what is drawn is inside \(21% of the picture\), or what is dark"),
        (
            png(np.dstack([np.full((*INSIDE.shape, 3), 255, np.uint8), two(0, 0)]), "RGBA"),
            "all of it is transp",
        ),
        (png(np.arange(2400, dtype=np.uint16).reshape(60, 40)), "lie between: is it a photo"),
        (np.where(INSIDE, np.nan, 1.0), "finite numbers"),
    ],
)
def test_what_is_no_mask_is_refused(content: object, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        read_mask(content)


def labels() -> NDArray[np.uint8]:
    parse = np.zeros((60, 40), np.uint8)
    for number, label in enumerate((2, 13, 5, 14, 15, 9, 10)):
        parse[5 * number + 10 : 5 * number + 15, 8:32] = label
    return parse


def shuffled(colours: NDArray[np.uint8]) -> bytes:
    """The labels with their palette in another order."""
    order = np.random.default_rng(0).permutation(20)
    palette = np.zeros_like(colours)
    palette[order] = colours
    return png(order[labels()].astype(np.uint8), "P", palette)


PARSES = {
    "grey": png(labels()),
    "palette": png(labels(), "P", LIP_COLOURS),
    "palette of one's own": png(
        labels(), "P", np.random.default_rng(1).integers(0, 255, (20, 3)).astype(np.uint8)
    ),
    "palette in another order": shuffled(LIP_COLOURS),
    "SCHP's palette in another order": shuffled(voc_colours(20)),
    "16 bits": png(labels().astype(np.uint16)),
    "scaled to 16 bits": png(labels().astype(np.uint16) * np.uint16(257)),
    "equal channels": png(np.repeat(labels()[:, :, None], 3, axis=2)),
    "grey and alpha": png(np.dstack([labels(), np.full((60, 40), 255, np.uint8)]), "LA"),
    "preview of LIP": png(LIP_COLOURS[labels()]),
    "preview rounded down": png((LIP_COLOURS[labels()] // 1.004).astype(np.uint8)),
    "preview of SCHP": png(voc_colours(20)[labels()]),
    "array": labels().astype(np.int64),
}


@pytest.mark.parametrize("name", PARSES)
def test_labels_are_labels(name: str) -> None:
    np.testing.assert_array_equal(load_parse(PARSES[name]), labels())


def jpeg(array: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG")
    return buffer.getvalue()


def webp(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.repeat(labels()[:, :, None], 3, axis=2)).save(buffer, "WEBP", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("first", [{}, {"icc_profile": bytes(9000)}, {"xmp": b"VP8 "}, {"save_all": True}])
def test_a_webp_is_told_by_its_stream_of_pixels(first: dict[str, object], tmp_path: Path) -> None:
    """Profiles and metadata stand before it, and may hold its name."""
    if "save_all" in first:
        first = first | {"append_images": [Image.new("RGB", (40, 60), "red")]}
    path = tmp_path / "parse.webp"
    path.write_bytes(webp(lossless=True, exact=True, **first))
    for source in (path, path.read_bytes(), Image.open(path)):
        np.testing.assert_array_equal(load_parse(source), labels())
    path.write_bytes(webp(quality=100, **(first | {"xmp": b"VP8L"})))
    for source in (path, path.read_bytes(), Image.open(path)):
        with pytest.raises(PictureError, match="a format that changes numbers"):
            load_parse(source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (jpeg(labels()), "a format that changes numbers"),
        (
            png(labels() + np.uint8(10)),
            r"has the labels 20, 23, 24, 25, but LIP has 0 to 19: use the data set's",
        ),
        (
            png(np.random.default_rng(0).integers(0, 255, (60, 40, 3)).astype(np.uint8)),
            "not their coloured prev",
        ),
        (labels() / 3, "has fractions"),
        (labels().astype(np.int16) - 1, "labels from 0, but has -1"),
    ],
)
def test_what_holds_no_labels_is_refused(content: object, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        load_parse(content)


def lip_person() -> NDArray[np.uint8]:
    parse = np.where(with_sleeves(tunic(), person()), Lip.UPPER_CLOTHES, Lip.BACKGROUND).astype(np.uint8)
    parse[80:130, 330:440], parse[130:250, 330:440] = Lip.HAIR, Lip.FACE
    parse[700:960, 300:470] = Lip.PANTS
    return parse


def blended() -> dict[str, bytes]:
    small = Image.fromarray(lip_person())
    twice = (2 * WIDTH, 2 * HEIGHT)
    return {
        "bilinear": png(np.asarray(small.resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.BILINEAR))),
        "bicubic": png(np.asarray(small.resize(twice, Image.Resampling.BICUBIC).point(lambda n: min(n, 19)))),
        "JPEG before": png(np.asarray(Image.open(io.BytesIO(jpeg(lip_person())))).clip(0, 19)),
    }


@pytest.mark.parametrize("name", blended())
def test_labels_that_were_blended_are_refused(name: str) -> None:
    """Between background and trousers, 0 and 9, blending makes coats, 7, and whatever else lies between."""
    np.testing.assert_array_equal(load_parse(png(lip_person())), lip_person())
    with pytest.raises(PictureError, match="resize it by nearest neighbour, and never save it as JPEG"):
        load_parse(blended()[name])


def test_another_numbering_is_named() -> None:
    lip = lip_person()
    atr = np.zeros(len(Lip), np.uint8)
    for number, label in reversed(list(enumerate(ATR_TO_LIP))):
        atr[label] = number
    as_atr = atr[lip]
    read_right = load_parse(as_atr, ParseLabels.ATR)
    assert other_labels(lip, person()) is None
    assert other_labels(read_right, person(), ParseLabels.ATR) is None
    assert "are these ATR labels?" in str(other_labels(load_parse(as_atr), person()))
    assert "are these LIP labels?" in str(
        other_labels(load_parse(lip, ParseLabels.ATR), person(), ParseLabels.ATR)
    )


@pytest.mark.parametrize("factor", [0.5, 0.6, 0.75, 1.33, 2])
def test_joints_of_another_size_of_the_photo_are_known(factor: float) -> None:
    assert other_scale(lip_person(), person()) is None
    found = other_scale(lip_person(), person().scaled(factor, factor))
    assert found is not None
    assert found == pytest.approx(1 / factor, rel=0.12)


def test_joints_that_nobody_found_tell_no_size() -> None:
    assert other_scale(lip_person(), Keypoints.missing()) is None
    only = np.ones(25, bool)
    only[[Joint.NECK, Joint.LEFT_SHOULDER]] = False
    assert other_scale(lip_person(), person().without(only)) is None


def parts() -> NDArray[np.uint8]:
    numbers = np.zeros((HEIGHT // 8, WIDTH // 8), np.uint8)
    numbers[20:60, 30:60], numbers[60:100, 30:60], numbers[5:20, 40:50] = 2, 9, 23
    return numbers


def iuv() -> NDArray[np.uint8]:
    other = np.where(parts() > 0, 180, 0).astype(np.uint8)
    return np.dstack([other, other, parts()])


@pytest.mark.parametrize(
    "content",
    [
        png(DENSEPOSE_COLOURS[parts()]),
        jpeg(DENSEPOSE_COLOURS[parts()]),
        png(parts()),
        png(parts().astype(np.uint16)),
        png(parts(), "P", DENSEPOSE_COLOURS),
        png(iuv()),
        parts(),
    ],
)
def test_densepose_is_read_in_colours_and_by_number(content: bytes) -> None:
    found = read_densepose(content).astype(int)
    assert np.median(np.abs(found - DENSEPOSE_COLOURS[parts()]).max(axis=2)) == 0
    assert np.abs(found - DENSEPOSE_COLOURS[parts()]).mean() < 6


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_densepose_in_other_colours_is_refused(suffix: str, tmp_path: Path) -> None:
    other = np.random.default_rng(0).permutation(256)[: 25 * 3].reshape(25, 3).astype(np.uint8)
    other[0], other[[2, 9, 23]] = 0, ((250, 0, 250), (0, 250, 0), (250, 0, 0))
    path = tmp_path / f"densepose.{suffix}"
    Image.fromarray(other[parts()]).save(path)
    with pytest.raises(PictureError, match="in its own colours"):
        load_densepose(path, reduce=True)
    Image.fromarray(parts()).save(path)
    if suffix == "jpg":
        with pytest.raises(PictureError, match=r"save .* as .*PNG"):
            load_densepose(path, reduce=True)
    else:
        np.testing.assert_array_equal(load_densepose(path, reduce=True), parts())
