"""The loop on a small real task: it learns, guards itself, and resumes bit for bit."""

import math
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from shards.batch import Batch
from tests.train.small_run import PARAMS, RUNTIME, Counting, CrashError, Regression, run
from train.checkpoint import BEST, LATEST, pointed
from train.keyed_random import KeyedRandom
from train.loop import STOPPED, Validation
from train.trainer import cosine_with_warmup


def weights(task: nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in task.parameters()]


def equal(left: nn.Module, right: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left.parameters(), right.parameters(), strict=True))


def test_learns_and_leaves_frozen_weights_alone(tmp_path: Path) -> None:
    task = Regression()
    rows = run(task, tmp_path)
    assert [row.step for row in rows] == list(range(1, 13))
    assert rows[-1].losses["loss"] < rows[0].losses["loss"] / 2
    assert torch.equal(task.frozen, torch.ones(3))


@pytest.mark.parametrize("batches", [1, 3, 4, 8, 11])
def test_a_run_whose_data_was_lost_ends_as_the_unbroken_one(tmp_path: Path, batches: int) -> None:
    unbroken = Regression()
    expected = run(unbroken, tmp_path / "unbroken")

    with pytest.raises(CrashError):
        run(Regression(), tmp_path / "broken", stream=Counting(crash_at=4 * batches))
    resumed = Regression()

    assert run(resumed, tmp_path / "broken") == expected
    assert equal(resumed, unbroken)


def test_sigterm_leaves_a_checkpoint_and_the_next_run_ends_as_the_unbroken_one(tmp_path: Path) -> None:
    unbroken = Regression()
    expected = run(unbroken, tmp_path / "unbroken")

    class Preempted(Regression):
        def forward(self, batch: Batch, random: KeyedRandom) -> dict[str, Tensor]:
            if batch.position[0] == 16:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().forward(batch, random)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped:
        run(Preempted(), tmp_path / "broken")
    assert stopped.value.code == STOPPED == 143
    assert signal.getsignal(signal.SIGTERM) is before
    checkpoint = pointed(tmp_path / "broken", LATEST)
    assert checkpoint is not None
    assert checkpoint.name == "step-000005"
    resumed = Regression()
    assert run(resumed, tmp_path / "broken") == expected
    assert equal(resumed, unbroken)


