"""Where the sides of a worn garment's torso part run, row by row, and how far they move for another size.

Rows are in T and columns in B of the body frame. Below the armpits the sides are those that the annotator
measures (`panel_sides`); where a sleeve touches the panel they go on between the rows above and below.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from preprocess.body.canvas import INSIDE, ROWS_PER_TORSO, BodyCanvas, Rows, extents
from preprocess.body.keypoints import Array, BodyFrame
from preprocess.garment.arm_rows import SideRows
from preprocess.garment.ends import SHOULDER_ROWS, shoulder_bounds
from preprocess.garment.measurements import CROPPED_FROM, WIDTH_ROWS, width_band
from preprocess.garment.panel import Side, panel_sides
from preprocess.garment.scene import Scene
from preprocess.garment.sides import panel_rows

Floats = NDArray[np.float32]

ROW = 1 / ROWS_PER_TORSO
"""Between two rows, in T."""

YOKE_END = 0.085
"""Rows above this, in T, follow the shoulder ratio alone."""

ARMPIT = CROPPED_FROM
"""Rows below this, in T, follow the width ratio alone: the first that a width is measured in."""

NECK = 0.25
"""Columns within this of the axis, in B, keep their place: the neckline doesn't widen with the garment."""

HIGHEST = -0.5
"""Nothing above this row, in T, belongs to the torso part."""

CAP_ROOM = 1.04
"""How far beyond the shoulders' extent the torso part may reach in their rows."""

EVEN = 0.08
"""Height, in T, over which a side is averaged before it moves, so that its unevenness doesn't grow."""

STANDS_OUT = 0.05
"""How far beyond its median a side may lie, in B, before a sleeve is taken to be in it."""

FLARE = 0.4
"""How much further out a side goes below a sleeve, at most, over how far down."""

STRAIGHT = (0.0, 0.0)

FLARE_ROWS, STEEPEST_FLARE = 0.3, 0.5
"""Height, in T, above the hem whose slope goes on below, and the steepest, in B a T."""

SMALLEST_GROWTH = 0.05
"""What is left of a side's distance from the neck, at least."""


