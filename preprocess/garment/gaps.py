"""What a parse map takes for the panel between it and an arm: a gap through which the wall shows, a shade.

A gap begins where the colour goes over sharply into the wall's, and reaches as far as the map has the panel.
Where cloth and wall are alike nothing shows whether there is one. A shade begins where the colour leaves that
of the panel, further in than the arm does.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import median_filter

from preprocess.body.canvas import Mask
from preprocess.body.keypoints import Array
from preprocess.garment.arm_rows import INNERMOST, SideView
from preprocess.garment.edges import PANEL_STRIP, Scores
from preprocess.garment.panel import THIN

EVENED = 9
"""Rows over which what is found in each of them is evened out."""

FREE = 0.02
"""How far, in B, the wall is from what lies in front of it where its colour is looked at."""

SPARSE = 7
"""Every so many of its points are looked at, and of the cloth's columns."""

EVEN = 8.0
"""Lab units that a wall varies by at most."""

CONTRAST, LEAST_LIKE = 12.0, 0.1
"""Lab units that cloth differs from the wall by at least, to tell them apart, and the share of it of which
that is asked: what differs the least."""

LIKE_WALL = 0.4
"""The wall shows where the colour is no further from its own, as a share of how far that of the cloth is."""

WALL_IN_CLOTH = 0.05
"""Cloth of which more than this share looks like the wall has prints or stripes in its colour."""

WITHIN = 0.03
"""How far inside of where a gap begins, in B, the colour is the cloth's: a side that the light brightens goes
over into the wall's colour slowly. Two pixels of the photo where that is more."""

DEEPEST = 0.4
"""How far inside of the parse map's outline, in B, a gap that it has filled begins at most."""

REACHES = 0.6
"""Share of the columns from there to the outline that show the wall: what it shows through isn't a print."""

ALIKE = 3.0
"""Lab units: an even colour that is no further from the wall's can't be told from it."""

ARM_BESIDE = (0.02, 0.1)
"""How far beyond the panel's end, in B, an arm or a sleeve is beside it: there may be a gap between."""

STEEPEST = 1.0
"""A side moves no further than this along a row from one row to the next, for each px between the two."""

SHADE_DEPTH, SHADE_PANEL = 0.05, 0.05
"""How far inside of an arm, in B, its shade begins at most, and how much of the panel is looked at inside."""

ARM_STRIP = 0.04
"""How much of the arm is looked at, in B."""

LEAVES, LEAVES_AT_MOST = 0.35, 12.0
"""The panel ends where the colour has gone this share of the way to that of the arm, or of its shade, or so
many Lab units: arms have dark red shades beside dark cloth."""

FAINT_ARM = 12.0
"""Lab units: where arm and panel differ by less there is nothing to go by."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SideColours:
    """The photo's colours on one side, by the columns of its view."""

    lines: Scores
    """(R, K, 3) CIE Lab."""

    wall: Scores
    """(3,) Lab of what stands behind the person; NaN where that isn't even."""

    pixel: float
    """Columns per pixel of the photo; edges are that soft."""

    @property
    def unlike_wall(self) -> Scores:
        """(R, K) Lab units from the wall's colour."""
        return distances(self.lines, self.wall)


def side_colours(view: SideView, lines: Scores, front: Mask, pixel: float) -> SideColours:
    """Take the colours of one side; the wall's are looked for on the other too where it isn't even on this.

    Args:
        view: Of the side.
        lines: (R, C, 3) Lab, by the columns of the canvas.
        front: (R, C) where anything is in front of the wall.
        pixel: Columns per pixel of the photo.
    """
    apart = 2 * max(1, round(FREE * view.unit)) + 1
    free = cv2.dilate(front.view(np.uint8), np.ones((1, apart), np.uint8)) == 0
    here = lines[:, view.columns]
    wall = wall_colour(here, free[:, view.columns])
    return SideColours(
        lines=here, wall=wall if np.isfinite(wall).all() else wall_colour(lines, free), pixel=pixel
    )


def wall_colour(lines: Scores, free: Mask) -> Scores:
    """(3,) Lab of what stands behind a person; NaN where it isn't even.

    Args:
        lines: (R, C, 3) Lab.
        free: (R, C) where nothing is in front of it.
    """
    beside = lines[free][::SPARSE]
    wall = np.median(beside, axis=0) if len(beside) else np.zeros(3)
    even = len(beside) and np.median(np.abs(beside - wall).sum(axis=1)) <= EVEN
    return np.asarray(wall if even else np.full(3, np.nan), np.float32)


def distances(lines: Scores, colours: Scores) -> Scores:
    """(R, K) Lab units between (R, K, 3) lines and colours that broadcast with them."""
    step = lines - colours
    return np.asarray(np.sqrt(np.einsum("rkc,rkc->rk", step, step)))


def before_gaps(view: SideView, colours: SideColours, at: Array) -> tuple[Array, Mask]:
    """Look for gaps that the parse map has filled, or that show where it ends.

    Args:
        view: Of the side.
        colours: Of the photo.
        at: (R,) `|b|` px of the panel's end.

    Returns:
        (R,) `|b|` px where one begins, `at` where none does, and (R,) whether one does.
    """
    shown = gap_begins(colours.unlike_wall, view.column(at), view.worn, view.unit, colours.pixel)
    if not shown.any():
        return at, np.zeros(len(at), bool)
    found = shown.any(axis=1)
    inner = np.where(found, view.b[shown.argmax(axis=1)] - view.step / 2, at)
    moved = at - median_filter(at - inner, EVENED, mode="nearest")
    found &= view.shows_beyond(moved, THIN, np.inf)
    return moved, median_filter(found.view(np.uint8), EVENED, mode="nearest").astype(bool)


