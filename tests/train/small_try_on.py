"""The size stage's task on tiny real networks, with random pictures."""

import numpy as np
import torch

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import NUM_BODY_MAPS
from model.bases.sdxl.networks import SdxlBase
from model.bases.tiny.networks import TinyPreset
from model.judges.critic import SizeCritic
from shards.batch import Batch
from shards.codec import WHOLE
from tests.sizes import MEANINGS, UPPER
from train.params import LossParams
from train.sample_encoder import SampleEncoder
from train.tryon import TryOnTask

PRESET = TinyPreset(
    image_height=32, image_width=32, vae_width=8, latent_channels=4, unet_channels=(16, 32, 32)
)


def batch(start: int = 0, size: int = 4) -> Batch:
    rng = np.random.default_rng(start)
    shape = (size, PRESET.image_height, PRESET.image_width)
    mask = np.zeros(shape, np.uint8)
    mask[:, 8:28, 6:26] = 1
    keypoints = rng.uniform(4, 28, (size, 25, 3)).astype(np.float32)
    ratios = rng.uniform(0.8, 1.8, (size, 3)).astype(np.float32)
    ratios[0, 0] = np.nan
    return Batch(
        keys=[f"{start + i:05d}_00" for i in range(size)],
        position=np.arange(start, start + size),
        **{
            name: rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
            for name in ("image", "cloth", "densepose")
        },
        cloth_mask=mask,
        inpaint_mask=mask,
        garment_mask=mask,
        garment_cover=mask * np.uint8(WHOLE),
        ratios=ratios,
        keypoints=keypoints,
        fit_label=["tight", None, "loose", "oversized"][:size],
        categories=["upper"] * size,
        captions=["a red top"] * size,
        statuses=["ok"] * size,
    )


def base_task(base: SdxlBase) -> TryOnTask:
    """Both UNets learn, ignorant of size; the end of the garment UNet is never reached."""
    base.requires_grad_(False)
    base.tryon_unet.requires_grad_(True)
    base.garment_unet.requires_grad_(True)
    return TryOnTask(base, SampleEncoder(base), loss=LossParams(), text_dropout=0.25)


def size_task(base: SdxlBase) -> TryOnTask:
    torch.manual_seed(0)
    return TryOnTask(
        base.requires_grad_(False),
        SampleEncoder(base),
        loss=LossParams(size_min_snr=1e-6),
        adapter=SizeAdapter.for_sites(base.sites(), MEANINGS),
        critic=SizeCritic(4, NUM_BODY_MAPS, UPPER, ["upper"], width=8).requires_grad_(False),
        size_dropout=0.25,
    )


TASKS = {"size": size_task, "base": base_task}
