"""Read small text files that strangers wrote: bounded, and neither code nor values of theirs get far."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

MOST_BYTES = 256 * 1024
"""A larger file isn't what it should be."""

LONGEST = 40
"""Characters of a stranger's value that a message repeats."""


def read_text(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """Read a UTF-8 file, with or without a byte-order mark.

    Raises:
        ValueError: It has more bytes than that, or is no text.
        OSError: It can't be read.
    """
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"{path} must have at most {most_bytes} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 text: {error}") from error


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
