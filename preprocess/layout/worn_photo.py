"""The worn garment resized in the photo itself: its cloth is warped, and what comes bare is filled.

No network draws: every colour is one of the photo's. The garment's mask follows, so that what is measured in
the picture is what was asked for.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.canvas import Mask
from preprocess.body.keypoints import Array, Keypoints
from preprocess.garment.measurements import measure_worn
from preprocess.garment.scene import Scene
from preprocess.garment.size_ratios import SizeRatioParams, size_ratios
from preprocess.layout.bare import Floats, Picture, spread, without_garment
from preprocess.layout.parts import Parts, split
from preprocess.layout.prints import periods_of, whole_periods
from preprocess.layout.resized import RESIZED, UNCHANGED
from preprocess.layout.warp import Layer, Sides, panel_of, sleeve_layer, torso_layer
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import Category, require_shape

RESIZABLE = (Category.UPPER, Category.DRESS)
"""Categories whose garments can be resized in the photo: those that hang from the shoulders."""

RIM, INNER_RIM = (2, 0.015), (1, 0.006)
"""Least px, and T. Masks are inexact: a garment may show so far outside, and something else inside."""

STRAY = 0.08
"""T. What a mask has of the torso part so far below the hem is something else."""

HEM_HEIGHT = 0.15
"""T. What comes bare below, and so far above, the new hem is taken from what is seen below it."""

ABOUT = 6
"""This part of the picture's height about a garment is looked at."""

SOFT = 0.6
"""px. Standard deviation by which edges are softened, as a lens does."""

SHOWN = 0.03
"""Share by which a ratio may be off that is still shown."""

MOVED = 0.3
"""px. What moved less than this is left as the photo has it."""


@dataclass(frozen=True, slots=True, eq=False)
class WornPhoto:
    """A photo of a person in a garment."""

    photo: Picture
    """(H, W, 3) RGB."""

    garment_mask: Mask
    """(H, W) the garment in it."""


def resize_worn(
    worn: WornPhoto,
    keypoints: Keypoints,
    natural: Array,
    requested: Array,
    densepose: NDArray[np.uint8],
) -> WornPhoto | None:
    """Show the worn garment at another size.

    Args:
        worn: The photo; its garment hangs from the shoulders.
        keypoints: Of the wearer, px.
        natural: (A,) ratios the garment is worn at, in the order of `AXIS_NAMES`; NaN where unknown.
        requested: (A,) ratios wanted; NaN, or one whose natural ratio is unknown, leaves it as it is.
        densepose: (H, W) DensePose's parts, 0 to 24, which tell what is under the garment.

    Returns:
        None when nothing changes, or when nothing of the garment covers the chest.

    Raises:
        KeypointError: Shoulders or hips are missing.

    Source:
        Ours. Changes are relative, so a width that is told by the photo's edges, and not by the mask alone,
        grows as it should.
    """
    require_shape("natural", natural, (len(AXIS_NAMES),))
    require_shape("requested", requested, (len(AXIS_NAMES),))
    places = [AXIS_NAMES.index(name) for name in RESIZED]
    growth = np.nan_to_num((requested / natural)[places], nan=1.0)
    if (np.abs(growth - 1) <= UNCHANGED).all() or not worn.garment_mask.any():
        return None
    left, top, right, bottom = room_for(worn.garment_mask, growth)
    box = slice(top, bottom), slice(left, right)
    seen = WornPhoto(worn.photo[box], worn.garment_mask[box])
    joints = replace(keypoints, xy=keypoints.xy - (left, top))
    parts = split(seen.garment_mask, joints, Scene(photo=seen.photo, densepose=densepose[box]))
    if parts is None:
        return None
    new = drawn_at(seen, parts, growth, float(natural[AXIS_NAMES.index("width")]), densepose[box])
    photo, layout = worn.photo.copy(), worn.garment_mask.copy()
    photo[box], layout[box] = new.photo, new.garment_mask
    return WornPhoto(photo, layout)


