"""Change the ends of a pretrained SDXL UNet without changing what it computes at step 0."""

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
