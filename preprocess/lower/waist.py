"""Where trousers and skirts begin: the waist, with bounds, on a grid in the frame of the legs."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.canvas import INSIDE, edge_between
from preprocess.body.keypoints import Array
from preprocess.body.legs import LegFrame, seen_at
from preprocess.body.protected import LOWEST_WAIST, TOP_LABELS
from preprocess.garment.bounds import Bounds
from preprocess.garment.measurements import FRAME_MARGIN
from preprocess.garment.parse import OCCLUDERS, labels_mask

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]

GRID = 100
"""Grid lines per hip width H."""

REACH_UP, REACH_DOWN = 0.45, 0.75
"""Rows of the grid: from so far above the hips, in L, to so far down, in thighs."""

WAIST_ROWS = 0.05
"""Rows below the upper edge, in L, whose median extent is the waist."""

AXIS_BAND = 0.25
"""Columns within this of the axis, or of a leg's bone, in H, in which upper edge and hem are looked for."""

STEEPEST = 0.35
"""Slope of a waistband that hips were pushed out under; what is steeper is another edge."""

EDGE_PX, EDGE = 0.5, 0.006
"""px, and H: how far an outline is off at most; the larger counts. So much for each edge of a row."""

WAIST_SHIFT = 0.01
"""L. How far the upper edge is off at most."""

JUST_OUTSIDE = (0.03, 0.07)
"""How far beyond the waist's ends, in H, to look for what may hide them."""

HIDDEN_ROWS = 0.4
"""Share of the rows, or of the hem's columns, from which something in the way counts."""

WIDER_TOP = 1.06
"""So does one whose hem is that much wider than what is seen of the garment below it."""

UNEVEN_TOP = 0.035
"""And one below which the upper edge differs by that much, in L, from column to column."""

CLEAN_ROWS = 0.5
"""Share of the width's rows that nothing may touch, from which the others don't count."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LegView:
    """A garment and what lies around it, on a grid in the frame of the legs."""

    frame: LegFrame
    a: Array
    """(R,) px."""
    b: Array
    """(C,) px."""
    step: float
    """px between grid lines."""
    slope: float
    """How far rows sink towards the person's left, over the columns they cross: a waistband isn't level."""
    cover: NDArray[np.uint8]
    """(R, C) 0 to 255."""
    front: Mask
    """(R, C) hands, hair, bags."""
    tops: Mask
    """(R, C) what is worn above."""
    mapped: bool
    """Whether a parse map tells these two; else nothing is there."""

    def to_image(self, a: Array, b: Array) -> Array:
        """Map coordinates of this grid, of one shape, to (..., 2) px of the picture."""
        return self.frame.to_image(a + self.slope * b, b)

    @property
    def slack(self) -> float:
        """Px by which an outline is off at most."""
        return max(EDGE_PX, EDGE * self.frame.hip_width)

    def rows_between(self, first: float, last: float) -> NDArray[np.int64]:
        """Rows with `a` px in [first, last]."""
        return np.flatnonzero((self.a >= first) & (self.a <= last))


def view_of(garment: Mask, parse: Labels | None, frame: LegFrame, slope: float = 0.0) -> LegView:
    """Resample the garment and its surroundings, where a parse map tells them."""
    labels = np.zeros(garment.shape, np.uint8) if parse is None else parse
    step = frame.hip_width / GRID
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(garment).view(np.uint8))
    corners = np.array([[x, y], [x + width, y], [x, y + height], [x + width, y + height]], np.float64)
    reach = np.abs(frame.to_body(corners)[:, 1]).max() + 0.3 * frame.hip_width
    reach = min(reach, 4 * frame.hip_width + frame.thigh)
    a = np.arange(-REACH_UP * frame.scale, REACH_DOWN * frame.thigh, step)
    b = np.arange(-np.ceil(reach / step), np.ceil(reach / step) + 1) * step
    columns = np.broadcast_to(b, (len(a), len(b)))
    xy = frame.to_image(a[:, None] + slope * columns, columns)
    cover, front, tops = (
        seen_at(mask, xy)
        for mask in (garment, labels_mask(labels, OCCLUDERS), labels_mask(labels, TOP_LABELS))
    )
    return LegView(
        frame=frame,
        a=a,
        b=b,
        step=step,
        slope=slope,
        cover=cover,
        front=front > INSIDE,
        tops=tops > INSIDE,
        mapped=parse is not None,
    )


def ends_of(view: LegView, rows: NDArray[np.int64]) -> Array:
    """(R, 2) `b` px of the outermost ends of the cover in some rows; NaN where there is none."""
    lines = np.pad(view.cover[rows], ((0, 0), (1, 1)))
    inside: Mask = np.asarray(lines > INSIDE)
    here = np.arange(len(rows))
    first, last = inside.argmax(axis=1), lines.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)
    before, after = np.maximum(first - 1, 0), np.minimum(last + 1, lines.shape[1] - 1)
    low = view.b[0] + view.step * (first - 1 - edge_between(lines[here, first], lines[here, before]))
    high = view.b[0] + view.step * (last - 1 + edge_between(lines[here, last], lines[here, after]))
    there = np.asarray(inside.any(axis=1))
    return np.where(there[:, None], np.column_stack([low, high]), np.nan)


def slope_of_waistband(view: LegView) -> float:
    """How far the upper edge sinks towards the left, over the columns that it crosses."""
    edge = upper_edge(view, AXIS_BAND * view.frame.hip_width)
    if len(edge) < AXIS_BAND * GRID:
        return 0.0
    slope = float(np.polyfit(np.arange(len(edge)) * view.step, edge, 1)[0])
    return float(np.clip(slope, -STEEPEST, STEEPEST))


def waist_bounds(view: LegView) -> tuple[Bounds, list[str], tuple[Array, ...]]:
    """Measure just below the upper edge; name what hides it, and give the line along it."""
    edge = upper_edge(view, AXIS_BAND * view.frame.hip_width)
    if len(edge) < AXIS_BAND * GRID:
        return Bounds.unknown(), [], ()
    top, scale = float(np.median(edge)), view.frame.scale
    low, high = _median_ends(view, top)
    if not np.isfinite(high - low):
        return Bounds.unknown(), [], ()
    shifted = [_median_ends(view, top + shift * scale) for shift in (-WAIST_SHIFT, WAIST_SHIFT)]
    bounds = Bounds.spanning(high - low, [right - left for left, right in shifted])
    hidden = _hidden_beside(view, top, (low, high))
    bounds = bounds.widened(2 * view.slack, 2 * view.slack + hidden)
    flags = ["waist_covered"] if _covered(view, top, (low, high)) else []
    flags += ["waist_hidden"] if hidden > 0 else []
    corners = view.to_image(np.full(2, top), np.array([low, high]))
    flags += ["waist_out_of_frame"] if corners[:, 1].min() < FRAME_MARGIN else []
    line = view.to_image(np.full(2, top + WAIST_ROWS / 2 * scale), np.array([low, high]))
    return bounds, flags, (line,)


def upper_edge(view: LegView, reach: float) -> Array:
    """(N,) `a` px at which the garment begins in the columns within `reach` px of the axis."""
    inside = view.cover[:, np.abs(view.b) <= reach]
    there: Mask = np.asarray(inside > INSIDE)
    first = there.argmax(axis=0)
    hit: Mask = np.asarray(there.any(axis=0) & (first > 0))
    columns = np.flatnonzero(hit)
    first = first[hit]
    edge: Array = view.a[first] - view.step * edge_between(inside[first, columns], inside[first - 1, columns])
    return edge


def _median_ends(view: LegView, top: float) -> tuple[float, float]:
    """`b` px of the ends of the garment in the waist's rows below row `top` px."""
    rows = view.rows_between(top, top + WAIST_ROWS * view.frame.scale)
    ends = ends_of(view, rows)
    found = np.isfinite(ends).all(axis=1)
    if not found.any() or found.mean() < CLEAN_ROWS:
        return float("nan"), float("nan")
    low, high = ends[found].T
    middle, extent = float(np.median(high + low)) / 2, float(np.median(high - low))
    return middle - extent / 2, middle + extent / 2


