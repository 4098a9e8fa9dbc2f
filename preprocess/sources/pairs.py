"""Lists of pairs, as VITON-HD and Dress Code have them and as editors leave them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from preprocess.pictures import HEIC_SUFFIXES, SUFFIXES
from preprocess.untrusted import read_lines
from preprocess.vocabulary import Category

MOST_BYTES = 256 * 2**20
"""A larger list isn't one."""

ENDS = frozenset(SUFFIXES + HEIC_SUFFIXES)
"""What a photo's name may end in, in lower case."""

_SUFFIX = "|".join(suffix[1:] for suffix in SUFFIXES + HEIC_SUFFIXES)
_PHOTO = rf"\S(?:.*?\S)?\.(?:{_SUFFIX})"
_TWO_PHOTOS = re.compile(rf"({_PHOTO})[\"']?[\s,;]+[\"']?({_PHOTO})", re.IGNORECASE)
_PHOTO_THEN_MORE = re.compile(rf"\.(?:{_SUFFIX})[\"']?[\s,;]", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s,;]+")
_THEN_CATEGORY = re.compile(rf"(.*\S)[\s,;]+[\"']?({'|'.join(Category)})[\"']?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One line of a list."""

    person: str
    """File name of the person's photo, or its stem."""

    cloth: str
    """File name of the garment's photo, or its stem."""

    place: str
    """The list, line and text, for messages."""

    category: Category | None = None
    """What is worn, where a third column says so."""


def read_pairs(path: Path, *, more_columns: bool = False) -> Iterator[Pair]:
    """Yield the pairs of a list: two names a line, with or without suffix, with a tab, blanks, or , or ;.

    Blanks in names are understood where there is a tab, or where both names have a photo's suffix. Folders
    in front of names are left out. A third column may name a category.

    Args:
        path: The list.
        more_columns: Whether something else may follow the names.

    Raises:
        ValueError: A line hasn't two names, or the file is no text.
    """
    for number, line in enumerate(read_lines(path, MOST_BYTES), start=1):
        if not line.strip():
            continue
        names, category = two_names(line.strip(), more_columns), None
        if names is None:
            names, category = with_category(line.strip())
        if names is None:
            raise ValueError(f"{path}:{number} must be 'person.jpg cloth.jpg', got {line[:200]!r}")
        person, cloth = (PurePath(name.strip(" \"'").replace("\\", "/")).name for name in names)
        place = f"{path}:{number} {line.strip()[:200]!r}"
        yield Pair(person=person, cloth=cloth, place=place, category=category)


def with_category(line: str) -> tuple[list[str] | None, Category | None]:
    """Split a line into its two names and the category behind them; None where it isn't such a line."""
    found = _THEN_CATEGORY.fullmatch(line)
    return (two_names(found[1]), Category(found[2].lower())) if found else (None, None)


def two_names(line: str, more_columns: bool = False) -> list[str] | None:
    """Split a line into its two names; None where there aren't two."""
    photos = _TWO_PHOTOS.fullmatch(line.strip("\"'")) if len(_PHOTO_THEN_MORE.findall(line)) == 1 else None
    names = line.split("\t") if "\t" in line else [] if photos is None else list(photos.groups())
    if len(names) != 2:
        names = _BETWEEN.split(line)
    names = names[:2] if more_columns else names
    return names if len(names) == 2 and all(name.strip(" \"'") for name in names) else None


def stem_of(name: str) -> str:
    """Return a file's name without a photo's suffix; other dots belong to the name."""
    dot = name.rfind(".")  # a PurePath of each name takes a quarter of a listing's time
    return name[:dot] if dot > 0 and name[dot:].lower() in ENDS else name
