"""Bring a table of one row per sample up to date: only rows whose input, parameters or code changed.

The table is sorted by split and key, so old and new are joined as two streams and memory stays flat. Rows
that have to be made are parts of a fixed size: an interrupted run goes on where it stopped. The finished file
is a pure function of its rows, whatever engine made them and however many were reused.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from pipeline.engine.parts import Engine, FinishedParts, Part, run_parts
from pipeline.engine.store import PartStore
from preprocess.sources.source import ManifestRow, manifest_root, manifest_row
from preprocess.vocabulary import RowStatus
from preprocess.whole import whole_file

log = logging.getLogger(__name__)

T = TypeVar("T")

Row = dict[str, Any]
Batches = Iterator[pa.RecordBatch]
Change = Callable[[pa.RecordBatch], pa.RecordBatch]
Finish = Callable[[Batches], tuple[dict[bytes, bytes], Change]]

DIGEST_KEY = b"made_by"
PART_ROWS = 64
"""Rows of a part: some seconds of measuring."""

PART_FILE = "rows.arrow"

BATCH = 512
"""Rows read at a time."""

BATCHES_PER_GROUP, MOST_GROUPS = 4, 1024
"""Batches of a row group of the finished file, which are held until it is whole; more of them where there
would be more groups, whose footers are held by whoever reads or writes."""

PAGE_BYTES, DICTIONARY_BYTES = 2**16, 2**14
"""Of each column who reads or writes holds a page; Arrow's own are whole columns of a row group."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What one row is made from."""

    split: str
    """Split of the sample."""

    key: str
    """Its id; jobs come sorted by split and key."""

    input_hash: str
    """Changes when the sample's files change; the row has it too."""

    payload: Any
    """What the work function gets; it must pickle."""

    @classmethod
    def of(cls, sample: ManifestRow, payload: Any) -> Self:
        """Return the work of a sample of the manifest."""
        return cls(split=sample.split, key=sample.key, input_hash=sample.input_hash, payload=payload)


def column(name: str, kind: pa.DataType, unit: str = "", *, nullable: bool = False) -> pa.Field:
    """Return a column of a table, with the unit of its numbers."""
    return pa.field(name, kind, nullable=nullable, metadata={"unit": unit} if unit else None)


def streamed(path: Path, **options: Any) -> pq.ParquetFile:
    """Open a table to read its rows one after another.

    Left to itself Arrow fetches all that is asked for ahead, and keeps it until the file is closed.
    """
    return pq.ParquetFile(path, pre_buffer=False, buffer_size=PAGE_BYTES, **options)


def written(path: Path, schema: pa.Schema, **options: Any) -> pq.ParquetWriter:
    """Open a table to write it group by group, so that it can be read in as little memory."""
    pages = {"data_page_size": PAGE_BYTES, "dictionary_pagesize_limit": DICTIONARY_BYTES}
    return pq.ParquetWriter(path, schema, compression="zstd", **pages, **options)


def batched(rows: Iterator[Row], schema: pa.Schema) -> Batches:
    """Yield rows in batches of one size, but the last, so that the cuts are always the same."""
    while some := list(islice(rows, BATCH)):
        yield pa.RecordBatch.from_pylist(some, schema=schema)


