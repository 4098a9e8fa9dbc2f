"""DVC stage `evaluate_tryon`: shards, base/, size/, joint/ -> reports/, does the picture obey the size?"""

import shutil
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eval.images.everybody import Make
from eval.ladder.scoring import cells_by_category
from eval.ladder.trials import Trials, beyond
from eval.params import EvaluateParams
from eval.report.card import folder_hash
from eval.report.summary import ADAPTER, BEYOND, SCALE_ZERO, SIZE_ONLY, UNPAIRED
from eval.report.write import HEADLINE_FILE, METRICS_FILE
from model.adapter.adapter import SizeAdapter
from model.bases.base import TryOnBase
from model.composite import composite
from model.params import DrawingOptions, switches_of
from model.pixels import from_uint8, to_uint8
from model.sampling import (
    SizedDrawer,
    TryOnInputs,
    garment_refresh,
    steps_of,
    text_guidance_of,
    where_loaded,
)
from pipeline.checkpoints import load_size_aware, read_record, usual_device
from pipeline.evaluation.evaluation import Evaluation, require_trained
from pipeline.stage import run_stage
from preprocess.body.inpaint_mask import MaskParams
from preprocess.sizes.axes import FIT_PLACE
from preprocess.whole import require_replaceable
from shards.batch import Batch
from shards.index import MASK


def run(
    params: EvaluateParams,
    *,
    shards: Path,
    size_annotations: Path,
    base: Path,
    size: Path,
    joint: Path,
    headline: Path,
    out: Path,
) -> None:
    """Draw held-out people on fit ladders, re-measure every picture, write numbers and report.

    The few figures of the report's headline.json are copied to `headline`, which git keeps.
    """
    require_replaceable(out, METRICS_FILE, shards, base, size, joint)
    evaluation = Evaluation.prepare(params, shards=shards, size_annotations=size_annotations, base=base)
    size_only = score_size_only(evaluation, base, size)  # whose networks are gone before the others come
    networks = load_trained(evaluation, base, joint)
    trials = score_sized(evaluation, *networks) | {SIZE_ONLY: size_only} | evaluation.baselines()
    system = what_drew(params, base, networks[0])
    system |= {"size_hash": folder_hash(size), "joint_hash": folder_hash(joint)}
    make, beside = natural_size(params, *networks), ceiling(params, networks[0])
    evaluation.finish(trials, make, system, out, beside=beside)
    shutil.copyfile(out / HEADLINE_FILE, headline)


def score_sized(evaluation: Evaluation, networks: TryOnBase, adapter: SizeAdapter) -> dict[str, Trials]:
    """Score a system: its ladders, also beyond the data's range, in another's garment, and without size.

    Returns:
        Trials by method.
    """
    params, scorer, natural = evaluation.params, evaluation.scorer, evaluation.scene.natural
    draw = drawer_of(networks, adapter, evaluation.people, params)
    trials = {ADAPTER: scorer.score(ADAPTER, draw, evaluation.requests, evaluation.keep)}
    if params.out_of_range:
        share, inside = params.out_of_range, evaluation.values.items()
        values = {category: beyond(category, own, share) for category, own in inside}
        outside = cells_by_category(evaluation.scene, values)
        trials[BEYOND] = scorer.score(BEYOND, draw, outside)
    without = drawer_of(networks, None, evaluation.people, params)
    unsized = np.concatenate([without(person, row[None]) for person, row in enumerate(natural)])
    trials[SCALE_ZERO] = scorer.score_fixed(unsized, evaluation.requests)
    unpaired = evaluation.unpaired
    if unpaired.rows:
        rows, dressed = unpaired.rows, drawer_of(networks, adapter, unpaired.people, params)
        trials[UNPAIRED] = unpaired.score(lambda person, asked: dressed(rows.index(person), asked))
    return trials


def load_trained(evaluation: Evaluation, base: Path, checkpoint: Path) -> tuple[TryOnBase, SizeAdapter]:
    """Load what `train_size` or `train_joint` made.

    Raises:
        ValueError: It was trained with other inpainting masks than the shards have, or without garments of
            a category that they have.
    """
    require_trained(checkpoint, evaluation.categories)
    require_masks(checkpoint, evaluation.protocol[MASK])
    switches = switches_of(evaluation.params.low_memory)
    device = usual_device()
    networks, adapter = load_size_aware(base, checkpoint, *where_loaded(switches, device))
    networks.save_memory(switches, device)
    return networks, adapter.to(device)


