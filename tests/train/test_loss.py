import math

import pytest
import torch
from torch.testing import assert_close

from train.loss import contrastive_loss, diffusion_loss, layout_loss, picture_loss, size_loss


def test_diffusion_loss_weighs_each_sample() -> None:
    prediction = torch.stack([torch.full((4, 2, 2), 1.0), torch.full((4, 2, 2), 3.0)])
    loss = diffusion_loss(prediction, torch.zeros_like(prediction), torch.tensor([2.0, 0.5]))
    assert_close(loss, torch.tensor((2 * 1 + 0.5 * 9) / 2))


def test_picture_loss_counts_an_edge_that_is_missing_beside_its_pixels() -> None:
    black, grey = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.5)
    assert picture_loss(black, grey) == 0.5  # no steps in either
    striped = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])
    assert picture_loss(black, striped) == 0.5 + 1.0  # two pixels of four; both steps along a row, none down
    assert picture_loss(black, striped.mT) == 0.5 + 1.0


def test_layout_loss_is_small_when_right_and_large_when_opposite() -> None:
    layout = torch.zeros(1, 1, 4, 4)
    layout[..., :2] = 1
    right = layout_loss(20 * (layout - 0.5), layout)
    wrong = layout_loss(-20 * (layout - 0.5), layout)
    assert float(right) < 1e-3
    assert float(wrong) == pytest.approx(10 + 1 - 1 / 17, abs=1e-3)  # 10 nats a pixel, and no overlap


def test_layout_loss_counts_samples_by_their_weight() -> None:
    layout = torch.zeros(2, 1, 4, 4)
    layout[..., :2] = 1
    logits = torch.stack([-20 * (layout[0] - 0.5), 20 * (layout[1] - 0.5)])
    wrong = layout_loss(logits[:1], layout[:1])
    assert_close(layout_loss(logits, layout, torch.tensor([1.0, 0.0])), wrong)
    assert layout_loss(logits, layout, torch.zeros(2)) == 0


def test_size_loss_ignores_nulls_and_unweighted_samples() -> None:
    read = torch.tensor([[1.0, 1.0, 1.0], [9.0, 9.0, 9.0]], requires_grad=True)
    ratios = torch.tensor([[1.2, math.nan, 1.0], [1.0, 1.0, 1.0]])
    loss = size_loss(read, ratios, torch.tensor([1.0, 0.0]))
    assert_close(loss, torch.tensor((0.2 - 0.05) / 2))  # Huber with beta 0.1, mean over two known ratios
    loss.backward()
    assert_close(read.grad, torch.tensor([[-0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]))


def test_size_loss_of_nothing_known_is_zero() -> None:
    assert size_loss(torch.ones(1, 3), torch.full((1, 3), math.nan), torch.ones(1)) == 0


def test_contrastive_loss_prefers_matching_rows() -> None:
    rows = torch.eye(3)
    scale = torch.tensor(math.log(10.0))
    matching = contrastive_loss(rows, rows, scale)
    assert float(matching) == pytest.approx(math.log(1 + 2 * math.exp(-10)), abs=1e-6)
    assert float(contrastive_loss(rows, rows.roll(1, 0), scale)) > 9


def test_contrastive_loss_looks_both_ways() -> None:
    """Two left rows of which one has both right rows for its own: ln 2 a row, and 0 or 2 nats a column."""
    left, right = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    along, down = math.log(2), (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(2))) / 2
    found = contrastive_loss(left, right, torch.tensor(math.log(2.0)))
    assert float(found) == pytest.approx((along + down) / 2, abs=1e-6)
