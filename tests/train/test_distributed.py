"""Two processes do what one does: the same gradients, and each other's checkpoints."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from model.tiny import build_tiny_base
from tests.train.small_run import Regression, run
from tests.train.small_try_on import PRESET, batch, size_task
from train.keyed_random import KeyedRandom

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left."""
    folder = tmp_path_factory.mktemp("two_processes")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launcher, "-m", "tests.train.two_processes", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, timeout=500)
    return folder


def test_two_processes_have_the_gradients_of_one_with_twice_the_batch(out: Path) -> None:
    task = size_task(build_tiny_base(PRESET, seed=0))
    task(batch(0, 4), KeyedRandom(0, batch(0, 4).position))["loss"].backward()
    expected = {name: weight.grad for name, weight in task.named_parameters() if weight.requires_grad}
    found = torch.load(out / "gradients.pt", weights_only=True)
    assert found.keys() == expected.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    assert largest > 1e-3
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-5, msg=name)


def test_one_process_goes_on_where_two_stopped(out: Path, tmp_path: Path) -> None:
    poisoned = frozenset({5})
    alone, resumed = Regression(poisoned=poisoned), Regression(poisoned=poisoned)
    expected = run(alone, tmp_path)
    rows = run(resumed, out / "run")
    assert [row.step for row in rows] == [row.step for row in expected] == list(range(1, 13))
    for row, other in zip(rows, expected, strict=True):
        assert row.losses["loss"] == pytest.approx(other.losses["loss"], rel=1e-5, nan_ok=True)
    for weight, other_weight in zip(resumed.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(weight, other_weight, rtol=1e-5, atol=1e-6)
