"""A process that `tests.gpu.launching` starts: `sharded` or `trained`, a device, and a file to write."""

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from torch.distributed.tensor import DTensor

from model.bases.tiny.networks import build_tiny_base
from tests.gpu.numerics import HW, loss_and_gradients, relative
from tests.gpu.setting import People
from tests.train.small_run import PARAMS, RUNTIME
from tests.train.small_try_on import PRESET, TASKS, batch, size_task
from train.keyed_random import KeyedRandom
from train.loop import fit
from train.sharding import ASKS_FOR_FSDP, shard, whole
from train.watch import accelerator_of


def sharded(device: str, folder: Path) -> Mapping[str, Any]:
    """Gradients of tasks whose weights are shared out, against whole ones; a step, and weights made whole."""
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    accelerator = accelerator_of(replace(RUNTIME, tf32=False), folder)
    worst = 0.0
    for make in TASKS.values():
        _, expected = loss_and_gradients(make(build_tiny_base(PRESET, 0)).to(device), batch(0, 4))
        task = make(build_tiny_base(PRESET, 0))
        groups = [{"params": [weight for weight in task.parameters() if weight.requires_grad]}]
        groups = shard(task, groups, accelerator)
        optimizer = torch.optim.AdamW(groups, lr=1e-3)
        seen = batch(0, 4)
        task(seen, KeyedRandom(0, seen.position))["loss"].backward()
        gradients = [weight.grad for weight in task.parameters() if weight.grad is not None]
        assert all(isinstance(gradient, DTensor) for gradient in gradients), "weights weren't shared out"
        found = [whole(gradient).float().flatten() for gradient in gradients]
        worst = max(worst, relative(torch.cat(found), expected))
        optimizer.step()
    figures = {"gradients": worst, "backend": dist.get_backend(), "processes": dist.get_world_size()}
    dist.destroy_process_group()
    return figures


def trained(_device: str, folder: Path) -> Mapping[str, Any]:
    """Two steps of the training loop under whatever launched this."""
    task = size_task(build_tiny_base(PRESET, 0))
    two = replace(PARAMS, steps=2)
    rows = fit(task, People(4, HW), two, RUNTIME, name="gpu", seed=0, checkpoint_dir=folder, live_dir=folder)
    state = PartialState()
    kind = state.distributed_type.value
    if kind == "MULTI_GPU" and parse_flag_from_env(ASKS_FOR_FSDP):  # this project shards, accelerate doesn't
        kind = "FSDP"
    return {"steps": len(rows), "launched_as": kind, "processes": state.num_processes}


WORK: Mapping[str, Callable[[str, Path], Mapping[str, Any]]] = {"sharded": sharded, "trained": trained}

if __name__ == "__main__":
    name, device, out = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        figures = WORK[name](device, Path(folder))
    if PartialState().is_main_process:
        Path(out).write_text(json.dumps(dict(figures)))
