"""The size acts on the frozen base only through what the adapter has learned."""

import json
from dataclasses import replace
from itertools import product
from operator import itemgetter
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.testing import assert_close

from model.adapter.adapter import PARTS, SizeAdapter
from model.adapter.body_maps import body_maps
from model.bases.conditions import SizeCondition
from model.bases.sdxl.conditioning import SdxlConditioning
from model.bases.sdxl.networks import SdxlBase, garment_pass, predict_noise
from model.bases.sdxl.unet import sites_of
from model.bases.tiny.networks import build_tiny_base
from tests.model.conftest import BATCH, LATENT_HW, PRESET, jolt, keypoints, photos
from tests.sizes import MEANINGS

NAN = float("nan")
RATIOS = torch.tensor([[1.0, 1.2, NAN], [NAN, 0.9, 1.1]])
TIMESTEPS = torch.tensor([400, 700])
KINDS = list(product(("simple", "hybrid"), ("simple", "full")))


def maps(batch: int = BATCH) -> Tensor:
    return body_maps(keypoints(batch), (PRESET.image_height, PRESET.image_width), LATENT_HW)


def fresh(base: SdxlBase, **choices: object) -> SizeAdapter:
    torch.manual_seed(0)
    adapter = SizeAdapter.for_sites(base.sites(), MEANINGS, **choices)
    adapter.attach(base.sites())
    return adapter


def predict(
    base: SdxlBase, noise: Tensor, conditioning: SdxlConditioning, size: SizeCondition | None
) -> Tensor:
    tokens = garment_pass(base, conditioning, TIMESTEPS)
    return predict_noise(base.tryon_unet, noise, TIMESTEPS, conditioning, tokens, size)


@torch.no_grad()
@pytest.mark.parametrize(("encoder", "controller"), KINDS)
def test_a_fresh_adapter_changes_no_bit(
    shared_base: SdxlBase, noise: Tensor, conditioning: SdxlConditioning, encoder: str, controller: str
) -> None:
    adapter = fresh(shared_base, encoder=encoder, controller=controller)
    features = conditioning.image_tokens.mean(1)
    size = adapter(RATIOS, maps(), garment_features=features)
    alone = predict(shared_base, noise, conditioning, None)
    assert torch.equal(predict(shared_base, noise, conditioning, size), alone)

    size = jolt(adapter)(RATIOS, maps(), garment_features=features)
    assert not torch.allclose(predict(shared_base, noise, conditioning, size), alone, atol=1e-2)
    assert torch.equal(predict(shared_base, noise, conditioning, size.scaled(0.0)), alone)


@torch.no_grad()
def test_a_fresh_adapter_changes_no_bit_of_sdxls_blocks() -> None:
    preset = replace(PRESET, layers_per_block=2, transformer_layers=(1, 2, 10))
    base = build_tiny_base(preset, seed=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        noise = torch.randn(BATCH, 4, *LATENT_HW)
    conditioning = base.told(photos())
    adapter = fresh(base)
    alone = predict(base, noise, conditioning, None)
    assert torch.equal(predict(base, noise, conditioning, adapter(RATIOS, maps())), alone)
    moved = jolt(adapter)(RATIOS, maps())
    assert not torch.allclose(predict(base, noise, conditioning, moved), alone, atol=1e-2)
    assert torch.equal(predict(base, noise, conditioning, moved.scaled(0.0)), alone)


@torch.no_grad()
@pytest.mark.parametrize("part", PARTS)
def test_each_part_acts_on_its_own(
    shared_base: SdxlBase, noise: Tensor, conditioning: SdxlConditioning, part: str
) -> None:
    size = jolt(fresh(shared_base, parts=(part,)))(RATIOS, maps())
    given = {name for name in ("tokens", "time", "residuals") if getattr(size, name) is not None}
    assert given == {"residuals" if part == "map" else part}
    alone = predict(shared_base, noise, conditioning, None)
    assert not torch.allclose(predict(shared_base, noise, conditioning, size), alone, atol=1e-3)


def test_an_unknown_part_is_named(shared_base: SdxlBase) -> None:
    with pytest.raises(ValueError, match=r"parts must be among .* got \['colour'\]"):
        fresh(shared_base, parts=("time", "colour"))


@pytest.mark.parametrize(("encoder", "controller"), KINDS)
def test_every_tensor_has_a_gradient_within_three_steps(
    shared_base: SdxlBase, noise: Tensor, conditioning: SdxlConditioning, encoder: str, controller: str
) -> None:
    adapter = fresh(shared_base, encoder=encoder, controller=controller)
    optimizer = torch.optim.SGD(adapter.parameters(), lr=0.1)
    seen: set[str] = set()
    for step in range(3):
        features = conditioning.image_tokens.mean(1)
        size = adapter(RATIOS, maps(), garment_features=features, fit_labels=torch.tensor([step, -1]))
        optimizer.zero_grad()
        predict(shared_base, noise, conditioning, size).square().mean().backward()
        seen |= {name for name, w in adapter.named_parameters() if w.grad is not None and w.grad.abs().any()}
        optimizer.step()
    assert seen == {name for name, _ in adapter.named_parameters()}


def test_training_leaves_the_base_as_it_was(
    base: SdxlBase, noise: Tensor, conditioning: SdxlConditioning
) -> None:
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    adapter = fresh(base.requires_grad_(False))
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=0.1)
    predict(base, noise, conditioning, adapter(RATIOS, maps())).square().mean().backward()
    optimizer.step()
    assert base.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.state_dict().items())


