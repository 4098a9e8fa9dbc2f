"""Pictures and sizes on their way into the transformer: one sequence of tokens, and hooks without state.

Shapes: B batch, C latent channels, h x w a grid of tokens, N all tokens, D the transformer's channels.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from diffusers import Flux2Transformer2DModel
from torch import Tensor, nn

from model.bases.base import Residual, Sites
from model.bases.conditions import SizeCondition
from model.pixels import sent

FRAME = 10
"""From a picture's first coordinate to the next one's: what is denoised is at 0."""

RESIDUALS = "size_residuals"
"""Key of `joint_attention_kwargs` by which residuals reach the blocks."""

KWARGS = "joint_attention_kwargs"

GUIDANCE_UNIT = 1000
"""By which the transformer multiplies its argument `guidance`."""

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def as_tokens(picture: Tensor) -> Tensor:
    """Return (B, C, h, w) as (B, h * w, C), row by row."""
    return picture.flatten(2).transpose(1, 2)


def as_grid(tokens: Tensor, height: int) -> Tensor:
    """Return (B, h * w, C) as (B, C, h, w)."""
    return tokens.transpose(1, 2).unflatten(2, (height, -1))


def picture_places(*pictures: Tensor) -> Tensor:
    """(N, 4) picture, row, column and 0 of every token of several (B, C, h, w) pictures."""
    places = []
    for number, picture in enumerate(pictures):
        sides = (torch.arange(side) for side in picture.shape[2:])
        places.append(torch.cartesian_prod(torch.tensor([FRAME * number]), *sides, torch.arange(1)))
    return sent(torch.cat(places), pictures[0].device)


def text_places(text: Tensor) -> Tensor:
    """(N, 4) zeros and the number of every token of (B, N, channels) embeddings."""
    places = torch.zeros(text.shape[1], 4, device=text.device)
    places[:, 3] = torch.arange(text.shape[1], device=text.device)
    return places


def sites_of(transformer: Flux2Transformer2DModel, garment_dim: int) -> Sites:
    """Return where an adapter can enter: what each double block reads of the person, and the time.

    No layer could attend to size tokens alone: all share one softmax.
    """
    width = transformer.inner_dim
    return Sites(
        time_dim=width,
        residuals=(Residual(0, width),) * len(transformer.transformer_blocks),
        tokens={},
        garment_dim=garment_dim,
        width=width,
    )


def open_for_size(transformer: Flux2Transformer2DModel) -> None:
    """Let `transformer` take what `size_inputs` returns. Adds no weights.

    Under gradient checkpointing a block runs again on the way back, hooks and all: these read arguments,
    which are the same then, and keep nothing.

    Raises:
        ValueError: It reads a strength of guidance, whose argument the size needs for itself.
    """
    if transformer.config.guidance_embeds:
        raise ValueError("the transformer must not read guidance, as klein does not")
    transformer.time_guidance_embed.register_forward_hook(shift_time)
    for number, block in enumerate(transformer.transformer_blocks):
        block.register_forward_pre_hook(entering(block, number), with_kwargs=True)
    for block in transformer.single_transformer_blocks:
        block.register_forward_pre_hook(entering(block, None), with_kwargs=True)


def size_inputs(size: SizeCondition | None) -> dict[str, Any]:
    """Return the transformer's arguments by which a size reaches it; None: the base alone."""
    if size is None:
        return {}
    return {
        "guidance": None if size.time is None else size.time / GUIDANCE_UNIT,
        KWARGS: size.residuals and {RESIDUALS: size.residuals},
    }


def shift_time(_module: nn.Module, args: tuple[Any, ...], embedding: Tensor) -> Tensor:
    """Return the (B, D) time embedding with what came as guidance added."""
    _, shift = args
    return embedding if shift is None else embedding + shift.to(embedding.dtype)


def entering(
    block: nn.Module, number: int | None
) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], Arguments | None]:
    """Return a hook that adds the residual of this `number`, if any, and hides residuals from the attention.

    They are added to the first tokens of the picture's stream, which are those that are denoised.
    """
    names = tuple(inspect.signature(block.forward).parameters)

    def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
        given = dict(zip(names, args, strict=False)) | kwargs  # by place under gradient checkpointing
        told = given[KWARGS]
        if told is None:
            return None
        rest = {name: value for name, value in told.items() if name != RESIDUALS}
        changed = given | {KWARGS: rest}
        if number is not None and RESIDUALS in told:
            changed["hidden_states"] = add_to_first(given["hidden_states"], told[RESIDUALS][number])
        return (), changed

    return hook


def add_to_first(tokens: Tensor, residual: Tensor) -> Tensor:
    """Return (B, N, D) with (B, D, h, w) added to the first h * w tokens."""
    added = as_tokens(residual).to(tokens.dtype)
    first, others = tokens.split([added.shape[1], tokens.shape[1] - added.shape[1]], dim=1)
    return torch.cat([first + added, others], dim=1)
