"""`index.json`: what a folder of shards holds and where each sample lies. It is written last.

One line a shard, so that a reader need not hold the rows of every shard: it remembers where each line stands.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import SPLITS
from preprocess.whole import whole_file

INDEX_NAME = "index.json"

MASK = "mask"
"""In the header: how inpainting masks were drawn. Records of training and protocols repeat it."""

CATEGORIES = "categories"
"""In the header: how many samples of each category there are. Records of training repeat which."""

SCHEMA_VERSION = 1
ROWS_KEPT = 256
"""Shards whose rows stay in memory."""

_XXH3 = re.compile(r"[0-9a-f]{16}")
_SHARD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*\.tar")
_START, _END = '"shards":[', "]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardEntry:
    """One shard and, column by column, its samples in their order in the tar."""

    name: str
    """File name, beside the index."""

    num_bytes: int
    """Of the tar."""

    num_samples: int
    """In the tar."""

    sha256: str
    """Of the tar (hex)."""

    keys: list[str]
    """Ids of the samples."""

    offsets: list[int]
    """Where each sample's first header begins (bytes)."""

    sizes: list[int]
    """Bytes of each sample, headers and padding included."""

    xxh3: list[str]
    """xxh3_64 (hex) of those bytes."""

    input_hashes: list[str]
    """Of what each sample was made from: equal hashes, equal bytes."""

    plan_hash: str
    """Of the keys and input hashes of all samples that belong here, skipped ones too (hex)."""

    skipped: dict[str, str]
    """Why samples that belong here couldn't be built, by key."""

    def __post_init__(self) -> None:
        columns = (self.keys, self.offsets, self.sizes, self.xxh3, self.input_hashes)
        if not _SHARD_NAME.fullmatch(self.name):
            raise ValueError(f"a shard must be named like 'train-000000.tar', got {self.name!r}")
        if any(len(column) != self.num_samples for column in columns):
            raise ValueError(f"{self.name}: every column must have {self.num_samples} rows")
        ends = [0, *(offset + size for offset, size in zip(self.offsets, self.sizes, strict=True))]
        if any(size <= 0 for size in self.sizes) or any(
            o != e for o, e in zip(self.offsets, ends, strict=False)
        ):
            raise ValueError(f"{self.name}: its samples must follow one another without gaps")
        if ends[-1] > self.num_bytes:
            raise ValueError(f"{self.name}: its samples must end inside its {self.num_bytes} bytes")

    def values(self) -> dict[str, Any]:
        """Return the fields by name, not copied one value after another as by `asdict`."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True, slots=True)
class ShardLine:
    """A shard of an index, without its rows."""

    name: str
    num_bytes: int
    num_samples: int
    sha256: str
    start: int
    """Where its line begins in the index (bytes)."""

    length: int
    """Of its line (bytes)."""


@dataclass(frozen=True, slots=True, eq=False)
class ShardRows:
    """Where the samples of one shard lie, in some 40 bytes a sample."""

    keys: NDArray[np.bytes_]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    xxh3: NDArray[np.uint64]

    def key(self, row: int) -> str:
        """Return the id of a sample."""
        return bytes(self.keys[row]).decode()

    def place(self, row: int) -> tuple[str, int, int, int]:
        """Return key, offset, size and xxh3 of a sample."""
        return self.key(row), int(self.offsets[row]), int(self.sizes[row]), int(self.xxh3[row])


class ShardIndex:
    """An index, read line by line; the rows of the shards used last are kept.

    Args:
        path: `index.json`, or the folder that has one.

    Raises:
        FileNotFoundError: There is none: the shards aren't finished, or aren't here.
        ValueError: It is damaged, or of another schema version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path / INDEX_NAME if path.is_dir() else path
        if not self.path.is_file():
            below = [self.path.parent / split for split in SPLITS]
            splits = [folder for folder in below if (folder / INDEX_NAME).is_file()]
            raise FileNotFoundError(
                f"{self.path} not found: name the shards of one split, {' or '.join(map(str, splits))}"
                if splits
                else f"{self.path} not found: run `dvc repro write_shards` (it is written last)"
            )
        digest = xxhash.xxh3_64()
        try:
            self.header, self.shards = _scan(self.path, digest)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ValueError(
                f"{self.path} isn't a valid index of shards: {error}: write the shards again"
            ) from error
        self.digest = digest.hexdigest()
        """xxh3_64 (hex) of the index: names this version of the data."""
        self.rows = lru_cache(maxsize=ROWS_KEPT)(self._rows)

    @property
    def num_samples(self) -> int:
        """In all shards."""
        return sum(shard.num_samples for shard in self.shards)

    def places(self) -> Iterator[tuple[int, int]]:
        """Yield shard and row of every sample."""
        for shard, line in enumerate(self.shards):
            yield from ((shard, row) for row in range(line.num_samples))

    def entries(self) -> Iterator[ShardEntry]:
        """Yield the shards with their rows."""
        for number in range(len(self.shards)):
            yield self.entry(number)

    def _rows(self, number: int) -> "ShardRows":
        """Return where each sample of a shard lies."""
        entry = self.entry(number)
        return ShardRows(
            keys=np.array([key.encode() for key in entry.keys]),
            offsets=np.array(entry.offsets, dtype=np.int64),
            sizes=np.array(entry.sizes, dtype=np.int64),
            xxh3=np.array([int(checksum, 16) for checksum in entry.xxh3], dtype=np.uint64),
        )

    def entry(self, number: int) -> ShardEntry:
        """Read a shard with its rows."""
        line = self.shards[number]
        with self.path.open("rb") as file:
            file.seek(line.start)
            return parse_entry(json.loads(file.read(line.length)))


