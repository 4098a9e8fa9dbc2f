"""An endless stream of batches whose whole state is a cursor.

The global order of samples (`shards.order`) doesn't know of ranks or workers. Rank r of W takes the positions
`cursor + r`, `cursor + r + W`, ..., so one step of all ranks is one slice of the global order, and a run can
go on with another number of ranks or threads at the very next sample.
"""

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from shards.batch import Batch
from shards.order import SampleOrder
from shards.reader import ShardReader
from shards.storage import Folder, open_folder

STATE_VERSION = 1
PREFETCH = 2
"""Batches each thread may be ahead."""

LOOKED_UP = 16
"""Batches whose samples are found at once, which costs hardly more than finding those of one."""


class SampleStream:
    """Batches of the samples of an index, decoded by threads.

    Args:
        index: Path or fsspec URL of `index.json`, or of the folder that has it; or that folder, opened.
        batch_size: Samples of a batch, on this rank.
        image_height: Rows of decoded pictures.
        image_width: Columns of decoded pictures.
        seed: Of the order.
        rank: Which of `world_size` processes this is.
        world_size: Processes that share the order.
        num_threads: That read and decode; 0: the caller's own.

    Raises:
        FileNotFoundError: There is no index.
        ValueError: The index is damaged or empty, or an argument is out of range.
    """

    def __init__(
        self,
        index: Path | str | Folder,
        *,
        batch_size: int,
        image_height: int,
        image_width: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        num_threads: int = 2,
    ) -> None:
        if batch_size < 1 or num_threads < 0 or not 0 <= rank < world_size:
            raise ValueError(
                "a stream needs batch_size >= 1, num_threads >= 0 and 0 <= rank < world_size, "
                f"got {batch_size}, {num_threads}, {rank} and {world_size}"
            )
        keep_freed_memory()
        folder = open_folder(index) if isinstance(index, str | Path) else index
        self.reader = ShardReader(folder, image_height, image_width)
        self.order = SampleOrder([shard.num_samples for shard in self.reader.index.shards], seed=seed)
        self.batch_size, self.rank, self.world_size = batch_size, rank, world_size
        self.num_threads = num_threads
        self.cursor = 0
        """Global position of the next sample that no rank has been given."""

    def __len__(self) -> int:
        return self.order.num_samples

    @property
    def epoch(self) -> int:
        """How often every sample has been given."""
        return self.cursor // len(self)

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches from the cursor on, without end. What is read ahead doesn't move the cursor."""
        for batch in self._read_ahead(self._endless()):
            self.cursor += self.batch_size * self.world_size
            yield batch

    def epoch_batches(self) -> Iterator[Batch]:
        """Yield every sample of this rank's share once, by shard and row; the cursor stays where it is."""
        mine = np.arange(self.rank, len(self), self.world_size)
        slices = (mine[start : start + self.batch_size] for start in range(0, len(mine), self.batch_size))
        yield from self._read_ahead((positions, self.order.stored(positions)) for positions in slices)

    def keys(self, count: int) -> list[str]:
        """Return the keys of the next `count` samples of this rank without reading them."""
        places = self.order.at(self.cursor + self.rank + self.world_size * np.arange(count))
        return [self.reader.index.rows(shard).key(row) for shard, row in places.tolist()]

    def state_dict(self) -> dict[str, Any]:
        """Return the cursor and what the order depends on; the same on every rank."""
        return {
            "version": STATE_VERSION,
            "epoch": self.epoch,
            "position": self.cursor % len(self),
            "seed": self.order.seed,
            "num_streams": self.order.num_streams,
            "block": self.order.block,
            "index": self.reader.index.digest,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at the sample after the last that was given when `state` was taken.

        It may be from any rank, world size or number of threads.

        Raises:
            ValueError: The data or the order have changed, so there is no such place; the message says what.
        """
        mine = self.state_dict()
        changed = [
            name for name in mine if name not in ("epoch", "position") and mine[name] != state.get(name)
        ]
        if changed:
            differences = ", ".join(f"{name} {state.get(name)} -> {mine[name]}" for name in changed)
            raise ValueError(
                f"the state is of another order of samples ({differences}): go on with the shards and the "
                "seed that it is of, or train anew"
            )
        self.cursor = int(state["epoch"]) * len(self) + int(state["position"])

    def _endless(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield this rank's positions and places, batch by batch, from the cursor on."""
        offsets = self.rank + self.world_size * np.arange(LOOKED_UP * self.batch_size)
        for start in itertools.count(self.cursor, LOOKED_UP * self.batch_size * self.world_size):
            positions = np.split(start + offsets, LOOKED_UP)
            yield from zip(positions, np.split(self.order.at(start + offsets), LOOKED_UP), strict=True)

    def _read_ahead(self, work: Iterator[tuple[np.ndarray, np.ndarray]]) -> Iterator[Batch]:
        """Decode batches in order, `PREFETCH` for each thread ahead."""
        if self.num_threads == 0:
            for positions, places in work:
                yield self.reader.batch(positions.tolist(), places.tolist())
            return
        pool = ThreadPoolExecutor(self.num_threads, thread_name_prefix="sample-stream")
        waiting: deque[Future[Batch]] = deque()
        try:
            for positions, places in work:
                # Memory is taken here, where batches are let go of, too: malloc has an arena for each thread,
                # and those that threads take memory from and others give it back to grow and shrink all the
                # time.
                empty = self.reader.empty(positions.tolist(), places.tolist())
                waiting.append(pool.submit(self.reader.fill, empty))
                if len(waiting) > PREFETCH * self.num_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@cache
def keep_freed_memory() -> None:
    """Let malloc keep blocks of up to 31 MiB for the next batch, where it is glibc's.

    It learns that from the largest block it was given back so far. Otherwise it returns pictures to the
    kernel, and each new one costs page faults: several per cent of decoding.
    """
    np.empty(31 << 20, np.uint8)
