"""Pictures that a user hands over, as a path, a PIL picture or an array: checked, upright, RGB."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Picture = NDArray[np.uint8]
PictureSource = str | Path | Image.Image | NDArray[Any]

MAX_PIXELS = 40_000_000
"""Pictures that claim more are refused before they are decoded."""

MIN_SIDE = 16
"""px. Nobody can be seen in a smaller picture."""

FORMATS = ("JPEG", "PNG", "WEBP")
"""What is decoded; other formats have seldom used, and so seldom tested, decoders."""


def read_picture(source: PictureSource, what: str = "picture") -> Picture:
    """Return a picture as (H, W, 3) RGB, turned as its EXIF orientation says, on white where transparent.

    Args:
        source: Path, PIL picture, or (H, W, 3) or (H, W) uint8 array.
        what: Its name in messages.

    Raises:
        ValueError: It is no picture, or too large or too small a one.
        OSError: The file can't be read.
    """
    if isinstance(source, np.ndarray):
        return from_array(source, what)
    if isinstance(source, Image.Image):
        return upright(source, what)
    try:
        with Image.open(source, formats=FORMATS) as picture:
            return upright(picture, f"{what} {source}")
    except (OSError, Image.DecompressionBombError, SyntaxError) as error:
        if getattr(error, "errno", None) is not None:
            raise  # the file system's: not found, not allowed
        raise ValueError(
            f"{what} {source} must be a whole picture ({', '.join(FORMATS)}) of at most {MAX_PIXELS:,} "
            f"pixels: {error}"
        ) from error


def upright(picture: Image.Image, what: str) -> Picture:
    """Decode and turn a PIL picture."""
    require_size(picture.height, picture.width, what)
    turned = ImageOps.exif_transpose(picture)
    if turned.has_transparency_data:
        clear = turned.convert("RGBA")
        turned = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return np.asarray(turned.convert("RGB"))


def from_array(array: NDArray[Any], what: str) -> Picture:
    """Check an array that should be a picture."""
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ValueError(
            f"{what} must be uint8 of shape (H, W, 3) or (H, W), got {array.dtype} {array.shape}"
        )
    require_size(array.shape[0], array.shape[1], what)
    return array if array.ndim == 3 else np.repeat(array[:, :, None], 3, axis=2)


def require_size(height: int, width: int, what: str) -> None:
    """Raise ValueError unless a picture is neither tiny nor huge."""
    if min(height, width) < MIN_SIDE or height * width > MAX_PIXELS:
        raise ValueError(
            f"{what} must be at least {MIN_SIDE} px a side and have at most {MAX_PIXELS:,} pixels, "
            f"got {width}x{height}"
        )
