"""DVC stage `evaluate_tryon`: shards, base/, size/, joint/ -> reports/, does the picture obey the size?"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.card import folder_hash
from eval.drawing import SizedDrawer
from eval.params import EvaluateParams
from eval.scoring import Draw, ladder_cells
from eval.summary import ADAPTER, BEYOND, SCALE_ZERO, SIZE_ONLY, WIDTH
from eval.trials import Trials, beyond
from pipeline.checkpoints import load_size_aware
from pipeline.evaluation import Evaluation
from pipeline.stage import run_stage


def run(
    params: EvaluateParams,
    *,
    shards: Path,
    size_annotations: Path,
    base: Path,
    size: Path,
    joint: Path,
    out: Path,
) -> None:
    """Draw held-out people on fit ladders, re-measure every picture, write numbers and report."""
    evaluation = Evaluation.prepare(params, shards=shards, size_annotations=size_annotations, base=base)
    trials, natural = score_joint(evaluation, base, joint)
    trials[SIZE_ONLY] = score_size_only(evaluation, base, size)
    trials |= evaluation.baselines()
    evaluation.finish(trials, natural, what_was_judged(params, base, size, joint), out)


def score_joint(
    evaluation: Evaluation, base: Path, joint: Path
) -> tuple[dict[str, Trials], NDArray[np.uint8]]:
    """Score the finished system, also beyond the data's range and with the size switched off.

    Returns:
        Trials by method, and one picture a person at the natural size, (P, H, W, 3).
    """
    params, scorer, natural = evaluation.params, evaluation.scorer, evaluation.scene.natural
    networks, adapter = load_size_aware(base, joint)
    draw, alone = (SizedDrawer(networks, part, evaluation.people, params) for part in (adapter, None))
    trials = {ADAPTER: scorer.score(ADAPTER, draw, evaluation.requests, evaluation.collector)}
    if params.out_of_range:
        outside = ladder_cells(natural, beyond(evaluation.values, params.out_of_range))
        trials[BEYOND] = scorer.score(BEYOND, draw, outside)
    trials[SCALE_ZERO] = scorer.score_fixed(one_each(alone, natural), evaluation.requests)
    return trials, one_each(draw, natural)


def score_size_only(evaluation: Evaluation, base: Path, size: Path) -> Trials:
    """Score the width ladder of what `train_size` alone had learned."""
    draw = SizedDrawer(*load_size_aware(base, size), evaluation.people, evaluation.params)
    requests = ladder_cells(evaluation.scene.natural, evaluation.values, [WIDTH])
    return evaluation.scorer.score(SIZE_ONLY, draw, requests)


def one_each(draw: Draw, requested: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Draw every person once, at (P, 3) ratios."""
    return np.concatenate([draw(person, row[None]) for person, row in enumerate(requested)])


def what_was_judged(params: EvaluateParams, base: Path, size: Path, joint: Path) -> dict[str, Any]:
    """The system: weights and sampler."""
    return {
        "base_hash": folder_hash(base),
        "size_hash": folder_hash(size),
        "joint_hash": folder_hash(joint),
        "sampler": "ddim",
        "steps": params.num_steps,
        "text_guidance": params.text_guidance,
        "size_guidance": params.size_guidance,
    }


if __name__ == "__main__":
    run_stage("evaluate_tryon", run)
