"""Read samples by shard and row, and notice damage."""

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from threading import Lock

import numpy as np
import xxhash
from numpy.typing import NDArray

from shards.batch import Batch, empty_batch, fill_described, fill_row
from shards.index import ShardIndex
from shards.latents import EncodingsSpec, PackedLayout
from shards.sample import RECORD_SUFFIX, SizeRecord, decode_record, require_member
from shards.storage import Folder
from shards.ustar import BLOCK, SampleError, unpack

MAX_OPEN_FILES = 128


class DamageError(OSError):
    """A shard or sample is missing or damaged; the message names it."""


@dataclass(frozen=True, slots=True)
class EmptyBatch:
    """Room for a batch, and where its samples lie."""

    batch: Batch
    shards: list[int]
    found: list[tuple[str, int, int, int]]
    """Key, offset, size and checksum of each."""

    packed: NDArray[np.uint8]
    """(B, bytes) for the samples as they are read."""


class ShardReader:
    """Reads samples of an index, decoded at a height and width (px); safe to use from several threads."""

    def __init__(self, folder: Folder, image_height: int, image_width: int) -> None:
        self.folder = folder
        self.index = ShardIndex(folder.index())
        self.encodings = EncodingsSpec.from_header(self.index.header)
        """What the samples hold in place of pictures; None: pictures."""
        stored = self.encodings
        if stored is not None and (image_height, image_width) != (stored.image_height, stored.image_width):
            raise ValueError(
                f"{self.index.path} has latents of {stored.image_width}x{stored.image_height} pictures, "
                f"{image_width}x{image_height} were asked for: write the shards at that size"
            )
        self._layout = None if stored is None else PackedLayout(stored)
        self.image_height, self.image_width = image_height, image_width
        self._files: OrderedDict[int, FileIO] = OrderedDict()
        self._lock = Lock()

    def packed(self, shard: int, row: int) -> tuple[str, bytes]:
        """Return the key and the tar bytes of a sample, checked against the index.

        Raises:
            DamageError: They aren't what was written.
        """
        key, _, num_bytes, _ = found = self.index.rows(shard).place(row)
        packed = bytearray(num_bytes)
        self._read(shard, found, memoryview(packed))
        return key, bytes(packed)

    def record(self, shard: int, row: int) -> SizeRecord:
        """Return the record of a sample; no picture is decoded.

        Raises:
            DamageError: The sample is missing or damaged.
            SampleError: It has no record, or another sample's.
        """
        key, packed = self.packed(shard, row)
        return decode_record(key, require_member(key, unpack(key, packed), RECORD_SUFFIX))

    def records(self) -> Iterator[SizeRecord]:
        """Yield the record of every sample by shard and row; see `record`."""
        yield from (self.record(*place) for place in self.index.places())

    def _read(self, shard: int, found: tuple[str, int, int, int], into: memoryview) -> None:
        """Read the tar bytes of a sample that the index found; see `packed`."""
        key, offset, num_bytes, checksum = found
        file = self._file(shard)  # held until it was read: it closes once nobody holds it
        num_read = os.preadv(file.fileno(), [into], offset)
        if num_read != num_bytes or xxhash.xxh3_64_intdigest(into) != checksum:
            what = "is damaged (its checksum differs)" if num_read == num_bytes else "is cut off"
            raise DamageError(
                f"{self.index.shards[shard].name}: the sample {key} {what}: write or fetch the shard again"
            )

    def batch(self, positions: Sequence[int], places: Sequence[Sequence[int]]) -> Batch:
        """Decode samples.

        Args:
            positions: (B,) global positions, kept in the batch.
            places: (B, 2) shard and row of each.

        Raises:
            DamageError: A sample is missing or damaged.
        """
        return self.fill(self.empty(positions, places))

    def empty(self, positions: Sequence[int], places: Sequence[Sequence[int]]) -> "EmptyBatch":
        """Find samples and make room for them; see `batch`."""
        found = [self.index.rows(shard).place(row) for shard, row in places]
        packed = self._room([num_bytes for _, _, num_bytes, _ in found])
        encodings = None if self._layout is None else self._layout.views(packed)
        batch = empty_batch(positions, self.image_height, self.image_width, encodings)
        return EmptyBatch(batch, [shard for shard, _ in places], found, packed)

    def fill(self, empty: "EmptyBatch") -> Batch:
        """Read and decode the samples of a batch; see `batch`."""
        batch = empty.batch
        rows = zip(empty.shards, empty.found, empty.packed, strict=True)
        for row, (shard, found, packed) in enumerate(rows):
            self._fill(batch, row, shard, found, memoryview(packed)[: found[2]])
        if self._layout is not None:
            try:
                fill_described(batch)
            except SampleError as error:
                raise DamageError(f"{self.index.path}: one of {', '.join(batch.keys)}: {error}") from error
        return batch

    def _room(self, sizes: Sequence[int]) -> NDArray[np.uint8]:
        """Return (B, bytes) room for packed samples. Encodings stay there, pictures are decoded elsewhere."""
        longest = max(sizes) if self._layout is None else max(*sizes, self._layout.num_bytes)
        return np.empty((len(sizes), longest + -longest % BLOCK), np.uint8)

    def _fill(
        self, batch: Batch, row: int, shard: int, found: tuple[str, int, int, int], packed: memoryview
    ) -> None:
        """Read one sample into `packed` and decode it into a batch."""
        key = found[0]
        self._read(shard, found, packed)
        try:
            if self._layout is None:
                members = unpack(key, packed)
            else:
                members = self._layout.settle(batch.encodings, row, key, packed)
            fill_row(batch, row, key, members)
        except SampleError as error:
            raise DamageError(f"{self.index.shards[shard].name}: the sample {error}") from error

    def _file(self, shard: int) -> FileIO:
        """Return an open tar. Fallen out of the cache, it closes itself when no thread uses it any more."""
        with self._lock:
            file = self._files.get(shard)
            if file is not None:
                self._files.move_to_end(shard)
                return file
        line = self.index.shards[shard]
        try:
            file = self.folder.shard(line.name, line.num_bytes, line.sha256)
        except OSError as error:
            raise DamageError(
                f"the shard {line.name} is missing: {error}: write or fetch it again"
            ) from error
        with self._lock:
            self._files[shard] = file
            if len(self._files) > MAX_OPEN_FILES:
                self._files.popitem(last=False)
        return file
