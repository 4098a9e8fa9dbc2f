"""How far measures are from the truth on freshly drawn paper dolls.

    python -m tests.benchmarks.measure_dolls [PEOPLE] [SEED] [IMAGE_HEIGHT]

Unambiguous: no sleeve touches the panel and no hand is raised, by the renderer's own account.
"""

import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from preprocess.body.keypoints import BodyFrame, KeypointError, Keypoints
from preprocess.garment.measurements import measure_worn
from preprocess.garment.parse import garment_mask, scene_of
from preprocess.garment.size_ratios import SizeRatioParams, size_ratios
from preprocess.garment.worn import parse_flags
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.sources.paper_dolls.dataset import doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Category

Outcome = tuple[str, str | None, bool, list[float]]


def outcome(params: PaperDollParams, index: int) -> Outcome:
    """Status, reason, whether the doll is unambiguous, and the three relative errors."""
    picture = render_sample(params, doll_sample(params, "train", index))
    missing = picture.keypoints[:, 2] <= 0
    person = Keypoints.from_flat(np.where(missing[:, None], (np.nan, np.nan, 0), picture.keypoints))
    plain = not (picture.truth["sleeve_touches_panel"] or picture.truth["hand_raised"])
    try:
        scene = scene_of(picture.parse, photo=picture.image)
        worn = measure_worn(garment_mask(picture.parse, Category.UPPER), person, scene)
    except KeypointError as problem:
        return "failed", str(problem), plain, [np.nan] * 3
    flags = parse_flags(picture.parse, worn, BodyFrame.from_keypoints(person), Category.UPPER)
    result = size_ratios(worn, SizeRatioParams(), keypoints=person, flags=flags)
    truth = np.array([picture.truth[f"{name}_ratio"] for name in AXIS_NAMES])
    return str(result.status), result.reason, plain, (result.ratios / truth - 1).tolist()


def main(people: int, seed: int, image_height: int) -> None:
    """Print shares and errors."""
    params = PaperDollParams(
        train=people, test=2, image_height=image_height, image_width=image_height * 3 // 4, seed=seed
    )
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(partial(outcome, params), range(people), chunksize=16))
    errors = np.abs([errors for status, _, _, errors in found if status == "ok"])
    plain = [status == "ok" for status, _, unambiguous, _ in found if unambiguous]
    lines = [f"{people} dolls, {len(errors)} ok; of {len(plain)} unambiguous {np.mean(plain):.1%} ok"]
    for name, column in zip(AXIS_NAMES, errors.T, strict=True):
        middle, high = np.quantile(column, [0.5, 0.95])
        lines.append(f"{name:8s} median absolute relative error {middle:.2%}, 95th percentile {high:.2%}")
    lines += [
        f"{count:6d} {reason}" for (_, reason, *_), count in Counter(row[:2] for row in found).most_common()
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[1:]]
    main(*(given + [1000, 20261122, 512][len(given) :]))
