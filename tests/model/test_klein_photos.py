"""FLUX.2 klein's base on photographs, through a tiny autoencoder of the very latents that FLUX.2 has.

FLUX.2's own weights are in no package; `taef2` (madebyollin/taesd, MIT) encodes and decodes its latents.
"""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.bases.flux2_klein.loading import make_transformer
from model.params import DrawingOptions
from model.pixels import from_uint8
from model.sampling import sample_tryon
from tests.model.klein import TRANSFORMER, SmallKleinBase, small_klein
from tests.shared_data import shared_data

CHANNELS, WIDTH = 32, 64


class Block(nn.Module):
    """Three convolutions beside a shortcut; where `pooled`, what normalised features say is added before."""

    def __init__(self, pooled: bool) -> None:
        super().__init__()
        layers = [nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(3)]
        self.conv = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        if pooled:
            wide, narrow = (
                nn.Conv2d(*channels, 1, bias=False) for channels in ((WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH))
            )
            self.pool = nn.Sequential(wide, nn.GroupNorm(4, 4 * WIDTH), nn.ReLU(), narrow)

    def forward(self, features: Tensor) -> Tensor:
        if hasattr(self, "pool"):
            features = features + self.pool(features)
        return F.relu(features + self.conv(features))


class Bounded(nn.Module):
    def forward(self, latents: Tensor) -> Tensor:
        return 3 * (latents / 3).tanh()


def blocks(pooled: bool = False) -> list[nn.Module]:
    return [Block(pooled) for _ in range(3)]


def half() -> nn.Module:
    return nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1, bias=False)


def double() -> list[nn.Module]:
    return [nn.Upsample(scale_factor=2), nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)]


class Taef2(nn.Module):
    """Stands where diffusers' autoencoder stands; latents are normalised by nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        first, last = nn.Conv2d(3, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, CHANNELS, 3, padding=1)
        body = [Block(False), half(), *blocks(), half(), *blocks(), half(), *blocks(pooled=True)]
        self.encoder = nn.Sequential(first, *body, last)
        first, last = nn.Conv2d(CHANNELS, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, 3, 3, padding=1)
        body = [*blocks(pooled=True), *double(), *blocks(), *double(), *blocks(), *double(), Block(False)]
        self.decoder = nn.Sequential(Bounded(), first, nn.ReLU(), *body, last)
        for name in ("encoder", "decoder"):
            getattr(self, name).load_state_dict(torch.load(folder / f"taef2_{name}.pth", weights_only=True))
        self.bn = nn.BatchNorm2d(4 * CHANNELS, affine=False)
        self.config = SimpleNamespace(latent_channels=CHANNELS, batch_norm_eps=0.0)
        self.dtype = torch.float32

    def encode(self, images: Tensor) -> SimpleNamespace:
        latents = self.encoder((images + 1) / 2)
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: latents))

    def decode(self, latents: Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=2 * self.decoder(latents) - 1)


def decibels(ours: Tensor, photo: Tensor) -> float:
    return float(10 * torch.log10(4 / (ours - photo).square().mean()))


@pytest.fixture(scope="module")
def base() -> SmallKleinBase:
    small = small_klein()
    transformer = make_transformer(TRANSFORMER | {"in_channels": 4 * CHANNELS})
    small.transformer, small.vae = transformer, Taef2(shared_data() / "models")
    return small.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def case() -> SimpleNamespace:
    """A person and a garment of VITON-HD at half the size, with a hole whose sides cut tokens."""
    root = shared_data() / "data" / "vitonhd" / "test"
    person = sorted((root / "image").glob("*.jpg"))[0]
    read = [cv2.imread(str(root / kind / person.name))[None, ::2, ::2, ::-1] for kind in ("image", "cloth")]
    hole = np.zeros((1, 512, 384), np.uint8)
    hole[:, 100:300, 90:301] = 1
    return SimpleNamespace(
        image=read[0].copy(),
        cloth=read[1].copy(),
        inpaint_mask=hole,
        captions=["a top"],
        categories=["upper"],
    )


@torch.no_grad()
def test_a_photo_survives_tokens(base: SmallKleinBase, case: SimpleNamespace) -> None:
    photo = from_uint8(case.image)
    latents = base.to_latents(photo)
    assert latents.shape == (1, 128, 32, 24)
    assert decibels(base.to_images(latents), photo) > 30


@torch.no_grad()
def test_what_is_known_of_a_photo_is_drawn_as_it_is(base: SmallKleinBase, case: SimpleNamespace) -> None:
    """Random networks draw noise, but in no token that the hole doesn't touch."""
    told, photo = base.told(case), from_uint8(case.image)
    noise = torch.randn(told.canvas.shape, generator=torch.Generator().manual_seed(0))
    drawn = base.to_images(sample_tryon(base, told, DrawingOptions(num_steps=2), noise=noise))
    made = F.interpolate(told.mask, scale_factor=16, mode="nearest").bool().expand_as(photo)
    far = ~(F.max_pool2d(told.mask, 3, 1, 1).repeat_interleave(16, 2).repeat_interleave(16, 3).bool())
    assert decibels(drawn[far.expand_as(photo)], photo[far.expand_as(photo)]) > 30
    assert decibels(drawn[made], photo[made]) < 15