@torch.no_grad()
@pytest.mark.parametrize("ratio", range(3))
def test_a_ratio_changes_only_its_row(
    shared_base: SdxlBase, noise: Tensor, conditioning: SdxlConditioning, ratio: int
) -> None:
    adapter = jolt(fresh(shared_base))
    other = RATIOS.clone()
    other[1, ratio] = 1.5
    first = predict(shared_base, noise, conditioning, adapter(RATIOS, maps()))
    second = predict(shared_base, noise, conditioning, adapter(other, maps()))
    assert_close(second[0], first[0], rtol=0, atol=1e-5)
    assert not torch.allclose(second[1], first[1], atol=1e-3)


@torch.no_grad()
def test_a_row_does_not_depend_on_the_rest_of_the_batch(
    shared_base: SdxlBase, noise: Tensor, conditioning: SdxlConditioning
) -> None:
    adapter = jolt(fresh(shared_base))
    together = predict(shared_base, noise, conditioning, adapter(RATIOS, maps()))
    for row in range(BATCH):
        only = slice(row, row + 1)
        part = conditioning.map(itemgetter(only))
        tokens = garment_pass(shared_base, part, TIMESTEPS[only])
        size = adapter(RATIOS[only], maps(1))
        alone = predict_noise(shared_base.tryon_unet, noise[only], TIMESTEPS[only], part, tokens, size)
        assert_close(alone, together[only], rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("controller", ["simple", "full"])
@pytest.mark.parametrize("latent_hw", [(16, 12), (32, 24), (20, 28)])
def test_any_latent_size(shared_base: SdxlBase, controller: str, latent_hw: tuple[int, int]) -> None:
    adapter = fresh(shared_base, controller=controller)
    size = adapter(RATIOS, body_maps(keypoints(), (64, 48), latent_hw))
    assert size.layout_logits.shape == (BATCH, 1, *latent_hw)
    assert size.residuals[0].shape[2:] == tuple(-(-side // 2) for side in latent_hw)


@torch.no_grad()
@pytest.mark.parametrize("controller", ["simple", "full"])
def test_an_odd_grid_runs_through_the_unet(
    shared_base: SdxlBase, conditioning: SdxlConditioning, controller: str
) -> None:
    grid = (17, 11)
    names = ("mask", "masked_latents", "densepose_latents", "garment_latents", "laid_garment")
    resized = {name: F.interpolate(getattr(conditioning, name), grid) for name in names}
    odd, noise = replace(conditioning, **resized), torch.ones(BATCH, 4, *grid)
    adapter = jolt(fresh(shared_base, controller=controller))
    size = adapter(RATIOS, body_maps(keypoints(), (64, 48), grid))
    assert predict(shared_base, noise, odd, size).shape[2:] == grid


@torch.no_grad()
@pytest.mark.parametrize(("encoder", "controller"), KINDS)
def test_a_saved_adapter_comes_back(
    shared_base: SdxlBase, tmp_path: Path, encoder: str, controller: str
) -> None:
    adapter = jolt(fresh(shared_base, encoder=encoder, controller=controller, parts=("tokens", "map")))
    adapter.save_pretrained(tmp_path, provenance={"seed": 1})
    loaded = SizeAdapter.from_pretrained(tmp_path)
    assert loaded.config == adapter.config
    features = torch.randn(len(RATIOS), adapter.config.sites.garment_dim)
    ours, theirs = (one(RATIOS, maps(), garment_features=features) for one in (adapter, loaded))
    assert_close(theirs.residuals, ours.residuals)
    assert_close(theirs.tokens, ours.tokens)


def test_another_unet_is_refused(shared_base: SdxlBase) -> None:
    adapter = fresh(shared_base)
    with pytest.raises(ValueError, match=r"made for another base.*tokens"):
        adapter.attach(sites_of(UNet2DConditionModel(**PRESET.unet_config(13) | {"layers_per_block": 2})))


def test_a_config_of_something_else_is_refused(shared_base: SdxlBase, tmp_path: Path) -> None:
    fresh(shared_base).save_pretrained(tmp_path)
    file = tmp_path / "size_adapter.json"
    file.write_text(file.read_text().replace('"num_tokens"', '"tokens"'))
    with pytest.raises(ValueError, match=r"size_adapter\.json is not the config of a size adapter.*'tokens'"):
        SizeAdapter.from_pretrained(tmp_path)


@torch.no_grad()
@pytest.mark.parametrize("encoder", ["simple", "hybrid"])
def test_an_axis_that_came_later_changes_nothing(
    shared_base: SdxlBase, encoder: str, caplog: pytest.LogCaptureFixture
) -> None:
    old = jolt(fresh(shared_base, encoder=encoder))
    assert old.for_sizes(MEANINGS, ["upper"]) is old
    garment = torch.ones(2, old.config.sites.garment_dim)
    new = old.for_sizes({"sleeve": "covered arm over arm"} | dict(reversed(MEANINGS.items())), ["upper"])
    assert new.config.axis_names == ("sleeve", "length", "width", "shoulder")
    assert "knows no sleeve" in caplog.text
    before = old(RATIOS, maps(), garment_features=garment).embedding
    for sleeve in (NAN, 0.4):
        ratios = torch.cat([torch.full((2, 1), sleeve), RATIOS.flip(1)], dim=1)
        assert_close(new(ratios, maps(), garment_features=garment).embedding, before)


@torch.no_grad()
@pytest.mark.parametrize("encoder", ["simple", "hybrid"])
def test_an_adapter_for_uppers_alone_serves_beside_other_categories(
    shared_base: SdxlBase, tmp_path: Path, encoder: str
) -> None:
    """As it was saved when there was nothing else: without a word of categories, and with three axes."""
    old = jolt(fresh(shared_base, encoder=encoder))
    old.save_pretrained(tmp_path)
    file = tmp_path / "size_adapter.json"
    config = json.loads(file.read_text())
    del config["categories"], config["reads_mask"]
    file.write_text(json.dumps(config))
    new = SizeAdapter.from_pretrained(tmp_path).for_sizes(
        MEANINGS | {"waist": ""}, ["upper", "lower", "dress"]
    )
    assert new.config.axis_names == (*MEANINGS, "waist")
    garment = torch.ones(2, old.config.sites.garment_dim)
    before = old(RATIOS, maps(), garment_features=garment).embedding
    ratios = torch.cat([RATIOS, torch.full((2, 1), NAN)], dim=1)
    for worn in (["upper", "upper"], ["dress", "lower"]):  # of these it knows nothing yet
        assert_close(new(ratios, maps(), categories=worn, garment_features=garment).embedding, before)
    new.encoder.category[1] += 1
    moved = new(ratios, maps(), categories=["dress", "lower"], garment_features=garment).embedding
    assert not torch.allclose(moved[0], before[0])
    assert_close(moved[1], before[1])
    turned = new.for_sizes(MEANINGS | {"waist": ""}, ["dress", "upper", "lower"])
    assert_close(
        turned(ratios, maps(), categories=["dress", "lower"], garment_features=garment).embedding, moved
    )
    with pytest.raises(ValueError, match="is asked for sock, lower, but the categories it knows are dress"):
        turned(ratios, maps(), categories=["sock", "lower"], garment_features=garment)


@torch.no_grad()
def test_the_mask_is_read_by_an_adapter_that_is_made_for_it(shared_base: SdxlBase, tmp_path: Path) -> None:
    reading, blind = (jolt(fresh(shared_base, reads_mask=reads)) for reads in (True, False))
    strip = torch.ones(BATCH, 1, *LATENT_HW)
    strip[:, :, :3, 2] = 0  # cells that are kept
    for adapter, follows in ((reading, True), (blind, False)):
        whole, kept = adapter(RATIOS, maps()), adapter(RATIOS, maps(), repainted=strip)
        told_whole = adapter(RATIOS, maps(), repainted=torch.ones_like(strip))
        assert torch.equal(told_whole.layout_logits, whole.layout_logits)
        assert torch.equal(whole.layout_logits, kept.layout_logits) != follows
        adapter.save_pretrained(tmp_path)
        again = SizeAdapter.from_pretrained(tmp_path).for_sizes(MEANINGS, ["upper", "lower"])
        assert torch.equal(again(RATIOS, maps(), repainted=strip).layout_logits, kept.layout_logits)


def test_axes_in_another_order_are_no_news(shared_base: SdxlBase, caplog: pytest.LogCaptureFixture) -> None:
    adapter = SizeAdapter.for_sites(shared_base.sites(), MEANINGS)
    turned = adapter.for_sizes(dict(reversed(MEANINGS.items())), ["upper"])
    assert turned.config.axis_names == tuple(reversed(MEANINGS))
    assert not caplog.records


def test_an_axis_that_is_gone_is_named(shared_base: SdxlBase) -> None:
    with pytest.raises(ValueError, match="reads shoulder, width, length, but the sizes are shoulder, waist"):
        fresh(shared_base).for_sizes({"shoulder": "", "waist": ""}, ["upper"])


def test_saved_weights_say_their_axes(shared_base: SdxlBase, tmp_path: Path) -> None:
    fresh(shared_base).save_pretrained(tmp_path)
    assert SizeAdapter.from_pretrained(tmp_path).config.axes == tuple(MEANINGS.items())
    assert f"- length: {MEANINGS['length']}" in (tmp_path / "README.md").read_text()
