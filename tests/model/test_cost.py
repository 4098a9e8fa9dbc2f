"""What the networks cost at full size, counted on the meta device, and that cheaper means equal."""

from collections.abc import Callable

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import NUM_BODY_MAPS
from model.bases.sdxl.conditioning import SdxlConditioning
from model.bases.sdxl.garment_attention import SELF_ATTENTION, garment_tokens_of
from model.bases.sdxl.networks import SdxlBase, garment_pass, predict_noise
from model.bases.sdxl.presets import LATENT_CHANNELS
from model.bases.sdxl.unet import sites_of
from tests.model.full_size import LATENT_HW, TEXT, fp16_megabytes, full_size_step, full_size_unet, meta
from tests.model.reference import use_concatenate_and_slice
from tests.sizes import MEANINGS

TIMESTEP = torch.tensor(500)


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    return full_size_unet()


@pytest.fixture(scope="module")
def tokens() -> dict[str, Tensor]:
    garment_unet = full_size_unet(LATENT_CHANNELS)
    latents = meta(1, LATENT_CHANNELS, *LATENT_HW)
    with torch.no_grad():
        return garment_tokens_of(garment_unet, latents, torch.zeros((), device="meta"), meta(*TEXT))


@pytest.fixture(scope="module")
def flops(unet: UNet2DConditionModel, tokens: dict[str, Tensor]) -> int:
    return flops_of(lambda: full_size_step(unet, tokens))


@torch.no_grad()
def flops_of(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def test_the_full_size_adapter_is_small_and_cheap(
    unet: UNet2DConditionModel, tokens: dict[str, Tensor], flops: int
) -> None:
    with torch.device("meta"):
        adapter = SizeAdapter.for_sites(sites_of(unet), MEANINGS, encoder="hybrid")
    assert fp16_megabytes(adapter) <= 25

    def step() -> None:
        size = adapter(meta(1, 3), meta(1, NUM_BODY_MAPS, *LATENT_HW), garment_features=meta(1, 2048))
        full_size_step(unet, tokens, size)

    assert flops_of(step) <= 1.05 * flops


def test_the_full_size_unet_costs_at_most_84_percent_of_the_straightforward_form(
    unet: UNet2DConditionModel, tokens: dict[str, Tensor], flops: int
) -> None:
    assert len(tokens) == sum(name.endswith(SELF_ATTENTION) for name, _ in unet.named_modules()) == 70
    use_concatenate_and_slice(unet)  # the fixture's UNet is not used after this test
    assert flops <= 0.84 * flops_of(lambda: full_size_step(unet, tokens))


def test_the_garment_unet_stops_at_its_last_attention(
    shared_base: SdxlBase, conditioning: SdxlConditioning
) -> None:
    ran: list[str] = []
    unet = shared_base.garment_unet
    hooks = [
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
        for name, module in unet.named_modules()
    ]
    tokens = garment_pass(shared_base, conditioning, TIMESTEP)
    for hook in hooks:
        hook.remove()
    last = list(tokens)[-1]
    assert last.startswith("up_blocks.1.attentions")
    assert last not in ran
    assert not {"up_blocks.2", "conv_out", f"{last.removesuffix('attn1')}ff"} & set(ran)


@torch.no_grad()
def test_equals_the_straightforward_form(
    base: SdxlBase, noise: Tensor, conditioning: SdxlConditioning
) -> None:
    tokens = garment_pass(base, conditioning, TIMESTEP)
    ours = predict_noise(base.tryon_unet, noise, TIMESTEP, conditioning, tokens)
    use_concatenate_and_slice(base.tryon_unet)
    assert_close(
        ours, predict_noise(base.tryon_unet, noise, TIMESTEP, conditioning, tokens), rtol=0, atol=1e-5
    )
