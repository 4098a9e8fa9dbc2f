"""The training loop of every network in this project.

A *task* is an `nn.Module` whose forward takes a batch and keyed random numbers and returns named losses, the
sum to descend under `loss`. What requires a gradient is trained; the rest is frozen.
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from tqdm import tqdm

from train.keyed_random import KeyedRandom
from train.params import OptimisationParams, RuntimeParams
from train.state import load_checkpoint, load_trainable, save_checkpoint, trainable_state

log = logging.getLogger(__name__)

MAX_SKIPPED_IN_A_ROW = 5


class Stream(Protocol):
    """Batches in a fixed, endless order, and the cursor that says how far it was consumed."""

    def __iter__(self) -> Iterator[Any]:
        """Yield batches without end, from the cursor on."""

    def state_dict(self) -> dict[str, Any]:
        """Return the cursor."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put the cursor where it was."""


@dataclass(frozen=True)
class LogRow:
    """What one optimizer step did."""

    step: int
    losses: Mapping[str, float]


class Trainer:
    """What changes while a task is trained, and how it is saved and restored.

    Args:
        task: Its weights that require gradients are trained.
        stream: Where batches come from.
        params: The schedule.
        runtime: Precision.
        parameter_groups: For AdamW, where not everything has the same learning rate.
    """

    def __init__(
        self,
        task: nn.Module,
        stream: Stream,
        params: OptimisationParams,
        runtime: RuntimeParams,
        parameter_groups: list[dict[str, Any]] | None = None,
    ) -> None:
        self.accelerator = Accelerator(
            mixed_precision=runtime.mixed_precision, cpu=not torch.cuda.is_available()
        )
        self.task, self.stream, self.params = task, stream, params
        self.trainable = [p for p in task.parameters() if p.requires_grad]
        self.ema = EMAModel(self.trainable, decay=params.ema_decay, use_ema_warmup=True, power=0.75)
        optimizer = torch.optim.AdamW(
            parameter_groups or self.trainable,
            lr=params.learning_rate,
            weight_decay=params.weight_decay,
            fused=True,
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, partial(cosine_with_warmup, params=params)
        )
        self.model, self.optimizer = self.accelerator.prepare(task.train(), optimizer)
        self.rows: list[LogRow] = []
        self.skipped = 0

    def step(self, batch: Any, random: KeyedRandom) -> LogRow:
        """Learn from one batch, unless its loss or gradient is not finite."""
        number = len(self.rows) + 1
        with self.accelerator.autocast():
            losses = self.model(batch, random)
        self.accelerator.backward(losses["loss"])
        norm = self.accelerator.clip_grad_norm_(self.trainable, self.params.max_grad_norm)
        if torch.isfinite(norm) and torch.isfinite(losses["loss"]):
            self.skipped = 0
            self.optimizer.step()
            self.ema.step(self.trainable)
        else:
            self.skipped = report_skip(self.skipped + 1, number, batch.keys)
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.rows.append(LogRow(number, {part: float(value.detach()) for part, value in losses.items()}))
        return self.rows[-1]

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, and the losses so far."""
        return {
            "weights": trainable_state(self.task),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "ema": self.ema.state_dict(),
            "stream": self.stream.state_dict(),
            "skipped": self.skipped,
            "rows": [(row.step, dict(row.losses)) for row in self.rows],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        load_trainable(self.task, state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.ema.load_state_dict(state["ema"])
        self.stream.load_state_dict(state["stream"])
        self.skipped = state["skipped"]
        self.rows = [LogRow(step, losses) for step, losses in state["rows"]]


def fit(
    task: nn.Module,
    stream: Stream,
    params: OptimisationParams,
    runtime: RuntimeParams,
    *,
    name: str,
    seed: int,
    checkpoint_dir: Path,
    fingerprint: str,
    parameter_groups: list[dict[str, Any]] | None = None,
    on_step: Callable[[LogRow], None] | None = None,
) -> list[LogRow]:
    """Train `task` for `params.steps` optimizer steps; its weights end as their moving average.

    Args:
        task: Returns `{"loss": scalar, ...}` from `task(batch, KeyedRandom)`.
        stream: Yields batches with `position` (B,) and `keys`.
        params: The schedule.
        runtime: Precision, checkpoints.
        name: Shown in the progress bar.
        seed: Keys noise, timesteps and dropout.
        checkpoint_dir: Where the run leaves checkpoints, and continues from.
        fingerprint: Identifies parameters and data; a checkpoint of another fingerprint is not continued.
        parameter_groups: For AdamW, where not everything has the same learning rate.
        on_step: Called with each step's losses.

    Returns:
        One row per optimizer step, those before an interruption included.

    Raises:
        ValueError: Several batches in a row had a loss or gradient that was not finite.
    """
    trainer = Trainer(task, stream, params, runtime, parameter_groups)
    if saved := load_checkpoint(checkpoint_dir, fingerprint):
        trainer.load_state_dict(saved)
    done = len(trainer.rows)
    batches = iter(stream)
    progress = tqdm(range(done, params.steps), desc=name, initial=done, total=params.steps, disable=None)
    for _ in progress:
        batch = next(batches)
        row = trainer.step(batch, KeyedRandom(seed, batch.position))
        progress.set_postfix({part: f"{value:.4f}" for part, value in row.losses.items()}, refresh=False)
        if on_step:
            on_step(row)
        due = row.step % runtime.checkpoint_every == 0 or row.step == params.steps
        if due and trainer.accelerator.is_main_process:
            save_checkpoint(checkpoint_dir, row.step, trainer.state_dict() | {"fingerprint": fingerprint})
    if params.ema_decay > 0:
        trainer.ema.copy_to(trainer.trainable)
    log_summary(name, trainer.rows)
    return trainer.rows


def report_skip(skipped: int, step: int, keys: list[str]) -> int:
    """Log a batch that was not learned from; stop when too many come in a row.

    Raises:
        ValueError: `skipped` is over the limit. The message names the last batch's samples.
    """
    log.warning("step %d: loss or gradient is not finite, batch skipped: %s", step, ", ".join(keys))
    if skipped > MAX_SKIPPED_IN_A_ROW:
        raise ValueError(
            f"{skipped} batches in a row gave a loss or gradient that is not finite, the last at step {step} "
            f"with samples {', '.join(keys)}: lower the learning rate, or look at these samples"
        )
    return skipped


def cosine_with_warmup(step: int, params: OptimisationParams) -> float:
    """Factor of the peak learning rate at `step`: a linear rise, then a cosine down to zero."""
    if step < params.warmup_steps:
        return (step + 1) / params.warmup_steps
    progress = (step - params.warmup_steps) / max(1, params.steps - params.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def log_summary(name: str, rows: list[LogRow]) -> None:
    """Log the mean of each loss over the first and the last tenth of the steps."""
    tenth = max(1, len(rows) // 10)
    for part in rows[-1].losses:
        first, last = (sum(r.losses[part] for r in some) / tenth for some in (rows[:tenth], rows[-tenth:]))
        log.info("%s: %s %.4f -> %.4f over %d steps", name, part, first, last, len(rows))


def total(losses: Mapping[str, tuple[float, Tensor]]) -> dict[str, Tensor]:
    """Named losses with their weights, to named losses with their weighted sum under `loss`."""
    summed = sum((weight * value for weight, value in losses.values()), start=torch.zeros(()))
    return {"loss": summed} | {part: value.detach() for part, (_, value) in losses.items()}
