"""Sums over the processes of a run."""

import torch.distributed as dist
from torch import Tensor


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
