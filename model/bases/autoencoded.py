"""A base whose pictures pass one of diffusers' autoencoders with a diagonal posterior.

Shapes: B batch, H x W the picture, h x w the latent grid.
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from model.bases.base import TryOnBase, autocast_type
from model.weights import load_network

if TYPE_CHECKING:
    from model.params import MemorySwitches

TILE_PX = 512
"""Side of a tile of the picture: SDXL's autoencoder would take 1024, which is the whole picture."""


OVERFLOWS = "force_upcast"
"""diffusers' name for an autoencoder whose states leave fp16's range, as those of SDXL's original one do."""


class AutoencodedBase(TryOnBase):
    """What such bases have in common."""

    autoencoder: ClassVar[Any] = AutoencoderKL
    """Class of the autoencoder that is loaded."""

    vae: Any
    """The autoencoder."""

    def to_latents(self, images: Tensor) -> Tensor:
        """Encode (B, 3, H, W) images in -1 .. 1 as (B, C, h, w)."""
        with self.resident(self.vae):
            return encode_images(self.vae, images)

    def to_images(self, latents: Tensor) -> Tensor:
        """Decode (B, C, h, w) latents to (B, 3, H, W) images in -1 .. 1."""
        with self.resident(self.vae):
            return decode_latents(self.vae, latents)

    @property
    def latent_channels(self) -> int:
        """Channels of the autoencoder's latents."""
        return self.vae.config.latent_channels

    @property
    def latent_scale(self) -> float:
        """The autoencoder's."""
        return float(self.vae.config.scaling_factor)

    @torch.no_grad()
    def normalise_latents(self, images: Tensor) -> None:
        """Set the scale of latents so that those of (B, 3, H, W) images have standard deviation 1."""
        self.vae.register_to_config(scaling_factor=1.0)
        self.vae.register_to_config(scaling_factor=1 / float(self.to_latents(images).std()))

    def save_memory(self, switches: "MemorySwitches", device: torch.device | str) -> None:
        """Let networks take turns; encode and decode pictures in pieces."""
        super().save_memory(switches, device)
        for name, wanted in (("tiling", switches.vae_tiling), ("slicing", switches.vae_slicing)):
            change = getattr(self.vae, f"{'enable' if wanted else 'disable'}_{name}", None)
            if change is not None:  # a tiny autoencoder has nothing to cut
                change()
        if switches.vae_tiling and hasattr(self.vae, "tile_sample_min_size"):
            self.vae.tile_sample_min_size = TILE_PX
            self.vae.tile_latent_min_size = TILE_PX // 2 ** (len(self.vae.config.block_out_channels) - 1)


def encode_images(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """Return the scaled (B, C, h, w) latents of (B, 3, H, W) images in -1 .. 1, the mode of the posterior."""
    with within_range(vae):
        return vae.encode(images.to(vae.dtype)).latent_dist.mode() * vae.config.scaling_factor


def decode_latents(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Return the (B, 3, H, W) images in -1 .. 1 of scaled latents; the inverse of `encode_images`."""
    with within_range(vae):
        decoded = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample
    return decoded.float().clamp(-1, 1)


def within_range(vae: AutoencoderKL) -> AbstractContextManager[object]:
    """Within the block autocast doesn't run an autoencoder in fp16 that says of itself that it overflows."""
    kind = vae.device.type
    overflows = autocast_type(kind) == torch.float16 and vae.config.get(OVERFLOWS)
    return torch.autocast(kind, enabled=False) if overflows else nullcontext()


def load_autoencoder(kind: Any, folder: Path, torch_dtype: torch.dtype | None = None) -> Any:
    """Load an autoencoder of class `kind`; one that overflows in fp16 is loaded in full precision instead.

    Raises:
        ValueError: Weights are missing, not expected or misshapen.
    """
    if torch_dtype == torch.float16 and kind.load_config(folder).get(OVERFLOWS):
        torch_dtype = torch.float32
    return load_network(kind.from_pretrained, folder, torch_dtype=torch_dtype)
