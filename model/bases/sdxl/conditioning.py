"""What IDM-VTON's networks are told: photos, texts and masks, encoded once and kept as tensors.

Shapes: B batch, H x W the picture, h x w the latent grid, L text tokens, C text channels, P pooled channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map_only
from transformers import CLIPTokenizer, CLIPVisionModelWithProjection

from model.bases.conditions import Conditioning
from model.pixels import sent

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

GARMENT_PROMPT = "a photo of {}"
PERSON_PROMPT = "model is wearing {}"

NEGATIVE_PROMPT = "monochrome, lowres, bad anatomy, worst quality, low quality"
"""What IDM-VTON's own code guides away from (its inference.py)."""

GUIDED = ("text", "pooled_text", "image_tokens")
"""What text guidance is about, beside the garment's tokens."""


@dataclass(frozen=True, kw_only=True)
class SdxlConditioning(Conditioning):
    """Everything but noise, time and size that the two UNets read."""

    masked_latents: Tensor
    """(B, C, h, w), the person with the mask's region grey."""

    densepose_latents: Tensor
    """(B, C, h, w)."""

    text: Tensor
    """(B, L, C)."""

    pooled_text: Tensor
    """(B, P)."""

    time_ids: Tensor
    """(B, 6) original height and width, crop top and left, target height and width (px)."""

    image_tokens: Tensor
    """(B, 16, C) from the resampler."""

    garment_latents: Tensor
    """(B, C, h, w)."""

    garment_text: Tensor
    """(B, L, C)."""

    laid_garment: Tensor | None = None
    """(B, C, h, w) latents of the garment laid over the person; None for networks that don't read any."""

    nothing: Mapping[str, Tensor] = field(default_factory=dict)
    """By the names in `GUIDED`, of B rows, what stands for them in the other branch of text guidance; zeros
    where there is none."""

    @property
    def canvas(self) -> Tensor:
        """(B, C, h, w): the person's latents are denoised."""
        return self.masked_latents

    @property
    def garment_features(self) -> Tensor:
        """(B, C) the mean of the image tokens."""
        return self.image_tokens.mean(dim=1)

    def unconditional(self, rows: Tensor | None = None) -> Self:
        """Return the branch of `nothing` in place of text and image tokens, and of zero garment tokens."""
        hidden = self.text.new_ones(len(self.text)).bool() if rows is None else rows
        told: dict[str, Any] = {
            name: hide(getattr(self, name), hidden, self.nothing.get(name)) for name in GUIDED
        }
        if rows is None:  # a row stands for all
            unseen = tree_map_only(Tensor, lambda x: x[:1] * 0, self.garment)
        else:
            unseen = tree_map_only(Tensor, lambda x: hide(x, rows), self.garment)
        laid = None if self.laid_garment is None else hide(self.laid_garment, hidden)
        return replace(self, **told, garment=unseen, laid_garment=laid)


def hide(told: Tensor, rows: Tensor, instead: Tensor | None = None) -> Tensor:
    """Return (B, ...) with zeros, or what is given `instead`, in those of (B,) bool `rows`."""
    hidden = rows.reshape(-1, *[1] * (told.dim() - 1))
    return told.masked_fill(hidden, 0.0) if instead is None else torch.where(hidden, instead, told)


def tokenize(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> Tensor:
    """Return (B, L) token numbers, padded and cut to the tokenizer's length."""
    encoded = tokenizer(
        list(captions),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    return encoded.input_ids


def encode_text(
    stages: Sequence[tuple[CLIPTokenizer, Any]], captions: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Return both text encoders' penultimate states (B, L, C) and the second's pooled text (B, P)."""
    states: list[Tensor] = []
    pooled: Tensor | None = None
    for tokenizer, encoder in stages:
        ids = sent(tokenize(tokenizer, captions), encoder.device)
        encoded = encoder(ids, output_hidden_states=True)
        states.append(encoded.hidden_states[-2])
        pooled = encoded[0]
    assert pooled is not None
    return torch.cat(states, dim=-1), pooled


def clip_pixels(images: Tensor, side: int, *, whole: bool = True) -> Tensor:
    """Return (B, 3, H, W) images in -1 .. 1 as CLIP wants them: (B, 3, side, side), normalised.

    Args:
        images: Of any size.
        side: Of what CLIP sees (px).
        whole: Squash all of the picture into the square; else the square in its middle is taken, as by CLIP's
            own processor, with which IP-Adapter and IDM-VTON were trained.
    """
    shorter = min(images.shape[2:])
    size = [side if whole else int(side * length / shorter) for length in images.shape[2:]]
    small = F.interpolate(images.float(), size, mode="bicubic", antialias=True).clamp(-1, 1)
    top, left = ((length - side) // 2 for length in size)
    small = small[..., top : top + side, left : left + side]
    mean, std = (
        sent(values, images.device, images.dtype).view(1, 3, 1, 1) for values in (CLIP_MEAN, CLIP_STD)
    )
    return ((small + 1) / 2 - mean) / std


def clip_features(encoder: CLIPVisionModelWithProjection, pixels: Tensor) -> Tensor:
    """Return the features (B, F, D) before the last layer of what `clip_pixels` returned."""
    return encoder(pixels.to(encoder.dtype), output_hidden_states=True).hidden_states[-2]


def time_ids_of(original_hw: Sequence[int], target_hw: Sequence[int], batch: int) -> Tensor:
    """Return SDXL's (B, 6) size conditions of an uncropped picture (px)."""
    return torch.tensor([[*original_hw, 0, 0, *target_hw]], dtype=torch.float32).repeat(batch, 1)
