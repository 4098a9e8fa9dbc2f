"""DVC stage `prepare_dataset`: a data set -> manifest.parquet; paper dolls are drawn into raw/ first."""

import logging
from pathlib import Path

from pipeline.engine.parts import Engine, open_engine
from pipeline.stage import run_stage
from pipeline.tables.manifest import write_manifest
from preprocess.places import place
from preprocess.sources.paper_dolls.dataset import TRUTH_FILE, render_dataset
from preprocess.sources.params import PrepareDatasetParams
from preprocess.sources.registry import open_source
from preprocess.sources.source import Source
from preprocess.whole import require_replaceable, whole_folder

log = logging.getLogger(__name__)

NOTE_FILE = "read_elsewhere.txt"
NOTE = "This data set is read where it lies ({root}); only paper dolls are drawn into this folder.\n"


def prepared(params: PrepareDatasetParams, raw: Path) -> Source:
    """Open the data set: paper dolls are drawn into `raw`, of others there is only a note.

    Raises:
        FileExistsError: Something else than dolls, or such a note, lies at `raw`.
        ValueError: `raw` is or contains the data set; see also `open_source`.
    """
    drawn = params.source == "paper_dolls"
    root = raw if drawn else place(params.root)
    marker = TRUTH_FILE if drawn else NOTE_FILE
    require_replaceable(raw, marker, *([] if drawn else [root]))
    source = open_source(params.source, root, category=params.category)
    with whole_folder(raw, marker) as partial:
        if drawn:
            render_dataset(params.paper_dolls, partial)
        else:
            (partial / NOTE_FILE).write_text(NOTE.format(root=params.root))
    return source


def run(params: PrepareDatasetParams, *, raw: Path, out: Path, engine: Engine | None = None) -> None:
    """Write one manifest row for every sample of the data set."""
    source = prepared(params, raw)
    engine = engine or open_engine(workers=0)
    counts = write_manifest(source, out, params.limits, hash_remote=params.hash_remote, engine=engine)
    log.info("%s: %d rows: %s", source.name, counts.total(), dict(counts))


if __name__ == "__main__":
    run_stage("prepare_dataset", run)