@dataclass(frozen=True, slots=True, eq=False)
class TorsoSides:
    """How far from the axis the torso part ends, right and left, in B."""

    rows: Array
    """(R,) rows in T, rising."""

    ends: Array
    """(2, R) the outline."""

    even: Array
    """(2, R) the same without its unevenness."""

    flare: tuple[float, float] = STRAIGHT
    """How much further out each goes below the last row, in B a T down."""

    def at(self, a: Floats, b: Floats) -> tuple[Floats, Floats]:
        """Return outline and even outline at (H, W) rows `a`, on the side of `b`; -1 above the first row."""
        outline, even = (
            np.where(
                a < self.rows[0],
                np.float32(-1),
                np.where(b < 0, np.interp(a, self.rows, right), np.interp(a, self.rows, left)),
            ).astype(np.float32)
            for right, left in (self.ends, self.even)
        )
        if self.flare == STRAIGHT:
            return outline, even
        right, left = self.flare
        beyond = np.maximum(a - np.float32(self.rows[-1]), 0)
        out = beyond * np.where(b < 0, np.float32(right), np.float32(left))
        return outline + out, even + out

    def flaring(self) -> Self:
        """Return the sides going on below as they run above, as a skirt does."""
        told = self.rows > max(self.rows[-1] - FLARE_ROWS, ARMPIT)
        if told.sum() < 3:
            return self
        right, left = np.clip(np.polyfit(self.rows[told], self.even[:, told].T, 1)[0], 0, STEEPEST_FLARE)
        return replace(self, flare=(float(right), float(left)))

    def above(self, last: float) -> Self:
        """Return the sides down to row `last`, from where they go on straight."""
        kept = self.rows <= max(last, self.rows[0])
        return replace(self, rows=self.rows[kept], ends=self.ends[:, kept], even=self.even[:, kept])

    def narrowest(self, first: float, last: float) -> Array:
        """Return (2,) how far from the axis the sides end at least in a band of rows, in B."""
        ends: Array = self.ends[:, self._between(first, last)].min(axis=1)
        return ends

    def shoulder_growth(self, wanted: float) -> float:
        """Return the growth at which the median extent of the shoulders' rows is `wanted`, in B."""
        rows = self._between(*SHOULDER_ROWS)
        middle = rows[np.argsort(self.ends[:, rows].sum(axis=0))[len(rows) // 2]]
        return self._growth(np.array([middle]), wanted)

    def width_growth(self, length: float, wanted: float) -> float:
        """Return the growth at which a garment that ends at row `length` is `wanted` wide, in B."""
        return self._growth(self._between(*width_band(length)), wanted)

    def width(self, length: float) -> float:
        """Return the width, in B, that a garment has when it ends at row `length`."""
        return float(self.ends[:, self._between(*width_band(length))].sum(axis=0).mean())

    def _between(self, first: float, last: float) -> NDArray[np.int64]:
        """Rows in a band; the last ones stand for what goes on straight below them."""
        wanted = np.arange(first, max(last, first + ROW / 2), ROW)
        return np.searchsorted(self.rows, wanted).clip(0, len(self.rows) - 1)

    def _growth(self, rows: NDArray[np.int64], wanted: float) -> float:
        extent, room = self.ends[:, rows].sum(axis=0).mean(), movable(self.even[:, rows]).sum(axis=0).mean()
        return float(max(1 + (wanted - extent) / max(room, 1e-3), SMALLEST_GROWTH))


def movable(even: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the part of a distance from the axis that grows and shrinks, in B."""
    return np.asarray(np.maximum(even - NECK, 0))


def torso_sides(
    garment: BodyCanvas, whole: BodyCanvas, sides: tuple[Side, Side], length: float, scene: Scene
) -> TorsoSides | None:
    """Follow the sides of a garment's torso part down to row `length`, in T.

    Args:
        garment: As the annotator sees it.
        whole: The same with its specks: hair may cut a piece of shoulder off.
        sides: From `sides_of(…, garment)`.
        length: Of the garment.
        scene: What else the picture shows.

    Returns:
        None where nothing covers the shoulders or the chest.
    """
    torso_px, shoulder_px = garment.frame.torso_length, garment.frame.shoulder_width
    rows = garment.rows_between(HIGHEST * torso_px, max(length, ARMPIT + 0.02) * torso_px)
    a = garment.a_of(rows) / torso_px
    upper, panel = a < ARMPIT, a >= ARMPIT
    ends = np.full((2, len(rows)), np.nan)
    top = extents(whole, rows[upper])
    right, left = shoulder_bounds(garment, None)[1]
    reach = np.nan_to_num(CAP_ROOM / 2 * (left - right), nan=np.inf)
    ends[:, upper] = np.minimum([-top.low, top.high], reach)
    ends[:, panel] = panel_ends(garment, rows[panel], sides, scene)
    sleeved = np.array([side.arm.sleeve_end > 0 for side in sides])
    ends[np.ix_(sleeved, upper & (a > YOKE_END))] = np.nan
    if not all(np.isfinite(ends[:, part]).any(axis=1).all() for part in (upper, panel)):
        return None
    first = int(np.isfinite(ends).any(axis=0).argmax())
    ends[:, panel] = bridged(ends[:, panel])
    ends = bridged(ends[:, first:]) / shoulder_px
    a = a[first:]
    size = max(1, round(EVEN * torso_px / garment.step))
    return TorsoSides(a, ends, uniform_filter1d(ends, size, axis=1, mode="nearest"))


def panel_ends(garment: BodyCanvas, rows: Rows, sides: tuple[Side, Side], scene: Scene) -> Array:
    """(2, R) `|b|` px of the panel's sides: as the photo shows them, else as the mask does; else NaN."""
    ends = outlined_ends(garment, rows, sides)
    if scene.photo is None:
        return ends
    seen = np.stack([steady(side, garment.frame) for side in panel_rows(garment, rows, sides, scene)])
    return np.where(np.isfinite(seen).any(axis=1, keepdims=True), seen, ends)


def steady(side: SideRows, frame: BodyFrame) -> Array:
    """(R,) `|b|` px of one side; NaN in rows beside a sleeve's in which its end stands out."""
    told = side.sleeve & np.isfinite(side.at)
    if not told.any():
        return side.at
    away = np.abs(side.a - np.interp(side.a, side.a[told], side.a[told]))
    most = np.interp(side.a, side.a[told], side.at[told]) + STANDS_OUT * frame.shoulder_width + FLARE * away
    return np.where(~told & (side.at > most), np.nan, side.at)


def outlined_ends(garment: BodyCanvas, rows: Rows, sides: tuple[Side, Side]) -> Array:
    """(2, R) `|b|` px of the panel's sides; NaN where they can't be seen, unless that is everywhere.

    A sleeve touches them, or hair cuts the panel off. Down to the last row of the width, a side that stands
    out where the arm has a sleeve is the sleeve's.
    """
    panel = panel_sides(garment, rows, sides)
    ends = np.stack([-panel.runs.low, panel.runs.high])
    b = garment.b_of(np.arange(garment.cover.shape[1]))
    high = garment.a_of(rows) < WIDTH_ROWS[1] * garment.frame.torso_length
    for side, end, touched in zip(sides, ends, panel.touched.T, strict=True):
        clear = np.isfinite(end) & ~touched
        if not clear.any():
            continue
        usual, away = np.median(end[clear]), side.arm.side * b
        cut_off = (garment.cover[rows] > INSIDE) & (away > end[:, None] + garment.step) & (away < usual)
        stands_out = high & (end > usual + STANDS_OUT * side.shoulder_px) & (side.arm.sleeve_end > 0)
        clear &= ~cut_off.any(axis=1) & ~stands_out
        end[~clear] = np.nan
    return ends


def bridged(ends: Array) -> Array:
    """Fill the NaN of (2, R) sides from the rows above and below."""
    at = np.arange(ends.shape[1])
    return np.stack([np.interp(at, at[known := np.isfinite(side)], side[known]) for side in ends])
