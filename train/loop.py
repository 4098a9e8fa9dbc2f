"""The training loop of every network in this project.

A *task* is an `nn.Module` whose forward takes a batch and keyed random numbers and returns named losses, the
sum to descend under `loss`. What requires a gradient is trained; the rest is frozen.
"""

import logging
import math
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from train.checkpoint import BEST, LATEST, checkpoint_at, explaining_full_disk, pointed, publish, writing_at
from train.guards import RECENT, StopRequest, culprits, is_spike, report_skip
from train.keyed_random import KeyedRandom
from train.optimizer import make_optimizer, make_schedule
from train.options import RuntimeParams
from train.params import OptimisationParams
from train.state import LogRow, RunState, Stream, trainable_weights
from train.watch import Watch, accelerator_of, log_summary

log = logging.getLogger(__name__)

STOPPED = 128 + signal.SIGTERM
"""Exit status of a run that was asked to stop, as a shell has it."""


@dataclass(frozen=True)
class Validation:
    """Judges the averaged weights now and then."""

    every: int
    """Steps between two validations; after the last step there is always one."""

    judge: Callable[[int], dict[str, float]]
    """The step's number -> figures; the checkpoint whose `score` is highest is the one that is kept."""


class Trainer:
    """What changes while a task is trained, and how it is saved and restored.

    Args:
        accelerator: Device, processes, precision.
        task: Its weights that require gradients are trained.
        stream: This process's batches.
        params: The schedule.
        runtime: How a step is split.
        seed: Keys noise, timesteps and dropout.
        parameter_groups: For AdamW, where not everything has the same learning rate.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        task: nn.Module,
        stream: Stream,
        params: OptimisationParams,
        runtime: RuntimeParams,
        seed: int,
        parameter_groups: list[dict[str, Any]] | None = None,
    ) -> None:
        self.accelerator, self.task, self.stream = accelerator, task, stream
        self.params, self.runtime, self.seed = params, runtime, seed
        self.trainable = list(trainable_weights(task).values())
        optimizer = make_optimizer(parameter_groups or [{"params": self.trainable}], params)
        schedule = make_schedule(optimizer, params)
        self.model, self.optimizer = accelerator.prepare(task.train(), optimizer)
        ema = EMAModel(self.trainable, decay=params.ema_decay, use_ema_warmup=True, power=0.75, foreach=True)
        self.state = RunState(accelerator, task, ema, schedule, stream)
        self.batches: Iterator[Any] | None = None

    @property
    def num_steps(self) -> int:
        """Optimizer steps that were done."""
        return len(self.state.rows)

    def step(self, watch: Watch) -> LogRow:
        """Learn from the next batch of all processes, unless its loss or gradient is not finite."""
        self.batches = self.batches or iter(self.stream)
        batches = [next(self.batches) for _ in range(self.runtime.gradient_accumulation)]
        watch.data_arrived()
        losses = self.add_gradients(batches)
        norm = self.accelerator.clip_grad_norm_(self.trainable, self.params.max_grad_norm)
        row = LogRow(self.num_steps + 1, losses)
        self.update(row, bool(torch.isfinite(norm)), batches)
        if is_spike(losses["loss"], [earlier.losses["loss"] for earlier in self.state.rows[-RECENT:]]):
            keys = ", ".join(key for batch in batches for key in batch.keys)
            log.warning("step %d: the loss jumped to %.4g: %s", row.step, losses["loss"], keys)
        self.state.rows.append(row)
        watch.step_done(row.step, losses, float(self.state.schedule.get_last_lr()[0]))
        self.state.schedule.step()
        return row

    def add_gradients(self, batches: list[Any]) -> dict[str, float]:
        """Go forward and backward through a step's batches; return each loss's mean over all processes."""
        rows = []
        for number, batch in enumerate(batches, start=1):
            last = number == len(batches)
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                losses = self.model(batch, KeyedRandom(self.seed, batch.position))
                self.accelerator.backward(losses["loss"] / len(batches))
            rows.append(torch.stack([value.detach().float() for value in losses.values()]))
        means = self.accelerator.reduce(torch.stack(rows).mean(dim=0), "mean")
        return dict(zip(losses, means.tolist(), strict=True))

    def update(self, row: LogRow, finite_gradient: bool, batches: list[Any]) -> None:
        """Change the weights by the gradients, if those and the loss are finite."""
        finite_loss = math.isfinite(row.losses["loss"])
        scaled = self.accelerator.scaler is not None  # float16: it must see each step, and skips by itself
        if scaled or (finite_loss and finite_gradient):
            self.optimizer.step()
        if finite_loss and finite_gradient:
            self.state.skipped = 0
            self.state.ema.step(self.trainable)
        elif not (scaled and finite_loss):  # a gradient that overflows float16 is how the scale is found
            self.state.skipped += 1
            report_skip(self.state.skipped, row.step, culprits(self.task, batches, self.seed))
        self.optimizer.zero_grad(set_to_none=True)

    def validate(self, judge: Callable[[int], dict[str, float]]) -> dict[str, float]:
        """Let the first process judge the averaged weights; all of them learn the figures."""
        with self.averaged():
            found = [judge(self.num_steps) if self.accelerator.is_main_process else {}]
        (figures,) = broadcast_object_list(found)
        self.state.figures[self.num_steps] = figures
        return figures

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within the block, the task has the moving average of its weights."""
        self.state.ema.store(self.trainable)
        self.keep_average()
        self.task.eval()
        yield
        self.task.train()
        self.state.ema.restore(self.trainable)

    def keep_average(self) -> None:
        """Give the task the moving average of its weights, where there is one."""
        if self.params.ema_decay > 0:
            self.state.ema.copy_to(self.trainable)

    def save(self, folder: Path) -> None:
        """Write a checkpoint below `folder`; it appears whole or not at all."""
        checkpoint = checkpoint_at(folder, self.num_steps)
        with explaining_full_disk(checkpoint):
            if self.accelerator.is_main_process:
                shutil.rmtree(writing_at(checkpoint), ignore_errors=True)
                writing_at(checkpoint).mkdir(parents=True)
            self.accelerator.wait_for_everyone()
            self.accelerator.save_state(str(writing_at(checkpoint)))
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                best = self.state.best() == self.num_steps
                publish(checkpoint, best=best, keep=self.runtime.keep_checkpoints)
        self.accelerator.wait_for_everyone()

    def anywhere(self, happened: bool) -> bool:
        """Whether it happened in any process."""
        counted = torch.tensor(float(happened), device=self.accelerator.device)
        return bool(self.accelerator.reduce(counted, "sum") > 0)

    def restore(self, checkpoint: Path) -> None:
        """Go on where `checkpoint` was written."""
        self.accelerator.load_state(str(checkpoint))
        self.batches = None