def write_groups(batches: Batches, total: int, *writers: pq.ParquetWriter) -> None:
    """Write `total` rows to tables that have some of their columns; the groups follow from that number."""
    number = max(BATCHES_PER_GROUP, -(-total // (BATCH * MOST_GROUPS)))
    while group := [batch.replace_schema_metadata(None) for batch in islice(batches, number)]:
        table = pa.Table.from_batches(group)
        for writer in writers:
            writer.write_table(table.select(writer.schema.names).cast(writer.schema))
        del group, table  # before the next is gathered


def iter_manifest(path: Path) -> Iterator[ManifestRow]:
    """Yield the rows of a manifest, as `read_manifest` does, without holding them all.

    Raises:
        FileNotFoundError: There is no manifest at `path`.
        ValueError: It has another schema version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found: run `dvc repro prepare_dataset` first")
    with streamed(path) as file:
        root = manifest_root(path, file.schema_arrow)
        for batch in file.iter_batches(BATCH):
            yield from (manifest_row(record, root) for record in batch.to_pylist())


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table of one row per sample, as a stage of `pipeline.engine`. It pickles."""

    out: Path
    """Parquet file, replaced at the end; its old rows are reused."""

    schema: pa.Schema
    """Of the rows; has `split`, `key`, `status`, `reason` and `input_hash`."""

    jobs: Callable[[], Iterable[Job]]
    """Gives what the rows are made from, sorted by split and key, the same at every call."""

    work: Callable[[Any], Row]
    """Makes a row from a job's payload."""

    digest: str
    """Identity of what every row depends on beside its input; old rows of another are not used."""

    total: int
    """Number of jobs."""

    finish: Finish | None = None
    """Given all rows, returns further schema metadata and what to do with each batch as it is written; for
    columns that depend on all rows."""

    gpus = 0

    @property
    def name(self) -> str:
        """For the progress bar."""
        return self.out.stem

    def plan(self) -> Iterator[Part]:
        """Cut the jobs whose rows can't be reused into parts."""
        old = SortedRows(parquet_rows(self.out, self.digest))
        yield from in_parts((None if old.take(job) else job for job in self.jobs()), self.part)

    def part(self, jobs: list[Job], reused: int) -> Part:
        """Name the part that makes the rows of `jobs`."""
        names = "\n".join(f"{job.split}\t{job.key}\t{job.input_hash}" for job in jobs)
        key = xxhash.xxh3_128_hexdigest(f"{self.digest}\n{names}".encode())
        return Part(key=key, size=len(jobs), payload=[job.payload for job in jobs], before=reused)

    def run(self, part: Part, out: Path) -> Counter[str]:
        """Make the rows of a part; see `Stage`."""
        return write_part([self.work(payload) for payload in part.payload], self.schema, out)

    def merge(self, parts: FinishedParts) -> None:
        """Write the file of the rows that are reused and those that were made."""
        counts: Counter[str] = Counter(reused=0)
        before = batched(self.rows(parts, Counter()), self.schema)
        metadata, change = self.finish(before) if self.finish else ({}, None)
        own = {DIGEST_KEY: self.digest.encode(), **metadata}
        schema = self.schema.with_metadata({**(self.schema.metadata or {}), **own})
        batches = batched(self.rows(parts, counts), self.schema)
        with whole_file(self.out) as partial, written(partial, schema) as writer:
            write_groups(map(change, batches) if change else batches, self.total, writer)
        words = (f"{count} {name}" for name, count in sorted(counts.items()))
        log.info("%s: %s", self.out.name, ", ".join(words))

    def rows(self, parts: FinishedParts, counts: Counter[str]) -> Iterator[Row]:
        """Yield all rows in order, counting them by status, and the reused ones.

        Raises:
            OSError: A row is in neither the old file nor a part.
        """
        old = SortedRows(parquet_rows(self.out, self.digest))
        made = SortedRows(part_rows(parts))
        for job in self.jobs():
            reused = old.take(job)
            row = reused or made.take(job)
            if row is None:
                raise OSError(f"{self.out}: {job.split}/{job.key} changed while it was made: run it again")
            counts.update([row["status"], *(["reused"] if reused else [])])
            yield row


def in_parts(work: Iterable[T | None], part: Callable[[list[T], int], Part]) -> Iterator[Part]:
    """Cut work into parts of `PART_ROWS` rows.

    Args:
        work: What each row is made from; None: it is reused.
        part: Makes a part of some work, before which so many rows are reused.
    """
    some: list[T] = []
    reused = 0
    for one in work:
        if one is None:
            reused += 1
            continue
        some.append(one)
        if len(some) == PART_ROWS:
            yield part(some, reused)
            some, reused = [], 0
    if some:
        yield part(some, reused)


def update(table: Table, engine: Engine) -> None:
    """Bring a table up to date by the work of an engine; what a killed run left beside it is used."""
    run_parts(table, engine, parts_beside(table.out))


def parts_beside(out: Path) -> PartStore:
    """Return the store of a table's parts."""
    return PartStore(out.with_name(f".{out.name}.parts").absolute())


class SortedRows:
    """A stream of rows sorted by split and key, asked for rising samples."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self.rows = rows
        self.current = next(rows, None)

    def at(self, split: str, key: str) -> Row | None:
        """Return the row of a sample, and forget everything before."""
        while self.current and (self.current["split"], self.current["key"]) < (split, key):
            self.current = next(self.rows, None)
        row = self.current
        return row if row and (row["split"], row["key"]) == (split, key) else None

    def take(self, job: Job) -> Row | None:
        """Return the row of `job` if its input is unchanged, and forget everything before."""
        row = self.at(job.split, job.key)
        return row if row and row["input_hash"] == job.input_hash else None


def parquet_rows(path: Path, digest: str) -> Iterator[Row]:
    """Yield the rows of the finished file, if it was made by the same parameters and code."""
    if not path.is_file():
        return
    with streamed(path) as file:
        if (file.schema_arrow.metadata or {}).get(DIGEST_KEY) != digest.encode():
            return
        for batch in file.iter_batches(BATCH):
            yield from batch.to_pylist()


def write_part(rows: list[Row], schema: pa.Schema, out: Path) -> Counter[str]:
    """Write the rows of a part into its folder; return how many failed, by reason."""
    with pa.OSFile(str(out / PART_FILE), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
    return Counter(kind_of(row["reason"]) for row in rows if row["status"] == RowStatus.FAILED)


def part_rows(parts: FinishedParts) -> Iterator[Row]:
    """Yield the rows of finished parts."""
    for file in parts.files(PART_FILE):
        with pa.ipc.open_stream(file) as reader:
            for batch in reader:
                yield from batch.to_pylist()


def kind_of(reason: str | None) -> str:
    """Return what rows that failed alike have in common: their reason without what it says of one sample."""
    return (reason or "failed").split(":")[0]
