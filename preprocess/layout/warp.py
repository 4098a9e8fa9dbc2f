"""Where the cloth of a worn garment goes when it changes its size, in the body frame.

The torso part moves across, from the neck and the body's axis to its sides, where it moves as far as the
ratio asks for; and down, from the chest to the hem. It lies in front. Sleeves go with the shoulder, and with
a panel that they touch and that gives way; else they stay on their arms, and get as thick as the width asks
for. Rows are in T and columns in B.
"""

from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.canvas import Mask
from preprocess.body.keypoints import ARM_JOINTS, Array, Keypoints
from preprocess.garment.ends import SHOULDER_ROWS
from preprocess.garment.measurements import width_band
from preprocess.garment.panel import ARM_RADIUS
from preprocess.layout.bare import around
from preprocess.layout.parts import SHOULDERS_BARE, Parts, sampled
from preprocess.layout.resized import CROPPED, about_bones, nearest_on_bone, sleeve_factor
from preprocess.layout.sides import ARMPIT, NECK, ROW, Floats

STILL = 0.3
"""Row down to which the length moves nothing; less of a short garment."""

BLEND = (0.07, 0.28)
"""Rows between which the shoulder's growth gives way to the width's."""

COLLAR = 0.25
"""Row below which the cloth in the middle moves as well."""

BEND = 1.5
"""How much more the cloth gives way at the sides than in the middle: the power of its displacement."""

STEEPEST = (-0.3, 0.4)
"""B. How much further in or out a side lies at most, each T further down."""

BELOW_BAND = 0.2
"""Rows below those of the width that tell how a side goes on."""

MOST_OFF = (0.75, 1.33)
"""How far off sides may be that are set to a known width: further off, something else is."""

BESIDE = (0.02, 0.05, 0.08, 0.11)
"""So far outside of the panel cloth is a sleeve that touches it."""

EVEN_ROWS = 13
"""Number of rows over which that is evened out."""

TOUCHED = 0.3
"""Share of these from which a row counts as touched."""

CAP_ROWS, CAP_REACH = 0.25, 0.5
"""How far below the shoulders, and outside of the sides, sleeves come to rest that went with the shoulder."""

THICKER_ROWS = 0.1
"""Rows below those of the shoulders in which sleeves get to another thickness."""

TOUCHING = 0.25
"""So far outside of the panel a sleeve that touches it reaches."""

UNDER_ROWS = 0.25
"""Row down to which a sleeve goes on under the panel."""

LEAST_SLEEVE = 0.03
"""Area, in B x B, of what shows of such a sleeve, at least."""

MOST_DRAWN = 0.08
"""How far a sleeve follows a panel that gives way; then there is a gap."""

