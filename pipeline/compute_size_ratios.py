"""DVC stage `compute_size_ratios`: manifest.parquet, keypoints.parquet -> size_annotations.parquet."""

import json
import logging
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.engine.parts import Engine, open_engine
from pipeline.stage import run_stage
from pipeline.tables.incremental import (
    BATCH,
    DIGEST_KEY,
    Batches,
    Change,
    Job,
    Row,
    Table,
    column,
    iter_manifest,
    streamed,
    update,
)
from pipeline.tables.measure_sample import MeasureJob, measured
from preprocess.body.keypoints import Array, KeypointError
from preprocess.garment.known import BOUNDS_PARTS, MAX_UNCERTAINTY_KEY, known_ratios
from preprocess.garment.size_ratios import (
    SizeRatioParams,
    fit_label,
    fit_label_thresholds,
    thresholds_key,
)
from preprocess.identity import identity
from preprocess.sizes.axes import FIT_AXIS, LENGTH_COLUMNS, MEASURED_NAMES
from preprocess.sources.same_photo import SAME_PHOTO
from preprocess.vocabulary import DRAWING_KEY, FIT_LABELS, SOURCE_KEY, RowStatus

log = logging.getLogger(__name__)

SCHEMA_VERSION = "4"


def _measures(names: tuple[str, ...], unit: str) -> list[pa.Field]:
    return [column(name, pa.float64(), unit, nullable=True) for name in names]


RATIO_COLUMNS = tuple(f"{name}_{part}" for name in MEASURED_NAMES for part in BOUNDS_PARTS)

SCHEMA = pa.schema(
    [
        column("key", pa.string()),
        column("split", pa.string()),
        column("category", pa.string()),
        column("status", pa.string()),
        column("reason", pa.string(), nullable=True),
        column("keypoint_source", pa.string()),
        column("keypoint_format", pa.string()),
        *_measures(RATIO_COLUMNS, "1"),
        *_measures(tuple(n for n in ("ease_ratio", "sleeve_ratio") if n not in RATIO_COLUMNS), "1"),
        column("fit_label", pa.string(), nullable=True),
        column("confidence", pa.float64(), "1"),
        *_measures(LENGTH_COLUMNS, "px"),
        *_measures(("tilt_deg",), "deg"),
        column("image_width", pa.int32(), "px"),
        column("image_height", pa.int32(), "px"),
        column("input_hash", pa.string()),
        column(SAME_PHOTO, pa.string(), nullable=True),
    ],
    metadata={"schema_version": SCHEMA_VERSION},
)
"""Ratios are garment over body, each with the bounds in which it lies by what the photo shows: all null where
it can't be measured, the bounds alone where the reading says nothing. The schema's metadata has
`max_uncertainty` and, under `fit_label_thresholds`, the thresholds of `fit_label`, rising width ratios; those
of other categories than `upper` under `fit_label_thresholds_lower` and `fit_label_thresholds_dress`. The
last column is the manifest's."""


def run(
    params: SizeRatioParams, *, manifest: Path, keypoints: Path, out: Path, engine: Engine | None = None
) -> None:
    """Write one row of size ratios for every row of the manifest, then cut the fit labels."""
    table = Table(
        out=out,
        schema=SCHEMA,
        jobs=partial(jobs, params, manifest, keypoints),
        work=annotation_row,
        digest=made_by(params, keypoints),
        total=pq.read_metadata(manifest).num_rows,
        finish=partial(finish, params, manifest),
    )
    update(table, engine or open_engine(workers=params.workers))


def made_by(params: SizeRatioParams, keypoint_file: Path) -> str:
    """Name the parameters and code that every row depends on, those of the keypoints included."""
    own = {**asdict(params), "workers": 0, "fit_quantiles": None}
    joints_made_by = pq.read_schema(keypoint_file).metadata.get(DIGEST_KEY, b"")
    return identity("pipeline.compute_size_ratios", own, [joints_made_by])


def jobs(params: SizeRatioParams, manifest: Path, keypoint_file: Path) -> Iterator[Job]:
    """Yield the work of every sample.

    Raises:
        ValueError: The keypoints are of another manifest.
    """
    samples, found = iter_manifest(manifest), keypoint_rows(keypoint_file)
    for sample in samples:
        row = next(found, None)
        if row is None or (row["split"], row["key"], row["input_hash"]) != (
            sample.split,
            sample.key,
            sample.input_hash,
        ):
            raise ValueError(
                f"{keypoint_file} must have a row for {sample.split}/{sample.key} of {manifest}: "
                "run `dvc repro extract_keypoints` first"
            )
        yield Job.of(sample, MeasureJob(sample=sample, found=row, params=params))


