"""Paint anti-aliased, softly shaded shapes into a picture and, at the same edges, into its parse map."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.sources.doll_body import Points

SUBSAMPLING = 4
COVERED = 160
"""Coverage (of 255) from which a pixel belongs to a shape. OpenCV's fill includes its outline, an eighth of a
pixel each side at four-fold subsampling, so half covered reads as 160."""

Floats = NDArray[np.float32]


class Patch(NamedTuple):
    """A shape's coverage of the pixels in its bounding box."""

    rows: slice
    columns: slice
    coverage: NDArray[np.uint8]

    @property
    def where(self) -> tuple[slice, slice]:
        """Index of the box in a picture."""
        return self.rows, self.columns


@dataclass(frozen=True)
class BodyView:
    """Where a body stands in a picture: body coordinates in torso lengths to pixels and back."""

    mid_shoulder: Points
    """(2,) x, y in pixels; pixel column i covers [i, i + 1)."""

    torso_px: float
    """Torso length in pixels."""

    tilt_deg: float
    """Lean to the person's left."""

    slope: float = 0.0
    """Turns the shoulder line against the torso, fading out at `a` = 0.3."""

    @property
    def axes(self) -> tuple[Points, Points]:
        """The unit vectors (x, y) of `a` and `b`."""
        tilt = np.radians(self.tilt_deg)
        return np.array([np.sin(tilt), np.cos(tilt)]), np.array([np.cos(tilt), -np.sin(tilt)])

    def to_image(self, ab: Points) -> Points:
        """Map (N, 2) body coordinates to pixels."""
        down, left = self.axes
        a = ab[:, 0] + self.slope * ab[:, 1] * np.clip(1 - ab[:, 0] / 0.3, 0, 1)
        return self.mid_shoulder + self.torso_px * (a[:, None] * down + ab[:, 1:] * left)

    def to_body(self, patch: Patch) -> tuple[Floats, Floats]:
        """Return `a` and `b` of each pixel of a patch (without the slope, which only prints would show)."""
        down, left = self.axes / np.float64(self.torso_px)
        x = np.arange(patch.columns.start, patch.columns.stop) + 0.5 - self.mid_shoulder[0]
        y = np.arange(patch.rows.start, patch.rows.stop)[:, None] + 0.5 - self.mid_shoulder[1]
        return (x * down[0] + y * down[1]).astype(np.float32), (x * left[0] + y * left[1]).astype(np.float32)


def cover(xy: Points, image_height: int, image_width: int) -> Patch | None:
    """Rasterise a closed polygon of (N, 2) pixels; None when it is outside the picture."""
    x0, y0 = np.maximum(np.floor(xy.min(axis=0)).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(xy.max(axis=0)).astype(int) + 2, (image_width, image_height))
    if x0 >= x1 or y0 >= y1:
        return None
    fine = np.zeros(((y1 - y0) * SUBSAMPLING, (x1 - x0) * SUBSAMPLING), np.uint8)
    corners = (xy - (x0, y0)) * SUBSAMPLING - 0.5
    cv2.fillPoly(fine, [np.round(corners * 16).astype(np.int32)], 255, shift=4)
    return Patch(
        slice(y0, y1), slice(x0, x1), cv2.resize(fine, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    )


def roundness(patch: Patch, radius_px: float) -> Floats:
    """Shade a flat shape as if it bulged: 1 inside, darker towards its edges, more so on the right."""
    height, width = patch.coverage.shape
    step = max(1, round(radius_px / 4))
    pad = 3
    small = cv2.resize(
        patch.coverage, (max(width // step, 1), max(height // step, 1)), interpolation=cv2.INTER_AREA
    )
    small = cv2.copyMakeBorder(small, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    soft = cv2.GaussianBlur(small.astype(np.float32) / 255, (0, 0), radius_px / step / 1.6)
    middle, right, left = (
        soft[pad:-pad, pad + shift :][:, : small.shape[1] - 2 * pad] for shift in (0, 2, -2)
    )
    shade = 1 - 0.34 * (1 - middle) + 0.16 * (right - left)
    return cv2.resize(shade, (width, height), interpolation=cv2.INTER_LINEAR)


class Canvas:
    """A picture and its parse map, painted from the back to the front."""

    def __init__(self, backdrop: Floats) -> None:
        self.image = backdrop
        self.labels = np.zeros(backdrop.shape[:2], np.uint8)

    def cover(self, xy: Points) -> Patch | None:
        """Rasterise a polygon on this canvas."""
        return cover(xy, *self.labels.shape)

    def paint(
        self,
        patch: Patch | None,
        colour: tuple[float, float, float] | Floats,
        label: int | None = None,
        *,
        radius_px: float = 0.0,
        opacity: float = 1.0,
    ) -> None:
        """Lay a shape over what is there.

        Args:
            patch: The shape; None paints nothing.
            colour: RGB 0 to 255 of the whole shape, or (h, w, 3) of each of its pixels.
            label: Parse label to write; None leaves the parse map as it is.
            radius_px: How far from its edge the shape is shaded round; 0 is flat.
            opacity: Below 1 what is behind shines through.
        """
        if patch is None:
            return
        paint = np.broadcast_to(np.asarray(colour, np.float32), (*patch.coverage.shape, 3))
        if radius_px >= 1:
            paint = paint * roundness(patch, radius_px)[..., None]
        behind = self.image[patch.where]
        alpha = patch.coverage[..., None] * np.float32(opacity / 255)
        self.image[patch.where] = behind + (paint - behind) * alpha
        if label is not None:
            self.labels[patch.where][patch.coverage >= COVERED] = label


def studio(colour: tuple[float, float, float], image_height: int, image_width: int) -> Floats:
    """A lit wall: brightest behind the person's head, darker towards the corners."""
    y, x = np.linspace(-0.6, 1.2, 16)[:, None], np.linspace(-1, 1, 12)
    light = (1.03 - 0.10 * np.sqrt(x**2 + y**2)).astype(np.float32)
    light = cv2.resize(light, (image_width, image_height), interpolation=cv2.INTER_CUBIC)
    return np.minimum(light[..., None] * np.asarray(colour, np.float32), 255)
