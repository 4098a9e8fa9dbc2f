"""DVC stage `train_base`: shards -> base/, the try-on networks without size, and the two judges of size."""

import logging
from pathlib import Path

import torch

from model.adapter.body_maps import NUM_BODY_MAPS
from model.bases.sdxl.conditioning import encode_images, from_uint8
from model.bases.sdxl.networks import TryOnBase
from model.bases.sdxl.presets import SdxlPreset, TinyPreset
from model.bases.tiny.networks import build_tiny_base
from model.judges.critic import SizeCritic
from model.judges.segmenter import Segmenter
from model.weights import seeded
from pipeline.stage import run_stage
from pipeline.training.run import TrainingRun, processes_of_run, write_losses
from pipeline.training.sample_encodings import encoder_of
from train.params import LossParams, TrainBaseParams
from train.perception import (
    AutoencoderTask,
    CriticTask,
    EncodersTask,
    SegmenterTask,
    pictures_to_encode,
)
from train.sample_encoder import SampleEncoder
from train.state import LogRow
from train.tryon import TryOnTask

log = logging.getLogger(__name__)

FITTED_SAMPLES = 128
"""Samples that the autoencoder's linear start and its scaling factor are computed from."""


def run(params: TrainBaseParams, *, shards: Path, out: Path) -> None:
    """Train every network of the tiny base from scratch, or take the pretrained ones; train the judges.

    Writes the base in IDM-VTON's folder layout, beside `segmenter/` and `size_critic/`.
    """
    preset = TinyPreset() if params.preset == "tiny" else SdxlPreset()
    run_ = TrainingRun.begin("train_base", params, shards, out, (preset.image_height, preset.image_width))
    losses: dict[str, list[LogRow]] = {}
    if isinstance(preset, TinyPreset):
        base = build_tiny_base(preset, params.seed).to(processes_of_run().device)
        losses |= train_encoders(base, run_, params)
        encoder = encoder_of(run_, base)
        losses["unets"] = train_unets(base, encoder, run_, params)
    else:
        assert params.pretrained is not None
        base = (
            TryOnBase.from_pretrained(params.pretrained).requires_grad_(False).to(processes_of_run().device)
        )
        encoder = encoder_of(run_, base)
    with seeded(params.seed):
        segmenter = Segmenter()
        critic = SizeCritic(base.vae.config.latent_channels, NUM_BODY_MAPS)
    losses["segmenter"] = run_.fit(SegmenterTask(segmenter, encoder), params.segmenter, "segmenter")
    losses["critic"] = run_.fit(CriticTask(critic, encoder), params.critic, "critic", encoder=encoder)
    with run_.output(out) as partial:
        if isinstance(preset, TinyPreset):
            base.save_pretrained(partial)
        segmenter.save_pretrained(partial / "segmenter")
        critic.save_pretrained(partial / "size_critic")
        for name, rows in losses.items():
            write_losses(rows, partial / "losses" / f"{name}.csv")


def train_encoders(base: TryOnBase, run_: TrainingRun, params: TrainBaseParams) -> dict[str, list[LogRow]]:
    """Train the autoencoder, then the text and image encoders; leave the base frozen."""
    losses = {}
    base.requires_grad_(False)
    first = next(iter(run_.stream(FITTED_SAMPLES, seed=params.seed)))
    base.vae.fit_patches(pictures_to_encode(first).flatten(0, 1).to(base.device))
    base.vae.requires_grad_(True)
    losses["autoencoder"] = run_.fit(AutoencoderTask(base), params.autoencoder, "autoencoder")
    base.vae.requires_grad_(False)
    scale_latents(base, run_)

    with seeded(params.seed):
        encoders = EncodersTask(base).requires_grad_(True)
    losses["encoders"] = run_.fit(encoders, params.encoders, "encoders")
    base.requires_grad_(False)
    return losses


def train_unets(
    base: TryOnBase, encoder: SampleEncoder, run_: TrainingRun, params: TrainBaseParams
) -> list[LogRow]:
    """Train try-on and garment UNet on encoded samples, ignorant of size; leave the base frozen."""
    base.tryon_unet.requires_grad_(True)
    base.garment_unet.requires_grad_(True)
    task = TryOnTask(base, encoder, loss=LossParams(), text_dropout=params.dropout)
    rows = run_.fit(task, params.unets, "unets", encoder=encoder)
    base.requires_grad_(False)
    return rows


@torch.no_grad()
def scale_latents(base: TryOnBase, run_: TrainingRun) -> None:
    """Set the autoencoder's scaling factor so that latents of photos have standard deviation 1."""
    batch = next(iter(run_.stream(FITTED_SAMPLES, seed=run_.params.seed)))
    base.vae.register_to_config(scaling_factor=1.0)
    latents = encode_images(base.vae, from_uint8(batch.image).to(base.device))
    base.vae.register_to_config(scaling_factor=1 / float(latents.std()))
    log.info("latents: standard deviation %.3f before scaling", float(latents.std()))


if __name__ == "__main__":
    run_stage("train_base", run)
