"""Arms give way to a panel that grows: elbows move outwards, shoulders and hands stay where they are.

Somebody's arm hangs outside of a larger garment, so that its panel doesn't hide the arm. The picture beside
the panel moves along in rows, in front of the wall as behind it: an arm needs no outline of its own.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from preprocess.body.keypoints import ARM_JOINTS, Array, Keypoints
from preprocess.garment.measurements import width_band
from preprocess.layout.parts import Parts
from preprocess.layout.sides import ARMPIT, Floats
from preprocess.layout.warp import Sides

LEFT_FREE = 0.05
"""B. So much of an arm's inner half a panel leaves free at least, if it did before."""

BESIDE = 0.08
"""B. A bone this far inside of the panel's side is of an arm beside it."""

THICK = 0.18
"""B. Half the thickness of an arm, with its sleeve."""

INWARDS, OUTWARDS = (0.05, 1.5), (0.3, 2.0)
"""Over how much the picture inside and outside of an arm gives way: least B, and multiples of its move."""

HANGS = 0.1
"""T. A hand that hangs is so far below its elbow."""

BELOW = 0.2
"""T. Rows this near to shoulder or hand move too little to give way to a panel."""

FURTHEST = 0.3
"""B. An elbow moves no further."""


@dataclass(frozen=True, slots=True, eq=False)
class Elbows:
    """How far the arms move outwards, row by row, the right one first; rows in T, columns in B."""

    rows: Array
    """(R,) rising."""

    bones: Array
    """(2, R) how far from the axis they come to lie."""

    out: Array
    """(2, R) how far they have moved."""

    @classmethod
    def of(cls, parts: Parts, sides: Sides, growth: Array, keypoints: Keypoints) -> Self:
        """Find how far arms give way to a panel at (3,) growths of shoulder, width and length."""
        new = sides.resized(growth, parts.length)
        found = [
            given_way(arm_in(parts, keypoints, sign), sides.rows, *ends, width_band(parts.length))
            for sign, ends in zip(ARM_JOINTS, zip(sides.ends, new, strict=True), strict=True)
        ]
        out = np.stack([shift for _, shift in found])
        return cls(sides.rows, np.stack([bone for bone, _ in found]) + out, out)

    @property
    def move(self) -> bool:
        """Whether any does."""
        return bool(self.out.any())

    def before(self, parts: Parts, sides: Sides) -> Floats:
        """(H, W) columns from which each pixel is taken."""
        away, (out, bone) = np.abs(parts.b), sides.at(parts, self.out, self.bones)
        inner, outer = (np.maximum(least, times * out) for least, times in (INWARDS, OUTWARDS))
        beside = THICK - np.abs(away - bone)
        share = np.clip(1 + beside / np.where(away < bone, inner, outer), 0, 1)
        return np.asarray(parts.b - np.sign(parts.b) * out * share, np.float32)

    def joints(self, keypoints: Keypoints, parts: Parts) -> Keypoints:
        """Return the joints of the arms that moved."""
        xy = keypoints.xy.copy()
        for side, (sign, (_, elbow, _)) in enumerate(ARM_JOINTS.items()):
            row = parts.frame.to_body(xy[[elbow]])[0, 0] / parts.frame.torso_length
            if np.isfinite(row):
                out = np.interp(row, self.rows, self.out[side])
                xy[elbow] += sign * out * parts.frame.shoulder_width * parts.frame.v
        return replace(keypoints, xy=xy)


def arm_in(parts: Parts, keypoints: Keypoints, sign: int) -> Array:
    """(3, 2) shoulder, elbow and wrist: rows in T, and how far outwards in B."""
    px = parts.frame.to_body(keypoints.xy[list(ARM_JOINTS[sign])])
    return np.asarray(px / (parts.frame.torso_length, sign * parts.frame.shoulder_width))


def given_way(
    arm: Array, rows: Array, worn: Array, new: Array, band: tuple[float, float]
) -> tuple[Array, Array]:
    """Return (R,) where an arm's bone runs, and (R,) how far outwards it moves for a panel's side.

    Args:
        arm: From `arm_in`.
        rows: (R,) rising.
        worn: (R,) how far outwards the panel ends.
        new: (R,) how far it is to end.
        band: First and last row in which it may not end outside of the bone.
    """
    shoulder, elbow, wrist = arm
    if np.isnan(wrist).any():  # out of the picture: the arm hangs straight down
        wrist = np.array([2 * elbow[0] - shoulder[0], elbow[1]])
    still = np.zeros_like(rows)
    if not (elbow[0] > max(shoulder[0], ARMPIT) and wrist[0] > elbow[0] + HANGS):
        return still, still
    joints = np.stack([shoulder, elbow, wrist])
    bone = np.interp(rows, joints[:, 0], joints[:, 1])
    share = np.interp(rows, joints[:, 0], [0.0, 1.0, 0.0 if np.isfinite(arm[2]).all() else 1.0])
    told = (rows >= band[0]) & (rows <= band[1]) & (share > BELOW) & (bone > worn - BESIDE) & (new > worn)
    if not told.any():
        return bone, still
    missing = new + np.minimum(bone - worn, LEFT_FREE) - bone
    return bone, share * float(np.clip((missing / np.maximum(share, BELOW))[told].max(), 0, FURTHEST))
