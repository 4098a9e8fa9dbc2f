"""The sdxl networks on the meta device: shapes and counts of operations without memory or time."""

from types import SimpleNamespace

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from model.bases.base import SizeCondition
from model.bases.sdxl.conditioning import Conditioning
from model.bases.sdxl.image_tokens import Resampler, install_tryon_attention
from model.bases.sdxl.networks import predict_noise
from model.bases.sdxl.presets import LATENT_CHANNELS, TRYON_CHANNELS, SdxlPreset
from model.bases.sdxl.unet import open_time_embedding

LATENT_HW = (128, 96)
TEXT = (1, 77, 2048)


def meta(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


def full_size_unet(in_channels: int = TRYON_CHANNELS) -> UNet2DConditionModel:
    preset = SdxlPreset()
    with torch.device("meta"):
        unet = UNet2DConditionModel(**preset.unet_config(in_channels))
        if in_channels == TRYON_CHANNELS:
            install_tryon_attention(unet)
            unet.encoder_hid_proj = Resampler(**preset.resampler_config())
            open_time_embedding(unet)
        else:
            unet.register_to_config(addition_embed_type=None)
    return unet


def full_size_conditioning() -> Conditioning:
    latents = meta(1, LATENT_CHANNELS, *LATENT_HW)
    return Conditioning(
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
    base = SimpleNamespace(tryon_unet=unet)  # all of a base that a step needs
    latents, timestep = meta(1, LATENT_CHANNELS, *LATENT_HW), torch.zeros((), device="meta")
    return predict_noise(base, latents, timestep, full_size_conditioning(), garment_tokens, size)


def fp16_megabytes(module: nn.Module) -> float:
    return sum(tensor.numel() for tensor in module.state_dict().values()) * 2 / 1e6
