"""Read the maps that say what is where in a photo: human parsing and DensePose."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocess.vocabulary import ATR_TO_LIP, GARMENT_LABELS, Category, Lip, ParseLabels

Mask = NDArray[np.bool_]

DENSEPOSE_COLOURS = cv2.applyColorMap(
    (np.arange(25) * 255 // 24).astype(np.uint8)[None], cv2.COLORMAP_PARULA
)[0, :, ::-1].copy()
DENSEPOSE_COLOURS[0] = 0
"""(25, 3) RGB of DensePose's parts (0: background) as VITON-HD's JPEGs have them, checked against those.

Source: OpenCV's PARULA at 255 / 24 of the part's number.
"""

TORSO_PARTS = (1, 2)
"""DensePose's back and front of the torso."""

_BITS = 4  # of each colour channel in the table of the nearest parts


OCCLUDERS = (Lip.HAIR, Lip.GLOVE, Lip.SCARF, Lip.LEFT_ARM, Lip.RIGHT_ARM)
"""What may lie in front of a garment and hide its sides."""


def load_parse(path: Path, labels: ParseLabels = ParseLabels.LIP) -> NDArray[np.uint8]:
    """Read a palette PNG (or a grey one) of `labels` as (H, W) LIP labels.

    Raises:
        ValueError: The file is no such picture.
        OSError: It can't be read.
    """
    with Image.open(path) as picture:
        if picture.mode not in ("P", "L"):
            raise ValueError(
                f"{path} must hold labels (palette or grey), got mode {picture.mode}: use the data set's "
                "label files, not their coloured previews"
            )
        parse = np.asarray(picture)
    if labels is ParseLabels.LIP:
        return parse
    table = np.zeros(256, np.uint8)
    table[: len(ATR_TO_LIP)] = ATR_TO_LIP
    return np.asarray(cv2.LUT(parse, table))


def garment_mask(parse: NDArray[np.uint8], category: Category) -> Mask:
    """Return where (H, W) labels are the worn garment of `category`."""
    return labels_mask(parse, GARMENT_LABELS[category])


def labels_mask(parse: NDArray[np.uint8], labels: Sequence[Lip]) -> Mask:
    """Return where (H, W) labels are one of `labels`."""
    table = np.zeros(256, np.uint8)
    table[list(labels)] = 1
    found: Mask = cv2.LUT(parse, table).view(np.bool_)
    return found


def load_densepose_torso(path: Path, *, reduce: bool = False) -> Mask:
    """Read where DensePose sees the torso, under whatever is worn: (H, W) bool.

    Args:
        path: DensePose's parts in its colours, or a grey picture of their numbers.
        reduce: Decode a JPEG at half its size, at less than half the cost.

    Raises:
        OSError: The file can't be decoded.
    """
    colours = path.suffix.lower() in (".jpg", ".jpeg")
    picture = cv2.imread(
        str(path), cv2.IMREAD_REDUCED_COLOR_2 if reduce and colours else cv2.IMREAD_UNCHANGED
    )
    if picture is None:
        raise OSError(f"{path}: not a readable picture")
    if picture.ndim == 2:
        return np.isin(picture, TORSO_PARTS)
    return densepose_torso(picture[:, :, 2::-1])


def densepose_torso(picture: NDArray[np.uint8]) -> Mask:
    """Return where an (H, W, 3) RGB picture in DensePose's colours shows the torso."""
    red, green, blue = (picture[:, :, channel].astype(np.uint16) >> (8 - _BITS) for channel in range(3))
    found: Mask = _torso_table()[(red << 2 * _BITS) | (green << _BITS) | blue]
    return found


@cache
def _torso_table() -> Mask:
    """(4096,) bool: whether the colour nearest to each coarse RGB cell is a torso part's."""
    levels = (np.arange(1 << _BITS) + 0.5) * (1 << (8 - _BITS))
    cells = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    nearest = ((cells - DENSEPOSE_COLOURS.astype(np.float64)) ** 2).sum(axis=-1).argmin(axis=1)
    return np.isin(nearest, TORSO_PARTS)
