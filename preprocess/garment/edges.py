"""Where the panel ends in the photo: seams, shadows, folds and gaps between it and what lies beside it.

A sleeve that touches the panel has its label, so the parse map can't tell where one ends and the other
begins, but the photo shows it. Over a few rows of the body frame every point gets a score, by how far its
edge stands out against the cloth's own pattern; the panel's side is the strongest smooth path through them,
and its bounds take in every path that is nearly as strong.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.canvas import BodyCanvas, Rows

Scores = NDArray[np.float32]
Photo = NDArray[np.uint8]

DETAIL = 0.008
"""Scale, in B, at which edges are looked for; a pixel of the photo where that is coarser."""

FINE = 0.003
"""The same where an outline is known and only its place is refined."""

ALONG = 2.5
"""Rows over which an edge is averaged."""

VALLEY = 0.03
"""Half the width, in B, of the shadow between a sleeve and the panel."""

VALLEY_WEIGHT = 2.0
"""What a shadow's depth counts against the step of an edge."""

PATTERN_HALF = 0.28
"""Within this of the body axis, in B, all edges are the cloth's own: prints, stripes, buttons."""

PATTERN_QUANTILE = 0.75
"""Quantile of these edges that an edge must stand out against."""

PATTERN_ROWS = 15
"""Rows over which the pattern's strength is averaged."""

FAINTEST = 0.6
"""Lab units. Weaker edges are noise: black on black shows seams from about 1."""

STRONGEST = 4.0
"""An edge stands out no further than this, so that a long edge beats a glaring spot."""

PANEL_STRIP = (0.1, 0.3)
"""Columns outward from the body axis, in B, that surely show the panel."""

STRIP = 0.04
"""Width, in B, of what is looked at just inside of an edge."""

PLAIN, SPREADS = 4.0, 3.0
"""Lab units that a plain cloth varies by, and how many times that far something else is at least."""

BEND = 0.5
"""What a path pays for each column that it moves between two rows."""

STEEPEST = 2
"""Columns that a path moves between two rows at most."""

NEARLY = 0.8
"""Paths this much weaker than the strongest may be the panel's side as well."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Path:
    """A path through rows, by column, with the columns of the paths that are nearly as strong."""

    best: NDArray[np.int64]
    """(R,) column of the strongest path."""

    first: NDArray[np.int64]
    """(R,) lowest column of a path nearly as strong."""

    last: NDArray[np.int64]
    """(R,) highest column of one."""


def photo_lines(canvas: BodyCanvas, photo: Photo, rows: Rows) -> Scores:
    """(R, C, 3) CIE Lab of an (h, w, 3) RGB photo in (R,) consecutive rows of a canvas."""
    lines = canvas.seen(photo, rows, cv2.BORDER_REPLICATE).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(lines, cv2.COLOR_RGB2LAB), np.float32)


def steps(lines: Scores, scale: float) -> Scores:
    """(R, C) step between the columns on either side, in Lab units.

    Args:
        lines: (R, C, 3) Lab.
        scale: Columns over which an edge is soft.
    """
    smooth = cv2.GaussianBlur(lines, (0, 0), sigmaX=scale, sigmaY=ALONG)
    reach = max(1, round(1.5 * scale))
    step = np.zeros_like(smooth)
    step[:, reach:-reach] = smooth[:, 2 * reach :] - smooth[:, : -2 * reach]
    return np.asarray(np.sqrt((step**2).sum(axis=2)))


def shadows(lines: Scores, scale: float, half: int) -> Scores:
    """(R, C) how much darker a column is than both columns `half` beside it; arguments as `steps`."""
    light = cv2.GaussianBlur(lines[:, :, 0], (0, 0), sigmaX=scale, sigmaY=ALONG)
    depth = np.zeros_like(light)
    brims = np.minimum(light[:, 2 * half :], light[:, : -2 * half])
    depth[:, half:-half] = np.maximum(brims - light[:, half:-half], 0)
    return np.asarray(depth, np.float32)


def stands_out(strength: Scores, pattern: Scores) -> Scores:
    """(R, C) score, 0 to `STRONGEST`, of edges against the (R, P) edges of the cloth's own pattern."""
    usual = np.quantile(pattern, PATTERN_QUANTILE, axis=1, keepdims=True).astype(np.float32)
    usual = np.maximum(cv2.blur(usual, (1, PATTERN_ROWS)), FAINTEST)
    return np.asarray(np.clip(np.log(np.maximum(strength, FAINTEST) / usual), 0, STRONGEST))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Edges:
    """The upright edges of a photo in some rows of a canvas."""

    strength: Scores
    """(R, C) Lab units, sharp: where an edge is."""

    scores: Scores
    """(R, C) 0 to `STRONGEST`, softer: how far it stands out against the cloth's pattern."""

    lines: Scores
    """(R, C, 3) CIE Lab."""

    pixel: float
    """Columns per pixel of the photo."""


