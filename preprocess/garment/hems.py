"""Whether a hem is where the photo has an edge, or where its parse map guessed between two like cloths.

Where a top and the trousers or skirt below it look alike, or one can be seen through, the map's outline may
lie in the middle of either. Other rows may be the hem as well where the photo has a clearly stronger edge and
its colours don't say that what lies between belongs where the map has it.
"""

from dataclasses import dataclass, replace

import numpy as np

from preprocess.body.canvas import BodyCanvas, Rows
from preprocess.body.keypoints import Array
from preprocess.garment.edges import FAINTEST, Scores, strongest_path
from preprocess.garment.hem_view import (
    COARSER,
    UNEVEN,
    HemView,
    leaning_of,
    means_of,
    spread_of,
    steps_of,
    strength_of,
    view_of,
)
from preprocess.garment.scene import Scene

REACH = (-0.36, 0.3)
"""How far above the hem, in T, and how far below it others are looked for."""

SHIFT = 0.01
"""T between those that are tried."""

SAME_HEM = 0.05
"""Edges nearer to the hem, in T, are its own: a seam, a shadow."""

STRONGER = 1.2
"""How much stronger than at the hem an edge is that may be the hem instead."""

SHADE, BLOCKS = 0.04, 1.2
"""Share of its lightness by which a cloth varies, in folds and shades, and Lab units by which blocks of JPEGs
do in black: weaker edges tell of no hem."""

SIDE = 0.1
"""T above and below a hem whose colours are compared with what lies between it and another."""

ABOVE_BOTTOMS = 0.4
"""Share of trousers or skirt just below a hem that may be mistaken for it."""

SURE_COLOURS = 1.0
"""By how much more the colours between are those of the other side where such an edge is the hem for sure."""

MOST = 0.9
"""Share of its columns that end above where a moved hem is: the others may be a sleeve's."""

NEAR_IT = 0.07
"""How far off its line, in T, a moved hem is followed from column to column."""

