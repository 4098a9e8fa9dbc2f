"""The panel: the garment without its sleeves, row by row, and what makes its sides doubtful."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.arms import Arm, arm_of, capsule
from preprocess.body.canvas import INSIDE, BodyCanvas, Mask, Rows, Runs, axis_runs, extents
from preprocess.body.keypoints import Array, Keypoints
from preprocess.vocabulary import Joint

ARM_RADIUS = 0.16
"""Half the thickness of a bare upper arm, in B; where no parse map shows the arms they are taken to be so."""

THIN = 0.025
"""A strip of arm beside the panel that is no wider than this, in B, can't hide more than that."""

IN_FRONT = 0.35
"""The garment lies in front of an arm of which it leaves less than this share of the inner half to see."""

SLEEVE_RADIUS = 0.2
"""Half the thickness of a sleeve, in B."""

DROOP = 0.2
"""How far, in B, a sleeve may hang below its bone."""

HIP_HALF = 0.33
"""Half the distance between the hips, in B, where only the mid-hip was found."""

HOLE_REACH = 0.8
"""A hole of the parse map lies within this share of the hull of the torso's joints."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Side:
    """One side of the body: its arm, and how wide the hull of the torso's joints is."""

    arm: Arm
    """The arm."""

    hip: float
    """`|b|` px of the hip; the hull runs from the shoulder joint to here."""

    torso_px: float
    """T, px."""

    shoulder_px: float
    """B, px."""

    def hull(self, a: Array) -> Array:
        """(R,) `|b|` px of the hull at rows `a` px."""
        half = self.shoulder_px / 2
        return half + (self.hip - half) * np.clip(a / self.torso_px, 0, 1)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PanelSides:
    """Where the panel ends left and right, over the rows of the width."""

    runs: Runs
    """The panel, row by row."""

    touched: Mask
    """(R, 2) rows whose right and left side a sleeve touches."""


def sides_of(keypoints: Keypoints, garment: BodyCanvas) -> tuple[Side, Side]:
    """Find both arms, right first, and the hull between them."""
    frame = garment.frame
    hips = np.abs(frame.to_body(keypoints.xy[[Joint.RIGHT_HIP, Joint.LEFT_HIP]])[:, 1])
    hips = np.where(np.isfinite(hips), hips, HIP_HALF * frame.shoulder_width)
    right, left = (
        Side(
            arm=arm_of(keypoints, frame, sign, garment),
            hip=float(hip),
            torso_px=frame.torso_length,
            shoulder_px=frame.shoulder_width,
        )
        for sign, hip in zip((-1, 1), hips, strict=True)
    )
    return right, left


def panel_cover(canvas: BodyCanvas, sides: tuple[Side, Side], rows: Rows | None = None) -> NDArray[np.uint8]:
    """(R, C) cover of some rows, or of all, without sleeves.

    A sleeve is what lies in a capsule round an arm's covered bone and outside the hull.
    """
    rows = np.arange(len(canvas.cover)) if rows is None else rows
    a, b = canvas.a_of(rows), canvas.b_of(np.arange(canvas.cover.shape[1]))
    cover = canvas.cover[rows]
    for side in sides:
        if not side.arm.sleeve_end > 0:
            continue
        sleeve = capsule(side.arm, canvas, SLEEVE_RADIUS * side.shoulder_px, side.arm.sleeve_end)[rows]
        outside = side.arm.side * b[None] > side.hull(a)[:, None]
        cover = np.where(sleeve & outside, np.uint8(0), cover)
    return cover


def panel_sides(canvas: BodyCanvas, rows: Rows, sides: tuple[Side, Side]) -> PanelSides:
    """Cut touching sleeves off the panel in some rows of the canvas, without looking at a photo.

    A sleeve that hangs free is another run; one that touches the panel is cut off at a capsule round its
    bone.
    """
    whole = axis_runs(canvas, front_lines(canvas, rows, sides, None))
    runs = extents(canvas, rows, whole)
    merged = np.column_stack([_sleeve_in_run(side, canvas.a_of(rows), runs, canvas.step) for side in sides])
    touched = merged.any(axis=1)
    if touched.any():
        cut = axis_runs(canvas, panel_cover(canvas, sides, rows[touched]))
        runs.low[touched], runs.high[touched] = cut.low, cut.high
    return PanelSides(runs=runs, touched=merged)


