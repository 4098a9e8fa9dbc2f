"""Where a worn garment ends at the shoulders and at the hem, with bounds."""

from dataclasses import dataclass

import numpy as np

from preprocess.body.canvas import INSIDE, BodyCanvas, Mask, Rows, axis_runs, column_ends, extents
from preprocess.body.keypoints import Array
from preprocess.garment.bounds import Bounds
from preprocess.garment.hems import seen_hem
from preprocess.garment.scene import Scene

SHOULDER_ROWS = (0.0, 0.05)
"""Rows, in T, whose extent is the garment's shoulder width."""

JOINT_SLACK = 0.01
"""How far the rows of the shoulders may be off, in T: the joints are."""

AXIS_BAND = 0.25
"""Columns within this of the body axis, in B, in which the hem is looked for."""

HEM_PERCENTILE = 99

LONGEST_GAP = 0.06
"""Rows, in T, that the garment may leave out and still go on below: what is further down is a stray piece."""

BELOW_HEM = 0.02
"""How far below the hem, in T, something that hides it lies."""

HIDDEN_ROWS = 0.5
"""How far below the garment, in T, something that hides its hem may reach."""

HIDDEN_COLUMNS = 0.4
"""Share of the hem's columns below which something lies that make it hidden."""

BARE_COLUMNS = 0.5
"""Share of the columns that must end without something in front, so that the others don't tell of the hem."""

HEM_SLACK = 0.015
"""T. How far the hem is off at most where nothing is in the way.

Nine of ten hems lie within 0.0145 T by eleven marked ones (Student's prediction interval, 0.0077 T root mean
square); each left out of that in turn, ten of eleven do. `python -m tests.benchmarks.measure_marks`.
"""

LOPSIDED = 0.4
"""Ends so unevenly far out, in B, are of one shoulder: the garment, or its parse map, lacks the other."""

CAP = 0.08
"""Rows, in T, below those of the shoulders that reach at least as far out."""

UNEVEN = 0.1
"""How much further out, in B, one shoulder of a garment may end than the other."""

SLOPE_ROWS, SLOPE_SLACK = 0.05, 0.035
"""Rows, in T, just below those of the shoulders by whose ends both slope alike, and how far off, in shares of
an extent, an end is that this tells: on 230 photographs whose ends show nine of ten are within 0.045, and
`SLACK_PX` is 0.01 of it."""

CLEAR, CLEAR_ROWS = 0.02, 0.5
"""What goes on no further than this beyond the garment, in B, doesn't hide its end, and the share of the rows
below in which that must be so."""

SLACK_PX, SLACK = 0.75, 0.003
"""px, and B: how far an outline of the parse map is off at most; the larger of the two counts."""


def shoulder_bounds(canvas: BodyCanvas, overlays: Mask | None) -> tuple[Bounds, tuple[float, float]]:
    """Measure the garment along the shoulders.

    Args:
        canvas: The garment.
        overlays: (h, w) bool, hair and the like, which may hide an end of it.

    Returns:
        px between the ends, and `b` px of the two ends. The bounds take in the rows a little above and below,
        and what hides an end.
    """
    torso, slack = canvas.frame.torso_length, max(SLACK_PX, SLACK * canvas.frame.shoulder_width)
    first, last = (share * torso for share in SHOULDER_ROWS)
    low, high = _median_ends(canvas, first, last)
    shifts = (-JOINT_SLACK * torso, JOINT_SLACK * torso)
    readings = [_median_ends(canvas, first + shift, last + shift) for shift in shifts]
    extents_px = [right - left for left, right in readings]
    if abs(high + low) > LOPSIDED * canvas.frame.shoulder_width:
        extents_px.append(2 * max(high, -low))  # as far out on the side that lacks a piece
    bounds = Bounds.spanning(high - low, extents_px)
    if overlays is None or np.isnan(bounds.value):
        return bounds.widened(slack), (low, high)
    hidden = _hidden_beyond(canvas, first, last, overlays)
    sloped = _sloped(canvas, last, overlays, hidden)
    if np.isfinite(sloped).any():
        low, high = np.where(np.isfinite(sloped), sloped * (-1, 1), (low, high))
        span = float(high - low)
        bounds = Bounds(value=span, low=span, high=span)
        return bounds.widened(slack + SLOPE_SLACK * span), (float(low), float(high))
    return bounds.widened(slack, slack + float(hidden.beyond.sum())), (low, high)


