"""A tiny base with random weights, and a batch for it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from model.adapter.adapter import SizeAdapter
from model.bases.sdxl.conditioning import SdxlConditioning
from model.bases.sdxl.networks import SdxlBase
from model.bases.tiny.networks import TinyPreset, build_tiny_base

PRESET = TinyPreset(
    image_height=64, image_width=48, vae_width=8, latent_channels=4, unet_channels=(16, 32, 32)
)
LATENT_HW = (16, 12)
BATCH = 2


def photos(seed: int = 0, batch: int = BATCH) -> SimpleNamespace:
    """Return random pictures with a hole in the middle, named as in a batch of the stream."""
    generator = np.random.default_rng(seed)
    height, width = PRESET.image_height, PRESET.image_width
    shape = (batch, height, width, 3)
    mask = np.zeros((batch, height, width), dtype=np.uint8)
    mask[:, height // 4 : -height // 4, width // 4 : -width // 4] = 1
    names = ("image", "cloth", "densepose")
    pictures = {name: generator.integers(0, 256, shape, dtype=np.uint8) for name in names}
    return SimpleNamespace(
        **pictures,
        inpaint_mask=mask,
        captions=["a red t-shirt", "a long coat"][:batch],
        keypoints=keypoints(batch).numpy(),
        categories=["upper"] * batch,
    )


def keypoints(batch: int = BATCH) -> torch.Tensor:
    """Return an upright body in the middle of the picture, (B, 25, 3) px and confidence."""
    points = torch.zeros(25, 3)
    places = {
        0: (24, 8),
        1: (24, 14),
        2: (16, 14),
        3: (10, 24),
        4: (8, 34),
        5: (32, 14),
        6: (38, 24),
        7: (40, 34),
    }
    places |= {8: (24, 36), 9: (19, 36), 12: (29, 36), 10: (19, 50), 13: (29, 50)}
    for joint, xy in places.items():
        points[joint] = torch.tensor([*xy, 1.0])
    return points.repeat(batch, 1, 1)


def jolt(adapter: SizeAdapter, seed: int = 3) -> SizeAdapter:
    """Move every weight of an adapter, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in adapter.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return adapter


@pytest.fixture(scope="session")
def shared_base() -> SdxlBase:
    """One base for all tests that change nothing in it."""
    return build_tiny_base(PRESET, seed=0).requires_grad_(False)


@pytest.fixture
def base() -> SdxlBase:
    """A base of the test's own."""
    return build_tiny_base(PRESET, seed=0)


@pytest.fixture(scope="session")
def conditioning(shared_base: SdxlBase) -> SdxlConditioning:
    """The encoded batch of `photos`."""
    with torch.no_grad():
        return shared_base.told(photos())


@pytest.fixture
def noise() -> torch.Tensor:
    """Latents to start from."""
    return torch.randn(BATCH, 4, *LATENT_HW, generator=torch.Generator().manual_seed(1))