def room_for(garment: Mask, growth: Array) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom px of what a garment at (3,) growths covers, with room about it."""
    height, width = garment.shape
    x, y, across, down = cv2.boundingRect(garment.view(np.uint8))
    margin = height // ABOUT + round(max(across, down) * max(0.0, float(growth.max()) - 1))
    return (
        max(0, x - margin),
        max(0, y - margin),
        min(width, x + across + margin),
        min(height, y + down + margin),
    )


def drawn_at(
    worn: WornPhoto, parts: Parts, growth: Array, width: float, densepose: NDArray[np.uint8]
) -> WornPhoto:
    """Draw the garment at (3,) growths of shoulder, width and length; its natural width is NaN if unknown."""
    rim, inner = (max(px, round(share * parts.frame.torso_length)) for px, share in (RIM, INNER_RIM))
    stray = parts.torso & (parts.a > parts.length + STRAY)
    garment = worn.garment_mask & ~stray
    below = parts.a > parts.length * min(growth[2], 1.0) - HEM_HEIGHT
    plate = without_garment(worn.photo, grown(garment, rim), below, parts, densepose)
    sides = Sides.of(parts, width)
    torso = garment & grown(panel_of(parts, sides, garment), inner)  # with the shadow of its seam
    beside = garment & ~torso
    sleeves = garment & grown(beside, 2 * rim)  # going on under the torso part, so that no gap opens
    layers = sleeve_layer(parts, sides, growth, sleeves), torso_layer(parts, sides, growth, torso)
    shown = ~grown(~garment, inner)
    cloth = spread(worn.photo, shown)
    bared = growth[1] < 1 and beside.any()  # then sleeves come out from under it, without its seam's shadow
    seamless = spread(worn.photo, shown & ~grown(torso, 2 * rim)) if bared else cloth
    drawn, cover, moved = plate, np.zeros(garment.shape, np.float32), np.zeros(garment.shape, np.bool_)
    repeats = periods_of(cloth, parts)
    for own, layer in zip((seamless, cloth), layers, strict=True):
        sources = layer.sources(parts)
        over = cv2.remap(softened(layer.mask), *sources, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        drawn = drawn + over[..., None] * (carried(own, layer, sources, parts, repeats) - drawn)
        cover = np.maximum(cover, over)
        moved = np.where(over > 1 / 2, layer.distance(parts) > MOVED, moved)
    layout = (cover > 1 / 2) | stray
    changed = grown((moved & layout) | (layout != worn.garment_mask), rim)
    photo = worn.photo + softened(changed)[..., None] * (drawn - worn.photo)
    return WornPhoto(photo.round().clip(0, 255).astype(np.uint8), layout)


def shows(
    worn: WornPhoto, keypoints: Keypoints, ratios: Array, densepose: NDArray[np.uint8], category: Category
) -> bool:
    """Whether a photo shows its garment at (A,) ratios: each that is not NaN is known in it, and measures so.

    A panel that grew over an arm, or shrank off a sleeve, ends where nothing tells it from them.
    """
    measured = measure_worn(worn.garment_mask, keypoints, Scene(photo=worn.photo, densepose=densepose))
    found = size_ratios(measured, SizeRatioParams(), category=category, keypoints=keypoints)
    said = np.isfinite(ratios)
    near = np.abs(found.ratios[said] / ratios[said] - 1) <= SHOWN
    return bool((near & found.known[said]).all())


def carried(
    cloth: Floats, layer: Layer, sources: tuple[Floats, Floats], parts: Parts, repeats: tuple[float, float]
) -> Floats:
    """Return (H, W, 3) the cloth where a layer has it; a print that repeats keeps its scale."""
    moved = cv2.remap(cloth, *sources, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if np.isnan(repeats).all():
        return np.asarray(moved)
    across = repeats[1] * parts.frame.torso_length / parts.frame.shoulder_width
    whole = Layer(
        layer.mask,
        parts.a - whole_periods(parts.a - layer.a, repeats[0]),
        parts.b - whole_periods(parts.b - layer.b, across),
    )
    printed = cv2.remap(cloth, *whole.sources(parts), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    spread_px = float(np.nanmax(repeats)) * parts.frame.torso_length
    light = cv2.GaussianBlur(moved, (0, 0), spread_px) / np.maximum(
        cv2.GaussianBlur(printed, (0, 0), spread_px), 1
    )
    return np.asarray(printed * light.clip(0.7, 1.4))


def grown(mask: Mask, px: int) -> Mask:
    """Add `px` to a mask all around."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * px + 1, 2 * px + 1))
    larger: Mask = cv2.dilate(mask.view(np.uint8), kernel).view(np.bool_)
    return larger


def softened(mask: Mask) -> NDArray[np.float32]:
    """Give a mask the soft edge that a photo's things have, 0 to 1."""
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), SOFT))
