"""The `tiny_catvton` base: CatVTON's method on a network that a CPU trains in minutes."""

from dataclasses import dataclass
from typing import Any, ClassVar

from model.bases.catvton.loading import IN_CHANNELS, LATENT_CHANNELS, make_unet
from model.bases.catvton.networks import CatvtonBase
from model.bases.tiny.autoencoder import PatchAutoencoder, PatchPreset
from model.bases.tiny.networks import tiny_scheduler
from model.weights import seeded


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyCatvtonPreset(PatchPreset):
    """Both networks at a size that a CPU trains in minutes."""

    unet_channels: tuple[int, ...] = (32, 64, 64)
    """Channels of the UNet's levels; all but the first, which costs most, have attention."""

    layers_per_block: int = 1
    """Residual blocks in each level."""

    heads: int = 2
    """Attention heads in each layer."""

    def unet_config(self) -> dict[str, Any]:
        """Return the configuration of the UNet."""
        attends = len(self.unet_channels) - 1
        return {
            "sample_size": self.image_height // self.vae_patch,
            "in_channels": IN_CHANNELS,
            "out_channels": LATENT_CHANNELS,
            "block_out_channels": self.unet_channels,
            "layers_per_block": self.layers_per_block,
            "down_block_types": ("DownBlock2D", *["CrossAttnDownBlock2D"] * attends),
            "up_block_types": (*["CrossAttnUpBlock2D"] * attends, "UpBlock2D"),
            "attention_head_dim": self.heads,
            "cross_attention_dim": self.unet_channels[0],
            "norm_num_groups": 8,
        }


PICTURE = TinyCatvtonPreset()


class TinyCatvtonBase(CatvtonBase):
    """CatVTON's method with small parts, and an autoencoder that a CPU hardly notices."""

    name: ClassVar[str] = "tiny_catvton"
    picture_hw: ClassVar[tuple[int, int]] = (PICTURE.image_height, PICTURE.image_width)
    autoencoder: ClassVar[Any] = PatchAutoencoder
    licence_without: ClassVar[str] = "apache-2.0"
    usual_steps: ClassVar[int] = 4
    usual_guidance: ClassVar[float] = 1.0


def build_tiny_catvton(preset: TinyCatvtonPreset, seed: int) -> TinyCatvtonBase:
    """Return a base with random weights, the same for a seed; the global random state is left alone."""
    with seeded(seed):
        base = TinyCatvtonBase(
            unet=make_unet(preset.unet_config()),
            vae=PatchAutoencoder(LATENT_CHANNELS, preset.vae_patch, preset.vae_width),
            scheduler=tiny_scheduler(),
            released_attention=False,
        )
    return base.eval()
