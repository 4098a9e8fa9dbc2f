"""Keys that every reader of a tar takes, and the way back to the names that files have."""

import re
from urllib.parse import unquote

import xxhash

LONGEST = 72
"""Characters of a key: with the longest suffix of a shard's members it fits into a tar's name."""

SHORTENED = "+-"
"""Stands between the beginning of a long name and its hash; no name becomes this by itself."""

_UNSAFE = re.compile(rb"^-|[^A-Za-z0-9_/-]|_(?=[_/])|(?<=[_/])_")


def safe_key(name: str) -> str:
    """Return a name, such as a path below a data set's root without its suffix, as a key.

    Letters, digits, `-` and `_` stay, `/` becomes `__`, and every other byte of UTF-8 becomes `+` and two hex
    digits; so do `-` in front and underscores beside others. Different names have different keys. What would
    be longer than `LONGEST` keeps its beginning and gets a hash.
    """
    escaped = _UNSAFE.sub(lambda found: b"+%02x" % found[0][0], name.encode())
    key = escaped.decode().replace("/", "__")
    if len(key) <= LONGEST:
        return key
    return key[: LONGEST - 16 - len(SHORTENED)] + SHORTENED + xxhash.xxh3_64_hexdigest(name.encode())


def name_of(key: str) -> str:
    """Return the name that `safe_key` made a key of.

    Raises:
        ValueError: The key was shortened; its row of the manifest has the path.
    """
    if SHORTENED in key:
        raise ValueError(f"{key} is a long name's hash: its row of manifest.parquet has the photo's path")
    return unquote(key.replace("__", "/").replace("+", "%"), errors="strict")