def _median_ends(canvas: BodyCanvas, first: float, last: float) -> tuple[float, float]:
    """`b` px of the ends of the garment in rows [first, last] px: of the row whose extent is the median."""
    rows = canvas.rows_between(first, last)
    ends = extents(canvas, rows)
    found = np.isfinite(ends.low)
    if found.sum() < max(1, int((last - first) / canvas.step)) / 2:
        return float("nan"), float("nan")
    extent = float(np.median((ends.high - ends.low)[found]))
    middle = float(np.median((ends.high + ends.low)[found])) / 2
    return middle - extent / 2, middle + extent / 2


@dataclass(frozen=True, slots=True, eq=False)
class _Hidden:
    """What overlays hide of the shoulders, right and left, `|b|` px."""

    ends: Array
    """(2,) ends of the garment that show."""

    far: Array
    """(2,) ends of what goes on beyond them."""

    beyond: Array
    """(2,) by how much more the garment may go on."""


def _hidden_beyond(canvas: BodyCanvas, first: float, last: float, overlays: Mask) -> _Hidden:
    """Find by how much overlays in rows [first, last] px hide more of the garment.

    They go on that far beyond its ends; but no further than it reaches just below, as shoulders slope, or on
    the other side.
    """
    own, whole = _outlines(canvas, first, last, overlays)
    below = extents(canvas, canvas.rows_between(last, last + CAP * canvas.frame.torso_length))
    ends, far = (np.array([_median(side) for side in found.T]) for found in (own, whole))
    lower = np.array([np.nanmax(-below.low, initial=0), np.nanmax(below.high, initial=0)])
    most = np.fmax(lower, ends[::-1] + UNEVEN * canvas.frame.shoulder_width)
    return _Hidden(ends, far, np.fmax(np.fmin(far, most) - ends, 0))


def _sloped(canvas: BodyCanvas, last: float, overlays: Mask, hidden: _Hidden) -> Array:
    """(2,) `|b|` px of an end that is hidden while the other isn't, by where the garment shows again below.

    Both shoulders slope alike from the rows that end at `last` px to those below; NaN where nothing tells.
    """
    clear_by = CLEAR * canvas.frame.shoulder_width
    own, whole = _outlines(canvas, last, last + SLOPE_ROWS * canvas.frame.torso_length, overlays)
    clear = whole - own < clear_by
    caps = np.nanmax(np.where(clear, own, np.nan), axis=0, initial=0)
    sloped = caps - (caps - hidden.ends)[::-1]
    covered = hidden.beyond > clear_by
    told = covered & ~covered[::-1] & (clear.mean(axis=0) > CLEAR_ROWS)
    told &= (sloped > hidden.ends) & (sloped < hidden.far + clear_by)
    return np.where(told, np.fmin(sloped, hidden.far), np.nan)


def _outlines(canvas: BodyCanvas, first: float, last: float, overlays: Mask) -> tuple[Array, Array]:
    """(R, 2) `|b|` px of the garment's ends, right and left, in rows [first, last] px, and with overlays."""
    rows = canvas.rows_between(first, last)
    own = extents(canvas, rows)
    b = canvas.b_of(np.arange(canvas.cover.shape[1]))
    between = (b >= own.low[:, None]) & (b <= own.high[:, None])
    lines = np.where(between, np.uint8(255), canvas.resampled(overlays, rows))
    lines[:, [0, -1]] = 0
    whole = axis_runs(canvas, lines)
    own_ends, ends = (np.column_stack([-runs.low, runs.high]) for runs in (own, whole))
    return own_ends, ends


def _median(values: Array) -> float:
    """Median of the finite values; NaN without any."""
    found = values[np.isfinite(values)]
    return float(np.median(found)) if len(found) else float("nan")


