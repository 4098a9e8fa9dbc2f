"""The order of samples: a pure function of (seed, position), whoever asks, however often.

Positions count samples since the start of training, so position `p` is sample `p % N` of epoch `p // N`.
Each epoch permutes the shards, cuts their concatenation into `num_streams` streams of equal length (to one
sample) and deals positions to the streams in turn; inside a stream, blocks of `block` samples are shuffled.
So neighbours come from `num_streams` distant places, and what is read together stays inside
`num_streams * block` samples. Nothing is stored for each sample: memory is 8 bytes a shard and one block for
each stream.

Random bits come from Philox's raw output, which NumPy promises never to change (its `permutation` may).
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_STREAMS = 64
SHARDS_PER_STREAM = 4
DEFAULT_BLOCK = 16_384
_UINT64 = (1 << 64) - 1
_SHARDS, _BLOCKS = 1, 2  # what a Philox counter is used for


def permutation(
    length: int, seed: int, epoch: int, purpose: int, stream: int = 0, block: int = 0
) -> NDArray[np.int64]:
    """Return a permutation of `range(length)` that depends on the arguments alone.

    Each random number gets its index in its low bits, so that sorting the numbers shuffles the indices.
    """
    key = np.array([seed & _UINT64, epoch], dtype=np.uint64)
    counter = np.array([0, stream, block, purpose], dtype=np.uint64)
    numbers = np.random.Philox(key=key, counter=counter).random_raw(length)
    low_bits = np.uint64((1 << max(length - 1, 1).bit_length()) - 1)
    numbers &= ~low_bits
    numbers |= np.arange(length, dtype=np.uint64)
    numbers.sort()
    return (numbers & low_bits).astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Shards:
    shards: NDArray[np.int64]
    """(S,) shards in an order."""

    starts: NDArray[np.int64]
    """(S + 1,) how many samples stand before each of them."""

    def places(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find (P,) samples of the concatenation: (P, 2) shard and row in the shard."""
        found = np.searchsorted(self.starts, offsets, side="right") - 1
        return np.stack([self.shards[found], offsets - self.starts[found]], axis=1)


class SampleOrder:
    """Where the sample at each global position lies.

    Args:
        counts: Samples in each shard.
        seed: Another seed, another order. Negative seeds count modulo 2^64.
        num_streams: Distant places that neighbours come from; default: a stream for 4 shards, at most 64.
        block: Samples of a stream that are shuffled together.

    Raises:
        ValueError: There is no sample, or a number isn't positive.
    """

    def __init__(
        self,
        counts: Sequence[int] | NDArray[np.int64],
        *,
        seed: int,
        num_streams: int | None = None,
        block: int = DEFAULT_BLOCK,
    ) -> None:
        self.counts = np.asarray(counts, dtype=np.int64)
        self.num_samples = int(self.counts.sum())
        if self.num_samples < 1:
            raise ValueError("an order needs at least one sample, got empty shards")
        streams = num_streams or min(MAX_STREAMS, max(1, len(self.counts) // SHARDS_PER_STREAM))
        if streams < 1 or block < 1:
            raise ValueError(f"num_streams and block must be positive, got {num_streams} and {block}")
        self.seed, self.block = seed, block
        self.num_streams = min(streams, self.num_samples)
        self._epochs: OrderedDict[int, _Shards] = OrderedDict()
        self._blocks: OrderedDict[tuple[int, int, int], NDArray[np.int32]] = OrderedDict()

    def at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find the samples at (P,) global positions, not negative: (P, 2) shard and row in the shard."""
        positions = np.asarray(positions, dtype=np.int64)
        found = np.empty((len(positions), 2), dtype=np.int64)
        epochs = positions // self.num_samples
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            found[chosen] = self._at_epoch(int(epoch), positions[chosen] % self.num_samples)
        return found

    def stored(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find (P,) samples, counted as they are stored: (P, 2) shard and row in the shard."""
        return self._table(np.arange(len(self.counts))).places(rows)

    def _table(self, shards: NDArray[np.int64]) -> _Shards:
        """Return where samples lie when shards follow one another so."""
        return _Shards(shards, np.concatenate([[0], np.cumsum(self.counts[shards])]))

    def _at_epoch(self, epoch: int, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find (P,) positions of one epoch: (P, 2) shard and row."""
        return self._tables(epoch).places(self._shuffled(epoch, positions))

    def _tables(self, epoch: int) -> _Shards:
        """Return the shard order of an epoch; the last two epochs are kept."""
        tables = self._epochs.get(epoch)
        if tables is None:
            shards = permutation(len(self.counts), self.seed, epoch, _SHARDS)
            tables = self._epochs[epoch] = self._table(shards)
            if len(self._epochs) > 2:
                self._epochs.popitem(last=False)
        return tables

    def _shuffled(self, epoch: int, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Map positions of an epoch to offsets in the concatenation of its shards."""
        streams, steps = positions % self.num_streams, positions // self.num_streams
        quotient, longer = divmod(
            self.num_samples, self.num_streams
        )  # the first `longer` streams have one more
        offsets = streams * quotient + np.minimum(streams, longer)
        blocks, places = steps // self.block, steps % self.block
        for stream, block in set(zip(streams.tolist(), blocks.tolist(), strict=True)):
            chosen = (streams == stream) & (blocks == block)
            length = quotient + (stream < longer)
            order = self._block(epoch, stream, block, min(self.block, length - block * self.block))
            offsets[chosen] += block * self.block + order[places[chosen]]
        return offsets

    def _block(self, epoch: int, stream: int, block: int, length: int) -> NDArray[np.int32]:
        """Return the order inside a block; one block a stream and a few more are kept."""
        name = (epoch, stream, block)
        order = self._blocks.get(name)
        if order is None:
            order = permutation(length, self.seed, epoch, _BLOCKS, stream, block).astype(np.int32)
            self._blocks[name] = order
            if len(self._blocks) > self.num_streams:
                self._blocks.popitem(last=False)
        return order
