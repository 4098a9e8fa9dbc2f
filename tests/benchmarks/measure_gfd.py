"""Is a width that is 5 % off told from the right one, and its sign? Over many dolls drawn at exact sizes.

    python -m tests.benchmarks.measure_gfd [people] [seed]

Two kinds of pictures, both at the request and with the width 5 % off, measured against the layout that is
expected at the request:

*seen coarsely*: that layout itself, through a mask of 96 x 72 px, so that only the measuring errs;
*drawn again*: the doll drawn anew, whose garment has the ratios but never quite the shape of the layout.
"""

import sys
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from eval.ladder.remeasure import read_garment
from eval.ladder.scoring import Scorer, asked_cells, ladder_cells
from eval.ladder.trials import Trials, fit_error
from preprocess.body.keypoints import Keypoints
from preprocess.layout.resized import layout_at
from preprocess.sizes.axes import AXIS_NAMES, FIT_PLACE
from preprocess.sources.params import PaperDollParams
from tests.eval.dolls import DollStudio
from tests.sizes import of_tops

VALUES = of_tops(np.transpose([[0.0] * 4, [1.0, 1.2, 1.4, 1.6], [0.0] * 4])).T
Floats = NDArray[np.float64]


def drawn(studio: DollStudio, scorer: Scorer, requests: Floats, factor: float) -> Trials:
    """Dolls whose width is `factor` times the requested one."""
    change = np.where(np.arange(len(AXIS_NAMES)) == FIT_PLACE, factor, 1.0)
    return scorer.score(str(factor), lambda person, asked: studio.draw(person, asked * change), requests)


def seen_coarsely(scorer: Scorer, requests: Floats, factor: float) -> Trials:
    """Layouts whose width is `factor` times the requested one, through a mask of 96 x 72 px."""
    scene, trials = scorer.scene, Trials.unmeasured(requests)
    change = np.where(np.arange(len(AXIS_NAMES)) == FIT_PLACE, factor, 1.0)
    for cell in asked_cells(requests):
        person, requested = cell[0], requests[cell]
        worn, keypoints = scene.garment_masks[person], Keypoints.from_flat(scene.keypoints[person])
        layout = layout_at(worn, keypoints, scorer.worn[person].ratios, requested * change)
        coarse = cv2.resize(layout.astype(np.float32), (72, 96), interpolation=cv2.INTER_AREA)
        mask = cv2.resize(coarse, worn.shape[::-1], interpolation=cv2.INTER_CUBIC) > 0.5
        found = read_garment(mask, keypoints, scene.categories[person], sure=True)
        expected = scorer.expected(person, requested)
        trials.record(cell, found, fit_error(found, expected, requested, scorer.num_points))
    return trials


def auc(right: Floats, wrong: Floats) -> float:
    """Area under the ROC curve of telling wrong from right by the larger value."""
    right, wrong = right[np.isfinite(right)], wrong[np.isfinite(wrong)]
    above = (wrong[None] > right[:, None]).mean()
    return float(above + (wrong[None] == right[:, None]).mean() / 2)


def main(people: int, seed: int) -> None:
    """Print the figures of both kinds and both directions."""
    studio = DollStudio(people, PaperDollParams(image_height=320, image_width=240, seed=seed))
    scorer = Scorer(studio.scene, studio.segment, batch_size=4, num_points=256)
    requests = ladder_cells(studio.scene.natural, VALUES, [FIT_PLACE])
    kinds = {
        "seen coarsely": partial(seen_coarsely, scorer, requests),
        "drawn again": partial(drawn, studio, scorer, requests),
    }
    for kind, take in kinds.items():
        exact = take(1.0)
        coverage = np.isfinite(exact.gfd[:, FIT_PLACE]).mean()
        sys.stdout.write(f"{kind}: {people} people x {VALUES.shape[1]} widths, {coverage:.1%} measured\n")
        for factor in (0.95, 1.05):
            sys.stdout.write(f"  width x {factor}: {figures(exact, take(factor), factor)}\n")


def figures(exact: Trials, wrong: Trials, factor: float) -> str:
    """How well the wrong width is told from the right one."""
    bias = wrong.width_bias[np.isfinite(wrong.width_bias)]
    by_bias = auc(np.abs(exact.width_bias), np.abs(wrong.width_bias))
    sign = (np.sign(bias) == np.sign(factor - 1)).mean()
    return (
        f"AUC by GFD {auc(exact.gfd, wrong.gfd):.4f}, by |width bias| {by_bias:.4f}; sign right {sign:.2%}; "
        f"median GFD {np.nanmedian(exact.gfd):.4f} -> {np.nanmedian(wrong.gfd):.4f}"
    )


if __name__ == "__main__":
    arguments = [int(value) for value in sys.argv[1:]]
    main(*arguments, *(60, 7)[len(arguments) :])
