"""What one step of training does, and how a run is judged, saved and restored."""

import logging
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from diffusers.training_utils import EMAModel
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from train.checkpoint import checkpoint_at, explaining_full_disk, publish, writing_at
from train.guards import RECENT, culprits, is_spike, report_skip
from train.keyed_random import KeyedRandom
from train.muon import MuonAndAdamW
from train.params import OptimisationParams, RuntimeParams
from train.processes import Counts, totals_per_piece
from train.sharding import gathered, must_shard, require_shardable, save_whole_moments, shard, whole
from train.state import LogRow, RunState, Stream, trainable_weights
from train.watch import Watch

log = logging.getLogger(__name__)


@runtime_checkable
class Compilable(Protocol):
    """A task with networks that are worth compiling."""

    def compile_networks(self) -> None:
        """Let the networks of a step run compiled from now on."""


class Trainer:
    """What changes while a task is trained, and how it is saved and restored; for the arguments see `fit`."""

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
        groups = parameter_groups or [{"params": list(trainable_weights(task).values())}]
        if runtime.channels_last:
            task.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stubs
        self.sharded = must_shard(task, accelerator)
        if self.sharded:
            require_shardable(params, runtime)
            groups = shard(task, groups, accelerator)
        self.trainable = list(trainable_weights(task).values())
        optimizer = make_optimizer(groups, params)
        if self.sharded:
            save_whole_moments(optimizer)
        schedule = make_schedule(optimizer, params)
        if runtime.compile and isinstance(task, Compilable):
            task.compile_networks()
        self.model = accelerator.prepare_model(task.train(), evaluation_mode=self.sharded)  # no DDP around it
        self.optimizer = accelerator.prepare(optimizer)
        foreach = not self.sharded  # torch has no foreach copy of DTensors
        ema = EMAModel(
            self.trainable, decay=params.ema_decay, use_ema_warmup=True, power=0.75, foreach=foreach
        )
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
        norm = whole(self.accelerator.clip_grad_norm_(self.trainable, self.params.max_grad_norm))
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
        pieces = [(batch, KeyedRandom(self.seed, batch.position)) for batch in batches]
        totals = []
        if isinstance(self.task, Counts):
            totals.append(totals_per_piece([self.task.counts(*piece) for piece in pieces]))
        rows = []
        for number, piece in enumerate(pieces, start=1):
            last = number == len(pieces)
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                losses = self.model(*piece, *totals)
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
        """Let the first process judge the averaged weights, and all learn the figures.

        All judge where weights are sharded: what is called in one process alone upsets the order in which
        they are gathered, and the next step would wait for ever.
        """
        with self.averaged(), gathered(self.task), self.uncompiled(), self.accelerator.autocast():
            judges = self.sharded or self.accelerator.is_main_process
            found = [judge(self.num_steps) if judges else {}]
        (figures,) = broadcast_object_list(found)
        self.state.figures[self.num_steps] = figures
        return figures

    def uncompiled(self) -> AbstractContextManager[object]:
        """Within the block nothing is compiled: a few pictures of other shapes aren't worth it."""
        return torch.compiler.set_stance("force_eager") if self.runtime.compile else nullcontext()

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

    def restore(self, checkpoint: Path) -> None:
        """Go on where `checkpoint` was written."""
        self.accelerator.load_state(str(checkpoint))
        self.batches = None


def make_optimizer(groups: list[dict[str, Any]], params: OptimisationParams) -> Optimizer:
    """Return the optimiser of parameter groups; moments in 8 bits where they are asked for and can be had."""
    if params.optimizer == "muon":
        return MuonAndAdamW(groups, learning_rate=params.learning_rate, weight_decay=params.weight_decay)
    options: dict[str, Any] = {"lr": params.learning_rate, "weight_decay": params.weight_decay}
    if params.optimizer == "adamw_8bit":
        try:
            from bitsandbytes.optim import AdamW8bit

            return AdamW8bit(groups, **options)
        except (ImportError, OSError, RuntimeError) as error:
            log.warning("8-bit AdamW can't be had here (%s): training with AdamW in full precision", error)
    return torch.optim.AdamW(groups, fused=True, **options)


def make_schedule(optimizer: Optimizer, params: OptimisationParams) -> LambdaLR:
    """Return the schedule of the learning rate, to be stepped once an optimizer step.

    It must not be `prepare()`d: accelerate would step it once a process.
    """
    return LambdaLR(optimizer, partial(cosine_with_warmup, params=params))


def cosine_with_warmup(step: int, params: OptimisationParams) -> float:
    """Factor of the peak learning rate at `step`: a linear rise, then a cosine down to zero."""
    if step < params.warmup_steps:
        return (step + 1) / params.warmup_steps
    progress = (step - params.warmup_steps) / max(1, params.steps - params.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
