"""The one door through which photos come in: upright, sRGB, 8 bits a channel, on white.

What a file is, its content tells, never its name. Whatever a decoder makes of a broken file, the caller gets
one `PictureError` that names it. Masks and maps of numbers come in by `preprocess.masks`, on the same hinges.
"""

import importlib.util
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from preprocess.places import RemotePath, StorageError, here

Picture = NDArray[np.uint8]
PictureSource = str | Path | bytes | Image.Image | NDArray[Any]

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "HEIF")
"""What is decoded; HEIF where pillow-heif is installed."""

UPLOADED = ("JPEG", "PNG", "WEBP")
"""What is decoded of strangers' uploads: the other decoders are seldom used, and so seldom tested."""

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".avif")
"""How files with photos are named, in any case; `photo_suffixes` adds HEIC where it can be read."""

HEIC_SUFFIXES = (".heic", ".heif", ".hif")
INSTALL_HEIC = "HEIC needs the extra `heic`: pip install 'cinderella-tryon[heic]'"

LFS_POINTER = b"version https://git-lfs.github.com/"

MIN_SIDE = 16
"""px. Nobody can be seen in a smaller picture."""

DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
"""Pillow's names of grey pictures with more than 8 bits."""


OTHER_SHAPE = 0.02
"""How far proportions may differ: rounding, where a small picture was halved."""

COLOUR_SPACE = slice(16, 20)
"""Where an ICC profile's header names the colours it is for."""

SAME_COLOUR = 3
"""Levels of 255 by which the many profiles of sRGB differ: tables of few points, rounded primaries."""


class PictureError(ValueError):
    """Something that was given as a picture can't be used: what it is, and what must hold and was found."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.problem = problem

    def __str__(self) -> str:
        return " ".join(self.args)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What is refused before it is decoded."""

    max_pixels: Annotated[int, Gt(0)] = 50_000_000
    """Pixels that a header may claim: a file of 50 kB can unfold to a gigabyte."""

    max_bytes: Annotated[int, Gt(0)] = 256 * 2**20
    """Bytes of a file."""


LIMITS = Limits()


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureFacts:
    """What a file's header says."""

    image_height: int
    """Rows of the upright picture (px)."""

    image_width: int
    """Columns of the upright picture (px)."""

    plain: bool
    """A JPEG that every decoder shows alike: upright as it is stored, grey or RGB, no profile but sRGB."""


def read_picture(
    source: PictureSource,
    what: str = "picture",
    *,
    limits: Limits = LIMITS,
    formats: Sequence[str] = FORMATS,
    beside: Sequence[Path] = (),
    at_least: int | None = None,
) -> Picture:
    """Return a picture as (H, W, 3) RGB: upright by its EXIF tag, in sRGB, on white where it is transparent.

    Args:
        source: Path, bytes of a file, PIL picture, or array: (H, W), (H, W, 3) or (H, W, 4), uint8 or uint16.
        what: Its name in messages.
        limits: What is too large.
        formats: What is decoded, of `FORMATS`.
        beside: Maps of the same picture, which are upright: a tag that contradicts their shape is stale.
        at_least: A JPEG may be decoded at half its size, or less, as long as both sides keep so many px.

    Raises:
        PictureError: It is no whole picture, or too large or too small a one.
        OSError: The file can't be read.
    """
    if isinstance(source, np.ndarray):
        return from_array(source, what, limits)
    with opened(source, what, limits=limits, formats=formats) as picture:
        if at_least is not None:
            picture.draft(None, (at_least, at_least))
        return in_rgb(turned(picture, beside))


def look_at(
    source: str | Path | bytes, what: str = "picture", *, limits: Limits = LIMITS, beside: Sequence[Path] = ()
) -> PictureFacts:
    """Return what the header of a picture says; see `read_picture`. Nothing is decoded."""
    with opened(source, what, limits=limits) as picture:
        width, height = picture.size
        tag = orientation(picture)
        if tag >= ACROSS and not is_stale(picture, beside):
            width, height = height, width
        plain = picture.format in ("JPEG", "MPO") and picture.mode in ("RGB", "L")
        profile = picture.info.get("icc_profile")
        return PictureFacts(
            image_height=height,
            image_width=width,
            plain=plain and tag == 1 and (not profile or is_srgb(profile)),
        )