SLEEVE = 0.3
"""How far outside of a panel that gives way a sleeve comes to rest, at least."""


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Where the torso part ends to the right and to the left of the axis, without its unevenness."""

    rows: Array
    """(R,) rising."""

    ends: Array
    """(2, R) how far from the axis."""

    touched: Array
    """(2, R) 1 where a sleeve touches it, 0 where none does."""

    @classmethod
    def of(cls, parts: Parts, width: float) -> Self:
        """Lay lines along the sides.

        Args:
            parts: The garment taken apart.
            width: Its mean width; NaN where it isn't known: then the lines are where the picture shows them.
        """
        rows = np.arange(-1.0, max(parts.length, 1.0) + 1, ROW)
        lines = np.stack([line_along(parts, even, rows) for even in parts.sides.even])
        first, last = width_band(parts.length)
        band = (rows >= first) & (rows <= last)
        if np.isfinite(width) and band.any():
            ends = lines[:, band].mean(axis=1)
            lines *= np.clip(width / ends.sum(), *MOST_OFF)
        shoulders = (parts.sides.rows >= SHOULDER_ROWS[0]) & (parts.sides.rows <= SHOULDER_ROWS[1])
        caps = np.median(parts.sides.ends[:, shoulders], axis=1, keepdims=True)
        ends = caps + blended(rows, parts.length) * (lines - caps)
        return cls(rows, ends, sleeves_beside(parts, rows, ends))

    def resized(self, growth: Array, length: float) -> Array:
        """Return (2, R) ends at (3,) `growth` of shoulder, width and length; `length` is the one as worn."""
        ends: Array = self.ends * (
            growth[0] + blended(self.rows, length * growth[2]) * (growth[1] - growth[0])
        )
        return ends

    def at(self, parts: Parts, *values: Array) -> tuple[Floats, ...]:
        """Look up to four (2, R) tables of values up in each pixel's row, on its side."""
        row = (parts.a - np.float32(self.rows[0])) * np.float32(1 / ROW)
        side = (parts.b >= 0).astype(np.float32)
        tables = np.stack(values, axis=-1).astype(np.float32)
        found = cv2.remap(tables, row, side, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return tuple(cv2.split(found))


def line_along(parts: Parts, even: Array, rows: Array) -> Array:
    """Lay a line along one side in the rows of the width and just below; beyond the garment it is upright."""
    first, last = width_band(parts.length)
    told = (parts.sides.rows >= first) & (parts.sides.rows <= last + BELOW_BAND)
    told[-1] |= not told.any()  # where the garment ends above them
    at, ends = parts.sides.rows[told], even[told]
    slope = float(np.clip(np.polyfit(at, ends, 1)[0], *STEEPEST)) if len(at) > 1 else 0.0
    return np.asarray(np.median(ends - slope * at) + slope * np.clip(rows, 0, parts.length))


def sleeves_beside(parts: Parts, rows: Array, ends: Array) -> Array:
    """Return (2, R) how much of what lies just outside of the sides is a sleeve."""
    b = np.stack([ends + out for out in BESIDE]) * np.array([-1.0, 1.0])[:, None]
    a = np.broadcast_to(rows, b.shape)
    flat = (len(BESIDE) * 2, len(rows))
    sleeves = sampled(
        parts.sleeves | parts.yoke, parts.frame, *(x.reshape(flat).astype(np.float32) for x in (a, b))
    )
    share = sleeves.reshape(b.shape).mean(axis=0)
    return np.stack([np.convolve(side, np.ones(EVEN_ROWS) / EVEN_ROWS, "same") for side in share])


def blended(rows: Array, length: float) -> Array:
    """Return (R,) how far the width decides, not the shoulder, in the rows of a garment of a length."""
    return eased((rows - BLEND[0]) / ((ARMPIT if length < CROPPED else BLEND[1]) - BLEND[0]))


def eased(share: NDArray[np.floating]) -> Array:
    """Rise from 0 to 1 without corners."""
    share = np.clip(share, 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Some of the garment, and where each pixel takes it from."""

    mask: Mask
    """(H, W) as worn."""

    a: Floats
    """(H, W) rows."""

    b: Floats
    """(H, W) columns."""

    def sources(self, parts: Parts) -> tuple[Floats, Floats]:
        """Return x and y, (H, W) px of the photo as `cv2.remap` wants them."""
        return place_of(parts, self.a, self.b)

    def distance(self, parts: Parts) -> Floats:
        """Return (H, W) how far it moves, px."""
        down = (self.a - parts.a) * np.float32(parts.frame.torso_length)
        across = (self.b - parts.b) * np.float32(parts.frame.shoulder_width)
        return np.asarray(cv2.magnitude(down, across))


def panel_of(parts: Parts, sides: Sides, worn: Mask) -> Mask:
    """Return what moves as the torso part: where a sleeve touches it, all up to its side."""
    side, touched = sides.at(parts, sides.ends, sides.touched)
    within = np.where((touched > TOUCHED) & (parts.a > ARMPIT), np.abs(parts.b) <= side, parts.torso)
    return np.asarray(worn & within)


def torso_layer(parts: Parts, sides: Sides, growth: Array, mask: Mask) -> Layer:
    """Move the torso part, `mask`, to (3,) growths of shoulder, width and length."""
    ends, rows = sides.resized(growth, parts.length), rows_before(sides.rows, parts.length, growth[2])
    shifts = ends - np.stack([np.interp(rows, sides.rows, side) for side in sides.ends])
    side, shift, further = sides.at(parts, ends, shifts, np.tile(rows - sides.rows, (2, 1)))
    away = np.abs(parts.b)
    rest = NECK * (1 - eased(parts.a / COLLAR))
    share = cv2.pow(np.clip((away - rest) / np.maximum(side - rest, 1e-3), 0, 1), BEND)
    return Layer(mask, parts.a + further, parts.b - np.sign(parts.b) * shift * share)


def sleeve_layer(parts: Parts, sides: Sides, growth: Array, mask: Mask) -> Layer:
    """Move the sleeves, `mask`."""
    shoulder = sides.ends * (growth[0] - 1) * (1 - eased((sides.rows - BLEND[0]) / CAP_ROWS))
    gap = np.minimum(sides.resized(growth, parts.length) - sides.ends, 0) * sides.touched
    gap = np.maximum(gap, -MOST_DRAWN) * eased((sides.rows - ARMPIT) / (BLEND[1] - ARMPIT))
    side, cap, drawn_in = sides.at(parts, sides.ends, shoulder, gap)
    out = np.abs(parts.b) - side
    reach = np.maximum(SLEEVE, 2 * np.abs(drawn_in))  # further, or it would fold over
    moved = cap * (1 - eased(out / CAP_REACH)) + drawn_in * (1 - eased((out - drawn_in) / reach))
    return Layer(mask, parts.a, (parts.b - np.sign(parts.b) * moved).astype(np.float32))


def thickened(parts: Parts, sides: Sides, keypoints: Keypoints, growth: Array) -> Parts:
    """Return the parts with each pixel where sleeves come from that grow thicker with the width."""
    factor = sleeve_factor(parts.width, parts.width * float(growth[1]))
    if factor == 1:
        return parts
    share = eased((parts.a - SHOULDERS_BARE[1]) / THICKER_ROWS).astype(np.float32)
    if factor < 1:  # one that touches the panel keeps to it
        side, touched = sides.at(parts, sides.ends, sides.touched)
        share *= 1 - touched * (np.abs(parts.b) < side + np.float32(TOUCHING))
    a, b = about_bones(parts, keypoints, 1 + share * np.float32(factor - 1))
    return replace(parts, a=a, b=b)


def under_panel(parts: Parts, keypoints: Keypoints) -> Mask:
    """Return what lies on an upper arm beside the chest: a sleeve goes on there under the panel."""
    rows = (parts.a > SHOULDERS_BARE[1]) & (parts.a < UNDER_ROWS) & (np.abs(parts.b) > NECK)
    under, box = np.zeros(parts.a.shape, np.bool_), around(rows, 0)
    across = np.float32(parts.frame.shoulder_width)
    x, y = parts.b[box] * across, parts.a[box] * np.float32(parts.frame.torso_length)
    for side, arm in ARM_JOINTS.items():
        shoulder, elbow = parts.frame.to_body(keypoints.xy[list(arm[:2])])[:, ::-1]
        sleeve = np.count_nonzero(parts.sleeves & (parts.b * side > 0))
        if np.isfinite(elbow).all() and sleeve > LEAST_SLEEVE * across**2:
            bone_x, bone_y = nearest_on_bone(x, y, shoulder, elbow)
            near = np.hypot(x - bone_x, y - bone_y) < ARM_RADIUS * across
            under[box] |= near & rows[box] & (x * side > 0)
    return under


def place_of(parts: Parts, a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return x and y, (H, W) px as `cv2.remap` wants them, of rows `a` in T and columns `b` in B."""
    origin = (parts.frame.shoulder_mid - 0.5).tolist()  # plain numbers keep float32
    down = (parts.frame.u * parts.frame.torso_length).tolist()
    across = (parts.frame.v * parts.frame.shoulder_width).tolist()
    x, y = (origin[i] + a * down[i] + b * across[i] for i in (0, 1))
    return x, y


def rows_before(rows: Array, length: float, growth: float) -> Array:
    """Return the row that comes to lie at each row when the hem goes down to `growth` times `length`."""
    new = length * growth
    still = min(STILL, 0.6 * length, 0.6 * new)
    inside = still + (rows - still) * (length - still) / (new - still)
    return np.asarray(np.where(rows <= still, rows, np.where(rows < new, inside, rows - (new - length))))
