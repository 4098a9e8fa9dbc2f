"""A run small enough to be repeated often: batches without pictures, and a regression on keyed noise."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shards.batch import Batch, empty_batch
from train.keyed_random import KeyedRandom
from train.loop import Validation, fit
from train.params import OptimisationParams, RuntimeParams
from train.state import LogRow, Stream

BATCH = 4
PARAMS = OptimisationParams(steps=12, batch_size=BATCH, learning_rate=0.05, warmup_steps=2, ema_decay=0.9)
RUNTIME = RuntimeParams(checkpoint_every=3, tracker="none")


class CrashError(Exception):
    """Stands for a stream whose data is gone."""


class Counting:
    """A stream of consecutive positions, dealt to ranks like `SampleStream` does; it may end in a crash."""

    def __init__(
        self, *, crash_at: int | None = None, batch_size: int = BATCH, rank: int = 0, world_size: int = 1
    ) -> None:
        self.cursor = 0
        self.crash_at = crash_at
        self.batch_size, self.rank, self.world_size = batch_size, rank, world_size

    def __iter__(self) -> Iterator[Batch]:
        while True:
            if self.cursor == self.crash_at:
                raise CrashError
            start, self.cursor = self.cursor, self.cursor + self.batch_size * self.world_size
            places = range(start + self.rank, self.cursor, self.world_size)
            batch = empty_batch(places, 1, 1)
            batch.keys[:] = [f"k{place}" for place in places]
            yield batch

    def state_dict(self) -> dict[str, Any]:
        return {"cursor": self.cursor}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.cursor = state["cursor"]


class Regression(nn.Module):
    """Learn the sum of four inputs; the positions in `poisoned` give NaN, those in `huge` a huge loss."""

    def __init__(self, *, poisoned: frozenset[int] = frozenset(), huge: frozenset[int] = frozenset()) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 1)
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.poisoned, self.huge = poisoned, huge

    def forward(self, batch: Batch, random: KeyedRandom) -> dict[str, Tensor]:
        inputs = random.normal("inputs", (4,))
        errors = (self.predicted(inputs) - inputs.sum(1)).square()
        factors = [
            torch.nan if p in self.poisoned else 1e4 if p in self.huge else 1.0 for p in batch.position
        ]
        return {"loss": (errors * torch.tensor(factors)).mean(), "again": errors.detach().mean()}

    def predicted(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs)[:, 0]


class Blocks(Regression):
    """A regression through blocks that processes can share out; the second block's bias is frozen."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.inner = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 4))
        self.inner[2].bias.requires_grad_(False)

    def blocks(self) -> list[nn.Module]:
        return [self.inner[0], self.inner[2]]

    def predicted(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs + self.inner(inputs))[:, 0]


class Onlooker:
    """A validation that uses parts of `Blocks`, and of its blocks, alone; it prefers the last checkpoint."""

    def __init__(self, task: Blocks) -> None:
        self.task = task
        self.seen: list[Tensor] = []

    def __call__(self, step: int) -> dict[str, float]:
        with torch.no_grad():
            for weight in (self.task.inner[0].weight, self.task.inner[0].weight):  # whole after a call, too
                self.seen.append(self.task.inner(weight[:1]) + self.task.linear.bias)
        return {"score": float(step)}

    @property
    def last_two(self) -> Tensor:
        return torch.cat(self.seen[-2:])


def run(
    task: nn.Module,
    folder: Path,
    *,
    stream: Stream | None = None,
    params: OptimisationParams = PARAMS,
    runtime: RuntimeParams = RUNTIME,
    validation: Validation | None = None,
) -> list[LogRow]:
    """Train, or go on training, with checkpoints in `folder`."""
    return fit(
        task,
        stream or Counting(),
        params,
        runtime,
        name="regression",
        seed=1,
        checkpoint_dir=folder,
        live_dir=folder / "live",
        validation=validation,
    )
