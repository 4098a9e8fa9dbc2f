"""What strangers send: bounds of their pictures, and small text files, of which no code or value gets far."""

import codecs
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from preprocess.pictures import Limits

STRANGERS = Limits(max_pixels=40_000_000, max_bytes=64 * 2**20)
"""Bounds of a picture that is uploaded or named by a user of try-on."""

MOST_BYTES = 256 * 1024
"""A larger file isn't what it should be."""

LONGEST = 40
"""Characters of a stranger's value that a message repeats."""


def read_text(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """Read a file of UTF-8, with or without a byte-order mark, or of UTF-16 with one.

    Raises:
        ValueError: It has more bytes than that, or is no text.
        OSError: It can't be read.
    """
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"{path} must have at most {most_bytes} bytes")
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 text: {error}") from error
    if "\0" in text:
        raise ValueError(f"{path} must be UTF-8 text, but has zero bytes")
    return text


def read_yaml(path: Path) -> dict[Any, Any]:
    """Read a YAML mapping; tags that would make Python objects are refused.

    Raises:
        ValueError: It is no YAML, or no mapping.
    """
    try:
        values = YAML(typ="safe", pure=True).load(read_text(path))
    except (YAMLError, RecursionError) as error:
        raise ValueError(f"{path}: not valid YAML: {str(error)[:300]}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must be a mapping such as `chest_cm: 92`, got {type(values).__name__}")
    return values


def shown(value: object) -> str:
    """Return a stranger's value for a message: short, and never unfolded (a small YAML can hold much)."""
    return repr(value)[:LONGEST] if isinstance(value, str | int | float) else f"a {type(value).__name__}"
