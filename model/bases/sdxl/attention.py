"""Attention arithmetic shared by the processors and the resampler. N queries, M keys, C channels, H heads."""

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Scaled dot-product attention of (B, N, C) over (B, M, C) in `heads` heads; returns (B, N, C)."""
    query, key, value = (split_heads(tokens, heads) for tokens in (query, key, value))
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def attend_in_chunks(query: Tensor, key: Tensor, value: Tensor, heads: int, chunk: int | None) -> Tensor:
    """`attend` for `chunk` queries at a time, which bounds the scores that are held; None: all at once."""
    if chunk is None or query.shape[1] <= chunk:
        return attend(query, key, value, heads)
    return torch.cat([attend(part, key, value, heads) for part in query.split(chunk, dim=1)], dim=1)


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """Return (B, N, C) as (B, H, N, C / H)."""
    return tokens.unflatten(2, (heads, -1)).transpose(1, 2)


def project_out(attn: Attention, hidden_states: Tensor) -> Tensor:
    """Apply the output layer and dropout of a transformer block's `attn`."""
    return attn.to_out[1](attn.to_out[0](hidden_states))


def expand_batch(tokens: Tensor, batch: int) -> Tensor:
    """Share (1, N, C) tokens over a batch; (B, N, C) tokens stay as they are."""
    return tokens.expand(batch, -1, -1) if tokens.shape[0] == 1 else tokens
