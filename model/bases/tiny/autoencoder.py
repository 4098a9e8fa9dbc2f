"""A tiny autoencoder whose every layer works at the latent grid, so that a CPU hardly notices it.

It stands where `AutoencoderKL` stands in the sdxl base, and has the part of its interface that is used here.

Shapes: B batch, H x W the picture, h x w the latent grid (a `patch`-th of it), C latent channels.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from torch import Tensor, nn

LOG_VARIANCE = -20.0  # of the posterior: the latents are a function of the picture


class Encoded(NamedTuple):
    """What `encode` returns."""

    latent_dist: DiagonalGaussianDistribution
    """Of (B, C, h, w)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PatchPreset:
    """Pictures and autoencoder of networks that a CPU trains in minutes."""

    image_height: int = 96
    """Height of the pictures (px), a multiple of the autoencoder's patch, or of a token's."""

    image_width: int = 72
    """Width of the pictures (px), likewise."""

    vae_patch: int = 4
    """Side of the patches that the autoencoder makes one latent cell of (px)."""

    vae_width: int = 64
    """Channels of the autoencoder's convolutions."""


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """Patches to latents and back: a linear map each way, and a small convolutional correction beside it.

    The linear maps start as the principal components of the patches (`fit_patches`), the best that a linear
    map of a patch can be; the corrections start at zero and learn what neighbouring patches add.

    Args:
        latent_channels: C.
        patch: Side of a patch (px), by which the latent grid is smaller than the picture.
        width: Channels of the corrections.
        scaling_factor: What latents are multiplied with to have standard deviation 1.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        latent_channels: int = 8,
        patch: int = 4,
        width: int = 64,
        scaling_factor: float = 1.0,  # noqa: ARG002 - kept in the config
    ) -> None:
        super().__init__()
        values = 3 * patch**2
        self.to_latents = nn.Conv2d(values, latent_channels, 1)
        self.to_patches = nn.Conv2d(latent_channels, values, 1)
        self.encoder = correction(values, width, latent_channels)
        self.decoder = correction(latent_channels, width, values)

    def encode(self, images: Tensor) -> Encoded:
        """Encode (B, 3, H, W) images in -1 .. 1; H and W are multiples of the patch."""
        patches = F.pixel_unshuffle(images, self.config.patch)
        mean = self.to_latents(patches) + self.encoder(patches)
        log_variance = torch.full_like(mean, LOG_VARIANCE)
        return Encoded(DiagonalGaussianDistribution(torch.cat([mean, log_variance], dim=1)))

    def decode(self, latents: Tensor) -> DecoderOutput:
        """Decode (B, C, h, w) latents to (B, 3, H, W) images."""
        patches = self.to_patches(latents) + self.decoder(latents)
        return DecoderOutput(sample=F.pixel_shuffle(patches, self.config.patch))

    @torch.no_grad()
    def fit_patches(self, images: Tensor) -> None:
        """Set the linear maps to the principal components of the patches of (B, 3, H, W) images.

        All components share one scale, so that an error in the latents is the same error in the picture,
        whatever its channel.

        Source:
            Principal component analysis.
        """
        patches = F.pixel_unshuffle(images, self.config.patch).movedim(1, -1).flatten(0, 2).double()
        mean = patches.mean(0)
        variances, directions = torch.linalg.eigh(torch.cov(patches.T))
        largest = variances.argsort(descending=True)[: self.config.latent_channels]
        scale, basis = variances[largest].mean().clamp(min=1e-6).sqrt(), directions[:, largest]
        set_map(self.to_latents, (basis / scale).T, -(mean @ (basis / scale)))
        set_map(self.to_patches, basis * scale, mean)


def set_map(layer: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    """Give a 1x1 convolution the (O, I) matrix and (O,) offset of a linear map."""
    assert layer.bias is not None
    layer.weight.copy_(weight[:, :, None, None])
    layer.bias.copy_(bias)


def correction(in_channels: int, width: int, out_channels: int) -> nn.Sequential:
    """Three 3x3 convolutions, zero at the start."""
    last = nn.Conv2d(width, out_channels, 3, padding=1)
    nn.init.zeros_(last.weight)
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.SiLU(),
        last,
    )
