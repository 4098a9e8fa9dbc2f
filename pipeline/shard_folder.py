"""Shards of one data set in one call: what `cinderella shard` runs, without DVC."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline import compute_size_ratios, extract_keypoints, write_shards
from preprocess.keypoints import ExtractKeypointsParams
from preprocess.size_ratios import SizeRatioParams
from preprocess.sources.paper_dolls import PaperDolls
from preprocess.sources.source import Source, SourceSample, write_manifest
from preprocess.sources.viton_hd import VitonHd
from shards.params import WriteShardsParams

log = logging.getLogger(__name__)

LAYOUTS: dict[str, type[PaperDolls] | type[VitonHd]] = {"viton_hd": VitonHd, "paper_dolls": PaperDolls}
"""Data set layouts by the name the command line has for them."""

WORK = ".work"


@dataclass(frozen=True)
class OneSplit:
    """The samples of one split of a source."""

    source: Source
    split: str

    @property
    def name(self) -> str:
        """The source's name."""
        return self.source.name

    @property
    def root(self) -> Path:
        """The source's root."""
        return self.source.root

    def samples(self) -> Iterator[SourceSample]:
        """Yield the split's samples."""
        yield from (sample for sample in self.source.samples() if sample.split == self.split)


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
        layout: A key of `LAYOUTS`.
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
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    work = out / WORK / split
    work.mkdir(parents=True, exist_ok=True)
    tables = {name: work / f"{name}.parquet" for name in ("manifest", "keypoints", "size_annotations")}
    manifest = tables["manifest"]
    write_manifest(OneSplit(LAYOUTS[layout](root), split), manifest)
    extract_keypoints.run(keypoints or ExtractKeypointsParams(), manifest=manifest, out=tables["keypoints"])
    compute_size_ratios.run(
        ratios or SizeRatioParams(),
        manifest=manifest,
        keypoints=tables["keypoints"],
        out=tables["size_annotations"],
    )
    write_shards.run(shards or WriteShardsParams(), **tables, out=out)
    return out / split
