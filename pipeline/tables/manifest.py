"""Bring the manifest up to date, in parts: a sample is judged anew where one of its files isn't as it was.

What the file system said of the files that were hashed lies beside the manifest, in a file that may be lost
at any time: then all files are hashed again, and nothing else changes. It is read and written where the parts
are planned and merged, not where they are made.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import xxhash

from pipeline.engine.parts import Engine, FinishedParts, Inline, Part, Run, run_parts
from pipeline.tables.incremental import (
    BATCH,
    Row,
    SortedRows,
    batched,
    in_parts,
    part_rows,
    parts_beside,
    streamed,
    write_groups,
    write_part,
    written,
)
from preprocess.pictures import LIMITS, Limits
from preprocess.places import RemotePath
from preprocess.shelf import Shelf
from preprocess.sources.manifest import (
    COLUMNS,
    MADE_BY,
    VERDICT,
    Entry,
    file_facts,
    judged,
    made_by,
    manifest_schema,
    sorted_samples,
)
from preprocess.sources.same_photo import SAME_PHOTO, Copies, SamePhotos
from preprocess.sources.source import Source
from preprocess.whole import whole_file

log = logging.getLogger(__name__)

NUM_REQUESTS = 32
"""Requests to object storage at a time."""

FACTS = pa.field("facts", pa.string())
"""See `preprocess.sources.manifest.file_facts`; null where they don't tell what the bytes are."""

PART_SCHEMA = COLUMNS.append(FACTS)
FACTS_SCHEMA = pa.schema([*(COLUMNS.field(name) for name in ("split", "key", "input_hash")), FACTS])

Payload: TypeAlias = tuple[Entry, Row | None, str | None]
"""A sample, what the earlier manifest has of it, and the facts of its files."""


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
        hash_remote: Whether files in object storage are fetched, hashed and decoded too, every time.
        engine: Where files are hashed; None: in this process, and so where a listing tells what there is.

    Raises:
        ValueError: The source has no sample, or two of one split share a key.
    """
    remote = isinstance(source.root, RemotePath)
    listed = remote and not hash_remote
    stage = Manifest(
        samples=sorted_samples(source),
        root=source.root,
        out=out,
        schema=manifest_schema(source, made_by(limits, listed=listed)),
        run=partial(judge_part, source.root, limits, listed=listed),
    )
    run_parts(stage, Inline() if listed or engine is None else engine, parts_beside(out))
    return stage.counts


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The manifest of a data set, as a stage of `pipeline.engine`."""

    samples: Shelf[Entry]
    root: Path
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

    @property
    def judged_by(self) -> str:
        """Identity of what judges files."""
        return str(self.schema.metadata[MADE_BY.encode()].decode())

    def plan(self) -> Iterator[Part]:
        """Cut the samples whose files may be others than before into parts."""
        now, root = time.time_ns(), str(self.root)
        before = SortedRows(rows_before(self.out, self.judged_by))

        def changed(sample: Entry) -> Payload | None:
            facts, row = file_facts(sample, root, now), before.at(*place_of(sample))
            return None if facts and row and row["facts"] == facts else (sample, row, facts)

        yield from in_parts(map(changed, self.samples.sorted()), partial(self.part, now))

    def part(self, now: int, work: list[Payload], reused: int) -> Part:
        """Name the part that judges some samples; one whose files' facts tell nothing is like no other."""
        names = "\n".join(f"{[*sample.row.values()]}\t{facts or now}" for sample, _, facts in work)
        key = xxhash.xxh3_128_hexdigest(f"{self.judged_by}\n{names}".encode())
        return Part(key=key, size=len(work), payload=work, before=reused)

    def merge(self, parts: FinishedParts) -> None:
        """Write the rows that were made and those that are reused, and the facts of their files."""
        same = SamePhotos()
        for row in self.rows(parts, Counter()):
            same.add(row["split"], row["key"], row["image_hash"])
        facts_schema = FACTS_SCHEMA.with_metadata({MADE_BY: self.judged_by})
        with (
            whole_file(facts_beside(self.out)) as facts_out,
            written(facts_out, facts_schema, write_page_checksum=True) as facts,
            whole_file(self.out) as out,
            written(out, self.schema) as writer,
        ):
            write_groups(batched(self.compared(parts, same), PART_SCHEMA), self.total, writer, facts)

    def compared(self, parts: FinishedParts, same: SamePhotos) -> Iterator[Row]:
        """Yield all rows with the column `SAME_PHOTO`; count them, and say which photos are copies."""
        counts: Counter[str] = Counter(reused=0)
        copies = Copies()
        for row, first in zip(self.rows(parts, counts), same.firsts(), strict=True):
            copies.note(row["split"], row["key"], first)
            yield row | {SAME_PHOTO: first}
        reused = counts.pop("reused")
        log.info("%s: the files of %d of %d samples are unchanged", self.out.name, reused, self.total)
        for line in copies.lines():
            log.warning("%s: %s (column %s)", self.out.name, line, SAME_PHOTO)
        self.counts.update(counts)

    def rows(self, parts: FinishedParts, counts: Counter[str]) -> Iterator[Row]:
        """Yield all rows in order, each with the facts of its files; count them by status, and reused ones.

        Raises:
            OSError: A row is in neither a part nor the earlier manifest.
        """
        made, before = SortedRows(part_rows(parts)), SortedRows(rows_before(self.out, self.judged_by))
        for sample in self.samples.sorted():
            row = made.at(*place_of(sample))
            if row is None:
                old = before.at(*place_of(sample))
                if old is None:
                    raise OSError(f"{self.out} went while it was being renewed: run it again")
                row = sample.row | old
                counts["reused"] += 1
            counts[row["status"]] += 1
            yield row


