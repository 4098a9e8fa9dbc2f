"""DVC stage `prepare_dataset`: a data set -> manifest.parquet; paper dolls are drawn into raw/ first."""

import logging
from collections.abc import Callable
from pathlib import Path

from pipeline.stage import run_stage
from preprocess.sources.dress_code import DressCode
from preprocess.sources.folder import Folder
from preprocess.sources.manifest import write_manifest
from preprocess.sources.paper_dolls.dataset import PaperDolls, render_dataset
from preprocess.sources.params import PrepareDatasetParams
from preprocess.sources.source import Source
from preprocess.sources.viton_hd import VitonHd
from preprocess.whole import whole_folder

log = logging.getLogger(__name__)

NOTE = "This data set is read where it lies ({root}); only paper dolls are drawn into this folder.\n"


def draw_dolls(params: PrepareDatasetParams, raw: Path) -> Source:
    """Draw the paper dolls; `raw` appears only when all are there."""
    with whole_folder(raw) as partial:
        render_dataset(params.paper_dolls, partial)
    return PaperDolls(raw)


READERS: dict[str, Callable[[Path], Source]] = {
    "viton_hd": VitonHd,
    "dress_code": DressCode,
    "folder": Folder,
}
"""How each `prepare_dataset.source` that is read where it lies becomes a `Source`. A new data set is a line
here and in its params."""


def read_in_place(params: PrepareDatasetParams, raw: Path) -> Source:
    """Open a data set that stays where it is, and leave only a note in `raw`."""
    source = READERS[params.source](Path(params.root))
    with whole_folder(raw) as partial:
        (partial / "README").write_text(NOTE.format(root=params.root))
    return source


def run(params: PrepareDatasetParams, *, raw: Path, out: Path) -> None:
    """Write one manifest row for every sample of the data set."""
    open_source = draw_dolls if params.source == "paper_dolls" else read_in_place
    source = open_source(params, raw)
    counts = write_manifest(source, out, params.limits)
    log.info("%s: %d rows: %s", source.name, counts.total(), dict(counts))


if __name__ == "__main__":
    run_stage("prepare_dataset", run)