def hem_bounds(canvas: BodyCanvas, scene: Scene) -> tuple[Bounds, bool]:
    """Measure how far down the garment goes near the body axis.

    Args:
        canvas: The garment.
        scene: Hands and what else may lie in front of it, the photo and what is worn below.

    Returns:
        px from mid-shoulder to the hem, and whether stray pieces further down were left out.
    """
    torso, shoulders = canvas.frame.torso_length, canvas.frame.shoulder_width
    rows = canvas.rows_between(0, 4 * torso)
    columns = canvas.columns_between(-AXIS_BAND * shoulders, AXIS_BAND * shoulders)
    if len(rows) == 0 or len(columns) == 0:
        return Bounds.unknown(), False
    down = np.arange(rows[0], rows[-1] + 1 + round(HIDDEN_ROWS * torso / canvas.step))
    front = np.zeros((len(down), len(columns)), bool)
    if scene.occluders is not None:
        front = canvas.resampled(scene.occluders, down)[:, columns] > INSIDE
    inside = canvas.cover[np.ix_(rows, columns)] > INSIDE
    gap = max(2, round(LONGEST_GAP * torso / canvas.step))
    ends, lowest = (
        column_ends(canvas, rows, columns, part)
        for part in (before_gap(inside, front[: len(rows)], gap), inside)
    )
    if not np.isfinite(ends).any():
        return Bounds.unknown(), False
    bare = _bare_ends(canvas, down, front, ends)
    hem, low, stray = (float(np.nanpercentile(found, HEM_PERCENTILE)) for found in (bare, ends, lowest))
    slack = max(SLACK_PX, HEM_SLACK * torso)
    seen = seen_hem(canvas, columns, bare, scene)
    hidden = 0.0 if seen.clear else _hidden_below(canvas, down, front, hem)
    hem = hem if seen.moved is None else seen.moved * torso
    bounds = Bounds(value=hem, low=hem, high=hem)
    return bounds.widened(slack + seen.higher * torso, slack + max(hidden, seen.lower * torso)), stray > low


def before_gap(inside: Mask, front: Mask, gap: int) -> Mask:
    """(R, C) the part of `inside` above the first `gap` rows of a column that show neither it nor `front`."""
    started = np.maximum.accumulate(inside, axis=0)
    shown = np.cumsum(inside | front | ~started, axis=0)
    before = np.concatenate([np.zeros((gap, inside.shape[1]), shown.dtype), shown])[: len(inside)]
    broken = np.maximum.accumulate(shown == before, axis=0)
    return inside & ~broken


def _bare_ends(canvas: BodyCanvas, rows: Rows, front: Mask, ends: Array) -> Array:
    """(C,) ends of columns, NaN where something in front ends one: a sleeve's hand; all if most are so."""
    below = np.searchsorted(canvas.a_of(rows), np.nan_to_num(ends) + BELOW_HEM * canvas.frame.torso_length)
    hidden = front[np.minimum(below, len(rows) - 1), np.arange(len(ends))]
    bare = np.where(hidden, np.nan, ends)
    return bare if np.isfinite(bare).sum() > BARE_COLUMNS * np.isfinite(ends).sum() else ends


def _hidden_below(canvas: BodyCanvas, rows: Rows, front: Mask, hem: float) -> float:
    """Px by which what lies just below the hem in many columns goes on down; 0 where nothing does."""
    below = int(np.searchsorted(canvas.a_of(rows), hem + BELOW_HEM * canvas.frame.torso_length))
    if below >= len(rows):
        return 0.0
    covering = front[below:, front[below]]
    if covering.shape[1] < HIDDEN_COLUMNS * front.shape[1]:
        return 0.0
    ends = np.where(covering.all(axis=0), len(covering), (~covering).argmax(axis=0))
    return float(np.median(ends)) * canvas.step + BELOW_HEM * canvas.frame.torso_length


def hem_row(canvas: BodyCanvas) -> float:
    """Px from mid-shoulder to the hem of a garment of which nothing else is known."""
    return hem_bounds(canvas, Scene())[0].value
