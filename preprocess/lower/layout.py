"""Trousers, shorts and skirts resized on the legs: the region they would cover at another size.

In each row across the legs the garment has two ends, and below the crotch of trousers a gap between its legs
(`preprocess.lower.worn_legs`). They move outwards or inwards, the gap closing as the legs of cloth grow: by
the waist ratio in the rows below the waistband, by the width ratio from the thighs down, in proportion to the
width of each row, so that what flares flares more. The hem moves along the bones and keeps its curve; the
less of a garment is left, the straighter it is. Each of these moves one way as its ratio rises, so a larger
request covers all that a smaller one covers.

One thing stands against that: what ends above 0.45 of the thighs has its width defined by rows nearer to the
hips. Where it is narrower there, it is widened until it measures what was asked for.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from preprocess.body.canvas import Mask
from preprocess.body.keypoints import Array, Keypoints
from preprocess.body.legs import LegFrame
from preprocess.lower.hem import hem_bounds_along
from preprocess.lower.measures import SHORT_FROM
from preprocess.lower.worn_legs import WornLegs, take_apart

Floats = NDArray[np.float32]
Curve = tuple[Array, Array]

HEM_BAND = 0.15
"""How far the hem's curve may lie off, in L."""

FLAT_HEM = 0.3
"""What is cut to this length, in L, has a straight hem."""

CORNERS = 0.03
"""Share of the hem's pixels at either end of it whose curve is the sides'."""

EVEN = 0.1
"""Height, in L, over which widths are averaged before they say where a garment grows most."""

GROWS_MOST = (0.3, 2.5)
"""Least and greatest growth of a row, over that of the rows of the width."""

LEAST_BLEND = 0.05
"""Rows, in thighs, over which edges pass from the waist's to the width's, at least."""

LEAST_LEFT = 0.1
"""Share of a leg of cloth that is left, at least."""

WIDEST = 6.0
"""How far sides may move, in H."""

SLACK = 1.015
"""By this factor a width may be missed, so that a short layout stays inside longer ones."""

ROUNDS = 2
"""How often a new hem is measured: columns beside a bone end a little off it."""

EDGE_PX = 1.5
"""What lies so near to an edge is no hole."""

HALVINGS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where the pixels of a picture lie on the legs, (H, W) px each."""

    a: Floats
    """Down from the hips."""

    b: Floats
    """Towards the person's left."""

    along: Floats
    """Along the legs, as the hem is measured; between them it passes from one to the other."""

    level: Floats
    """The same of a hem that is level, as a skirt's is."""

    across: Floats
    """Across the legs, their lines an H apart."""

    @classmethod
    def of(cls, worn: WornLegs, shape: tuple[int, ...]) -> Self:
        """Find them for an (H, W) picture."""
        frame = worn.frame
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32) + np.float32(0.5)
        x, y = x - np.float32(frame.hip_mid[0]), y - np.float32(frame.hip_mid[1])
        a, b = ((x * way[0] + y * way[1]).astype(np.float32) for way in (frame.u, frame.v))
        right, left = (np.interp(a, worn.rows, line).astype(np.float32) for line in worn.bones)
        share = np.clip((b - right) / np.maximum(left - right, 1), 0, 1)
        beyond = np.where(b < right, b - right, np.maximum(b - left, 0))
        across = beyond + (share - 1 / 2) * frame.hip_width
        level = np.interp(a, worn.rows, worn.walked.max(axis=0)).astype(np.float32)
        legs = [along_leg(frame, side, a, b) for side in (0, 1)]
        near = np.clip(2 * share - 1 / 2, 0, 1)  # near a bone its leg alone tells
        along = level if worn.one_piece else (1 - near) * legs[0] + near * legs[1]
        return cls(a, b, along.astype(np.float32), level, across.astype(np.float32))


