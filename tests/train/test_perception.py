"""What the judges of size are trained on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from model.adapter.body_maps import NUM_BODY_MAPS
from model.bases.tiny.networks import build_tiny_base
from model.judges.critic import SizeCritic
from model.judges.segmenter import Segmenter
from shards.codec import WHOLE
from tests.sizes import MEANINGS
from tests.train.small_try_on import PRESET, batch
from train import perception
from train.keyed_random import KeyedRandom
from train.perception import (
    BESIDE,
    CAMOUFLAGE_SPREAD,
    CAMOUFLAGED_SHARE,
    DYED_SHARE,
    CriticTask,
    SegmenterTask,
    blurred,
    colours_beside,
    dyed,
    place_within,
)
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


def test_some_garments_are_dyed_nearly_in_the_colour_of_what_lies_beside_them() -> None:
    """White between a red wall and blue trousers becomes nearly red or blue, not green as the floor below."""
    red, blue = torch.tensor([0.6, -0.6, -0.6]), torch.tensor([-0.6, -0.6, 0.6])
    pictures = red[:, None, None].repeat(400, 1, 32, 16)
    pictures[:, :, 10:] = blue[:, None, None]
    pictures[:, :, 10 + BESIDE :] = torch.tensor([-0.6, 0.6, -0.6])[:, None, None]
    garment = torch.zeros(400, 1, 32, 16)
    garment[:, :, 4:10, 5:11] = 1
    pictures = torch.where(garment > 0, 0.9, pictures)
    cloths = torch.full((400, 3, 16, 16), 0.9)
    random = KeyedRandom(0, np.arange(400))
    found = colours_beside(pictures, garment, random)
    nearest = torch.stack([(found - colour).abs().amax(dim=1) for colour in (red, blue)]).amin(dim=0)
    assert float(nearest.max()) < 4 * CAMOUFLAGE_SPREAD
    worn, alone = dyed(pictures, garment, cloths, random)
    inside = worn[:, :, 7, 8]
    assert torch.equal(inside, alone[:, :, 7, 8])
    off = [(inside - colour).abs().amax(dim=1) < 2.5 * CAMOUFLAGE_SPREAD for colour in (red, blue)]
    wanted = 400 * DYED_SHARE * CAMOUFLAGED_SHARE
    assert 0.7 * wanted < int((off[0] | off[1]).sum()) < 1.4 * wanted
    assert min(int(of.sum()) for of in off) > 10, "either neighbour is met"


def test_each_place_within_a_mask_is_as_likely_as_the_others() -> None:
    """Of four set places the first is met below a quarter, the last from three quarters on."""
    mask = torch.tensor([0, 1, 0, 1, 1, 0, 1, 0], dtype=torch.bool)
    shares = torch.tensor([0.0, 0.249, 0.25, 0.5, 0.75, 1 - 2**-24])
    assert place_within(mask.expand(6, -1), shares).tolist() == [1, 1, 3, 4, 6, 6]
    evenly = (torch.arange(400) + 0.5) / 400
    assert place_within(mask.expand(400, -1), evenly).bincount().tolist() == [0, 100, 0, 100, 100, 0, 100]
    assert place_within(torch.zeros(1, 8, dtype=torch.bool), torch.tensor([0.5])).tolist() == [7]


def test_half_of_the_pictures_are_blurred_by_as_much_as_their_own_gaussian() -> None:
    """An edge between -1 and 1 stays where it is; a flat picture, and a sharp one, keep every pixel."""
    edge = torch.full((200, 3, 20, 20), -1.0)
    edge[..., 10:] = 1
    seen = blurred(edge, KeyedRandom(0, np.arange(200)))
    assert_close(seen + seen.flip(-1), torch.zeros_like(seen), rtol=0, atol=1e-5)
    assert_close(seen[..., :5], edge[..., :5], rtol=0, atol=1e-3)  # 5 px off nothing has changed
    beside = seen[:, 0, 5, 10]
    assert 80 <= int((beside < 1).sum()) <= 120
    # of a Gaussian as wide as the widest allowed, 37 % of the weight lies in the other half but the middle
    assert 0.22 < float(beside.min()) < 0.35
    flat = torch.full((20, 3, 9, 9), 0.25)
    assert_close(blurred(flat, KeyedRandom(0, np.arange(20))), flat)


def test_the_segmenter_is_asked_for_the_true_garment_of_pictures_that_are_made_worse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blur and noise change what it sees, never what it should answer."""
    seen, asked = [], []
    task = SegmenterTask(Segmenter(widths=(8, 16)), SampleEncoder(build_tiny_base(PRESET, seed=0)))
    task.segmenter.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    loss = perception.layout_loss
    monkeypatch.setattr(perception, "layout_loss", lambda *pair: asked.append(pair[1]) or loss(*pair))
    one = batch(0, 4)
    for share, noise in ((0.0, 0.0), (0.0, 0.3), (1.0, 0.3)):
        monkeypatch.setattr(perception, "BLURRED_SHARE", share)
        monkeypatch.setattr(perception, "LARGEST_DECODED_NOISE", noise)
        task(one, KeyedRandom(0, one.position))
    clean, noisy, worse = seen
    assert not torch.equal(noisy[:2], clean[:2]), "reconstructions have noise"
    assert torch.equal(noisy[2:], clean[2:]), "photos have none"
    assert (worse != noisy).any(dim=(1, 2, 3)).all()
    true = torch.from_numpy(one.garment_cover)[:, None] / WHOLE
    for garment in asked:
        assert_close(garment, true.float())


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
