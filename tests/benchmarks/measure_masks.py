"""Whether inpainting masks tell the worn size, on dolls and on photographs, beside VITON-HD's own masks.

    python -m tests.benchmarks.measure_masks [--train 400] [--test 200] [--photos FOLDER] [--long 500]

R² is that of a ridge regression from a mask, read in body coordinates, to each ratio. On dolls it is fitted
on one split and judged on the other; `tight` is a mask that follows the garment, as a control. FOLDER is a
VITON-HD root (default: `$CINDERELLA_SHARED/data/vitonhd`). Where its photographs are few, their figures are
no evidence: each is left out of the fit in turn, and the regression that dolls' tight masks taught is asked
too. `hidden` is the share of the worn garment inside the mask. `--long` dolls in trousers and skirts, and as
many in dresses, are asked the same.
"""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from preprocess.body.inpaint_mask import MaskParams, inpainting_mask
from preprocess.body.keypoints import BodyFrame, KeypointError
from preprocess.body.openpose import read_openpose
from preprocess.garment.measurements import measure_worn
from preprocess.garment.parse import garment_mask, load_parse
from preprocess.sizes.axes import axes_of
from preprocess.sources.viton_hd import VitonHd
from preprocess.vocabulary import Category
from tests.preprocess.seen_masks import bars_of, dolls
from tests.preprocess.test_inpaint_mask import Seen, held_out_r2, in_body_coordinates, look_at

RATIOS = ("shoulder", "width", "length", "sleeve")

STRENGTH = 10.0
"""Of the ridge, where a fit has no rows to choose it on."""


@dataclass(frozen=True)
class Photo:
    """A photograph's masks in body coordinates, and what is measured in it."""

    ours: np.ndarray
    agnostic: np.ndarray
    ratios: np.ndarray
    hidden: tuple[float, float]
    """By ours and by VITON-HD's."""


def photos(root: Path) -> list[Photo]:
    """Read the test photographs that have an agnostic mask."""
    found = []
    for sample in VitonHd(root, split="test").samples():
        if sample.agnostic_mask is None or sample.openpose_json is None or sample.parse is None:
            continue
        parse = load_parse(sample.parse)
        height, width = parse.shape
        keypoints = read_openpose(sample.openpose_json, width, height)
        garment = garment_mask(parse, Category.UPPER)
        try:
            frame = BodyFrame.from_keypoints(keypoints)
        except KeypointError:
            continue
        worn = measure_worn(garment, keypoints)
        lengths = np.array(
            [worn.lengths["shoulder"].value, worn.lengths["width"].value, worn.lengths["length"].value]
        )
        body = np.array([worn.body["shoulder"], worn.body["shoulder"], worn.body["torso"]])
        ours = inpainting_mask(keypoints, height, width, Category.UPPER, MaskParams(), parse=parse)
        agnostic = cv2.imread(str(sample.agnostic_mask), cv2.IMREAD_GRAYSCALE)
        agnostic = cv2.resize(agnostic, (width, height), interpolation=cv2.INTER_AREA) >= 128
        shares = [float((garment & mask).sum() / garment.sum()) for mask in (ours, agnostic)]
        found.append(
            Photo(
                ours=in_body_coordinates(ours, frame),
                agnostic=in_body_coordinates(agnostic, frame),
                ratios=lengths / body,
                hidden=(shares[0], shares[1]),
            )
        )
    return found


