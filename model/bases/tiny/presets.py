"""The sizes of the tiny networks. Imports no torch."""

from dataclasses import dataclass
from typing import Any

from model.bases.sdxl.presets import NUM_IMAGE_TOKENS, NUM_TIME_IDS, sdxl_unet_config


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyPreset:
    """Every part of the sdxl networks at a size that a CPU trains in minutes."""

    image_height: int = 96
    """Height of the pictures (px), a multiple of the autoencoder's patch."""

    image_width: int = 72
    """Width of the pictures (px), a multiple of the autoencoder's patch."""

    vae_patch: int = 4
    """Side of the patches that the autoencoder makes one latent cell of (px)."""

    vae_width: int = 64
    """Channels of the autoencoder's convolutions."""

    unet_channels: tuple[int, ...] = (32, 64, 64)
    """Channels of the UNets' levels; as in SDXL the first level has no attention."""

    transformer_layers: tuple[int, ...] = (1, 1, 1)
    """Transformer blocks in each attention of a level."""

    layers_per_block: int = 1
    """Residual blocks in each level of the UNets."""

    head_dim: int = 32
    """Channels of one attention head of the UNets."""

    text_width: int = 32
    """Channels of each of the two text encoders; the UNets see both, one behind the other."""

    text_tokens: int = 77
    """Length of a tokenised caption."""

    vision_width: int = 48
    """Channels of the garment photo's CLIP features."""

    vision_image_size: int = 48
    """Height and width of the garment photo that the vision encoder sees (px)."""

    vision_patch: int = 8
    """Height and width of a patch of the vision encoder (px)."""

    def unet_config(self, in_channels: int) -> dict[str, Any]:
        """Return the constructor arguments of a UNet of this preset."""
        levels = len(self.unet_channels)
        return sdxl_unet_config(in_channels) | {
            "sample_size": self.image_height // 4,
            "block_out_channels": self.unet_channels,
            "layers_per_block": self.layers_per_block,
            "down_block_types": ("DownBlock2D", *["CrossAttnDownBlock2D"] * (levels - 1)),
            "up_block_types": (*["CrossAttnUpBlock2D"] * (levels - 1), "UpBlock2D"),
            "transformer_layers_per_block": self.transformer_layers,
            "attention_head_dim": tuple(max(1, c // self.head_dim) for c in self.unet_channels),
            "cross_attention_dim": 2 * self.text_width,
            "norm_num_groups": 8,
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": self.text_width + NUM_TIME_IDS * 8,
        }

    def resampler_config(self) -> dict[str, int]:
        """Return the constructor arguments of the image-token resampler."""
        width = 2 * self.text_width
        return {
            "dim": width,
            "depth": 1,
            "dim_head": 64,
            "heads": width // 64,
            "num_queries": NUM_IMAGE_TOKENS,
            "embedding_dim": self.vision_width,
            "output_dim": width,
            "ff_mult": 2,
        }
