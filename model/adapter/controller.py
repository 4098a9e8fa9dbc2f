"""The size embedding -> the layout of the garment. B batch, E embedding, W features, h x w latent grid."""

from collections.abc import Sequence
from math import pi
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.adapter.body_maps import FRAME, NUM_BODY_MAPS
from model.adapter.encoder import SIZE_EMBEDDING_DIM
from model.bases.base import Residual

NUM_EDGES = 3
"""Thresholds that the embedding sets: two of |b|, for shoulders and sides, and one of `a`, for the hem."""

EDGE_SOFTNESS = 0.3
"""In T or half B: how far about an edge a cell can tell its distance from it, to place it within a cell."""

SEED_GRID, NUM_DOUBLINGS = (8, 6), 4
"""Where the controller without a body begins, and how often it doubles: 128x96, SDXL's grid at 1024x768."""

COORDINATE_OCTAVES = 4
"""Sines and cosines of the body coordinates from one period a unit on, each octave twice as fine."""


class SizeMap(NamedTuple):
    """A controller's answer."""

    layout_logits: Tensor
    """(B, 1, h, w), above 0 where the garment will be."""

    features: Tensor
    """(B, W, h, w), what the logits were read from."""


class SimpleSizeController(nn.Module):
    """Draws a map from the embedding alone: it knows nothing of the body and so learns the average one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seed = nn.Linear(SIZE_EMBEDDING_DIM, width // 2 * SEED_GRID[0] * SEED_GRID[1])
        layers: list[nn.Module] = [nn.Conv2d(width // 2, width, 3, padding=1), nn.SiLU()]
        for _ in range(NUM_DOUBLINGS):
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1), nn.SiLU()]
        self.grow = nn.Sequential(*layers)
        self.layout = nn.Conv2d(width, 1, 1)

    def forward(self, embedding: Tensor, body_maps: Tensor) -> SizeMap:
        """Draw (B, E) embeddings on the grid of (B, K, h, w) body maps, of which nothing else is read."""
        features = self.grow(self.seed(embedding).unflatten(1, (-1, *SEED_GRID)))
        if features.shape[2:] != body_maps.shape[2:]:
            features = F.interpolate(features, body_maps.shape[2:], mode="bilinear", antialias=True)
        return SizeMap(self.layout(features), features)


class SizeController(nn.Module):
    """Draws the layout on the body: maps of joints, limbs and body coordinates, modulated by the embedding.

    The ratios are lengths in the body frame, so an edge of the garment is a threshold on a body coordinate.
    The embedding sets such thresholds outright (`SizeEdges`), and scales and shifts every feature (FiLM,
    Perez et al. 2018).
    """

    def __init__(self, width: int, num_maps: int = NUM_BODY_MAPS) -> None:
        super().__init__()
        self.edges = SizeEdges(SIZE_EMBEDDING_DIM)
        self.stem = nn.Conv2d(num_maps + 4 * COORDINATE_OCTAVES + NUM_EDGES, width, 3, padding=1)
        self.stem_film = Film(SIZE_EMBEDDING_DIM, width)
        self.fine = FilmBlock(SIZE_EMBEDDING_DIM, width)
        self.down = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.coarse = FilmBlock(SIZE_EMBEDDING_DIM, width)
        self.merge = nn.Conv2d(2 * width, width, 1)
        self.last = FilmBlock(SIZE_EMBEDDING_DIM, width)
        self.layout = nn.Sequential(ChannelNorm(width), nn.SiLU(), nn.Conv2d(width, 1, 1))

    def forward(self, embedding: Tensor, body_maps: Tensor) -> SizeMap:
        """Draw (B, E) embeddings on (B, K, h, w) body maps."""
        drawn = [body_maps, coordinate_waves(body_maps), self.edges(embedding, body_maps)]
        maps = torch.cat(drawn, dim=1).to(embedding.dtype)
        fine = self.fine(F.silu(self.stem_film(self.stem(maps), embedding)), embedding)
        coarse = self.coarse(self.down(fine), embedding)
        coarse = F.interpolate(coarse, fine.shape[2:], mode="bilinear")
        features = self.last(self.merge(torch.cat([fine, coarse], dim=1)), embedding)
        return SizeMap(self.layout(features), features)


def coordinate_waves(body_maps: Tensor) -> Tensor:
    """Return (B, 4 * octaves, h, w) sines and cosines of a / T and b / B, zero where the frame is unknown."""
    known, coordinates = body_maps[:, FRAME : FRAME + 1], body_maps[:, FRAME + 1 : FRAME + 3]
    phases = [coordinates * pi * 2.0**octave for octave in range(COORDINATE_OCTAVES)]
    return torch.cat([wave for phase in phases for wave in (phase.sin(), phase.cos())], dim=1) * known


class SizeEdges(nn.Module):
    """How far every cell lies within the garment's edges, which the embedding places."""

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.place = nn.Linear(embedding_dim, NUM_EDGES)
        nn.init.ones_(self.place.bias)  # a garment as large as the body

    def forward(self, embedding: Tensor, body_maps: Tensor) -> Tensor:
        """Return (B, NUM_EDGES, h, w) from -1, outside, to 1, inside; zero where the frame is unknown."""
        known, a, b = body_maps[:, FRAME : FRAME + 3].unbind(1)
        reach = torch.stack([2 * b.abs(), 2 * b.abs(), a], dim=1)
        within = self.place(embedding)[:, :, None, None] - reach
        return torch.tanh(within / EDGE_SOFTNESS) * known[:, None]


