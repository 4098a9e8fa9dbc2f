"""Trousers, shorts and skirts as they are worn, row by row in the frame of the legs: ends, gap, hem.

Below the hem the edges go on beside the bones, as a longer garment's would: legs of cloth keep their width, a
skirt its flare.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from preprocess.body.canvas import INSIDE, Mask, edge_between
from preprocess.body.keypoints import Array
from preprocess.body.legs import LegFrame, seen_at
from preprocess.lower.hem import hem_bounds_along
from preprocess.lower.measures import width_rows
from preprocess.lower.waist import AXIS_BAND, GRID, WAIST_ROWS, slope_of_waistband, upper_edge, view_of

HIGHEST, LOWEST = -0.5, 1.4
"""Rows that a garment may cover, from the hips, in L."""

NARROWEST_GAP = 3
"""Grid lines; what is narrower is no gap between the legs."""

NO_GAP = np.array([[1e6], [-1e6]])

SIDE_BAND = (0.006, 0.06)
"""Height, in L, above the hem in which its curve, not the sides, ends rows: always, and perhaps."""

STEEPEST_SIDE = 1.0
"""Px inwards a px down, from which a row there is ended by the hem."""

FLARE_ROWS = 0.08
"""Height, in L, above that whose slope goes on below."""

INSEAM = 0.04
"""Height, in L, above the hem through which a gap between the legs is seen where they are legs of cloth."""

FLARES, LEG_FLARES = (-0.05, 0.6), (0.0, 0.15)
"""Least and greatest slope of a side that goes on, px outwards a px down: of skirts, and of legs of cloth."""


@dataclass(frozen=True, eq=False)
class WornLegs:
    """Edges of a worn garment of the lower body."""

    frame: LegFrame
    """Of the wearer."""

    rows: Array
    """(R,) px from the hips, rising."""

    bones: Array
    """(2, R) `b` px of the legs' lines, right first."""

    ends: Array
    """(2, R) `b` px where the garment ends; what is below its hem is what a longer one would cover."""

    gap: Array
    """(2, R) `b` px where the gap between its legs begins and ends; `NO_GAP` where there is none."""

    waist: tuple[float, float]
    """Rows px of the waistband: the first, and the last that the waist ratio alone moves."""

    length: float
    """Px along the legs to the hem, or to what is seen last where that isn't known."""

    @cached_property
    def walked(self) -> Array:
        """(2, R) px along the legs at which each row crosses their lines, as the hem is measured."""
        step = self.rows[1] - self.rows[0]
        bones = np.hypot(step, np.diff(self.bones, axis=1))
        walked = np.concatenate([np.zeros((2, 1)), np.cumsum(bones, axis=1)], axis=1)
        at_hips = np.stack([np.interp(0.0, self.rows, line) for line in walked])[:, None]
        stretch = np.nan_to_num(self.frame.leg / self.frame.leg_lengths, nan=1.0)[:, None]
        return np.asarray(stretch * (walked - at_hips))

    @cached_property
    def one_piece(self) -> bool:
        """Whether it hangs around both legs at the hem, as skirts do."""
        here = min(int(np.searchsorted(self.rows, self.row_of(self.length))), len(self.rows) - 1)
        return not self.gap[0, here] < self.gap[1, here]

    @cached_property
    def half(self) -> Array:
        """(R,) half the width of each row's piece of cloth, the narrower of two."""
        legs = np.minimum(self.gap[0] - self.ends[0], self.ends[1] - self.gap[1])
        pieces = np.where(self.gap[0] < self.gap[1], legs, self.ends[1] - self.ends[0])
        return np.asarray(np.maximum(pieces, 0) / 2)

    def row_of(self, length: float) -> float:
        """Row px that a level hem lies at."""
        return float(np.interp(length, self.walked.max(axis=0), self.rows))

    def widths(self, moved: Array | float = 0.0) -> Array:
        """(R,) px of cloth in each row when its edges move outwards by (R,) px."""
        whole = self.ends[1] - self.ends[0] + 2 * moved
        between = np.maximum(self.gap[1] - self.gap[0] - 2 * moved, 0)
        return np.asarray(np.maximum(whole - between, 0))

    def width_rows(self, length: float) -> Mask:
        """(R,) whether a row tells the width of a garment that ends `length` px along the legs."""
        thigh = self.frame.thigh
        first, end = width_rows(self.row_of(length) / thigh)
        chosen = (self.rows >= first * thigh) & (self.rows <= end * thigh)
        chosen[min(int(np.searchsorted(self.rows, first * thigh)), len(chosen) - 1)] = True
        return np.asarray(chosen)


