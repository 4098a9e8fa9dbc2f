"""Where a person's joints are in a picture, and the body frame that they span.

Coordinates are continuous: pixel column i covers [i, i + 1), so its centre is i + 0.5, and resizing a
picture by s multiplies every coordinate by s.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Self, TypeVar

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from preprocess.vocabulary import NUM_JOINTS, Joint, require_shape

Array = NDArray[np.float64]
Number = TypeVar("Number", bound=np.floating)

COCO_18_TO_BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""Row of BODY_25 for each of COCO-18's joints; COCO-18 has no mid-hip and no feet.

Source: the keypoint order pages of OpenPose's documentation.
"""

MEDIAPIPE_33_TO_BODY_25 = {
    0: Joint.NOSE,
    2: Joint.LEFT_EYE,
    5: Joint.RIGHT_EYE,
    7: Joint.LEFT_EAR,
    8: Joint.RIGHT_EAR,
    11: Joint.LEFT_SHOULDER,
    12: Joint.RIGHT_SHOULDER,
    13: Joint.LEFT_ELBOW,
    14: Joint.RIGHT_ELBOW,
    15: Joint.LEFT_WRIST,
    16: Joint.RIGHT_WRIST,
    23: Joint.LEFT_HIP,
    24: Joint.RIGHT_HIP,
    25: Joint.LEFT_KNEE,
    26: Joint.RIGHT_KNEE,
    27: Joint.LEFT_ANKLE,
    28: Joint.RIGHT_ANKLE,
    29: Joint.LEFT_HEEL,
    30: Joint.RIGHT_HEEL,
    31: Joint.LEFT_BIG_TOE,
    32: Joint.RIGHT_BIG_TOE,
}
"""Joint of BODY_25 for MediaPipe's landmarks that have one; neck and mid-hip are means of two."""

SIDES = tuple((joint, Joint[joint.name.replace("LEFT", "RIGHT")]) for joint in Joint if "LEFT" in joint.name)
"""Pairs (left joint, right joint)."""

ARM_JOINTS = {
    -1: (Joint.RIGHT_SHOULDER, Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST),
    1: (Joint.LEFT_SHOULDER, Joint.LEFT_ELBOW, Joint.LEFT_WRIST),
}
"""By the sign of `b`."""

IN_A_MIRROR = np.arange(NUM_JOINTS)
"""(25,) for each joint the one that takes its place in a mirror."""
for _left, _right in SIDES:
    IN_A_MIRROR[[_left, _right]] = _right, _left

MIN_CONFIDENCE = 0.1
"""Joints below this are missing. OpenPose draws from 0.05; between the two, VITON-HD's hips are guesses."""


WIDEST = 5.0
"""Shoulders further apart than this, in torso lengths, are nobody's; people bending over reach 2."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractKeypointsParams:
    """Section `extract_keypoints` of params.yaml."""

    min_confidence: Annotated[float, Ge(0), Le(1)] = MIN_CONFIDENCE
    """Joints that the detector is less sure of are missing."""

    mediapipe_model: str | None = None
    """MediaPipe's pose landmarker (.task), used where OpenPose's JSON is missing or unusable; null: never.
    `cinderella fetch-models` builds one."""

    bodypix_model: str | None = None
    """BodyPix (.onnx), which finds the parts of the body where there is no DensePose; null: never. Needs the
    extra `bodypix`."""

    workers: Annotated[int, Ge(0)] = 0
    """Processes; 0 takes every core. The result doesn't depend on it."""