def ridge(rows: np.ndarray, targets: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Fit (N, F) rows to (N, 3) targets and return the predictions for (M, F) rows."""
    mean, target = rows.mean(axis=0), targets.mean(axis=0)
    centred = rows - mean
    dual = np.linalg.solve(centred @ centred.T + STRENGTH * np.eye(len(rows)), targets - target)
    answer: np.ndarray = (asked - mean) @ (centred.T @ dual) + target
    return answer


def left_out(rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(3,) R² of predicting each row from the others."""
    others = [np.arange(len(rows)) != i for i in range(len(rows))]
    predicted = [ridge(rows[keep], targets[keep], rows[~keep])[0] for keep in others]
    spread = ((targets - targets.mean(axis=0)) ** 2).sum(axis=0)
    r2: np.ndarray = 1 - ((np.array(predicted) - targets) ** 2).sum(axis=0) / spread
    return r2


def say(what: str, values: np.ndarray) -> None:
    """Print one figure for each ratio, of dolls for their sleeves as well."""
    named = ", ".join(f"{name} {value:+.3f}" for name, value in zip(RATIOS, values, strict=False))
    sys.stdout.write(f"{what}: {named}\n")


def on_dolls(num_train: int, num_test: int) -> list[Seen]:
    """Print the bars on dolls and return those that were fitted."""
    with ProcessPoolExecutor(2) as pool:
        train = [one for one in pool.map(look_at, ["train"] * num_train, range(num_train)) if one]
        test = [one for one in pool.map(look_at, ["test"] * num_test, range(num_test)) if one]
    ratios, truth = np.array([one.ratios for one in train]), np.array([one.ratios for one in test])
    for kind in ("ours", "tight"):
        rows = [np.array([getattr(one, kind) for one in some]) for some in (train, test)]
        say(f"dolls, R2 of {kind}", held_out_r2(rows[0], ratios, rows[1], truth))
    hidden, iou = (np.array([getattr(one, name) for one in train + test]) for name in ("hidden", "iou"))
    sys.stdout.write(
        f"dolls, {len(hidden)}: 99.9 % hidden in {(hidden >= 0.999).mean():.1%}, worst {hidden.min():.4f}; "
        f"IoU of the same person in two garments {iou.min():.4f} at least\n"
    )
    return train


def on_long(category: Category, count: int) -> None:
    """Print the bars on dolls of a category whose garments reach down the legs."""
    bars = bars_of(category, dolls(category, count))
    for kind in ("ours", "tight"):
        figures = zip(axes_of(category), getattr(bars, kind), strict=True)
        text = ", ".join(f"{name} {value:+.3f}" for name, value in figures)
        sys.stdout.write(f"dolls in {category}, R2 of {kind}: {text}\n")
    hidden, iou = bars.hidden, bars.ious.min()
    sys.stdout.write(
        f"dolls in {category}, {len(hidden)}: 99.9 % hidden in {(hidden >= 0.999).mean():.1%}, worst "
        f"{hidden.min():.4f}; IoU of the same person in two garments {iou:.4f} at least\n"
    )


def on_photos(root: Path, taught: list[Seen]) -> None:
    """Print the same on photographs, ours beside VITON-HD's own."""
    found = photos(root)
    ratios = np.array([one.ratios for one in found])
    sys.stdout.write(f"{len(found)} photographs, ratios:\n{ratios.round(2)}\n")
    tight, sizes = np.array([one.tight for one in taught]), np.array([one.ratios[:3] for one in taught])
    for number, kind in enumerate(("ours", "agnostic")):
        rows = np.array([getattr(one, kind) for one in found])
        say(f"photographs, R2 of {kind}, each left out in turn", left_out(rows, ratios))
        guesses = ridge(tight, sizes, rows)
        pairs = zip(guesses.T, ratios.T, strict=True)
        correlations = np.array([np.corrcoef(guess, ratio)[0, 1] for guess, ratio in pairs])
        say(f"photographs, correlation of {kind} through the dolls' regression", correlations)
        hidden = [one.hidden[number] for one in found]
        sys.stdout.write(f"photographs, hidden by {kind}: {np.round(hidden, 4)}\n")


def main() -> None:
    """Measure and print."""
    shared = Path(os.environ.get("CINDERELLA_SHARED", Path(__file__).parents[3] / "shared"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--photos", type=Path, default=shared / "data" / "vitonhd")
    parser.add_argument("--long", type=int, default=500)
    options = parser.parse_args()
    for category in (Category.LOWER, Category.DRESS):
        on_long(category, options.long)
    seen = on_dolls(options.train, options.test)
    if options.photos.is_dir():
        on_photos(options.photos, seen)
    else:
        sys.stdout.write(f"no photographs at {options.photos}\n")


if __name__ == "__main__":
    main()
