"""Size ratios -> one embedding -> size tokens.

B batch, R ratios, E embedding, D garment features, S size tokens, C channels of a layer.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE_EMBEDDING_DIM, HIDDEN_DIM = 768, 256
NUM_FIT_LABELS = 4

RATIO_MIDDLE = 1.0
"""A garment as large as the body."""

RATIO_SPREAD = 0.25
"""About the spread of worn garments' ratios: what enters the first layer is of order one."""


class SizeEncoder(nn.Module):
    """Ratios, each with a learned "unknown", and the garment's category to an embedding, by two layers.

    Args:
        input_dim: R.
        num_categories: What garments there are. The first is what the bias stands for; the others begin as
            the first, so that one that came later changes nothing until it is trained.
    """

    def __init__(self, input_dim: int, num_categories: int = 1) -> None:
        super().__init__()
        self.input = nn.Linear(input_dim, HIDDEN_DIM)
        self.unknown = nn.Parameter(torch.randn(input_dim, HIDDEN_DIM) / HIDDEN_DIM**0.5)
        self.output = nn.Sequential(nn.SiLU(), nn.Linear(HIDDEN_DIM, SIZE_EMBEDDING_DIM))
        if num_categories > 1:
            self.category = nn.Parameter(torch.zeros(num_categories - 1, HIDDEN_DIM))

    def hidden(self, ratios: Tensor, categories: Tensor | None = None) -> Tensor:
        """Return the (B, hidden) sum of what each ratio adds: its value, or its "unknown" where it is NaN.

        The (B,) numbers of the categories add their own; None: all are of the first.
        """
        unknown = ratios.isnan()
        values = ((ratios - RATIO_MIDDLE) / RATIO_SPREAD).masked_fill(unknown, 0.0)
        hidden: Tensor = self.input(values.to(self.unknown)) + unknown.to(self.unknown) @ self.unknown
        if categories is None or not hasattr(self, "category"):
            return hidden
        return hidden + F.pad(self.category, (0, 0, 1, 0))[categories]

    def forward(
        self,
        ratios: Tensor,
        fit_labels: Tensor | None = None,  # noqa: ARG002 - the encoders are called alike
        garment_features: Tensor | None = None,  # noqa: ARG002
        categories: Tensor | None = None,
    ) -> Tensor:
        """Encode (B, R) ratios, NaN where unknown, as (B, E); `categories` as in `hidden`."""
        return self.output(self.hidden(ratios, categories))


class HybridSizeEncoder(SizeEncoder):
    """Ratios, fit label and pooled garment features to an embedding; ratios and label may be unknown."""

    def __init__(self, garment_dim: int, input_dim: int, num_categories: int = 1) -> None:
        super().__init__(input_dim, num_categories)
        self.fit_label = nn.Embedding(NUM_FIT_LABELS + 1, HIDDEN_DIM)
        self.garment = nn.Sequential(nn.LayerNorm(garment_dim), nn.Linear(garment_dim, HIDDEN_DIM))

    def forward(
        self,
        ratios: Tensor,
        fit_labels: Tensor | None = None,
        garment_features: Tensor | None = None,
        categories: Tensor | None = None,
    ) -> Tensor:
        """Encode a size and what is known of its garment.

        Args:
            ratios: (B, R), NaN where unknown.
            fit_labels: (B,) numbers of the labels, negative where unknown.
            garment_features: (B, D), e.g. the mean of the image tokens.
            categories: (B,) numbers of the categories, as in `hidden`.

        Returns:
            (B, E).

        Raises:
            ValueError: There are no garment features: it was never trained without.
        """
        if garment_features is None:
            raise ValueError("the hybrid size encoder reads the garment: give garment_features")
        hidden = self.hidden(ratios, categories)
        if fit_labels is None:
            fit_labels = torch.full(ratios.shape[:1], -1, device=ratios.device)
        hidden = hidden + self.fit_label(torch.where(fit_labels < 0, NUM_FIT_LABELS, fit_labels))
        return self.output(hidden + self.garment(garment_features.to(hidden.dtype)))


class SizeTokenProjection(nn.Module):
    """The embedding -> size tokens of low rank -> keys and values for each cross-attention, values zero."""

    def __init__(self, layers: Mapping[str, int], num_tokens: int, rank: int) -> None:
        super().__init__()
        self.layers = dict(sorted(layers.items()))  # whatever the order in a saved config
        self.num_tokens = num_tokens
        self.tokens = nn.Linear(SIZE_EMBEDDING_DIM, num_tokens * rank)
        self.norm = nn.LayerNorm(rank)
        channels = sum(layers.values())
        self.keys = nn.Linear(rank, channels, bias=False)
        self.values = nn.Linear(rank, channels, bias=False)
        nn.init.zeros_(self.values.weight)

    def forward(self, embedding: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Return (B, S, C) keys and values by the layer's name."""
        tokens = self.norm(self.tokens(embedding).unflatten(1, (self.num_tokens, -1)))
        channels = list(self.layers.values())
        keys, values = self.keys(tokens).split(channels, dim=-1), self.values(tokens).split(channels, dim=-1)
        return dict(zip(self.layers, zip(keys, values, strict=True), strict=True))
