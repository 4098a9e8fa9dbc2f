"""The sdxl networks on the meta device: shapes and counts of operations without memory or time."""

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from model.bases.conditions import SizeCondition
from model.bases.sdxl.conditioning import SdxlConditioning
from model.bases.sdxl.doctor import garment_unet_of, tryon_unet_of
from model.bases.sdxl.networks import predict_noise
from model.bases.sdxl.presets import LATENT_CHANNELS, TRYON_CHANNELS, SdxlPreset

LATENT_HW = (128, 96)
TEXT = (1, 77, 2048)


def meta(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


def full_size_unet(in_channels: int = TRYON_CHANNELS) -> UNet2DConditionModel:
    preset = SdxlPreset()
    return tryon_unet_of(preset) if in_channels == TRYON_CHANNELS else garment_unet_of(preset)


def full_size_conditioning() -> SdxlConditioning:
    latents = meta(1, LATENT_CHANNELS, *LATENT_HW)
    return SdxlConditioning(
        mask=latents[:, :1],
        masked_latents=latents,
        densepose_latents=latents,
        text=meta(*TEXT),
        pooled_text=meta(1, 1280),
        time_ids=meta(1, 6),
        image_tokens=meta(1, 16, 2048),
        garment_latents=latents,
        garment_text=meta(*TEXT),
    )


def full_size_step(
    unet: UNet2DConditionModel, garment_tokens: dict[str, Tensor], size: SizeCondition | None = None
) -> Tensor:
    latents, timestep = meta(1, LATENT_CHANNELS, *LATENT_HW), torch.zeros((), device="meta")
    return predict_noise(unet, latents, timestep, full_size_conditioning(), garment_tokens, size)


def fp16_megabytes(module: nn.Module) -> float:
    return sum(tensor.numel() for tensor in module.state_dict().values()) * 2 / 1e6
