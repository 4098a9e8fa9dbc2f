"""What a photo would show where a garment no longer covers it: skin, the lower garment, the wall.

Nothing is invented: a bare place shows what is seen next to it, mirrored about the garment's edge, where
that is of the same kind; else it takes the nearest colours of its kind. The kinds are told by DensePose,
which sees the body under whatever is worn. Of the body above the waistband skin shows.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.canvas import Mask
from preprocess.layout.parts import Parts
from preprocess.vocabulary import ARM_PARTS

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]

WAISTBAND = 0.85
"""Row, in T, below which the lower garment covers the body."""

HAND_PARTS, HEAD_PARTS = (3, 4), (23, 24)

WALL, LIMBS, BELLY, BOTTOM = range(4)
NUM_KINDS = 4
SKIN = (LIMBS, BELLY)
"""Kinds of places: what bare ones show is of the same kind, or skin for skin."""

NEARBY = 8
"""Colours are looked for within this part of the picture's height about a place that is to be filled."""

COARSEST = 4
"""Rows or columns of the smallest picture that colours are spread in."""

EVEN = 0.02
"""T. Standard deviation by which rows beside the garment are evened out."""

SURE = 0.02
"""Weight from which a place's own colour counts as known."""

SOFT = 0.6
"""px. Standard deviation by which edges are softened, as a lens does."""


def spread(picture: Picture | Floats, known: Mask) -> Floats:
    """Fill the unknown pixels of (H, W, 3) from the known ones: the nearer, the more of them.

    Where none is known all stay: a sleeve may be so small that its panel's seam shades all of it.

    Source:
        Pull-push of Gortler et al., The Lumigraph, 1996.
    """
    if not known.any():
        return np.asarray(picture, np.float32)
    weight = known.astype(np.float32)[..., None]
    levels = [np.concatenate([picture * weight, weight], axis=2)]
    while min(levels[-1].shape[:2]) > COARSEST:
        levels.append(cv2.pyrDown(levels[-1]))
    filled = levels[-1][..., :3] / np.maximum(levels[-1][..., 3:], 1e-6)
    for level in levels[-2:0:-1]:
        coarse = cv2.pyrUp(filled, dstsize=level.shape[1::-1])
        own = np.minimum(level[..., 3:] / SURE, 1)
        filled = coarse + own * (level[..., :3] / np.maximum(level[..., 3:], 1e-6) - coarse)
    spread_out = cv2.pyrUp(filled, dstsize=picture.shape[1::-1]) if len(levels) > 1 else filled
    return np.asarray(np.where(known[..., None], picture, spread_out), np.float32)


def without_garment(
    photo: Picture, garment: Mask, below: Mask, parts: Parts, densepose: NDArray[np.uint8]
) -> Floats:
    """Paint a photo as if its garment weren't worn.

    Args:
        photo: (H, W, 3) RGB.
        garment: (H, W) bool, all that may show some of the garment.
        below: (H, W) bool, what the hem uncovers; elsewhere the sides do.
        parts: The garment taken apart.
        densepose: (H, W) DensePose's parts, 0 to 24.

    Returns:
        (H, W, 3); elsewhere than under the garment it is the photo.
    """
    kinds = kinds_of(densepose, parts.a)
    y, x = mirrored_from(garment, below, parts)
    found = garment & ~garment[y, x] & (kinds[y, x] == kinds)
    plate = photo.astype(np.float32)
    plate[found] = photo[y, x][found]
    for kind in range(NUM_KINDS):
        known = ~garment & (np.isin(kinds, SKIN) if kind in SKIN else kinds == kind)
        left = garment & ~found & (kinds == kind)
        if left.any():
            near = around(left, photo.shape[0] // NEARBY)
            filled = spread(photo[near], known[near] if known[near].any() else ~garment[near])
            plate[near][left[near]] = filled[left[near]]
    evened(plate, garment & ~below, EVEN * parts.frame.torso_length)
    return plate


def evened(plate: Floats, where: Mask, sigma: float) -> None:
    """Even out a picture's rows inside a mask, in place: filled over a ragged edge, they differ."""
    if not where.any():
        return
    box = around(where, 0)
    inside = where[box].astype(np.float32)[..., None]
    shares = np.concatenate([plate[box] * inside, inside], axis=2)
    blurred = cv2.GaussianBlur(shares, (1, 0), sigmaX=1e-3, sigmaY=sigma, borderType=cv2.BORDER_CONSTANT)
    even = blurred[..., :3] / np.maximum(blurred[..., 3:], 1e-6)
    plate[box][where[box]] = even[where[box]]


def around(places: Mask, margin: int) -> tuple[slice, slice]:
    """Return rows and columns of a box about (H, W) places, with a margin in px."""
    left, top, width, height = cv2.boundingRect(places.view(np.uint8))
    return (
        slice(max(0, top - margin), top + height + margin),
        slice(max(0, left - margin), left + width + margin),
    )


def kinds_of(densepose: NDArray[np.uint8], a: Floats) -> NDArray[np.uint8]:
    """Return (H, W) what is under the garment: `WALL`, `LIMBS`, `BELLY` or `BOTTOM`."""
    arms = np.isin(densepose, (*ARM_PARTS, *HAND_PARTS, *HEAD_PARTS))
    kinds = np.where(densepose > 0, np.where(a < WAISTBAND, BELLY, BOTTOM), WALL)
    return np.where(arms, LIMBS, kinds).astype(np.uint8)


def mirrored_from(garment: Mask, below: Mask, parts: Parts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row and column of what lies as far outside the garment as each pixel lies inside."""
    height, width = garment.shape
    rows, columns = np.arange(height)[:, None], np.arange(width)[None]
    leftward = (parts.b < 0) == (parts.frame.v[0] > 0)
    before = width - 1 - np.flip(nearest_after(~np.flip(garment, 1), 1), 1)
    beside = np.where(leftward, before, nearest_after(~garment, 1))
    y = np.where(below, 2 * nearest_after(~garment, 0) - rows - 1, rows)
    x = np.where(below, columns, 2 * beside - columns + np.where(leftward, 1, -1))
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    return np.where(inside, y, rows), np.where(inside, x, columns)


def nearest_after(mask: Mask, axis: int) -> NDArray[np.int64]:
    """Return for each pixel the first place of `mask` at or after it along an axis; its length where none."""
    length = mask.shape[axis]
    at = np.arange(length).reshape((-1, 1) if axis == 0 else (1, -1))
    found = np.where(mask, at, length)
    places: NDArray[np.int64] = np.flip(np.minimum.accumulate(np.flip(found, axis), axis), axis)
    return places


def grown(mask: Mask, px: int) -> Mask:
    """Add `px` to a mask all around."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * px + 1, 2 * px + 1))
    larger: Mask = cv2.dilate(mask.view(np.uint8), kernel).view(np.bool_)
    return larger


def softened(mask: Mask) -> NDArray[np.float32]:
    """Give a mask the soft edge that a photo's things have, 0 to 1."""
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), SOFT))
