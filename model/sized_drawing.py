"""Draw one person in one garment at several sizes.

Shapes: N sizes, H x W the model's picture, h x w the latent grid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import body_maps
from model.bases.base import SizeCondition
from model.bases.sdxl.conditioning import Conditioning, decode_latents, encode_conditioning, to_uint8
from model.bases.sdxl.networks import TryOnBase
from model.sampling import sample_tryon


@dataclass(frozen=True, kw_only=True, slots=True)
class OnePerson:
    """A person and a garment as the networks see them: a batch of one."""

    image: NDArray[np.uint8]
    """(1, H, W, 3) RGB."""

    cloth: NDArray[np.uint8]
    """(1, H, W, 3) RGB."""

    densepose: NDArray[np.uint8]
    """(1, H, W, 3) RGB."""

    inpaint_mask: NDArray[np.bool_]
    """(1, H, W)."""

    captions: list[str]
    """One description of the garment."""

    keypoints: NDArray[np.float32]
    """(1, 25, 3) x, y in px of `image`, confidence; NaN where missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawingOptions:
    """How pictures are sampled."""

    num_steps: int
    """Denoising steps."""

    seed: int = 0
    """Of the noise, which all sizes share."""

    text_guidance: float = 1.0
    """1 is off."""

    size_guidance: float = 1.0
    """1 is off."""

    size_scale: float = 1.0
    """Strength of the size; at 0 the base draws alone."""

    batch_size: int = 8
    """Sizes drawn together."""

    def __post_init__(self) -> None:
        if not 1 <= self.num_steps <= 1000:
            raise ValueError(f"num_steps must be 1 to 1000, got {self.num_steps}")
        for name in ("text_guidance", "size_guidance", "size_scale"):
            if not 0 <= getattr(self, name) <= 20:
                raise ValueError(f"{name} must be 0 to 20, got {getattr(self, name)}")


@torch.no_grad()
def draw_sizes(
    base: TryOnBase,
    adapter: SizeAdapter,
    person: OnePerson,
    ratios: NDArray[np.float64],
    options: DrawingOptions,
    on_step: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draw a person at several sizes from one noise.

    Args:
        base: The networks.
        adapter: Of the same base.
        person: Who wears what.
        ratios: (N, 3) requested, NaN where open.
        options: Of the sampler.
        on_step: Told after each step how many are done, and of how many.

    Returns:
        (N, H, W, 3) uint8 pictures, and (N, h, w) size maps: how probable the garment is, 0 to 1.
    """
    conditioning = encode_conditioning(base, person)
    noise = noise_of(options.seed, conditioning.masked_latents)
    unknown = size_of(adapter, person, np.full((1, ratios.shape[1]), np.nan), conditioning)
    pictures, maps = [], []
    for start in range(0, len(ratios), options.batch_size):
        size = size_of(adapter, person, ratios[start : start + options.batch_size], conditioning)
        latents = sample_tryon(
            base,
            conditioning,
            size=size.scaled(options.size_scale),
            size_unknown=unknown.scaled(options.size_scale),
            num_steps=options.num_steps,
            text_guidance=options.text_guidance,
            size_guidance=options.size_guidance,
            noise=noise,
            on_step=whole_work(on_step, start, len(size.embedding), len(ratios)),
        )
        with base.resident(base.vae):
            pictures.append(to_uint8(decode_latents(base.vae, latents)).cpu().numpy())
        maps.append(size_maps(size))
    return np.concatenate(pictures), np.concatenate(maps)


def size_of(
    adapter: SizeAdapter, person: OnePerson, ratios: NDArray[np.float64], conditioning: Conditioning
) -> SizeCondition:
    """Return the adapter's condition for (N, 3) ratios, NaN where open."""
    image_hw = (person.image.shape[1], person.image.shape[2])
    like = conditioning.mask
    maps = body_maps(torch.from_numpy(person.keypoints), image_hw, (like.shape[2], like.shape[3]))
    garment = conditioning.image_tokens.mean(dim=1).expand(len(ratios), -1)
    return adapter(
        torch.from_numpy(ratios).to(like),
        maps.to(like).repeat(len(ratios), 1, 1, 1),
        garment_features=garment,
    )


def size_maps(size: SizeCondition) -> NDArray[np.float32]:
    """Return (N, h, w) probabilities of the garment; (N, 0, 0) of an adapter that draws no map."""
    if size.layout_logits is None:
        return np.zeros((len(size.embedding), 0, 0), np.float32)
    return size.layout_logits[:, 0].float().sigmoid().cpu().numpy()


def noise_of(seed: int, like: Tensor) -> Tensor:
    """Return the noise of a seed, shaped like (1, C, h, w); the same on every device."""
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed)).to(like)


def whole_work(on_step: Any, start: int, batch: int, num_sizes: int) -> Callable[[int, int], None] | None:
    """Turn progress within a batch of sizes into progress of all of them."""
    if on_step is None:
        return None
    return lambda step, steps: on_step(start * steps + step * batch, num_sizes * steps)
