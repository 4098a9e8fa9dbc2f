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

Places = tuple[NDArray[np.integer], ...]
"""Rows and columns of pixels."""

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


def spread(picture: Picture, known: Mask) -> Floats:
    """Fill the unknown pixels of (H, W, 3) from the known ones: the nearer, the more of them.

    Where none is known all stay: a sleeve may be so small that its panel's seam shades all of it.

    Source:
        Pull-push of Gortler et al., The Lumigraph, 1996.
    """
    filled = picture.astype(np.float32)
    if not known.any():
        return filled
    levels = [weighted(filled, known)]
    while min(levels[-1].shape[:2]) > COARSEST:
        levels.append(cv2.pyrDown(levels[-1]))
    colours = averaged(levels[-1])
    for level in levels[-2:0:-1]:
        coarse = cv2.pyrUp(colours, dstsize=level.shape[1::-1])
        colours = blended(coarse, averaged(level), np.minimum(level[..., 3] / SURE, 1))
    spread_out = cv2.pyrUp(colours, dstsize=picture.shape[1::-1]) if len(levels) > 1 else colours
    return np.asarray(cv2.copyTo(filled, known.view(np.uint8), spread_out), np.float32)


def weighted(picture: Floats, known: Mask) -> Floats:
    """(H, W, 4) a picture, 0 where it isn't known, and its weight."""
    shares = cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA)  # whose fourth channel is 1
    return np.asarray(cv2.copyTo(shares, known.view(np.uint8)), np.float32)


def averaged(shares: Floats) -> Floats:
    """(H, W, 3) the colours of blurred pictures from `weighted`."""
    weight = np.maximum(shares[..., 3], np.float32(1e-6))
    return np.asarray(cv2.divide(cv2.cvtColor(shares, cv2.COLOR_RGBA2RGB), cv2.merge([weight] * 3)))


def blended(below: Floats, above: Floats, share: NDArray[np.float32]) -> Floats:
    """Lay one (H, W, 3) picture over another where (H, W) `share` says so, 0 to 1."""
    return np.asarray(cv2.blendLinear(above, below, share, 1 - share))


def in_levels(picture: Floats) -> Picture:
    """Round (H, W, 3) to 0 to 255."""
    return np.asarray(cv2.add(picture, 0.0, dtype=cv2.CV_8U), np.uint8)


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
    here = np.nonzero(garment)
    there = mirrored_from(garment, below, parts, here)
    found = ~garment[there] & (kinds[there] == kinds[here])
    plate, missing = photo.astype(np.float32), garment.copy()
    taken, given = (tuple(places[found] for places in pixels) for pixels in (here, there))
    plate[taken], missing[taken] = photo[given], False
    for kind in range(NUM_KINDS):
        known = ~garment & (np.isin(kinds, SKIN) if kind in SKIN else kinds == kind)
        left = missing & (kinds == kind)
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
    shares = weighted(plate[box], where[box])
    blurred = cv2.GaussianBlur(shares, (1, 0), sigmaX=1e-3, sigmaY=sigma, borderType=cv2.BORDER_CONSTANT)
    plate[box] = cv2.copyTo(averaged(blurred), where[box].view(np.uint8), plate[box].copy())


def around(places: Mask, margin: int) -> tuple[slice, slice]:
    """Return rows and columns of a box about (H, W) places, with a margin in px."""
    left, top, width, height = cv2.boundingRect(places.view(np.uint8))
    return (
        slice(max(0, top - margin), top + height + margin),
        slice(max(0, left - margin), left + width + margin),
    )


def kinds_of(densepose: NDArray[np.uint8], a: Floats) -> NDArray[np.uint8]:
    """Return (H, W) what is under the garment: `WALL`, `LIMBS`, `BELLY` or `BOTTOM`."""
    kinds = np.full(256, BELLY, np.uint8)
    kinds[0] = WALL
    kinds[[*ARM_PARTS, *HAND_PARTS, *HEAD_PARTS]] = LIMBS
    upper = kinds[densepose]
    return np.where((upper == BELLY) & (a >= WAISTBAND), np.uint8(BOTTOM), upper)


def mirrored_from(garment: Mask, below: Mask, parts: Parts, here: Places) -> Places:
    """Return what lies as far outside the garment as the pixels `here` lie inside."""
    height, width = garment.shape
    y, x = here
    leftward = (parts.b[here] < 0) == (parts.frame.v[0] > 0)
    before, after, under = outside_of(garment, here)
    beside = np.where(leftward, 2 * before - x + 1, 2 * after - x - 1)
    down = below[here]
    y, x = np.where(down, 2 * under - y - 1, y), np.where(down, x, beside)
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    return np.where(inside, y, here[0]), np.where(inside, x, here[1])


def outside_of(garment: Mask, here: Places) -> tuple[NDArray[np.integer], ...]:
    """Return the last column before, the first one after and the first row below that aren't the garment's.

    Of the pixels `here`; one before the first or after the last of the picture where there is none.
    """
    box = around(garment, 1)  # with what is just outside of it
    top, left = (side.start for side in box)
    outside, (y, x) = ~garment[box], (here[0] - top, here[1] - left)
    last = outside.shape[1] - 1
    before = last - nearest_after(np.flip(outside, 1), 1)[y, last - x]
    after, under = (nearest_after(outside, axis)[y, x] for axis in (1, 0))
    return left + before, left + after, top + under


def nearest_after(mask: Mask, axis: int) -> NDArray[np.int32]:
    """Return for each pixel the first place of `mask` at or after it along an axis; its length where none."""
    down = mask if axis == 0 else np.ascontiguousarray(mask.T)  # which numpy goes along more quickly
    length = np.int32(len(down))
    found = np.where(down, np.arange(length, dtype=np.int32)[:, None], length)[::-1]
    places = np.minimum.accumulate(found, axis=0, out=found)[::-1]
    return places if axis == 0 else places.T


def grown(mask: Mask, px: int) -> Mask:
    """Add `px` to a mask all around."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * px + 1, 2 * px + 1))
    return np.asarray(cv2.dilate(mask.view(np.uint8), kernel).view(np.bool_))


def softened(mask: Mask) -> NDArray[np.float32]:
    """Give a mask the soft edge that a photo's things have, 0 to 1."""
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), SOFT))
