"""Find the worn garment in a picture, so that evaluation measures what was drawn and never what was asked."""

from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from numpy.typing import NDArray
from torch import Tensor, nn

from model.pixels import from_uint8
from model.weights import load_network

GARMENT_CLASS = 1  # class 0 is everything else
FINE_PATCH = 2  # px
NUM_COLOURS = 7
"""Mean and standard deviation of each channel of the garment's photo, and whether there is one."""


class Segmenter(ModelMixin, ConfigMixin):
    """A small U-Net from an RGB picture, and the colours of the garment worn in it, to garment and other.

    The colours tell a garment from skin or wall of nearly its colour. They come from the photo of the garment
    alone, which doesn't show how it is worn, so they say nothing of its size; without them it still answers.

    Its layers work on patches of pixels: the same minutes train wider layers for more steps than at full
    resolution. They tell what is where; to which pixel it reaches, two narrow layers tell, which see the
    picture in patches of `FINE_PATCH` beside it. Without these two px of bare shoulder are taken for cloth.

    Args:
        widths: Channels at the patches, and at each halving of their grid.
        num_classes: Channels of the logits.
        patch: Side of the patches (px), a multiple of `FINE_PATCH`.
        fine: Channels of the narrow layers.

    Source:
        Ronneberger et al. 2015 (U-Net), with residual blocks and group norms; patches as in Shi et al. 2016.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self, widths: tuple[int, ...] = (48, 96, 128), num_classes: int = 2, patch: int = 4, fine: int = 24
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3 * patch**2 + NUM_COLOURS, widths[0], 3, padding=1)
        self.down = nn.ModuleList(ResidualBlock(i, o) for i, o in pairwise(widths))
        self.up = nn.ModuleList(
            ResidualBlock(below + here, here)
            for below, here in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        told = 2 * fine // 3
        self.told = nn.Conv2d(widths[0], told * (patch // FINE_PATCH) ** 2, 1)
        self.edges = nn.Conv2d(3 * FINE_PATCH**2 + told, fine, 3, padding=1)
        self.more_edges = nn.Conv2d(fine, fine, 3, padding=1)
        self.head = nn.Conv2d(fine, num_classes * FINE_PATCH**2, 1)

    @classmethod
    def from_pretrained(cls, folder: str | Path, **kwargs: Any) -> Self:
        """Load what `save_pretrained` wrote.

        Raises:
            ValueError: An earlier version did, whose segmenter saw patches alone; or weights are missing.
        """
        if "fine" not in cls.load_config(folder, **kwargs):
            raise ValueError(
                f"{folder} is a segmenter of an earlier version: make the base again (train_base)"
            )
        loaded: Self = load_network(super().from_pretrained, folder, **kwargs)
        return loaded

    def forward(self, images: Tensor, colours: Tensor) -> Tensor:
        """Classify every pixel.

        Args:
            images: (B, 3, H, W) in -1..1; H and W of any size.
            colours: (B, NUM_COLOURS) of the garments, from `garment_colours`; zeros where they aren't known.

        Returns:
            (B, num_classes, H, W) logits.
        """
        height, width = images.shape[-2:]
        patch = self.config.patch
        padded = F.pad(images, (0, -width % patch, 0, -height % patch), mode="replicate")
        patches = F.pixel_unshuffle(padded, patch)
        everywhere = colours[..., None, None].expand(-1, -1, *patches.shape[2:])
        hidden = self.stem(torch.cat([patches, everywhere], dim=1))
        skips = []
        for block in self.down:
            skips.append(hidden)
            hidden = block(F.avg_pool2d(hidden, 2, ceil_mode=True))
        for block in self.up:
            skip = skips.pop()
            hidden = F.interpolate(hidden, size=skip.shape[-2:], mode="bilinear")
            hidden = block(torch.cat([hidden, skip], dim=1))
        told = F.pixel_shuffle(self.told(hidden), patch // FINE_PATCH)
        fine = F.silu(self.edges(torch.cat([F.pixel_unshuffle(padded, FINE_PATCH), told], dim=1)))
        fine = fine + F.silu(self.more_edges(fine))
        return F.pixel_shuffle(self.head(fine), FINE_PATCH)[..., :height, :width]

    @torch.no_grad()
    def garment_probability(self, images: Tensor, garments: Tensor | None = None) -> Tensor:
        """Find the worn garment.

        Args:
            images: (B, 3, H, W) in -1..1.
            garments: (B, 3, h, w) photos of the garments alone in -1..1; None where they aren't known.

        Returns:
            (B, H, W) probability that a pixel shows it.
        """
        unknown = images.new_zeros(len(images), NUM_COLOURS)
        colours = unknown if garments is None else garment_colours(garments)
        return self(images, colours).softmax(dim=1)[:, GARMENT_CLASS]


def segment_with(
    segmenter: Segmenter, pictures: NDArray[np.uint8], cloths: NDArray[np.uint8] | None
) -> NDArray[np.float32]:
    """Find the garment in pictures.

    Args:
        segmenter: On the device where it runs.
        pictures: (N, H, W, 3).
        cloths: (N, h, w, 3) photos of the garments alone; None where they aren't known.

    Returns:
        (N, H, W) probability that a pixel shows it.
    """
    given = [pictures] if cloths is None else [pictures, cloths]
    images = [from_uint8(some, segmenter.device).to(segmenter.dtype) for some in given]
    return segmenter.garment_probability(*images).float().cpu().numpy()


def garment_colours(garments: Tensor) -> Tensor:
    """(B, NUM_COLOURS) of (B, 3, h, w) photos of garments alone: of their middle, which the garment fills."""
    height, width = garments.shape[2:]
    middle = garments[..., height // 4 : height - height // 4, width // 4 : width - width // 4]
    mean, deviation = middle.mean(dim=(2, 3)), middle.std(dim=(2, 3), correction=0)
    return torch.cat([mean, deviation, torch.ones_like(mean[:, :1])], dim=1)


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
