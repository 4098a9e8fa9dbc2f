"""Write shards: the same input gives the same bytes, and only what changed is written.

A sample's shard follows from its key and the number of shards alone, so changing a sample touches one shard
and adding one at most two more. Inside a rewritten shard, samples that didn't change are copied as bytes. A
shard's journal is written before its tar takes its name, and `index.json` last: whenever a run is killed, the
next one keeps each tar whose SHA-256 the journal confirms.
"""

import hashlib
import json
import logging
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import cv2
import xxhash
from tqdm import tqdm

from preprocess.whole import whole_file
from shards.index import INDEX_NAME, ShardEntry, write_index
from shards.plan import (
    Ingredients,
    ShardPlan,
    plan_shards,
    previous_index,
    tars_of,
    write_journal,
)
from shards.sample import Sample, encode
from shards.ustar import END_OF_TAR, SampleError, pack

log = logging.getLogger(__name__)

T = TypeVar("T")

COLUMNS = ("keys", "offsets", "sizes", "xxh3", "input_hashes")
MOST_LOGGED = 50
"""Samples that are left out whose reasons are logged one by one."""

FEW = 64
"""Up to this many samples are built in this process: starting workers would cost more."""


def write_shards(
    samples: Iterable[Sample], out_dir: Path, prefix: str, samples_per_shard: int
) -> dict[str, Any]:
    """Write samples that are already made (they are held in memory); see `build_shards`.

    Returns:
        `index.json` as a dict.
    """
    rows = []
    for sample in samples:
        packed = pack(sample.key, encode(sample))
        rows.append(Ingredients(sample.key, xxhash.xxh3_128_hexdigest(packed), packed))
    build_shards(rows, bytes, out_dir, prefix, samples_per_shard)
    index: dict[str, Any] = json.loads((out_dir / INDEX_NAME).read_bytes())
    return index


def build_shards(
    rows: Sequence[Ingredients[T]],
    build: Callable[[T], bytes],
    out_dir: Path,
    prefix: str,
    samples_per_shard: int,
    *,
    num_workers: int = 0,
    header: Mapping[str, Any] | None = None,
) -> Counter[str]:
    """Write `{prefix}-%06d.tar` and `index.json` into `out_dir`, doing only what isn't done.

    Args:
        rows: One for each sample, with unique keys, in any order.
        build: Makes the packed bytes of a sample. A `SampleError` leaves the sample out and its message in
            the index. With workers it must be picklable.
        out_dir: Made when missing.
        prefix: Of the tars' names.
        samples_per_shard: On average.
        num_workers: Processes; 0: none but this one. The bytes don't depend on it.
        header: More to write into the index.

    Returns:
        Samples that were `built`, `copied` (from a shard that had to be rewritten), `kept` and `skipped`, and
        how many `shards_written`.

    Raises:
        ValueError: No rows, or none that can be built; keys that aren't unique, or `out_dir` holds tars that
            aren't ours.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    plans = plan_shards(rows, out_dir, prefix, samples_per_shard)
    todo = [plan for plan in plans if not plan.is_done()]
    if todo and (out_dir / INDEX_NAME).is_file():
        (out_dir / INDEX_NAME).replace(previous_index(out_dir))  # until the next, the shards aren't finished
    entries = {plan.path.name: plan.old for plan in plans if plan.old is not None}
    counts: Counter[str] = Counter(built=0, copied=0, kept=0, skipped=0, shards_written=len(todo))
    for entry, built in run_plans(todo, build, num_workers):
        entries[entry.name] = entry
        counts.update(built=built, copied=entry.num_samples - built)
    skipped = [reason for plan in plans for reason in entries[plan.path.name].skipped.values()]
    for reason in skipped[:MOST_LOGGED]:
        log.warning("left out %s", reason)
    if len(skipped) > MOST_LOGGED:
        log.warning("left out %d more: their reasons are in %s", len(skipped) - MOST_LOGGED, INDEX_NAME)
    if len(skipped) == len(rows):
        raise ValueError(f"{out_dir} would have no sample: all {len(rows)} are left out, first {skipped[0]}")
    finish(out_dir, prefix, [entries[plan.path.name] for plan in plans], dict(header or {}))
    counts["skipped"] = len(skipped)
    counts["kept"] = len(rows) - counts["built"] - counts["copied"] - counts["skipped"]
    log.info("%s: %s", out_dir, ", ".join(f"{number} {what}" for what, number in counts.items()))
    return counts


def run_plans(
    plans: Sequence[ShardPlan[T]], build: Callable[[T], bytes], num_workers: int
) -> Iterator[tuple[ShardEntry, int]]:
    """Write shards, in this process or in workers; yield each as `write_shard` returns it."""
    progress = tqdm(total=len(plans), desc="shards", unit="shard", disable=None)
    with progress, mapper(num_workers if num_fresh(plans) > FEW else 0) as mapped:
        for result in mapped(write_shard, plans, [build] * len(plans)):
            progress.update()
            yield result


def num_fresh(plans: Sequence[ShardPlan[Any]]) -> int:
    """Return how many samples can't be copied."""
    old = {name for plan in plans if plan.old is not None for name in rows_of(plan.old)}
    return sum((row.key, row.input_hash) not in old for plan in plans for row in plan.rows)


