"""Photos from strangers: looked at before they are decoded, deleted as soon as they are read."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocess.pictures import FORMATS, read_picture

MAX_BYTES = 20 * 2**20
"""Of a file."""

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
"""Names that a file may have; what it is, its content tells."""

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
    """Read a photo of at most `MAX_BYTES`; its path and name appear in no message.

    Returns:
        (H, W, 3) RGB, upright, at most `KEPT_SIDE` on its longer side.

    Raises:
        ValueError: Too many bytes or pixels, too small, not one of `FORMATS`, or broken.
    """
    num_bytes = path.stat().st_size
    if num_bytes > MAX_BYTES:
        raise ValueError(
            f"The file must have at most {MAX_BYTES >> 20} MB, got {num_bytes / 2**20:.1f}: save it smaller"
        )
    try:
        with Image.open(path, formats=FORMATS) as file:
            photo = Image.fromarray(read_picture(file, "The photo"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"The file must be a whole photo ({', '.join(FORMATS)}), and this one is something else, cut off "
            "or far too large: save it again"
        ) from error
    photo.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(photo)