def test_the_optimizer_steps_once_however_a_batch_is_split(tmp_path: Path) -> None:
    whole, split = Regression(), Regression()
    expected = run(whole, tmp_path / "whole")
    halves = replace(RUNTIME, gradient_accumulation=2)
    rows = run(split, tmp_path / "split", stream=Counting(batch_size=2), runtime=halves)
    assert len(rows) == len(expected) == 12
    for row, other in zip(rows, expected, strict=True):
        assert row.losses["loss"] == pytest.approx(other.losses["loss"], rel=1e-5)
    for a, b in zip(weights(split), weights(whole), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_sample_that_is_not_finite_is_named_and_its_batch_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = Regression(poisoned=frozenset({9}))
    rows = run(task, tmp_path)
    assert "step 3: loss or gradient is not finite, batch skipped because of k9" in caplog.text
    assert "k8" not in caplog.text
    assert math.isnan(rows[2].losses["loss"])
    assert rows[-1].losses["loss"] < rows[0].losses["loss"]
    assert all(torch.isfinite(weight).all() for weight in task.parameters())


def test_a_gradient_that_overflows_blames_the_whole_batch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Overflowing(Regression):
        def forward(self, batch: Batch, random: KeyedRandom) -> dict[str, Tensor]:
            losses = super().forward(batch, random)
            if batch.position[0] == 8 and losses["loss"].requires_grad:
                losses["loss"].register_hook(lambda gradient: gradient * math.inf)
            return losses

    run(Overflowing(), tmp_path)
    assert "step 3: loss or gradient is not finite, batch skipped because of k8, k9, k10, k11" in caplog.text


def test_too_many_bad_batches_in_a_row_stop_the_run(tmp_path: Path) -> None:
    task = Regression(poisoned=frozenset(range(0, 48, 4)))
    with pytest.raises(ValueError, match=r"6 batches in a row .* at step 6 because of k20:"):
        run(task, tmp_path)


def test_a_loss_that_jumps_is_logged_with_its_keys(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(Regression(huge=frozenset({101})), tmp_path, params=replace(PARAMS, steps=26, learning_rate=1e-6))
    jumps = [record.getMessage() for record in caplog.records if "jumped" in record.getMessage()]
    assert len(jumps) == 1
    assert jumps[0].startswith("step 26: the loss jumped to ")
    assert jumps[0].endswith("k100, k101, k102, k103")


def test_the_newest_checkpoints_and_the_best_are_kept_and_the_best_is_what_remains(tmp_path: Path) -> None:
    seen: dict[int, list[Tensor]] = {}
    task = Regression()

    def judge(step: int) -> dict[str, float]:
        assert not task.training
        seen[step] = weights(task)
        return {"score": float(step == 6)}

    run(task, tmp_path, validation=Validation(every=3, judge=judge))
    kept = sorted(path.name for path in tmp_path.iterdir() if path.name != "live")
    assert kept == ["best", "latest", "step-000006", "step-000009", "step-000012"]
    best = pointed(tmp_path, BEST)
    assert best is not None
    assert best.name == "step-000006"
    assert list(seen) == [3, 6, 9, 12]
    assert all(torch.equal(a, b) for a, b in zip(weights(task), seen[6], strict=True))


def test_of_equally_good_checkpoints_the_last_remains(tmp_path: Path) -> None:
    with_judge, without = Regression(), Regression()
    rows = run(
        with_judge, tmp_path / "judged", validation=Validation(every=5, judge=lambda _: {"score": 0.5})
    )
    assert rows == run(without, tmp_path / "plain")
    assert equal(with_judge, without)


def test_eight_bit_moments_learn_and_resume(tmp_path: Path) -> None:
    params = replace(PARAMS, optimizer="adamw_8bit")
    unbroken = Regression()
    expected = run(unbroken, tmp_path / "unbroken", params=params)
    with pytest.raises(CrashError):
        run(Regression(), tmp_path / "broken", params=params, stream=Counting(crash_at=28))
    resumed = Regression()
    assert run(resumed, tmp_path / "broken", params=params) == expected
    assert equal(resumed, unbroken)
    assert expected[-1].losses["loss"] < expected[0].losses["loss"]


def test_the_tracker_has_every_step_once_also_after_a_crash(tmp_path: Path) -> None:
    runtime = replace(RUNTIME, tracker="dvclive", log_every=2)
    validation = Validation(every=3, judge=lambda step: {"score": step / 100})
    with pytest.raises(CrashError):
        run(Regression(), tmp_path, runtime=runtime, validation=validation, stream=Counting(crash_at=44))
    rows = run(Regression(), tmp_path, runtime=runtime, validation=validation)
    told = {}
    for figure in ("loss", "validation/score"):
        lines = (tmp_path / "live" / "plots" / "metrics" / f"{figure}.tsv").read_text().splitlines()
        told[figure] = [(int(step), float(value)) for step, value in (line.split("\t") for line in lines[1:])]
    assert told["loss"] == [(row.step, row.losses["loss"]) for row in rows if row.step % 2 == 0]
    assert told["validation/score"] == [(3, 0.03), (6, 0.06), (9, 0.09), (12, 0.12)]


def test_a_tracker_that_is_not_installed_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pip install wandb"):
        run(Regression(), tmp_path, runtime=replace(RUNTIME, tracker="wandb"))


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CrashError):
        run(Regression(), tmp_path, stream=Counting(crash_at=16))

    class Wider(Regression):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.more = nn.Linear(1, 1)

    with pytest.raises(ValueError, match=r"missing \['more.bias', 'more.weight'\], unexpected \[\]"):
        run(Wider(), tmp_path)


def test_learning_rate_rises_then_falls_to_zero() -> None:
    factors = [cosine_with_warmup(step, PARAMS) for step in range(13)]
    assert factors[:2] == [0.5, 1.0]
    assert factors[2] == 1.0
    assert factors[7] == pytest.approx(0.5)
    assert factors[12] == pytest.approx(0.0)


def test_the_log_says_what_the_time_was_spent_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run(Regression(), tmp_path, validation=Validation(every=4, judge=lambda _: {"score": 0.5}))
    (said,) = [message for message in caplog.messages if "since it was started" in message]
    shares = dict(share.split(" ") for share in said.split(": ")[-1].split(", "))
    assert set(shares) == {"watching", "data", "compute", "validation", "checkpoints"}
    assert sum(float(share.rstrip("%")) for share in shares.values()) == pytest.approx(100, abs=0.3)


class Convolved(Regression):
    """A regression through a kernel; it notes whether that lies as usual."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.linear = nn.Conv2d(4, 16, 2), nn.Linear(16, 1)
        self.usual: set[bool] = set()

    def predicted(self, inputs: Tensor) -> Tensor:
        self.usual.add(self.kernel.weight.is_contiguous())
        corners = inputs[:, :, None, None].expand(-1, -1, 2, 2)
        return self.linear(self.kernel(corners).flatten(1).tanh())[:, 0]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_channels_last_changes_no_loss_and_ends_with_weights_that_files_can_hold(
    tmp_path: Path, optimizer: Literal["adamw", "muon"]
) -> None:
    params = replace(PARAMS, optimizer=optimizer)
    plain, last = Convolved(), Convolved()
    expected = run(plain, tmp_path / "plain", params=params)
    rows = run(last, tmp_path / "last", params=params, runtime=replace(RUNTIME, channels_last=True))
    assert (plain.usual, last.usual) == ({True}, {False})
    assert [row.losses["loss"] for row in rows] == pytest.approx(
        [r.losses["loss"] for r in expected], rel=1e-3
    )
    assert all(weight.is_contiguous() for weight in last.parameters())
