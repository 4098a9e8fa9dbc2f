"""Put SDXL UNets together, and change their ends without changing what they compute at step 0."""

from collections.abc import Mapping, Sequence
from typing import Any

from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from model.bases.base import Residual, Sites
from model.bases.conditions import SizeCondition
from model.bases.sdxl.image_tokens import Resampler, cross_attention_layers, install_tryon_attention


def make_tryon_unet(config: Mapping[str, Any], resampler: Mapping[str, int]) -> UNet2DConditionModel:
    """Return a try-on UNet of stock parts, with random weights, or on the meta device where that is set.

    Args:
        config: Constructor arguments of the UNet.
        resampler: Those of the image-token resampler.
    """
    unet = UNet2DConditionModel.from_config(dict(config))
    install_tryon_attention(unet)
    unet.encoder_hid_proj = Resampler(**resampler)
    return unet


def sites_of(unet: UNet2DConditionModel) -> Sites:
    """Return where an adapter can enter a try-on UNet.

    Residuals are first the `down_intrablock_additional_residuals`, then what the first level hands over to
    the last: they alone have the whole latent grid.
    """
    narrowest = unet.config.block_out_channels[0]
    first_skips = [Residual(0, narrowest)] * (1 + len(unet.down_blocks[0].resnets))
    return Sites(
        time_dim=unet.time_embedding.linear_2.out_features,
        residuals=(*intrablock_residuals(unet), *first_skips),
        tokens=cross_attention_layers(unet),
        garment_dim=unet.config.cross_attention_dim,
        width=narrowest,
    )


def intrablock_residuals(unet: UNet2DConditionModel) -> list[Residual]:
    """Return where `unet` adds its `down_intrablock_additional_residuals`.

    A block with cross-attention adds before its downsampling, one without adds behind it; the middle block
    takes one more of its own shape (diffusers, UNet2DConditionModel.forward).
    """
    places, level = [], 0
    for block, channels in zip(unet.down_blocks, unet.config.block_out_channels, strict=True):
        halves = int(block.downsamplers is not None)
        attends = getattr(block, "has_cross_attention", False)
        places.append(Residual(level if attends else level + halves, channels))
        level += halves
    return [*places, Residual(level, unet.config.block_out_channels[-1])]


def num_intrablock_residuals(unet: UNet2DConditionModel) -> int:
    """Return how many of a UNet's residuals are within blocks: one in each going down, one in the middle."""
    return len(unet.down_blocks) + 1


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


def size_inputs(unet: UNet2DConditionModel, size: SizeCondition | None, sample: Tensor) -> dict[str, Any]:
    """Return the arguments by which a size reaches `unet`, but for its tokens.

    Args:
        unet: Has an open time embedding, which wants its input whether there is a size or not.
        size: With the residuals of `sites_of`, as large as the UNet's feature maps; None: the base alone.
        sample: (B, C, h, w) what the UNet reads.
    """
    inputs: dict[str, Any] = {"class_labels": sample.new_zeros(len(sample), 1)}
    if size is not None and size.time is not None:
        inputs["class_labels"] = size.time
    if size is not None and size.residuals is not None:
        within = num_intrablock_residuals(unet)
        inputs["down_intrablock_additional_residuals"] = list(size.residuals[:within])
        inputs |= add_to_first_skips(unet, size.residuals[within:])
    return inputs
