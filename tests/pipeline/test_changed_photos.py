"""A photo that was mirrored, saved again, resized, moved or cut shows the same sizes, or none."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.cli.without_dvc import DataChain
from preprocess.body.densepose import IN_A_MIRROR, load_densepose
from preprocess.body.keypoints import ExtractKeypointsParams, Keypoints
from preprocess.body.openpose import read_people
from preprocess.garment.known import known_ratios
from preprocess.garment.parse import load_parse
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.pictures import read_picture
from preprocess.vocabulary import Lip, ParseLabels
from tests.preprocess.people import body_25_numbers, openpose, write_json
from tests.shared_data import shared_data
from tests.sizes import UPPER

Pictures = tuple[NDArray[np.uint8], ...]
"""Photo, labels, parts."""

SIDES = ((Lip.LEFT_ARM, Lip.RIGHT_ARM), (Lip.LEFT_LEG, Lip.RIGHT_LEG), (Lip.LEFT_SHOE, Lip.RIGHT_SHOE))
LABEL_IN_A_MIRROR = np.arange(len(Lip), dtype=np.uint8)
for one, other in SIDES:
    LABEL_IN_A_MIRROR[[one, other]] = other, one

Change = tuple[str, Pictures, Keypoints, dict[str, int]]
"""Its name, what it gives, and how the photo is saved."""

MOST = {"mirrored": 0.005, "moved": 0.005, "saved again": 0.015, "smaller": 0.015, "cut": 0.015}
"""How far a known ratio may be from that of the photo as it is."""


def mirrored(pictures: Pictures, joints: Keypoints) -> tuple[Pictures, Keypoints]:
    photo, labels, parts = (np.ascontiguousarray(picture[:, ::-1]) for picture in pictures)
    swapped = LABEL_IN_A_MIRROR[labels], IN_A_MIRROR.astype(np.uint8)[parts]
    return (photo, *swapped), joints.mirrored(photo.shape[1])


def window(pictures: Pictures, joints: Keypoints, left: int, top: int, right: int, bottom: int) -> Any:
    """Take what lies `left`, `top`, … px inside of the picture's edges; joints beyond it are lost."""
    height, width = pictures[0].shape[:2]
    cut = tuple(picture[top : height - bottom, left : width - right].copy() for picture in pictures)
    xy = joints.xy - (left, top)
    with np.errstate(invalid="ignore"):
        lost = ~((xy >= 0) & (xy < (width - left - right, height - top - bottom))).all(axis=1)
    return cut, replace(
        joints, xy=np.where(lost[:, None], np.nan, xy), confidence=np.where(lost, 0, joints.confidence)
    )


def smaller(pictures: Pictures, joints: Keypoints, share: float) -> tuple[Pictures, Keypoints]:
    ways = (cv2.INTER_AREA, cv2.INTER_NEAREST_EXACT, cv2.INTER_NEAREST_EXACT)
    scaled = (
        np.asarray(cv2.resize(picture, None, fx=share, fy=share, interpolation=way), np.uint8)
        for picture, way in zip(pictures, ways, strict=True)
    )
    return tuple(scaled), joints.scaled(share, share)


def changed(pictures: Pictures, joints: Keypoints) -> Iterator[Change]:
    height, width = pictures[0].shape[:2]
    lossless: dict[str, int] = {}
    yield "as it is", pictures, joints, lossless
    yield "saved again", pictures, joints, {"quality": 90}
    yield "mirrored", *mirrored(pictures, joints), lossless
    yield "moved 1", *window(pictures, joints, 1, 0, 0, 0), lossless
    yield "moved 2", *window(pictures, joints, 0, 1, 0, 0), lossless
    yield "smaller", *smaller(pictures, joints, 0.75), lossless
    for share in (0.2, 0.4):
        across, down = round(width * share), round(height * share)
        yield f"cut left {share}", *window(pictures, joints, across, 0, 0, 0), lossless
        yield f"cut right {share}", *window(pictures, joints, 0, 0, across, 0), lossless
        yield f"cut top {share}", *window(pictures, joints, 0, down, 0, 0), lossless
        yield f"cut bottom {share}", *window(pictures, joints, 0, 0, 0, down), lossless


def write_changed(root: Path, key: str, out: Path) -> list[str]:
    """Write a person of a VITON-HD root, at half its size, in all ways to `out`; return the ways' names."""
    photo = read_picture(root / "image" / f"{key}.jpg")
    labels = load_parse(root / "image-parse-v3" / f"{key}.png", ParseLabels.LIP)
    parts = load_densepose(root / "image-densepose" / f"{key}.jpg")
    height, width = photo.shape[:2]
    (joints,) = read_people(root / "openpose_json" / f"{key}_keypoints.json", width, height)
    names = []
    for name, pictures, moved, options in changed(*smaller((photo, labels, parts), joints, 0.5)):
        stem = f"{key}-{len(names):02d}"
        suffix = ".jpg" if options else ".png"
        for part, picture, end in zip(
            ("image", "image-parse-v3", "image-densepose"), pictures, (suffix, ".png", ".png"), strict=True
        ):
            (out / "test" / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(out / "test" / part / f"{stem}{end}", **options)
        (out / "test/openpose_json").mkdir(exist_ok=True)
        document = openpose(body_25_numbers(moved))
        write_json(out / "test/openpose_json" / f"{stem}_keypoints.json", document)
        names.append(name)
    return names


@pytest.mark.parametrize("key", ["00006_00", "00034_00"])
def test_what_changes_no_garment_changes_no_known_ratio(key: str, tmp_path: Path) -> None:
    names = write_changed(shared_data() / "data/vitonhd/test", key, tmp_path / "data")
    pairs = "".join(f"{key}-{number:02d} {key}-{number:02d}\n" for number in range(len(names)))
    (tmp_path / "data/test_pairs.txt").write_text(pairs)
    chain = DataChain(
        source="viton_hd",
        root=tmp_path / "data",
        split="test",
        keypoints=ExtractKeypointsParams(workers=1),
        sizes=SizeRatioParams(workers=1),
    )
    table = pq.read_table(chain.annotate(tmp_path / "out")["size_annotations"])
    for axis in UPPER:
        known = dict(zip(names, known_ratios(table, axis), strict=True))
        itself = known.pop("as it is")
        assert np.isfinite(itself)
        for name, ratio in known.items():
            way = next(way for way in MOST if name.startswith(way))
            assert np.isfinite(ratio) or way == "cut", (axis, name)
            assert np.isnan(ratio) or ratio == pytest.approx(itself, rel=MOST[way]), (axis, name)
