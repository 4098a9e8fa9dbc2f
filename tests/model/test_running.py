"""The networks run under gradient checkpointing, channels-last memory and torch.compile."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import body_maps
from model.bases.sdxl.conditioning import SdxlConditioning
from model.bases.sdxl.networks import SdxlBase, garment_pass, predict_noise
from model.bases.tiny.networks import build_tiny_base
from tests.model.conftest import BATCH, LATENT_HW, PRESET, jolt, keypoints, photos
from tests.sizes import MEANINGS

TIMESTEPS = torch.tensor([200, 800])


def adapter_for(base: SdxlBase) -> SizeAdapter:
    torch.manual_seed(0)
    return jolt(SizeAdapter.for_sites(base.sites(), MEANINGS))


def predict(base: SdxlBase, adapter: SizeAdapter, noise: Tensor, conditioning: SdxlConditioning) -> Tensor:
    tokens = garment_pass(base, conditioning, TIMESTEPS)
    maps = body_maps(keypoints(), (64, 48), LATENT_HW)
    size = adapter(torch.tensor([[1.0, 1.3, 0.9]] * BATCH), maps)
    return predict_noise(base.tryon_unet, noise, TIMESTEPS, conditioning, tokens, size)


def gradients(
    base: SdxlBase, noise: Tensor, conditioning: SdxlConditioning, *, frozen: bool
) -> dict[str, Tensor | None]:
    """Return the gradients of the try-on UNet and of an adapter, the garment UNet frozen."""
    base.requires_grad_(False)
    base.tryon_unet.train().requires_grad_(not frozen)
    adapter = adapter_for(base)
    predict(base, adapter, noise, conditioning).square().mean().backward()
    weights = {**dict(base.tryon_unet.named_parameters()), **dict(adapter.named_parameters())}
    found = {name: weight.grad for name, weight in weights.items()}
    base.tryon_unet.zero_grad()
    return found


@pytest.mark.parametrize("frozen", [True, False])
def test_gradient_checkpointing_changes_no_gradient(
    base: SdxlBase, noise: Tensor, conditioning: SdxlConditioning, frozen: bool
) -> None:
    plain = gradients(base, noise, conditioning, frozen=frozen)
    base.tryon_unet.enable_gradient_checkpointing()
    again = gradients(base, noise, conditioning, frozen=frozen)
    assert_close(again, plain, allow_subclasses=True)
    assert any(gradient is not None for gradient in plain.values())


@torch.no_grad()
def test_channels_last_gives_the_same_numbers(
    base: SdxlBase, noise: Tensor, conditioning: SdxlConditioning
) -> None:
    adapter = adapter_for(base)
    expected = predict(base, adapter, noise, conditioning)
    base.to(memory_format=torch.channels_last)
    adapter.to(memory_format=torch.channels_last)
    actual = predict(base, adapter, noise.to(memory_format=torch.channels_last), conditioning)
    assert_close(actual, expected, rtol=0, atol=1e-4)


@torch.no_grad()
def test_half_precision_runs_throughout(
    base: SdxlBase, noise: Tensor, conditioning: SdxlConditioning
) -> None:
    kind = torch.bfloat16
    adapter = adapter_for(base)
    expected = predict(base, adapter, noise, conditioning)
    actual = predict(base.to(kind), adapter.to(kind), noise.to(kind), conditioning.to(kind))
    assert actual.dtype == kind
    assert_close(actual.float(), expected, rtol=0, atol=0.1 * expected.abs().max().item())


@torch.no_grad()
def test_an_adapter_in_full_precision_steers_a_base_in_half(
    base: SdxlBase, noise: Tensor, conditioning: SdxlConditioning
) -> None:
    kind = torch.bfloat16
    adapter = adapter_for(base)
    actual = predict(base.to(kind), adapter, noise.to(kind), conditioning.to(kind))
    assert actual.dtype == kind


@pytest.mark.slow
@torch.no_grad()
def test_a_compiled_unet_gives_the_same_numbers(noise: Tensor) -> None:
    """Graph capture without code generation: generating kernels takes a minute and more on two cores."""
    base = build_tiny_base(replace(PRESET, unet_channels=(8, 16), transformer_layers=(1, 1)), seed=0)
    conditioning = base.told(photos())
    adapter = adapter_for(base)
    expected = predict(base, adapter, noise, conditioning)
    base.tryon_unet.compile(backend="aot_eager")
    assert_close(predict(base, adapter, noise, conditioning), expected, rtol=0, atol=1e-5)
