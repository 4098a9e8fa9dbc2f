"""Sums over the processes of a run, and over the pieces into which each splits its share of a batch."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor

from shards.batch import Batch
from train.keyed_random import KeyedRandom

PATIENCE = timedelta(hours=3)
"""How long processes wait for each other. The first one validates, and encodes samples, alone: for that large
networks take longer than NCCL's own ten minutes."""


@runtime_checkable
class Counts(Protocol):
    """A task with losses that are means over some of a batch, such as over the ratios that are known.

    Its forward takes a third argument: what `totals_per_piece` makes of the counts of a step.
    """

    def counts(self, batch: Batch, random: KeyedRandom) -> dict[str, Tensor]:
        """Return by loss how much of `batch` counts, as scalars."""


def totals_per_piece(counts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """By loss: what all pieces of all processes count, at least 1, by the number of pieces.

    By that each piece of this process's share of a step divides its sums. Their mean over all pieces is then
    the whole batch's sum by its count, whichever piece has how many.
    """
    summed = {loss: torch.stack([piece[loss] for piece in counts]).sum() for loss in counts[0]}
    return {loss: count_per_process(count) / len(counts) for loss, count in summed.items()}


def count_per_process(count: Tensor) -> Tensor:
    """Scalar: what all processes counted, at least 1, by the number of processes.

    A loss that is a sum over this averages over processes (as DDP does with gradients) to the sum of all over
    the count of all, whichever process has how many.
    """
    if not dist.is_initialized():
        return count.clamp(min=1)
    everywhere = count.detach().clone()
    dist.all_reduce(everywhere)
    return everywhere.clamp(min=1) / dist.get_world_size()


def anywhere(happened: bool, device: torch.device) -> bool:
    """Whether it happened in any process; `device` is where this one computes."""
    if not dist.is_initialized():
        return happened
    counted = torch.tensor(float(happened), device=device)
    dist.all_reduce(counted)
    return bool(counted > 0)
