"""Shards of one data set in one call: what `cinderella shard` runs, without DVC."""

import logging
from pathlib import Path

from pipeline import compute_size_ratios, extract_keypoints, write_shards
from pipeline.cli.without_dvc import source_of
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.sources.manifest import write_manifest
from shards.params import WriteShardsParams

log = logging.getLogger(__name__)

WORK = ".work"


def shard_folder(
    layout: str,
    root: Path,
    split: str,
    out: Path,
    *,
    keypoints: ExtractKeypointsParams | None = None,
    ratios: SizeRatioParams | None = None,
    shards: WriteShardsParams | None = None,
) -> Path:
    """Extract keypoints, measure and write the shards of one split; done work is kept.

    Args:
        layout: One of `pipeline.cli.without_dvc.LAYOUTS`.
        root: Folder of the data set.
        split: `train` or `test`.
        out: Folder for `{split}/`; the tables go to `.work` in it.
        keypoints: Default: the stage's own defaults.
        ratios: The same for the measures.
        shards: The same for the shards.

    Returns:
        The folder with the tars and their index.

    Raises:
        ValueError: There is no such layout, or nothing to write.
        FileNotFoundError: A part of the data set is missing.
    """
    source = source_of(layout, root, split)
    work = out / WORK / split
    work.mkdir(parents=True, exist_ok=True)
    tables = {name: work / f"{name}.parquet" for name in ("manifest", "keypoints", "size_annotations")}
    manifest = tables["manifest"]
    write_manifest(source, manifest)
    extract_keypoints.run(keypoints or ExtractKeypointsParams(), manifest=manifest, out=tables["keypoints"])
    compute_size_ratios.run(
        ratios or SizeRatioParams(),
        manifest=manifest,
        keypoints=tables["keypoints"],
        out=tables["size_annotations"],
    )
    write_shards.run(shards or WriteShardsParams(), **tables, out=out)
    return out / split
