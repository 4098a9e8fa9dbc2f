"""Pictures as bytes: JPEG photos, 1-bit PNG masks, decoded straight to the size that is wanted."""

import struct
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from shards.ustar import SampleError

WHOLE = 254
"""Level of a pixel that a mask covers whole: of half a pixel there is a level too."""

MAX_PIXELS = 64_000_000
"""Pictures that claim more are refused before they are decoded."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = struct.Struct(">IIBBBBB")
_ONE_BIT_GREY = (1, 0, 0, 0, 0)  # bits, colour type, compression, filter method, no interlacing
_EIGHT_BIT_GREY = (8, 0, 0, 0, 0)
_PNG_LEVEL = 9
_JPEG_SIGNATURE = b"\xff\xd8"
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_RGB, _GRAY = cv2.IMREAD_COLOR_RGB, cv2.IMREAD_GRAYSCALE

Bytes = bytes | memoryview


def picture_size(content: Bytes) -> tuple[int, int]:
    """Return (height, width) as the header of a JPEG or PNG claims, without decoding.

    Raises:
        SampleError: It is neither, or its header is cut short or claims more than `MAX_PIXELS`.
    """
    head = bytes(content[:8])
    if head == _PNG_SIGNATURE and len(content) >= 24:
        width, height = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    elif head[:2] == _JPEG_SIGNATURE:
        height, width = _jpeg_size(content)
    else:
        raise SampleError("not a JPEG or PNG picture")
    if not 0 < height * width <= MAX_PIXELS:
        raise SampleError(f"a picture must have 1 to {MAX_PIXELS} pixels, its header claims {width}x{height}")
    return height, width


def is_jpeg(content: Bytes) -> bool:
    """Tell whether the bytes begin as a JPEG does."""
    return bytes(content[:2]) == _JPEG_SIGNATURE


def _jpeg_size(content: Bytes) -> tuple[int, int]:
    """Walk a JPEG's segments to the start of frame: (height, width)."""
    position = 2
    while position + 9 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker in _START_OF_FRAME:
            return (
                int.from_bytes(content[position + 5 : position + 7], "big"),
                int.from_bytes(content[position + 7 : position + 9], "big"),
            )
        padding = marker == 0xFF
        position += 1 if padding else 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    raise SampleError("a JPEG without a start of frame")


