"""DVC stage `evaluate_tryon`: shards, base/, size/, joint/ -> reports/, does the picture obey the size?"""

import logging
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eval.baselines import baseline_draws
from eval.card import SYSTEM, file_hash, folder_hash, text_hash
from eval.collect import Collector
from eval.data_summary import DataSummary, summarize_data
from eval.drawing import SizedDrawer, segment_with
from eval.image_metrics import image_section
from eval.params import EvaluateParams
from eval.people import first_people, scene_of
from eval.report import Report
from eval.scene import Scene
from eval.scoring import Draw, Scorer, annotator_section, ladder_cells
from eval.summary import ADAPTER, BEYOND, SCALE_ZERO, SIZE_ONLY, WIDTH, summarize, without_nan
from eval.trials import Trials, beyond, ladder_values
from eval.write import write_report
from model.segmenter import Segmenter
from pipeline.checkpoints import image_size, load_size_aware
from pipeline.stage import run_stage
from preprocess.vocabulary import SIZE_RATIOS
from shards.batch import Batch
from shards.stream import SampleStream

log = logging.getLogger(__name__)


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
    data = summarize_data(size_annotations)
    people = held_out(shards / "test" / "index.json", image_size(base), params)
    scene = scene_of(people, params.measured_height)
    scorer = scorer_of(scene, base / "segmenter", params)
    values = ladder_values(data.trusted, params.lowest_quantile, params.highest_quantile, params.num_rungs)
    requests = ladder_cells(scene.natural, values)
    collector = Collector(scorer, requests, params.num_strip_people, params.num_worst)

    trials, natural = score_joint(scorer, SystemFiles(base, joint), people, values, params, collector)
    trials[SIZE_ONLY] = score_size_only(scorer, SystemFiles(base, size), people, values, params)
    trials["natural"] = scorer.score_fixed(scene.photos, requests)
    for name, draw in baseline_draws(scene).items():
        trials[name] = scorer.score(name, draw, requests)

    worn = [scene.worn(person) for person in range(len(people))]
    lpips_weights = {"alex": params.lpips_alex, "vgg": params.lpips_vgg}
    image = image_section(natural, scene.photos, scene.inpaint_masks, lpips_weights)
    metrics = without_nan(
        {
            **summarize(trials, data.thresholds, params),
            "image": image | {"outside_mask_mean_abs_difference": collector.outside_difference()},
            "annotator": annotator_section(scorer.read(scene.photos), worn),
            "protocol": how_measured(params, shards, people, values, data, base / "segmenter")
            | {SYSTEM: what_was_judged(params, base, size, joint)},
        }
    )
    write_report(
        Report(
            metrics=metrics,
            trials=trials,
            strip=collector.strip(scene, trials[ADAPTER]),
            worst=collector.worst(scene),
            data=data,
        ),
        scene.keys,
        out,
    )
    for name in SIZE_RATIOS:
        log.info("%s: order accuracy %s", name, metrics["ladder"][name]["order_accuracy"])


def held_out(index: Path, image_hw: tuple[int, int], params: EvaluateParams) -> Batch:
    """Read the people of the test split that ladders are drawn on."""
    stream = SampleStream(
        index,
        batch_size=params.batch_size,
        image_height=image_hw[0],
        image_width=image_hw[1],
        seed=params.seed,
    )
    people = first_people(stream.epoch_batches(), params.num_people)
    if len(people) < params.num_people:
        log.warning("%s has %d usable people, not the %d asked for", index, len(people), params.num_people)
    return people


def scorer_of(scene: Scene, folder: Path, params: EvaluateParams) -> Scorer:
    """Measure with the frozen segmenter in `folder`."""
    segmenter = Segmenter.from_pretrained(folder).eval().requires_grad_(False)
    return Scorer(
        scene,
        partial(segment_with, segmenter),
        batch_size=params.batch_size,
        num_points=params.num_boundary_points,
    )


class SystemFiles(NamedTuple):
    """Where the weights of what is judged are."""

    base: Path
    checkpoint: Path


def score_joint(
    scorer: Scorer,
    files: SystemFiles,
    people: Batch,
    values: NDArray[np.float64],
    params: EvaluateParams,
    collector: Collector,
) -> tuple[dict[str, Trials], NDArray[np.uint8]]:
    """Score the finished system, also beyond the data's range and with the size switched off.

    Returns:
        Trials by method, and one picture a person at the natural size, (P, H, W, 3).
    """
    networks, adapter = load_size_aware(*files)
    draw, alone = (SizedDrawer(networks, part, people, params) for part in (adapter, None))
    natural = scorer.scene.natural
    requests = ladder_cells(natural, values)
    trials = {ADAPTER: scorer.score(ADAPTER, draw, requests, collector)}
    if params.out_of_range:
        outside = ladder_cells(natural, beyond(values, params.out_of_range))
        trials[BEYOND] = scorer.score(BEYOND, draw, outside)
    trials[SCALE_ZERO] = scorer.score_fixed(one_each(alone, natural), requests)
    return trials, one_each(draw, natural)


def score_size_only(
    scorer: Scorer, files: SystemFiles, people: Batch, values: NDArray[np.float64], params: EvaluateParams
) -> Trials:
    """Score the width ladder of what `train_size` alone had learned."""
    draw = SizedDrawer(*load_size_aware(*files), people, params)
    return scorer.score(SIZE_ONLY, draw, ladder_cells(scorer.scene.natural, values, [WIDTH]))


def one_each(draw: Draw, requested: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Draw every person once, at (P, 3) ratios."""
    return np.concatenate([draw(person, row[None]) for person, row in enumerate(requested)])


def how_measured(
    params: EvaluateParams,
    shards: Path,
    people: Batch,
    values: NDArray[np.float64],
    data: DataSummary,
    segmenter: Path,
) -> dict[str, Any]:
    """What must agree before figures of two systems may be compared."""
    return {
        "data": data.source or "unknown",
        "split": "test",
        "pairing": "paired: each person in the garment of the photo",
        "people": len(people),
        "people_hash": text_hash(people.keys),
        "index_hash": file_hash(shards / "test" / "index.json"),
        "image_height": people.image.shape[1],
        "image_width": people.image.shape[2],
        "resize": "JPEG decoded at a DCT scale, then area",
        "repaint": "photo outside the inpainting mask, seam inside",
        "ladder_from": dict(zip(SIZE_RATIOS, values[:, 0].tolist(), strict=True)),
        "ladder_to": dict(zip(SIZE_RATIOS, values[:, -1].tolist(), strict=True)),
        "rungs": params.num_rungs,
        "segmenter_hash": folder_hash(segmenter),
        "measured_height": params.measured_height,
        "boundary_points": params.num_boundary_points,
        "ssim": "torchmetrics, Gaussian 11x11, sigma 1.5",
        "bootstrap": params.num_bootstrap,
        "seed": params.seed,
    }


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
