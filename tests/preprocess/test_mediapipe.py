import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preprocess.body.keypoints import BodyFrame, KeypointError, from_mediapipe_33
from preprocess.body.mediapipe import (
    SHOULDERS_OF_OPENPOSE,
    TORSO_OF_OPENPOSE,
    PoseDetector,
    build_pose_landmarker,
    calibrate,
)
from preprocess.vocabulary import Joint
from tests.preprocess.people import person
from tests.shared_data import shared_data

REFERENCE_TOLERANCE = 11
"""px, MediaPipe's own for its reference landmarks."""


def model() -> Path:
    return shared_data() / "models/pose_landmarker_full.task"


@pytest.fixture(scope="module")
def detector() -> Iterator[PoseDetector]:
    with PoseDetector(model()) as opened:
        yield opened


def picture() -> np.ndarray:
    return np.asarray(Image.open(shared_data() / "data/mediapipe_pose/pose.jpg").convert("RGB"))


def test_what_is_no_pose_landmarker_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.task").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"no\.task must be a pose landmarker \(\.task\): "):
        PoseDetector(tmp_path / "no.task")


def test_measured_joints_match_mediapipes_reference(detector: PoseDetector) -> None:
    text = (shared_data() / "data/mediapipe_pose/expected_pose_landmarks.prototxt").read_text()
    values = np.array(re.findall(r"x: ([\d.-]+)\s+y: ([\d.-]+)", text), dtype=float)[:33]
    reference = from_mediapipe_33(values * (picture().shape[1], picture().shape[0]), np.ones(33))
    found = detector.detect(picture())
    joints = list(range(Joint.LEFT_EAR + 1))  # all but the feet, which no measure looks at
    assert np.abs(found.xy - reference.xy)[joints].max() < REFERENCE_TOLERANCE
    assert (found.source, found.format) == ("mediapipe", "mediapipe_33")


def test_nobody_is_found_on_a_blank_wall(detector: PoseDetector) -> None:
    with pytest.raises(KeypointError, match="no_person_detected"):
        detector.detect(np.full((256, 192, 3), 200, np.uint8))


def test_a_missing_model_says_where_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="cinderella fetch-models"):
        PoseDetector(tmp_path / "none.task")


def test_calibration_scales_the_trunk_and_keeps_its_middle() -> None:
    before, after = BodyFrame.from_keypoints(person()), BodyFrame.from_keypoints(calibrate(person()))
    assert after.shoulder_width == pytest.approx(before.shoulder_width / SHOULDERS_OF_OPENPOSE)
    assert after.torso_length == pytest.approx(before.torso_length / TORSO_OF_OPENPOSE)
    np.testing.assert_allclose(after.shoulder_mid, before.shoulder_mid)


def test_somebody_without_hips_is_left_alone() -> None:
    half = person().without(np.isin(np.arange(25), [Joint.LEFT_HIP, Joint.RIGHT_HIP]))
    np.testing.assert_array_equal(calibrate(half).xy, half.xy)


def test_a_bundle_needs_the_networks(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "empty.whl", "w"):
        pass
    with pytest.raises(ValueError, match=r"must contain .*pose_detection\.tflite"):
        build_pose_landmarker(tmp_path / "empty.whl", tmp_path / "pose.task")


def test_a_built_bundle_finds_the_same_person(tmp_path: Path, detector: PoseDetector) -> None:
    with zipfile.ZipFile(model()) as bundle, zipfile.ZipFile(tmp_path / "networks.whl", "w") as wheel:
        for name, member in (
            ("pose_detector.tflite", "mediapipe/modules/pose_detection/pose_detection.tflite"),
            ("pose_landmarks_detector.tflite", "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"),
        ):
            wheel.writestr(member, bundle.read(name))
    build_pose_landmarker(tmp_path / "networks.whl", tmp_path / "pose.task")
    with PoseDetector(tmp_path / "pose.task") as built:
        np.testing.assert_array_equal(built.detect(picture()).xy, detector.detect(picture()).xy)
