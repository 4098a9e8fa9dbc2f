"""The sizes of IDM-VTON's networks. Imports no torch."""

from dataclasses import dataclass
from typing import Any, Protocol

NUM_IMAGE_TOKENS = 16
"""Tokens that the resampler makes of one garment photo."""

NUM_TIME_IDS = 6
"""Original height and width, crop top and left, target height and width."""

TRYON_CHANNELS = 13
"""Noisy latents 4, mask 1, masked-person latents 4, DensePose latents 4, in this order."""

LATENT_CHANNELS = 4
"""Channels of the autoencoder's latents."""


SDXL_RESAMPLER: dict[str, int] = {
    "dim": 1280,
    "depth": 4,
    "dim_head": 64,
    "heads": 20,
    "num_queries": NUM_IMAGE_TOKENS,
    "embedding_dim": 1280,
    "output_dim": 2048,
    "ff_mult": 4,
}
"""IP-Adapter Plus for SDXL with CLIP ViT-H."""


class Preset(Protocol):
    """The sizes of networks of this architecture."""

    @property
    def latent_channels(self) -> int:
        """Return the channels of the autoencoder's latents."""

    @property
    def tryon_channels(self) -> int:
        """Return how many channels the try-on UNet reads."""

    def unet_config(self, in_channels: int) -> dict[str, Any]:
        """Return the constructor arguments of a UNet."""

    def resampler_config(self) -> dict[str, int]:
        """Return the constructor arguments of the image-token resampler."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SdxlPreset:
    """The `sdxl` preset: the architecture of IDM-VTON, whose weights are loaded, never made."""

    image_height: int = 1024
    """Height of the pictures (px), a multiple of 64."""

    image_width: int = 768
    """Width of the pictures (px), a multiple of 64."""

    latent_channels: int = LATENT_CHANNELS
    """Channels of the autoencoder's latents."""

    tryon_channels: int = TRYON_CHANNELS
    """Inputs of the try-on UNet."""

    def unet_config(self, in_channels: int) -> dict[str, Any]:
        """Return the constructor arguments of a UNet of this preset."""
        return sdxl_unet_config(in_channels)

    def resampler_config(self) -> dict[str, int]:
        """Return the constructor arguments of the image-token resampler."""
        return dict(SDXL_RESAMPLER)


def sdxl_unet_config(in_channels: int) -> dict[str, Any]:
    """Return the constructor arguments of SDXL's UNet.

    Source: `unet/config.json` of stabilityai/stable-diffusion-xl-base-1.0.
    """
    return {
        "sample_size": 128,
        "in_channels": in_channels,
        "out_channels": LATENT_CHANNELS,
        "block_out_channels": (320, 640, 1280),
        "layers_per_block": 2,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "norm_num_groups": 32,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    }