def take_apart(garment: Mask, frame: LegFrame) -> WornLegs | None:
    """Follow the edges of an (H, W) garment down the legs; None where it isn't on them."""
    nothing = np.zeros(garment.shape, np.uint8)
    view = view_of(garment, nothing, frame)
    edge = upper_edge(view, AXIS_BAND * frame.hip_width)
    if len(edge) < AXIS_BAND * GRID:
        return None
    length = hem_bounds_along(garment, nothing, frame)[0].value
    rows = np.arange(HIGHEST * frame.scale, LOWEST * frame.scale, view.step)
    cover = seen_at(garment, frame.to_image(*np.meshgrid(rows, view.b, indexing="ij")))
    bones = bone_lines(frame, rows)
    ends, gap = edges_of(cover, view.b, bones)
    found = np.flatnonzero(np.isfinite(ends[0]))
    top = float(np.median(edge))
    if len(found) < GRID // 10 or top > frame.thigh:
        return None
    band = np.isfinite(ends[0]) & (rows <= top + WAIST_ROWS * frame.scale)
    sinks = abs(slope_of_waistband(view)) * float(np.abs(ends[:, band]).max(initial=0))
    kept = np.s_[:, found[0] :]
    worn = WornLegs(
        frame=frame,
        rows=rows[kept[1]],
        bones=bones[kept],
        ends=ends[kept],
        gap=gap[kept],
        waist=(top, top + WAIST_ROWS * frame.scale + sinks),
        length=float(rows[found[-1]]) if np.isnan(length) else length,
    )
    return carried_on(worn, length)


def bone_lines(frame: LegFrame, rows: Array) -> Array:
    """(2, R) `b` px of the legs' lines; they go on upright above the hips, and as the shins do below."""
    lines = []
    for leg in frame.legs:
        hip, knee, ankle = frame.to_body(leg)
        ankle = ankle if np.isfinite(ankle[0]) else 2 * knee - hip
        far = ankle + (ankle - knee) * frame.scale / max(float(np.hypot(*(ankle - knee))), 1.0)
        a, b = np.stack([hip, knee, ankle, far]).T
        lines.append(np.interp(rows, np.maximum.accumulate(a + np.arange(4) * 1e-6), b))
    return np.stack(lines)


def edges_of(cover: NDArray[np.uint8], b: Array, bones: Array) -> tuple[Array, Array]:
    """Find the ends of each row of an (R, C) cover, NaN in an empty one, and the gap between the legs.

    Returns:
        (2, R) `b` px each.
    """
    ends, gap = np.full((2, len(cover)), np.nan), np.tile(NO_GAP, len(cover))
    step = b[1] - b[0]
    for row, levels in enumerate(np.pad(cover, ((0, 0), (1, 1)))):
        inside = levels > INSIDE
        turns = np.flatnonzero(inside[1:] != inside[:-1])
        if not len(turns):
            continue
        within, outside = np.where(inside[turns], turns, turns + 1), np.where(inside[turns], turns + 1, turns)
        share = edge_between(levels[within], levels[outside])
        at = b[0] + step * (within - 1 + share * (outside - within))
        ends[:, row] = at[0], at[-1]
        starts, stops = at[1:-1:2], at[2:-1:2]
        between = (starts + stops > 2 * bones[0, row]) & (starts + stops < 2 * bones[1, row])
        wide = np.where(between, stops - starts, 0)
        if len(wide) and wide.max() >= NARROWEST_GAP * step:
            gap[:, row] = starts[wide.argmax()], stops[wide.argmax()]
    return ends, gap


def carried_on(worn: WornLegs, length: float) -> WornLegs:
    """Let the edges of each leg go on below its hem, beside its bone.

    Args:
        worn: With edges as far as they are seen.
        length: Px along the legs to the hem; NaN: nothing goes on.
    """
    rows, bones = worn.rows, worn.bones
    ends, gap = worn.ends.copy(), worn.gap.copy()
    for side, sign in enumerate((-1, 1)):
        last = last_of_side(worn, side, length)
        known = np.isfinite(worn.ends[side]) & (rows <= rows[last])
        offsets = np.interp(rows, rows[known], (worn.ends - bones)[side, known])
        if np.isnan(length):
            ends[side] = np.where(rows <= rows[last], bones[side] + offsets, np.nan)
            continue
        near = rows > rows[last] - INSEAM * worn.frame.scale
        open_below = bool((worn.gap[0] < worn.gap[1])[near & (rows <= rows[last])].all())
        told = known & (rows > rows[last] - FLARE_ROWS * worn.frame.scale)
        slope = sign * np.polyfit(rows[told], offsets[told], 1)[0] if told.sum() > 2 else 0.0
        slope = float(np.clip(slope, *(LEG_FLARES if open_below else FLARES)))
        beyond = np.maximum(rows - rows[last], 0)
        ends[side] = bones[side] + offsets + sign * slope * beyond
        going_on = bones[side] + (worn.gap - bones)[side, last] if open_below else NO_GAP[side]
        gap[side] = np.where(beyond > 0, going_on, gap[side])
    return replace(worn, ends=ends, gap=np.where(gap[0] < gap[1], gap, NO_GAP))


def last_of_side(worn: WornLegs, side: int, length: float) -> int:
    """Return the last row of a side before the hem of its leg begins to end rows."""
    known = np.isfinite(worn.ends[side])
    if np.isnan(length):
        return int(np.flatnonzero(known)[-1])
    walked, scale = worn.walked[side], worn.frame.scale
    above = np.flatnonzero(known & (walked <= length - SIDE_BAND[0] * scale))
    if not len(above):
        return int(np.flatnonzero(known)[0])
    away = np.abs(worn.ends[side] - worn.bones[side])
    retreat = (away[:-2] - away[2:]) / (worn.rows[2:] - worn.rows[:-2])
    near = np.flatnonzero((walked[:-2] > length - SIDE_BAND[1] * scale) & (retreat > STEEPEST_SIDE))
    return int(min(above[-1], near[0])) if len(near) else int(above[-1])
