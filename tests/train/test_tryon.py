"""The try-on task on tiny real networks: what is trained learns, what is frozen stays to the bit."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from model.adapter.adapter import SizeAdapter
from model.bases.sdxl.networks import GARMENT, SdxlBase, garment_pass
from model.bases.tiny.networks import TinyBase, build_tiny_base
from model.params import DrawingOptions
from model.pixels import from_uint8
from model.sampling import SizedDrawer, TryOnInputs
from shards.batch import Batch
from tests.model.conftest import jolt
from tests.sizes import MEANINGS
from tests.train.small_try_on import PRESET, batch, size_task
from train import sample_encoder
from train.keyed_random import KeyedRandom
from train.loop import fit
from train.params import LossParams, OptimisationParams, RuntimeParams
from train.sample_encoder import SampleEncoder
from train.tryon import TryOnTask


class Batches:
    """Consecutive batches, and the cursor."""

    def __init__(self) -> None:
        self.start = 0

    def __iter__(self) -> Iterator[Batch]:
        while True:
            self.start += 4
            yield batch(self.start - 4)

    def state_dict(self) -> dict[str, Any]:
        return {"start": self.start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.start = state["start"]


def digest(module: nn.Module) -> str:
    sha = hashlib.sha256()
    for name, weight in sorted(module.state_dict().items()):
        sha.update(name.encode() + weight.contiguous().numpy().tobytes())
    return sha.hexdigest()


@torch.no_grad()
def test_the_picture_is_compared_where_it_is_drawn() -> None:
    """What the mask keeps is the photo's own in the end, however it is predicted."""
    task, some = size_task(build_tiny_base(PRESET, seed=0)), batch()
    clean = torch.randn(4, PRESET.latent_channels, 8, 8, generator=torch.manual_seed(0))
    wrong = clean.clone()
    wrong[:, :, :1] += 1.0  # rows 0 to 3, of which the mask hides none: it begins at row 8
    cells = torch.from_numpy(some.inpaint_mask[:, None, ::4, ::4]).float()
    assert task.picture_error(some, cells, wrong, clean) == 0
    stored = replace(some, inpaint_mask=0 * some.inpaint_mask, encodings={"latents": clean.numpy()})
    assert task.picture_error(stored, cells, wrong, clean) == 0
    some.inpaint_mask[:] = 1
    for one in (some, stored):
        assert task.picture_error(one, torch.ones_like(cells), wrong, clean) > 0.01


def test_the_size_stage_changes_the_adapter_and_no_bit_of_the_base(tmp_path: Path) -> None:
    base = build_tiny_base(PRESET, seed=0)
    task = size_task(base)
    assert task.adapter is not None
    assert task.critic is not None
    frozen, fresh = (digest(base), digest(task.critic)), digest(task.adapter)
    fit(
        task,
        Batches(),
        OptimisationParams(steps=3, batch_size=4, learning_rate=1e-3, warmup_steps=0, ema_decay=0),
        RuntimeParams(tracker="none"),
        name="adapter",
        seed=0,
        checkpoint_dir=tmp_path,
        live_dir=tmp_path,
    )
    assert (digest(base), digest(task.critic)) == frozen
    assert digest(task.adapter) != fresh


def test_timesteps_are_drawn_evenly_or_towards_noise_and_never_behind_the_last() -> None:
    base = build_tiny_base(PRESET, seed=0)
    order = KeyedRandom(0, np.arange(20_000))

    def drawn(noise_bias: float) -> torch.Tensor:
        task = TryOnTask(base, SampleEncoder(base), loss=LossParams(noise_bias=noise_bias))
        return task.timesteps(order)

    assert [(drawn(1.0) >= place).float().mean().item() for place in (250, 500, 900)] == pytest.approx(
        [0.75, 0.5, 0.1], abs=1e-3
    )
    biased = drawn(3.0)  # (1 - u)^3 < 0.1 where u > 0.536
    assert (biased >= 900).float().mean().item() == pytest.approx(0.1 ** (1 / 3), abs=1e-3)
    assert biased.max() == 999
    assert biased.min() == 0


def test_the_loss_is_the_weighted_sum_of_its_parts() -> None:
    task = size_task(build_tiny_base(PRESET, seed=0))
    losses = task(batch(), KeyedRandom(0, batch().position))
    weights = {"diffusion": 1.0} | {part: getattr(task.loss, part) for part in ("layout", "size", "coverage")}
    assert losses.keys() == weights.keys() | {"loss"}
    assert_close(losses["loss"].detach(), sum(w * losses[part] for part, w in weights.items()))


