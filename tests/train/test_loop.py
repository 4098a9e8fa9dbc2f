"""The loop on a small real task: it learns, skips what is not finite, and resumes bit for bit."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from train.keyed_random import KeyedRandom
from train.loop import LogRow, cosine_with_warmup, fit
from train.params import OptimisationParams, RuntimeParams

PARAMS = OptimisationParams(steps=12, batch_size=4, learning_rate=0.05, warmup_steps=2, ema_decay=0.9)


@dataclass
class Rows:
    keys: list[str]
    position: np.ndarray


class Counting:
    """A stream of consecutive positions."""

    def __init__(self) -> None:
        self.position = 0

    def __iter__(self) -> Iterator[Rows]:
        while True:
            start, self.position = self.position, self.position + PARAMS.batch_size
            places = np.arange(start, self.position)
            yield Rows([f"k{p}" for p in places], places)

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]


class Regression(nn.Module):
    """Learn the sum of four inputs; a batch that starts at `poisoned` gives NaN."""

    def __init__(self, poisoned: frozenset[int] = frozenset()) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 1)
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.poisoned = poisoned

    def forward(self, batch: Rows, random: KeyedRandom) -> dict[str, Tensor]:
        inputs = random.normal("inputs", (4,))
        loss = (self.linear(inputs)[:, 0] - inputs.sum(1)).square().mean()
        return {"loss": loss * (torch.nan if int(batch.position[0]) in self.poisoned else 1.0)}


class CrashError(Exception):
    """Stands for a crash."""


def run(
    task: nn.Module, folder: Path, *, stop_after: int | None = None, fingerprint: str = "a"
) -> list[LogRow]:
    def crash(row: LogRow) -> None:
        if row.step == stop_after:
            raise CrashError

    return fit(
        task,
        Counting(),
        PARAMS,
        RuntimeParams(checkpoint_every=3),
        name="regression",
        seed=1,
        checkpoint_dir=folder,
        fingerprint=fingerprint,
        on_step=crash,
    )


def test_learns_and_leaves_frozen_weights_alone(tmp_path: Path) -> None:
    task = Regression()
    rows = run(task, tmp_path)
    assert [row.step for row in rows] == list(range(1, 13))
    assert rows[-1].losses["loss"] < rows[0].losses["loss"] / 2
    assert torch.equal(task.frozen, torch.ones(3))


@pytest.mark.parametrize("stop_after", [1, 3, 4, 8, 11])
def test_a_run_that_crashed_ends_as_the_unbroken_one(tmp_path: Path, stop_after: int) -> None:
    unbroken = Regression()
    expected = run(unbroken, tmp_path / "unbroken")

    with pytest.raises(CrashError):
        run(Regression(), tmp_path / "broken", stop_after=stop_after)
    resumed = Regression()
    actual = run(resumed, tmp_path / "broken")

    assert actual == expected
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), unbroken.parameters(), strict=True))


def test_a_checkpoint_of_another_run_is_not_continued(tmp_path: Path) -> None:
    with pytest.raises(CrashError):
        run(Regression(), tmp_path, stop_after=8, fingerprint="other")
    fresh = run(Regression(), tmp_path / "fresh")
    assert run(Regression(), tmp_path) == fresh


def test_a_batch_that_is_not_finite_is_skipped_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = Regression(poisoned=frozenset({8}))
    rows = run(task, tmp_path)
    assert "step 3" in caplog.text
    assert "k8, k9, k10, k11" in caplog.text
    assert rows[-1].losses["loss"] < rows[0].losses["loss"]
    assert all(torch.isfinite(p).all() for p in task.parameters())


def test_too_many_bad_batches_in_a_row_stop_the_run(tmp_path: Path) -> None:
    task = Regression(poisoned=frozenset(range(0, 48, 4)))
    with pytest.raises(ValueError, match=r"6 batches in a row .* with samples k20, k21, k22, k23"):
        run(task, tmp_path)


def test_learning_rate_rises_then_falls_to_zero() -> None:
    factors = [cosine_with_warmup(step, PARAMS) for step in range(13)]
    assert factors[:2] == [0.5, 1.0]
    assert factors[2] == 1.0
    assert factors[7] == pytest.approx(0.5)
    assert factors[12] == pytest.approx(0.0)
