"""How well layouts obey: measured against the request over the whole range, and nested along each ratio.

    python -m tests.benchmarks.measure_layout [--dolls 40] [--split test] [--worst]

Accuracy: requests drawn evenly over the allowed range, and layouts measured as the annotation stage measures
garments; only layouts whose measures nothing makes doubtful count. Rungs: the same for ladders along one
ratio, the other two as worn. Nesting: the share of every rung that lies inside the next. `cropped` are the
pairs whose shorter rung ends inside the rows of the width, so that other rows define its width.
"""

import argparse
import itertools
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from preprocess.layout import layout_at
from preprocess.measurements import WIDTH_ROWS
from tests.preprocess.test_layout import LARGEST, SMALLEST, ratios_of, worn_by

RUNGS, REQUESTS = 7, 8
NAMES = ("shoulder", "width", "length")

Row = tuple[str, int, float]


def look_at(index: int, split: str) -> list[Row]:
    """Measure one doll: ('accuracy.<ratio>' or 'nesting.<ratio>', index, value)."""
    garment, keypoints, natural = worn_by(index, split)
    rows: list[Row] = []
    if not np.isfinite(natural).all():
        return rows
    for requested in np.random.default_rng(index).uniform(SMALLEST, LARGEST, (REQUESTS, 3)):
        measured, clean = ratios_of(layout_at(garment, keypoints, natural, requested), keypoints)
        if clean:
            errors = np.abs(measured / requested - 1)
            rows += [(f"accuracy.{name}", index, float(e)) for name, e in zip(NAMES, errors, strict=True)]
    for axis, name in enumerate(NAMES):
        ladder, values = [], np.linspace(SMALLEST[axis], LARGEST[axis], RUNGS)
        for value in values:
            requested = natural.copy()
            requested[axis] = value
            ladder.append(layout_at(garment, keypoints, natural, requested))
            measured, clean = ratios_of(ladder[-1], keypoints)
            if clean:
                rows.append((f"rungs.{name}", index, float(abs(measured[axis] / value - 1))))
        for value, (one, two) in zip(values[:-1], itertools.pairwise(ladder), strict=True):
            kind = "cropped" if axis == 2 and value < WIDTH_ROWS[1] - 1e-6 else name
            rows.append((f"nesting.{kind}", index, float((one & two).sum() / one.sum())))
    return rows


def main() -> None:
    """Measure dolls and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dolls", type=int, default=40)
    parser.add_argument("--split", default="test")
    parser.add_argument("--worst", action="store_true", help="list the worst cases too")
    options = parser.parse_args()
    with ProcessPoolExecutor(2) as pool:
        rows = [
            row
            for found in pool.map(partial(look_at, split=options.split), range(options.dolls))
            for row in found
        ]
    for kind in ("accuracy", "rungs", "nesting"):
        for name in (*NAMES, "cropped") if kind == "nesting" else NAMES:
            mine = [row for row in rows if row[0] == f"{kind}.{name}"]
            values = np.array([row[2] for row in mine])
            ends = np.quantile(values, [0.01, 0.05, 0.5, 0.95, 0.99])
            share = np.mean(values >= 0.995 if kind == "nesting" else values <= 0.02)
            text = " ".join(f"{end:.4f}" for end in ends)
            sys.stdout.write(f"{kind:9} {name:9} n={len(values):4} held {share:.3f}  q01..q99 {text}\n")
            if options.worst:
                mine.sort(key=lambda row: row[2] if kind == "nesting" else -row[2])
                sys.stdout.write(f"    {[(index, round(value, 3)) for _, index, value in mine[:12]]}\n")


if __name__ == "__main__":
    main()
