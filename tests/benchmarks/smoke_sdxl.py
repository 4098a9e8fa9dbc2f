"""Real training steps of the adapter on the full-size networks with random weights, on a CPU.

Run: `python -m tests.benchmarks.smoke_sdxl`. Prints one JSON object. The garment UNet is let go before the
try-on UNet is made, so about 12 GiB are needed.
"""

import gc
import json
import resource
import time

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import NUM_BODY_MAPS
from model.bases.conditions import SizeCondition
from model.bases.sdxl.conditioning import SdxlConditioning
from model.bases.sdxl.doctor import garment_unet_of, tryon_unet_of
from model.bases.sdxl.garment_attention import garment_tokens_of
from model.bases.sdxl.networks import predict_noise
from model.bases.sdxl.presets import LATENT_CHANNELS, SdxlPreset
from model.bases.sdxl.unet import sites_of
from tests.sizes import MEANINGS

LATENT_HW = (16, 12)
TEXT = (1, 77, 2048)
POOLED = 1280
CLIP_FEATURES = (1, 257, 1280)
WEIGHT_STD = 0.02
STEPS = 3


def with_random_weights(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Return a UNet from the meta device with frozen random weights; norms start at one."""
    unet = unet.to_empty(device="cpu").requires_grad_(requires_grad=False)
    for name, weight in unet.named_parameters():
        if name.endswith("bias"):
            weight.zero_()
        elif "norm" in name:
            weight.fill_(1.0)
        else:
            weight.normal_(std=WEIGHT_STD)
    return unet


def garment_tokens() -> dict[str, Tensor]:
    """Run a garment UNet once and let it go."""
    unet = with_random_weights(garment_unet_of(SdxlPreset()))
    with torch.no_grad():
        return garment_tokens_of(unet, torch.randn(1, LATENT_CHANNELS, *LATENT_HW), 0, torch.randn(TEXT))


def prediction(
    unet: UNet2DConditionModel, tokens: dict[str, Tensor], size: SizeCondition | None = None
) -> Tensor:
    """Run the try-on UNet on random inputs, the same on every call."""
    torch.manual_seed(1)
    latents = torch.randn(3, LATENT_CHANNELS, *LATENT_HW).chunk(3)
    conditioning = SdxlConditioning(
        mask=torch.ones(1, 1, *LATENT_HW),
        masked_latents=latents[1],
        densepose_latents=latents[2],
        text=torch.randn(TEXT),
        pooled_text=torch.randn(1, POOLED),
        time_ids=torch.full((1, 6), 1024.0),
        image_tokens=unet.encoder_hid_proj(torch.randn(CLIP_FEATURES)),
        garment_latents=latents[1],  # this and the text have been seen: see `tokens`
        garment_text=torch.zeros(TEXT),
    )
    return predict_noise(unet, latents[0], torch.tensor(500), conditioning, tokens, size)


def size_of(adapter: SizeAdapter) -> SizeCondition:
    """Return what the adapter makes of one size."""
    maps = torch.rand(1, NUM_BODY_MAPS, *LATENT_HW, generator=torch.Generator().manual_seed(2))
    return adapter(torch.tensor([[1.0, 1.3, float("nan")]]), maps)


def with_gradient(module: nn.Module) -> set[str]:
    """Return the tensors of a module that have a gradient that is not zero."""
    return {
        name for name, weight in module.named_parameters() if weight.grad is not None and weight.grad.any()
    }


def smoke() -> dict[str, object]:
    """Take a few optimiser steps and return what happened."""
    start = time.monotonic()
    tokens = garment_tokens()
    gc.collect()
    unet = with_random_weights(tryon_unet_of(SdxlPreset())).train()
    unet.enable_gradient_checkpointing()
    adapter = SizeAdapter.for_sites(sites_of(unet), MEANINGS)
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=1e-3)
    made = time.monotonic()

    seen: set[str] = set()
    predictions = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        predictions.append(prediction(unet, tokens, size_of(adapter)))
        predictions[-1].square().mean().backward()
        optimizer.step()
        seen |= with_gradient(adapter)
    stepped = time.monotonic()
    with torch.no_grad():
        alone = prediction(unet, tokens)
        trained = size_of(adapter)
        after, off = (prediction(unet, tokens, size) for size in (trained, trained.scaled(0.0)))
    return {
        "tryon_weights": sum(weight.numel() for weight in unet.parameters()),
        "adapter_weights": sum(weight.numel() for weight in adapter.parameters()),
        "adapter_tensors": len(list(adapter.parameters())),
        "adapter_tensors_with_gradient": len(seen),
        "base_tensors_with_gradient": len(with_gradient(unet)),
        "finite": bool(after.isfinite().all()),
        "fresh_is_bit_equal_to_the_base": torch.equal(predictions[0], alone),
        "scale_zero_is_bit_equal_to_the_base": torch.equal(off, alone),
        "change_by_the_steps": (after - alone).abs().max().item(),
        "seconds_making": round(made - start, 1),
        "seconds_a_step": round((stepped - made) / STEPS, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


if __name__ == "__main__":
    with torch.random.fork_rng(devices=[]):
        print(json.dumps(smoke(), indent=2))  # noqa: T201
