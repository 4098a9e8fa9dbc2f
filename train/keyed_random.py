"""Random numbers that depend on the sample's place in the global order, and on nothing else."""

import zlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class KeyedRandom:
    """Random numbers keyed by (seed, name, global position).

    A run that is resumed, or spread over another number of processes, draws the same noise, timesteps and
    dropout for the same samples, because nothing depends on what was drawn before.

    Args:
        seed: The run's seed.
        positions: (B,) int64, place of each sample of the batch in the global order, epochs included.
    """

    def __init__(self, seed: int, positions: NDArray[np.int64]) -> None:
        self.seed = seed
        self.positions = positions

    def normal(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """(B, *shape) float32 from the standard normal distribution."""
        rows = [self._generator(name, p).standard_normal(shape, dtype=np.float32) for p in self.positions]
        return torch.from_numpy(np.stack(rows))

    def uniform(self, name: str) -> Tensor:
        """(B,) float32 from [0, 1)."""
        rows = [self._generator(name, p).random(dtype=np.float32) for p in self.positions]
        return torch.from_numpy(np.array(rows, dtype=np.float32))

    def spread(self, name: str) -> Tensor:
        """(B,) float32 in [0, 1) that fill the interval evenly along the global order.

        Additive recurrence with the golden ratio: neighbours in the order, and so the samples of one batch,
        lie further apart than independent draws, which lowers the variance of the loss over timesteps.
        """
        start = self._generator(name, -1).random()
        return torch.from_numpy(((start + self.positions * GOLDEN) % 1.0).astype(np.float32))

    def _generator(self, name: str, position: int) -> np.random.Generator:
        key = np.array([self.seed, zlib.crc32(name.encode())], dtype=np.uint64)
        counter = np.array([0, 0, 0, position + 1], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter))


GOLDEN = (5**0.5 - 1) / 2
