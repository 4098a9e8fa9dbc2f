"""Two processes do what one does: gradients, and each other's checkpoints; also with sharded weights."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.utils import patch_environment
from safetensors.torch import load_file
from torch import nn

from model.bases.tiny.networks import build_tiny_base
from tests.train.small_run import PARAMS, RUNTIME, Blocks, Onlooker, Regression, run
from tests.train.small_try_on import PRESET, TASKS, batch
from train.keyed_random import KeyedRandom
from train.loop import Validation
from train.processes import PATIENCE
from train.sharding import require_shardable

ROOT = Path(__file__).parents[2]
POISONED = frozenset({5})


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left."""
    folder = tmp_path_factory.mktemp("two_processes")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launcher, "-m", "tests.train.two_processes", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, timeout=200)
    return folder


@pytest.mark.parametrize("sharded", ["", "_sharded"])
@pytest.mark.parametrize("name", TASKS)
def test_two_processes_have_the_gradients_of_one_with_twice_the_batch(
    out: Path, name: str, sharded: str
) -> None:
    task = TASKS[name](build_tiny_base(PRESET, seed=0))
    task(batch(0, 4), KeyedRandom(0, batch(0, 4).position))["loss"].backward()
    expected = {name: weight.grad for name, weight in task.named_parameters() if weight.grad is not None}
    gradients = load_file(out / f"{name}{sharded}.safetensors")
    held = float(gradients.pop("held_of_blocks"))
    assert gradients.pop("waits_s") == PATIENCE.total_seconds() == 3 * 3600
    assert held == (pytest.approx(0.5, abs=0.1) if sharded else 1.0)
    assert gradients.keys() == expected.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    assert largest > 1e-3
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-5, atol=1e-5, msg=name)


@pytest.mark.parametrize(("kind", "begun"), [(Regression, "run"), (Blocks, "sharded/half")])
def test_one_process_goes_on_where_two_stopped(
    out: Path, tmp_path: Path, kind: type[Regression], begun: str
) -> None:
    alone, resumed = kind(poisoned=POISONED), kind(poisoned=POISONED)
    expected = run(alone, tmp_path)
    rows = run(resumed, out / begun)
    assert [row.step for row in rows] == [row.step for row in expected] == list(range(1, 13))
    for row, other in zip(rows, expected, strict=True):
        assert row.losses["loss"] == pytest.approx(other.losses["loss"], rel=1e-5, nan_ok=True)
    same_weights(resumed, alone)


def test_shared_out_weights_end_as_whole_ones_and_validation_sees_them(out: Path, tmp_path: Path) -> None:
    alone = Blocks(poisoned=POISONED)
    watched = Onlooker(alone)
    run(alone, tmp_path, validation=Validation(every=4, judge=watched))
    end = load_file(out / "sharded/unbroken/end.safetensors")
    torch.testing.assert_close(end["seen"], watched.last_two, rtol=1e-5, atol=1e-6)
    for name, weight in alone.named_parameters():
        torch.testing.assert_close(end[name], weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("interrupted", ["crashed", "stopped"])
def test_a_broken_run_with_shared_out_weights_ends_with_the_bits_of_the_unbroken_one(
    out: Path, interrupted: str
) -> None:
    expected = load_file(out / "sharded/unbroken/end.safetensors")
    found = load_file(out / f"sharded/{interrupted}/end.safetensors")
    assert expected["losses"].isnan().tolist() == [step == 2 for step in range(1, 13)]
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name].nan_to_num(), expected[name].nan_to_num()) for name in expected)


def test_what_shared_out_weights_cannot_be_trained_with_is_refused_at_once() -> None:
    with (
        patch_environment(FSDP_VERSION="1"),
        pytest.raises(ValueError, match=r"fsdp_version must be 2, runtime\.mixed_precision must be no or"),
    ):
        require_shardable(PARAMS, replace(RUNTIME, mixed_precision="fp16"))
    with patch_environment(FSDP_VERSION="2"):
        require_shardable(PARAMS, RUNTIME)


def same_weights(one: nn.Module, other: nn.Module) -> None:
    for weight, other_weight in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(weight, other_weight, rtol=1e-5, atol=1e-6)
