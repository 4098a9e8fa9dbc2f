"""A mask resampled into the body frame, where rows run across the torso and columns run down it.

The grid is tied to the torso, not to the pixels: the same person at another scale, tilt or framing gives the
same canvas, and a picture of 128 x 96 px is measured between its pixels.
"""

from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.keypoints import Array, BodyFrame

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]

ROWS_PER_TORSO = 240
"""Grid lines per torso length T; outlines are found between them."""

INSIDE = 127.5
"""Half of full cover: where the outline runs between two samples."""

FINEST = 16
"""Lines into which one is divided at most: a torso of 3,840 px has as many pixels between two of them."""

BESIDE = 0.35
"""Columns on either side of the garment, in B: an arm's thickness, and some air."""

COARSE = 4
"""Grid lines that are averaged, each way, to find islands; they divide the canvas."""

TRACE = 6
"""Average cover from which such a block belongs to an island."""

SMALLEST_PART = 0.02
"""Islands below this share of the mask are specks of the segmentation."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BodyCanvas:
    """Cover of a mask on a grid in the body frame. Row i, column j is a = a0 + i step, b = b0 + j step."""

    cover: NDArray[np.uint8]
    """(R, C) 0 to 255, how far the mask covers the point."""

    frame: BodyFrame
    """Whose body."""

    a0: float
    """px of the picture, `a` of row 0."""

    b0: float
    """px of the picture, `b` of column 0."""

    step: float
    """px of the picture between grid lines."""

    picture_shape: tuple[int, int]
    """Height and width of the picture, px."""

    @classmethod
    def of(cls, mask: Mask, frame: BodyFrame, *, specks: bool = False) -> Self:
        """Resample the (H, W) bool `mask`; the canvas holds all of it, with a margin.

        The margin is two grid lines, and `BESIDE` across: what lies beside the garment may hide its side.
        Islands that are small against the whole are left out, unless `specks` is set.
        """
        step = frame.torso_length / ROWS_PER_TORSO
        levels = np.ascontiguousarray(mask).view(np.uint8)
        x, y, width, height = cv2.boundingRect(levels)
        corners = np.array(
            [[x, y], [x + width, y], [x, y + height], [x + width, y + height]], dtype=np.float64
        )
        ab = frame.to_body(corners)
        low, high = _clipped(ab.min(axis=0), ab.max(axis=0), frame)
        # rows lie half a step off `a` = 0, so that a band of rows is the same wherever the mask begins
        beside = np.array([0, BESIDE * frame.shoulder_width])
        low, high = low - beside, high + beside
        a0, b0 = (np.floor(low / step) - 2) * step + (step / 2, 0)
        num_rows, num_columns = COARSE * np.ceil(((high - (a0, b0)) / step + 3) / COARSE).astype(int)
        blank = cls(
            cover=np.zeros((int(num_rows), int(num_columns)), np.uint8),
            frame=frame,
            a0=float(a0),
            b0=float(b0),
            step=step,
            picture_shape=(mask.shape[0], mask.shape[1]),
        )
        cover = blank.resampled(mask, np.arange(num_rows))
        return replace(blank, cover=cover if specks else _without_specks(cover))

    def resampled(self, mask: Mask, rows: Rows) -> NDArray[np.uint8]:
        """(R, C) cover, 0 to 255, of another mask of the same picture in some rows of this grid.

        Args:
            mask: (h, w) bool, at any scale.
            rows: (R,) consecutive rows.
        """
        levels = np.ascontiguousarray(mask).view(np.uint8) * np.uint8(255)
        return self.seen(levels, rows)

    def seen(
        self, picture: NDArray[np.uint8], rows: Rows, border: int = cv2.BORDER_CONSTANT
    ) -> NDArray[np.uint8]:
        """(R, C) or (R, C, 3) levels of the same picture, at any scale, in some rows of this grid.

        Args:
            picture: (h, w) or (h, w, 3).
            rows: (R,) consecutive rows.
            border: OpenCV's mode for what lies outside the picture.
        """
        if len(rows) == 0:
            return np.zeros((0, self.cover.shape[1], *picture.shape[2:]), np.uint8)
        size = self.cover.shape[1], len(rows)
        # what lies between the grid lines counts as well in a large picture: the average of finer lines
        finer = int(np.clip(np.ceil(self.step * self.scale_of(picture)[0]), 1, FINEST))
        step, before = self.step / finer, self.step * (finer - 1) / (2 * finer)
        # warpAffine's inverse map: canvas (column, row) -> picture, whose samples lie half a pixel in
        origin = self.frame.to_image(np.array([[self.a_of(rows[:1])[0], self.b0]]) - before)[0]
        grid = np.column_stack([step * self.frame.v, step * self.frame.u, origin])
        inverse = grid * np.array(self.scale_of(picture))[:, None] - np.array([0, 0, 0.5])
        levels: NDArray[np.uint8] = cv2.warpAffine(
            np.ascontiguousarray(picture),
            inverse,
            (finer * size[0], finer * size[1]),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=border,
        )
        return levels if finer == 1 else np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_AREA))

    def scale_of(self, picture: NDArray[np.generic]) -> tuple[float, float]:
        """Size of a picture over that of the mask's, across and down."""
        return picture.shape[1] / self.picture_shape[1], picture.shape[0] / self.picture_shape[0]

    def rows_between(self, a_low: float, a_high: float) -> Rows:
        """Rows with `a` px in [a_low, a_high] that are on the canvas."""
        first = max(0, int(np.ceil((a_low - self.a0) / self.step)))
        last = min(len(self.cover) - 1, int(np.floor((a_high - self.a0) / self.step)))
        return np.arange(first, last + 1)

    def columns_between(self, b_low: float, b_high: float) -> Rows:
        """Columns with `b` px in [b_low, b_high] that are on the canvas."""
        first = max(0, int(np.ceil((b_low - self.b0) / self.step)))
        last = min(self.cover.shape[1] - 1, int(np.floor((b_high - self.b0) / self.step)))
        return np.arange(first, last + 1)

    def a_of(self, rows: NDArray[np.generic]) -> Array:
        """`a` px of rows, which may lie between grid lines."""
        return self.a0 + self.step * rows.astype(np.float64)

    def b_of(self, columns: NDArray[np.generic]) -> Array:
        """`b` px of columns, which may lie between grid lines."""
        return self.b0 + self.step * columns.astype(np.float64)

    def covers(self, ab: Array) -> Mask:
        """Whether the mask covers each of (N, 2) points a, b px; False where a point is NaN."""
        found = np.isfinite(ab).all(axis=1)
        index = np.zeros(ab.shape, np.int64)
        index[found] = np.rint((ab[found] - (self.a0, self.b0)) / self.step).astype(np.int64)
        on = found & (index >= 0).all(axis=1) & (index < self.cover.shape).all(axis=1)
        index[~on] = 0
        return on & (self.cover[index[:, 0], index[:, 1]] > INSIDE)

    def to_picture(self, inside: Mask, height: int, width: int) -> Mask:
        """Resample an (R, C) mask on this grid back to (height, width)."""
        origin = self.frame.to_image(np.array([[self.a0, self.b0]]))[0] - 0.5
        forward = np.column_stack([self.step * self.frame.v, self.step * self.frame.u, origin])
        painted = cv2.warpAffine(
            inside.astype(np.uint8) * np.uint8(255), forward, (width, height), flags=cv2.INTER_LINEAR
        )
        return np.asarray(painted > INSIDE)


