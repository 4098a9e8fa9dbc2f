"""Which sample goes into which shard, and which shards are already there."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import xxhash

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
class ShardPlan(Generic[T]):
    """One shard as it must become."""

    path: Path
    """Of the tar."""

    rows: list[Ingredients[T]]
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


def plan_shards(
    rows: Sequence[Ingredients[T]], out_dir: Path, prefix: str, samples_per_shard: int
) -> list[ShardPlan[T]]:
    """Deal rows to shards and compare with what stands in `out_dir`.

    Raises:
        ValueError: No rows, keys that aren't unique, or `out_dir` has tars that no index of ours names.
    """
    if not rows or len({row.key for row in rows}) < len(rows):
        raise ValueError(f"shards need samples with unique keys, got {len(rows)} rows")
    known, unsure = known_shards(out_dir, prefix)
    num_shards = -(-len(rows) // samples_per_shard)
    dealt: list[list[Ingredients[T]]] = [[] for _ in range(num_shards)]
    for row in sorted(rows, key=lambda row: row.key):
        dealt[shard_number(row.key, num_shards)].append(row)
    plans = []
    for number, mine in enumerate(dealt):
        path = out_dir / f"{prefix}-{number:06d}.tar"
        listing = "\n".join(f"{row.key}\t{row.input_hash}" for row in mine)
        plan_hash = xxhash.xxh3_128_hexdigest(listing.encode())
        plans.append(ShardPlan(path, mine, plan_hash, known.get(path.name), unsure))
    return plans


def known_shards(out_dir: Path, prefix: str) -> tuple[dict[str, ShardEntry], bool]:
    """Return what the index says about `out_dir`, and whether a run was cut off that was replacing tars."""
    known: dict[str, ShardEntry] = {}
    for index in (next_index(out_dir), out_dir / INDEX_NAME):
        if index.is_file():
            known = {entry.name: entry for entry in ShardIndex(index).entries()}
    unsure = next_index(out_dir).is_file()
    foreign = [path.name for path in tars_of(out_dir, prefix) if not known]
    if foreign:
        raise ValueError(
            f"{out_dir} must be empty or hold our shards, got {foreign[0]} without an index: move it away"
        )
    return known, unsure


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