def require_masks(checkpoint: Path, found: Mapping[str, Any] | None) -> None:
    """Raise ValueError unless what a stage wrote was trained with inpainting masks like those of the shards.

    Either may tell of fewer axes: the table's own are meant.
    """
    trained = read_record(checkpoint).get(MASK)
    filled_in = [masks and MaskParams.recorded(masks, checkpoint) for masks in (trained, found)]
    if filled_in[0] != filled_in[1]:
        raise ValueError(
            f"{checkpoint} was trained with the inpainting masks {trained}, but the shards have {found}: "
            "to fill in others is another task. Write shards with the same: `cinderella shard --checkpoint`, "
            "or `cinderella evaluate --root`, which does it by itself"
        )


def drawer_of(
    networks: TryOnBase, adapter: SizeAdapter | None, people: Batch, params: EvaluateParams
) -> SizedDrawer:
    """Draw people of a batch as try-on draws them."""
    return SizedDrawer(networks, adapter, TryOnInputs.of(people), params, batch_size=params.batch_size)


def natural_size(params: EvaluateParams, networks: TryOnBase, adapter: SizeAdapter) -> Make:
    """Draw people at the ratios of their photos."""

    def make(people: Batch, unpaired: bool) -> list[NDArray[np.uint8]]:  # noqa: ARG001 - worn as it comes
        return list(drawer_of(networks, adapter, people, params).each(people.ratios.astype(np.float64)))

    return make


def ceiling(params: EvaluateParams, networks: TryOnBase) -> dict[str, Make]:
    """What the autoencoder alone leaves of everybody's own photo: no picture of this base can be better."""

    @torch.no_grad()
    def make(people: Batch, unpaired: bool) -> list[NDArray[np.uint8]]:  # noqa: ARG001 - own garments alone
        photos = from_uint8(people.image, networks.device).to(networks.dtype)
        pictures = to_uint8(networks.to_images(networks.to_latents(photos))).cpu().numpy()
        return list(composite(people.image, pictures, people.inpaint_mask, params.seam_px(pictures.shape[1])))

    return {"autoencoder": make}


def evaluate_checkpoint(
    params: EvaluateParams, *, shards: Path, size_annotations: Path, base: Path, checkpoint: Path, out: Path
) -> dict[str, Any]:
    """Draw and measure what `train_size` or `train_joint` made, on the test split of any data in shards.

    Returns:
        metrics.json.
    """
    evaluation = Evaluation.prepare(params, shards=shards, size_annotations=size_annotations, base=base)
    networks = load_trained(evaluation, base, checkpoint)
    trials = score_sized(evaluation, *networks) | evaluation.baselines()
    system = what_drew(params, base, networks[0]) | {"checkpoint_hash": folder_hash(checkpoint)}
    make = natural_size(params, *networks)
    return evaluation.finish(trials, make, system, out, beside=ceiling(params, networks[0]))


def score_size_only(evaluation: Evaluation, base: Path, size: Path) -> Trials:
    """Score the width ladder of what `train_size` alone had learned."""
    draw = drawer_of(*load_trained(evaluation, base, size), evaluation.people, evaluation.params)
    requests = cells_by_category(evaluation.scene, evaluation.values, [FIT_PLACE])
    return evaluation.scorer.score(SIZE_ONLY, draw, requests)


def what_drew(params: EvaluateParams, base: Path, networks: TryOnBase) -> dict[str, Any]:
    """What every drawn system has: its base, and how it draws."""
    options = {field.name: getattr(params, field.name) for field in fields(DrawingOptions)}
    options |= {"garment_refresh": garment_refresh(networks, params), "num_steps": steps_of(networks, params)}
    options["text_guidance"] = text_guidance_of(networks, params)
    return {"base_hash": folder_hash(base)} | options


if __name__ == "__main__":
    run_stage("evaluate_tryon", run)
