"""Read a brand's size chart from a file that strangers wrote.

It is CSV with a header, or YAML; measures are those of the finished garment, in cm:

    size,chest_cm,shoulder_cm,length_cm          S: {chest_cm: 96, shoulder_cm: 44, length_cm: 68}
    S,96,44,68                                   M: {chest_cm: 104, shoulder_cm: 45.5, length_cm: 70}

Trousers and skirts have `waist_cm`, `hip_cm`, and `inseam_cm` or `length_cm`. A column `category` says which
garments it is of (`upper`, `lower`, `dress`), in YAML `category: dress` beside the sizes: a dress is measured
as a T-shirt is, so that the measures can't tell. Where sleeves are a size there may be `sleeve_cm`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from preprocess.sizes.centimetres import LOWER, ON_TORSO, GarmentMeasures, Wearer
from preprocess.sizes.request import SizeRequest
from preprocess.untrusted import read_table, read_yaml, shown
from preprocess.vocabulary import Category

TABLES = (".csv", ".tsv", ".txt")
"""Suffixes of charts that aren't YAML."""

MOST_SIZES = 200
"""A chart with more sizes isn't one."""

SIZE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ./+-]{0,15}")
"""Names of sizes: `XL`, `38`, `10/12`, `One size`. Anything else may be a formula, a path or a page."""

DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d{1,2}")

KNOWN = {way.measure for way in (*ON_TORSO, *LOWER)}
MEASURES = tuple(field.name for field in fields(GarmentMeasures) if field.name in KNOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeChart:
    """A brand's sizes of one garment."""

    sizes: Mapping[str, GarmentMeasures]
    """By the brand's name of the size, in its order."""

    category: Category = Category.UPPER
    """Of the garment."""

    @classmethod
    def read(cls, path: str | Path, category: Category = Category.UPPER) -> Self:
        """Read a chart: a table (`.csv`, `.tsv`, `.txt`), or YAML.

        Args:
            path: The file.
            category: Of its garment, where it doesn't say.

        Raises:
            ValueError: It isn't a chart; the message says which size, and what must hold.
            OSError: It can't be read.
        """
        source = Path(path)
        table = source.suffix.lower() in TABLES
        rows = csv_rows(source) if table else yaml_rows(source)
        said = [row.pop("category", None) for row in rows.values()] if table else [rows.pop("category", None)]
        if not 0 < len(rows) <= MOST_SIZES:
            raise ValueError(f"{source} must have 1 to {MOST_SIZES} sizes, got {len(rows)}")
        kind = category_said(source, said) or category
        return cls(
            sizes={name: garment_of(source, name, row, kind) for name, row in rows.items()}, category=kind
        )

    def request(self, size: str, wearer: Wearer) -> SizeRequest:
        """Return the ratios at which `wearer` wears `size`.

        Raises:
            ValueError: The chart has no such size, or a measure of the wearer is missing.
        """
        if size not in self.sizes:
            raise ValueError(f"size must be one of {', '.join(self.sizes)}, got {shown(size)}")
        return self.sizes[size].request(wearer, self.category)


def category_said(path: Path, said: Sequence[Any]) -> Category | None:
    """Return the category that a chart says of its sizes, or None; ValueError unless all say the same."""
    first = said[0]
    for one in said:
        if one != first or (one is not None and one not in tuple(Category)):
            raise ValueError(
                f"{path}: category must be one of {', '.join(Category)}, and the same for every size, "
                f"got {shown(one)}"
            )
    return first and Category(first)


def csv_rows(path: Path) -> dict[str, dict[str, Any]]:
    """Return the measures by size, as numbers where they are numbers."""
    rows: dict[str, dict[str, Any]] = {}
    table = read_table(path)
    if "size" not in table.header or len(set(table.header)) < len(table.header):
        raise ValueError(
            f"{path} must have the columns size, {', '.join(MEASURES)}, "
            f"got {', '.join(map(shown, table.header)) or 'none'}"
        )
    for line, row in table.rows:
        if "" in row:
            raise ValueError(f"{path}: line {line} has more cells than the header")
        size = row.pop("size")
        if size in rows:
            raise ValueError(f"{path}: the size {shown(size)} is there twice")
        rows[size] = {name: number(value) for name, value in row.items()}
    return rows


def yaml_rows(path: Path) -> dict[str, Any]:
    """Return the measures by size."""
    rows = read_yaml(path)
    return {str(size) if isinstance(size, str | int) else "": measures for size, measures in rows.items()}


def garment_of(path: Path, size: str, row: Any, category: Category) -> GarmentMeasures:
    """Check one size of a chart of garments of a category.

    Raises:
        ValueError: Its name or its measures can't be those of a garment.
    """
    if not SIZE_NAME.fullmatch(size):
        raise ValueError(
            f"{path}: a size's name must be 1 to 16 letters, digits, spaces or ./+-, and begin with a letter "
            f"or digit, got {shown(size)}"
        )
    if not isinstance(row, Mapping):
        raise ValueError(f"{path}: size {size} must have measures such as chest_cm: 96, got {shown(row)}")
    known = {name: value for name, value in row.items() if value is not None}
    if not known or not known.keys() <= set(MEASURES):
        found = ", ".join(map(shown, known)) or "none"
        raise ValueError(f"{path}: size {size} must have some of {', '.join(MEASURES)}, got {found}")
    try:
        garment = GarmentMeasures(**known)
        garment.require_measures(category)
        return garment
    except ValueError as error:
        raise ValueError(f"{path}: size {size}: {error}") from error


def number(text: str) -> float | str | None:
    """Turn a cell into a number, with a point or a comma; an empty one into None.

    What is neither is left to be refused.
    """
    if not text:
        return None
    try:
        return float(text.replace(",", ".") if DECIMAL_COMMA.fullmatch(text) else text)
    except ValueError:
        return text