def place_of(sample: Entry) -> tuple[str, str]:
    """Return split and key, by which rows are sorted."""
    return sample.row["split"], sample.row["key"]


def judge_part(root: Path, limits: Limits, part: Part, out: Path, *, listed: bool) -> Counter[str]:
    """Make the rows of a part; see `judged`.

    Who wants objects hashed gets that every time: of some storage a listing tells no more than the second in
    which an object was put.
    """
    remote = isinstance(root, RemotePath)

    def row(work: Payload) -> Row:
        sample, before, facts = work
        told = None if remote and not listed else facts
        return judged(sample, root, before, limits, listed=listed, facts=told)

    if not remote:
        return write_part([row(work) for work in part.payload], PART_SCHEMA, out)
    with ThreadPoolExecutor(NUM_REQUESTS) as pool:
        return write_part(list(pool.map(row, part.payload)), PART_SCHEMA, out)


def rows_before(manifest: Path, judged_by: str) -> Iterator[Row]:
    """Yield what an earlier manifest of that identity says of samples' files, and the facts of the files."""
    if not manifest.is_file():
        return
    with streamed(manifest) as file:
        if (file.schema_arrow.metadata or {}).get(MADE_BY.encode()) != judged_by.encode():
            return
        noted = SortedRows(facts_before(facts_beside(manifest), judged_by))
        for batch in file.iter_batches(BATCH, columns=["split", "key", "input_hash", *VERDICT]):
            for row in batch.to_pylist():
                note = noted.at(row["split"], row["key"])
                known = note is not None and note["input_hash"] == row["input_hash"]
                yield row | {"facts": note["facts"] if note and known else None}


def facts_before(path: Path, judged_by: str) -> Iterator[Row]:
    """Yield the facts of an earlier manifest's files; what is broken is told, and removed."""
    if not path.is_file():
        return
    try:
        with streamed(path, page_checksum_verification=True) as file:
            if (file.schema_arrow.metadata or {}).get(MADE_BY.encode()) == judged_by.encode():
                for batch in file.iter_batches(BATCH, columns=FACTS_SCHEMA.names):
                    yield from batch.cast(FACTS_SCHEMA).to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        log.warning("%s is broken, so files are hashed again: %s", path, error)
        path.unlink(missing_ok=True)


def facts_beside(manifest: Path) -> Path:
    """Return where the facts of a manifest's files lie; DVC doesn't know of it."""
    return manifest.with_name(f".{manifest.name}.facts")
