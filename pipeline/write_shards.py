"""DVC stage `write_shards`: manifest, keypoints and measures -> shards/{split}/*.tar and index.json."""

import logging
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.engine.parts import Engine, open_engine
from pipeline.stage import run_stage
from pipeline.tables.sharding import build_shards
from preprocess.garment.known import known_only
from preprocess.identity import identity
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.sources.source import ManifestRow, read_manifest
from preprocess.vocabulary import TRIED_ON, RowStatus
from shards.build import Parts, build_packed
from shards.index import CATEGORIES, INDEX_NAME, MASK
from shards.latents import LATENTS_FOLDER
from shards.params import WriteShardsParams
from shards.plan import Ingredients, tars_of

log = logging.getLogger(__name__)

TRAINED_SPLIT = "train"

Row = Mapping[str, Any]


def run(
    params: WriteShardsParams,
    *,
    manifest: Path,
    keypoints: Path,
    size_annotations: Path,
    out: Path,
    engine: Engine | None = None,
) -> None:
    """Write every usable sample of the manifest into the shards of its split, and remove other splits'."""
    tables = {"manifest": manifest, "keypoints": keypoints, "size_annotations": size_annotations}
    write(params, **tables, out=out, only=None, engine=engine)
    write_latents(params, out / TRAINED_SPLIT, engine)


def write(
    params: WriteShardsParams,
    *,
    manifest: Path,
    keypoints: Path,
    size_annotations: Path,
    out: Path,
    only: str | None = None,
    engine: Engine | None = None,
) -> None:
    """Write the pictures of every usable sample, of all splits or `only` one.

    Raises:
        ValueError: There is none.
    """
    joints, measures = by_name(keypoints), by_name(size_annotations, known_only)
    usable: defaultdict[str, list[Ingredients[Parts]]] = defaultdict(list)
    left_out: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in read_manifest(manifest):
        if only not in (None, row.split):
            continue
        name = (row.split, row.key)
        parts = gather(row, joints.get(name), measures.get(name))
        if isinstance(parts, str):
            left_out[row.split][parts] += 1
        else:
            usable[row.split].append(Ingredients(row.key, fingerprint(parts, params), parts))
    if not usable:
        raise ValueError(f"{manifest} has no usable sample: {dict(left_out)}")
    if only is None:
        forget_splits(out, usable)
    for split, rows in sorted(usable.items()):
        build_shards(
            rows,
            partial(build_packed, params=params),
            out / split,
            split,
            params.samples_per_shard,
            engine=engine or open_engine(workers=params.num_workers or 1),
            header={
                "split": split,
                "known": (known := num_known(rows)),
                "left_out": dict(sorted(left_out[split].items())),
                MASK: asdict(params.mask),
                CATEGORIES: dict(Counter(str(row.what.files.category) for row in rows)),
            },
        )
        log.info("%s: of %d people are known: %s", split, len(rows), known)
        warn(split, rows, left_out[split])


def warn(split: str, rows: Sequence[Ingredients[Parts]], left_out: Counter[str]) -> None:
    """Tell what of a split isn't as its photos are, or isn't there at all."""
    if cut := sum(row.what.files.cloth is None for row in rows):
        log.warning("%s: %d garments are cut out of their wearers' photos", split, cut)
    if left_out:
        log.warning("%s: left out %s", split, dict(left_out))


def forget_splits(out: Path, splits: Collection[str]) -> None:
    """Remove the shards of all but these splits: nobody must train on an earlier manifest's."""
    others = [folder for folder in out.glob("*/") if folder.name not in splits]
    for folder in sorted(folder for folder in others if any(tars_of(folder, folder.name))):
        log.warning("%s: removed, as the manifest has no usable sample of this split any more", folder)
        (folder / INDEX_NAME).unlink(missing_ok=True)  # first: without it the rest counts for nothing
        shutil.rmtree(folder)


def num_known(rows: Sequence[Ingredients[Parts]]) -> dict[str, int]:
    """On each axis, how many people are known."""
    return {name: sum(row.what.measures[f"{name}_ratio"] is not None for row in rows) for name in AXIS_NAMES}


def write_latents(params: WriteShardsParams, pictures: Path, engine: Engine | None = None) -> None:
    """Write the encodings of the split that is trained on, or remove those that aren't wanted any more."""
    if params.encode == "latents" and pictures.is_dir():
        from pipeline.tables.encode_latents import encode_latents  # the encoders' libraries take seconds

        encode_latents(params, pictures, TRAINED_SPLIT, engine)
    else:
        shutil.rmtree(pictures / LATENTS_FOLDER, ignore_errors=True)


def by_name(
    path: Path, change: Callable[[pa.Table], pa.Table] = lambda table: table
) -> dict[tuple[str, str], Row]:
    """Read the rows of a Parquet file, changed, by split and key."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found: run the stage before `write_shards` first")
    return {(row["split"], row["key"]): row for row in change(pq.read_table(path)).to_pylist()}


def gather(row: ManifestRow, joints: Row | None, measures: Row | None) -> Parts | str:
    """Return what a sample is made from, or why it can't be made."""
    for what, status, reason in (
        ("manifest", row.status, row.reason),
        ("keypoints", *status_of(joints)),
        ("size_annotations", *status_of(measures)),
    ):
        if status == RowStatus.FAILED:
            return f"{what}: {reason or 'failed'}"
    if row.category not in TRIED_ON:
        return f"manifest: {row.category} is measured, but not tried on yet"
    if row.cloth is None and row.parse is None:
        return "manifest: no photo of the garment, and no parse map to cut it out by"
    assert joints is not None
    assert measures is not None
    return Parts(files=row, keypoints=tuple(joints["keypoints"]), measures=dict(measures))


def status_of(row: Row | None) -> tuple[str, str | None]:
    """Return status and reason of a row; a row that isn't there failed."""
    return (RowStatus.FAILED, "no row") if row is None else (row["status"], row["reason"])


def fingerprint(parts: Parts, params: WriteShardsParams) -> str:
    """Return the identity of a sample's bytes."""
    settings = {name: value for name, value in asdict(params).items() if name not in DEALING}
    row = parts.files
    told = (row.key, row.split, row.category, row.parse_labels, row.caption, row.unpaired_key)
    made_with = (told, parts.keypoints, parts.measures, settings)
    return identity("shards.build", made_with, [row.input_hash])


DEALING = ("samples_per_shard", "num_workers", "encode", "latents_base", "latents_dtype")
"""Parameters that change no sample's bytes: they deal samples to shards and processes, or lie beside them."""


if __name__ == "__main__":
    run_stage("write_shards", run)