def decode_photo(
    content: Bytes, image_height: int | None = None, image_width: int | None = None
) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG photo, shrinking it inside the JPEG's own DCT as far as the wanted size allows.

    Args:
        content: The file.
        image_height: Wanted rows; None: the photo's own.
        image_width: Wanted columns; None: the photo's own.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        SampleError: It can't be decoded.
    """
    height, width = picture_size(content)
    wanted_height, wanted_width = image_height or height, image_width or width
    flags = _RGB
    for factor in (8, 4, 2):
        if height >= factor * wanted_height and width >= factor * wanted_width:
            flags |= 8 * factor  # cv2.IMREAD_REDUCED_* without the bit for BGR
            break
    return resized(_decode(content, flags), wanted_height, wanted_width)


def decode_mask(
    content: Bytes, image_height: int | None = None, image_width: int | None = None
) -> NDArray[np.uint8]:
    """Decode a mask; when it is resized, a pixel is set where half of it or more was.

    Returns:
        (H, W) uint8, 0 or 1.

    Raises:
        SampleError: It can't be decoded.
    """
    return decide(decode_cover(content, image_height, image_width))


def decode_cover(
    content: Bytes, image_height: int | None = None, image_width: int | None = None
) -> NDArray[np.uint8]:
    """Decode how much of each pixel a mask covers.

    Returns:
        (H, W) uint8, 0 to `WHOLE`.

    Raises:
        SampleError: It can't be decoded.
    """
    height, width = picture_size(content)
    bits = decode_bits(bytes(content))
    levels = np.minimum(_decode(content, _GRAY), WHOLE) if bits is None else bits * np.uint8(WHOLE)
    return resized(levels, image_height or height, image_width or width)


def decide(cover: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Set a pixel, 1 of 0 or 1, where a cover of 0 to `WHOLE` has half of it or more."""
    return (cover >= WHOLE // 2).view(np.uint8)


def resized_mask(mask: NDArray[np.uint8], image_height: int, image_width: int) -> NDArray[np.uint8]:
    """Resize (H, W) uint8 0 or 1: a pixel is set where half of it or more was."""
    if mask.shape == (image_height, image_width):
        return mask
    return decide(resized(mask * np.uint8(WHOLE), image_height, image_width))


def resized(picture: NDArray[np.uint8], image_height: int, image_width: int) -> NDArray[np.uint8]:
    """Resize by averaging areas (INTER_AREA), or return the picture itself when it has the size."""
    if picture.shape[:2] == (image_height, image_width):
        return picture
    return np.asarray(cv2.resize(picture, (image_width, image_height), interpolation=cv2.INTER_AREA))


def encode_photo(picture: NDArray[np.uint8], quality: int) -> bytes:
    """Encode (H, W, 3) uint8 RGB as a JPEG with full colour resolution (4:4:4)."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    return cv2.imencode(".jpg", picture[..., ::-1], options)[1].tobytes()


def encode_mask(mask: NDArray[np.bool_]) -> bytes:
    """Encode (H, W) bool as a PNG of one bit a pixel, whose rows aren't filtered.

    A general codec spends as long on a 1-bit mask as on a photo half its size; packing bits takes a tenth.
    """
    return _png(np.packbits(mask, axis=1), mask.shape[1], _ONE_BIT_GREY)


def encode_cover(cover: NDArray[np.uint8]) -> bytes:
    """Encode (H, W) uint8 0 to `WHOLE` as a grey PNG: of one bit a pixel where none is covered in part."""
    if np.isin(cover, (0, WHOLE)).all():
        return encode_mask(cover > 0)
    return _png(cover, cover.shape[1], _EIGHT_BIT_GREY)


def _png(rows: NDArray[np.uint8], width: int, kind: tuple[int, ...]) -> bytes:
    """Write (H, bytes) rows as a PNG, unfiltered."""
    unfiltered = np.pad(rows, ((0, 0), (1, 0)))
    chunks = (
        (b"IHDR", _PNG_HEADER.pack(width, len(rows), *kind)),
        (b"IDAT", zlib.compress(unfiltered.tobytes(), _PNG_LEVEL)),
        (b"IEND", b""),
    )
    return _PNG_SIGNATURE + b"".join(_png_chunk(name, content) for name, content in chunks)


def _png_chunk(name: bytes, content: bytes) -> bytes:
    """Frame a chunk: length, name, content, checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def decode_bits(content: bytes) -> NDArray[np.uint8] | None:
    """Return the (H, W) uint8 0 or 1 of a PNG that `encode_mask` could have written; None for any other."""
    if content[:8] != _PNG_SIGNATURE or content[12:16] != b"IHDR" or content[37:41] != b"IDAT":
        return None
    width, height, *kind = _PNG_HEADER.unpack_from(content, 16)
    size = int.from_bytes(content[33:37], "big")
    if tuple(kind) != _ONE_BIT_GREY or content[45 + size + 4 : 45 + size + 8] != b"IEND":
        return None
    stride = 1 + (width + 7) // 8
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(content[41 : 41 + size], height * stride + 1)
    except zlib.error:
        return None
    if len(raw) != height * stride:
        return None
    rows = np.frombuffer(raw, np.uint8).reshape(height, stride)
    return None if rows[:, 0].any() else np.unpackbits(rows[:, 1:], axis=1, count=width)


def _decode(content: Bytes, flags: int) -> NDArray[np.uint8]:
    """Decode with OpenCV; its failures, by exception or by None, become a SampleError."""
    try:
        picture = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), flags)
    except cv2.error as error:
        raise SampleError(f"a picture that can't be decoded: {error.err}") from error
    if picture is None:
        raise SampleError("a picture that can't be decoded")
    return np.asarray(picture)