def keypoint_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of keypoints.parquet, the keypoints as (75,) arrays."""
    with streamed(path) as file:
        for batch in file.iter_batches(BATCH):
            flat = batch.column("keypoints").flatten().to_numpy(zero_copy_only=False)
            rest = batch.drop_columns("keypoints").to_pylist()
            yield from (
                {**row, "keypoints": xyc} for row, xyc in zip(rest, flat.reshape(len(batch), -1), strict=True)
            )


def annotation_row(job: MeasureJob) -> Row:
    """Turn a sample into one row of `SCHEMA`, without what depends on others: its fit label, `SAME_PHOTO`."""
    sample, found = job.sample, job.found
    row: Row = dict.fromkeys(SCHEMA.names)
    for name in ("keypoint_source", "keypoint_format", "image_width", "image_height"):
        row[name] = found[name]
    row |= {"key": sample.key, "split": sample.split, "category": str(sample.category)}
    row |= {"input_hash": sample.input_hash, "confidence": 0.0}
    try:
        if found["status"] == RowStatus.FAILED:
            raise KeypointError(found["reason"] or "failed_in_extract_keypoints")
        return row | measured(job)
    except KeypointError as problem:
        return row | {"status": str(RowStatus.FAILED), "reason": str(problem)}


def finish(params: SizeRatioParams, manifest: Path, rows: Batches) -> tuple[dict[bytes, bytes], Change]:
    """Cut the fit labels, and add what the manifest knows: copies of photos, where the data came from."""
    metadata, labelled = cut_labels(rows, params)
    known, copies = pq.read_schema(manifest).metadata or {}, copies_in(manifest)
    origin = {key: known.get(key, b"") for key in (SOURCE_KEY, DRAWING_KEY)}
    return metadata | origin, lambda batch: with_copies(labelled(batch), copies)


def copies_in(manifest: Path) -> Iterator[str | None]:
    """Yield the column `SAME_PHOTO` of a manifest; nothing is known where an earlier version lacks it."""
    with streamed(manifest) as file:
        if SAME_PHOTO not in file.schema_arrow.names:
            yield from repeat(None)
        for batch in file.iter_batches(BATCH, columns=[SAME_PHOTO]):
            yield from batch[SAME_PHOTO].to_pylist()


def with_copies(batch: pa.RecordBatch, copies: Iterator[str | None]) -> pa.RecordBatch:
    """Fill in the next rows' column `SAME_PHOTO`."""
    return filled_in(batch, SAME_PHOTO, list(islice(copies, len(batch))))


def filled_in(batch: pa.RecordBatch, name: str, values: list[str | None]) -> pa.RecordBatch:
    """Replace a column of texts."""
    index = batch.schema.get_field_index(name)
    return batch.set_column(index, batch.schema.field(index), pa.array(values, pa.string()))


def cut_labels(rows: Batches, params: SizeRatioParams) -> tuple[dict[bytes, bytes], Change]:
    """Cut the known width ratios of the train split, of all splits where there is none, by category.

    Returns:
        Metadata with the thresholds and with what known means, and what fills in the label of a batch.
    """
    widths: defaultdict[tuple[str, bool], array[float]] = defaultdict(lambda: array("d"))
    for batch in rows:
        known = known_ratios(batch, FIT_AXIS, params.max_uncertainty)
        names = zip(batch["category"].to_pylist(), batch["split"].to_pylist(), strict=True)
        for (category, split), width in zip(names, known, strict=True):
            if np.isfinite(width):
                widths[category, split == "train"].append(width)
    metadata = {MAX_UNCERTAINTY_KEY: json.dumps(params.max_uncertainty).encode()}
    if not widths:
        log.warning("no row with a known %s: no fit labels", FIT_AXIS)
        return metadata, lambda batch: batch
    thresholds = {}
    for category in sorted({category for category, _ in widths}):
        sample = np.array(widths[category, True] or widths[category, False])
        cuts = thresholds[category] = fit_label_thresholds(sample, params.fit_quantiles)
        words = "/".join(FIT_LABELS), category, cuts.round(3).tolist(), sample.size
        log.info("fit labels %s of %s cut at %s (n=%d)", *words)
        metadata[thresholds_key(category)] = json.dumps(cuts.tolist()).encode()
    return metadata, lambda batch: with_labels(batch, thresholds, params.max_uncertainty)


def with_labels(
    batch: pa.RecordBatch, thresholds: Mapping[str, Array], max_uncertainty: float
) -> pa.RecordBatch:
    """Fill in the fit label of every row whose width is known, by the thresholds of its category."""
    widths = known_ratios(batch, FIT_AXIS, max_uncertainty)
    labels = [
        fit_label(width, thresholds[category]) if np.isfinite(width) else None
        for width, category in zip(widths, batch["category"].to_pylist(), strict=True)
    ]
    return filled_in(batch, "fit_label", labels)


if __name__ == "__main__":
    run_stage("compute_size_ratios", run)