def along_leg(frame: LegFrame, side: int, a: Floats, b: Floats) -> Floats:
    """Return (H, W) px along one leg, stretched to the mean of both; past hip and ankle it goes on."""
    hip, knee, ankle = frame.to_body(frame.legs[side])
    length = frame.leg_lengths[side]
    thigh = knee - hip
    shin = ankle - knee if np.isfinite(length) else thigh
    first, second = (max(float(np.hypot(*bone)), 1e-6) for bone in (thigh, shin))
    down = ((a - hip[0]) * thigh[0] + (b - hip[1]) * thigh[1]) / first
    further = ((a - knee[0]) * shin[0] + (b - knee[1]) * shin[1]) / second
    walked = np.minimum(down, first) + np.maximum(further, 0)
    return np.asarray(walked * np.nan_to_num(frame.leg / length, nan=1.0), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class ResizedLegs:
    """A worn garment of the lower body at another size."""

    worn: WornLegs
    """As it was."""

    places: Places
    """Of the picture's pixels."""

    px: Array
    """(R,) px by which its edges moved outwards."""

    length: float
    """Px along the legs to its hem, as its layout is cut."""

    layout: Mask
    """(H, W) what it covers."""


def lower_layout(garment: Mask, keypoints: Keypoints, natural: Array, requested: Array) -> Mask | None:
    """Return the region that a garment would cover, (H, W) bool; arguments, None and errors as below."""
    resized = resized_on_legs(garment, keypoints, natural, requested)
    return None if resized is None else resized.layout


def resized_on_legs(
    garment: Mask, keypoints: Keypoints, natural: Array, requested: Array
) -> ResizedLegs | None:
    """Resize a worn garment of the lower body.

    Args:
        garment: (H, W) bool, as worn.
        keypoints: Of its wearer, px.
        natural: (3,) ratios of waist, width and length as worn.
        requested: (3,) ratios wanted; NaN leaves one as it is, and so do missing ankles the length.

    Returns:
        None where nothing of the garment is on the legs.

    Raises:
        KeypointError: Hips or knees are missing.
    """
    frame = LegFrame.from_keypoints(keypoints)
    worn = take_apart(garment, frame)
    if worn is None:
        return None
    places = Places.of(worn, garment.shape)
    curve = hem_curve(worn, places, garment)
    length = float(requested[2]) * frame.leg
    length = worn.length if np.isnan(length) else length
    width = width_move(worn, float(requested[1]) * frame.hip_width, length)
    holes = without_rim(uncovered(worn, curve, places, garment, 0.0))
    holes |= uncovered(worn, curve, places, garment, 2 * EDGE_PX)
    waist = 0.0 if np.isnan(requested[0]) else float(requested[0] - natural[0]) * frame.hip_width / 2
    px = moved(worn, waist, width)
    within = between_edges(worn, px, places) & ~holes
    aim = length
    for _ in range(ROUNDS if length != worn.length else 0):
        aim += length - hem_of(within & above_hem(worn, curve, aim, places), frame, length)
    layout = within & above_hem(worn, curve, aim, places)
    return ResizedLegs(worn, places, px, aim, layout)


def uncovered(worn: WornLegs, curve: Curve | None, places: Places, garment: Mask, rim: float) -> Mask:
    """Return (H, W) what a garment leaves bare inside of its own edges, so many px from these at least."""
    inside = between_edges(worn, -rim, places) & above_hem(worn, curve, worn.length - rim, places)
    return np.asarray(inside & ~garment)


def hem_of(layout: Mask, frame: LegFrame, usual: float) -> float:
    """Return px along the legs to the hem of a layout; `usual` where it can't be measured."""
    found = hem_bounds_along(layout, np.zeros(layout.shape, np.uint8), frame)[0].value
    return usual if np.isnan(found) else found


def moved(worn: WornLegs, waist: float, width: float) -> Array:
    """(R,) px by which edges move, where they move by `waist` and by `width` px in the rows of these."""
    (top, last), first = worn.waist, SHORT_FROM * worn.frame.thigh
    if last > first - LEAST_BLEND * worn.frame.thigh:  # below a top that hangs over it: no waist is seen
        last = min(top, first - LEAST_BLEND * worn.frame.thigh)
    share = np.clip((worn.rows - last) / (first - last), 0, 1)
    share = share * share * (3 - 2 * share)
    px = (1 - share) * waist + share * width * growth_of_rows(worn)
    return np.asarray(np.maximum(px, (LEAST_LEFT - 1) * worn.half))


def growth_of_rows(worn: WornLegs) -> Array:
    """(R,) how much a row grows, over the rows of the width."""
    size = max(1, round(EVEN * worn.frame.scale / (worn.rows[1] - worn.rows[0])))
    widths = uniform_filter1d(np.nan_to_num(worn.widths()), size, mode="nearest")
    usual = widths[worn.width_rows(worn.length)].mean()
    return np.asarray(np.clip(widths / max(usual, 1.0), *GROWS_MOST))


def width_move(worn: WornLegs, wanted: float, length: float) -> float:
    """Return px by which edges move in the rows of the width; `wanted` px is NaN where it stays.

    It is the same at all lengths, unless the width would be missed in the rows that define it there.
    """
    if np.isnan(wanted) and length == worn.length:
        return 0.0
    if np.isnan(wanted):
        wanted = float(worn.widths()[worn.width_rows(worn.length)].mean())
    whole = max(worn.length, worn.frame.thigh)  # of which the usual rows tell the width
    usual = move_to(worn, wanted, whole)
    if (worn.width_rows(length) == worn.width_rows(whole)).all():
        return usual
    least, most = (move_to(worn, width, length) for width in (wanted / SLACK, wanted * SLACK))
    return min(max(usual, least), most)


def move_to(worn: WornLegs, wanted: float, length: float) -> float:
    """Return px by which edges must move so that a garment of a length is `wanted` px wide."""
    rows, reach = worn.width_rows(length), WIDEST * worn.frame.hip_width
    low, high = -reach, reach
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        found = worn.widths(moved(worn, 0.0, middle))[rows].mean()
        low, high = (middle, high) if found < wanted else (low, middle)
    return (low + high) / 2


def hem_curve(worn: WornLegs, places: Places, garment: Mask) -> Curve | None:
    """Return columns across the legs, px, rising, and how far below the length the hem is there, px."""
    band = HEM_BAND * worn.frame.scale
    here = garment & (np.abs(places.along - worn.length) <= band)
    if not here.any():
        return None
    columns, depths = places.across[here], places.along[here] - worn.length
    first, last = np.quantile(columns, [CORNERS, 1 - CORNERS])
    at = np.arange(np.ceil(first), np.floor(last) + 1)
    lowest = np.full(len(at), -np.inf)
    cell = np.rint(columns - np.ceil(first)).astype(np.int64)
    on = (cell >= 0) & (cell < len(at))
    np.maximum.at(lowest, cell[on], depths[on])
    known = np.isfinite(lowest)
    return (at[known], lowest[known] + 1 / 2) if known.any() else None


def above_hem(worn: WornLegs, curve: Curve | None, length: float, places: Places) -> Mask:
    """Return (H, W) what lies above the hem of a garment of a length, px."""
    if curve is None:
        return np.asarray(places.along <= length)
    room = max(worn.length - FLAT_HEM * worn.frame.scale, HEM_BAND * worn.frame.scale)
    flatness = np.float32(np.clip(1 - (worn.length - length) / room, 0, 1))
    own = places.along - np.interp(places.across, *curve).astype(np.float32)
    return np.asarray(flatness * own + (1 - flatness) * places.level <= length)


def between_edges(worn: WornLegs, px: Array | float, places: Places) -> Mask:
    """Return (H, W) what lies between the edges of its row, which moved outwards by (R,) px."""
    right, left = (
        np.interp(places.a, worn.rows, end + sign * px, left=np.nan)
        for end, sign in zip(worn.ends, (-1, 1), strict=True)
    )
    start, stop = (
        np.interp(places.a, worn.rows, end + sign * px) for end, sign in zip(worn.gap, (1, -1), strict=True)
    )
    b = places.b
    return np.asarray((b >= right) & (b <= left) & ~((b > start) & (b < stop)))


def without_rim(mask: Mask) -> Mask:
    """Return a mask without what is no more than an edge that was found a pixel off."""
    size = 2 * round(EDGE_PX) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return np.asarray(cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, kernel)).view(np.bool_)
