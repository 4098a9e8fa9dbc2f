"""How far measures are from the truth on freshly drawn paper dolls.

    python -m tests.benchmarks.measure_dolls [upper|lower|dress] [PEOPLE] [SEED] [IMAGE_HEIGHT]

Clear: by the renderer's own account nothing hides an axis (no sleeve touches the panel, no hand is raised or
hangs beside the garment, no top hangs over the waistband), and the joints and the hem are in the picture.
Errors are shares of the truth, and held is what lies within its bounds; with CINDERELLA_AXES=sleeve errors of
sleeves are shares of the arm.
"""

import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from preprocess.body.keypoints import KeypointError, Keypoints
from preprocess.garment.parse import garment_mask, scene_of
from preprocess.garment.size_ratios import SizeRatioParams, size_ratios
from preprocess.garment.worn import measured
from preprocess.sizes.axes import JUDGED_AT, axes_of
from preprocess.sources.paper_dolls.render import DollPicture
from preprocess.sources.paper_dolls.sample import doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Category, Joint

Outcome = tuple[str, str | None, bool, dict[str, tuple[float, bool]]]

HIDING = ("sleeve_touches_panel", "hand_raised", "waist_covered", "arm_hangs")
TRUNK = (Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER, Joint.RIGHT_HIP, Joint.LEFT_HIP)
LEGS = (
    Joint.RIGHT_HIP,
    Joint.LEFT_HIP,
    Joint.RIGHT_KNEE,
    Joint.LEFT_KNEE,
    Joint.RIGHT_ANKLE,
    Joint.LEFT_ANKLE,
)


def is_clear(picture: DollPicture, category: Category) -> bool:
    """Whether everything that measuring needs is seen."""
    needed = LEGS if category is Category.LOWER else TRUNK
    hidden = any(picture.truth.get(name) for name in HIDING)
    return not hidden and bool(picture.truth["hem_in_frame"] and picture.keypoints[list(needed), 2].all())


def outcome(params: PaperDollParams, index: int) -> Outcome:
    """Status, reason, whether the doll is clear; of known axes relative errors, and whether bounds hold."""
    category = params.category(index)
    picture = render_sample(params, doll_sample(params, "train", index))
    missing = picture.keypoints[:, 2] <= 0
    person = Keypoints.from_flat(np.where(missing[:, None], (np.nan, np.nan, 0), picture.keypoints))
    clear = is_clear(picture, category)
    try:
        garment, scene = garment_mask(picture.parse, category), scene_of(picture.parse, photo=picture.image)
        worn, flags = measured(garment, picture.parse, person, category, scene)
    except KeypointError as problem:
        return "failed", str(problem), clear, {}
    result = size_ratios(worn, SizeRatioParams(), category=category, keypoints=person, flags=flags)
    errors = {
        name: ((ratio.value - true) / max(true, JUDGED_AT[name]), ratio.low <= true <= ratio.high)
        for name, ratio in result.bounds.items()
        for true in [picture.truth[f"{name}_ratio"]]
        if result.is_known(name)
    }
    return str(result.status), result.reason, clear, errors


def main(category: Category, people: int, seed: int, image_height: int) -> None:
    """Print shares and errors."""
    params = PaperDollParams(
        train=people,
        test=2,
        image_height=image_height,
        image_width=image_height * 3 // 4,
        seed=seed,
        categories=(category,),
    )
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(partial(outcome, params), range(people), chunksize=16))
    clear = [(status, errors) for status, _, plain, errors in found if plain]
    ok = np.mean([status == "ok" for status, _ in clear])
    lines = [f"{people} dolls in {category}, {len(clear)} of them clear, of which {ok:.1%} are ok"]
    for name in axes_of(category):
        told = [errors[name] for *_, errors in found if name in errors]
        if not told:
            lines.append(f"{name:8s} known of nobody")
            continue
        errors, held = np.abs(told).T
        middle, high = np.quantile(errors, [0.5, 0.95])
        share = np.mean([name in errors for _, errors in clear])
        text = (
            f"median absolute relative error {middle:.2%}, 95th percentile {high:.2%}, {held.mean():.1%} held"
        )
        lines.append(f"{name:8s} {len(errors)} known, {share:.1%} of the clear ones; {text}")
    lines += [
        f"{count:6d} {reason}" for (_, reason, *_), count in Counter(row[:2] for row in found).most_common(14)
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    named = sys.argv[1:2] if sys.argv[1:2] and not sys.argv[1].isdecimal() else []
    given = [int(value) for value in sys.argv[1 + len(named) :]]
    main(Category(named[0]) if named else Category.UPPER, *(given + [1000, 20261122, 512][len(given) :]))