def fit(
    task: nn.Module,
    stream: Stream,
    params: OptimisationParams,
    runtime: RuntimeParams,
    *,
    name: str,
    seed: int,
    checkpoint_dir: Path,
    live_dir: Path,
    parameter_groups: list[dict[str, Any]] | None = None,
    validation: Validation | None = None,
) -> list[LogRow]:
    """Train `task`; its weights end as their moving average, with a validation that of the best checkpoint.

    Args:
        task: Returns `{"loss": scalar, ...}` from `task(batch, KeyedRandom)`.
        stream: Yields `Batch`es of this process's share of a step, split by `gradient_accumulation`.
        params: The schedule.
        runtime: Precision, checkpoints, tracker.
        name: Of the run, shown in the progress bar.
        seed: Keys noise, timesteps and dropout.
        checkpoint_dir: Where the run leaves checkpoints, and continues from. It is this run's alone: other
            parameters or data need another folder.
        live_dir: Where the tracker keeps its files.
        parameter_groups: For AdamW, where not everything has the same learning rate.
        validation: Judges the averaged weights.

    Returns:
        One row per optimizer step, those before an interruption included.

    Raises:
        ValueError: Several batches in a row had a loss or gradient that was not finite.
        OSError: A checkpoint could not be written.
        SystemExit: SIGTERM came, and a checkpoint was written.
    """
    accelerator = accelerator_of(runtime, live_dir)
    trainer = Trainer(accelerator, task, stream, params, runtime, seed, parameter_groups)
    if checkpoint := pointed(checkpoint_dir, LATEST):
        log.info("continuing from %s", checkpoint)
        trainer.restore(checkpoint)
    with (
        StopRequest() as stop,
        Watch(accelerator, name, params, runtime, live_dir, trainer.state) as watch,
    ):
        while trainer.num_steps < params.steps:
            number = trainer.step(watch).step
            last, stopping = number == params.steps, trainer.anywhere(stop.received)
            judged = validation is not None and (last or number % validation.every == 0)
            if validation is not None and judged:
                watch.tell_validation(trainer.validate(validation.judge), number)
            if judged or last or stopping or number % runtime.checkpoint_every == 0:
                trainer.save(checkpoint_dir)
                watch.lap()
            if stopping and not last:
                log.warning("stopped after step %d: run the same command again to go on", number)
                raise SystemExit(STOPPED)
    rows = trainer.state.rows
    if (best := pointed(checkpoint_dir, BEST)) and best != pointed(checkpoint_dir, LATEST):
        log.info("%s was the best checkpoint", best.name)
        trainer.restore(best)
    trainer.keep_average()
    log_summary(name, rows)
    return rows


def total(losses: Mapping[str, tuple[float, Tensor]]) -> dict[str, Tensor]:
    """Named losses with their weights, to named losses with their weighted sum under `loss`."""
    summed = sum((weight * value for weight, value in losses.values()), start=torch.zeros(()))
    return {"loss": summed} | {part: value.detach() for part, (_, value) in losses.items()}
