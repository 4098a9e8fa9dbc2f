"""Bring a table of one row per sample up to date: only rows whose input, parameters or code changed.

The table is sorted by split and key, so old and new are joined as two streams and memory stays flat. Rows
are journalled as they are made: an interrupted run goes on where it stopped. The finished file is a pure
function of its rows, however many processes made them and however many were reused.
"""

import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from preprocess.sources.source import ManifestRow, manifest_root, manifest_row
from preprocess.whole import whole_file

log = logging.getLogger(__name__)

Row = dict[str, Any]
Finish = Callable[[pa.RecordBatch], pa.RecordBatch]

DIGEST_KEY = b"made_by"
CHUNK = 32
"""Samples a process takes at a time."""

ROWS_PER_GROUP = 1024
"""Rows of a row group of the finished file, which are held until it is whole."""

BATCH = 512
"""Rows read and journalled at a time."""


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


def iter_manifest(path: Path) -> Iterator[ManifestRow]:
    """Yield the rows of a manifest, as `read_manifest` does, without holding them all.

    Raises:
        FileNotFoundError: There is no manifest at `path`.
        ValueError: It has another schema version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found: run `dvc repro prepare_dataset` first")
    with pq.ParquetFile(path) as file:
        root = manifest_root(path, file.schema_arrow)
        for batch in file.iter_batches(BATCH):
            yield from (manifest_row(record, root) for record in batch.to_pylist())


def update_rows(
    jobs: Iterable[Job],
    work: Callable[[Any], Row],
    *,
    out: Path,
    schema: pa.Schema,
    digest: str,
    total: int,
    workers: int,
    finish: Callable[[Path], tuple[dict[bytes, bytes], Finish]] | None = None,
) -> Counter[str]:
    """Write `out` with one row per job, reusing what is still true.

    Args:
        jobs: Sorted by split and key.
        work: Makes a row from a job's payload; a module-level function, called in other processes.
        out: Parquet file, replaced at the end; its old rows are reused.
        schema: Of the rows; has `split`, `key`, `status` and `input_hash`.
        digest: Identity of what every row depends on beside its input; old rows of another are not used.
        total: Number of jobs, for the progress bar.
        workers: Processes; 0 takes every core.
        finish: Given the journal, returns further schema metadata and what to do with each batch as it is
            copied from the journal to `out`; for columns that depend on all rows.

    Returns:
        Number of rows by status, and `reused`.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    journal, resume = out.with_name(f".{out.name}.journal"), out.with_name(f".{out.name}.resume")
    if journal.exists():
        journal.replace(resume)
    schema = schema.with_metadata({**(schema.metadata or {}), DIGEST_KEY: digest.encode()})
    counts: Counter[str] = Counter()
    num_rows = 0
    with ExitStack() as stack:
        old = SortedRows(parquet_rows(out, digest))
        made = SortedRows(interrupted_rows(resume, digest))
        results = ordered_rows(jobs, work, (made, old), workers or os.cpu_count() or 1, stack, counts)
        sink = stack.enter_context(pa.OSFile(str(journal), "wb"))
        writer = stack.enter_context(pa.ipc.new_stream(sink, schema))
        bar = stack.enter_context(tqdm(total=total, desc=out.stem, unit="sample", disable=None))
        while rows := list(islice(results, BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
            sink.flush()
            counts.update(row["status"] for row in rows)
            num_rows += len(rows)
            bar.update(len(rows))
    metadata, change = finish(journal) if finish else ({}, None)
    publish(journal, out, schema.with_metadata({**schema.metadata, **metadata}), num_rows, change)
    journal.unlink()
    resume.unlink(missing_ok=True)
    log.info("%s: %s", out.name, ", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
    return counts


class SortedRows:
    """A stream of rows sorted by split and key, asked for rising samples."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self.rows = rows
        self.current = next(rows, None)

    def take(self, job: Job) -> Row | None:
        """Return the row of `job` if its input is unchanged, and forget everything before."""
        while self.current and (self.current["split"], self.current["key"]) < (job.split, job.key):
            self.current = next(self.rows, None)
        row = self.current
        same = row and (row["split"], row["key"], row["input_hash"]) == (job.split, job.key, job.input_hash)
        return row if same else None


def parquet_rows(path: Path, digest: str) -> Iterator[Row]:
    """Yield the rows of the finished file, if it was made by the same parameters and code."""
    if not path.is_file():
        return
    with pq.ParquetFile(path) as file:
        if (file.schema_arrow.metadata or {}).get(DIGEST_KEY) != digest.encode():
            return
        for batch in file.iter_batches(BATCH):
            yield from batch.to_pylist()


def interrupted_rows(path: Path, digest: str) -> Iterator[Row]:
    """Yield the rows of an interrupted run by the same parameters and code, up to where it broke off."""
    try:
        with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as reader:
            if (reader.schema.metadata or {}).get(DIGEST_KEY) == digest.encode():
                for batch in reader:
                    yield from batch.to_pylist()
    except (pa.ArrowInvalid, EOFError, OSError):
        return


def journal_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a journal that was written to its end.

    Raises:
        OSError: It can't be read; what is missing would be rows of the table.
        ValueError: It is torn.
    """
    with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as reader:
        yield from reader


def ordered_rows(
    jobs: Iterable[Job],
    work: Callable[[Any], Row],
    caches: tuple[SortedRows, ...],
    workers: int,
    stack: ExitStack,
    counts: Counter[str],
) -> Iterator[Row]:
    """Yield rows in the order of jobs; a few chunks are in flight at once, so memory stays flat."""
    flight: deque[Future[list[Row]] | list[Row]] = deque()
    pool: Executor | None = None
    for piece in chunks(jobs, caches, counts):
        if isinstance(piece[0], Job):
            payloads = [job.payload for job in piece]
            if pool is None and workers > 1 and len(piece) == CHUNK:
                pool = stack.enter_context(new_pool(workers))
            flight.append(pool.submit(run_chunk, work, payloads) if pool else run_chunk(work, payloads))
        else:
            flight.append(piece)
        while len(flight) > 4 * workers:
            yield from landed(flight.popleft())
    while flight:
        yield from landed(flight.popleft())


def chunks(jobs: Iterable[Job], caches: tuple[SortedRows, ...], counts: Counter[str]) -> Iterator[list[Any]]:
    """Group jobs, in order, into lists of reusable rows and lists of jobs to do."""
    pending: list[Any] = []
    for job in jobs:
        row = next((found for cache in caches if (found := cache.take(job))), None)
        counts["reused"] += row is not None
        item = job if row is None else row
        if pending and (len(pending) == CHUNK or isinstance(pending[0], Job) != isinstance(item, Job)):
            yield pending
            pending = []
        pending.append(item)
    if pending:
        yield pending


def new_pool(workers: int) -> ProcessPoolExecutor:
    """Start processes that leave the threads to each other."""
    return ProcessPoolExecutor(workers, get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,))


def run_chunk(work: Callable[[Any], Row], payloads: list[Any]) -> list[Row]:
    """Make the rows of one chunk, in whatever process."""
    return [work(payload) for payload in payloads]


def landed(item: Future[list[Row]] | list[Row]) -> list[Row]:
    """Wait for a chunk."""
    return item.result() if isinstance(item, Future) else item


def publish(journal: Path, out: Path, schema: pa.Schema, num_rows: int, change: Finish | None = None) -> None:
    """Copy the journal into a Parquet file whose bytes depend on nothing but the rows.

    Raises:
        OSError: The journal can't be read, or hasn't so many rows any more; `out` stays as it is.
        ValueError: It is torn.
    """
    with whole_file(out) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        group: list[pa.RecordBatch] = []
        found = 0
        for batch in journal_batches(journal):
            found += len(batch)
            group.append(change(batch) if change else batch)
            if sum(len(part) for part in group) >= ROWS_PER_GROUP:
                write_group(writer, group, schema)
                group = []
        if group:
            write_group(writer, group, schema)
        if found != num_rows:
            raise OSError(f"{journal} must have the {num_rows:,} rows that were written to it, got {found:,}")


def write_group(writer: pq.ParquetWriter, batches: list[pa.RecordBatch], schema: pa.Schema) -> None:
    """Write batches as one row group; they come in fixed sizes, so the cuts are always the same."""
    table = pa.Table.from_batches([batch.replace_schema_metadata(None) for batch in batches])
    writer.write_table(table.cast(schema))