def without_holes(
    canvas: BodyCanvas, rows: Rows, sides: tuple[Side, Side], occluders: Mask | None
) -> BodyCanvas:
    """Fill the holes that a parse map has at prints and dark stripes: those that lie within the torso's hull.

    Arms akimbo make loops as well, but outside of it; what lies in front is no hole, nor is a front that is
    open down to the hem, wherever that is.

    Args:
        canvas: The garment.
        rows: Consecutive rows in which to fill.
        sides: From `sides_of`.
        occluders: (h, w) bool, what may lie in front.
    """
    if len(rows) == 0:
        return canvas
    to_hem = np.arange(rows[0], len(canvas.cover))
    lines = canvas.cover[to_hem]
    count, labels = cv2.connectedComponents((lines <= INSIDE).view(np.uint8), connectivity=4)
    right, left = (HOLE_REACH * side.hull(canvas.a_of(to_hem))[:, None] for side in sides)
    b = canvas.b_of(np.arange(lines.shape[1]))
    open_to_sides = (b < -right) | (b > left)
    if occluders is not None:
        open_to_sides |= canvas.resampled(occluders, to_hem) > INSIDE
    hole = np.ones(count, bool)
    hole[0] = False  # the cloth itself
    hole[labels[open_to_sides]] = False
    if not hole.any():
        return canvas
    cover = canvas.cover.copy()
    cover[rows] = np.where(hole[labels], np.uint8(255), lines)[: len(rows)]
    return replace(canvas, cover=cover)


def outward(side: Side, runs: Runs) -> Array:
    """(R,) `|b|` px of the end of runs on one side."""
    return -runs.low if side.arm.side < 0 else runs.high


def front_lines(
    canvas: BodyCanvas, rows: Rows, sides: tuple[Side, Side], occluders: Mask | None
) -> NDArray[np.uint8]:
    """(R, C) cover of the garment and of what lies in front of it; a run ends at the canvas's border."""
    if occluders is None:
        arms = [capsule(side.arm, canvas, ARM_RADIUS * side.shoulder_px, 1.0) for side in sides]
        front = np.where(arms[0] | arms[1], np.uint8(255), np.uint8(0))[rows]
    else:
        front = canvas.resampled(occluders, rows)
    lines = np.maximum(canvas.cover[rows], front)
    lines[:, [0, -1]] = 0
    return lines


def _sleeve_in_run(side: Side, a: Array, runs: Runs, step: float) -> Mask:
    """(R,) whether the row's run goes on into this side's sleeve, outside the hull."""
    arm = side.arm
    covered = np.isfinite(arm.points).all(axis=1) & (arm.share <= arm.sleeve_end)
    bone_a, bone_b = arm.points[covered, 0], arm.side * arm.points[covered, 1]
    end = arm.side * (runs.low if arm.side < 0 else runs.high)
    below = a[:, None] - bone_a
    near = (below > -step) & (below < DROOP * side.shoulder_px)
    inside = (bone_b > side.hull(a)[:, None]) & (end[:, None] > bone_b)
    return np.asarray((near & inside).any(axis=1))


def may_be_hidden(side: Side, a: Array, end: Array, outer: Array) -> Mask:
    """(R,) whether what lies against the panel's end may hide some of it.

    An arm does, unless only a thin strip of it shows, or the garment covers it up to its bone.
    """
    sign = side.arm.side
    bone = sign * side.arm.at_rows(a)[0]
    with np.errstate(invalid="ignore"):
        half = outer - bone  # of the arm, unless that goes on along the row
        in_front = (half > 0) & (half < SLEEVE_RADIUS * side.shoulder_px) & (bone - end < IN_FRONT * half)
        return (outer - end > THIN * side.shoulder_px) & ~in_front
