"""Photos from strangers: looked at before they are decoded, deleted as soon as they are read."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_BYTES = 20 * 2**20
"""Of a file."""

MAX_PIXELS = 25_000_000
"""Of a photo, read from its header; 75 MB once decoded."""

MIN_SIDE = 64
"""Fewer rows or columns (px) show no garment."""

FORMATS = ("JPEG", "PNG", "WEBP")
"""By content; a file's name says nothing."""

KEPT_SIDE = 1536
"""The longer side of what is kept (px): more than any network here draws."""


def take_photo(path: Path) -> NDArray[np.uint8]:
    """Read an uploaded photo and delete the file, whatever comes of it.

    Args:
        path: The file; it lies in a folder of its own, as Gradio writes it, and the folder goes too.

    Returns:
        (H, W, 3) RGB, upright, at most `KEPT_SIDE` on its longer side.

    Raises:
        ValueError: It isn't a photo that `read_photo` takes.
    """
    try:
        return read_photo(path)
    finally:
        path.unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()


def read_photo(path: Path) -> NDArray[np.uint8]:
    """Read a photo after a look at its size and header.

    Returns:
        (H, W, 3) RGB, upright, at most `KEPT_SIDE` on its longer side.

    Raises:
        ValueError: Too many bytes or pixels, too small, not one of `FORMATS`, or broken.
    """
    num_bytes = path.stat().st_size
    if num_bytes > MAX_BYTES:
        raise ValueError(
            f"The file must have at most {MAX_BYTES >> 20} MB, got {num_bytes / 2**20:.0f} MB: "
            "save it smaller and upload it again"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our bound is lower
        try:
            with Image.open(path, formats=FORMATS) as photo:
                check_header(photo)
                photo.draft("RGB", (KEPT_SIDE, KEPT_SIDE))
                upright = on_white(ImageOps.exif_transpose(photo))
        except (
            UnidentifiedImageError,
            Image.DecompressionBombError,
            OSError,
            SyntaxError,
            EOFError,
        ) as error:
            raise ValueError(unreadable(error)) from error
    upright.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(upright)


def on_white(photo: Image.Image) -> Image.Image:
    """Decode to RGB; what is transparent becomes white, as behind a garment in a shop."""
    if not photo.has_transparency_data:
        return photo.convert("RGB")
    layers = photo.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")


def check_header(photo: Image.Image) -> None:
    """Raise ValueError unless a photo, opened but not decoded, is neither too large nor too small."""
    width, height = photo.size
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"The photo must have at most {MAX_PIXELS / 1e6:.0f} megapixels, got {width * height / 1e6:.0f}: "
            "shrink it and upload it again"
        )
    if min(width, height) < MIN_SIDE:
        raise ValueError(
            f"The photo must have at least {MIN_SIDE} pixels on each side, got {width} x {height}"
        )


def unreadable(error: Exception) -> str:
    """Say why Pillow can't read a file, without its path."""
    if isinstance(error, Image.DecompressionBombError):
        return f"The photo must have at most {MAX_PIXELS / 1e6:.0f} megapixels: shrink it and upload it again"
    kinds = ", ".join(FORMATS)
    if isinstance(error, UnidentifiedImageError):
        return f"The file must be a photo ({kinds}), and this one is none of them"
    return f"The file must be a whole photo ({kinds}), and this one is broken or cut off: save it again"
