"""What watches over a run: batches that are not finite, spikes of the loss, and the order to stop."""

import logging
import math
import signal
import statistics
import threading
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from accelerate.utils import gather_object
from torch import nn

from shards.batch import Batch, select
from train.keyed_random import KeyedRandom

log = logging.getLogger(__name__)

MAX_SKIPPED_IN_A_ROW = 5
SPIKE = 4.0
"""A loss above so many times the median of the `RECENT` before it is a spike."""
RECENT, ENOUGH = 50, 20


def report_skip(skipped: int, step: int, keys: Sequence[str]) -> None:
    """Log a batch that was not learned from, and the samples to blame; stop when too many come in a row.

    Raises:
        ValueError: `skipped` is over the limit. The message names the last samples.
    """
    log.warning("step %d: loss or gradient is not finite, batch skipped because of %s", step, ", ".join(keys))
    if skipped > MAX_SKIPPED_IN_A_ROW:
        raise ValueError(
            f"{skipped} batches in a row gave a loss or gradient that is not finite, the last at step {step} "
            f"because of {', '.join(keys)}: lower the learning rate, or look at these samples"
        )


@torch.no_grad()
def culprits(task: nn.Module, batches: Sequence[Batch], seed: int) -> list[str]:
    """Keys of the samples that alone give a loss that is not finite, over all processes.

    Where none does, because only the gradient or the whole batch overflows, the keys of all samples.
    """
    guilty = [
        key
        for batch in batches
        for row, key in enumerate(batch.keys)
        if not torch.isfinite(loss_of_row(task, batch, row, seed))
    ]
    return gather_object(guilty) or gather_object([key for batch in batches for key in batch.keys])


def loss_of_row(task: nn.Module, batch: Batch, row: int, seed: int) -> torch.Tensor:
    """Loss of one sample, with the noise it had in its batch."""
    alone = select(batch, [row])
    losses: dict[str, torch.Tensor] = task(alone, KeyedRandom(seed, alone.position))
    return losses["loss"]


def is_spike(loss: float, earlier: Sequence[float]) -> bool:
    """Whether `loss` stands far above the `RECENT` losses just before it."""
    recent = [value for value in earlier if math.isfinite(value)]
    return len(recent) >= ENOUGH and loss > SPIKE * statistics.median(recent)


class StopRequest:
    """Within its block, SIGTERM is noted and ends nothing: a scheduler wants the machine back."""

    def __init__(self) -> None:
        self.received = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous: Any = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._previous)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.received = True
