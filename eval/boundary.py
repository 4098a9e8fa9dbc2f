"""Geometric fit deviation (GFD): how far a garment's outline lies from the outline that was expected.

Both outlines are those of the panel, the garment without sleeves. Points of each are compared with the other
*line*, not with its points, so that the figure doesn't depend on where the points happen to lie.
"""

from dataclasses import dataclass
from typing import cast

import contourpy
import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from preprocess.vocabulary import require_shape

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deviation:
    """Distances between two outlines, in body shoulder widths; NaN where one of them is missing."""

    gfd: float
    """Mean distance, averaged over both directions."""

    hd95: float
    """The larger of both directions' 95th percentiles."""


UNKNOWN = Deviation(gfd=np.nan, hd95=np.nan)


def boundary(mask: NDArray[np.bool_]) -> Floats:
    """Outline of the largest piece of a mask.

    Args:
        mask: (H, W) bool.

    Returns:
        (N, 2) closed polygon of x, y in px (the centre of the first pixel is 0.5, 0.5), first point not
        repeated; (0, 2) for an empty mask. It runs half-way between inside and outside of the lightly
        smoothed mask, so a straight slanted edge is straight.
    """
    require_shape("mask", mask, ("H", "W"))
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    if not width:
        return np.empty((0, 2))
    padded = np.pad(mask[top : top + height, left : left + width], 2)
    soft = cv2.GaussianBlur(padded.astype(np.float32), (3, 3), 0)
    lines = cast("list[Floats]", contourpy.contour_generator(z=soft, name="serial").lines(0.5))
    largest = max(lines, key=lambda line: abs(_area(line)), default=np.empty((0, 2)))
    return largest[:-1] + np.array([left - 1.5, top - 1.5])


def resample(polygon: Floats, num_points: int) -> Floats:
    """Take (num_points, 2) points of a closed (N, 2) polygon, evenly spaced along it."""
    closed = np.vstack([polygon, polygon[:1]])
    steps = np.linalg.norm(np.diff(closed, axis=0), axis=1)
    travelled = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.arange(num_points) * travelled[-1] / num_points
    return np.stack([np.interp(wanted, travelled, closed[:, axis]) for axis in (0, 1)], axis=1)


def distances(points: Floats, polygon: Floats) -> Floats:
    """Distance of points to a closed polygon.

    Args:
        points: (N, 2) px.
        polygon: (M, 2) px, evenly spaced, so that the nearest edge touches the nearest corner.

    Returns:
        (N,) px.
    """
    nearest = KDTree(polygon).query(points)[1]
    before, here, after = (polygon[(nearest + step) % len(polygon)] for step in (-1, 0, 1))
    return np.minimum(_to_segment(points, here, before), _to_segment(points, here, after))


def deviation(measured: Floats, expected: Floats, shoulder_px: float, num_points: int = 256) -> Deviation:
    """Compare two outlines.

    Args:
        measured: (N, 2) px, outline of the generated picture's panel.
        expected: (M, 2) px, outline of the panel of the layout at the requested ratios.
        shoulder_px: The body's shoulder width `B` in the same pixels.
        num_points: Points taken on each outline.

    Returns:
        The deviation over `shoulder_px`; unknown when an outline is empty.

    Source:
        Ours: the symmetric mean boundary distance of medical segmentation, over the body's own unit.
    """
    if not len(measured) or not len(expected):
        return UNKNOWN
    there = distances(resample(measured, num_points), resample(expected, 4 * num_points)) / shoulder_px
    back = distances(resample(expected, num_points), resample(measured, 4 * num_points)) / shoulder_px
    return Deviation(
        gfd=float((there.mean() + back.mean()) / 2),
        hd95=float(max(np.quantile(there, 0.95), np.quantile(back, 0.95))),
    )


def _to_segment(points: Floats, start: Floats, end: Floats) -> Floats:
    """Distance of each of (N, 2) points to its own segment, (N,)."""
    along, offset = end - start, points - start
    length2 = np.maximum(np.sum(along**2, axis=1), 1e-18)
    share = np.clip(np.sum(offset * along, axis=1) / length2, 0.0, 1.0)
    return np.linalg.norm(offset - share[:, None] * along, axis=1)


def _area(polygon: Floats) -> float:
    """Twice the signed area of a closed (N, 2) polygon."""
    x, y = polygon[:, 0], polygon[:, 1]
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
