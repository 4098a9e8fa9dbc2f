"""The training loop of every network in this project.

A *task* is an `nn.Module` whose forward takes a batch and keyed random numbers and returns named losses, the
sum to descend under `loss`. What requires a gradient is trained; the rest is frozen. A task whose losses are
means over some of the samples says how many those are (`train.processes.Counts`), one that is too large for
each process to hold which of its modules are shared out (`train.sharding.Shardable`).
"""

import logging
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from train.checkpoint import BEST, LATEST, pointed
from train.guards import StopRequest
from train.params import OptimisationParams, RuntimeParams
from train.processes import anywhere
from train.sharding import make_whole
from train.state import LogRow, Stream
from train.trainer import Trainer
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
        parameter_groups: For the optimiser, where not everything has the same learning rate.
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
            last, stopping = number == params.steps, anywhere(stop.received, accelerator.device)
            judged = validation is not None and (last or number % validation.every == 0)
            if validation is not None and judged:
                watch.tell_validation(trainer.validate(validation.judge), number)
            if judged or last or stopping or number % runtime.checkpoint_every == 0:
                trainer.save(checkpoint_dir)
                watch.lap("checkpoints")
            if stopping and not last:
                log.warning("stopped after step %d: run the same command again to go on", number)
                raise SystemExit(STOPPED)
    rows = trainer.state.rows
    if (best := pointed(checkpoint_dir, BEST)) and best != pointed(checkpoint_dir, LATEST):
        log.info("%s was the best checkpoint", best.name)
        trainer.restore(best)
    trainer.keep_average()
    make_whole(task)
    if runtime.channels_last:  # which files can't hold
        task.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # not in its stubs
    log_summary(name, rows, watch.spent)
    return rows


def total(losses: Mapping[str, tuple[float, Tensor]]) -> dict[str, Tensor]:
    """Named losses with their weights, to named losses with their weighted sum under `loss`."""
    summed = sum((weight * value for weight, value in losses.values()), start=torch.zeros(()))
    return {"loss": summed} | {part: value.detach() for part, (_, value) in losses.items()}
