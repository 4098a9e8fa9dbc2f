"""An endless stream of batches whose whole state is a cursor.

The global order of samples (`shards.order`) doesn't know of ranks or workers. Rank r of W takes the positions
`cursor + r`, `cursor + r + W`, ..., so one step of all ranks is one slice of the global order, and a run can
go on with another number of ranks, threads or processes at the very next sample.
"""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from shards.batch import Batch
from shards.order import DEFAULT_BLOCK, SampleOrder
from shards.processes import DecoderProcesses, ReaderOptions
from shards.reader import OnDamage, ShardReader
from shards.storage import DEFAULT_CACHE_BYTES

STATE_VERSION = 1
PREFETCH = 2
"""Batches each thread may be ahead."""

LOOKED_UP = 16
"""Batches whose samples are found at once, which costs hardly more than finding those of one."""


class SampleStream:
    """Batches of the samples of an index, decoded by threads or processes.

    Args:
        index: Path or fsspec URL of `index.json`, or of the folder that has it.
        batch_size: Samples of a batch, on this rank.
        image_height: Rows of decoded pictures.
        image_width: Columns of decoded pictures.
        seed: Of the order.
        shuffle: False: by shard and row, in every epoch.
        rank: Which of `world_size` processes this is.
        world_size: Processes that share the order.
        num_threads: That read and decode; 0: the caller's own.
        num_processes: Processes that read and decode in place of the threads; 0: none. Batches are the same,
            but each is copied twice on its way.
        on_damage: `raise`: stop at a damaged sample, naming it. `skip`: leave it out of its batch and
            count it in `damaged`.
        num_streams: See `SampleOrder`.
        block: See `SampleOrder`.
        cache: Where copies of remote shards are kept.
        cache_bytes: Room there; it should hold the shards that `num_streams` streams read at a time.

    Raises:
        FileNotFoundError: There is no index.
        ValueError: The index is damaged or empty, or an argument is out of range.
    """

    def __init__(
        self,
        index: Path | str,
        *,
        batch_size: int,
        image_height: int,
        image_width: int,
        seed: int,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
        num_threads: int = 2,
        num_processes: int = 0,
        on_damage: OnDamage = OnDamage.RAISE,
        num_streams: int | None = None,
        block: int = DEFAULT_BLOCK,
        cache: Path | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        if batch_size < 1 or min(num_threads, num_processes) < 0 or not 0 <= rank < world_size:
            raise ValueError(
                "a stream needs batch_size >= 1, num_threads and num_processes >= 0, 0 <= rank < world_size, "
                f"got {batch_size}, {num_threads}, {num_processes}, {rank} and {world_size}"
            )
        keep_freed_memory()
        self.options = ReaderOptions(
            location=index,
            cache=cache,
            cache_bytes=cache_bytes,
            image_height=image_height,
            image_width=image_width,
            on_damage=OnDamage(on_damage),
        )
        self.reader = self.options.open()
        self.order = SampleOrder(
            [shard.num_samples for shard in self.reader.index.shards],
            seed=seed,
            shuffle=shuffle,
            num_streams=num_streams,
            block=block,
        )
        self.batch_size, self.rank, self.world_size = batch_size, rank, world_size
        self.num_threads, self.num_processes = num_threads, num_processes
        self.cursor = 0
        """Global position of the next sample that no rank has been given."""

    def __len__(self) -> int:
        return self.order.num_samples

    @property
    def epoch(self) -> int:
        """How often every sample has been given."""
        return self.cursor // len(self)

    @property
    def damaged(self) -> dict[str, int]:
        """How often each damaged sample was met and left out, by shard and key."""
        return dict(self.reader.damaged)

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches from the cursor on, without end. What is read ahead doesn't move the cursor."""
        for batch in self._read_ahead(self._endless()):
            self.cursor += self.batch_size * self.world_size
            yield batch

    def epoch_batches(self, *, drop_last: bool = False) -> Iterator[Batch]:
        """Yield every sample of this rank's share once, by shard and row; the cursor stays where it is.

        Args:
            drop_last: Leave out a last batch that isn't full.
        """
        mine = np.arange(self.rank, len(self), self.world_size)
        plain = SampleOrder(self.order.counts, seed=0, shuffle=False)
        stop = len(mine) - len(mine) % self.batch_size if drop_last else len(mine)
        slices = (mine[start : start + self.batch_size] for start in range(0, stop, self.batch_size))
        yield from self._read_ahead((positions, plain.at(positions)) for positions in slices)

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
            "shuffle": self.order.shuffle,
            "num_streams": self.order.num_streams,
            "block": self.order.block,
            "index": self.reader.index.digest,
        }

    def load_state_dict(self, state: dict[str, Any], *, restart_epoch: bool = False) -> None:
        """Go on at the sample after the last that was given when `state` was taken.

        Args:
            state: From `state_dict`, whatever rank, world size or number of threads it is from.
            restart_epoch: When the data or the order's arguments have changed since, begin the state's epoch
                anew with them instead of raising.

        Raises:
            ValueError: The data or the order have changed, so there is no such place; the message says what.
        """
        mine = self.state_dict()
        changed = [
            name for name in mine if name not in ("epoch", "position") and mine[name] != state.get(name)
        ]
        if changed and not restart_epoch:
            differences = ", ".join(f"{name} {state.get(name)} -> {mine[name]}" for name in changed)
            raise ValueError(
                f"the state is of another order of samples ({differences}): use the same shards and "
                "arguments, or restart_epoch=True to begin its epoch anew with these"
            )
        self.cursor = int(state["epoch"]) * len(self) + (0 if changed else int(state["position"]))

    def _endless(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield this rank's positions and places, batch by batch, from the cursor on."""
        offsets = self.rank + self.world_size * np.arange(LOOKED_UP * self.batch_size)
        for start in itertools.count(self.cursor, LOOKED_UP * self.batch_size * self.world_size):
            positions = np.split(start + offsets, LOOKED_UP)
            yield from zip(positions, np.split(self.order.at(start + offsets), LOOKED_UP), strict=True)

    def _read_ahead(self, work: Iterator[tuple[np.ndarray, np.ndarray]]) -> Iterator[Batch]:
        """Decode batches in order, `PREFETCH` for each thread or process ahead."""
        ahead = PREFETCH * (self.num_processes or self.num_threads)
        if ahead == 0:
            for positions, places in work:
                yield self.reader.batch(positions.tolist(), places.tolist())
            return
        decoder = self._decoder(ahead + 1)
        waiting: deque[Future[Any]] = deque()
        try:
            for positions, places in work:
                waiting.append(decoder.ask(positions.tolist(), places.tolist()))
                if len(waiting) > ahead:
                    yield decoder.take(waiting.popleft())
            while waiting:
                yield decoder.take(waiting.popleft())
        finally:
            decoder.close()

    def _decoder(self, num_slots: int) -> "DecoderThreads | DecoderProcesses":
        """Start what decodes, with room for `num_slots` batches on their way."""
        if self.num_processes == 0:
            return DecoderThreads(self.reader, self.num_threads)
        return DecoderProcesses(self.options, self.reader, self.batch_size, self.num_processes, num_slots)


class DecoderThreads:
    """Decodes batches in threads, straight into memory that the batch keeps."""

    def __init__(self, reader: ShardReader, num_threads: int) -> None:
        self.reader = reader
        self.pool = ThreadPoolExecutor(num_threads, thread_name_prefix="sample-stream")

    def ask(self, positions: Sequence[int], places: Sequence[Sequence[int]]) -> Future[Batch]:
        """Ask for a batch; see `ShardReader.batch`.

        Its memory is taken here, where batches are let go of, too: malloc has an arena for each thread, and
        those that threads take memory from and others give it back to grow and shrink all the time.
        """
        return self.pool.submit(self.reader.fill, self.reader.empty(positions, places))

    def take(self, asked: Future[Batch]) -> Batch:
        """Wait for a batch that was asked for."""
        return asked.result()

    def close(self) -> None:
        """Let the threads end, without waiting for what was asked for."""
        self.pool.shutdown(wait=False, cancel_futures=True)


@cache
def keep_freed_memory() -> None:
    """Let malloc keep blocks of up to 31 MiB for the next batch, where it is glibc's.

    It learns that from the largest block it was given back so far. Otherwise it returns pictures to the
    kernel, and each new one costs page faults: several per cent of decoding.
    """
    np.empty(31 << 20, np.uint8)
