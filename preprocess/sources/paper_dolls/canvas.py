"""Paint anti-aliased, softly shaded shapes into a picture and, at the same edges, into its parse map."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.painting import fill
from preprocess.sources.paper_dolls.person import Colour, Points

SUBSAMPLING = 4
COVERED = 160
"""Coverage (of 255) from which a pixel belongs to a shape. OpenCV's fill includes its outline, an eighth of a
pixel each side at four-fold subsampling, so half covered reads as 160."""

FULL_LIGHT = 200
"""Light level that shows a colour as it is; more is brighter."""

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]


class Patch(NamedTuple):
    """A shape's coverage of the pixels in its bounding box."""

    rows: slice
    columns: slice
    coverage: Image

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
        down, left = (axis / self.torso_px for axis in self.axes)
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
    fill(fine, (xy - (x0, y0)) * SUBSAMPLING, 255)
    return Patch(
        slice(y0, y1), slice(x0, x1), cv2.resize(fine, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    )


def roundness(patch: Patch, radius_px: float) -> Floats:
    """Shade a flat shape as if it bulged: 1 inside, darker towards its edges, more so on the right."""
    height, width = patch.coverage.shape
    step = max(1, round(radius_px / 4))
    pad = 3
    shape = (max(width // step, 1), max(height // step, 1))
    small = cv2.resize(patch.coverage, shape, interpolation=cv2.INTER_AREA)
    small = cv2.copyMakeBorder(small, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=(0,))
    soft = cv2.GaussianBlur(small.astype(np.float32) / 255, (0, 0), radius_px / step / 1.6)
    middle, right, left = (soft[pad:-pad, pad + shift :][:, : shape[0]] for shift in (0, 2, -2))
    shade = 1 - 0.34 * (1 - middle) + 0.16 * (right - left)
    return np.asarray(cv2.resize(shade, (width, height), interpolation=cv2.INTER_LINEAR))


@dataclass(frozen=True, kw_only=True)
class Paint:
    """What a shape is filled with."""

    colour: Colour
    """RGB 0 to 255."""

    radius_px: float = 0.0
    """How far from its edge the shape is shaded round; below 1 it is flat."""

    opacity: float = 1.0
    """Below 1 what is behind shines through."""

    folds: Floats | None = None
    """(h, w) factor of each pixel of the shape's box."""

    print_colour: Colour = (0, 0, 0)
    """RGB of the print."""

    print_cover: Floats | None = None
    """(h, w) share of the print in each pixel; None: no print."""

    def fill(self, patch: Patch) -> Image:
        """Return the (h, w, 3) RGB of the shape's box."""
        levels = np.full(patch.coverage.shape, FULL_LIGHT, np.uint8)
        shades = [self.folds] if self.folds is not None else []
        if self.radius_px >= 1:
            shades.append(roundness(patch, self.radius_px))
        if shades:
            shade = shades[0] * shades[1] if len(shades) == 2 else shades[0]
            levels = cv2.convertScaleAbs(shade, alpha=FULL_LIGHT)
        plain = tinted(levels, self.colour)
        if self.print_cover is None:
            return plain
        cover = self.print_cover.astype(np.float32)
        return np.asarray(cv2.blendLinear(plain, tinted(levels, self.print_colour), 1 - cover, cover))


def tinted(levels: Image, colour: Colour) -> Image:
    """Light a colour: (h, w) levels, of which `FULL_LIGHT` shows it as it is, to (h, w, 3) RGB."""
    table = np.minimum(np.arange(256)[:, None] / FULL_LIGHT * np.asarray(colour), 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(levels, table[:, None]))


class Canvas:
    """A picture of a body and its parse map, painted from the back to the front."""

    def __init__(self, backdrop: Image, view: BodyView) -> None:
        self.image = backdrop
        self.labels: Image = np.zeros(backdrop.shape[:2], np.uint8)
        self.view = view

    def cover(self, outline: Points) -> Patch | None:
        """Rasterise a closed (N, 2) polygon of body coordinates."""
        image_height, image_width = self.labels.shape
        return cover(self.view.to_image(outline), image_height, image_width)

    def draw(
        self,
        outline: Points,
        colour: Colour,
        label: int | None = None,
        *,
        bulge: float = 0.0,
        opacity: float = 1.0,
    ) -> None:
        """Lay a shape of one colour over what is there.

        Args:
            outline: (N, 2) closed polygon in body coordinates.
            colour: RGB 0 to 255.
            label: Parse label to write; None leaves the parse map as it is.
            bulge: How far from its edge the shape is shaded round, in torso lengths; 0 is flat.
            opacity: Below 1 what is behind shines through.
        """
        patch = self.cover(outline)
        if patch is not None:
            self.paint(
                patch, Paint(colour=colour, radius_px=bulge * self.view.torso_px, opacity=opacity), label
            )

    def paint(self, patch: Patch, paint: Paint, label: int | None = None) -> None:
        """Fill a patch; `label` is written where it covers the parse map."""
        alpha = patch.coverage * np.float32(paint.opacity / 255)
        behind = self.image[patch.where]
        self.image[patch.where] = cv2.blendLinear(paint.fill(patch), behind, alpha, 1 - alpha)
        if label is not None:
            np.copyto(self.labels[patch.where], np.uint8(label), where=patch.coverage >= COVERED)


def studio(colour: Colour, image_height: int, image_width: int) -> Image:
    """A lit wall: brightest behind the person's head, darker towards the corners."""
    y, x = np.linspace(-0.6, 1.2, 32)[:, None], np.linspace(-1, 1, 24)
    light = 1.03 - 0.10 * np.sqrt(x**2 + y**2)
    wall = np.minimum(light[..., None] * np.asarray(colour), 255).astype(np.uint8)
    return np.asarray(cv2.resize(wall, (image_width, image_height), interpolation=cv2.INTER_LINEAR))
