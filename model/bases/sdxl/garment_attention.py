"""Let the try-on UNet look at the garment: IDM-VTON's idea on stock diffusers UNets, no UNet code copied.

A frozen garment UNet runs on the clean garment latents; `garment_tokens_of` keeps what its self-attention
layers see. In the try-on UNet, `TryOnSelfAttention` offers those tokens as extra keys and values to the
self-attention layer of the same name; `TryOnCrossAttention` looks at text, image tokens and size tokens.

Shapes: B batch, N queries, M keys, P person tokens, G garment tokens, C channels of the layer, H heads.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

GarmentTokens = Mapping[str, Tensor]
"""(B, G, C) per self-attention layer, keyed by the layer's name, in the order in which they were computed."""

GarmentKeys = Mapping[str, tuple[Tensor, Tensor]]
"""The same tokens as the try-on UNet's keys and values: for many steps of a garment, at twice the memory."""

SELF_ATTENTION = "attn1"
"""What diffusers calls the self-attention of a BasicTransformerBlock."""


class TryOnSelfAttention:
    """Self-attention whose queries are the person and whose keys and values are person and garment.

    Equal to IDM-VTON's concatenate, attend, keep the person half (src/attentionhacked_tryon.py,
    BasicTransformerBlock.forward), without the garment queries and outputs that it throws away.
    """

    def __init__(self, layer: str) -> None:
        self.layer = layer
        self.chunk: int | None = None
        """So many queries attend at a time; None: all at once."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,  # noqa: ARG002 - diffusers passes it
        attention_mask: Tensor | None = None,  # noqa: ARG002
        temb: Tensor | None = None,  # noqa: ARG002
        garment_tokens: GarmentTokens | GarmentKeys | None = None,
        image_tokens: Tensor | None = None,  # noqa: ARG002 - unnamed arguments make diffusers warn
        size_tokens: Mapping[str, tuple[Tensor, Tensor]] | None = None,  # noqa: ARG002
    ) -> Tensor:
        """Attend from (B, P, C) `hidden_states`; without `garment_tokens` this is stock self-attention.

        A garment with batch 1 is shared by the whole batch, and so are its keys and values.
        """
        key, value = attn.to_k(hidden_states), attn.to_v(hidden_states)
        if garment_tokens is not None:
            garment = keys_and_values(attn, garment_tokens[self.layer])
            batch = hidden_states.shape[0]
            key = torch.cat([key, expand_batch(garment[0], batch)], dim=1)
            value = torch.cat([value, expand_batch(garment[1], batch)], dim=1)
        query = attn.to_q(hidden_states)
        return project_out(attn, attend_in_chunks(query, key, value, attn.heads, self.chunk))


def keys_and_values(attn: Attention, garment: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Project (B, G, C) garment tokens by a try-on layer, unless that has been done."""
    return garment if isinstance(garment, tuple) else (attn.to_k(garment), attn.to_v(garment))


def garment_keys(tryon_unet: UNet2DConditionModel, tokens: GarmentTokens) -> GarmentKeys:
    """Project the garment tokens once for all steps; they take the place of `garment_tokens`."""
    return {layer: keys_and_values(tryon_unet.get_submodule(layer), seen) for layer, seen in tokens.items()}


class _AllTokensSeen(Exception):  # noqa: N818 - it ends a forward pass and is no error
    """The last self-attention layer has been reached: nothing behind it is needed."""


def garment_tokens_of(
    garment_unet: UNet2DConditionModel, *args: Tensor, **kwargs: object
) -> dict[str, Tensor]:
    """Run `garment_unet` as far as the input of its last self-attention and return what each layer saw.

    Args:
        garment_unet: A stock UNet; not under gradient checkpointing, whose recomputation would not stop.
        *args: Its positional arguments (latents, timesteps, text).
        **kwargs: Its other arguments.
    """
    tokens: dict[str, Tensor] = {}
    hooks = keep_inputs(garment_unet, tokens, stop=True)
    try:
        with suppress(_AllTokensSeen):
            garment_unet(*args, **kwargs)
    finally:
        for hook in hooks:
            hook.remove()
    return tokens


def keep_inputs(unet: UNet2DConditionModel, seen: dict[str, Tensor], *, stop: bool) -> list[RemovableHandle]:
    """Have what enters each self-attention left in `seen`, by layer; `stop`: the last one ends the pass."""
    layers = {name: module for name, module in unet.named_modules() if name.endswith(SELF_ATTENTION)}

    def keep_input_of(layer: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            seen[layer] = args[0]
            if stop and len(seen) == len(layers):
                raise _AllTokensSeen

        return hook

    return [module.register_forward_pre_hook(keep_input_of(name)) for name, module in layers.items()]


def compiled_garment_tokens(garment_unet: UNet2DConditionModel) -> Callable[..., dict[str, Tensor]]:
    """Return `garment_tokens_of` of one UNet, compiled to a single graph.

    An exception would break the graph, and so would hooks that come and go: these stay, and nothing ends the
    pass early. What lies behind the last layer has no part in the graph's outputs, so it isn't computed.
    """
    seen: dict[str, Tensor] = {}
    keep_inputs(garment_unet, seen, stop=False)

    @torch.compile(dynamic=False)
    def run(*args: Tensor) -> dict[str, Tensor]:
        garment_unet(*args)
        return dict(seen)

    def tokens_of(*args: Tensor) -> dict[str, Tensor]:
        seen.clear()  # else a graph would depend on what the last pass left
        tokens = run(*args)
        seen.clear()
        return tokens

    return tokens_of


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
