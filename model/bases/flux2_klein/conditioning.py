"""What FLUX.2 klein is told: the masked person, the garment and a text, encoded once and kept as tensors.

Shapes: B batch, h x w the grid of tokens, C channels of a token, L text tokens.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from model.bases.conditions import Conditioning

POOLED = 4
"""Cells along each side of the grid to which a garment's tokens are pooled for the size encoder."""


@dataclass(frozen=True, kw_only=True)
class KleinConditioning(Conditioning):
    """What the transformer reads beside noise, time and size."""

    person_latents: Tensor
    """(B, C, h, w), the person with the mask's region grey."""

    garment_latents: Tensor
    """(B, C, h, w)."""

    text: Tensor
    """(B, L, channels) of what is asked for."""

    no_text: Tensor
    """(B, L, channels) of nothing asked for."""

    @property
    def canvas(self) -> Tensor:
        """(B, C, h, w): the person's latents are denoised."""
        return self.person_latents

    @property
    def garment_features(self) -> Tensor:
        """(B, C * `POOLED`^2) the garment's latents on a coarse grid."""
        return F.adaptive_avg_pool2d(self.garment_latents, POOLED).flatten(1)

    def unconditional(self, rows: Tensor | None = None) -> Self:
        """Return the branch without text, as klein is guided; the garment stays."""
        hidden = self.text.new_ones(len(self.text)).bool() if rows is None else rows
        return replace(self, text=torch.where(hidden[:, None, None], self.no_text, self.text))
