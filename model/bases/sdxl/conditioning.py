"""What the networks are told: photos, texts and masks, encoded once and kept as tensors.

Shapes: B batch, H x W the picture, h x w the latent grid, L text tokens, C text channels, P pooled channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPTokenizer

from model.adapter.body_maps import body_maps

if TYPE_CHECKING:
    from model.bases.sdxl.networks import TryOnBase

__all__ = [
    "Conditioning",
    "Photos",
    "body_maps",
    "decode_latents",
    "encode_conditioning",
    "encode_garment_image",
    "encode_images",
    "encode_text",
    "from_uint8",
    "to_uint8",
]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

GARMENT_PROMPT = "a photo of {}"
PERSON_PROMPT = "model is wearing {}"


class Photos(Protocol):
    """A batch as the stream gives it: uint8 arrays or tensors."""

    @property
    def image(self) -> Any:
        """(B, H, W, 3) RGB, the person."""

    @property
    def cloth(self) -> Any:
        """(B, H, W, 3) RGB, the garment."""

    @property
    def densepose(self) -> Any:
        """(B, H, W, 3) RGB."""

    @property
    def inpaint_mask(self) -> Any:
        """(B, H, W), 1 where the picture is to be made."""

    @property
    def captions(self) -> list[str]:
        """One description a garment."""


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """Everything but noise, time and size that the two UNets read."""

    mask: Tensor
    """(B, 1, h, w), 1 where the picture is to be made."""

    masked_latents: Tensor
    """(B, 4, h, w), the person with the mask's region grey."""

    densepose_latents: Tensor
    """(B, 4, h, w)."""

    text: Tensor
    """(B, L, C)."""

    pooled_text: Tensor
    """(B, P)."""

    time_ids: Tensor
    """(B, 6) original height and width, crop top and left, target height and width (px)."""

    image_tokens: Tensor
    """(B, 16, C) from the resampler."""

    garment_latents: Tensor
    """(B, 4, h, w)."""

    garment_text: Tensor
    """(B, L, C)."""

    def map(self, change: Callable[[Tensor], Tensor]) -> Conditioning:
        """Return a copy with `change` applied to every tensor."""
        return replace(self, **{field.name: change(getattr(self, field.name)) for field in fields(self)})

    def select(self, index: Any) -> Conditioning:
        """Return the rows at `index`: a slice, a list or an index tensor."""
        return self.map(lambda x: x[index])

    def repeat(self, num: int) -> Conditioning:
        """Return every row `num` times, the copies of a row behind one another."""
        return self.map(lambda x: x.repeat_interleave(num, dim=0))

    def to(self, *args: Any) -> Conditioning:
        """Return a copy on another device or in another floating-point type."""
        return self.map(lambda x: x.to(*args))

    def without_text(self) -> Conditioning:
        """Return the unconditional branch of text guidance: zero text and image tokens, as in SDXL."""
        names = ("text", "pooled_text", "image_tokens")
        return replace(self, **{name: torch.zeros_like(getattr(self, name)) for name in names})


def from_uint8(pixels: Any) -> Tensor:
    """Return (B, H, W, 3) uint8 as (B, 3, H, W) float32 in -1 .. 1."""
    return torch.as_tensor(pixels).movedim(-1, 1).float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Return (B, 3, H, W) floats in -1 .. 1 as (B, H, W, 3) uint8; the inverse of `from_uint8`."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).movedim(1, -1)


def encode_images(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """Return the scaled (B, 4, h, w) latents of (B, 3, H, W) images in -1 .. 1, the mode of the posterior."""
    return vae.encode(images.to(vae.dtype)).latent_dist.mode() * vae.config.scaling_factor


def decode_latents(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Return the (B, 3, H, W) images in -1 .. 1 of scaled latents; the inverse of `encode_images`."""
    return vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample.float().clamp(-1, 1)


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


def encode_text(base: TryOnBase, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return both text encoders' penultimate states (B, L, C) and the second's pooled text (B, P)."""
    states: list[Tensor] = []
    pooled: Tensor | None = None
    for tokenizer, encoder in base.text_stages():
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


def encode_garment_image(base: TryOnBase, images: Tensor) -> Tensor:
    """Return the CLIP features (B, F, D) before the last layer of (B, 3, H, W) garment photos in -1 .. 1."""
    encoder = base.image_encoder
    pixels = clip_pixels(images, encoder.config.image_size)
    return encoder(pixels.to(encoder.dtype), output_hidden_states=True).hidden_states[-2]


def time_ids_of(original_hw: Sequence[int], target_hw: Sequence[int], batch: int) -> Tensor:
    """Return SDXL's (B, 6) size conditions of an uncropped picture (px)."""
    return torch.tensor([[*original_hw, 0, 0, *target_hw]], dtype=torch.float32).repeat(batch, 1)


def encode_conditioning(base: TryOnBase, photos: Photos, *, text: bool = True) -> Conditioning:
    """Encode a batch of photos, masks and captions.

    Args:
        base: Encodes; its gradients are the caller's business (`torch.no_grad`).
        photos: The batch.
        text: Whether the captions count; without them both texts are empty.

    Returns:
        The conditioning, on the base's device.
    """
    encoders = (encoder for _, encoder in base.text_stages())
    with base.resident(base.vae, *encoders, base.image_encoder, base.resampler):
        return encode_parts(base, photos, photos.captions if text else [""] * len(photos.image))


def encode_parts(base: TryOnBase, photos: Photos, captions: Sequence[str]) -> Conditioning:
    """Encode photos, masks and captions with encoders that are where they run."""
    image, cloth, densepose = (
        from_uint8(pixels).to(base.device) for pixels in (photos.image, photos.cloth, photos.densepose)
    )
    hole = torch.as_tensor(photos.inpaint_mask).to(base.device).float()[:, None]
    states, pooled = encode_text(base, [PERSON_PROMPT.format(caption) for caption in captions])
    garment_states, _ = encode_text(base, [GARMENT_PROMPT.format(caption) for caption in captions])
    masked_latents = encode_images(base.vae, image * (1 - hole))
    image_hw = image.shape[2:]
    return Conditioning(
        mask=F.interpolate(hole, masked_latents.shape[2:]).to(masked_latents.dtype),
        masked_latents=masked_latents,
        densepose_latents=encode_images(base.vae, densepose),
        text=states,
        pooled_text=pooled,
        time_ids=time_ids_of(image_hw, image_hw, len(image)).to(base.device),
        image_tokens=base.resampler(encode_garment_image(base, cloth)),
        garment_latents=encode_images(base.vae, cloth),
        garment_text=garment_states,
    )
