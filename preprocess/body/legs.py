"""The legs in a picture, and the frame that hips and knees span, in which trousers and skirts are measured.

Nothing above the hips is needed: photos of trousers end at the chest.
"""

from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.keypoints import Array, BodyFrame, Directions, KeypointError, Keypoints
from preprocess.vocabulary import Joint

LEG_JOINTS = (
    (Joint.RIGHT_HIP, Joint.RIGHT_KNEE, Joint.RIGHT_ANKLE),
    (Joint.LEFT_HIP, Joint.LEFT_KNEE, Joint.LEFT_ANKLE),
)
"""Right first."""

HIPS_AND_KNEES = tuple(joint for leg in LEG_JOINTS for joint in leg[:2])
HIPS = tuple(leg[0] for leg in LEG_JOINTS)

THIGHS_OF_LEG = 0.5
"""Thigh over leg, where no ankle was found."""

BEYOND = 0.35
"""How far beyond the ankle a leg's line goes on, over the leg."""

THIGH_OF_TORSO, THIGH_OF_HIPS = 1.1, 2.1
"""Length of a thigh whose knee wasn't found, in torso lengths T; without shoulders in hip widths H."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LegFrame(Directions):
    """Coordinates that go with the legs: a from the hips towards the knees, b towards the person's left."""

    hip_mid: Array
    """M: (2,) px, the mean of the hip joints."""

    hip_width: float
    """H = |left hip - right hip| in px."""

    thigh: float
    """px from M to the middle of the knees."""

    u: Array
    """(2,) unit vector from M to the middle of the knees."""

    v: Array
    """(2,) unit vector square to u, towards the left hip."""

    legs: Array
    """(2, 3, 2) px hip, knee and ankle, right first; NaN where an ankle is missing."""

    @classmethod
    def from_keypoints(cls, keypoints: Keypoints) -> Self:
        """Span the frame of a person.

        Raises:
            KeypointError: A hip or a knee is missing, or they coincide.
        """
        if not keypoints.has(*HIPS):
            raise KeypointError("missing_hips")
        if not keypoints.has(*HIPS_AND_KNEES):
            raise KeypointError("missing_knees")
        legs = keypoints.xy[np.array(LEG_JOINTS)]
        hips, knees = legs[:, 0], legs[:, 1]
        hip_mid, down = hips.mean(axis=0), knees.mean(axis=0) - hips.mean(axis=0)
        hip_width, thigh = float(np.hypot(*(hips[1] - hips[0]))), float(np.hypot(*down))
        if not (hip_width > 1 and thigh > 1):
            raise KeypointError("hips or knees coincide")
        u = down / thigh
        v = np.array([u[1], -u[0]])
        v = -v if v @ (hips[1] - hips[0]) < 0 else v
        return cls(hip_mid=hip_mid, hip_width=hip_width, thigh=thigh, u=u, v=v, legs=legs)

    @property
    def leg_lengths(self) -> Array:
        """(2,) px along the bones from hip to ankle, right first; NaN where the ankle is missing."""
        return np.asarray(np.hypot(*np.moveaxis(np.diff(self.legs, axis=1), 2, 0)).sum(axis=1))

    @property
    def leg(self) -> float:
        """L in px: the mean of the legs that were found whole; NaN where none was."""
        whole = self.leg_lengths[np.isfinite(self.leg_lengths)]
        return float(whole.mean()) if len(whole) else float("nan")

    @property
    def scale(self) -> float:
        """L in px, or a guess at it from the thighs."""
        return self.leg if np.isfinite(self.leg) else self.thigh / THIGHS_OF_LEG

    @property
    def breadth(self) -> float:
        """Px across the body that margins are shares of: two H, about the shoulder width."""
        return 2 * self.hip_width

    @property
    def lengths(self) -> dict[str, float]:
        """Lengths of the body (px) that garments are measured against: H and L."""
        return {"hip": self.hip_width, "leg": self.leg}

    def to_body(self, xy: Array) -> Array:
        """Map (..., 2) px of the image to a, b in px of the frame."""
        offsets = xy - self.hip_mid
        return np.stack([offsets @ self.u, offsets @ self.v], axis=-1)

    def to_image(self, a: Array, b: Array) -> Array:
        """Map coordinates of one shape to (..., 2) px of the image."""
        return np.asarray(self.hip_mid + a[..., None] * self.u + b[..., None] * self.v)

    def along(self, side: int, distance: Array, offset: Array) -> Array:
        """Points beside the bones of a leg that has an ankle.

        Args:
            side: 0 the right leg, 1 the left.
            distance: (R,) px walked from the hip joint towards the ankle; beyond it the line goes on.
            offset: (C,) px across the bone, towards the person's left.

        Returns:
            (R, C, 2) px of the image.
        """
        joints = self.legs[side]
        lengths = np.hypot(*np.diff(joints, axis=0).T)
        end = joints[2] + (joints[2] - joints[1]) / lengths[1] * BEYOND * lengths.sum()
        walked = np.cumsum([0, *lengths, BEYOND * lengths.sum()])
        corners = np.vstack([joints, end])
        bone = np.column_stack([np.interp(distance, walked, corners[:, axis]) for axis in (0, 1)])
        along = np.gradient(bone, axis=0)
        across = along[:, ::-1] * (1, -1) / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
        across *= np.where(across @ self.v < 0, -1, 1)[:, None]
        return np.asarray(bone[:, None] + offset[:, None] * across[:, None])


def with_knees(keypoints: Keypoints) -> Keypoints:
    """Let legs whose knee wasn't found, mostly below the picture's edge, go on straight down the body."""
    try:
        frame = BodyFrame.from_keypoints(keypoints)
        thigh = THIGH_OF_TORSO * frame.torso_length * frame.u
    except KeypointError:
        across = np.subtract(*keypoints.xy[list(HIPS)])
        thigh = THIGH_OF_HIPS * np.abs(across[0]) * np.array([0.0, 1.0])
    xy = keypoints.xy.copy()
    for hip, knee, _ in LEG_JOINTS:
        if keypoints.has(hip) and not keypoints.has(knee):
            xy[knee] = xy[hip] + thigh
    return replace(keypoints, xy=xy)


def seen_at(mask: NDArray[np.bool_], xy: Array) -> NDArray[np.uint8]:
    """(R, C) cover, 0 to 255, of an (H, W) mask at (R, C, 2) px; 0 outside the picture."""
    levels = np.ascontiguousarray(mask).view(np.uint8) * np.uint8(255)
    places = (xy - 0.5).astype(np.float32)
    return np.asarray(cv2.remap(levels, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))