def edges_of(canvas: BodyCanvas, photo: Photo, rows: Rows) -> Edges:
    """Find the upright edges of an (h, w, 3) RGB photo in (R,) consecutive rows of a canvas."""
    lines = photo_lines(canvas, photo, rows)
    shoulders = canvas.frame.shoulder_width
    pixel, unit = 1 / (canvas.step * canvas.scale_of(photo)[0]), shoulders / canvas.step
    soft = max(DETAIL * unit, 0.6 * pixel)
    strength = steps(lines, soft)
    strength += VALLEY_WEIGHT * shadows(lines, soft, max(2, round(max(VALLEY * unit, 1.6 * pixel))))
    inside = canvas.columns_between(-PATTERN_HALF * shoulders, PATTERN_HALF * shoulders)
    return Edges(
        strength=steps(lines, max(FINE * unit, 0.6 * pixel)),
        scores=stands_out(strength, strength[:, inside]),
        lines=lines,
        pixel=pixel,
    )


def like_the_panel(lines: Scores, unit: float, pixel: float) -> tuple[Scores, Scores]:
    """How much what lies just inside and just outside of each column looks like the panel, 0 to 1.

    Args:
        lines: (R, K, 3) Lab, by columns that lead outward from the body axis.
        unit: Columns per B.
        pixel: Columns per pixel of the photo; edges are that soft.

    Returns:
        Two (R, K) arrays.
    """
    first, last = (round(share * unit) for share in PANEL_STRIP)
    usual = np.median(lines[:, first:last], axis=1, keepdims=True)
    away = np.abs(lines - usual).sum(axis=2)
    spread = np.median(away[:, first:last], axis=1, keepdims=True)
    skipped, width = max(1, round(1.5 * pixel)), max(1, round(STRIP * unit))
    margin = skipped + width
    summed = np.cumsum(np.pad(away, ((0, 0), (margin + 1, margin)), mode="edge"), axis=1)
    unlike = (summed[:, width:] - summed[:, :-width]) / width / (SPREADS * np.maximum(spread, PLAIN))
    alike = np.exp(-(unlike**2)).astype(np.float32)
    columns = lines.shape[1]
    return alike[:, :columns], alike[:, margin + skipped : margin + skipped + columns]


def strongest_path(scores: Scores) -> Path:
    """Find the strongest smooth path from the first row to the last, and those nearly as strong.

    Args:
        scores: (R, K) what a path gains in each row and column.
    """
    through = _best_through(scores)
    near = through >= through.max(axis=1, keepdims=True) - NEARLY
    return Path(
        best=through.argmax(axis=1),
        first=near.argmax(axis=1),
        last=near.shape[1] - 1 - near[:, ::-1].argmax(axis=1),
    )


def _best_through(scores: Scores) -> Scores:
    """(R, K) what the best path through each point gains: dynamic programming, down and up."""
    down, up = scores.copy(), np.zeros_like(scores)
    for row in range(1, len(scores)):
        down[row] += _best_neighbour(down[row - 1])
    for row in range(len(scores) - 2, -1, -1):
        up[row] = _best_neighbour(up[row + 1] + scores[row + 1])
    return down + up


def _best_neighbour(gains: NDArray[np.float32]) -> NDArray[np.float32]:
    """(K,) the best gain of the neighbouring row that a path may come from, less what the bend costs."""
    best = gains.copy()
    for move in range(1, STEEPEST + 1):
        best[move:] = np.maximum(best[move:], gains[:-move] - np.float32(BEND * move))
        best[:-move] = np.maximum(best[:-move], gains[move:] - np.float32(BEND * move))
    return best
