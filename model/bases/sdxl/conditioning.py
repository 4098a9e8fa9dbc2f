"""What IDM-VTON's networks are told: photos, texts and masks, encoded once and kept as tensors.

Shapes: B batch, H x W the picture, h x w the latent grid, L text tokens, C text channels, P pooled channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map_only
from transformers import CLIPTokenizer, CLIPVisionModelWithProjection

from model.bases.conditions import Conditioning

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

GARMENT_PROMPT = "a photo of {}"
PERSON_PROMPT = "model is wearing {}"


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

    @property
    def canvas(self) -> Tensor:
        """(B, C, h, w): the person's latents are denoised."""
        return self.masked_latents

    @property
    def garment_features(self) -> Tensor:
        """(B, C) the mean of the image tokens."""
        return self.image_tokens.mean(dim=1)

    def unconditional(self, rows: Tensor | None = None) -> Self:
        """Return the branch with zero text, image tokens and garment tokens, as in SDXL and IDM-VTON."""
        if rows is None:
            names = ("text", "pooled_text", "image_tokens")
            nothing = {name: torch.zeros_like(getattr(self, name)) for name in names}
            laid = None if self.laid_garment is None else torch.zeros_like(self.laid_garment)
            unseen = tree_map_only(Tensor, lambda x: x[:1] * 0, self.garment)
            return replace(self, **nothing, garment=unseen, laid_garment=laid)
        kept = (~rows).to(self.text)
        laid = self.laid_garment
        return replace(
            self,
            text=self.text * kept[:, None, None],
            pooled_text=self.pooled_text * kept[:, None],
            image_tokens=self.image_tokens * kept[:, None, None],
            garment=tree_map_only(Tensor, lambda x: x.masked_fill(rows[:, None, None], 0.0), self.garment),
            laid_garment=None if laid is None else laid * kept[:, None, None, None],
        )


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
        ids = tokenize(tokenizer, captions)
        encoded = encoder(ids.to(encoder.device), output_hidden_states=True)
        states.append(encoded.hidden_states[-2])
        pooled = encoded[0]
    assert pooled is not None
    return torch.cat(states, dim=-1), pooled


def clip_pixels(images: Tensor, side: int) -> Tensor:
    """Return (B, 3, H, W) images in -1 .. 1 as CLIP wants them: (B, 3, side, side), normalised."""
    small = F.interpolate(images.float(), (side, side), mode="bicubic", antialias=True).clamp(-1, 1)
    mean, std = (images.new_tensor(values).view(1, 3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    return ((small + 1) / 2 - mean) / std


def encode_garment_image(encoder: CLIPVisionModelWithProjection, images: Tensor) -> Tensor:
    """Return the CLIP features (B, F, D) before the last layer of (B, 3, H, W) garment photos in -1 .. 1."""
    pixels = clip_pixels(images, encoder.config.image_size)
    return encoder(pixels.to(encoder.dtype), output_hidden_states=True).hidden_states[-2]


def time_ids_of(original_hw: Sequence[int], target_hw: Sequence[int], batch: int) -> Tensor:
    """Return SDXL's (B, 6) size conditions of an uncropped picture (px)."""
    return torch.tensor([[*original_hw, 0, 0, *target_hw]], dtype=torch.float32).repeat(batch, 1)
