"""Rows in which an arm has to do with a side of the panel: its sleeve goes on there, or it lies across."""

import numpy as np

from preprocess.body.arms import HAND
from preprocess.body.canvas import Mask
from preprocess.body.keypoints import Array
from preprocess.garment.panel import DROOP, THIN, Side

BONE_SLACK = 0.04
"""How far outside the garment, in B, the bone of an arm in a sleeve may be."""

SLEEVED = 0.3
"""An arm has a sleeve that may go on behind the panel when it covers this share of it."""

INNERMOST = 0.7
"""Share of the hull of the torso's joints that the panel surely covers."""

ACROSS = 0.75
"""An arm whose forearm or hand is within this share of the hull lies across the panel."""

ACROSS_RADIUS = 0.12
"""Half the thickness of such a forearm, in B."""


def sleeve_rows(side: Side, a: Array, end: Array, outer: Array) -> Mask:
    """(R,) rows in which the garment goes on into this side's sleeve.

    It covers the bone, or what is left of a sleeve half behind the panel; a bare arm beyond it ends neither.
    """
    bone, share = bones_at(side, a)
    with np.errstate(invalid="ignore"):
        covered = share <= side.arm.sleeve_end + 0.01
        drooping = a < side.arm.sleeve_a + DROOP * side.shoulder_px
        behind = (bone < end + BONE_SLACK * side.shoulder_px) & (outer - end < THIN * side.shoulder_px)
        sleeved = side.arm.sleeve_end > SLEEVED
        found: Mask = ((bone < end) & (covered | drooping)) | (behind & (covered | sleeved))
        return found & (bone > INNERMOST * side.hull(a))


def bones_at(side: Side, a: Array) -> tuple[Array, Array]:
    """(R,) `|b|` px of the arm's bone, (R,) its share of the arm; without a wrist it hangs from the elbow."""
    arm = side.arm
    bone, share = arm.at_rows(a)
    elbow = arm.joints[1]
    if np.isfinite(elbow).all() and np.isnan(arm.joints[2]).any():
        below = np.isnan(bone) & (a >= elbow[0])
        bone, share = np.where(below, elbow[1], bone), np.where(below, 0.5, share)
    return arm.side * bone, share


def crossed_rows(side: Side, a: Array) -> Mask:
    """(R,) rows across which this side's forearm or hand lies."""
    elbow, wrist = side.arm.joints[1:]
    points = elbow + np.linspace(0, HAND, 40)[:, None] * (wrist - elbow)
    with np.errstate(invalid="ignore"):
        across = side.arm.side * points[:, 1] < ACROSS * side.hull(points[:, 0])
        low, high = points[:, 0].min(), points[:, 0].max()
        radius = ACROSS_RADIUS * side.shoulder_px
        found: Mask = across.any() & (a > low - radius) & (a < high + radius)
    return found