def parse_entry(values: Mapping[str, Any]) -> ShardEntry:
    """Build an entry from JSON; ValueError, TypeError or KeyError when it isn't one."""
    entry = ShardEntry(**{field.name: values[field.name] for field in fields(ShardEntry)})
    texts = (*entry.keys, *entry.xxh3, *entry.input_hashes, entry.sha256)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{entry.name}: keys and hashes must be strings")
    if not all(_XXH3.fullmatch(checksum) for checksum in entry.xxh3):
        raise ValueError(f"{entry.name}: checksums must be 16 hex digits")
    return entry


def _scan(path: Path, digest: "xxhash.xxh3_64") -> tuple[dict[str, Any], list[ShardLine]]:
    """Check every line of an index once, keeping none of its rows: (header, shards)."""
    shards: list[ShardLine] = []
    with path.open("rb") as file:
        text = file.readline()
        digest.update(text)
        header = json.loads(text + _END.encode())
        if header.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"schema_version must be {SCHEMA_VERSION}, got {header.get('schema_version')!r}")
        if header.get("axes") != list(AXIS_NAMES):
            raise ValueError(f"its ratios must be of {', '.join(AXIS_NAMES)}, got {header.get('axes')}")
        start = file.tell()
        for line in file:
            digest.update(line)
            text = line.rstrip(b",\n")
            if text != _END.encode():
                entry = parse_entry(json.loads(text))
                shards.append(
                    ShardLine(entry.name, entry.num_bytes, entry.num_samples, entry.sha256, start, len(text))
                )
            start += len(line)
    if text != _END.encode() or header["num_samples"] != sum(shard.num_samples for shard in shards):
        raise ValueError(f"it is cut short: {header['num_samples']} samples promised")
    return header, shards


def write_index(path: Path, header: Mapping[str, Any], entries: Iterable[ShardEntry]) -> None:
    """Write an index atomically.

    Args:
        path: Of the index.
        header: More about the shards: split, what was skipped, … The axes of their ratios are added.
        entries: The shards, in order; gone through twice, as the header has their number of samples.
    """
    start = {
        "schema_version": SCHEMA_VERSION,
        "num_samples": sum(entry.num_samples for entry in entries),
        "axes": AXIS_NAMES,
        **header,
    }
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(json.dumps(start, sort_keys=True)[:-1] + ", " + _START + "\n")
        for number, entry in enumerate(entries):
            file.write(",\n" * (number > 0) + dump(entry))
        file.write("\n" + _END + "\n")


def dump(entry: ShardEntry) -> str:
    """Return an entry as one line of JSON."""
    return json.dumps(entry.values(), separators=(",", ":"))