def _clipped(low: Array, high: Array, frame: BodyFrame) -> tuple[Array, Array]:
    """Keep the canvas within what a garment can cover, so that a stray label far off costs nothing."""
    torso, shoulders = frame.torso_length, frame.shoulder_width
    bounds = np.array([[-torso, -3 * (shoulders + torso)], [4 * torso, 3 * (shoulders + torso)]])
    return np.clip(low, *bounds), np.clip(high, *bounds)


def _without_specks(cover: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Clear islands that are small against the whole; a coarser grid is enough to tell them."""
    height, width = cover.shape
    coarse = cv2.resize(cover, (width // COARSE, height // COARSE), interpolation=cv2.INTER_AREA)
    coarse = (coarse > TRACE).view(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(coarse, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    specks = np.flatnonzero(areas < SMALLEST_PART * areas.sum()) + 1
    if count < 3 or len(specks) == 0:
        return cover
    clear = np.isin(labels, specks).repeat(COARSE, axis=0).repeat(COARSE, axis=1)
    return np.where(clear, np.uint8(0), cover)


def edge_between(inside: NDArray[np.generic], outside: NDArray[np.generic]) -> Array:
    """How far from the inside sample towards the outside one the outline runs, 0 to 1, from their covers."""
    inner, outer = inside.astype(np.float64), outside.astype(np.float64)
    return np.clip((inner - INSIDE) / np.maximum(inner - outer, 1.0), 0, 1)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Runs:
    """One stretch of cover in each row, with its ends between the grid lines."""

    low: Array
    """(R,) `b` px of its lower end; NaN where the row has none."""

    high: Array
    """(R,) `b` px of its upper end."""


def axis_runs(canvas: BodyCanvas, lines: NDArray[np.uint8]) -> Runs:
    """Follow the cover both ways from the body axis.

    Args:
        canvas: Whose grid it is.
        lines: (R, C) rows of the canvas, or of another cover on its grid.

    Returns:
        The runs that contain the axis; rows that aren't covered there have none.
    """
    num_rows, num_columns = lines.shape
    axis = round(-canvas.b0 / canvas.step)
    if not 0 < axis < num_columns - 1:
        return Runs(low=np.full(num_rows, np.nan), high=np.full(num_rows, np.nan))
    here = np.arange(num_rows)
    empty = lines <= INSIDE
    to_left, to_right = empty[:, axis::-1], empty[:, axis:]
    before, after = axis - to_left.argmax(axis=1), axis + to_right.argmax(axis=1)
    hit = (before < axis) & (after > axis)
    first, last = np.minimum(before + 1, axis), np.maximum(after - 1, axis)
    low = canvas.b_of(first - edge_between(lines[here, first], lines[here, before]))
    high = canvas.b_of(last + edge_between(lines[here, last], lines[here, after]))
    return Runs(low=np.where(hit, low, np.nan), high=np.where(hit, high, np.nan))


def extents(canvas: BodyCanvas, rows: Rows, within: Runs | None = None) -> Runs:
    """The outermost ends of the cover in each row, whatever lies between.

    Args:
        canvas: Where to look.
        rows: (R,) rows of the canvas.
        within: Runs of the same rows that limit the search; None looks everywhere.
    """
    lines = canvas.cover[rows]
    inside = lines > INSIDE
    if within is not None:
        b = canvas.b_of(np.arange(lines.shape[1]))
        inside &= (b >= within.low[:, None]) & (b <= within.high[:, None])
    here = np.arange(len(rows))
    hit = inside.any(axis=1)
    first = np.maximum(inside.argmax(axis=1), 1)
    last = np.minimum(lines.shape[1] - 1 - inside[:, ::-1].argmax(axis=1), lines.shape[1] - 2)
    low = canvas.b_of(first - edge_between(lines[here, first], lines[here, first - 1]))
    high = canvas.b_of(last + edge_between(lines[here, last], lines[here, last + 1]))
    return Runs(low=np.where(hit, low, np.nan), high=np.where(hit, high, np.nan))


def axis_cover(canvas: BodyCanvas, rows: Rows, columns: Rows) -> Mask:
    """(R, C) cover of some rows and columns that lies in the run on the body axis."""
    runs = axis_runs(canvas, canvas.cover[rows])
    b = canvas.b_of(columns)
    within = (b >= runs.low[:, None]) & (b <= runs.high[:, None])
    return within & (canvas.cover[np.ix_(rows, columns)] > INSIDE)


def column_ends(canvas: BodyCanvas, rows: Rows, columns: Rows, inside: Mask) -> Array:
    """How far down each column goes.

    Args:
        canvas: Where to look.
        rows: (R,) consecutive rows.
        columns: (C,) columns.
        inside: (R, C) the part of the cover that counts.

    Returns:
        (C,) `a` px of the last outline in each column; NaN in an empty one.
    """
    if not inside.any():
        return np.full(len(columns), np.nan)
    last = len(rows) - 1 - inside[::-1].argmax(axis=0)
    below = np.minimum(rows[last] + 1, len(canvas.cover) - 1)
    ends = canvas.a_of(
        rows[last] + edge_between(canvas.cover[rows[last], columns], canvas.cover[below, columns])
    )
    return np.where(inside.any(axis=0), ends, np.nan)
