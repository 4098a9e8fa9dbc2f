"""Score pictures that any system made against the protocol of `evaluate_tryon`."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.images.everybody import first_rows
from eval.ladder.scoring import asked_cells
from eval.params import EvaluateParams
from eval.report.card import files_hash
from eval.report.summary import ADAPTER
from pipeline.evaluation.evaluation import Evaluation
from pipeline.evaluation.folder import NATURAL, UNPAIRED, GeneratedFolder, rung_name
from preprocess.identity import files_below
from preprocess.sizes.axes import AXIS_NAMES, FIT_PLACE

Floats = NDArray[np.float64]


def evaluate_generated(
    params: EvaluateParams,
    *,
    shards: Path,
    size_annotations: Path,
    base: Path,
    generated: Path,
    out: Path,
) -> dict[str, Any]:
    """Measure a folder of generated pictures, named as `pipeline.evaluation.folder` says; write its report.

    The segmenter of `base` measures. Of the parameters sampler and guidance are not read.

    Returns:
        metrics.json; the judged system stands where the adapter does.
    """
    evaluation = Evaluation.prepare(params, shards=shards, size_annotations=size_annotations, base=base)
    pictures = GeneratedFolder(generated, evaluation.scene)
    found = evaluation.scorer.score_found("generated", pictures.rung, evaluation.requests, evaluation.keep)
    trials = {ADAPTER: found}
    dressed = evaluation.unpaired.score_found(partial(pictures.rung, unpaired=True))
    if np.isfinite(dressed.measured).any():
        trials[UNPAIRED] = dressed
    trials |= evaluation.baselines()
    system = {"generated": files_hash(generated, files_below(generated))}
    return evaluation.finish(trials, pictures.of, system, out, pictures.census)


def request_pictures(
    params: EvaluateParams, *, shards: Path, size_annotations: Path, base: Path, out: Path
) -> None:
    """Write as CSV which pictures `evaluate_generated` wants, in whose garment, and at which ratios."""
    evaluation = Evaluation.prepare(params, shards=shards, size_annotations=size_annotations, base=base)
    write_requests(wanted_pictures(evaluation), out)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """One picture that is asked for."""

    file: str
    """Where it is looked for, as PNG."""

    garment_key: str
    """Whose garment is tried on."""

    ratios: Floats
    """(A,) requested, NaN where anything will do."""


def wanted_pictures(evaluation: Evaluation) -> Iterator[Wanted]:
    """Everybody at the natural size, paired and unpaired, then every rung of the ladders."""
    wardrobe, count = evaluation.wardrobe, evaluation.params.num_image_people
    for people in first_rows(evaluation.stream.epoch_batches(), count):
        for key, ratios in zip(people.keys, people.ratios.astype(np.float64), strict=True):
            yield Wanted(file=f"{key}/{NATURAL}.png", garment_key=key, ratios=ratios)
            other = wardrobe.unpaired_key(key)
            if other is not None:
                yield Wanted(file=f"{key}/{UNPAIRED}.png", garment_key=other, ratios=ratios)
    keys = evaluation.scene.keys
    for cell in asked_cells(evaluation.requests):
        key, ratios = keys[cell[0]], evaluation.requests[cell]
        yield Wanted(file=f"{key}/{rung_name(cell)}.png", garment_key=key, ratios=ratios)
        other = wardrobe.unpaired_key(key) if cell[1] == FIT_PLACE else None
        if other is not None:
            name = rung_name(cell, unpaired=True)
            yield Wanted(file=f"{key}/{name}.png", garment_key=other, ratios=ratios)


def write_requests(wanted: Iterable[Wanted], path: Path) -> None:
    """Write which pictures are wanted, as CSV: file, whose garment, and a ratio for each axis."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "garment", *(f"{name}_ratio" for name in AXIS_NAMES)])
        for picture in wanted:
            ratios = ("" if np.isnan(ratio) else f"{ratio:.6f}" for ratio in picture.ratios)
            writer.writerow([picture.file, picture.garment_key, *ratios])
