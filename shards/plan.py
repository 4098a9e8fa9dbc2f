"""Which sample goes into which shard, and which shards are already there: one shard in memory at a time."""

import hashlib
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import xxhash

from preprocess.shelf import Shelf
from shards.index import INDEX_NAME, ShardEntry, ShardIndex

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ingredients(Generic[T]):
    """What a sample will be made from."""

    key: str
    """Of the sample."""

    input_hash: str
    """Equal hashes promise equal bytes (hex)."""

    what: T
    """For the function that builds the sample."""


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """`Ingredients` with `what` pickled: it is passed on to who builds the sample, or isn't needed."""

    key: str
    input_hash: str
    pickled: bytes

    @property
    def what(self) -> T:
        """For the function that builds the sample."""
        found: T = pickle.loads(self.pickled)
        return found


@dataclass(frozen=True, slots=True)
class ShardPlan(Generic[T]):
    """One shard as it must become."""

    path: Path
    """Of the tar."""

    rows: list[Stored[T]]
    """Its samples, sorted by key."""

    plan_hash: str
    """Of its rows' keys and input hashes: equal hashes, equal tars."""

    old: ShardEntry | None
    """What stands at `path` now, as far as is known."""

    unsure: bool
    """An earlier run was cut off, so `old` must be compared with the tar before it is believed."""

    def num_fresh(self) -> int:
        """Return how many of its samples can't be copied from the old tar: all where that is gone or cut."""
        if self.old is None or not self.is_there(self.old):
            return len(self.rows)
        old = {*zip(self.old.keys, self.old.input_hashes, strict=True)}
        return sum((row.key, row.input_hash) not in old for row in self.rows)

    def is_there(self, old: ShardEntry) -> bool:
        """Tell whether a tar as long as the old one stands at its path."""
        return self.path.is_file() and self.path.stat().st_size == old.num_bytes

    def is_done(self) -> bool:
        """Tell whether the tar is there and was made from the same rows."""
        if self.old is None or self.old.plan_hash != self.plan_hash or not self.is_there(self.old):
            return False
        return not self.unsure or sha256_of(self.path) == self.old.sha256


def shard_number(key: str, num_shards: int) -> int:
    """Return the shard of a key: one more shard takes keys from one other only.

    Source:
        Litwin 1980, "Linear hashing: a new tool for file and table addressing".
    """
    level = max(num_shards - 1, 0).bit_length()
    hashed = xxhash.xxh3_64_intdigest(key.encode())
    number = hashed & ((1 << level) - 1)
    return number if number < num_shards else hashed & ((1 << (level - 1)) - 1)


class Rows(Generic[T]):
    """What the samples of some shards will be made from, in any order, on disk.

    Raises:
        ValueError: Two have the same key.
    """

    def __init__(self, rows: Iterable[Ingredients[T]] = ()) -> None:
        self.shelf: Shelf[Stored[T]] = Shelf()
        for row in rows:
            self.add(row)

    def __len__(self) -> int:
        return len(self.shelf)

    def add(self, row: Ingredients[T]) -> None:
        """Add a sample; see above."""
        pickled = pickle.dumps(row.what, pickle.HIGHEST_PROTOCOL)
        stored: Stored[T] = Stored(row.key, row.input_hash, pickled)
        if not self.shelf.add(row.key, stored):
            raise ValueError(f"shards need samples with unique keys, got {row.key} twice")

    def dealt(self, num_shards: int) -> Iterator[list[Stored[T]]]:
        """Yield the rows of each shard, sorted by key."""
        number_of = partial(shard_number, num_shards=num_shards)
        rows = self.shelf.sorted(number_of)
        row = next(rows, None)
        for number in range(num_shards):
            mine: list[Stored[T]] = []
            while row is not None and number_of(row.key) == number:
                mine.append(row)
                row = next(rows, None)
            yield mine


class KnownShards:
    """What the index says about a folder of shards; the rows of a shard are read when they are asked for.

    Raises:
        ValueError: The folder has tars of that prefix that no index of ours names.
    """

    def __init__(self, out_dir: Path, prefix: str) -> None:
        found = [path for path in (out_dir / INDEX_NAME, next_index(out_dir)) if path.is_file()]
        self.index = ShardIndex(found[0]) if found else None
        self.numbers = {
            one.name: number for number, one in enumerate(self.index.shards if self.index else ())
        }
        self.unsure = next_index(out_dir).is_file()
        """Whether a run was cut off that was replacing tars."""
        foreign = [] if self.numbers else [path.name for path in tars_of(out_dir, prefix)]
        if foreign:
            raise ValueError(
                f"{out_dir} must be empty or hold our shards, got {foreign[0]} without an index: move it away"
            )

    def entry(self, name: str) -> ShardEntry | None:
        """Return what is known of a tar."""
        if self.index is None or name not in self.numbers:
            return None
        return self.index.entry(self.numbers[name])


def tar_names(prefix: str, num_shards: int) -> list[str]:
    """Name the tars of a folder of shards."""
    return [f"{prefix}-{number:06d}.tar" for number in range(num_shards)]


def plan_shards(
    rows: Rows[T], known: KnownShards, out_dir: Path, names: Iterable[str]
) -> Iterator[ShardPlan[T]]:
    """Deal rows to shards and compare with what stands in `out_dir`, one shard after another."""
    names = list(names)
    for name, mine in zip(names, rows.dealt(len(names)), strict=True):
        listing = "\n".join(f"{row.key}\t{row.input_hash}" for row in mine)
        plan_hash = xxhash.xxh3_128_hexdigest(listing.encode())
        yield ShardPlan(out_dir / name, mine, plan_hash, known.entry(name), known.unsure)


def tars_of(out_dir: Path, prefix: str) -> Iterator[Path]:
    """Yield the tars in `out_dir` that are named as ours are."""
    yield from out_dir.glob(f"{prefix}-[0-9][0-9][0-9][0-9][0-9][0-9].tar")


def next_index(out_dir: Path) -> Path:
    """Return where the new index stands while tars take their places."""
    return out_dir / ".index.next.json"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
