"""The one reader of masks, and of maps of numbers, in every form in which people keep them.

A mask is a picture that is light inside, a picture whose alpha is the mask, or an array that isn't 0 inside.
What could mean two things is refused with both readings named.
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocess.pictures import (
    DEEP_MODES,
    LIMITS,
    Limits,
    PictureError,
    opened,
    require_bytes,
    turned,
)
from preprocess.places import RemotePath, here, place

Mask = NDArray[np.bool_]
MaskSource = str | Path | bytes | Image.Image | NDArray[Any]

ARRAYS = (".npy", ".npz")
"""Suffixes of NumPy's files; pickles in them are refused."""

LARGEST_MIDDLE = 0.25
"""Share of a mask's pixels that may be neither dark nor light: soft edges, and what JPEG leaves of them."""

OPAQUE = 128
"""Alpha from which a pixel counts as covered."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Levels:
    """What a file holds, as it holds it."""

    values: NDArray[Any]
    """(H, W) grey levels, palette indices or numbers; or (H, W, 3) colours."""

    alpha: NDArray[np.uint8] | None = None
    """(H, W), where the file has some."""

    palette: NDArray[np.uint8] | None = None
    """(256, 3) RGB of the indices, where `values` are some."""

    lossy: bool = False
    """Whether the format changes numbers."""

    def grey(self) -> "Levels":
        """The same with (H, W) `values`, where all channels are equal."""
        if self.values.ndim == 3 and (self.values == self.values[:, :, :1]).all():
            return replace(self, values=self.values[:, :, 0])
        return self


def read_levels(source: MaskSource, what: str, *, limits: Limits = LIMITS) -> Levels:
    """Read a file or an array without interpreting its numbers; a picture is turned upright by its EXIF tag.

    Raises:
        PictureError: It is no whole picture or array of numbers, or too large or too small a one.
        OSError: The file can't be read.
    """
    if isinstance(source, np.ndarray):
        return from_numbers(source, what, limits)
    if isinstance(source, str | Path) and (path := place(source)).suffix.lower() in ARRAYS:
        return from_numbers(read_array(path, what, limits), f"{what} {source}", limits)
    if isinstance(source, RemotePath):
        what, source = f"{what} {source}", source.read_bytes(limits.max_bytes + 1)
    with opened(source, what, limits=limits) as picture:
        lossy = is_lossy(picture, source)
        return replace(levels_of(turned(picture)), lossy=lossy)


def levels_of(picture: Image.Image) -> Levels:
    """Decode an upright picture."""
    if picture.mode in ("1", "L", *DEEP_MODES):
        return Levels(values=np.asarray(picture))
    alpha = None
    if picture.has_transparency_data:
        alpha = np.asarray(picture.convert("RGBA").getchannel("A"))
    if picture.mode == "P":
        colours = np.zeros((256, 3), np.uint8)
        entries = np.frombuffer(bytes(picture.getpalette("RGB") or ()), np.uint8).reshape(-1, 3)
        colours[: len(entries)] = entries
        return Levels(values=np.asarray(picture), alpha=alpha, palette=colours)
    if picture.mode == "LA":
        return Levels(values=np.asarray(picture.getchannel("L")), alpha=alpha)
    return Levels(values=np.asarray(picture.convert("RGB")), alpha=alpha)


def is_lossy(picture: Image.Image, source: MaskSource) -> bool:
    """Tell whether a picture's format changes numbers; of a WebP whose file is gone that isn't known."""
    if picture.format != "WEBP":
        return picture.format in ("JPEG", "MPO")
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            return webp_stream(file) == b"VP8 "
    if isinstance(source, bytes):
        return webp_stream(io.BytesIO(source)) == b"VP8 "
    opened_from = getattr(picture, "fp", None)
    if opened_from is None or opened_from.closed:
        return False
    place = opened_from.tell()
    opened_from.seek(0)
    found = webp_stream(opened_from)
    opened_from.seek(place)
    return found == b"VP8 "


def webp_stream(file: IO[bytes]) -> bytes | None:
    """Return which of WebP's streams of pixels comes first, `VP8 ` (lossy) or `VP8L`; None where none does.

    Source: WebP Container Specification: chunks of 4 letters, their size and their bytes, padded to even;
    a frame of an animation is one that has others after 16 bytes of its own.
    """
    riff = file.read(12)
    if riff[:4] != b"RIFF" or riff[8:] != b"WEBP":
        return None
    while len(head := file.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name in (b"VP8 ", b"VP8L"):
            return name
        file.seek(16 if name == b"ANMF" else size + size % 2, io.SEEK_CUR)
    return None


def read_array(path: Path, what: str, limits: Limits) -> NDArray[Any]:
    """Read a `.npy`, or the one array of a `.npz` (or its `mask`, `labels` or `arr_0`), without pickles."""
    name = f"{what} {path}"
    file = here(path, limits.max_bytes + 1)
    try:
        require_bytes(path if isinstance(file, Path) else file.getvalue(), name, limits)
        if path.suffix.lower() == ".npy":
            return np.array(np.load(file, mmap_mode="r" if file is path else None, allow_pickle=False))
        with zipfile.ZipFile(file) as archive:
            largest = max((member.file_size for member in archive.infolist()), default=0)
        if largest > limits.max_bytes:
            raise PictureError(name, f"must unfold to at most {limits.max_bytes:,} bytes")
        if isinstance(file, io.BytesIO):
            file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            return np.asarray(arrays[the_array(arrays.files, name)])
    except PictureError:
        raise
    except Exception as error:  # zip files and NumPy's headers raise anything when they are broken
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise PictureError(name, f"must be an array of numbers, without pickles: {error}") from error


def the_array(names: Sequence[str], what: str) -> str:
    """Return which of an archive's arrays is meant."""
    known = [name for name in ("mask", "labels", "arr_0") if name in names]
    if len(names) == 1 or known:
        return known[0] if known else names[0]
    raise PictureError(
        what, f"must have one array, or one named mask, labels or arr_0, got {', '.join(names) or 'none'}"
    )


