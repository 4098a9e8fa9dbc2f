"""The garment photo as tokens: CLIP features -> `Resampler` -> decoupled cross-attention (IP-Adapter Plus).

Parameters have the names of IDM-VTON's weights: `encoder_hid_proj.*`, `*.attn2.processor.to_k_ip.weight`.
Shapes: B batch, F features, Q image tokens, L text tokens, S size tokens, C channels of the layer.
"""

from collections.abc import Mapping

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from model.bases.sdxl.garment_attention import (
    SELF_ATTENTION,
    TryOnSelfAttention,
    attend,
    expand_batch,
    project_out,
)

SizeTokens = Mapping[str, tuple[Tensor, Tensor]]
"""Keys and values of the size, (B, S, C) each, keyed by the name of the cross-attention layer."""


class LatentAttention(nn.Module):
    """Learned latents attend over the features and over themselves (Perceiver)."""

    def __init__(self, dim: int, dim_head: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, dim_head * heads, bias=False)
        self.to_kv = nn.Linear(dim, 2 * dim_head * heads, bias=False)
        self.to_out = nn.Linear(dim_head * heads, dim, bias=False)

    def forward(self, features: Tensor, latents: Tensor) -> Tensor:
        """Attend from (B, Q, D) `latents` over (B, F + Q, D)."""
        latents = self.norm2(latents)
        key, value = self.to_kv(torch.cat([self.norm1(features), latents], dim=1)).chunk(2, dim=-1)
        return self.to_out(attend(self.to_q(latents), key, value, self.heads))


class Resampler(nn.Module):
    """CLIP features of a garment photo -> a few image tokens.

    Source: Flamingo's Perceiver resampler (Alayrac et al. 2022) as IP-Adapter Plus uses it (Ye et al. 2023).
    """

    def __init__(
        self,
        *,
        dim: int,
        depth: int,
        dim_head: int,
        heads: int,
        num_queries: int,
        embedding_dim: int,
        output_dim: int,
        ff_mult: int,
    ) -> None:
        super().__init__()
        self.dim_head = dim_head
        self.latents = nn.Parameter(torch.randn(1, num_queries, dim) / dim**0.5)
        self.proj_in = nn.Linear(embedding_dim, dim)
        self.proj_out = nn.Linear(dim, output_dim)
        self.norm_out = nn.LayerNorm(output_dim)
        self.layers = nn.ModuleList(
            nn.ModuleList([LatentAttention(dim, dim_head, heads), feed_forward(dim, ff_mult)])
            for _ in range(depth)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Turn (B, F, embedding_dim) features into (B, Q, output_dim) tokens."""
        tokens = self.latents.expand(features.shape[0], -1, -1)
        features = self.proj_in(features)
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            attention, feed = layer
            tokens = attention(features, tokens) + tokens
            tokens = feed(tokens) + tokens
        return self.norm_out(self.proj_out(tokens))


def feed_forward(dim: int, mult: int) -> nn.Sequential:
    """Return a pre-normed two-layer perceptron."""
    return nn.Sequential(
        nn.LayerNorm(dim),
        nn.Linear(dim, dim * mult, bias=False),
        nn.GELU(),
        nn.Linear(dim * mult, dim, bias=False),
    )


class TryOnCrossAttention(nn.Module):
    """Cross-attention to the text, plus decoupled attention to the image tokens and to the size tokens.

    The image's keys and values are weights of this layer; those of the size come ready-made from the adapter,
    so that the base holds no weight of it.
    """

    def __init__(self, layer: str, channels: int, cross_attention_dim: int) -> None:
        super().__init__()
        self.layer = layer
        self.to_k_ip = nn.Linear(cross_attention_dim, channels, bias=False)
        self.to_v_ip = nn.Linear(cross_attention_dim, channels, bias=False)

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,  # noqa: ARG002 - diffusers passes it
        temb: Tensor | None = None,  # noqa: ARG002
        garment_tokens: Mapping[str, Tensor] | None = None,  # noqa: ARG002 - unnamed arguments make diffusers warn
        image_tokens: Tensor | None = None,
        size_tokens: SizeTokens | None = None,
    ) -> Tensor:
        """Attend from (B, P, C) `hidden_states`; without image and size tokens as a stock layer does."""
        batch, query = hidden_states.shape[0], attn.to_q(hidden_states)
        text = encoder_hidden_states
        attended = attend(query, attn.to_k(text), attn.to_v(text), attn.heads)
        if image_tokens is not None:
            key, value = self.to_k_ip(image_tokens), self.to_v_ip(image_tokens)
            attended = attended + attend(query, key, value, attn.heads)
        if size_tokens is not None:
            key, value = (expand_batch(tokens, batch) for tokens in size_tokens[self.layer])
            attended = attended + attend(query, key, value, attn.heads)
        return project_out(attn, attended)


def install_tryon_attention(unet: UNet2DConditionModel) -> None:
    """Make `unet` accept garment, image and size tokens in `cross_attention_kwargs`.

    Adds `to_k_ip` and `to_v_ip` to every `attn2`, the value projection zero, so the output stays what it was.
    """
    unet.set_attn_processor(
        {name: processor_for(unet, name.removesuffix(".processor")) for name in unet.attn_processors}
    )


def processor_for(unet: UNet2DConditionModel, layer: str) -> TryOnSelfAttention | TryOnCrossAttention:
    """Return the processor of the attention layer called `layer`."""
    attn = unet.get_submodule(layer)
    if layer.endswith(SELF_ATTENTION):
        return TryOnSelfAttention(layer)
    processor = TryOnCrossAttention(layer, attn.inner_dim, attn.cross_attention_dim)
    nn.init.zeros_(processor.to_v_ip.weight)
    return processor.to(attn.to_q.weight)


def cross_attention_layers(unet: UNet2DConditionModel) -> dict[str, int]:
    """Return the channels of every cross-attention layer of `unet` by its name."""
    layers = [name.removesuffix(".processor") for name in unet.attn_processors]
    return {name: unet.get_submodule(name).inner_dim for name in layers if not name.endswith(SELF_ATTENTION)}
