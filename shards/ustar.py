"""Samples as bytes of a tar. Headers have no time, owner or host: equal samples are equal bytes."""

import re
from collections.abc import Mapping
from functools import lru_cache

BLOCK = 512
END_OF_TAR = bytes(2 * BLOCK)
MAX_NAME_BYTES = 100
SIZE_FIELD = slice(124, 135)
"""Of a header: the number of bytes, octal."""

KEY = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_+-]*")
"""A key names files and stops at the first dot for WebDataset readers: no dots, no folders."""

SUFFIX = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_MODE, _MAGIC = b"0000644\0", b"ustar\00000"
_FILE, _OLD_FILE = b"0", b"\0"


class SampleError(ValueError):
    """A sample can't be encoded or decoded; the message names the sample and the member."""


def header(name: str, num_bytes: int) -> bytes:
    """Return the 512-byte ustar header of a file of mode 644, owner 0 and time 0.

    Raises:
        SampleError: The name is longer than ustar's 100 bytes, or the file larger than its 8 GiB.
    """
    encoded = name.encode()
    if len(encoded) > MAX_NAME_BYTES or num_bytes >= 8**11:
        raise SampleError(f"{name}: a member must have a name of at most {MAX_NAME_BYTES} bytes and 8 GiB")
    fields = [encoded.ljust(100, b"\0"), _MODE, b"0000000\0" * 2, b"%011o\0" % num_bytes, b"%011o\0" % 0]
    start = b"".join(fields)
    rest = (_FILE + bytes(100) + _MAGIC).ljust(BLOCK - len(start) - 8, b"\0")
    checksum = sum(start) + sum(rest) + 8 * ord(" ")
    return start + b"%06o\0 " % checksum + rest


def pack(key: str, members: Mapping[str, bytes]) -> bytes:
    """Return the tar bytes of one sample: its members in the order given, each padded to 512 bytes.

    Raises:
        SampleError: The key or a suffix can't name a member.
    """
    if not KEY.fullmatch(key):
        raise SampleError(
            f"a key must consist of letters, digits, '_', '+' and '-', got {key!r}: rename the file"
        )
    parts = []
    for suffix, content in members.items():
        if not SUFFIX.fullmatch(suffix):
            raise SampleError(f"{key}: a member's suffix must be like 'image.jpg', got {suffix!r}")
        parts += [header(f"{key}.{suffix}", len(content)), content, bytes(-len(content) % BLOCK)]
    return b"".join(parts)


def unpack(key: str, packed: bytes | memoryview) -> dict[str, memoryview]:
    """Return the members of one sample by suffix, without copying: the inverse of `pack`.

    Raises:
        SampleError: The bytes aren't whole members, or belong to another key.
    """
    view, members, position = memoryview(packed), {}, 0
    while position < len(packed):
        name, num_bytes = _parse_header(key, bytes(view[position : position + BLOCK]), position)
        suffix = name.removeprefix(f"{key}.")
        start = position + BLOCK
        end = start + num_bytes
        if suffix == name or suffix in members or not _is_suffix(suffix):
            raise SampleError(f"{key}: the tar has the member {name!r} in this sample's place")
        if end > len(packed):
            raise SampleError(f"{key}: the member {suffix} is cut short")
        members[suffix] = view[start:end]
        position = end + -num_bytes % BLOCK
    return members


@lru_cache(maxsize=64)
def _is_suffix(suffix: str) -> bool:
    """Tell whether a suffix is one that `pack` takes."""
    return SUFFIX.fullmatch(suffix) is not None


def _parse_header(key: str, block: bytes, position: int) -> tuple[str, int]:
    """Return the name and number of bytes of the member whose header stands at `position`."""
    try:
        name = block[:MAX_NAME_BYTES].rstrip(b"\0").decode()
        num_bytes = int(block[SIZE_FIELD], 8)
    except ValueError as error:
        raise SampleError(f"{key}: the tar header at byte {position} of the sample is damaged") from error
    if num_bytes < 0 or block[156:157] not in (_FILE, _OLD_FILE):
        raise SampleError(f"{key}: the tar entry {name!r} isn't a plain file")
    return name, num_bytes
