"""Paint shapes from continuous px into OpenCV's, whose whole numbers are the middles of pixels."""

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]
Colour = int | tuple[int, int, int]

_FRACTION_BITS = 4  # of the coordinates that OpenCV draws with
_ONE_PX = 1 << _FRACTION_BITS


def fixed_point(xy: Array) -> NDArray[np.int32]:
    """Turn continuous px, where a pixel's centre is at .5, into OpenCV's fixed-point pixel centres."""
    return np.asarray(np.rint((xy - 0.5) * _ONE_PX).clip(-(2**24), 2**24).astype(np.int32))


def fill(picture: Picture, outline: Array, colour: Colour = 1) -> None:
    """Set the pixels inside a polygon, (P, 2) px."""
    cv2.fillPoly(picture, [fixed_point(outline)], _colour(colour), shift=_FRACTION_BITS)


def draw_capsule(region: Picture, start: Array, end: Array, radius: float) -> None:
    """Set the pixels within `radius` px of a segment to 1."""
    ends = [tuple(fixed_point(point)) for point in (start, end)]
    cv2.line(region, ends[0], ends[1], 1, max(1, round(2 * radius)), shift=_FRACTION_BITS)
    for point in ends:
        cv2.circle(region, point, round(radius * _ONE_PX), 1, cv2.FILLED, shift=_FRACTION_BITS)


def draw_line(picture: Picture, corners: Array, colour: Colour, thickness: int, *, closed: bool) -> None:
    """Draw a smooth line through (P, 2) px, of whole px of thickness."""
    points = [fixed_point(corners)]
    cv2.polylines(picture, points, closed, _colour(colour), thickness, cv2.LINE_AA, shift=_FRACTION_BITS)


def draw_disc(picture: Picture, centre: Array, radius: float, colour: Colour) -> None:
    """Draw a smooth disc about a (2,) px."""
    place = tuple(fixed_point(centre))
    fixed_radius = round(radius * _ONE_PX)
    cv2.circle(picture, place, fixed_radius, _colour(colour), cv2.FILLED, cv2.LINE_AA, shift=_FRACTION_BITS)


def _colour(colour: Colour) -> tuple[int, ...]:
    """Return a colour as OpenCV's types want it."""
    return colour if isinstance(colour, tuple) else (colour,)