@pytest.mark.parametrize(
    ("size", "coverage", "parts"), [(0.0, 0.5, True), (0.5, 0.0, True), (0.0, 0.0, False)]
)
def test_the_critic_looks_while_either_of_its_losses_has_a_weight(
    size: float, coverage: float, parts: bool
) -> None:
    task = size_task(build_tiny_base(PRESET, seed=0))
    task.loss = replace(task.loss, layout=0.0, size=size, coverage=coverage)
    losses = task(batch(), KeyedRandom(0, batch().position))
    assert ({"size", "coverage"} <= losses.keys()) == parts
    weighed = losses["loss"].detach() - losses["diffusion"]
    expected = size * losses["size"] + coverage * losses["coverage"] if parts else torch.tensor(0.0)
    assert_close(weighed, expected, rtol=0, atol=1e-5)
    assert bool(weighed > 0.01) == parts


def test_the_layout_and_what_the_critic_sees_are_compared_with_shares_of_cells() -> None:
    """Of a garment that covers less than half of its pixels a mask of one bit would have nothing."""
    task = size_task(build_tiny_base(PRESET, seed=0))
    whole = batch()
    thin = replace(whole, garment_cover=whole.garment_cover // 3)
    bare = replace(whole, garment_cover=np.zeros_like(whole.garment_cover))
    losses = [task(one, KeyedRandom(0, one.position)) for one in (whole, thin, bare)]
    for part in ("layout", "coverage"):
        assert len({round(float(loss[part].detach()), 4) for loss in losses}) == 3, part


def test_without_an_adapter_there_is_only_the_diffusion_loss() -> None:
    base = build_tiny_base(PRESET, seed=0)
    task = TryOnTask(base, SampleEncoder(base), loss=LossParams(), text_dropout=0.5)
    assert task(batch(), KeyedRandom(0, batch().position)).keys() == {"loss", "diffusion"}


def test_encodings_kept_beforehand_are_those_made_on_the_way(tmp_path: Path) -> None:
    base = build_tiny_base(PRESET, seed=0).requires_grad_(False)
    kept = SampleEncoder(base)
    kept.write([batch()], 4, tmp_path / "encodings.safetensors")
    kept.load(tmp_path / "encodings.safetensors")
    again = SampleEncoder(base)
    again.load(tmp_path / "encodings.safetensors")
    assert_close(kept(batch()), SampleEncoder(base)(batch()))
    assert_close(again(batch()), kept(batch()), rtol=0, atol=0)
    assert_close(again.latents(batch()), again(batch())["latents"], rtol=0, atol=0)


def test_garment_tokens_kept_beforehand_change_no_loss(tmp_path: Path) -> None:
    base = build_tiny_base(PRESET, seed=0)
    task = size_task(base)
    task.encoder.write([batch()], 4, tmp_path / "encodings.safetensors")
    task.encoder.load(tmp_path / "encodings.safetensors")
    before = task(batch(), KeyedRandom(0, batch().position))
    task.encoder.add_lasting()
    layers = {name for name in task.encoder(batch()) if name.startswith(GARMENT)}
    assert len(layers) == sum(name.endswith("attn1") for name, _ in base.garment_unet.named_modules())
    assert_close(task(batch(), KeyedRandom(0, batch().position)), before)


def test_garment_tokens_are_made_where_the_networks_are_and_kept_beside_the_encodings(
    tmp_path: Path,
) -> None:
    encoder = SampleEncoder(build_tiny_base(PRESET, seed=0).requires_grad_(False))
    encoder.write([batch(0, 4), batch(4, 4)], 8, tmp_path / "encodings.safetensors")
    encoder.load(tmp_path / "encodings.safetensors")
    conditioning = encoder.base.condition(encoder(batch(0, 8)))
    expected = garment_pass(encoder.base, conditioning, torch.zeros(8, dtype=torch.long))
    if torch.cuda.is_available():
        encoder.base.to("cuda")
    encoder.add_lasting()
    for layer, seen in expected.items():
        kept = torch.cat([row[GARMENT + layer] for row in encoder.known.values()])
        assert kept.device.type == "cpu"
        assert_close(kept, seen, **({} if torch.cuda.is_available() else {"rtol": 0, "atol": 0}))


def test_garment_tokens_that_are_too_large_cost_one_row_and_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The meta device stands for a GPU: it refuses tensors that were left behind, and computes nothing."""
    encoder = SampleEncoder(build_tiny_base(PRESET, seed=0).requires_grad_(False))
    encoder.write([batch(0, 4), batch(4, 4)], 8, tmp_path / "encodings.safetensors")
    encoder.load(tmp_path / "encodings.safetensors")
    seen: list[tuple[int, str]] = []
    encoder.base.to("meta").garment_unet.register_forward_pre_hook(
        lambda _, args: seen.append((len(args[0]), args[0].device.type))
    )
    monkeypatch.setattr(sample_encoder, "LARGEST_LASTING", 1000)
    with caplog.at_level(logging.INFO):
        encoder.add_lasting()
    assert seen == [(1, "meta")]
    assert "what lasts would take" in caplog.text
    assert not any(name.startswith(GARMENT) for row in encoder.known.values() for name in row)


@pytest.mark.parametrize("follows", [False, True])
def test_a_base_learns_with_the_garment_at_the_time_at_which_it_will_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, follows: bool
) -> None:
    assert SdxlBase.garment_follows_time
    assert not TinyBase.garment_follows_time
    if follows:
        monkeypatch.setattr(TinyBase, "garment_follows_time", True)
    task = size_task(build_tiny_base(PRESET, seed=0))
    task.encoder.write([batch()], 4, tmp_path / "encodings.safetensors")
    task.encoder.load(tmp_path / "encodings.safetensors")
    seen: list[torch.Tensor] = []
    task.base.garment_unet.time_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    random = KeyedRandom(0, batch().position)
    task(batch(), random)
    times = task.timesteps(random)
    assert times.min() > 0
    assert torch.equal(seen.pop(), times if follows else torch.zeros_like(times))
    task.encoder.add_lasting()
    kept = any(name.startswith(GARMENT) for row in task.encoder.known.values() for name in row)
    assert kept != follows, "what follows the time doesn't last"


def test_nothing_frozen_keeps_a_graph() -> None:
    task = size_task(build_tiny_base(PRESET, seed=0))
    encoded = task.encoder(batch())
    conditioning = task.base.condition(encoded)
    garment = garment_pass(task.base, conditioning, torch.zeros(4, dtype=torch.long))
    told = (*vars(conditioning).values(), *garment.values())
    below = [tensor for tensor in told if isinstance(tensor, torch.Tensor)]
    assert not any(tensor.requires_grad for tensor in below)
    task(batch(), KeyedRandom(0, batch().position))["loss"].backward()
    frozen = [weight for weight in task.parameters() if not weight.requires_grad]
    assert frozen
    assert all(weight.grad is None for weight in frozen)


def test_an_adapter_that_reads_the_mask_is_shown_that_of_the_batch() -> None:
    """In training and in drawing: a strip that is kept changes the size map."""
    base, one = build_tiny_base(PRESET, seed=0), batch()
    torch.manual_seed(0)
    adapter = jolt(SizeAdapter.for_sites(base.sites(), MEANINGS, reads_mask=True))
    task = TryOnTask(base, SampleEncoder(base), loss=LossParams(size=0, coverage=0), adapter=adapter)
    one.inpaint_mask[:, 8:28, 4:28] = 1  # whole cells, as stored encodings tell it
    less = replace(one, inpaint_mask=one.inpaint_mask * (np.arange(PRESET.image_width) < 16))
    logits = []
    for some in (one, less):
        told = base.condition(base.encode(some) | {"latents": base.to_latents(from_uint8(some.image))})
        maps = task.body_maps(some, told.mask)
        size = task.size(some, KeyedRandom(0, one.position), told, maps)
        drawer = SizedDrawer(base, adapter, TryOnInputs.of(some), DrawingOptions(num_steps=1), batch_size=4)
        drawn = drawer.condition([0], np.ones((1, 3)), told.map(lambda rows: rows[:1]))
        assert drawn is not None
        logits.append((size.layout_logits, drawn.layout_logits))
        stored = replace(some, inpaint_mask=0 * some.inpaint_mask, encodings={"mask": told.mask.numpy()})
        again = task.size(stored, KeyedRandom(0, one.position), told, maps)
        assert_close(again.layout_logits, size.layout_logits)
    for whole, kept in zip(*logits, strict=True):
        assert not torch.equal(whole, kept)


def test_beside_a_base_in_half_precision_places_and_shares_are_as_exact_as_in_drawing() -> None:
    base, some = build_tiny_base(PRESET, seed=0).to(torch.bfloat16), batch()
    adapter = SizeAdapter.for_sites(base.sites(), MEANINGS, reads_mask=True)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    adapter.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append((args[1], kwargs["repainted"])), with_kwargs=True
    )
    task = TryOnTask(base, SampleEncoder(base), loss=LossParams(size=0, coverage=0), adapter=adapter)
    told = base.told(some)
    maps = task.body_maps(some, told.mask)
    task.size(some, KeyedRandom(0, some.position), told, maps)
    drawer = SizedDrawer(base, adapter, TryOnInputs.of(some), DrawingOptions(), batch_size=4)
    drawer.condition([0, 1, 2, 3], np.ones((4, 3)), told)
    (maps, shares), (maps_drawn, shares_drawn) = seen
    assert maps_drawn.dtype == torch.float32
    assert_close(maps, maps_drawn, rtol=0, atol=0)
    assert_close(shares, shares_drawn, rtol=0, atol=0)
