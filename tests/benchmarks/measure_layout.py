"""How well layouts obey: measured against the request over the whole range, and nested along each ratio.

    python -m tests.benchmarks.measure_layout [--category upper] [--dolls 40] [--split test] [--seed 0]
        [--cut ROW] [--worst]

Accuracy: requests drawn evenly over the allowed range, and layouts measured as the annotation stage measures
garments; only layouts whose measures nothing makes doubtful count. Rungs: the same for ladders along one
ratio, the other two as worn. Nesting: the share of every rung that lies inside the next. `cropped` are the
pairs whose shorter rung ends inside the rows of the width, so that other rows define its width. `--cut 1.1`
cuts pictures off 1.1 torso lengths below the shoulders; a ratio unknown there is not asked for. Of trousers,
skirts and dresses only dolls count in front of whose garment nothing hangs. With CINDERELLA_AXES=sleeve,
sleeves that a garment of the other ratios can't have on its body are `moved`, and judged by what it has.
"""

import argparse
import itertools
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from preprocess.body.keypoints import BodyFrame, KeypointError, Keypoints
from preprocess.body.needs import require_body
from preprocess.garment.measurements import WIDTH_ROWS
from preprocess.garment.parse import garment_mask
from preprocess.layout.possible import possible_on
from preprocess.sizes.axes import AXIS_NAMES, JUDGED_AT, axes_of
from preprocess.sources.paper_dolls.sample import doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Category
from tests.preprocess.test_inpaint_mask import keypoints_of
from tests.preprocess.test_layouts_of_legs import layout_of, ratios_of

RUNGS, REQUESTS = 7, 8

CROPPED = {Category.UPPER: WIDTH_ROWS[1] - 1e-6, Category.LOWER: 0.27, Category.DRESS: 0.0}
"""Lengths below which other rows define the width."""

Row = tuple[str, int, float]


def worn_by(category: Category, index: int, split: str, seed: int) -> tuple[np.ndarray, Keypoints]:
    """What a doll wears, and its joints; KeypointError where it can't be judged."""
    dolls = PaperDollParams(train=1000, test=1000, seed=seed, categories=(category,))
    picture = render_sample(dolls, doll_sample(dolls, split, index))
    keypoints, truth = keypoints_of(picture), picture.truth
    require_body(keypoints, category)
    hidden = truth.get("waist_covered") or truth.get("arm_hangs") or not truth.get("hem_in_frame", True)
    if category is not Category.UPPER and hidden:
        raise KeypointError("hidden")
    return garment_mask(picture.parse, category), keypoints


def look_at(index: int, category: Category, split: str, seed: int, cut: float | None) -> list[Row]:
    """Measure one doll: ('accuracy.<ratio>' or 'nesting.<ratio>', index, value)."""
    rows: list[Row] = []
    try:
        garment, keypoints = worn_by(category, index, split, seed)
    except KeypointError:
        return rows
    if cut is not None:
        frame = BodyFrame.from_keypoints(keypoints)
        garment = garment[: int(frame.to_image(np.array([[cut * frame.torso_length, 0.0]]))[0, 1])]
    names, asked = list(axes_of(category)), np.array([axis.asked for axis in axes_of(category).values()]).T
    known = np.isfinite(ratios_of(garment, keypoints, category)[0])
    for requested in np.random.default_rng([seed, index]).uniform(*asked, (REQUESTS, len(names))):
        wanted = np.where(known, requested, np.nan)
        rows += judged("accuracy", index, garment, keypoints, category, wanted)[1]
    for axis in np.flatnonzero(known):
        rows += ladder_of(garment, keypoints, category, names[axis], index)
    return rows


def judged(
    kind: str, index: int, garment: np.ndarray, keypoints: Keypoints, category: Category, wanted: np.ndarray
) -> tuple[np.ndarray, list[Row]]:
    """Lay a garment out at ratios; how far it measures from each, and from those that stand in for some."""
    names, places = list(axes_of(category)), [AXIS_NAMES.index(name) for name in axes_of(category)]
    whole = np.full((2, len(AXIS_NAMES)), np.nan)
    whole[:, places] = ratios_of(garment, keypoints, category)[0], wanted
    had = possible_on(garment, keypoints, *whole, category)[places]
    layout = layout_of(garment, keypoints, category, wanted)
    measured, clean = ratios_of(layout, keypoints, category)
    errors = np.abs(measured - had) / np.maximum(wanted, [JUDGED_AT[name] for name in names])
    return layout, [
        (f"{kind if had[k] == wanted[k] else 'moved'}.{names[k]}", index, float(errors[k]))
        for k in np.flatnonzero(np.isfinite(errors) & clean)
    ]


def ladder_of(
    garment: np.ndarray, keypoints: Keypoints, category: Category, name: str, index: int
) -> list[Row]:
    """Measure the rungs of one ladder, and how they nest."""
    rows: list[Row] = []
    axis, asked = list(axes_of(category)).index(name), axes_of(category)[name].asked
    ladder, values = [], np.linspace(*asked, RUNGS)
    num_axes = len(axes_of(category))
    for value in values:
        wanted = np.where(np.arange(num_axes) == axis, value, np.nan)
        layout, errors = judged("rungs", index, garment, keypoints, category, wanted)
        ladder.append(layout)
        rows += errors
    for value, (one, two) in zip(values[:-1], itertools.pairwise(ladder), strict=True):
        kind = "cropped" if name == "length" and value < CROPPED[category] else name
        rows.append((f"nesting.{kind}", index, float((one & two).sum() / one.sum())))
    return rows


def main() -> None:
    """Measure dolls and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--category", type=Category, default=Category.UPPER)
    parser.add_argument("--dolls", type=int, default=40)
    parser.add_argument("--split", default="test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cut", type=float, help="row, in T, at which pictures end")
    parser.add_argument("--worst", action="store_true", help="list the worst cases too")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    look = partial(
        look_at, category=options.category, split=options.split, seed=options.seed, cut=options.cut
    )
    with ProcessPoolExecutor(options.processes) as pool:
        rows = [row for found in pool.map(look, range(options.dolls)) for row in found]
    names = list(axes_of(options.category))
    for kind in ("accuracy", "rungs", "moved", "nesting"):
        for name in (*names, "cropped") if kind == "nesting" else names:
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
