"""The panel: the garment without its sleeves, row by row, and what makes its sides doubtful."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.body.arms import Arm, arm_of, capsule
from preprocess.body.canvas import BodyCanvas, Mask, Rows, Runs, axis_runs, extents
from preprocess.body.keypoints import Array, Keypoints
from preprocess.vocabulary import Joint

ARM_RADIUS = 0.16
"""Half the thickness of a bare upper arm, in B; where no parse map shows the arms they are taken to be so."""

THIN = 0.025
"""A strip of arm beside the panel that is no wider than this, in B, can't hide more than that."""

IN_FRONT = 0.35
"""The garment lies in front of an arm of which it leaves less than this share of the inner half to see."""

STRAIGHT = 0.02
"""How far a side's mean, in B, may lie off that of its clean rows; beyond, the side isn't straight enough."""

SLEEVE_RADIUS = 0.2
"""Half the thickness of a sleeve, in B."""

DROOP = 0.2
"""How far, in B, a sleeve may hang below its bone."""

HIP_HALF = 0.33
"""Half the distance between the hips, in B, where only the mid-hip was found."""

FEWEST_CLEAN = 0.6
"""Share of a side's rows that must be clear of arm and sleeve; the others follow the line through these."""


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

    span: tuple[float, float]
    """Mean `b` px of the two sides; NaN where less than half of the rows have a panel."""

    clean_share: float
    """Share of rows and sides that nothing touches, 0 to 1."""

    flags: tuple[str, ...]
    """Why the sides are doubtful, sorted."""


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


def panel_sides(
    canvas: BodyCanvas, rows: Rows, sides: tuple[Side, Side], occluders: Mask | None = None
) -> PanelSides:
    """Follow the panel's sides and judge them.

    A sleeve that hangs free is another run and does no harm. Where it touches the panel the row's side is
    doubtful, and so it is where a bare arm lies against the panel and may hide some of it. A side with enough
    clean rows is the line through them; without, it is taken from what is seen (the capsule cuts a touching
    sleeve off) and the measure is flagged.

    Args:
        canvas: The garment.
        rows: (R,) consecutive rows of the width.
        sides: From `sides_of`.
        occluders: (H, W) bool, bare arms and the like in the picture; None guesses them from the joints.
    """
    a = canvas.a_of(rows)
    whole = axis_runs(canvas, _with_occluders(canvas, rows, sides, occluders))
    runs = extents(canvas, rows, whole)
    merged = np.column_stack([_sleeve_in_run(side, a, runs, canvas.step) for side in sides])
    touched = merged.any(axis=1)
    if touched.any():
        cut = axis_runs(canvas, panel_cover(canvas, sides, rows[touched]))
        runs.low[touched], runs.high[touched] = cut.low, cut.high
    seen = ~np.isnan(runs.low)
    hidden = np.column_stack([_may_be_hidden(side, a, runs, whole) for side in sides])
    right, left = (
        _judged(a, end, merged[:, k], hidden[:, k], STRAIGHT * sides[k].shoulder_px)
        for k, end in enumerate((runs.low, runs.high))
    )
    flags = {right[1], left[1]} - {""}
    span = right[0], left[0]
    if 2 * seen.sum() <= len(rows):
        flags.add("axis_hidden")
        span = float("nan"), float("nan")
    clean = seen[:, None] & ~merged & ~hidden
    return PanelSides(
        runs=runs,
        touched=merged,
        span=span,
        clean_share=float(clean.mean()) if len(rows) else 0.0,
        flags=tuple(sorted(flags)),
    )


def _with_occluders(
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
    found: Mask = (near & inside).any(axis=1)
    return found


def _may_be_hidden(side: Side, a: Array, runs: Runs, whole: Runs) -> Mask:
    """(R,) whether what lies against the panel's end may hide some of it.

    An arm does, unless only a thin strip of it shows, or the garment covers it up to its bone.
    """
    sign = side.arm.side
    end, outer = (sign * (run.low if sign < 0 else run.high) for run in (runs, whole))
    bone = sign * side.arm.at_rows(a)[0]
    with np.errstate(invalid="ignore"):
        half = outer - bone  # of the arm, unless that goes on along the row
        in_front = (half > 0) & (half < SLEEVE_RADIUS * side.shoulder_px) & (bone - end < IN_FRONT * half)
        return (outer - end > THIN * side.shoulder_px) & ~in_front


def _judged(a: Array, end: Array, merged: Mask, hidden: Mask, tolerance: float) -> tuple[float, str]:
    """Mean `b` px of one side over all rows, and what makes it doubtful ("": nothing).

    Args:
        a: (R,) px.
        end: (R,) `b` px of the side; NaN where the row has no panel.
        merged: (R,) rows in which a sleeve touches the panel.
        hidden: (R,) rows in which something may hide the panel's end.
        tolerance: px that the mean of a line through some rows may lie off the mean of these rows.
    """
    seen = np.isfinite(end)
    if not seen.any():
        return float("nan"), ""
    for trusted, doubt in (
        (seen & ~merged & ~hidden, ""),
        (seen & ~merged, "arm_touches_panel"),
    ):
        if trusted.sum() == seen.sum():
            return float(end[seen].mean()), doubt
        if trusted.sum() >= FEWEST_CLEAN * len(end):
            slope, intercept = np.polyfit(a[trusted], end[trusted], 1)
            mean = float(slope * a.mean() + intercept)
            if abs(mean - float(end[trusted].mean())) <= tolerance:
                return mean, doubt
    return float(end[seen].mean()), "sleeve_touches_panel" if merged.any() else "arm_touches_panel"
