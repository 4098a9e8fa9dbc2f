import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preprocess.body.keypoints import BodyFrame, KeypointError, Keypoints
from preprocess.body.openpose import choose_person, read_openpose, read_people
from preprocess.vocabulary import Joint
from tests.preprocess.people import (
    HEIGHT,
    WIDTH,
    body_25_numbers,
    coco_18_numbers,
    openpose,
    person,
    shifted,
    tunic,
    write_json,
)
from tests.shared_data import shared_data

BODY, COCO = body_25_numbers(person()), coco_18_numbers(person())
PAIRS = np.array(BODY).reshape(25, 3)[:, :2].ravel().tolist()


def from_minus_one() -> list[float]:
    """Joints from -1 to 1; OpenPose leaves those that it didn't find at 0."""
    table = np.array(body_25_numbers(person().scaled(2 / WIDTH, 2 / HEIGHT))).reshape(25, 3)
    table[table[:, 2] > 0, :2] -= 1
    return table.ravel().tolist()


def outside() -> Keypoints:
    """Other tools than OpenPose say where a wrist is that the picture doesn't show."""
    found = person()
    found.xy[Joint.RIGHT_WRIST] = -0.15 * WIDTH, 580
    return found


def read(tmp_path: Path, document: object, width: int = WIDTH, height: int = HEIGHT) -> Keypoints:
    return read_openpose(write_json(tmp_path / "pose.json", document), width, height)


@pytest.mark.parametrize(
    ("document", "layout"),
    [
        pytest.param(openpose(BODY), "body_25", id="BODY_25"),
        pytest.param(openpose(COCO), "coco_18", id="COCO-18"),
        pytest.param(openpose(COCO, name="pose_keypoints"), "coco_18", id="version 1.0"),
        pytest.param(openpose(PAIRS), "body_25", id="x, y without confidence"),
        pytest.param([openpose(BODY)], "body_25", id="a list around it"),
        pytest.param(openpose(COCO + [0.0] * 21), "coco_18", id="COCO-18 padded to 25 rows"),
        pytest.param(openpose(BODY[:54]), "body_25", id="BODY_25 cut to 18 rows"),
        pytest.param(openpose(np.reshape(BODY, (25, 3)).tolist()), "body_25", id="nested rows"),
    ],
)
def test_reads_every_form_as_the_same_person(tmp_path: Path, document: object, layout: str) -> None:
    found = read(tmp_path, document)
    assert found.format == layout
    frame = BodyFrame.from_keypoints(found)
    assert (frame.torso_length, frame.shoulder_width) == (320, 200)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(
            openpose(body_25_numbers(person().scaled(0.5, 0.5)), canvas_width=384, canvas_height=512),
            id="canvas",
        ),
        pytest.param(openpose(body_25_numbers(person().scaled(1 / WIDTH, 1 / HEIGHT))), id="fractions"),
        pytest.param(openpose(from_minus_one()), id="keypoint_scale 4"),
        pytest.param(
            openpose(body_25_numbers(outside().scaled(1 / WIDTH, 1 / HEIGHT))), id="fractions, wrist outside"
        ),
        pytest.param(
            openpose([-1 if value == 0 else value for value in PAIRS]), id="-1 where none was found"
        ),
        pytest.param(
            {
                "keypoints": [
                    [*row[:2], 0.0, -1.0] if row[2] else [-1.0, -1.0, -1.0, -1.0]
                    for row in np.reshape(coco_18_numbers(person().scaled(0.5, 0.5)), (18, 3)).tolist()
                ]
            },
            id="Dress Code",
        ),
    ],
)
def test_scales_coordinates_to_the_picture(tmp_path: Path, document: object) -> None:
    found = read(tmp_path, document)
    np.testing.assert_allclose(found.xy[Joint.LEFT_SHOULDER], (484, 300))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        pytest.param("{'people': ", "not_json", id="not JSON"),
        pytest.param("", "not_json", id="empty"),
        pytest.param("[" * 100_000, "not_json", id="too deep"),
        pytest.param("3", "no_people", id="a number"),
        pytest.param({"people": []}, "no_people", id="nobody"),
        pytest.param({"animals": [BODY]}, "no_people", id="animals"),
        pytest.param(openpose([1.0, 2.0, 0.5]), "unknown_layout", id="one joint"),
        pytest.param(
            openpose((np.reshape(BODY, (25, 3)) * (1, 1, 0)).ravel().tolist()), "zero_confidence", id="zeros"
        ),
        pytest.param(
            openpose([value for i in range(1, 26) for value in (5 * i, 3 * i, 1)]), "placeholder", id="ramp"
        ),
        pytest.param(
            openpose((np.round(np.reshape(BODY, (25, 3)) / (16, 16, 1)) * (16, 16, 1)).ravel().tolist()),
            "placeholder",
            id="16 px grid",
        ),
        pytest.param(
            openpose(body_25_numbers(person().scaled(0.4, 0.4))), "other_image_size", id="smaller picture"
        ),
        pytest.param(
            openpose(body_25_numbers(person().scaled(4, 4))), "other_image_size", id="larger picture"
        ),
        pytest.param(
            openpose(BODY, canvas_width=512, canvas_height=512), "other_image_size", id="square canvas"
        ),
    ],
)
def test_refuses_by_name(tmp_path: Path, document: object, reason: str) -> None:
    with pytest.raises(KeypointError, match=f"^{reason}$"):
        read(tmp_path, document)


