"""Read the size ratios of the worn garment from latents. Frozen, it is the size loss's judge."""

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from model.segmenter import ResidualBlock


class SizeCritic(ModelMixin, ConfigMixin):
    """Latents and body maps in, size ratios out.

    Args:
        latent_channels: Channels of the autoencoder's latents.
        num_body_maps: Channels of `model.conditioning.body_maps`.
        num_ratios: Ratios to read, in the order of the annotations.
        width: Channels of the first layer; each halving of the grid doubles them up to 4 x.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self, latent_channels: int = 4, num_body_maps: int = 0, num_ratios: int = 3, width: int = 32
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            ResidualBlock(latent_channels + num_body_maps, width),
            nn.AvgPool2d(2),
            ResidualBlock(width, 2 * width),
            nn.AvgPool2d(2),
            ResidualBlock(2 * width, 4 * width),
        )
        self.pool = nn.AdaptiveAvgPool2d((8, 6))
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(4 * width * 48, 128), nn.SiLU(), nn.Linear(128, num_ratios)
        )

    def forward(self, latents: Tensor, body_maps: Tensor) -> Tensor:
        """(B, num_ratios) ratios of (B, C, h, w) clean `latents` and (B, K, h, w) `body_maps`."""
        return self.head(self.pool(self.features(torch.cat([latents, body_maps], dim=1))))