def from_numbers(array: NDArray[Any], what: str, limits: Limits) -> Levels:
    """Check an array of numbers: (H, W), with any axes of length 1; or (H, W, 3) or (H, W, 4) colours."""
    colours = array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8
    values = array if colours else np.squeeze(array)
    if values.dtype.kind not in "buif" or (values.ndim != 2 and not colours):
        raise PictureError(
            what,
            "must be numbers of shape (H, W), or uint8 colours of shape (H, W, 3), "
            f"got {array.dtype} {array.shape}",
        )
    if not 0 < values.size <= 3 * limits.max_pixels:
        raise PictureError(what, f"must have 1 to {limits.max_pixels:,} pixels, got {values.shape}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise PictureError(what, "must be finite numbers")
    if colours and values.shape[2] == 4:
        return Levels(values=values[:, :, :3], alpha=values[:, :, 3])
    return Levels(values=values)


def read_mask(source: MaskSource, what: str = "mask", *, limits: Limits = LIMITS) -> Mask:
    """Read a mask: (H, W) bool.

    Where a picture's alpha varies, that is the mask. Otherwise the lighter of two levels is inside, whatever
    they are: 0 and 1, 0 and 255, 300 and 30000, black and a colour.

    Args:
        source: Path, bytes, PIL picture, or array.
        what: Its name in messages.
        limits: What is too large.

    Raises:
        PictureError: It is no mask, covers everything or nothing, or could mean two things.
        OSError: The file can't be read.
    """
    name = f"{what} {source}" if isinstance(source, str | Path) else what
    levels = read_levels(source, what, limits=limits).grey()
    if levels.alpha is not None and (levels.alpha >= OPAQUE).any() and (levels.alpha < OPAQUE).any():
        return by_alpha(levels, name)
    if levels.alpha is not None and not (levels.alpha >= OPAQUE).any():
        raise PictureError(name, "must cover something, but all of it is transparent")
    return by_lightness(lightness(levels), name)


def lightness(levels: Levels) -> NDArray[Any]:
    """(H, W) how light each pixel is; indices of a palette whose colours say nothing stand for themselves."""
    values = levels.values
    if levels.palette is not None:
        by_colour = levels.palette.max(axis=1)[values]
        return values if by_colour.min() == by_colour.max() else by_colour
    return values.max(axis=2) if values.ndim == 3 else values


def by_alpha(levels: Levels, name: str) -> Mask:
    """Take alpha as the mask, unless what it uncovers is dark: then either could be meant."""
    assert levels.alpha is not None
    inside: Mask = levels.alpha >= OPAQUE
    shown = lightness(levels)[inside]
    if 2 * int(shown.max()) < largest_level(levels.values):
        raise PictureError(
            name,
            "is black on transparent, which can be read in two ways: what is drawn is inside "
            f"({inside.mean():.0%} of the picture), or what is dark is outside (nothing is inside). "
            "Save it white on black",
        )
    if 4 * int(shown.min()) < int(shown.max()):
        light = (lightness(levels) > shown.max() / 2) & inside
        if light.sum() <= 0.9 * inside.sum():
            raise PictureError(
                name,
                "has both light and dark pixels where it isn't transparent, which can be read in two "
                f"ways: alpha is the mask ({inside.mean():.0%} of the picture is inside), or what is light "
                f"is inside ({light.mean():.0%}). Save it white on black",
            )
    return inside


def largest_level(values: NDArray[Any]) -> int:
    """White of a type of numbers."""
    return int(np.iinfo(values.dtype).max) if values.dtype.kind == "u" else 255


def by_lightness(levels: NDArray[Any], name: str) -> Mask:
    """Tell two levels apart, with soft edges between them.

    Raises:
        PictureError: There is one level only, or too much lies between the two.
    """
    if levels.dtype == np.bool_:
        levels = levels.view(np.uint8)
    low, high = levels.min(), levels.max()
    if low == high:
        covers = "everything" if high else "nothing"
        raise PictureError(name, f"covers {covers}: every pixel is {high}; a mask must have two levels")
    low, span = float(low), float(high) - float(low)
    between = (levels > low + span / 4) & (levels < low + span * 3 / 4)
    if between.mean() > LARGEST_MIDDLE:
        raise PictureError(
            name,
            f"must have two levels, dark outside and light inside, but {between.mean():.0%} of its "
            "pixels lie between: is it a photo?",
        )
    return np.asarray(levels > low + span / 2)
