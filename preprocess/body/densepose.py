"""Read DensePose: pictures in its colours, or maps of its part numbers."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.masks import ARRAYS, Levels, MaskSource, read_levels
from preprocess.pictures import LIMITS, Limits, PictureError
from preprocess.places import here, kept

Mask = NDArray[np.bool_]
Parts = NDArray[np.uint8]

NUM_PARTS = 25
DENSEPOSE_COLOURS = cv2.applyColorMap(
    (np.arange(NUM_PARTS) * 255 // (NUM_PARTS - 1)).astype(np.uint8)[None], cv2.COLORMAP_PARULA
)[0, :, ::-1].copy()
DENSEPOSE_COLOURS[0] = 0
"""(25, 3) RGB of DensePose's parts (0: background) as VITON-HD's JPEGs have them, checked against those.

Source: OpenCV's PARULA at 255 / 24 of the part's number.
"""

IN_A_MIRROR = np.array([0, 1, 2, *(part + 1 if part % 2 else part - 1 for part in range(3, NUM_PARTS))])
"""(25,) for each part what takes its place in a mirror; from the hands on, right and left alternate."""

FAR = 48.0
"""Distance in RGB from which a colour is none of DensePose's, nor a mixture that JPEG makes at edges."""

MOST_FAR = 0.25
"""Share of the pixels that aren't black which may be of other colours."""

FEWEST_SHOWN = 0.002
"""Share of the pixels that must not be black: a picture that is as good as black shows nobody, or numbers."""

_BITS = 5  # of each colour channel in the tables of the nearest parts; 4 take a hand for the other
_BLACK = 48  # no channel is lighter: the background, or a part's number


def read_densepose(source: MaskSource, *, limits: Limits = LIMITS) -> NDArray[np.uint8]:
    """Read DensePose's parts as (H, W, 3) RGB in its colours.

    Args:
        source: Its picture, or a map of part numbers: grey, palette, IUV, `.npy`, `.npz`, an array.
        limits: What is too large.

    Raises:
        PictureError: It is neither.
        OSError: The file can't be read.
    """
    levels = read_levels(source, "DensePose", limits=limits).grey()
    name = f"DensePose {source}" if isinstance(source, str | Path) else "DensePose"
    numbers = part_numbers(levels)
    if numbers is not None:
        if levels.lossy and numbers.any():
            raise PictureError(name, "has part numbers in a format that changes them: save it as PNG")
        return np.asarray(DENSEPOSE_COLOURS[numbers])
    picture = levels.values
    if levels.palette is not None:
        picture = levels.palette[picture]
    if picture.ndim == 2 or far_share(picture) > MOST_FAR:
        raise PictureError(
            name,
            "must show DensePose's parts in its own colours (PARULA, as VITON-HD has them), or hold "
            "their numbers 0 to 24: draw it again, or save the numbers as a grey PNG",
        )
    return np.asarray(picture)


def part_numbers(levels: Levels) -> NDArray[np.uint8] | None:
    """Return (H, W) part numbers where the levels are some: alone, or as a channel of I, U and V."""
    values = levels.values
    if values.ndim == 3:
        narrow = [channel for channel in (0, 2) if values[:, :, channel].max() < NUM_PARTS]
        if not narrow or values.max() < NUM_PARTS:
            return None
        values = values[:, :, narrow[0]]
    if levels.palette is not None and far_share(levels.palette[values]) <= MOST_FAR:
        return None
    whole = values.dtype.kind in "ui" or bool((values == np.rint(values)).all())
    return values.astype(np.uint8) if whole and values.min() >= 0 and values.max() < NUM_PARTS else None


def load_densepose(path: Path, *, reduce: bool = False) -> Parts:
    """Read which part DensePose sees where, under whatever is worn: (h, w), 0 where there is nobody.

    Args:
        path: What `read_densepose` takes.
        reduce: Decode a JPEG at half its size, at less than half the cost.

    Raises:
        PictureError: It shows no DensePose.
        OSError: The file can't be read.
    """
    path = kept(path)
    if reduce and path.suffix.lower() not in (".png", *ARRAYS):
        picture = reduced(path)
        if picture is not None and far_share(picture[:, :, ::-1]) <= MOST_FAR:
            return nearest_parts(picture[:, :, ::-1])
    return nearest_parts(read_densepose(path))


def reduced(path: Path) -> NDArray[np.uint8] | None:
    """Decode a JPEG at half its size: (h, w, 3) BGR; None where that can't be done."""
    file = here(path, LIMITS.max_bytes)
    if isinstance(file, Path):
        return cv2.imread(str(file), cv2.IMREAD_REDUCED_COLOR_2)
    content = np.frombuffer(file.getbuffer(), np.uint8)
    return cv2.imdecode(content, cv2.IMREAD_REDUCED_COLOR_2) if len(content) else None


def nearest_parts(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the part, 0 to 24, whose colour is nearest to that of each pixel of (..., 3) RGB."""
    return np.asarray(_parts_table()[_cells(picture)])


def with_sides_swapped(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give (..., 3) RGB pictures the colours of the other side, JPEG noise and all."""
    colours = DENSEPOSE_COLOURS.astype(np.int16)
    swapped: NDArray[np.int16] = picture + (colours[IN_A_MIRROR] - colours)[nearest_parts(picture)]
    return swapped.clip(0, 255).astype(np.uint8)


def far_share(picture: NDArray[np.uint8]) -> float:
    """Share of an (H, W, 3) RGB picture's pixels, the black ones left out, that have none of the colours.

    1 for a picture that is as good as black.
    """
    small = picture[::8, ::8]
    shown = small[(small > _BLACK).any(axis=2)]
    if len(shown) < FEWEST_SHOWN * small[..., 0].size:
        return 1.0
    return float(_far_table()[_cells(shown)].mean())


def _cells(picture: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Coarse RGB cell of each pixel of (..., 3)."""
    red, green, blue = (picture[..., channel].astype(np.uint16) >> (8 - _BITS) for channel in range(3))
    return np.asarray((red << 2 * _BITS) | (green << _BITS) | blue, np.uint16)


@cache
def _distances() -> NDArray[np.float64]:
    """(32768, 25) squared distance of each coarse RGB cell to each part's colour."""
    levels = (np.arange(1 << _BITS) + 0.5) * (1 << (8 - _BITS))
    cells = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    return np.asarray(((cells - DENSEPOSE_COLOURS.astype(np.float64)) ** 2).sum(axis=-1))


@cache
def _parts_table() -> NDArray[np.uint8]:
    """(32768,) the part whose colour is nearest to each coarse RGB cell."""
    return np.asarray(_distances().argmin(axis=1), np.uint8)


@cache
def _far_table() -> Mask:
    """(32768,) bool: whether no part's colour is near a coarse RGB cell."""
    return np.asarray(_distances().min(axis=1) > FAR**2)
