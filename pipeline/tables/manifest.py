"""Bring the manifest up to date, in parts: every file is hashed, and decoded where its bytes changed."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from pipeline.engine.parts import Engine, FinishedParts, Inline, Part, Run, run_parts
from pipeline.tables.incremental import (
    BATCH,
    PART_ROWS,
    ROWS_PER_GROUP,
    Row,
    SortedRows,
    part_rows,
    parts_beside,
    write_part,
)
from preprocess.pictures import LIMITS, Limits
from preprocess.places import RemotePath
from preprocess.shelf import Shelf
from preprocess.sources.manifest import (
    MADE_BY,
    made_by,
    manifest_record,
    manifest_schema,
    sorted_samples,
    stamp,
)
from preprocess.sources.source import MANIFEST_SCHEMA, Source, SourceSample
from preprocess.whole import whole_file

NUM_REQUESTS = 32
"""Requests to object storage at a time."""


def write_manifest(
    source: Source,
    out: Path,
    limits: Limits = LIMITS,
    *,
    hash_remote: bool = False,
    engine: Engine | None = None,
) -> Counter[str]:
    """Write one row for every sample of `source`, sorted by split and key; return the counts by status.

    Args:
        source: The data set.
        out: The manifest.
        limits: What pictures may claim before they are decoded.
        hash_remote: Whether files in object storage are fetched, hashed and decoded too.
        engine: Where files are hashed; None: in this process, and so where a listing tells what there is.

    Raises:
        ValueError: The source has no sample, or two of one split share a key.
    """
    remote = isinstance(source.root, RemotePath)
    listed = remote and not hash_remote
    judged_by = made_by(limits, listed=listed)
    judge = partial(judge_part, source.root, limits, listed=listed, num_threads=NUM_REQUESTS if remote else 1)
    schema = manifest_schema(source, judged_by)
    stage = Manifest(sorted_samples(source), out, schema, judge)
    run_parts(stage, Inline() if listed or engine is None else engine, parts_beside(out))
    return stage.counts


@dataclass(frozen=True)
class Manifest:
    """The manifest of a data set, as a stage of `pipeline.engine`."""

    samples: Shelf[SourceSample]
    out: Path
    schema: pa.Schema
    run: Run
    counts: Counter[str] = field(default_factory=Counter)
    """Of samples by status; filled by `merge`."""

    name = "manifest"
    gpus = 0

    @property
    def total(self) -> int:
        """Number of samples."""
        return len(self.samples)

    def plan(self) -> Iterator[Part]:
        """Cut the samples into parts, each named by what its files are without reading them."""
        judged_by = self.schema.metadata[MADE_BY.encode()].decode()
        samples = self.samples.sorted()
        before = SortedRows(rows_before(self.out, judged_by))
        while some := list(islice(samples, PART_ROWS)):
            told = "\n".join(f"{sample} {stamp(sample)}" for sample in some)
            key = xxhash.xxh3_128_hexdigest(f"{judged_by}\n{told}".encode())
            payload = [(sample, before.at(sample.split, sample.key)) for sample in some]
            yield Part(key=key, size=len(some), payload=payload)

    def merge(self, parts: FinishedParts) -> None:
        """Write the rows of all parts."""
        rows = part_rows(parts)
        with whole_file(self.out) as out, pq.ParquetWriter(out, self.schema, compression="zstd") as writer:
            while some := list(islice(rows, ROWS_PER_GROUP)):
                writer.write_table(pa.Table.from_pylist(some, schema=self.schema))
                self.counts.update(row["status"] for row in some)


def judge_part(
    root: Path, limits: Limits, part: Part, out: Path, *, listed: bool, num_threads: int
) -> Counter[str]:
    """Make the rows of a part; see `manifest_record`."""

    def record(work: tuple[SourceSample, Row | None]) -> Row:
        return manifest_record(work[0], root, work[1], limits, listed=listed)

    with ThreadPoolExecutor(num_threads) as pool:
        return write_part(list(pool.map(record, part.payload)), MANIFEST_SCHEMA, out)


def rows_before(manifest: Path, judged_by: str) -> Iterator[Row]:
    """Yield status, reason and hash of an earlier manifest's rows, if it is of that identity."""
    if not manifest.is_file():
        return
    with pq.ParquetFile(manifest) as file:
        if (file.schema_arrow.metadata or {}).get(MADE_BY.encode()) != judged_by.encode():
            return
        for batch in file.iter_batches(BATCH, columns=["split", "key", "status", "reason", "input_hash"]):
            yield from batch.to_pylist()
