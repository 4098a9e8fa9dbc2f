"""The size embedding -> size tokens in every cross-attention. B batch, S size tokens, C channels."""

from collections.abc import Mapping

from torch import Tensor, nn


class SizeTokenProjection(nn.Module):
    """The embedding -> size tokens of low rank -> keys and values for each cross-attention, values zero."""

    def __init__(self, embedding_dim: int, layers: Mapping[str, int], num_tokens: int, rank: int) -> None:
        super().__init__()
        self.layers = dict(sorted(layers.items()))  # whatever the order in a saved config
        self.num_tokens = num_tokens
        self.tokens = nn.Linear(embedding_dim, num_tokens * rank)
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
