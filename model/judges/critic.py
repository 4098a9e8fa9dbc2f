"""Read the size ratios of the worn garment from latents. Frozen, it is the size loss's judge."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from model.adapter.body_maps import FRAME
from model.judges.segmenter import ResidualBlock
from model.pixels import sent

FINER = 2
"""Cells of the coverage for one of the latent grid, each way."""

Places = tuple[float, float, int]
"""The first and the last of some coordinates, and their number."""

ROWS, COLUMNS = (-0.1, 1.8, 39), (0.0, 1.25, 21)
"""Rows, and columns either side of the axis, at which the coverage is read, in the frame that a category is
measured in (`model.adapter.body_maps`): T and B."""

READ_AT: dict[str, tuple[Places, Places]] = {
    "lower": ((-0.4, 1.25, 39), (0.0, 2.5, 21)),  # L and H
    "dress": ((-0.1, 3.5, 39), COLUMNS),
}
"""Where that of other categories is read."""


class SizeReading(NamedTuple):
    """A critic's answer."""

    ratios: Tensor
    """(B, R) in the order of the annotations."""

    coverage_logits: Tensor
    """(B, 1, 2h, 2w), above 0 where the garment is."""


class SizeCritic(ModelMixin, ConfigMixin):
    """Latents and body maps in; where the garment is, and its size ratios, out.

    A ratio is a length in the body frame. So the coverage is resampled into that frame, where an edge of the
    garment is at the same place whoever wears it, folded at the body's axis, and only then read.

    Args:
        latent_channels: Channels of the autoencoder's latents.
        num_body_maps: Channels of `model.adapter.body_maps.body_maps`.
        axes: Names of the ratios to read, in the order of the annotations; what it reads of those that a
            category lacks means nothing.
        categories: Of the garments; the coverage of each is read by layers of its own.
        width: Channels at the latent grid; the half as large grid has twice as many.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        latent_channels: int,
        num_body_maps: int,
        axes: Sequence[str],
        categories: Sequence[str],
        width: int = 32,
    ) -> None:
        super().__init__()
        self.fine = ResidualBlock(latent_channels + num_body_maps, width)
        self.coarse = ResidualBlock(width, 2 * width)
        self.merge = ResidualBlock(3 * width, width)
        self.coverage = nn.Conv2d(width, FINER**2, 1)
        cells = ROWS[2] * COLUMNS[2]
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Flatten(), nn.Linear(cells, 64), nn.SiLU(), nn.Linear(64, len(axes)))
            for _ in categories
        )

    def forward(self, latents: Tensor, body_maps: Tensor, categories: Sequence[str]) -> SizeReading:
        """Read (B, C, h, w) clean `latents` of people with (B, K, h, w) `body_maps` in garments."""
        fine = self.fine(torch.cat([latents, body_maps], dim=1))
        coarse = self.coarse(F.avg_pool2d(fine, 2, ceil_mode=True))
        coarse = F.interpolate(coarse, fine.shape[2:], mode="bilinear")
        logits = F.pixel_shuffle(self.coverage(self.merge(torch.cat([fine, coarse], dim=1))), FINER)
        covered = in_body_frame(logits.sigmoid(), body_maps, categories)
        read = torch.stack([head(covered) for head in self.heads])
        places = sent([self.config.categories.index(category) for category in categories], read.device)
        return SizeReading(read[places, torch.arange(len(places), device=read.device)], logits)


def in_body_frame(picture: Tensor, body_maps: Tensor, categories: Sequence[str]) -> Tensor:
    """Sample a picture at rows and columns of the body frame, left and right averaged.

    Args:
        picture: (B, C, H, W) of the same scene as the maps, at any resolution.
        body_maps: (B, K, h, w); without a known frame the result is zero.
        categories: B kinds of garments: `READ_AT` says where each is read.

    Returns:
        (B, C, rows, columns).
    """
    grids = {
        category: sent(frame_grid(category), body_maps.device, body_maps.dtype)
        for category in dict.fromkeys(categories)
    }
    ab = torch.stack([grids[category] for category in categories])
    with torch.autocast(picture.device.type, enabled=False):  # bf16 tells places to half a cell alone
        points = picture_points(ab, body_maps)
    sampled = F.grid_sample(picture.to(points), points, align_corners=False)
    right, left = sampled.chunk(2, dim=-1)
    known = body_maps[:, FRAME : FRAME + 1, :1, :1]
    return (right.flip(-1) + left) / 2 * known


def frame_grid(category: str) -> Tensor:
    """(R, C, 2) body coordinates at which a category is read, from the right to the left."""
    a, b = (torch.linspace(*places) for places in READ_AT.get(category, (ROWS, COLUMNS)))
    return torch.stack(torch.meshgrid(a, torch.cat([-b.flip(0), b]), indexing="ij"), dim=-1)


def picture_points(ab: Tensor, body_maps: Tensor) -> Tensor:
    """Where (B, R, C, 2) body coordinates lie, (B, R, C, 2) x, y from -1 to 1 across the picture.

    The body coordinates are linear in x and y: three cells in the middle of their maps tell how.
    """
    height, width = body_maps.shape[2:]
    y, x = height // 2, width // 2
    maps = body_maps[:, FRAME + 1 : FRAME + 3]
    here, right, below = maps[:, :, y, x], maps[:, :, y, x + 1], maps[:, :, y + 1, x]
    slope = torch.stack([right - here, below - here], dim=-1)
    unknown = 1 - body_maps[:, FRAME, y, x]
    slope = slope + unknown[:, None, None] * torch.eye(2, device=slope.device)
    cells = (ab - here[:, None, None]) @ torch.linalg.inv(slope)[:, None].mT
    cells = cells + sent([x, y], cells.device)
    return (2 * cells + 1) / sent([width, height], cells.device) - 1