CLEAR_COLOURS = 1.5
"""How much less the colours lean to the garment below a hem than above it where nothing hidden can matter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenHem:
    """What the photo tells of a hem; lengths in T."""

    moved: float | None = None
    """How far down it is, below mid-shoulder, where the parse map surely errs."""

    higher: float = 0.0
    """How much higher than there it may be."""

    lower: float = 0.0
    """How much lower."""

    clear: bool = False
    """Whether edge and colours show it wherever nothing lies in front."""


def seen_hem(canvas: BodyCanvas, columns: Rows, ends: Array, scene: Scene) -> SeenHem:
    """Look for a hem in the photo.

    Args:
        canvas: The garment.
        columns: (C,) consecutive ones, in which its hem lies by the parse map.
        ends: (C,) `a` px at which each of them ends; NaN where it has no end, but not everywhere.
        scene: With photo and bottoms; without one of them nothing is told.
    """
    if scene.photo is None or scene.bottoms is None:
        return SeenHem()
    lowest, main = (line[::COARSER] for line in hem_lines(ends / canvas.frame.torso_length))
    view = view_of(
        canvas, columns[::COARSER], float(lowest.max()), scene.photo, scene.bottoms, scene.occluders
    )
    if not view.between(view.bottoms, lowest, lowest + SIDE) > ABOVE_BOTTOMS:
        return SeenHem()
    steps, leaning = steps_of(view), leaning_of(view, view.a[:, None] - lowest)
    spread = spread_of(view, steps)
    main_is_hem = _is_hem(view, spread, leaning, main, lowest)
    line = main if main_is_hem else lowest
    found, sure = _others(view, spread, leaning, line)
    if sure != 0:
        line = _followed(view, steps, line + sure)
        found, _ = _others(view, spread, leaning, line)
    if main_is_hem is None:
        higher = float(np.quantile(lowest, MOST) - np.quantile(main, MOST))
        found = replace(found, higher=max(found.higher, higher), clear=False)
    return found if line is lowest else replace(found, moved=float(np.quantile(line, MOST)))


def _is_hem(view: HemView, steps: Scores, leaning: Scores, main: Array, lowest: Array) -> bool | None:
    """Whether the line of most columns is the hem, and that of the lowest a sleeve's or a stray piece's.

    None where edges say the one and colours the other.
    """
    own, other = (strength_of(view.at(steps, line[None]))[0] for line in (lowest, main))
    between, above, below = (
        view.between(leaning, *ends)
        for ends in ((main, lowest), (main - SIDE, main), (lowest, lowest + SIDE))
    )
    leans = between < (above + below) / 2
    return leans if leans == (other > STRONGER * own) or np.isnan(between) else None


def _others(view: HemView, steps: Scores, leaning: Scores, line: Array) -> tuple[SeenHem, float]:
    """Try other rows than a (C,) `line` for the hem.

    Returns:
        How far off it may be, and how far off, in T, it surely is.
    """
    first, last = REACH[0] - SIDE, REACH[1] + SIDE
    shifts = np.linspace(first, last, round((last - first) / SHIFT) + 1)
    rows = shifts[:, None] + line
    strength = strength_of(view.at(steps, rows))
    away = np.abs(shifts)
    near = away < SAME_HEM - UNEVEN + SHIFT / 2
    told = strength[near].max()
    own = max(told, BLOCKS, SHADE * _lightness(view, rows[near]))
    colours = _Colours(shifts, means_of(view.at(leaning, rows)))
    beyond = colours.like_beyond()
    other = (strength >= STRONGER * own) & (beyond >= 0) & (away > SAME_HEM - SHIFT / 2)
    other &= (shifts >= REACH[0]) & (shifts <= REACH[1])
    sure = other & (beyond >= SURE_COLOURS)
    reach = shifts[other] if told >= own else np.array(REACH)
    found = SeenHem(
        higher=-float(reach.min(initial=0)),
        lower=float(reach.max(initial=0)),
        clear=told >= own and colours.drop() >= CLEAR_COLOURS,
    )
    return found, float(shifts[np.where(sure, strength, -1).argmax()]) if sure.any() else 0.0


def _lightness(view: HemView, rows: Array) -> float:
    """Lightness, 0 to 100, of the cloth at (N, C) rows; 0 where nothing is seen."""
    light = view.at(view.lines[..., 0], rows)
    return float(np.median(light[np.isfinite(light)])) if np.isfinite(light).any() else 0.0


def _followed(view: HemView, steps: Scores, line: Array) -> Array:
    """(C,) T, the strongest smooth path through the edges near a (C,) line."""
    offsets = np.arange(-NEAR_IT, NEAR_IT, 1 / view.rows_per_torso)
    near = np.nan_to_num(view.at(steps, offsets[:, None] + line))
    scores = np.log(np.maximum(near, FAINTEST) / FAINTEST).astype(np.float32)
    return line + offsets[strongest_path(scores.T).best]


@dataclass(frozen=True, slots=True, eq=False)
class _Colours:
    """How far the colours of lines parallel to a hem lean to the garment."""

    shifts: Array
    """(N,) T below the hem."""

    lean: Array
    """(N,) mean of `leaning_of`; NaN where nothing is seen."""

    def between(self, first: Array | float, last: Array | float) -> Array:
        """(N,) mean lean from `first` to `last`, but for what is next to either."""
        low, high = (np.reshape(end, (-1, 1)) for end in (first, last))
        told = np.isfinite(self.lean)
        inside = (self.shifts >= low + UNEVEN) & (self.shifts <= high - UNEVEN) & told
        return np.asarray(inside @ np.where(told, self.lean, 0) / np.maximum(inside.sum(axis=1), 1))

    def like_beyond(self) -> Array:
        """(N,) how much nearer what lies between hem and line is to what is beyond the hem, not the line."""
        zero, shifts = np.zeros(len(self.shifts)), self.shifts
        strip = self.between(np.minimum(shifts, zero), np.maximum(shifts, zero))
        higher = self.between(shifts - SIDE, shifts) + self.between(zero, zero + SIDE) - 2 * strip
        lower = 2 * strip - self.between(zero - SIDE, zero) - self.between(shifts, shifts + SIDE)
        return np.where(shifts < 0, higher, lower) / 2

    def drop(self) -> float:
        """How much less the colours lean to the garment just below the hem than just above it."""
        return float((self.between(-SIDE, 0.0) - self.between(0.0, SIDE))[0])


def hem_lines(ends: Array) -> tuple[Array, Array]:
    """Two lines that hems may have: (C,) ends of the lowest column and those beside it, and of most columns.

    Columns that end elsewhere, at a hole, a gap or a sleeve, take the nearest one's.

    Args:
        ends: (C,) T; NaN where a column has no end.
    """
    together = np.abs(np.diff(ends)) <= UNEVEN
    piece = np.cumsum(np.concatenate([[False], ~together]))
    pieces = piece[np.nanargmax(ends)], np.bincount(piece[np.isfinite(ends)]).argmax()
    lowest, main = (np.flatnonzero((piece == one) & np.isfinite(ends)) for one in pieces)
    here = np.arange(len(ends))
    return np.interp(here, lowest, ends[lowest]), np.interp(here, main, ends[main])
