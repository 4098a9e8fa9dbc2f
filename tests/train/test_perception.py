"""What the judges of size are trained on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.adapter.body_maps import NUM_BODY_MAPS
from model.bases.tiny.networks import build_tiny_base
from model.judges.critic import SizeCritic
from model.judges.segmenter import Segmenter
from shards.codec import WHOLE
from tests.sizes import MEANINGS
from tests.train.small_try_on import PRESET, batch
from train import perception
from train.keyed_random import KeyedRandom
from train.perception import CriticTask, SegmenterTask, dyed
from train.sample_encoder import SampleEncoder


def test_a_dye_stays_on_the_garment_and_takes_about_half_of_the_pictures() -> None:
    pictures = torch.zeros(64, 3, 8, 8)
    garment = torch.zeros(64, 1, 8, 8)
    garment[..., 3:6, 3:6] = 1
    cloths = torch.zeros(64, 3, 8, 8)
    worn, alone = dyed(pictures, garment, cloths, KeyedRandom(0, np.arange(64)))
    changed = (worn != 0).any(dim=1)
    assert not changed[:, [0, 1, 7]].any()  # beyond the softened edge of one pixel
    assert not changed[..., [0, 1, 7]].any()
    assert 20 <= int(changed.any(dim=(1, 2)).sum()) <= 44
    assert changed[:, 4, 4].sum() == changed.any(dim=(1, 2)).sum()
    assert torch.equal(alone[..., 4, 4], worn[..., 4, 4]), "the photo of the garment has the worn one's dye"


def test_the_segmenter_is_told_the_garments_colours_unless_they_are_kept_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    task = SegmenterTask(Segmenter(widths=(8, 16)), SampleEncoder(build_tiny_base(PRESET, seed=0)))
    one = batch(0, 4)
    other = replace(one, cloth=255 - one.cloth)

    def losses() -> list[float]:
        return [float(task(b, KeyedRandom(0, b.position))["loss"].detach()) for b in (one, other)]

    told = losses()
    assert told[0] != pytest.approx(told[1], abs=1e-6)
    monkeypatch.setattr(perception, "UNKNOWN_SHARE", 1.0)
    untold = losses()
    assert untold[0] == untold[1]


def test_the_segmenter_reads_a_pixel_that_is_half_covered_as_one_half() -> None:
    """Then nothing draws it either way, as it does where the garment covers all of it."""
    segmenter = Segmenter(widths=(8, 16))
    torch.nn.init.zeros_(segmenter.head.weight)
    torch.nn.init.zeros_(segmenter.head.bias)  # one half everywhere
    task = SegmenterTask(segmenter, SampleEncoder(build_tiny_base(PRESET, seed=0)))
    drawn = {}
    for level in (WHOLE // 2, WHOLE):
        one = batch(0, 4)
        one = replace(one, garment_cover=np.full_like(one.garment_cover, level))
        segmenter.zero_grad()
        task(one, KeyedRandom(0, one.position))["loss"].backward()
        assert segmenter.head.bias.grad is not None
        drawn[level] = float(segmenter.head.bias.grad.abs().max())
    assert drawn[WHOLE // 2] == pytest.approx(0, abs=1e-6)
    assert drawn[WHOLE] > 0.1


def test_the_critic_is_asked_for_the_share_of_each_cell_that_a_garment_covers() -> None:
    """A garment that covers a bit less than half of its pixels isn't none: a seam of the waist is as thin."""
    base = build_tiny_base(PRESET, seed=0)
    critic = SizeCritic(base.latent_channels, NUM_BODY_MAPS, list(MEANINGS), ["upper"], width=8)
    torch.nn.init.zeros_(critic.coverage.weight)
    torch.nn.init.zeros_(critic.coverage.bias)  # one half everywhere
    drawn = {}
    unknown = replace(batch(0, 4), ratios=np.full((4, 3), np.nan, np.float32))
    for level in (WHOLE // 2, WHOLE // 4):
        one = replace(unknown, garment_cover=np.full_like(unknown.garment_cover, level))
        critic.zero_grad()
        CriticTask(critic, SampleEncoder(base))(one, KeyedRandom(0, one.position))["loss"].backward()
        assert critic.coverage.bias.grad is not None
        drawn[level] = float(critic.coverage.bias.grad.abs().max())
    assert drawn[WHOLE // 2] == pytest.approx(0, abs=1e-6)
    assert drawn[WHOLE // 4] > 0.01


def test_the_critic_learns_in_full_precision_beside_a_base_in_half() -> None:
    base = build_tiny_base(PRESET, seed=0).requires_grad_(False).to(torch.bfloat16)
    critic = SizeCritic(base.latent_channels, NUM_BODY_MAPS, list(MEANINGS), ["upper"], width=8)
    CriticTask(critic, SampleEncoder(base))(batch(0, 4), KeyedRandom(0, np.arange(4)))["loss"].backward()
    assert all(weight.grad is not None for weight in critic.parameters())
