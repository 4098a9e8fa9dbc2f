"""What strangers send: bounds of their pictures, and small text files, of which no code or value gets far."""

import codecs
import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

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


def read_lines(path: Path, most_bytes: int = MOST_BYTES) -> Iterator[str]:
    """Yield the lines of a file as `read_text` reads it, holding one at a time.

    Raises:
        ValueError: It has more bytes than that, or is no text, which may be found halfway.
        OSError: It can't be read.
    """
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) > most_bytes:
            raise ValueError(f"{path} must have at most {most_bytes} bytes")
        file.seek(0)
        utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        file.seek(0)
        text = io.TextIOWrapper(file, "utf-16" if utf16 else "utf-8-sig", newline="")
        try:
            for line in text:
                if "\0" in line:
                    raise ValueError(f"{path} must be UTF-8 text, but has zero bytes")
                yield from line.splitlines()
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} must be UTF-8 text: {error}") from error


@dataclass(frozen=True, slots=True)
class Table:
    """A table in text, blanks around its cells left out."""

    header: list[str]
    """Names of the columns."""

    rows: Iterator[tuple[int, dict[str, str]]]
    """Line and cells of each row that has some; surplus cells are in ""."""


def read_table(path: Path, most_bytes: int = MOST_BYTES) -> Table:
    """Read a table whose cells are parted by what parts its header: `,`, `;` or a tab.

    A line `sep=;`, as Excel writes it, may come first.

    Raises:
        ValueError: It is no table; a bad row raises when it is reached, and names its line.
    """
    text = read_text(path, most_bytes).lstrip("\r\n")
    if text.lower().startswith("sep="):
        text = text.partition("\n")[2]
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    rows = rows_of(path, reader)
    header = [*next(rows, (0, []))[1]]
    while header and not header[-1]:
        header.pop()
    return Table(header, (named_cells(header, line, cells) for line, cells in rows))


def rows_of(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield line and stripped cells of each row that has some."""
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as error:
        raise ValueError(f"{path}: line {reader.line_num} is not CSV: {error}") from error


def named_cells(header: list[str], line: int, cells: list[str]) -> tuple[int, dict[str, str]]:
    """Return a row's cells by column, missing ones empty; surplus ones together in ""."""
    surplus = "".join(cells[len(header) :])
    row = dict.fromkeys(header, "") | dict(zip(header, cells, strict=False))
    return line, row | {"": surplus} if surplus else row


def read_yaml(path: Path) -> dict[Any, Any]:
    """Read a YAML mapping; tags that would make Python objects are refused.

    Raises:
        ValueError: It is no YAML, or no mapping.
    """
    text = read_text(path)
    try:
        values = YAML(typ="safe", pure=True).load(text)
    except Exception as error:  # tags on values that they don't fit raise anything: KeyError, IndexError, ...
        raise ValueError(f"{path}: not valid YAML: {str(error)[:300]}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must be a mapping such as `chest_cm: 92`, got {type(values).__name__}")
    return values


def shown(value: object) -> str:
    """Return a stranger's value for a message: short, and never unfolded (a small YAML can hold much)."""
    return repr(value)[:LONGEST] if isinstance(value, str | int | float) else f"a {type(value).__name__}"
