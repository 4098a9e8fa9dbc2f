"""The sdxl networks on the meta device: shapes and counts of operations without memory or time."""

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from model.image_tokens import Resampler, install_tryon_attention
from model.presets import TRYON_CHANNELS, SdxlPreset
from model.unet import open_time_embedding

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


def full_size_inputs(garment_tokens: dict[str, Tensor], **attention: object) -> dict[str, object]:
    return {
        "sample": meta(1, TRYON_CHANNELS, *LATENT_HW),
        "timestep": torch.zeros((), device="meta"),
        "encoder_hidden_states": meta(*TEXT),
        "class_labels": meta(1, 1280),
        "added_cond_kwargs": {"text_embeds": meta(1, 1280), "time_ids": meta(1, 6)},
        "cross_attention_kwargs": {
            "garment_tokens": garment_tokens,
            "image_tokens": meta(1, 16, 2048),
            **attention,
        },
    }


def fp16_megabytes(module: nn.Module) -> float:
    return sum(tensor.numel() for tensor in module.state_dict().values()) * 2 / 1e6