def gap_begins(away: Scores, end: Array, worn: Mask, unit: float, pixel: float) -> Mask:
    """(R, K) whether a gap begins at a column: nowhere if the cloth, or prints, have the wall's colour.

    Args:
        away: (R, K) Lab units from the wall's colour, by columns that lead outward from the body axis.
        end: (R,) column where the panel ends by what else is known.
        worn: (R,) rows in which there is cloth.
        unit: Columns per B.
        pixel: Columns per pixel of the photo; edges are that soft.
    """
    cloth = away[worn, : round(PANEL_STRIP[1] * unit)]
    usual = np.quantile(cloth[:, ::SPARSE], LEAST_LIKE) if cloth.size else 0.0
    most = np.float32(LIKE_WALL * max(usual, CONTRAST))
    if not (cloth.size and (cloth < most).mean() <= WALL_IN_CLOTH):
        return np.zeros(away.shape, bool)
    inner = np.zeros_like(away)
    reach = max(1, round(max(WITHIN * unit, 2 * pixel)))
    inner[:, reach:] = away[:, :-reach]
    like = away < np.minimum(LIKE_WALL * inner, most)
    begins = like & (inner >= CONTRAST)
    begins[:, 1:] &= ~like[:, :-1]
    depth = np.nan_to_num(end, nan=-np.inf)[:, None] - np.arange(away.shape[1])
    between = depth > 2 * pixel
    to_end = np.cumsum((between & (away < most))[:, ::-1], axis=1)[:, ::-1]
    reaches = to_end >= REACHES * (depth - 2 * pixel)
    return np.asarray(begins & reaches & (depth > -WITHIN * unit) & (depth < DEEPEST * unit))


def least_by_gaps(view: SideView, colours: SideColours, at: Array) -> Array:
    """(R,) `|b|` px of the least that the panel's end can be, by gaps that can't be told from the cloth.

    One begins no further in than the colour is the wall's, nor than the side can slant to from rows above and
    below of which that isn't so; arguments as `before_gaps`.
    """
    start = wall_like_from(colours, view.column(at), view.unit)
    first = np.fmax(view.b[0] + view.step * start, INNERMOST * view.side.hull(view.a))
    beside = view.shows_beyond(at, *ARM_BESIDE)
    least = np.where(beside, np.fmin(first, at), at)
    doubtful = least < at
    slanted = -nearest_to(view.a, np.where(doubtful, np.nan, -at), STEEPEST)
    return np.where(doubtful, np.fmin(np.fmax(least, slanted), at), at)


def wall_like_from(colours: SideColours, end: Array, unit: float) -> Array:
    """(R,) first column of the run in the wall's colour that reaches to the panel's end, or that end.

    Args:
        colours: Of the photo.
        end: (R,) column.
        unit: Columns per B.
    """
    here, skipped = np.arange(colours.lines.shape[1]), 2 * colours.pixel
    cloth = distances(cv2.blur(colours.lines, (3, EVENED)), colours.wall) > ALIKE
    cloth &= here <= end[:, None] - skipped
    last = len(here) - 1 - cloth[:, ::-1].argmax(axis=1)
    depth = end - np.where(cloth.any(axis=1), last + 1, 0)
    seen = depth > 2 * max(WITHIN * unit, skipped)
    told = np.isfinite(colours.wall).all()
    return np.asarray(end - median_filter(np.where(seen & told, depth, 0), EVENED, mode="nearest"))


def nearest_to(a: Array, ends: Array, slant: float) -> Array:
    """(R,) the least that a side can be by its known ends in other rows, if it slants no more than `slant`.

    Args:
        a: (R,) px of rising rows.
        ends: (R,) px; NaN where it isn't known.
        slant: Px per px.
    """
    ends = np.where(np.isnan(ends), np.inf, ends)
    down = slant * a + np.minimum.accumulate(ends - slant * a)
    up = np.minimum.accumulate((ends + slant * a)[::-1])[::-1] - slant * a
    return np.minimum(down, up)


def before_shade(view: SideView, colours: SideColours, at: Array) -> Array:
    """(R,) `|b|` px of the panel's end, moved inward from an arm's edge to where its shade begins."""
    offsets = median_filter(shade_offsets(colours.lines, view.column(at), view.unit), EVENED, mode="nearest")
    return np.asarray(at + view.step * offsets)


def shade_offsets(lines: Scores, end: Array, unit: float) -> Array:
    """(R,) columns, at most 0, from an arm's edge inward to where the colour leaves the panel's.

    Args:
        lines: (R, K, 3) Lab, by columns that lead outward from the body axis.
        end: (R,) column of the edge; NaN: nowhere.
        unit: Columns per B. Of few no shade is seen.
    """
    depth, strip = round(SHADE_DEPTH * unit), round(SHADE_PANEL * unit)
    if strip == 0:
        return np.zeros(len(end))
    offsets = np.arange(-depth - strip, round(ARM_STRIP * unit) + 1)
    columns = np.rint(np.nan_to_num(end)).astype(int)[:, None] + offsets
    columns = np.clip(columns, 0, lines.shape[1] - 1)
    aligned = cv2.blur(lines[np.arange(len(end))[:, None], columns], (1, EVENED))
    panel = offsets < -depth
    away = distances(aligned, aligned[:, panel].mean(axis=1, keepdims=True))
    most = away[:, ~panel].max(axis=1)
    leaves = np.fmin(LEAVES * most, LEAVES_AT_MOST)
    still = (away < leaves[:, None]) & (offsets < 0) | panel
    first = offsets[np.where(still, np.arange(len(offsets)), 0).max(axis=1) + 1]
    even = away[:, panel].max(axis=1) < leaves / 2
    return np.where((most >= FAINT_ARM) & even & np.isfinite(end), first, 0).astype(np.float64)
