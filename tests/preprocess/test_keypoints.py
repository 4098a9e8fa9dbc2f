import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess.body.keypoints import (
    COCO_18_TO_BODY_25,
    MEDIAPIPE_33_TO_BODY_25,
    BodyFrame,
    KeypointError,
    Keypoints,
    from_coco_18,
    from_mediapipe_33,
)
from preprocess.vocabulary import Joint
from tests.preprocess.people import person, shifted

points = st.tuples(st.floats(-2000, 2000), st.floats(-2000, 2000))


def test_frame_has_the_lengths_and_axes_of_the_person() -> None:
    frame = BodyFrame.from_keypoints(person())
    assert (frame.shoulder_width, frame.torso_length, frame.tilt_deg) == (200, 320, 0)
    np.testing.assert_array_equal(frame.u, [0, 1])
    np.testing.assert_array_equal(frame.v, [1, 0])
    np.testing.assert_array_equal(frame.to_body(np.array([[394.0, 305.0]])), [[5, 10]])


def test_v_points_to_the_left_shoulder_of_somebody_seen_from_behind() -> None:
    frame = BodyFrame.from_keypoints(person().mirrored(768).mirrored(768))
    behind = person()
    behind.xy[[Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER]] = behind.xy[
        [Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER]
    ]
    assert not frame.back_view
    assert BodyFrame.from_keypoints(behind).back_view
    np.testing.assert_array_equal(BodyFrame.from_keypoints(behind).v, [-1, 0])


@given(xy=points)
def test_body_coordinates_and_back(xy: tuple[float, float]) -> None:
    frame = BodyFrame.from_keypoints(person())
    np.testing.assert_allclose(frame.to_image(frame.to_body(np.array([xy]))), [xy], atol=1e-6)


@given(scale=st.floats(0.1, 10), dx=st.floats(-500, 500), dy=st.floats(-500, 500))
def test_frame_goes_with_scale_and_shift(scale: float, dx: float, dy: float) -> None:
    frame = BodyFrame.from_keypoints(shifted(person().scaled(scale, scale), dx, dy))
    assert frame.torso_length == pytest.approx(320 * scale)
    assert frame.shoulder_width == pytest.approx(200 * scale)
    assert frame.tilt_deg == pytest.approx(0, abs=1e-6)


def test_mirroring_swaps_sides_and_twice_is_nothing() -> None:
    once = person().mirrored(768)
    assert once.xy[Joint.LEFT_SHOULDER].tolist() == [484, 300]
    assert not BodyFrame.from_keypoints(once).back_view
    np.testing.assert_array_equal(once.mirrored(768).xy, person().xy)


def test_three_formats_of_one_person_span_one_frame() -> None:
    body_25 = person()
    body_25.xy[Joint.MID_HIP] += 9  # OpenPose's own mid-hip is off the mean of the hips by up to 3 % of T
    coco = from_coco_18(body_25.xy[list(COCO_18_TO_BODY_25)], body_25.confidence[list(COCO_18_TO_BODY_25)])
    landmarks, sure = np.full((33, 2), np.nan), np.zeros(33)
    for row, joint in MEDIAPIPE_33_TO_BODY_25.items():
        landmarks[row], sure[row] = body_25.xy[joint], body_25.confidence[joint]
    mediapipe = from_mediapipe_33(landmarks, sure)
    assert [coco.format, mediapipe.format] == ["coco_18", "mediapipe_33"]
    for other in (coco, mediapipe):
        ours, theirs = BodyFrame.from_keypoints(body_25), BodyFrame.from_keypoints(other)
        assert theirs.torso_length == ours.torso_length
        np.testing.assert_array_equal(theirs.hip_mid, ours.hip_mid)


def test_mid_hip_stands_in_for_a_missing_hip() -> None:
    one_hip = person().without(np.arange(25) == Joint.LEFT_HIP)
    assert BodyFrame.from_keypoints(one_hip).torso_length == 320


@pytest.mark.parametrize(
    ("joints", "reason"),
    [
        pytest.param([Joint.LEFT_SHOULDER], "missing_shoulders", id="no shoulder"),
        pytest.param([Joint.MID_HIP, Joint.LEFT_HIP], "missing_hips", id="one hip is no mid-hip"),
    ],
)
def test_no_frame_without_a_trunk(joints: list[Joint], reason: str) -> None:
    with pytest.raises(KeypointError, match=reason):
        BodyFrame.from_keypoints(person().without(np.isin(np.arange(25), joints)))


def test_no_frame_from_a_person_without_extent() -> None:
    with pytest.raises(KeypointError, match="coincide"):
        BodyFrame.from_keypoints(person().scaled(0, 0))


def test_flat_and_back() -> None:
    np.testing.assert_array_equal(Keypoints.from_flat(person().flat()).xy, person().xy)


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"xy must have shape \(25, 2\), got \(18, 2\)"):
        Keypoints(xy=np.zeros((18, 2)), confidence=np.zeros(25))
