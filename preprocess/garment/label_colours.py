"""Which label a colour stands for in the previews and palettes of human parsing."""

import cv2
import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.uint8]

TOLERANCE = 2
"""How far a channel may be off: writers round 169.15 and 254.15 either way."""

LIP_COLOURS = np.array(
    [
        (0, 0, 0),
        (128, 0, 0),
        (255, 0, 0),
        (0, 85, 0),
        (170, 0, 51),
        (255, 85, 0),
        (0, 0, 85),
        (0, 119, 221),
        (85, 85, 0),
        (0, 85, 85),
        (85, 51, 0),
        (52, 86, 128),
        (0, 128, 0),
        (0, 0, 255),
        (51, 170, 221),
        (0, 255, 255),
        (85, 255, 170),
        (170, 255, 85),
        (255, 255, 0),
        (255, 170, 0),
    ],
    np.uint8,
)
"""(20, 3) RGB by label, which LIP's and CIHP's previews share, and VITON-HD's palettes.

Source: `label_colours` of LIP_JPPNet and of CIHP_PGN.
"""


def voc_colours(count: int) -> Colours:
    """Return the first (count, 3) colours of Pascal VOC's palette, which SCHP gives its LIP and ATR labels.

    Source: the devkit's VOClabelcolormap: the bits of the number, three by three, become the highest bits of
    red, green and blue.
    """
    numbers = np.arange(count)
    colours = np.zeros((count, 3), np.int64)
    for bit in range(3):
        for channel in range(3):
            colours[:, channel] |= (numbers >> (3 * bit + channel) & 1) << (7 - bit)
    return colours.astype(np.uint8)


KNOWN_COLOURS = (LIP_COLOURS, voc_colours(len(LIP_COLOURS)))


def labels_of_palette(indices: NDArray[np.uint8], palette: Colours) -> NDArray[np.uint8]:
    """Return the labels of (H, W) palette indices: themselves, unless the palette was put in another order.

    A program that saves a palette picture anew may sort its colours. Known colours, and greys that are
    labels themselves, tell that.

    Args:
        indices: Of the palette.
        palette: (256, 3) RGB.
    """
    if any(is_near(palette[: len(known)], known) for known in KNOWN_COLOURS):
        return indices
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    colours = palette[used]
    labels = labels_of(colours)
    if labels is None and (colours == colours[:, :1]).all() and colours.max() < len(LIP_COLOURS):
        labels = colours[:, 0]
    if labels is None or len(set(labels.tolist())) < len(used):
        return indices
    table = np.zeros(256, np.uint8)
    table[used] = labels
    return np.asarray(cv2.LUT(indices, table))


def labels_of_colours(picture: Colours) -> NDArray[np.uint8] | None:
    """Return the labels of an (H, W, 3) RGB preview; None where its colours are of no known one."""
    codes = picture.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, index = np.unique(codes, return_inverse=True)
    if len(found) > len(LIP_COLOURS):
        return None
    labels = labels_of(np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.uint8))
    return None if labels is None else labels[index].reshape(codes.shape)


def labels_of(colours: Colours) -> NDArray[np.uint8] | None:
    """Return the label of each of (N, 3) colours, all of one known palette; None where there is none."""
    for known in KNOWN_COLOURS:
        off = np.abs(colours[:, None].astype(np.int16) - known).max(axis=2)
        if (off.min(axis=1) <= TOLERANCE).all():
            return np.asarray(off.argmin(axis=1), np.uint8)
    return None


def is_near(one: Colours, other: Colours) -> bool:
    """Tell whether two (N, 3) arrays of colours are equal but for rounding."""
    return one.shape == other.shape and bool((np.abs(one.astype(np.int16) - other) <= TOLERANCE).all())
