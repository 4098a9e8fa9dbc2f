"""One person, photographed and saved in many ways: the same row, the same key, the same picture in shards."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.cli.without_dvc import DataChain
from preprocess.body.inpaint_mask import MaskParams
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.person.prepare import prepare_person
from preprocess.person.window import Window
from preprocess.sources.paper_dolls.dataset import render_dataset
from preprocess.sources.params import PaperDollParams
from shards.codec import decode_photo
from shards.params import WriteShardsParams
from shards.reader import ShardReader
from shards.sample import Sample, decode
from shards.storage import LocalFolder
from shards.stream import SampleStream
from shards.ustar import unpack
from tests.sizes import UPPER

TAGS = range(1, 9)
STORED = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
"""How the upright pixels must be turned for each tag."""


@pytest.fixture(scope="module")
def doll(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phone") / "doll"
    render_dataset(PaperDollParams(train=1, test=2, image_height=512, image_width=384), root)
    first = sorted((root / "test/image").iterdir())[0].stem
    for path in root.glob("*_pairs*.txt"):
        path.unlink()
    (root / "test_pairs.txt").write_text(f"{first}.jpg {first}.jpg\n")
    return root


def variant(doll: Path, root: Path, content: bytes, suffix: str) -> Path:
    """The doll's root with another file of the photo, or a root made wider with it."""
    shutil.copytree(doll, root)
    (photo,) = (path for path in (root / "test/image").iterdir() if path.stem in pairs_of(root))
    photo.unlink()
    photo.with_suffix(suffix).write_bytes(content)
    return root


def pairs_of(root: Path) -> str:
    return (root / "test_pairs.txt").read_text()


def photo_of(root: Path) -> Image.Image:
    (path,) = (path for path in (root / "test/image").iterdir() if path.stem in pairs_of(root))
    return Image.open(path).convert("RGB")


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def tagged(upright: Image.Image, tag: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = STORED.get(tag, 1)
    stored = upright.copy()
    stored.getexif()[0x0112] = STORED.get(tag, 1)
    stored = ImageOps.exif_transpose(stored)
    exif[0x0112] = tag
    return saved(stored, "JPEG", quality=95, subsampling=0, exif=exif)


def files_of(upright: Image.Image) -> dict[str, tuple[bytes, str]]:
    clear = upright.copy()
    clear.putalpha(255)
    deep = (np.asarray(upright.convert("L")).astype(np.uint16)) * np.uint16(257)
    return {f"tag {tag}": (tagged(upright, tag), ".jpg") for tag in TAGS} | {
        "alpha": (saved(clear, "PNG"), ".png"),
        "16 bits": (saved(Image.fromarray(deep), "PNG"), ".png"),
        "WebP": (saved(upright, "WEBP", quality=95), ".webp"),
        "TIFF named JPEG": (saved(upright, "TIFF"), ".JPEG"),
    }


def chain(root: Path, size: tuple[int, int] | None) -> DataChain:
    return DataChain(
        source="viton_hd",
        root=root,
        split="test",
        keypoints=ExtractKeypointsParams(workers=1),
        sizes=SizeRatioParams(workers=1),
        shards=WriteShardsParams(num_workers=0, image_height=size and size[0], image_width=size and size[1]),
    )


def ratios_and_sample(
    root: Path, out: Path, size: tuple[int, int] | None = None
) -> tuple[NDArray[np.float64], Sample]:
    folder = chain(root, size).shard("test", out / "work", out)
    (row,) = pq.read_table(out / "work/size_annotations.parquet").to_pylist()
    key, packed = ShardReader(LocalFolder(folder), 1, 1).packed(0, 0)
    ratios = [row[f"{name}_ratio"] for name in UPPER]
    return np.array(ratios, np.float64), decode(key, unpack(key, packed))


@pytest.mark.slow
@pytest.mark.parametrize("name", files_of(Image.new("RGB", (16, 16))))
def test_the_same_photo_is_the_same_sample(doll: Path, tmp_path: Path, name: str) -> None:
    upright = photo_of(doll)
    expected, own = ratios_and_sample(doll, tmp_path / "expected")
    root = variant(doll, tmp_path / "root", *files_of(upright)[name])
    found, sample = ratios_and_sample(root, tmp_path / "found")
    np.testing.assert_allclose(found, expected, rtol=0.01)
    assert sample.key == own.key
    picture = decode_photo(sample.image).astype(int)
    wanted = np.asarray(upright if name != "16 bits" else upright.convert("L").convert("RGB")).astype(int)
    assert picture.shape == wanted.shape
    assert np.abs(picture - wanted).mean() < 2
    np.testing.assert_array_equal(sample.inpaint_mask, own.inpaint_mask)


def widened(doll: Path, root: Path, left: int, right: int) -> Path:
    """The doll before a wider wall: photo and maps have more columns, joints move along."""
    shutil.copytree(doll, root)
    for folder in ("image", "image-parse-v3", "image-densepose"):
        for path in (root / "test" / folder).iterdir():
            with Image.open(path) as opened:
                picture = opened.copy()
            array = np.asarray(picture)
            pads = [(0, 0), (left, right)] + [(0, 0)] * (array.ndim - 2)
            wide = Image.fromarray(np.pad(array, pads, "edge"), picture.mode)
            if picture.mode == "P":
                wide.putpalette(picture.getpalette())
            wide.save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))
    for path in (root / "test/openpose_json").iterdir():
        document = json.loads(path.read_text())
        document.pop("canvas_width", None)
        for one in document["people"]:
            table = np.array(one["pose_keypoints_2d"]).reshape(25, 3)
            table[:, 0] += np.where(table[:, 2] > 0, left, 0)
            one["pose_keypoints_2d"] = table.ravel().tolist()
        path.write_text(json.dumps(document))
    return root


