"""The panel: the garment without its sleeves, row by row, and what makes its sides doubtful."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from preprocess.arms import Arm, arm_of, capsule
from preprocess.body_canvas import BodyCanvas, Mask, Rows, Runs, runs_from
from preprocess.keypoints import Array, Keypoints
from preprocess.vocabulary import Joint

ARM_RADIUS = 0.13
"""Half the thickness of a bare upper arm, in B: nearer to the bone a panel's side touches the arm."""

SLEEVE_RADIUS = 0.2
"""Half the thickness of a sleeve, in B."""

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

    span: tuple[float, float]
    """Mean `b` px of the two sides; NaN where less than half of the rows have a panel."""

    clean_share: float
    """Share of rows and sides that nothing touches, 0 to 1."""

    flags: tuple[str, ...]
    """Why the sides are doubtful."""


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


def panel_cover(canvas: BodyCanvas, sides: tuple[Side, Side]) -> NDArray[np.uint8]:
    """Cover without sleeves: what lies in a capsule round an arm's covered bone and outside the hull."""
    a, b = canvas.a_of(np.arange(len(canvas.cover))), canvas.b_of(np.arange(canvas.cover.shape[1]))
    cover = canvas.cover
    for side in sides:
        if not side.arm.sleeve_end > 0:
            continue
        sleeve = capsule(side.arm, canvas, SLEEVE_RADIUS * side.shoulder_px, side.arm.sleeve_end)
        outside = side.arm.side * b[None] > side.hull(a)[:, None]
        cover = np.where(sleeve & outside, np.uint8(0), cover)
    return cover


def panel_sides(canvas: BodyCanvas, rows: Rows, sides: tuple[Side, Side]) -> PanelSides:
    """Follow the panel's sides and judge them.

    A sleeve that hangs free is another run and does no harm. Where it touches the panel the row's side is
    doubtful, and so it is where a bare arm lies against the panel and may hide some of it. A side with enough
    clean rows is the line through them; without, it is taken from what is seen (the capsule cuts a touching
    sleeve off) and the measure is flagged.
    """
    a = canvas.a_of(rows)
    runs = runs_from(canvas, rows, np.zeros(len(rows)))
    merged = np.column_stack([_sleeve_in_run(side, a, runs) for side in sides])
    touched = merged.any(axis=1)
    if touched.any():
        cut = runs_from(canvas, rows[touched], np.zeros(touched.sum()), panel_cover(canvas, sides))
        runs.low[touched], runs.high[touched] = cut.low, cut.high
    runs, bare = _behind_arms(canvas, rows, runs, sides)
    seen = ~np.isnan(runs.low)[:, None]
    clean = seen & ~merged & ~bare
    ends = np.column_stack([runs.low, runs.high])
    right, left = (_mean_side(a, ends[:, k], clean[:, k], (seen & ~merged)[:, k]) for k in (0, 1))
    flags = []
    if 2 * seen.sum() <= len(rows):
        flags.append("axis_hidden")
        right = left = float("nan")
    most = (1 - FEWEST_CLEAN) * len(rows)
    in_sleeve = merged.sum(axis=0) > most
    at_arm = ((merged | bare).sum(axis=0) > most) & ~in_sleeve
    flags += ["sleeve_touches_panel"] * bool(in_sleeve.any()) + ["arm_touches_panel"] * bool(at_arm.any())
    share = float(clean.mean()) if len(rows) else 0.0
    return PanelSides(runs=runs, span=(right, left), clean_share=share, flags=tuple(flags))


def _sleeve_in_run(side: Side, a: Array, runs: Runs) -> Mask:
    """(R,) whether the row's run goes on into this side's sleeve, outside the hull."""
    bone, share = side.arm.at_rows(a)
    end = runs.low if side.arm.side < 0 else runs.high
    outside = side.arm.side * bone > side.hull(a)
    return outside & (share <= side.arm.sleeve_end) & (side.arm.side * end > side.arm.side * bone)


def _behind_arms(canvas: BodyCanvas, rows: Rows, runs: Runs, sides: tuple[Side, Side]) -> tuple[Runs, Mask]:
    """Go on behind a bare arm where the garment shows on its far side; elsewhere call the side doubtful.

    Returns:
        The runs, and (R, 2) whether a bare arm lies against the end of the right and left side.
    """
    a = canvas.a_of(rows)
    touching = []
    for side in sides:
        sign = side.arm.side
        bone, share = side.arm.at_rows(a)
        end = runs.low if sign < 0 else runs.high
        gap = sign * (bone - end)
        reach = ARM_RADIUS * side.shoulder_px
        near = (gap > 0) & (gap < reach) & (share > side.arm.sleeve_end)
        beyond = runs_from(canvas, rows, bone + sign * 1.3 * reach) if near.any() else None
        if beyond is not None:
            far = beyond.low if sign < 0 else beyond.high
            shown = near & np.isfinite(far)
            end, near = np.where(shown, far, end), near & ~shown
            runs = replace(runs, low=end) if sign < 0 else replace(runs, high=end)
        touching.append(near)
    return runs, np.column_stack(touching)


def _mean_side(a: Array, end: Array, clean: Mask, free: Mask) -> float:
    """Mean `b` px of one side over all rows.

    Args:
        a: (R,) px.
        end: (R,) `b` px of the side; NaN where the row has no panel.
        clean: (R,) rows that nothing touches; with enough of them, the line through them counts.
        free: (R,) rows that no sleeve touches; they come next.
    """
    seen = np.isfinite(end)
    if not seen.any():
        return float("nan")
    trusted = next((rows for rows in (clean, free) if rows.sum() >= FEWEST_CLEAN * len(end)), None)
    if trusted is None or trusted.all():
        return float(end[seen].mean())
    slope, intercept = np.polyfit(a[trusted], end[trusted], 1)
    return float(slope * a.mean() + intercept)
