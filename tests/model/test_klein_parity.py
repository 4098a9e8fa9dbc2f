"""FLUX.2 klein without a size is diffusers' own pipeline: the same pictures of the same noise."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import Flux2KleinInpaintPipeline
from torch import Tensor
from torch.testing import assert_close

from model.bases.conditions import Photos
from model.bases.flux2_klein.loading import PARTS, pipeline_of
from model.params import DrawingOptions
from model.pixels import from_uint8
from model.sampling import sample_tryon
from tests.model.conftest import photos
from tests.model.klein import SmallKleinBase, small_klein

STEPS = 4


@pytest.fixture(scope="module")
def base() -> SmallKleinBase:
    return small_klein().requires_grad_(False)


@pytest.fixture(scope="module")
def stock(base: SmallKleinBase) -> Iterator[Flux2KleinInpaintPipeline]:
    pipeline = pipeline_of(**{part: getattr(base, part) for part in PARTS})
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def in_whole_tokens(mask: np.ndarray) -> np.ndarray:
    """Return (B, H, W) with all 16 x 16 px of a token made where one of them is."""
    whole = F.max_pool2d(torch.from_numpy(mask).float()[:, None], 16)
    return F.interpolate(whole, scale_factor=16)[:, 0].byte().numpy()


def noise_of(seed: int) -> Tensor:
    return torch.randn(2, 16, 4, 3, generator=torch.Generator().manual_seed(seed))


def drawn_by_diffusers(
    stock: Flux2KleinInpaintPipeline, batch: Photos, guidance: float, **noise: object
) -> Tensor:
    """(B, 3, H, W) in 0 .. 1: the person grey under the mask is the picture, the garment the reference."""
    hole = torch.from_numpy(batch.inpaint_mask).float()[:, None]
    return stock(
        prompt=[SmallKleinBase.prompt.format(caption) for caption in batch.captions],
        image=(from_uint8(batch.image) * (1 - hole) + 1) / 2,
        image_reference=(from_uint8(batch.cloth) + 1) / 2,
        mask_image=hole,
        strength=1.0,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        max_sequence_length=SmallKleinBase.text_tokens,
        text_encoder_out_layers=SmallKleinBase.text_layers,
        output_type="pt",
        **noise,
    ).images


@torch.no_grad()
def drawn_by_us(base: SmallKleinBase, batch: Photos, guidance: float, noise: Tensor, soft: bool) -> Tensor:
    told = base.told(batch)
    if soft:
        hole = torch.from_numpy(batch.inpaint_mask).float()[:, None]
        told = replace(told, mask=F.interpolate(hole, told.mask.shape[2:], mode="bilinear"))
    options = DrawingOptions(num_steps=STEPS, text_guidance=guidance)
    return (base.to_images(sample_tryon(base, told, options, noise=noise)) + 1) / 2


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_the_pictures_are_those_of_diffusers(
    base: SmallKleinBase, stock: Flux2KleinInpaintPipeline, guidance: float
) -> None:
    batch = photos()
    batch.inpaint_mask = in_whole_tokens(batch.inpaint_mask)
    theirs = drawn_by_diffusers(stock, batch, guidance, generator=torch.Generator().manual_seed(5))
    ours = drawn_by_us(base, batch, guidance, noise_of(5), soft=False)
    assert theirs.std() > 0.05
    assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_a_mask_that_cuts_tokens_is_theirs_but_for_what_is_made(
    base: SmallKleinBase, stock: Flux2KleinInpaintPipeline
) -> None:
    """Diffusers reads (0, 0.25, …, 1) from the middle of each token; with those ours is the same picture."""
    batch, noise = photos(), noise_of(7)
    batch.inpaint_mask = np.zeros_like(batch.inpaint_mask)
    batch.inpaint_mask[:, 8:50, 8:40] = 1
    theirs = drawn_by_diffusers(stock, batch, 4.0, latents=noise)
    assert_close(drawn_by_us(base, batch, 4.0, noise, soft=True), theirs, rtol=0, atol=1e-5)
    assert not torch.allclose(drawn_by_us(base, batch, 4.0, noise, soft=False), theirs, atol=1e-2)