class KeypointError(ValueError):
    """The joints that a measure needs cannot be had; the message is the row's reason."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Keypoints:
    """One person's joints in the order of BODY_25."""

    xy: Array
    """(25, 2) px of the original image; NaN where a joint is missing."""

    confidence: Array
    """(25,) 0 to 1, as the detector reports it; 0 where a joint is missing."""

    source: str = "none"
    """Which detector found them: openpose, mediapipe or none."""

    format: str = "none"
    """The order of joints they were read in: body_25, coco_18, mediapipe_33 or none."""

    def __post_init__(self) -> None:
        require_shape("xy", self.xy, (NUM_JOINTS, 2))
        require_shape("confidence", self.confidence, (NUM_JOINTS,))

    def has(self, *joints: int) -> bool:
        """Whether all of `joints` were found."""
        return bool(np.isfinite(self.xy[list(joints)]).all())

    def scaled(self, sx: float, sy: float) -> Self:
        """The same person in a picture resized by `sx` across and `sy` down."""
        return replace(self, xy=self.xy * np.array([sx, sy]))

    def mirrored(self, width: float) -> Self:
        """The same person in the picture of `width` px flipped left to right: sides swap their names."""
        return replace(self, xy=mirrored(self.xy, width), confidence=self.confidence[IN_A_MIRROR])

    def without(self, missing: NDArray[np.bool_]) -> Self:
        """The same person with the joints of the (25,) mask `missing` taken out."""
        return replace(
            self,
            xy=np.where(missing[:, None], np.nan, self.xy),
            confidence=np.where(missing, 0.0, self.confidence),
        )

    def flat(self) -> NDArray[np.float32]:
        """(75,) float32 x, y, confidence of each joint, as the Parquet files hold it."""
        return np.column_stack([self.xy, self.confidence]).astype(np.float32).ravel()

    @classmethod
    def from_flat(cls, values: object, *, source: str = "none", format: str = "none") -> Self:  # noqa: A002
        """Inverse of `flat`."""
        table = np.asarray(values, dtype=np.float64).reshape(NUM_JOINTS, 3)
        return cls(xy=table[:, :2].copy(), confidence=table[:, 2].copy(), source=source, format=format)

    @classmethod
    def missing(cls) -> Self:
        """Nobody: every joint is missing."""
        return cls(xy=np.full((NUM_JOINTS, 2), np.nan), confidence=np.zeros(NUM_JOINTS))


def mirrored(joints: NDArray[Number], width: float) -> NDArray[Number]:
    """Flip joints left to right: sides swap their names.

    Args:
        joints: (..., 25, C) x in px first, then whatever stays.
        width: px of the picture.
    """
    swapped = joints[..., IN_A_MIRROR, :]
    swapped[..., 0] = width - swapped[..., 0]
    return swapped


def from_coco_18(xy: Array, confidence: Array) -> Keypoints:
    """Map (18, 2) COCO-18 joints to BODY_25; the mid-hip becomes the mean of the hips."""
    require_shape("xy", xy, (18, 2))
    return _fill_midpoints(
        dict(zip(COCO_18_TO_BODY_25, range(18), strict=True)), xy, confidence, "openpose", "coco_18"
    )


def from_mediapipe_33(xy: Array, confidence: Array) -> Keypoints:
    """Map (33, 2) MediaPipe pose landmarks in px to BODY_25; neck and mid-hip become means of two."""
    require_shape("xy", xy, (33, 2))
    rows = {int(joint): landmark for landmark, joint in MEDIAPIPE_33_TO_BODY_25.items()}
    return _fill_midpoints(rows, xy, confidence, "mediapipe", "mediapipe_33")


def _fill_midpoints(
    rows: dict[int, int], xy: Array, confidence: Array, source: str, keypoint_format: str
) -> Keypoints:
    """Scatter joints to their BODY_25 rows, then add neck and mid-hip where they are absent."""
    found = Keypoints.missing()
    out_xy, out_confidence = found.xy, found.confidence
    for target, row in rows.items():
        out_xy[target], out_confidence[target] = xy[row], confidence[row]
    for middle, left, right in (
        (Joint.NECK, Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER),
        (Joint.MID_HIP, Joint.LEFT_HIP, Joint.RIGHT_HIP),
    ):
        if middle not in rows and np.isfinite(out_xy[[left, right]]).all():
            out_xy[middle] = (out_xy[left] + out_xy[right]) / 2
            out_confidence[middle] = min(out_confidence[left], out_confidence[right])
    return Keypoints(xy=out_xy, confidence=out_confidence, source=source, format=keypoint_format)


