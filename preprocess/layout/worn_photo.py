"""The worn garment resized in the photo itself: its cloth is warped, and what comes bare is filled.

No network draws: every colour is one of the photo's. The garment's mask follows, so that what is measured in
the picture is what was asked for.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.canvas import Mask
from preprocess.body.keypoints import Array, Keypoints
from preprocess.layout.bare import Picture, spread, without_garment
from preprocess.layout.parts import split
from preprocess.layout.resized import RESIZED, UNCHANGED
from preprocess.layout.warp import Layer, Sides, panel_of, sleeve_layer, torso_layer
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import require_shape

RIM, INNER_RIM = 0.015, 0.006
"""T. So far outside its mask a garment may show, and so far inside something else: masks are inexact."""

STRAY = 0.08
"""T. What a mask has of the torso part so far below the hem is something else."""

HEM_HEIGHT = 0.15
"""T. What comes bare below, and so far above, the new hem is taken from what is seen below it."""

SOFT = 0.6
"""px. Standard deviation by which edges are softened, as a lens does."""

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
        worn: The photo.
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
    parts = split(worn.garment_mask, keypoints)
    if parts is None:
        return None
    rim, inner = (max(1, round(share * parts.frame.torso_length)) for share in (RIM, INNER_RIM))
    stray = parts.torso & (parts.a > parts.length + STRAY)
    garment = worn.garment_mask & ~stray
    below = parts.a > parts.length * min(growth[2], 1.0) - HEM_HEIGHT
    plate = without_garment(worn.photo, grown(garment, rim), below, parts, densepose)
    sides = Sides.of(parts, float(natural[places][RESIZED.index("width")]))
    torso = panel_of(parts, sides, garment)
    sleeves = garment & grown(
        garment & ~torso, 2 * rim
    )  # going on under the torso part, so that no gap opens
    layers = sleeve_layer(parts, sides, growth, sleeves), torso_layer(parts, sides, growth, torso)
    cloth = spread(worn.photo, ~grown(~garment, inner))
    drawn, cover, moved = plate, np.zeros(garment.shape, np.float32), np.zeros(garment.shape, np.bool_)
    for layer in layers:
        over, drawn = lay_over(drawn, cloth, layer, *layer.sources(parts))
        cover = np.maximum(cover, over)
        moved = np.where(over > 1 / 2, layer.distance(parts) > MOVED, moved)
    layout = (cover > 1 / 2) | stray
    changed = grown((moved & layout) | (layout != worn.garment_mask), rim)
    photo = worn.photo + softened(changed)[..., None] * (drawn - worn.photo)
    return WornPhoto(photo.round().clip(0, 255).astype(np.uint8), layout)


def lay_over(
    below: NDArray[np.float32],
    cloth: NDArray[np.float32],
    layer: Layer,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lay a layer over what is below.

    Args:
        below: (H, W, 3).
        cloth: (H, W, 3) the garment's colours, going on beyond its edges.
        layer: Its mask.
        x: (H, W) column that each pixel takes it from.
        y: (H, W) row likewise.

    Returns:
        (H, W) how far the layer covers each pixel, and (H, W, 3) both together.
    """
    moved = cv2.remap(cloth, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.remap(softened(layer.mask), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cover), np.asarray(below + cover[..., None] * (moved - below))


def grown(mask: Mask, px: int) -> Mask:
    """Add `px` to a mask all around."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * px + 1, 2 * px + 1))
    larger: Mask = cv2.dilate(mask.view(np.uint8), kernel).view(np.bool_)
    return larger


def softened(mask: Mask) -> NDArray[np.float32]:
    """Give a mask the soft edge that a photo's things have, 0 to 1."""
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), SOFT))
