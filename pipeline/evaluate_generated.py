"""Score pictures that any system made against the protocol of `evaluate_tryon`."""

from pathlib import Path
from typing import Any

from eval.card import text_hash
from eval.generated import GeneratedFolder, write_requests
from eval.params import EvaluateParams
from eval.summary import ADAPTER
from pipeline.evaluation import Evaluation


def evaluate_generated(
    params: EvaluateParams,
    *,
    shards: Path,
    size_annotations: Path,
    base: Path,
    generated: Path,
    out: Path,
) -> dict[str, Any]:
    """Measure a folder of generated pictures and write its report.

    Args:
        params: The protocol; sampler and guidance are not read.
        shards: Has `test/index.json`.
        size_annotations: size_annotations.parquet.
        base: Has the segmenter that measures.
        generated: Pictures as `eval.generated` names them.
        out: The reports folder.

    Returns:
        metrics.json; the judged system stands where the adapter does.
    """
    evaluation = Evaluation.prepare(params, shards=shards, size_annotations=size_annotations, base=base)
    pictures = GeneratedFolder(generated, evaluation.scene)
    judged = evaluation.scorer.score_found(
        "generated", pictures.rung, evaluation.requests, evaluation.collector
    )
    trials = {ADAPTER: judged, **evaluation.baselines()}
    return evaluation.finish(trials, pictures.natural(), {"generated": pictures_hash(generated)}, out)


def request_pictures(
    params: EvaluateParams, *, shards: Path, size_annotations: Path, base: Path, out: Path
) -> None:
    """Write as CSV which pictures `evaluate_generated` wants, and at which ratios."""
    evaluation = Evaluation.prepare(params, shards=shards, size_annotations=size_annotations, base=base)
    write_requests(evaluation.scene, evaluation.requests, out)


def pictures_hash(folder: Path) -> str:
    """Hash names and sizes of all files of a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return text_hash(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}" for path in files)