def _hidden_beside(view: LegView, top: float, ends: tuple[float, float]) -> float:
    """Px of what lies against the ends of the waist and may hide more of it: a hand, a bag."""
    rows = view.rows_between(top, top + WAIST_ROWS * view.frame.scale)
    hidden = 0.0
    for sign, end in zip((-1, 1), ends, strict=True):
        outward = np.flatnonzero(sign * (view.b - end) > 0)[::sign]
        front = view.front[np.ix_(rows, outward)]
        start = round(JUST_OUTSIDE[0] * GRID)
        if front[:, :start].any(axis=1).mean() >= HIDDEN_ROWS:
            going_on = front[:, start:].cumprod(axis=1).sum(axis=1)
            hidden += float(np.median(going_on) + start) * view.step
    return hidden


def _covered(view: LegView, top: float, ends: tuple[float, float]) -> bool:
    """Whether a top hangs over the waistband, so that the upper edge that is seen is that top's hem.

    Where no parse map tells the tops, whether one may.
    """
    scale, extent = view.frame.scale, ends[1] - ends[0]
    edge = upper_edge(view, 0.35 * extent)
    uneven = len(edge) > 0 and float(np.ptp(np.quantile(edge, [0.1, 0.9]))) > UNEVEN_TOP * scale
    low = top > -LOWEST_WAIST * scale
    if not view.mapped:
        return low or uneven
    above = view.rows_between(top - 0.03 * scale, top - 0.01 * scale)
    near = np.abs(view.b) <= AXIS_BAND * view.frame.hip_width
    if len(above) == 0 or view.tops[np.ix_(above, near)].mean() < HIDDEN_ROWS:
        return _flanked(view, top, ends)
    hem = view.step * np.median(_run_at_axis(view, view.tops[above]))
    wider = bool(hem > WIDER_TOP * extent)
    return low or wider or uneven or _flanked(view, top, ends)


def _run_at_axis(view: LegView, inside: Mask) -> NDArray[np.int64]:
    """(R,) columns of the run at the axis in (R, C) rows: sleeves beside a top are none of its hem."""
    axis = int(np.abs(view.b).argmin())
    left, right = inside[:, axis::-1].cumprod(axis=1), inside[:, axis + 1 :].cumprod(axis=1)
    return np.asarray(left.sum(axis=1) + right.sum(axis=1) * left[:, 0])


def _flanked(view: LegView, top: float, ends: tuple[float, float]) -> bool:
    """Whether a top lies against either end of the waist: an open jacket."""
    rows = view.rows_between(top, top + WAIST_ROWS * view.frame.scale)
    for sign, end in zip((-1, 1), ends, strict=True):
        away = sign * (view.b - end) / view.frame.hip_width
        beside = (away >= JUST_OUTSIDE[0]) & (away <= JUST_OUTSIDE[1])
        if view.tops[np.ix_(rows, beside)].mean() >= HIDDEN_ROWS:
            return True
    return False