class Directions:
    """What two directions square to each other tell of a person: `u` down, `v` towards the person's left."""

    __slots__ = ()
    u: Array
    v: Array

    @property
    def back_view(self) -> bool:
        """Whether the person's left is the viewer's left: we see the back, or the labels are swapped."""
        return bool(self.u[1] * self.v[0] - self.u[0] * self.v[1] < 0)

    @property
    def tilt_deg(self) -> float:
        """Angle of `u` against the vertical; positive when it leads to the right."""
        return float(np.degrees(np.arctan2(self.u[0], self.u[1])))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BodyFrame(Directions):
    """Coordinates that go with the body: a down the torso, b towards the person's left shoulder."""

    shoulder_mid: Array
    """S: (2,) px, the mean of the shoulders."""

    hip_mid: Array
    """M: (2,) px, the mean of the hips."""

    torso_length: float
    """T = |M - S| in px."""

    shoulder_width: float
    """B = |left shoulder - right shoulder| in px."""

    arm_length: float
    """px over shoulder, elbow and wrist, the mean over the arms found whole; NaN without one."""

    u: Array
    """(2,) unit vector from S to M."""

    v: Array
    """(2,) unit vector square to u, towards the left shoulder."""

    @property
    def breadth(self) -> float:
        """Px across the body that margins are shares of: B."""
        return self.shoulder_width

    @property
    def lengths(self) -> dict[str, float]:
        """Lengths of the body (px) that garments are measured against: B, T and the arms'."""
        return {"shoulder": self.shoulder_width, "torso": self.torso_length, "arm": self.arm_length}

    @classmethod
    def from_keypoints(cls, keypoints: Keypoints) -> Self:
        """Span the frame of a person.

        The mid-hip is the mean of the hips where both were found, in every keypoint format, and the
        detector's own mid-hip otherwise.

        Raises:
            KeypointError: A shoulder or the hips are missing, or they coincide or are absurdly far apart.
        """
        _require_trunk(keypoints)
        xy = keypoints.xy
        right, left = xy[Joint.RIGHT_SHOULDER], xy[Joint.LEFT_SHOULDER]
        both_hips = keypoints.has(Joint.LEFT_HIP, Joint.RIGHT_HIP)
        hip_mid = xy[[Joint.LEFT_HIP, Joint.RIGHT_HIP]].mean(axis=0) if both_hips else xy[Joint.MID_HIP]
        shoulder_mid = (left + right) / 2
        torso, across = hip_mid - shoulder_mid, left - right
        torso_length, shoulder_width = float(np.hypot(*torso)), float(np.hypot(*across))
        if not (torso_length > 1 and shoulder_width > 1):
            raise KeypointError("shoulders or hips coincide")
        if shoulder_width > WIDEST * torso_length:
            raise KeypointError("implausible_skeleton")
        u = torso / torso_length
        v = np.array([u[1], -u[0]])
        v = -v if v @ across < 0 else v
        return cls(
            shoulder_mid=shoulder_mid,
            hip_mid=hip_mid,
            torso_length=torso_length,
            shoulder_width=shoulder_width,
            arm_length=_arm_length(xy),
            u=u,
            v=v,
        )

    def to_body(self, xy: Array) -> Array:
        """Map (N, 2) px of the image to (N, 2) columns a, b in px of the body frame."""
        require_shape("xy", xy, ("N", 2))
        offsets: Array = xy - self.shoulder_mid
        return np.column_stack([offsets @ self.u, offsets @ self.v])

    def to_image(self, ab: Array) -> Array:
        """Inverse of `to_body`."""
        require_shape("ab", ab, ("N", 2))
        return self.shoulder_mid + ab[:, :1] * self.u + ab[:, 1:] * self.v


def _arm_length(xy: Array) -> float:
    """Mean length of the arms found whole among (25, 2) joints."""
    bones = [np.diff(xy[list(joints)], axis=0) for joints in ARM_JOINTS.values()]
    lengths = np.array([np.hypot(*bone.T).sum() for bone in bones])
    found = lengths[np.isfinite(lengths)]
    return float(found.mean()) if found.size else float("nan")


def _require_trunk(keypoints: Keypoints) -> None:
    """Raise KeypointError unless shoulders and hips (or the mid-hip) were found."""
    if not keypoints.has(Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER):
        raise KeypointError("missing_shoulders")
    if not (keypoints.has(Joint.LEFT_HIP, Joint.RIGHT_HIP) or keypoints.has(Joint.MID_HIP)):
        raise KeypointError("missing_hips")