def body_shape(joints: NDArray[np.float32]) -> float:
    right, left, hips = joints[2, :2], joints[5, :2], joints[[9, 12], :2].mean(axis=0)
    return float(np.hypot(*(left - right)) / np.hypot(*(hips - (left + right) / 2)))


def test_a_wide_photo_is_framed_alike_everywhere(doll: Path, tmp_path: Path) -> None:
    """Shards of the training size, the stream of whole ones, and try-on look through the same window."""
    root = widened(doll, tmp_path / "root", 300, 220)
    expected, own = ratios_and_sample(doll, tmp_path / "narrow", (96, 72))
    found, small = ratios_and_sample(root, tmp_path / "small", (96, 72))
    _, whole = ratios_and_sample(root, tmp_path / "whole")
    np.testing.assert_allclose(found, expected, rtol=0.01)
    assert decode_photo(whole.image).shape == (512, 904, 3)
    index = tmp_path / "whole/test/index.json"
    (batch,) = SampleStream(index, batch_size=1, image_height=96, image_width=72, seed=0).epoch_batches()
    for joints in (small.record.keypoint_array(), batch.keypoints[0]):
        assert body_shape(joints) == pytest.approx(body_shape(own.record.keypoint_array()), rel=0.01)
    for name in ("inpaint_mask", "garment_mask"):
        assert (getattr(batch, name)[0].astype(bool) == getattr(small, name)).mean() > 0.99, name
    assert np.abs(batch.image[0].astype(int) - decode_photo(small.image)).mean() < 3
    (photo,) = (path for path in (root / "test/image").iterdir() if path.stem in pairs_of(root))
    person = prepare_person(
        photo,
        keypoints=root / f"test/openpose_json/{photo.stem}_keypoints.json",
        parse=root / f"test/image-parse-v3/{photo.stem}.png",
        mask=MaskParams(),
    )
    window = Window.around(person.inpaint_mask, 96, 72)
    assert np.abs(window.seen(person.photo).astype(int) - decode_photo(small.image)).mean() < 3
    assert (window.seen_mask(person.inpaint_mask) == small.inpaint_mask).all()
