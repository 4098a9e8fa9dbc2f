"""The straightforward garment attention, to compare with: concatenate, attend over everything, slice."""

from collections.abc import Mapping

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor

from model.bases.sdxl.garment_attention import SELF_ATTENTION


class ConcatenateAndSlice:
    """IDM-VTON's formulation on the stock attention: garment queries and outputs are thrown away."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        self.attend = AttnProcessor2_0()

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,  # noqa: ARG002
        attention_mask: Tensor | None = None,  # noqa: ARG002
        temb: Tensor | None = None,  # noqa: ARG002
        garment_tokens: Mapping[str, Tensor] | None = None,
        image_tokens: Tensor | None = None,  # noqa: ARG002
        size_tokens: object = None,  # noqa: ARG002
    ) -> Tensor:
        assert garment_tokens is not None
        both = torch.cat([hidden_states, garment_tokens[self.layer]], dim=1)
        return self.attend(attn, both)[:, : hidden_states.shape[1]]


def use_concatenate_and_slice(unet: UNet2DConditionModel) -> None:
    """Give every self-attention of a try-on UNet the straightforward processor; the weights stay."""
    for name in [name for name in unet.attn_processors if name.endswith(f"{SELF_ATTENTION}.processor")]:
        layer = name.removesuffix(".processor")
        unet.get_submodule(layer).set_processor(ConcatenateAndSlice(layer))
