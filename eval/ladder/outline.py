"""Geometric fit deviation (GFD): how far a garment's outline lies from the outline that was expected.

Both outlines are those of the panel, the garment without sleeves. Where a sleeve was cut off, the panel ends
at no edge of the garment: such stretches are compared with nothing. Points of each outline are compared with
the other *line*, not with its points, so that the figure doesn't depend on where the points happen to lie.
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
    """Distances between two outlines, in widths of the body; NaN where one of them is missing."""

    gfd: float
    """Mean distance, averaged over both directions."""

    hd95: float
    """The larger of both directions' 95th percentiles."""


UNKNOWN = Deviation(gfd=np.nan, hd95=np.nan)

EDGE_WITHIN = 1.0
"""Points of a panel's outline that lie deeper in the garment (px) are where a sleeve was cut off."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outline:
    """A closed line round a panel."""

    xy: Floats
    """(N, 2) x, y in px (the centre of the first pixel is 0.5, 0.5), first point not repeated."""

    is_edge: NDArray[np.bool_]
    """(N,) whether the garment itself ends there; not so where a sleeve was cut off."""

    def __len__(self) -> int:
        return len(self.xy)

    def resampled(self, num_points: int) -> "Outline":
        """Take points evenly spaced along the line; each is edge if the corner before it is."""
        where = along(self.xy, num_points)
        here, share = where.astype(int), (where % 1)[:, None]
        after = self.xy[(here + 1) % len(self.xy)]
        return Outline(xy=self.xy[here] + share * (after - self.xy[here]), is_edge=self.is_edge[here])


NO_OUTLINE = Outline(xy=np.empty((0, 2)), is_edge=np.empty(0, bool))


def outline(panel: NDArray[np.bool_], garment: NDArray[np.bool_] | None = None) -> Outline:
    """Follow the largest piece of a panel.

    Args:
        panel: (H, W) bool.
        garment: (H, W) bool, with sleeves; None: the panel is all there is.

    Returns:
        Its outline; empty for an empty panel.
    """
    xy = boundary(panel)
    if garment is None or not len(xy):
        return Outline(xy=xy, is_edge=np.ones(len(xy), bool))
    padded = np.pad(garment, 1).astype(np.uint8)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)
    places = (xy + 0.5).astype(np.float32)[None]  # the padding's pixel, less the half to the first centre
    depths = cv2.remap(depth, places[..., 0], places[..., 1], cv2.INTER_LINEAR)[0]
    return Outline(xy=xy, is_edge=depths < EDGE_WITHIN)


def boundary(mask: NDArray[np.bool_]) -> Floats:
    """Line round the largest piece of a (H, W) mask, (N, 2) as in `Outline`; (0, 2) for an empty mask.

    It runs half-way between inside and outside of the lightly smoothed mask, so a straight slanted edge is
    straight.
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


def along(polygon: Floats, num_points: int) -> Floats:
    """(num_points,) places evenly spaced along a closed (N, 2) polygon, in corners from the first one."""
    steps = np.linalg.norm(np.roll(polygon, -1, axis=0) - polygon, axis=1)
    travelled = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.arange(num_points) * travelled[-1] / num_points
    places: Floats = np.interp(wanted, travelled, np.arange(len(travelled)))
    return np.minimum(places, np.nextafter(len(polygon), 0))


def nearest(points: Floats, polygon: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Distance of points to a closed polygon, and its corner that is nearest.

    Args:
        points: (N, 2) px.
        polygon: (M, 2) px, evenly spaced, so that the nearest edge touches the nearest corner.

    Returns:
        (N,) px and (N,) indices.
    """
    corner = KDTree(polygon).query(points)[1]
    before, here, after = (polygon[(corner + step) % len(polygon)] for step in (-1, 0, 1))
    return np.minimum(_to_segment(points, here, before), _to_segment(points, here, after)), corner


def edge_distances(one: Outline, other: Outline, num_points: int) -> Floats:
    """Distances (px) of points on one outline to the other, where the garment ends on both."""
    points, line = one.resampled(num_points), other.resampled(4 * num_points)
    distances, corner = nearest(points.xy, line.xy)
    return distances[points.is_edge & line.is_edge[corner]]


def deviation(measured: Outline, expected: Outline, unit_px: float, num_points: int = 256) -> Deviation:
    """Compare two outlines.

    Args:
        measured: Outline of the generated picture's panel, px.
        expected: Outline of the panel of the layout at the requested ratios, px.
        unit_px: The width of the body that the garment's is divided by, in the same pixels.
        num_points: Points taken on each outline.

    Returns:
        The deviation over `unit_px`; unknown when the outlines have no edges to compare.

    Source:
        Ours: the symmetric mean boundary distance of medical segmentation, over the body's own unit.
    """
    if not len(measured) or not len(expected):
        return UNKNOWN
    there = edge_distances(measured, expected, num_points) / unit_px
    back = edge_distances(expected, measured, num_points) / unit_px
    if not len(there) or not len(back):
        return UNKNOWN
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
