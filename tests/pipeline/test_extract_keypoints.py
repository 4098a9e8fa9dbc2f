from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.extract_keypoints import made_by, run
from pipeline.tables.manifest import write_manifest
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.places import StorageError
from preprocess.sources.viton_hd import VitonHd
from preprocess.vocabulary import Joint
from tests.pipeline.folders import add_sample, new_root
from tests.preprocess.people import HEIGHT, WIDTH, body_25_numbers, coco_18_numbers, openpose, person, shifted
from tests.preprocess.tiny_bodypix import write_tiny_bodypix
from tests.shared_data import shared_data

PARAMS = ExtractKeypointsParams(workers=1)
RIGHT_HAND = 3
"""DensePose's number."""


def rows(root: Path, params: ExtractKeypointsParams = PARAMS) -> dict[str, dict[str, object]]:
    manifest, out = root.parent / "manifest.parquet", root.parent / "keypoints.parquet"
    write_manifest(VitonHd(root), manifest)
    run(params, manifest=manifest, out=out)
    return {row["key"]: row for row in pq.read_table(out).to_pylist()}


def test_every_sample_gets_a_row_that_says_what_became_of_it(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    two = openpose(body_25_numbers(person()), body_25_numbers(shifted(person().scaled(1.1, 1.1), 200, 0)))
    outside = person()
    outside.xy[Joint.LEFT_WRIST] = (790, 580)
    documents = {
        "00000_00": openpose(body_25_numbers(person())),
        "00001_00": openpose(coco_18_numbers(person())),
        "00002_00": two,
        "00003_00": openpose(body_25_numbers(outside)),
        "00004_00": {"people": []},
        "00005_00": None,
    }
    for key, document in documents.items():
        add_sample(root, key, document)
    found = rows(root)
    assert [(row["status"], row["reason"], row["keypoint_format"]) for _, row in sorted(found.items())] == [
        ("ok", None, "body_25"),
        ("ok", None, "coco_18"),
        ("suspect", "several_people", "body_25"),
        ("suspect", "joint_out_of_frame", "body_25"),
        ("failed", "no_people", "none"),
        ("failed", "no_openpose_json", "none"),
    ]
    assert found["00002_00"]["num_people"] == 2
    assert (found["00000_00"]["image_width"], found["00000_00"]["image_height"]) == (768, 1024)
    xyc = np.reshape(found["00000_00"]["keypoints"], (25, 3))
    assert xyc[Joint.NECK].tolist() == pytest.approx([384, 300, 0.9])
    np.testing.assert_array_equal(xyc[Joint.LEFT_ANKLE], [np.nan, np.nan, 0])


def test_mediapipe_steps_in_where_the_json_fails(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    photo = shared_data() / "data/vitonhd/test/image/00013_00.jpg"
    add_sample(root, "00000_00", "{")
    (root / "test/image/00000_00.jpg").write_bytes(photo.read_bytes())
    params = ExtractKeypointsParams(
        workers=1, mediapipe_model=str(shared_data() / "models/pose_landmarker_full.task")
    )
    row = rows(root, params)["00000_00"]
    assert (row["status"], row["keypoint_source"], row["keypoint_format"]) == (
        "ok",
        "mediapipe",
        "mediapipe_33",
    )


def test_a_picture_without_anybody_fails_with_both_reasons(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    add_sample(root, "00000_00", "{")
    params = ExtractKeypointsParams(
        workers=1, mediapipe_model=str(shared_data() / "models/pose_landmarker_full.task")
    )
    row = rows(root, params)["00000_00"]
    assert (row["status"], row["reason"]) == ("failed", "not_json; no_person_detected")


def test_bodypix_steps_in_where_there_is_no_densepose(tmp_path: Path) -> None:
    root, model = new_root(tmp_path), write_tiny_bodypix(tmp_path / "tiny.onnx")
    for key in ("00000_00", "00001_00"):
        add_sample(root, key, openpose(body_25_numbers(person())))
    (root / "test/image-densepose").mkdir()
    cv2.imwrite(str(root / "test/image-densepose/00001_00.png"), np.full((HEIGHT, WIDTH), 2, np.uint8))
    assert {row["body_parts"] for row in rows(root).values()} == {None}
    params = ExtractKeypointsParams(workers=1, bodypix_model=str(model))
    found = rows(root, params)
    assert found["00001_00"]["body_parts"] is None
    parts = cv2.imdecode(np.frombuffer(found["00000_00"]["body_parts"], np.uint8), cv2.IMREAD_GRAYSCALE)
    assert parts.shape == (513, 385)
    assert (parts == RIGHT_HAND).all(), "the wall is as blue as it is green, and the hand comes first"
    assert made_by(params) != made_by(PARAMS)
    before = made_by(params)
    model.write_bytes(model.read_bytes() + b"\x72\x00")
    assert made_by(params) != before, "another network finds other parts"


def test_every_shared_json_gets_a_row(tmp_path: Path) -> None:
    files = sorted((shared_data() / "data").rglob("openpose_*/*.json"))
    root = new_root(tmp_path)
    for index, path in enumerate(files):
        add_sample(root, f"{index:05d}_00", path.read_text())
    found = rows(root)
    assert len(found) == len(files) > 1000
    for row in found.values():
        assert (row["status"] == "ok") == (row["reason"] is None)


def test_a_photo_that_is_none_fails_in_its_row(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    add_sample(root, "00000_00", openpose(body_25_numbers(person())))
    (root / "test/image/00000_00.jpg").write_bytes(b"no photo")
    assert rows(root)["00000_00"]["status"] == "failed"


@pytest.mark.parametrize("lost", ["image/00000_00.jpg", "openpose_json/00000_00_keypoints.json"])
def test_a_file_that_the_manifest_has_read_and_this_machine_does_not_see_ends_the_run(
    tmp_path: Path, lost: str
) -> None:
    """As on a node without the photos' mount, which would fail sample after sample."""
    root = new_root(tmp_path)
    add_sample(root, "00000_00", openpose(body_25_numbers(person())))
    manifest, out = tmp_path / "manifest.parquet", tmp_path / "keypoints.parquet"
    write_manifest(VitonHd(root), manifest)
    (root / "test" / lost).unlink()
    with pytest.raises(StorageError, match=rf"{lost}.*do all machines see it\?"):
        run(PARAMS, manifest=manifest, out=out)
    assert not out.exists()


def test_units_stand_in_the_file(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    add_sample(root, "00000_00", openpose(body_25_numbers(person())))
    rows(root)
    schema = pq.read_schema(tmp_path / "keypoints.parquet")
    assert schema.field("image_width").metadata == {b"unit": b"px"}
    assert schema.metadata[b"schema_version"] == b"2"