def check_picture(source: str | Path | bytes, *, limits: Limits = LIMITS) -> None:
    """Decode a picture to its last row, a JPEG at an eighth of its size; raises what `read_picture` does."""
    with opened(source, "picture", limits=limits) as picture:
        picture.draft("L", (picture.width // 8, picture.height // 8))
        picture.load()


@contextmanager
def opened(
    source: str | Path | bytes | Image.Image,
    what: str,
    *,
    limits: Limits = LIMITS,
    formats: Sequence[str] = FORMATS,
) -> Iterator[Image.Image]:
    """Open a picture; what decoding it in the block raises becomes a PictureError that names it."""
    name = f"{what} {source}" if isinstance(source, str | Path) else what
    if isinstance(source, RemotePath):
        source = source.read_bytes(limits.max_bytes + 1)
    try:
        if isinstance(source, Image.Image):
            require_size(source.height, source.width, name, limits)
            yield source
            return
        require_bytes(source, name, limits)
        known = [kind for kind in formats if kind != "HEIF" or can_read_heic()]
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with Image.open(file, formats=known) as picture:
            require_size(picture.height, picture.width, name, limits)
            yield picture
    except PictureError:
        raise
    except Exception as error:  # decoders of broken files raise anything: struct.error, KeyError, ...
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file system's: not found, not allowed
        raise PictureError(
            name,
            f"must be a whole picture ({', '.join(formats)}) of at most {limits.max_pixels:,} pixels: "
            f"{why_not(source, error)}",
        ) from error


def why_not(source: str | Path | bytes | Image.Image, error: Exception) -> str:
    """Say why a picture can't be read: what it is, where that is the reason, else what the decoder says."""
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            head = file.read(len(LFS_POINTER))
    else:
        head = source[: len(LFS_POINTER)] if isinstance(source, bytes) else b""
    if not head and not isinstance(source, Image.Image):
        return "the file is empty"
    if head == LFS_POINTER:
        return "it is a pointer of Git LFS, whose file wasn't fetched: run `git lfs pull`"
    heic = head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1")
    if heic and not can_read_heic():
        return INSTALL_HEIC
    return "not an image" if isinstance(error, UnidentifiedImageError) else str(error) or repr(error)


@cache
def can_read_heic() -> bool:
    """Tell whether pillow-heif is there, and let Pillow know it."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return True


def photo_suffixes() -> tuple[str, ...]:
    """Return the suffixes, in lower case, of photos that can be read here."""
    return SUFFIXES + HEIC_SUFFIXES if can_read_heic() else SUFFIXES


def same_shape(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Tell whether two (H, W) have the same proportions, as a photo and its map have at whatever size."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= OTHER_SHAPE


def require_bytes(source: str | Path | bytes, what: str, limits: Limits) -> None:
    """Raise PictureError when a file is too large to be read."""
    num_bytes = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
    if num_bytes > limits.max_bytes:
        raise PictureError(what, f"must have at most {limits.max_bytes:,} bytes, got {num_bytes:,}")


def require_size(height: int, width: int, what: str, limits: Limits = LIMITS) -> None:
    """Raise PictureError unless a picture is neither tiny nor huge."""
    if min(height, width) < MIN_SIDE or height * width > limits.max_pixels:
        raise PictureError(
            what,
            f"must be at least {MIN_SIDE} px a side and have at most {limits.max_pixels:,} pixels, "
            f"got {width}x{height}",
        )


ACROSS = 5
"""EXIF's orientations from this one swap rows and columns."""


def orientation(picture: Image.Image) -> int:
    """Return EXIF's orientation, 1 to 8; 1 where there is none that can be read."""
    if picture.format == "TIFF":
        return 1  # Pillow turns it while it decodes, and its size is the upright one
    try:
        tag = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a broken EXIF block is no broken picture
        return 1
    return tag if isinstance(tag, int) and 1 <= tag <= 8 else 1


def is_stale(picture: Image.Image, beside: Sequence[Path]) -> bool:
    """Tell whether the picture lies as its maps do before it is turned on its side, and not after.

    An editor that turns the pixels and leaves the tag makes such files.
    """
    for path in beside:
        try:
            with Image.open(here(path)) as upright:
                width, height = upright.size
        except StorageError:
            raise
        except Exception:  # arrays, and maps that can't be read either
            continue
        wanted, stored = np.log(width / height), np.log(picture.width / picture.height)
        return bool(abs(wanted - stored) < abs(wanted + stored))
    return False


def turned(picture: Image.Image, beside: Sequence[Path] = ()) -> Image.Image:
    """Return a picture upright."""
    tag = orientation(picture)
    if tag == 1 or (tag >= ACROSS and is_stale(picture, beside)):
        return picture
    return ImageOps.exif_transpose(picture)


def in_rgb(picture: Image.Image) -> Picture:
    """Decode an upright picture to (H, W, 3) sRGB."""
    if picture.mode in DEEP_MODES:
        return three_channels(eight_bits(np.asarray(picture)))
    profile = picture.info.get("icc_profile")
    if picture.has_transparency_data:
        clear = picture.convert("RGBA")
        picture = Image.new("RGB", clear.size, "white")
        picture.paste(clear, mask=clear.getchannel("A"))
    if profile and not is_srgb(profile):
        picture = in_srgb(picture, profile)
    return np.asarray(picture.convert("RGB"))


@lru_cache(maxsize=64)
def is_srgb(profile: bytes) -> bool:
    """Tell whether an ICC profile of RGB leaves the colours of a swatch as they are, whatever its name is."""
    if profile[COLOUR_SPACE] != b"RGB ":
        return False
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    swatch = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(len(levels), -1, 3)
    shown = np.asarray(in_srgb(Image.fromarray(swatch), profile))
    return bool(np.abs(shown.astype(np.int16) - swatch).max() <= SAME_COLOUR)


def in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Convert the colours; a profile that can't be read, or is of another kind of picture, is none."""
    if picture.mode not in ("RGB", "L", "CMYK"):
        picture = picture.convert("RGB")
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(picture, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return picture
    assert converted is not None
    return converted


def eight_bits(levels: NDArray[Any]) -> Picture:
    """Scale grey levels or colours to 8 bits: 65535, or 1.0 of fractions, becomes 255.

    Levels up to 255 in a deeper picture are 8 bits already.

    Raises:
        ValueError: Levels are negative, or too large.
    """
    if levels.dtype == np.bool_:
        return levels.astype(np.uint8) * np.uint8(255)
    if levels.dtype.kind == "f":
        levels = np.rint(levels * 255 if levels.max() <= 1 else levels)
    low, high = levels.min(), levels.max()
    if not (low >= 0 and high <= 65535):  # NaN too
        raise ValueError(f"levels of a picture must lie within 0 and 65535, got {low} to {high}")
    if high > 255:
        return np.asarray(np.rint(levels / np.float32(257)), dtype=np.uint8)
    return levels.astype(np.uint8)


def three_channels(grey: Picture) -> Picture:
    """Return (H, W) as (H, W, 3)."""
    return np.repeat(grey[:, :, None], 3, axis=2)


def from_array(array: NDArray[Any], what: str, limits: Limits = LIMITS) -> Picture:
    """Read an array that should be a picture; see `read_picture`."""
    if (
        array.dtype not in (np.uint8, np.uint16)
        or array.ndim not in (2, 3)
        or (array.ndim == 3 and array.shape[2] not in (3, 4))
    ):
        raise PictureError(
            what,
            "must be uint8 (or uint16) of shape (H, W, 3), (H, W, 4) or (H, W), "
            f"got {array.dtype} {array.shape}",
        )
    require_size(array.shape[0], array.shape[1], what, limits)
    levels = array if array.dtype == np.uint8 else eight_bits(array)
    if levels.ndim == 2:
        return three_channels(levels)
    return levels if levels.shape[2] == 3 else in_rgb(Image.fromarray(levels, "RGBA"))
