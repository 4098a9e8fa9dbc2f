"""A small run of the size stage on real shards, for the benchmarks of training.

The base has random weights: neither speed nor exactness depends on what it has learned.
"""

from pathlib import Path

import torch

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import NUM_BODY_MAPS
from model.bases.tiny.networks import TinyPreset, build_tiny_base
from model.judges.critic import SizeCritic
from preprocess.sizes.axes import AXIS_NAMES, MEANINGS
from preprocess.vocabulary import TRIED_ON
from shards.stream import SampleStream
from train.params import LossParams, OptimisationParams, RuntimeParams
from train.sample_encoder import SampleEncoder
from train.tryon import TryOnTask

SEED = 3


def size_task(preset: TinyPreset) -> TryOnTask:
    """The task of `train_size`: adapter in training, base and critic frozen."""
    base = build_tiny_base(preset, seed=SEED).requires_grad_(False)
    torch.manual_seed(SEED)
    return TryOnTask(
        base,
        SampleEncoder(base),
        loss=LossParams(),
        adapter=SizeAdapter.for_sites(base.sites(), MEANINGS, categories=TRIED_ON),
        critic=SizeCritic(
            base.vae.config.latent_channels, NUM_BODY_MAPS, AXIS_NAMES, TRIED_ON
        ).requires_grad_(False),
        size_dropout=0.1,
    )


def sample_stream(shards: Path, preset: TinyPreset, batch_size: int) -> SampleStream:
    """Shuffled batches of the train split at the preset's size."""
    return SampleStream(
        shards / "train",
        batch_size=batch_size,
        image_height=preset.image_height,
        image_width=preset.image_width,
        seed=SEED,
        num_threads=2,
    )


def schedule(steps: int, batch_size: int) -> OptimisationParams:
    """As `train_size` has it, but for its length."""
    return OptimisationParams(steps=steps, batch_size=batch_size, learning_rate=1.5e-3, warmup_steps=4)


def runtime(checkpoint_every: int) -> RuntimeParams:
    """The embedded default, without a tracker's files."""
    return RuntimeParams(checkpoint_every=checkpoint_every, tracker="none")
