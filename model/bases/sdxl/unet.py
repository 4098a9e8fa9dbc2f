"""Change the ends of a pretrained SDXL UNet without changing what it computes at step 0."""

from collections.abc import Sequence
from typing import Any

from diffusers import UNet2DConditionModel
from torch import Tensor, nn


def widen_conv_in(unet: UNet2DConditionModel, in_channels: int) -> None:
    """Let `unet` read `in_channels` latent channels; the new ones start with zero weight."""
    old = unet.conv_in
    new = nn.Conv2d(in_channels, old.out_channels, old.kernel_size, old.stride, old.padding)
    new.load_state_dict({"weight": pad_inputs(old.weight, in_channels), "bias": old.bias})
    unet.conv_in = new.to(old.weight)
    unet.register_to_config(in_channels=in_channels)


def pad_inputs(weight: Tensor, width: int) -> Tensor:
    """Return (O, I, ...) `weight` as (O, width, ...): the old inputs first, zeros behind."""
    padded = weight.new_zeros(weight.shape[0], width, *weight.shape[2:])
    padded[:, : weight.shape[1]] = weight.detach()
    return padded


def open_time_embedding(unet: UNet2DConditionModel) -> None:
    """Let the stock `class_labels` add a ready-made vector to the time embedding. Adds no weights."""
    if not isinstance(unet.class_embedding, (nn.Identity, type(None))):
        raise ValueError("the UNet has a class embedding of its own; the size needs that input for itself")
    unet.class_embedding = nn.Identity()


def num_skips(unet: UNet2DConditionModel) -> int:
    """Return how many feature maps the down half of `unet` hands over to the up half."""
    return 1 + sum(len(block.resnets) + int(block.downsamplers is not None) for block in unet.down_blocks)


def add_to_first_skips(unet: UNet2DConditionModel, skips: Sequence[Tensor]) -> dict[str, Any]:
    """Return the arguments that make `unet` add `skips` to the first feature maps it hands over.

    They are ControlNet's; a plain zero stands for the other maps and for the middle block.
    """
    rest = [0.0] * (num_skips(unet) - len(skips))
    return {"down_block_additional_residuals": [*skips, *rest], "mid_block_additional_residual": 0.0}
