"""DVC stage `write_shards`: manifest, keypoints and measures -> shards/{split}/*.tar and index.json."""

import logging
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.engine.parts import Engine, open_engine
from pipeline.stage import run_stage
from pipeline.tables.incremental import BATCH, Row, SortedRows, iter_manifest, streamed
from pipeline.tables.sharding import build_shards
from preprocess.garment.known import known_only
from preprocess.identity import identity
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.sources.same_photo import SAME_PHOTO
from preprocess.sources.source import ManifestRow
from preprocess.vocabulary import TRIED_ON, RowStatus
from shards.build import Parts, build_packed
from shards.index import CATEGORIES, INDEX_NAME, MASK
from shards.latents import LATENTS_FOLDER
from shards.params import WriteShardsParams
from shards.plan import Ingredients, Rows, tars_of

log = logging.getLogger(__name__)

TRAINED_SPLIT = "train"


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
    splits: defaultdict[str, Collected] = defaultdict(Collected)
    settings = settings_of(params)
    for row, joints, measures in joined(manifest, keypoints, size_annotations):
        if only in (None, row.split):
            splits[row.split].add(gather(row, joints, measures), settings)
    usable = {split: found for split, found in sorted(splits.items()) if len(found.rows)}
    if not usable:
        left_out = {split: dict(found.left_out) for split, found in splits.items()}
        whose = f" of the split {only}" if only else ""
        raise ValueError(f"{manifest} has no usable sample{whose}: {left_out or 'it lists none'}")
    if only is None:
        forget_splits(out, usable)
    for split, found in sorted(splits.items()):
        if split in usable:
            build_shards(
                found.rows,
                partial(build_packed, params=params),
                out / split,
                split,
                params.samples_per_shard,
                engine=engine or open_engine(workers=params.num_workers or 1),
                header={"split": split, MASK: asdict(params.mask), **found.header()},
            )
        found.tell(split)


class Collected:
    """The usable samples of a split, on disk, and what was counted on the way."""

    def __init__(self) -> None:
        self.rows: Rows[Parts] = Rows()
        self.left_out: Counter[str] = Counter()
        self.known = Counter(dict.fromkeys(AXIS_NAMES, 0))
        """On each axis, how many people are known."""
        self.categories: Counter[str] = Counter()
        self.cut_out = 0
        """Garments that have no photo of their own."""

    def add(self, parts: Parts | str, settings: Mapping[str, Any]) -> None:
        """Take what a sample is made from, and with which settings, or why it can't be made."""
        if isinstance(parts, str):
            self.left_out[parts] += 1
            return
        self.rows.add(Ingredients(parts.files.key, fingerprint(parts, settings), parts))
        self.known.update(name for name in AXIS_NAMES if parts.measures[f"{name}_ratio"] is not None)
        self.categories[str(parts.files.category)] += 1
        self.cut_out += parts.files.cloth is None

    def header(self) -> dict[str, Any]:
        """Return what the index has of it."""
        left_out = dict(sorted(self.left_out.items()))
        return {"known": dict(self.known), "left_out": left_out, CATEGORIES: dict(self.categories)}

    def tell(self, split: str) -> None:
        """Log what there is, what of it isn't as its photos are, and what isn't there at all."""
        log.info("%s: of %d people are known: %s", split, len(self.rows), dict(self.known))
        if self.cut_out:
            log.warning("%s: %d garments are cut out of their wearers' photos", split, self.cut_out)
        if self.left_out:
            log.warning("%s: left out %s", split, dict(self.left_out))


def forget_splits(out: Path, splits: Collection[str]) -> None:
    """Remove the shards of all but these splits: nobody must train on an earlier manifest's."""
    others = [folder for folder in out.glob("*/") if folder.name not in splits]
    for folder in sorted(folder for folder in others if any(tars_of(folder, folder.name))):
        log.warning("%s: removed, as the manifest has no usable sample of this split any more", folder)
        (folder / INDEX_NAME).unlink(missing_ok=True)  # first: without it the rest counts for nothing
        shutil.rmtree(folder)


def write_latents(params: WriteShardsParams, pictures: Path, engine: Engine | None = None) -> None:
    """Write the encodings of the split that is trained on, or remove those that aren't wanted any more."""
    if params.encode == "latents" and pictures.is_dir():
        from pipeline.tables.encode_latents import encode_latents  # the encoders' libraries take seconds

        encode_latents(params, pictures, TRAINED_SPLIT, engine)
    else:
        shutil.rmtree(pictures / LATENTS_FOLDER, ignore_errors=True)


def joined(
    manifest: Path, keypoints: Path, annotations: Path
) -> Iterator[tuple[ManifestRow, Row | None, Row | None]]:
    """Yield the samples, each with its rows of both tables; see `require_order`."""
    for table in (manifest, keypoints, annotations):
        require_order(table)
    joints, measures = SortedRows(rows_of(keypoints)), SortedRows(rows_of(annotations, known_only))
    for row in iter_manifest(manifest):
        yield row, joints.at(row.split, row.key), measures.at(row.split, row.key)


def require_order(path: Path) -> None:
    """Refuse a table in which rows wouldn't be found, as another program may have written it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Its rows aren't sorted by split and key, or a sample has two.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found: run the stage before `write_shards` first")
    before = ("", "")
    with streamed(path) as file:
        for batch in file.iter_batches(BATCH, columns=["split", "key"]):
            for name in zip(batch["split"].to_pylist(), batch["key"].to_pylist(), strict=True):
                if name <= before:
                    raise ValueError(
                        f"{path} must be sorted by split and key, a row a sample, got {name} after {before}"
                    )
                before = name


def rows_of(path: Path, change: Callable[[pa.Table], pa.Table] = lambda table: table) -> Iterator[Row]:
    """Yield the rows of a Parquet file, changed."""
    with streamed(path) as file:
        for batch in file.iter_batches(BATCH):
            yield from change(pa.Table.from_batches([batch])).to_pylist()


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
    own = {name: value for name, value in measures.items() if name != SAME_PHOTO}  # the rest is its own
    return Parts(files=row, keypoints=tuple(joints["keypoints"]), measures=own)


def status_of(row: Row | None) -> tuple[str, str | None]:
    """Return status and reason of a row; a row that isn't there failed."""
    return (RowStatus.FAILED, "no row") if row is None else (row["status"], row["reason"])


def settings_of(params: WriteShardsParams) -> dict[str, Any]:
    """Return the parameters that a sample's bytes depend on."""
    return {name: value for name, value in asdict(params).items() if name not in DEALING}


def fingerprint(parts: Parts, settings: Mapping[str, Any]) -> str:
    """Return the identity of a sample's bytes; see `settings_of`."""
    row = parts.files
    told = (row.key, row.split, row.category, row.parse_labels, row.caption, row.unpaired_key)
    made_with = (told, parts.keypoints, parts.measures, settings)
    return identity("shards.build", made_with, [row.input_hash])


DEALING = ("samples_per_shard", "num_workers", "encode", "latents_base", "latents_dtype")
"""Parameters that change no sample's bytes: they deal samples to shards and processes, or lie beside them."""


if __name__ == "__main__":
    run_stage("write_shards", run)
