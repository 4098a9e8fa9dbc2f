"""Write one shard, and put shards in their places: the same input gives the same bytes.

A sample's shard follows from its key and the number of shards alone, so changing a sample touches one shard
and adding one at most two more. Inside a rewritten shard, samples that didn't change are copied as bytes.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import xxhash

from shards.index import INDEX_NAME, ShardEntry, write_index
from shards.plan import ShardPlan, next_index, tars_of
from shards.ustar import END_OF_TAR, SampleError

T = TypeVar("T")

COLUMNS = ("keys", "offsets", "sizes", "xxh3", "input_hashes")


def fill_shard(plan: ShardPlan[T], build: Callable[[T], bytes], file: BinaryIO) -> tuple[ShardEntry, int]:
    """Write the samples of a shard, copying those that the old tar has.

    `build` makes the packed bytes of a sample; its `SampleError` leaves the sample out.

    Returns:
        The shard's entry in the index, and how many samples were built rather than copied.
    """
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


def replace_shards(
    out_dir: Path,
    prefix: str,
    entries: Iterable[ShardEntry],
    header: dict[str, Any],
    new: Collection[str],
    put: Callable[[str], None],
) -> None:
    """Put new tars in their places, then the index, and remove tars that no longer belong.

    Whenever a run is killed in here, the next one believes the tars whose SHA-256 the next index confirms.

    Args:
        out_dir: Folder of the shards.
        prefix: Of the tars' names.
        entries: All shards as they become, in order; gone through again and again.
        header: More to write into the index.
        new: Names of the tars that change.
        put: Puts one of these in its place.
    """
    names = {entry.name for entry in entries}
    write_index(next_index(out_dir), header, entries)
    if new:
        (out_dir / INDEX_NAME).unlink(missing_ok=True)  # until the next, the shards aren't finished
    for name in new:
        put(name)
    next_index(out_dir).replace(out_dir / INDEX_NAME)
    for tar in list(tars_of(out_dir, prefix)):
        if tar.name not in names:
            tar.unlink()
    for leftover in list(out_dir.glob(f".{prefix}-*.partial")):
        leftover.unlink()
