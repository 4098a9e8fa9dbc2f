"""Find the worn garment in a picture, so that evaluation measures what was drawn and never what was asked."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

GARMENT_CLASS = 1  # class 0 is everything else


class Segmenter(ModelMixin, ConfigMixin):
    """A small U-Net from an RGB picture to garment and other.

    Its layers work on patches of pixels, which are put apart again in the logits: the same minutes train
    wider layers for more steps than at full resolution.

    Args:
        widths: Channels at the patches, and at each halving of their grid.
        num_classes: Channels of the logits.
        patch: Side of the patches (px).

    Source:
        Ronneberger et al. 2015 (U-Net), with residual blocks and group norms; patches as in Shi et al. 2016.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, widths: tuple[int, ...] = (48, 96, 128), num_classes: int = 2, patch: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3 * patch**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(ResidualBlock(i, o) for i, o in pairwise(widths))
        self.up = nn.ModuleList(
            ResidualBlock(below + here, here)
            for below, here in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], num_classes * patch**2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, num_classes, H, W) logits of (B, 3, H, W) `images` in -1..1; H and W of any size."""
        height, width = images.shape[-2:]
        patch = self.config.patch
        padded = F.pad(images, (0, -width % patch, 0, -height % patch), mode="replicate")
        hidden = self.stem(F.pixel_unshuffle(padded, patch))
        skips = []
        for block in self.down:
            skips.append(hidden)
            hidden = block(F.avg_pool2d(hidden, 2, ceil_mode=True))
        for block in self.up:
            skip = skips.pop()
            hidden = F.interpolate(hidden, size=skip.shape[-2:], mode="bilinear")
            hidden = block(torch.cat([hidden, skip], dim=1))
        return F.pixel_shuffle(self.head(hidden), patch)[..., :height, :width]

    @torch.no_grad()
    def garment_probability(self, images: Tensor) -> Tensor:
        """(B, H, W) probability that a pixel of (B, 3, H, W) `images` in -1..1 shows the worn garment."""
        return self(images).softmax(dim=1)[:, GARMENT_CLASS]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a 1x1 shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1)
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.GroupNorm(8, out_channels),
            nn.SiLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.GroupNorm(8, out_channels),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H, W)."""
        return F.silu(self.shortcut(hidden) + self.layers(hidden))