@contextmanager
def mapper(num_workers: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """Give a `map` that runs in `num_workers` fresh processes, each with one thread; 0: the builtin."""
    if num_workers == 0:
        yield map
        return
    context = multiprocessing.get_context("spawn")  # forking a process that has threads may hang
    with ProcessPoolExecutor(num_workers, context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield pool.map


def write_shard(plan: ShardPlan[T], build: Callable[[T], bytes]) -> tuple[ShardEntry, int]:
    """Write one tar atomically: (its entry, how many samples were built rather than copied)."""
    with whole_file(plan.path) as partial:
        with partial.open("wb") as file:
            entry, built = fill_shard(plan, build, file)
        write_journal(plan.path, entry)
    return entry, built


def fill_shard(plan: ShardPlan[T], build: Callable[[T], bytes], file: BinaryIO) -> tuple[ShardEntry, int]:
    """Write the samples of a shard, copying those that the old tar has: (entry, samples built)."""
    tar, built = TarWriter(file), 0
    with OldShard(plan.path, plan.old) as old:
        for row in plan.rows:
            packed = old.copy(row.key, row.input_hash)
            if packed is None:
                try:
                    packed = build(row.what)
                except SampleError as error:
                    tar.skipped[row.key] = str(error)
                    continue
                built += 1
            tar.add(row.key, row.input_hash, packed)
    return tar.close(plan.path.name, plan.plan_hash), built


class TarWriter:
    """Writes samples to a tar and keeps its entry for the index."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha256, self.num_bytes = file, hashlib.sha256(), 0
        self.columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        self.skipped: dict[str, str] = {}

    def add(self, key: str, input_hash: str, packed: bytes) -> None:
        """Append the packed bytes of one sample."""
        row = (key, self.num_bytes, len(packed), xxhash.xxh3_64_hexdigest(packed), input_hash)
        for name, value in zip(COLUMNS, row, strict=True):
            self.columns[name].append(value)
        self._write(packed)

    def close(self, name: str, plan_hash: str) -> ShardEntry:
        """Write the end of the tar and return its entry."""
        self._write(END_OF_TAR)
        return ShardEntry(
            name=name,
            num_bytes=self.num_bytes,
            num_samples=len(self.columns["keys"]),
            sha256=self.sha256.hexdigest(),
            plan_hash=plan_hash,
            skipped=self.skipped,
            **self.columns,
        )

    def _write(self, content: bytes) -> None:
        self.file.write(content)
        self.sha256.update(content)
        self.num_bytes += len(content)


class OldShard:
    """The tar that is about to be replaced, as a source of samples that didn't change."""

    def __init__(self, path: Path, entry: ShardEntry | None) -> None:
        self.file = path.open("rb") if entry is not None and path.is_file() else None
        self.rows = {} if entry is None else rows_of(entry)

    def copy(self, key: str, input_hash: str) -> bytes | None:
        """Return the bytes of a sample if the tar has it, made from `input_hash` and undamaged."""
        if self.file is None or (key, input_hash) not in self.rows:
            return None
        offset, size, checksum = self.rows[key, input_hash]
        self.file.seek(offset)
        packed = self.file.read(size)
        return packed if xxhash.xxh3_64_hexdigest(packed) == checksum else None

    def __enter__(self) -> "OldShard":
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()


def rows_of(entry: ShardEntry) -> dict[tuple[str, str], tuple[int, int, str]]:
    """Return offset, size and xxh3 of each sample by its key and input hash."""
    names = zip(entry.keys, entry.input_hashes, strict=True)
    return dict(zip(names, zip(entry.offsets, entry.sizes, entry.xxh3, strict=True), strict=True))


def finish(out_dir: Path, prefix: str, entries: list[ShardEntry], header: dict[str, Any]) -> None:
    """Write the index, then remove what only an unfinished run needs, and tars that no longer belong."""
    names = {entry.name for entry in entries}
    write_index(out_dir / INDEX_NAME, header, entries)
    for tar in list(tars_of(out_dir, prefix)):
        if tar.name not in names:
            tar.unlink()
    for pattern in (f".journal-{prefix}-*.json", f".*{prefix}-*.partial"):
        for leftover in list(out_dir.glob(pattern)):
            leftover.unlink()
    previous_index(out_dir).unlink(missing_ok=True)
