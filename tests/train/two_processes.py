"""One of two processes that `test_distributed` launches with torchrun."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import patch_environment
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from model.bases.tiny.networks import build_tiny_base
from shards.batch import Batch, select
from tests.train.small_run import PARAMS, RUNTIME, Blocks, Counting, CrashError, Onlooker, Regression, run
from tests.train.small_try_on import PRESET, TASKS, batch
from train.keyed_random import KeyedRandom
from train.loop import Validation
from train.sharding import whole
from train.trainer import Trainer
from train.watch import accelerator_of

POISONED = frozenset({5})


def save_gradients(name: str, file: Path) -> None:
    """Go forward and backward through this process's half of a batch, after another step."""
    accelerator = accelerator_of(RUNTIME, file.parent)
    task = TASKS[name](build_tiny_base(PRESET, seed=0))
    trainer = Trainer(accelerator, task, Counting(), PARAMS, RUNTIME, seed=0)
    everything = batch(0, 4)
    half = select(everything, range(accelerator.process_index, 4, accelerator.num_processes))
    trainer.add_gradients([half])
    trainer.optimizer.zero_grad(set_to_none=True)
    trainer.add_gradients([half])
    gradients = {name: whole(p.grad) for name, p in task.named_parameters() if p.grad is not None}
    gradients["held_of_blocks"] = held([weight for block in task.blocks() for weight in block.parameters()])
    waits = dist.group.WORLD._get_backend(torch.device("cpu")).options._timeout
    gradients["waits_s"] = torch.tensor(waits.total_seconds())
    if accelerator.is_main_process:
        save_file(gradients, file)


def held(weights: list[Tensor]) -> Tensor:
    """Share of the weights that this process holds."""
    own = sum(w.to_local().numel() if isinstance(w, DTensor) else w.numel() for w in weights)
    return torch.tensor(own / sum(weight.numel() for weight in weights))


def dealt(crash_at: int | None = None) -> Counting:
    """This process's part of the stream, a batch of which has 4 samples."""
    processes = PartialState()
    return Counting(
        crash_at=crash_at, batch_size=2, rank=processes.process_index, world_size=processes.num_processes
    )


def half_a_run(task: nn.Module, folder: Path) -> None:
    """Train until the data is lost after seven steps; the last checkpoint is of step 6."""
    with suppress(CrashError):
        run(task, folder, stream=dealt(crash_at=28))


class Preempted(Blocks):
    """Asks the second process alone to stop, in step 5."""

    def forward(self, batch: Batch, random: KeyedRandom) -> dict[str, Tensor]:
        if batch.position[0] == 17:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().forward(batch, random)


def sharded_runs(out: Path) -> None:
    """Train through blocks: at one go, after a crash, after SIGTERM."""
    finish(Blocks(poisoned=POISONED), out / "unbroken")
    half_a_run(Blocks(poisoned=POISONED), out / "crashed")
    finish(Blocks(poisoned=POISONED), out / "crashed")
    with suppress(SystemExit):
        run(Preempted(poisoned=POISONED), out / "stopped", stream=dealt())
    finish(Blocks(poisoned=POISONED), out / "stopped")
    half_a_run(Blocks(poisoned=POISONED), out / "half")


def finish(task: Blocks, folder: Path) -> None:
    """Train to the end and leave the weights, and what a validation in between saw."""
    onlooker = Onlooker(task)
    rows = run(task, folder, stream=dealt(), validation=Validation(every=4, judge=onlooker))
    if PartialState().is_main_process:
        left: dict[str, Any] = dict(
            task.float().named_parameters()
        )  # `float` as savers do: blocks are themselves
        losses = torch.tensor([row.losses["loss"] for row in rows])
        save_file(left | {"seen": onlooker.last_two, "losses": losses}, folder / "end.safetensors")


if __name__ == "__main__":
    out = Path(sys.argv[1])
    for name in TASKS:
        save_gradients(name, out / f"{name}.safetensors")
    half_a_run(Regression(poisoned=POISONED), out / "run")
    with patch_environment(ACCELERATE_USE_FSDP="true", FSDP_VERSION="2"):
        for name in TASKS:
            save_gradients(name, out / f"{name}_sharded.safetensors")
        sharded_runs(out / "sharded")
