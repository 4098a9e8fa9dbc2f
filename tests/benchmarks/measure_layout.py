"""How well layouts obey: measured against the request over the whole range, and nested along each ratio.

    python -m tests.benchmarks.measure_layout [--dolls 40] [--split test] [--seed 0] [--cut ROW] [--worst]

Accuracy: requests drawn evenly over the allowed range, and layouts measured as the annotation stage measures
garments; only layouts whose measures nothing makes doubtful count. Rungs: the same for ladders along one
ratio, the other two as worn. Nesting: the share of every rung that lies inside the next. `cropped` are the
pairs whose shorter rung ends inside the rows of the width, so that other rows define its width. `--cut 1.1`
cuts pictures off 1.1 torso lengths below the shoulders; a ratio unknown there is not asked for.
"""

import argparse
import itertools
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from preprocess.body.keypoints import BodyFrame, KeypointError, Keypoints
from preprocess.garment.measurements import WIDTH_ROWS
from preprocess.layout.resized import layout_at
from tests.preprocess.test_layout import LARGEST, SMALLEST, ratios_of, worn_by

RUNGS, REQUESTS = 7, 8
NAMES = ("shoulder", "width", "length")

Row = tuple[str, int, float]


def look_at(index: int, split: str, seed: int, cut: float | None) -> list[Row]:
    """Measure one doll: ('accuracy.<ratio>' or 'nesting.<ratio>', index, value)."""
    rows: list[Row] = []
    try:
        garment, keypoints, natural = worn_by(index, split, seed)
        frame = BodyFrame.from_keypoints(keypoints)
    except KeypointError:
        return rows
    if cut is not None:
        garment = garment[: int(frame.to_image(np.array([[cut * frame.torso_length, 0.0]]))[0, 1])]
        natural = ratios_of(garment, keypoints)[0]
    known = np.isfinite(natural)
    for requested in np.random.default_rng([seed, index]).uniform(SMALLEST, LARGEST, (REQUESTS, 3)):
        measured, clean = ratios_of(layout_at(garment, keypoints, natural, requested), keypoints)
        if clean:
            errors = np.abs(measured / requested - 1)
            rows += [(f"accuracy.{NAMES[k]}", index, float(errors[k])) for k in np.flatnonzero(known)]
    for axis in np.flatnonzero(known):
        rows += ladder_of(garment, keypoints, natural, int(axis), index)
    return rows


def ladder_of(
    garment: np.ndarray, keypoints: Keypoints, natural: np.ndarray, axis: int, index: int
) -> list[Row]:
    """Measure the rungs of one ladder, and how they nest."""
    rows: list[Row] = []
    ladder, values = [], np.linspace(SMALLEST[axis], LARGEST[axis], RUNGS)
    for value in values:
        requested = natural.copy()
        requested[axis] = value
        ladder.append(layout_at(garment, keypoints, natural, requested))
        measured, clean = ratios_of(ladder[-1], keypoints)
        if clean:
            rows.append((f"rungs.{NAMES[axis]}", index, float(abs(measured[axis] / value - 1))))
    for value, (one, two) in zip(values[:-1], itertools.pairwise(ladder), strict=True):
        kind = "cropped" if axis == 2 and value < WIDTH_ROWS[1] - 1e-6 else NAMES[axis]
        rows.append((f"nesting.{kind}", index, float((one & two).sum() / one.sum())))
    return rows


def main() -> None:
    """Measure dolls and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dolls", type=int, default=40)
    parser.add_argument("--split", default="test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cut", type=float, help="row, in T, at which pictures end")
    parser.add_argument("--worst", action="store_true", help="list the worst cases too")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    look = partial(look_at, split=options.split, seed=options.seed, cut=options.cut)
    with ProcessPoolExecutor(options.processes) as pool:
        rows = [row for found in pool.map(look, range(options.dolls)) for row in found]
    for kind in ("accuracy", "rungs", "nesting"):
        for name in (*NAMES, "cropped") if kind == "nesting" else NAMES:
            mine = [row for row in rows if row[0] == f"{kind}.{name}"]
            values = np.array([row[2] for row in mine])
            if not mine:
                continue
            ends = np.quantile(values, [0.01, 0.05, 0.5, 0.95, 0.99])
            share = np.mean(values >= 0.995 if kind == "nesting" else values <= 0.02)
            text = " ".join(f"{end:.4f}" for end in ends)
            sys.stdout.write(f"{kind:9} {name:9} n={len(values):4} held {share:.4f}  q01..q99 {text}\n")
            if options.worst:
                mine.sort(key=lambda row: row[2] if kind == "nesting" else -row[2])
                sys.stdout.write(f"    {[(index, round(value, 3)) for _, index, value in mine[:12]]}\n")


if __name__ == "__main__":
    main()
