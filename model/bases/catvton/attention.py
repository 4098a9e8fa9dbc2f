"""Attention without text: cross-attention passes on what it gets, and size may speak there.

Shapes: B batch, N tokens of person and garment, S size tokens, C channels of the layer.
"""

from collections.abc import Mapping

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor

from model.bases.sdxl.garment_attention import SELF_ATTENTION, TryOnSelfAttention, attend, expand_batch


class TextlessCrossAttention:
    """Returns its input, and where there are size tokens what they say to the person, added.

    The block normalises its states, gives them to this layer and adds the answer: without text each token
    gets its own normed state again. The layer's weights are unused, but for the queries of the size tokens,
    whose values are ready-made: where those are zero, zero is added, and the last bit stays.
    """

    def __init__(self, layer: str) -> None:
        self.layer = layer

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,  # noqa: ARG002 - diffusers passes it
        attention_mask: Tensor | None = None,  # noqa: ARG002
        temb: Tensor | None = None,  # noqa: ARG002
        size_tokens: Mapping[str, tuple[Tensor, Tensor]] | None = None,
    ) -> Tensor:
        """Answer (B, N, C) `hidden_states`; the rows of the person are the first half of the N."""
        if size_tokens is None:
            return hidden_states
        person, garment = hidden_states.tensor_split(2, dim=1)
        key, value = (expand_batch(tokens, len(person)) for tokens in size_tokens[self.layer])
        said = attend(attn.to_q(person), key, value, attn.heads)
        return torch.cat([person + said, garment], dim=1)


def install_catvton_attention(unet: UNet2DConditionModel) -> None:
    """Let `unet` run without text, and take `size_tokens` in `cross_attention_kwargs`. Adds no weights."""
    processors: dict[str, TryOnSelfAttention | TextlessCrossAttention] = {}
    for name in unet.attn_processors:
        layer = name.removesuffix(".processor")
        kind = TryOnSelfAttention if layer.endswith(SELF_ATTENTION) else TextlessCrossAttention
        processors[name] = kind(layer)
    unet.set_attn_processor(processors)
