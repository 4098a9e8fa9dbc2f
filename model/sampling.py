"""From noise to latents, and back into the photo. B batch, h x w the latent grid, H x W the picture."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from numpy.typing import NDArray
from torch import Tensor

from model.bases.base import SizeCondition
from model.bases.sdxl.conditioning import Conditioning
from model.bases.sdxl.garment_attention import GarmentKeys, garment_keys
from model.bases.sdxl.networks import TryOnBase, garment_pass, predict_noise

Rows = TypeVar("Rows", Conditioning, SizeCondition)

SAMPLERS = {"ddim": DDIMScheduler, "unipc": UniPCMultistepScheduler, "dpmpp": DPMSolverMultistepScheduler}
"""Samplers by the name a user gives."""


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """How far the prediction is pushed along text and size; 1 is not at all, and costs nothing."""

    text: float = 1.0
    """Away from the prediction without text, image tokens and garment."""

    size: float = 1.0
    """Away from the prediction of an unknown size."""


@torch.no_grad()
def sample_tryon(
    base: TryOnBase,
    conditioning: Conditioning,
    *,
    size: SizeCondition | None = None,
    size_unknown: SizeCondition | None = None,
    num_steps: int = 30,
    text_guidance: float = 1.0,
    size_guidance: float = 1.0,
    noise: Tensor | None = None,
    generator: torch.Generator | None = None,
    sampler: str = "ddim",
    garment_refresh: int = 0,
    on_step: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Sample latents of the person in the garment.

    Args:
        base: The networks.
        conditioning: Of B rows; one row is shared by all sizes, and so is its garment pass.
        size: Of B rows, from the adapter; without it the base samples alone.
        size_unknown: The adapter's answer to unknown ratios, of one row or B; only size guidance needs it.
        num_steps: Steps of the sampler.
        text_guidance: Weight of the difference that text and garment make; 1 is off.
        size_guidance: Weight of the difference that the size makes; 1 is off.
        noise: (B or 1, 4, h, w); drawn from `generator` when None. One row gives every size the same start.
        generator: Source of the noise.
        sampler: One of `SAMPLERS`.
        garment_refresh: Run the garment UNet at every n-th step's own time; 0 runs it once, at time 0.
        on_step: Told after each step how many are done, and of how many; it may raise to stop.

    Returns:
        (B, 4, h, w) latents.

    Raises:
        ValueError: Size guidance is asked for without `size` and `size_unknown`, or the sampler is not known.
    """
    guidance = Guidance(text=text_guidance, size=size_guidance)
    if guidance.size != 1 and (size is None or size_unknown is None):
        raise ValueError("size_guidance other than 1 needs size and size_unknown, both from the adapter")
    scheduler = make_scheduler(base, sampler, num_steps)
    batch = len(conditioning.mask) if size is None else max(len(conditioning.mask), len(size.embedding))
    rows = widen(conditioning, batch)
    size = None if size is None else widen(size, batch)
    unknown = None if size_unknown is None else widen(size_unknown, batch)
    at = scheduler.timesteps[0] if garment_refresh else torch.zeros_like(scheduler.timesteps[0])
    tokens = garment_pass(base, conditioning, at)
    latents = initial_latents(rows, noise, generator) * scheduler.init_noise_sigma
    with base.resident(base.tryon_unet):
        keys = garment_keys(base.tryon_unet, tokens)
        for step, timestep in enumerate(scheduler.timesteps):
            if step and garment_refresh and step % garment_refresh == 0:
                keys = garment_keys(base.tryon_unet, garment_pass(base, conditioning, timestep))
            scaled = scheduler.scale_model_input(latents, timestep)
            prediction = guided(base, scaled, timestep, rows, keys, size, unknown, guidance)
            latents = scheduler.step(prediction, timestep, latents).prev_sample
            if on_step is not None:
                on_step(step + 1, num_steps)
    return latents


def guided(
    base: TryOnBase,
    latents: Tensor,
    timestep: Tensor,
    conditioning: Conditioning,
    keys: GarmentKeys,
    size: SizeCondition | None,
    size_unknown: SizeCondition | None,
    guidance: Guidance,
) -> Tensor:
    """Predict p + (t - 1) (p - p without text) + (s - 1) (p - p of unknown size); weights of 1 cost nothing.

    Source: classifier-free guidance (Ho & Salimans 2022) with one weight a condition, as in InstructPix2Pix.
    """
    full = predict_noise(base, latents, timestep, conditioning, keys, size)
    prediction = full
    if guidance.text != 1:
        nothing = {layer: (key[:1] * 0, value[:1] * 0) for layer, (key, value) in keys.items()}
        without = predict_noise(base, latents, timestep, conditioning.without_text(), nothing, size)
        prediction = prediction + (guidance.text - 1) * (full - without)
    if guidance.size != 1:
        without = predict_noise(base, latents, timestep, conditioning, keys, size_unknown)
        prediction = prediction + (guidance.size - 1) * (full - without)
    return prediction


def make_scheduler(base: TryOnBase, sampler: str, num_steps: int) -> Any:
    """Return a scheduler of the kind called `sampler` with the base's noise schedule, set to `num_steps`."""
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {sorted(SAMPLERS)}, got {sampler!r}")
    scheduler = SAMPLERS[sampler].from_config(base.scheduler.config)
    scheduler.set_timesteps(num_steps, device=base.device)
    return scheduler


def widen(rows: Rows, batch: int) -> Rows:
    """Repeat a conditioning of one row `batch` times; one of `batch` rows stays as it is."""
    num = len(rows.mask if isinstance(rows, Conditioning) else rows.embedding)
    if num not in (1, batch):
        raise ValueError(f"a batch of {batch} needs 1 or {batch} rows of conditioning, got {num}")
    return rows.repeat(batch) if num != batch else rows


def initial_latents(
    conditioning: Conditioning, noise: Tensor | None, generator: torch.Generator | None
) -> Tensor:
    """Return the (B, 4, h, w) noise to start from: that given, one row for all if it has one, or fresh."""
    like = conditioning.masked_latents
    if noise is None:
        source = generator.device if generator else like.device
        noise = torch.randn(like.shape, generator=generator, device=source)
    return noise.to(like).expand(like.shape)


def composite(
    photo: NDArray[np.uint8], generated: NDArray[np.uint8], mask: NDArray[Any], feather: float = 4.0
) -> NDArray[np.uint8]:
    """Put what was generated into the photo; outside the mask every pixel is the photo's own.

    Args:
        photo: (H, W, 3), or (B, H, W, 3).
        generated: Of the same shape.
        mask: (H, W), or (B, H, W); not 0 where the picture was made.
        feather: Width of the seam (px); it lies inside the mask.

    Returns:
        Of `photo`'s shape.
    """
    if mask.ndim == 3:
        rows = zip(photo, generated, mask, strict=True)
        return np.stack([composite(*row, feather) for row in rows])
    inside = cv2.distanceTransform((mask != 0).astype(np.uint8), cv2.DIST_L2, 5)
    weight = np.clip(inside / feather, 0, 1)[..., None]
    blend = photo + weight * (generated.astype(np.float32) - photo)
    return np.where(mask[..., None] != 0, blend.round().astype(np.uint8), photo)