class Film(nn.Module):
    """Scale and shift every feature by what the embedding says."""

    def __init__(self, embedding_dim: int, width: int) -> None:
        super().__init__()
        self.scale_and_shift = nn.Linear(embedding_dim, 2 * width)

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Modulate (B, W, h, w) by (B, E)."""
        scale, shift = self.scale_and_shift(embedding)[:, :, None, None].chunk(2, dim=1)
        return features * (1 + scale) + shift


class FilmBlock(nn.Module):
    """A residual block of two convolutions, modulated between them."""

    def __init__(self, embedding_dim: int, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.film = Film(embedding_dim, width)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Change (B, W, h, w) features."""
        hidden = self.first(F.silu(self.norm(features)))
        return features + self.second(F.silu(self.film(hidden, embedding)))


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each cell: unlike group norm it does not mix places."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Tensor) -> Tensor:
        """Normalise (B, W, h, w)."""
        return self.norm(features.movedim(1, -1)).movedim(-1, 1)


class MapResiduals(nn.Module):
    """The size map and its features -> one residual a place in the base, zero at first (as T2I-Adapter)."""

    def __init__(self, width: int, specs: Sequence[Residual]) -> None:
        super().__init__()
        self.specs = specs
        trunk = 2 * width
        num_levels = 1 + max(spec.level for spec in specs)
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(
                    width + 1 if level == 0 else trunk, trunk, 3, stride=1 if level == 0 else 2, padding=1
                ),
                nn.SiLU(),
                nn.Conv2d(trunk, trunk, 3 if level else 1, padding=1 if level else 0),
                nn.SiLU(),
            )
            for level in range(num_levels)
        )
        self.heads = nn.ModuleList(zero_conv(trunk, spec.channels) for spec in specs)

    def forward(self, size_map: SizeMap) -> tuple[Tensor, ...]:
        """Return the residuals, in the order of the base's sites."""
        hidden = torch.cat([size_map.layout_logits.sigmoid(), size_map.features], dim=1)
        levels = []
        for layer in self.levels:
            hidden = layer(hidden)
            levels.append(hidden)
        return tuple(head(levels[spec.level]) for head, spec in zip(self.heads, self.specs, strict=True))


def zero_conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Return a convolution of one cell that gives zeros until it is trained."""
    conv = nn.Conv2d(in_channels, out_channels, 1)
    for weight in conv.parameters():
        nn.init.zeros_(weight)
    return conv
