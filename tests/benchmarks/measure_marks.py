"""How far measures of real photographs are from where a tailor's eye puts the garment's edges.

    python -m tests.benchmarks.measure_marks [FOLDER]

Needs the shared photos and marks (CINDERELLA_SHARED). FOLDER has `marks.csv` (source, key, row in T, right_b
and left_b in B, certainty) and `photos.csv` (hem in T, view, arms); `marks` of the shared data when left out.
The VITON-HD and Dress Code photos that they name are measured as the pipeline measures them.
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.cli.without_dvc import DataChain
from preprocess.garment.bounds import MAX_UNCERTAINTY, Bounds
from preprocess.garment.known import BOUNDS_PARTS
from tests.shared_data import shared_data
from tests.sizes import UPPER

SOURCES = {"vitonhd": ("viton_hd", "vitonhd"), "dc_upper": ("dress_code", "dress_code")}
"""Data set and folder of each source that marks name."""

HEMS = Path(__file__).with_name("hems.csv")
"""Hems of further photos, in T, read by eye off a ruler beside the photo, without looking at a measure."""

WIDTH_MARKS, SHOULDER_MARK = (0.35, 0.45, 0.55), 0.025


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One axis of one photo."""

    source: str
    key: str
    axis: str
    mark: float
    found: Bounds
    reason: str

    @property
    def known(self) -> bool:
        """Whether the annotator says it knows."""
        return self.found.uncertainty <= MAX_UNCERTAINTY

    @property
    def error(self) -> float:
        """Relative, signed."""
        return self.found.value / self.mark - 1

    @property
    def covered(self) -> bool:
        """Whether the mark lies within the bounds."""
        return self.found.low <= self.mark <= self.found.high


def read_marks(folder: Path) -> dict[tuple[str, str], dict[str, float]]:
    """Ratios by the marks, by source and key; `length` only where the hem was marked."""
    spans: dict[tuple[str, str], dict[float, float]] = defaultdict(dict)
    for line in csv.DictReader((folder / "marks.csv").open()):
        span = float(line["left_b"]) - float(line["right_b"])
        spans[line["source"], line["key"]][float(line["row"])] = span
    ratios: dict[tuple[str, str], dict[str, float]] = {}
    for photo, rows in spans.items():
        widths = [rows[row] for row in WIDTH_MARKS if row in rows]
        ratios[photo] = {"width": float(np.mean(widths))} if widths else {}
        if SHOULDER_MARK in rows:
            ratios[photo]["shoulder"] = rows[SHOULDER_MARK]
    for file in filter(Path.is_file, (HEMS, folder / "photos.csv")):
        for line in csv.DictReader(file.open()):
            if line["hem_a"] and (line["source"], line["key"]) in ratios:
                ratios[line["source"], line["key"]]["length"] = float(line["hem_a"])
    return ratios


def measured(source: str) -> dict[str, dict[str, Any]]:
    """Annotation rows of one source, by key."""
    kind, folder = SOURCES[source]
    chain = DataChain(source=kind, root=shared_data() / "data" / folder, split="test")
    with TemporaryDirectory() as work:
        table = pq.read_table(chain.annotate(Path(work))["size_annotations"])
        return {row["key"]: row for row in table.to_pylist()}


def comparisons(folder: Path) -> Iterator[Comparison]:
    """Compare every marked axis with what the annotator says."""
    marks = read_marks(folder)
    rows = {source: measured(source) for source in {source for source, _ in marks}}
    for (source, key), ratios in sorted(marks.items()):
        row = rows[source][key]
        for axis in (name for name in UPPER if name in ratios):
            parts = (row[f"{axis}_{part}"] for part in BOUNDS_PARTS)
            value, low, high = (float("nan") if part is None else part for part in parts)
            yield Comparison(
                source=source,
                key=key,
                axis=axis,
                mark=ratios[axis],
                found=Bounds(value=value, low=low, high=high),
                reason=row["reason"],
            )


def summary(axis: str, found: list[Comparison]) -> str:
    """One line: errors of the known rows, bias, and how often the bounds hold the mark."""
    known = [one for one in found if one.known]
    share = f"{axis:8s} known {len(known)} of {len(found)}"
    if not known:
        return share
    errors = np.array([one.error for one in known])
    middle, high = np.quantile(np.abs(errors), [0.5, 0.9])
    covered = np.mean([one.covered for one in known])
    return (
        f"{share}, absolute error median {middle:.1%}, 90th percentile {high:.1%}, largest "
        f"{np.abs(errors).max():.1%}, bias {errors.mean():+.1%}, mark within bounds {covered:.0%}"
    )


def main(folder: Path) -> None:
    """Print every photo, then every axis."""
    found = list(comparisons(folder))
    for one in found:
        bounds = f"{one.found.low:.3f} to {one.found.high:.3f}" if np.isfinite(one.found.low) else "no bounds"
        state = "known" if one.known else "unknown"
        print(  # noqa: T201
            f"{one.source:9s}{one.key:10s}{one.axis:9s}mark {one.mark:.3f}, found {one.found.value:.3f} "
            f"({one.error:+.1%}), {bounds}, {state}; {one.reason}"
        )
    for axis in UPPER:
        print(summary(axis, [one for one in found if one.axis == axis]))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else shared_data() / "data/marks")
