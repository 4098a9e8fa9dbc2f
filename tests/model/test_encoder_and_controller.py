"""Size encoders and controllers by themselves."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from model.adapter.body_maps import FRAME, NUM_BODY_MAPS, body_maps
from model.adapter.controller import SimpleSizeController, SizeController, SizeEdges, coordinate_waves
from model.adapter.encoder import RATIO_MIDDLE, HybridSizeEncoder, SizeEncoder
from tests.model.conftest import LATENT_HW, keypoints

NAN = float("nan")


@torch.no_grad()
def test_an_unknown_ratio_is_a_word_of_its_own() -> None:
    torch.manual_seed(0)
    encoder = SizeEncoder(input_dim=3)
    values = torch.linspace(0.3, 2.2, 20)
    known = encoder(torch.stack([values, torch.ones(20), torch.ones(20)], dim=1))
    unknown = encoder(torch.tensor([[NAN, 1.0, 1.0]]))
    assert known.shape == (20, 768)
    assert (known - unknown).norm(dim=1).min() > 1e-2 * unknown.norm()


@torch.no_grad()
def test_what_each_ratio_adds_is_its_value_or_its_word() -> None:
    """Words of 1, 2 and 4 on a bias of 8; a ratio at the middle of its range has the value 0."""
    encoder = SizeEncoder(input_dim=3)
    encoder.input.bias.fill_(8)
    encoder.unknown.copy_(torch.tensor([[1.0], [2.0], [4.0]]).expand_as(encoder.unknown))
    ratios = torch.tensor([[RATIO_MIDDLE] * 3, [NAN, RATIO_MIDDLE, NAN], [NAN] * 3])
    assert encoder.hidden(ratios)[:, 0].tolist() == [8, 13, 15]


@torch.no_grad()
def test_the_hybrid_encoder_reads_label_and_garment() -> None:
    torch.manual_seed(0)
    encoder = HybridSizeEncoder(garment_dim=16, input_dim=3)
    ratios, garment = torch.tensor([[1.0, 1.2, NAN]]), torch.randn(1, 16)
    plain = encoder(ratios, garment_features=garment)
    assert_close(encoder(ratios, torch.tensor([-1]), garment), plain)
    labelled = [encoder(ratios, torch.tensor([label]), garment) for label in (0, 2)]
    answers = [plain, *labelled, encoder(ratios, None, -garment)]
    assert all((a - b).abs().max() > 1e-3 for i, a in enumerate(answers) for b in answers[:i])
    with pytest.raises(ValueError, match="give garment_features"):
        encoder(ratios)


@torch.no_grad()
def test_the_simple_controller_draws_on_any_grid() -> None:
    controller = SimpleSizeController(width=32)
    embedding = torch.randn(2, 768)
    for grid in ((128, 96), (20, 30)):
        assert controller(embedding, torch.zeros(2, 1, *grid)).layout_logits.shape == (2, 1, *grid)


def rectangle(maps: Tensor, ratios: Tensor) -> Tensor:
    """The layout of a garment that is a rectangle in the body frame."""
    _, a, b = maps[:, FRAME:].unbind(1)
    width, length = (ratios[:, number, None, None] for number in (1, 2))
    return ((b.abs() < width / 2) & (a > 0) & (a < length)).float()[:, None]


def test_coordinates_wave_twice_as_fast_from_octave_to_octave() -> None:
    """At a / T = 1/4 and b / B = 1/2 their phases are 45 and 90 degrees, then 90 and 180, and so on."""
    maps = torch.zeros(1, NUM_BODY_MAPS, 1, 1)
    maps[0, FRAME:, 0, 0] = torch.tensor([1.0, 0.25, 0.5])
    sines_and_cosines = [0.5**0.5, 1, 0.5**0.5, 0, 1, 0, 0, -1, 0, 0, -1, 1, 0, 0, 1, 1]
    assert coordinate_waves(maps).flatten().tolist() == pytest.approx(sines_and_cosines, abs=1e-5)
    maps[0, FRAME] = 0
    assert not coordinate_waves(maps).any(), "the frame is unknown"


@torch.no_grad()
def test_edges_change_sign_where_the_embedding_puts_them() -> None:
    edges = SizeEdges(embedding_dim=1)
    edges.place.weight.zero_()
    edges.place.bias.copy_(torch.tensor([1.0, 1.5, 0.75]))
    maps = body_maps(keypoints(1), (64, 48), LATENT_HW)
    _, a, b = maps[:, FRAME:].unbind(1)
    within = edges(torch.ones(1, 1), maps)[0] > 0
    assert torch.equal(within, torch.stack([2 * b.abs() < 1.0, 2 * b.abs() < 1.5, a < 0.75], dim=1)[0])


def test_the_full_controller_learns_to_draw_what_is_asked() -> None:
    torch.manual_seed(0)
    encoder, controller = SizeEncoder(3), SizeController(width=16)
    weights = [*encoder.parameters(), *controller.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=4e-3)
    ratios = torch.cartesian_prod(
        torch.tensor([1.0]), torch.tensor([0.8, 1.2, 1.6]), torch.tensor([0.5, 1.0])
    )
    maps = body_maps(keypoints(len(ratios)), (64, 48), LATENT_HW)
    target = rectangle(maps, ratios)
    for _ in range(150):
        logits = controller(encoder(ratios), maps).layout_logits
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(logits, target).backward()
        optimizer.step()
    drawn = controller(encoder(ratios), maps).layout_logits > 0
    overlap = (drawn & (target > 0)).sum() / (drawn | (target > 0)).sum()
    assert overlap.item() == pytest.approx(1.0, abs=0.03)
