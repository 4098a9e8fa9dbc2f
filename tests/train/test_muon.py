"""Muon beside AdamW: which weights each steps, and by how much."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Muon

from tests.train.small_run import PARAMS, Counting, CrashError, Regression, run
from train import muon
from train.muon import MuonAndAdamW, is_matrix

RATE = 0.01


def stepped(weight: nn.Parameter, gradient: Tensor, **group: float) -> Tensor:
    """How one step from this gradient changes a weight."""
    before = weight.detach().clone()
    optimizer = MuonAndAdamW([{"params": [weight]} | group], learning_rate=RATE, weight_decay=0.0)
    weight.grad = gradient
    optimizer.step()
    return weight.detach() - before


def test_matrices_and_kernels_are_told_from_the_rest_by_their_shape() -> None:
    assert is_matrix(torch.zeros(16, 16))
    assert is_matrix(torch.zeros(32, 4, 2, 2))
    assert not is_matrix(torch.zeros(4, 36))
    assert not is_matrix(torch.zeros(64, 3, 2, 2))
    assert not is_matrix(torch.zeros(64))
    assert not is_matrix(torch.zeros(1, 16, 64))


@pytest.mark.parametrize("shape", [(16, 32), (16, 8, 2, 2)])
def test_a_matrix_moves_alike_in_all_directions_however_lopsided_its_gradient(shape: tuple[int, ...]) -> None:
    rows = torch.logspace(0, -2, 16)[:, None]  # one direction a hundred times stronger than another
    gradient = (rows * torch.linalg.qr(torch.randn(32, 16, generator=torch.manual_seed(0))).Q.T).view(shape)
    change = stepped(nn.Parameter(torch.zeros(shape)), gradient)
    strengths = torch.linalg.svdvals(change.flatten(1)) / (RATE * 0.2 * math.sqrt(32))
    assert strengths.min() > 0.5  # five Newton-Schulz steps bring all near 1
    assert strengths.max() < 1.5


def test_other_weights_move_as_adamw_moves_them() -> None:
    gradient = torch.tensor([3.0, -0.02])
    change = stepped(nn.Parameter(torch.zeros(2)), gradient)
    torch.testing.assert_close(change, torch.tensor([-RATE, RATE]), rtol=1e-4, atol=0)


def test_groups_keep_their_own_learning_rates_which_a_schedule_can_change() -> None:
    slow, fast = (nn.Parameter(torch.zeros(16, 16)) for _ in range(2))
    optimizer = MuonAndAdamW(
        [{"params": [slow]}, {"params": [fast], "lr": 3 * RATE}], learning_rate=RATE, weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0 if step == 0 else 0.0)
    slow.grad, fast.grad = torch.eye(16), torch.eye(16)
    optimizer.step()
    torch.testing.assert_close(fast.detach(), 3 * slow.detach())
    schedule.step()
    before = fast.detach().clone()
    optimizer.step()
    assert torch.equal(fast, before)


def test_steps_are_those_of_torchs_own_muon_but_for_its_rounding_to_bf16() -> None:
    random = torch.manual_seed(0)
    shapes = [(16, 16), (16, 16), (48, 16), (16, 4, 3, 3)]
    ours = [nn.Parameter(torch.randn(shape, generator=random)) for shape in shapes]
    flat = [nn.Parameter(weight.detach().flatten(1).clone()) for weight in ours]
    optimizer = MuonAndAdamW([{"params": ours}], learning_rate=RATE, weight_decay=0.1)
    torchs = Muon(flat, lr=RATE, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        before = [weight.detach().clone() for weight in flat]
        for weight, other in zip(ours, flat, strict=True):
            weight.data = other.detach().view(weight.shape).clone()
            weight.grad = torch.randn(weight.shape, generator=random)
            other.grad = weight.grad.flatten(1)
        optimizer.step()
        torchs.step()
        for weight, other, earlier in zip(ours, flat, before, strict=True):
            change, expected = (w.detach().flatten(1) - earlier for w in (weight, other))
            assert (change - expected).norm() < 0.04 * expected.norm()


def test_matrices_that_are_stepped_together_do_not_touch_each_other() -> None:
    random = torch.manual_seed(0)
    gradients = [torch.randn(16, 32, generator=random) for _ in range(3)]
    together = [nn.Parameter(torch.zeros(16, 32)) for _ in gradients]
    optimizer = MuonAndAdamW([{"params": together}], learning_rate=RATE, weight_decay=0.0)
    for weight, gradient in zip(together, gradients, strict=True):
        weight.grad = gradient
    optimizer.step()
    for weight, gradient in zip(together, gradients, strict=True):
        torch.testing.assert_close(weight.detach(), stepped(nn.Parameter(torch.zeros(16, 32)), gradient))


def test_without_a_gradient_a_weight_stays_and_one_of_zeros_only_decays() -> None:
    idle, still = (nn.Parameter(torch.ones(16, 16)) for _ in range(2))
    optimizer = MuonAndAdamW([{"params": [idle, still]}], learning_rate=RATE, weight_decay=0.5)
    still.grad = torch.zeros(16, 16)
    optimizer.step()
    assert torch.equal(idle.detach(), torch.ones(16, 16))
    torch.testing.assert_close(still.detach(), torch.full((16, 16), 1 - 0.5 * RATE))


def test_weights_decay_by_the_learning_rate_of_their_own_group() -> None:
    slow, fast = (nn.Parameter(torch.ones(16, 16)) for _ in range(2))
    groups = [{"params": [slow]}, {"params": [fast], "lr": 3 * RATE}]
    optimizer = MuonAndAdamW(groups, learning_rate=RATE, weight_decay=0.5)
    slow.grad, fast.grad = torch.zeros(16, 16), torch.zeros(16, 16)
    optimizer.step()
    torch.testing.assert_close(slow.detach(), torch.full((16, 16), 1 - 0.5 * RATE))
    torch.testing.assert_close(fast.detach(), torch.full((16, 16), 1 - 0.5 * 3 * RATE))


def test_many_large_matrices_are_stepped_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(muon, "LARGEST_PIECE", 2 * 16 * 32 + 1)
    weights = [torch.zeros(16, 32) for _ in range(5)] + [torch.zeros(64, 32), torch.zeros(16, 8, 2, 2)]
    dealt = [[weight.shape for weight in piece] for piece in muon.pieces(weights)]
    assert dealt == [[(16, 32)] * 2, [(16, 32)] * 2, [(16, 32), (16, 8, 2, 2)], [(64, 32)]]


def test_a_kernel_with_its_channels_last_is_stepped_alike_and_stays_so() -> None:
    gradient = torch.randn(16, 8, 3, 3, generator=torch.manual_seed(0))
    last = nn.Parameter(torch.zeros(16, 8, 3, 3).to(memory_format=torch.channels_last))
    change = stepped(last, gradient.to(memory_format=torch.channels_last))
    torch.testing.assert_close(change, stepped(nn.Parameter(torch.zeros(16, 8, 3, 3)), gradient))
    assert last.is_contiguous(memory_format=torch.channels_last)


class Wide(Regression):
    """A regression with a matrix and a kernel between layers that are too small to be matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.kernel = nn.Linear(4, 16), nn.Conv1d(1, 16, 17, padding=8)
        self.matrix, self.last = nn.Linear(16, 16), nn.Linear(16, 1)

    def predicted(self, inputs: Tensor) -> Tensor:
        hidden = self.matrix(self.first(inputs).tanh()).tanh()
        return self.last(self.kernel(hidden[:, None]).mean(1))[:, 0]


@pytest.mark.parametrize("batches", [4, 7])
def test_a_run_goes_on_bit_for_bit_with_momenta_and_moments(tmp_path: Path, batches: int) -> None:
    params = replace(PARAMS, optimizer="muon")
    unbroken = Wide()
    expected = run(unbroken, tmp_path / "unbroken", params=params)
    with pytest.raises(CrashError):
        run(Wide(), tmp_path / "broken", params=params, stream=Counting(crash_at=4 * batches))
    resumed = Wide()
    assert run(resumed, tmp_path / "broken", params=params) == expected
    pairs = zip(resumed.parameters(), unbroken.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert expected[-1].losses["loss"] < expected[0].losses["loss"]


def test_gradients_that_overflow_in_float16_are_scaled_and_skipped_like_any_optimisers() -> None:
    weight = nn.Parameter(torch.zeros(16, 16))
    optimizer = MuonAndAdamW([{"params": [weight]}], learning_rate=RATE, weight_decay=0.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale((weight * torch.inf).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(weight.detach(), torch.zeros(16, 16))
    optimizer.zero_grad()
    scaler.scale(weight.trace()).backward()
    scaler.step(optimizer)
    assert weight.detach().diagonal().max() < 0
