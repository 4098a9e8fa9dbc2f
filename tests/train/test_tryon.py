"""The try-on task on tiny real networks: what is trained learns, what is frozen stays to the bit."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.testing import assert_close

from model.base import TryOnBase
from model.body_maps import NUM_BODY_MAPS
from model.presets import TinyPreset
from model.size_conditioning import SizeAdapter
from model.size_critic import SizeCritic
from model.tiny import build_tiny_base
from shards.batch import Batch
from train.keyed_random import KeyedRandom
from train.loop import fit
from train.params import LossParams, OptimisationParams, RuntimeParams
from train.sample_encoder import SampleEncoder
from train.tryon import TryOnTask, clean_from

PRESET = TinyPreset(image_height=32, image_width=32, vae_width=8, unet_channels=(16, 32, 32))


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
        ratios=ratios,
        keypoints=keypoints,
        fit_label=["tight", None, "loose", "oversized"][:size],
        captions=["a red top"] * size,
        statuses=["ok"] * size,
    )


class Batches:
    """Consecutive batches, and the cursor."""

    def __init__(self) -> None:
        self.start = 0

    def __iter__(self) -> Iterator[Batch]:
        while True:
            self.start += 4
            yield batch(self.start - 4)

    def state_dict(self) -> dict[str, Any]:
        return {"start": self.start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.start = state["start"]


def digest(module: nn.Module) -> str:
    sha = hashlib.sha256()
    for name, weight in sorted(module.state_dict().items()):
        sha.update(name.encode() + weight.contiguous().numpy().tobytes())
    return sha.hexdigest()


def size_task(base: TryOnBase) -> TryOnTask:
    torch.manual_seed(0)
    return TryOnTask(
        base.requires_grad_(False),
        SampleEncoder(base),
        loss=LossParams(size_min_snr=1e-6),
        adapter=SizeAdapter.for_unet(base.tryon_unet),
        critic=SizeCritic(4, NUM_BODY_MAPS, width=8).requires_grad_(False),
        size_dropout=0.25,
    )


def test_the_size_stage_changes_the_adapter_and_no_bit_of_the_base(tmp_path: Path) -> None:
    base = build_tiny_base(PRESET, seed=0)
    task = size_task(base)
    assert task.adapter is not None
    assert task.critic is not None
    frozen, fresh = (digest(base), digest(task.critic)), digest(task.adapter)
    fit(
        task,
        Batches(),
        OptimisationParams(steps=3, batch_size=4, learning_rate=1e-3, warmup_steps=0, ema_decay=0),
        RuntimeParams(),
        name="adapter",
        seed=0,
        checkpoint_dir=tmp_path,
        fingerprint="f",
    )
    assert (digest(base), digest(task.critic)) == frozen
    assert digest(task.adapter) != fresh


def test_the_loss_is_the_weighted_sum_of_its_parts() -> None:
    task = size_task(build_tiny_base(PRESET, seed=0))
    losses = task(batch(), KeyedRandom(0, batch().position))
    weights = {"diffusion": 1.0, "layout": task.loss.layout, "size": task.loss.size}
    assert losses.keys() == weights.keys() | {"loss"}
    assert_close(losses["loss"].detach(), sum(w * losses[part] for part, w in weights.items()))


def test_without_an_adapter_there_is_only_the_diffusion_loss() -> None:
    base = build_tiny_base(PRESET, seed=0)
    task = TryOnTask(base, SampleEncoder(base), loss=LossParams(), text_dropout=0.5)
    assert task(batch(), KeyedRandom(0, batch().position)).keys() == {"loss", "diffusion"}


def test_encodings_kept_beforehand_are_those_made_on_the_way(tmp_path: Path) -> None:
    base = build_tiny_base(PRESET, seed=0).requires_grad_(False)
    kept = SampleEncoder(base)
    kept.fill([batch()], 4, tmp_path / "encodings.safetensors")
    again = SampleEncoder(base)
    again.fill([], 4, tmp_path / "encodings.safetensors")
    assert_close(kept(batch()), SampleEncoder(base)(batch()))
    assert_close(again(batch()), kept(batch()), rtol=0, atol=0)
    assert_close(again.latents(batch()), again(batch())["latents"], rtol=0, atol=0)


def test_the_clean_latents_follow_from_either_prediction() -> None:
    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(2, 4, 3, 3, generator=generator) for _ in range(2))
    alphas = torch.tensor([0.9, 0.25])
    steps = torch.tensor([0, 1])
    alpha = alphas[:, None, None, None]
    noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
    velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
    assert_close(clean_from(velocity, noisy, steps, alphas, "v_prediction"), clean)
    assert_close(clean_from(noise, noisy, steps, alphas, "epsilon"), clean)
