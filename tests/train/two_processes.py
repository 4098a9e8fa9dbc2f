"""One of two processes that `test_distributed` launches with torchrun."""

import sys
from contextlib import suppress
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState

from model.tiny import build_tiny_base
from shards.batch import select
from tests.train.small_run import Counting, CrashError, Regression, run
from tests.train.small_try_on import PRESET, batch, size_task
from train.keyed_random import KeyedRandom


def save_gradients(file: Path) -> None:
    """Go forward and backward through this process's half of a batch."""
    accelerator = Accelerator(cpu=True)
    task = size_task(build_tiny_base(PRESET, seed=0))
    model = accelerator.prepare(task)
    whole = batch(0, 4)
    half = select(whole, range(accelerator.process_index, 4, accelerator.num_processes))
    losses = model(half, KeyedRandom(0, half.position))
    accelerator.backward(losses["loss"])
    if accelerator.is_main_process:
        torch.save({name: p.grad for name, p in task.named_parameters() if p.requires_grad}, file)


def half_a_run(folder: Path) -> None:
    """Train until the data is lost after seven steps; the last checkpoint is of step 6."""
    processes = PartialState(cpu=True)
    stream = Counting(
        crash_at=28, batch_size=2, rank=processes.process_index, world_size=processes.num_processes
    )
    with suppress(CrashError):
        run(Regression(poisoned=frozenset({5})), folder, stream=stream)


if __name__ == "__main__":
    out = Path(sys.argv[1])
    save_gradients(out / "gradients.pt")
    half_a_run(out / "run")
