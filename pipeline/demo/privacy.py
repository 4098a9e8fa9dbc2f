"""Photos from strangers: looked at before they are decoded, deleted and forgotten soon after."""

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocess.pictures import UPLOADED, PictureError, read_picture
from preprocess.untrusted import STRANGERS

MAX_BYTES = 20 * 2**20
"""Of a file."""

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
"""Names that a file may have; what it is, its content tells."""

DELETE_AFTER = 60.0
"""Seconds from the reading of a file to its end."""

MOST_VISITORS = 32
"""Beyond this the one who was quiet for longest is forgotten."""

FORGET_AFTER = 900
"""Seconds without a new picture after which a visitor is forgotten."""

KEPT_SIDE = 1536
"""The longer side of what is kept (px): more than any network here draws."""


class Uploads:
    """Reads uploaded photos, and deletes their files a little later.

    Gradio keeps one file of equal uploads: deleted at once, it would be gone for whoever sent the same photo.
    """

    def __init__(self) -> None:
        self._read: dict[Path, float] = {}

    def take(self, path: Path) -> NDArray[np.uint8]:
        """Read a photo as `read_photo` does; its file is marked to be deleted, whatever comes of it."""
        self._read[path] = time.monotonic()
        return read_photo(path)

    def delete_read(self, older_than: float = DELETE_AFTER) -> None:
        """Delete files that were last read more than so many seconds ago."""
        now = time.monotonic()
        for path, at in list(self._read.items()):
            if now - at > older_than:
                path.unlink(missing_ok=True)
                del self._read[path]


def read_photo(path: Path) -> NDArray[np.uint8]:
    """Read a photo of at most `MAX_BYTES`; its path and name appear in no message.

    Returns:
        (H, W, 3) RGB, upright, at most `KEPT_SIDE` on its longer side.

    Raises:
        ValueError: Too many bytes or pixels, too small, not one of `UPLOADED`, or broken.
    """
    num_bytes = path.stat().st_size
    if num_bytes > MAX_BYTES:
        raise ValueError(
            f"The file must have at most {MAX_BYTES >> 20} MB, got {num_bytes / 2**20:.1f}: save it smaller"
        )
    try:
        picture = read_picture(path.read_bytes(), "The photo", limits=STRANGERS, formats=UPLOADED)
    except PictureError as error:
        raise ValueError(
            f"The file {error.problem}. It must be a whole photo ({', '.join(UPLOADED)}), and this one is "
            "something else, cut off, or far too large or small: save it again"
        ) from error
    photo = Image.fromarray(picture)
    photo.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(photo)
