"""A batch that is dealt to pieces has the loss and gradient of the whole, however unequal the pieces are."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from model.adapter.body_maps import NUM_BODY_MAPS
from model.bases.sdxl.networks import SdxlBase
from model.bases.tiny.networks import build_tiny_base
from model.judges.critic import SizeCritic
from preprocess.identity import ROOT
from shards.batch import Batch, select
from tests.sizes import UPPER
from tests.train.small_run import PARAMS, RUNTIME, Counting
from tests.train.small_try_on import PRESET, batch, size_task
from train.loss import size_loss
from train.params import LossParams
from train.perception import CriticTask
from train.processes import anywhere, totals_per_piece
from train.sample_encoder import SampleEncoder
from train.trainer import Trainer
from train.watch import accelerator_of


def test_pieces_that_count_three_and_one_divide_by_two_each() -> None:
    totals = totals_per_piece([{"size": torch.tensor(3.0)}, {"size": torch.tensor(1.0)}])
    assert totals == {"size": torch.tensor(2.0)}
    nothing = torch.tensor(0.0)
    assert totals_per_piece([{"size": nothing}]) == {"size": torch.tensor(1.0)}


def test_the_mean_of_unequal_pieces_is_the_loss_of_the_whole_batch() -> None:
    read = torch.zeros(2, 3)
    ratios = torch.tensor([[1.0, 1.0, 1.0], [4.0, math.nan, math.nan]])
    weight, total = torch.ones(1), torch.tensor(2.0)  # three and one ratios in two pieces
    pieces = [size_loss(read[i : i + 1], ratios[i : i + 1], weight, total) for i in (0, 1)]
    # Huber with beta 0.1: 0.95 thrice, 3.95 once
    torch.testing.assert_close(torch.stack(pieces), torch.tensor([3 * 0.95 / 2, 3.95 / 2]))
    torch.testing.assert_close(torch.stack(pieces).mean(), torch.tensor((3 * 0.95 + 3.95) / 4))
    torch.testing.assert_close(size_loss(read, ratios, torch.ones(2)), torch.tensor((3 * 0.95 + 3.95) / 4))


def picky_size_task(base: SdxlBase) -> nn.Module:
    """Its critic looks at three of the four samples."""
    task = size_task(base)
    task.loss = LossParams(size_min_snr=0.25)
    return task


def critic_task(base: SdxlBase) -> nn.Module:
    torch.manual_seed(0)
    return CriticTask(
        SizeCritic(4, NUM_BODY_MAPS, UPPER, ["upper"], width=8),
        SampleEncoder(base.requires_grad_(False)),
    )


@pytest.mark.parametrize(("make", "loss"), [(picky_size_task, "size"), (critic_task, "ratios")])
@pytest.mark.parametrize("rows", [[[0, 1], [2, 3]], [[0], [1], [2], [3]]], ids=["halves", "single"])
def test_accumulated_gradients_are_those_of_the_whole_batch(
    rows: list[list[int]], make: Callable[[SdxlBase], nn.Module], loss: str, tmp_path: Path
) -> None:
    whole = batch(0, 4)
    whole.ratios[0] = math.nan
    whole.ratios[1, 1:] = math.nan
    pieces = [select(whole, piece) for piece in rows]
    losses, gradients = learned_from(make, [whole], tmp_path)
    split_losses, split_gradients = learned_from(make, pieces, tmp_path)
    assert split_losses == pytest.approx(losses, abs=1e-6)
    assert losses[loss] > 0.1
    assert max(float(gradient.abs().max()) for gradient in gradients) > 1e-3
    for gradient, split in zip(gradients, split_gradients, strict=True):
        torch.testing.assert_close(split, gradient, rtol=0, atol=1e-6)


def learned_from(
    make: Callable[[SdxlBase], nn.Module], pieces: list[Batch], folder: Path
) -> tuple[dict[str, float], list[Tensor]]:
    """Losses and gradients of one step."""
    task = make(build_tiny_base(PRESET, seed=0))
    runtime = replace(RUNTIME, gradient_accumulation=len(pieces))
    trainer = Trainer(accelerator_of(runtime, folder), task, Counting(), PARAMS, runtime, seed=0)
    losses = trainer.add_gradients(pieces)
    return losses, [weight.grad for weight in trainer.trainable if weight.grad is not None]


def test_one_process_knows_alone_what_happened() -> None:
    assert anywhere(True, torch.device("cpu"))
    assert not anywhere(False, torch.device("cpu"))


STARTED = """
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from pipeline.training.run import processes_of_run

processes_of_run()
seconds = dist.group.WORLD._get_backend(torch.device("cpu")).options._timeout.total_seconds()
Path(sys.argv[1], str(dist.get_rank())).write_text(str(seconds))
"""
"""Each process has a file of its own: what two print into one pipe may come in pieces."""


def test_processes_of_a_stage_wait_for_hours_for_one_that_works_alone(tmp_path: Path) -> None:
    (tmp_path / "started.py").write_text(STARTED)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launcher, str(tmp_path / "started.py"), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, env=environment, timeout=200)
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["10800.0"] * 2