def test_a_missing_file_is_a_reason_too(tmp_path: Path) -> None:
    with pytest.raises(KeypointError, match="json_unreadable"):
        read_openpose(tmp_path / "none.json", WIDTH, HEIGHT)


def test_joints_below_the_bound_or_far_outside_are_missing(tmp_path: Path) -> None:
    table = np.reshape(BODY, (25, 3)).copy()
    table[Joint.LEFT_WRIST, 2] = 0.05
    table[Joint.RIGHT_WRIST, 0] = -300
    found = read(tmp_path, openpose(table.ravel().tolist()))
    assert not found.has(Joint.LEFT_WRIST)
    assert not found.has(Joint.RIGHT_WRIST)
    assert found.confidence[Joint.LEFT_WRIST] == 0


def test_the_garment_tells_who_wears_it(tmp_path: Path) -> None:
    beside = body_25_numbers(shifted(person().scaled(1.2, 1.2), 180, 0))
    path = write_json(tmp_path / "two.json", openpose(beside, BODY))
    people = read_people(path, WIDTH, HEIGHT)
    assert len(people) == 2
    assert choose_person(people, WIDTH, HEIGHT, tunic()).xy[Joint.NECK].tolist() == [384, 300]


def test_without_a_garment_the_largest_and_most_central_counts(tmp_path: Path) -> None:
    face_on_a_shirt = body_25_numbers(shifted(person().scaled(0.2, 0.2), 300, 330))
    found = read(tmp_path, openpose(face_on_a_shirt, BODY))
    assert found.xy[Joint.NECK].tolist() == [384, 300]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
numbers = st.lists(st.floats() | st.integers() | st.none() | st.text(max_size=2), max_size=80)
poses = st.sampled_from([75, 54, 50, 36, 51, 0]).flatmap(
    lambda n: st.lists(st.floats(-100, 2000) | st.just(0.0), min_size=n, max_size=n)
)
documents = json_values | st.builds(
    lambda people, name: {"people": [{name: pose} for pose in people]},
    st.lists(poses | numbers | json_values, max_size=3),
    st.sampled_from(["pose_keypoints_2d", "pose_keypoints"]),
)


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=documents)
def test_fuzzed_files_are_read_or_refused(tmp_path: Path, document: object) -> None:
    path = tmp_path / "fuzz.json"
    path.write_text(json.dumps(document))
    with contextlib.suppress(KeypointError):
        found = read_openpose(path, WIDTH, HEIGHT)
        missing = np.isnan(found.xy).any(axis=1)
        assert (found.confidence[missing] == 0).all()
        assert (found.confidence[~missing] > 0).all()


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=200))
def test_fuzzed_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzz.json"
    path.write_bytes(content)
    with pytest.raises(KeypointError):
        read_openpose(path, WIDTH, HEIGHT)


ZOO = {
    "acgpn_000143": ((192, 256), "coco_18"),
    "arajgor_DSC_0003_JPG": ((192, 256), "coco_18"),
    "arajgor_s-l400": ((192, 256), "coco_18"),
    "controlnet_animal_pose": ((960, 512), "no_people"),
    "cosign_coco192__one_of_several": ((640, 480), "body_25"),
    "fai_000000__grid8_conf01": ((192, 256), "missing_shoulders"),
    "hackwithm_person__no_people": ((768, 1024), "no_people"),
    "hackwithm_uploaded__ramp": ((768, 1024), "placeholder"),
    "letmein_img1": ((192, 256), "coco_18"),
    "letmein_man_1_3__not_json": ((192, 256), "not_json"),
    "m3d_BJ721E05W": ((320, 512), "body_25"),
    "module_server_body18_v13": ((192, 256), "coco_18"),
    "openposer_000000000000": ((854, 480), "body_25"),
    "resleeve_processed_000010_0": ((192, 256), "coco_18"),
    "resleeve_processed_00005_0": ((192, 256), "coco_18"),
}
"""Every file of the zoo: size of its picture, and what must become of it."""


def test_the_zoo_is_read_or_refused_as_listed() -> None:
    folder = shared_data() / "data/openpose_zoo"
    assert {path.stem for path in folder.glob("*.json")} == set(ZOO)
    for stem, (size, expected) in ZOO.items():
        try:
            found = read_openpose(folder / f"{stem}.json", *size)
            outcome = found.format
            if expected not in ("body_25", "coco_18"):
                BodyFrame.from_keypoints(found)
        except KeypointError as reason:
            outcome = str(reason)
        assert outcome == expected, stem


def test_all_viton_hd_files_are_body_25() -> None:
    files = sorted((shared_data() / "data/vitonhd_pose/test/openpose_json").glob("*.json"))
    assert len(files) > 1000
    assert {read_openpose(path, WIDTH, HEIGHT).format for path in files} == {"body_25"}
