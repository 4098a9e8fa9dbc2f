"""How the tiny and small bases are made from scratch: autoencoder, encoders and UNets, in turn."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial

from model.bases import BASES
from model.bases.autoencoded import AutoencodedBase
from model.bases.base import TryOnBase
from model.bases.catvton.tiny import TinyCatvtonPreset, build_tiny_catvton
from model.bases.flux2_klein.tiny import TinyKleinPreset, build_tiny_klein
from model.bases.tiny.networks import TinyBase, build_tiny_base
from model.pixels import from_uint8
from model.weights import seeded
from pipeline.training.run import TrainingRun, processes_of_run
from pipeline.training.sample_encodings import encoder_of
from train.params import LossParams, TrainBaseParams
from train.perception import AutoencoderTask, EncodersTask, pictures_to_encode
from train.sample_encoder import SampleEncoder
from train.state import LogRow
from train.tryon import TryOnTask

FITTED_SAMPLES = 128
"""Samples that the autoencoder's linear start and the scale of its latents are computed from."""


Made = tuple[TryOnBase, SampleEncoder, dict[str, list[LogRow]]]
"""A base, frozen; its encoder of samples; and the losses of every step, by network."""


TWO_NETWORKS: dict[str, Callable[[int], AutoencodedBase]] = {
    "tiny_catvton": partial(build_tiny_catvton, TinyCatvtonPreset()),
    "tiny_klein": partial(build_tiny_klein, TinyKleinPreset()),
}
"""Draw the bases of which two networks learn, from a seed."""


def train_tiny(run: TrainingRun, params: TrainBaseParams) -> Made:
    """Train every network of the tiny base, or of the small one."""
    kind = BASES[params.preset].load()
    assert issubclass(kind, TinyBase)
    base = build_tiny_base(kind.preset, params.seed, kind).to(processes_of_run().device)
    losses = train_encoders(base, run, params)
    encoder = encoder_of(run, base)
    base.tryon_unet.requires_grad_(True)
    base.garment_unet.requires_grad_(True)
    losses["unets"] = train_unets(base, encoder, run, params)
    return base, encoder, losses


def train_two_networks(run: TrainingRun, params: TrainBaseParams) -> Made:
    """Train the autoencoder, then the network that denoises; klein's text encoder stays as it was drawn."""
    base = TWO_NETWORKS[params.preset](params.seed).to(processes_of_run().device)
    losses = {"autoencoder": train_autoencoder(base, run, params)}
    encoder = encoder_of(run, base)
    base.trainable("all", rank=0)
    losses["unets"] = train_unets(base, encoder, run, params)
    return base, encoder, losses


def train_autoencoder(base: AutoencodedBase, run: TrainingRun, params: TrainBaseParams) -> list[LogRow]:
    """Train the autoencoder; leave the base frozen."""
    base.requires_grad_(False)
    first = next(iter(run.stream(FITTED_SAMPLES, seed=params.seed)))
    base.vae.fit_patches(pictures_to_encode(first, base.device).flatten(0, 1))
    base.vae.requires_grad_(True)
    rows = run.fit(AutoencoderTask(base), params.autoencoder, "autoencoder")
    base.vae.requires_grad_(False)
    base.normalise_latents(from_uint8(first.image, base.device))
    return rows


def train_encoders(base: TinyBase, run: TrainingRun, params: TrainBaseParams) -> dict[str, list[LogRow]]:
    """Train the autoencoder, then the text and image encoders; leave the base frozen."""
    losses = {"autoencoder": train_autoencoder(base, run, params)}
    with seeded(params.seed):
        encoders = EncodersTask(base).requires_grad_(True)
    losses["encoders"] = run.fit(encoders, params.encoders, "encoders")
    base.requires_grad_(False)
    return losses


def train_unets(
    base: TryOnBase, encoder: SampleEncoder, run: TrainingRun, params: TrainBaseParams
) -> list[LogRow]:
    """Train what is open of a base on encoded samples, ignorant of size; leave the base frozen."""
    loss = LossParams(**asdict(params.loss))
    task = TryOnTask(base, encoder, loss=loss, text_dropout=params.dropout)
    rows = run.fit(task, params.unets, "unets", encoder=encoder)
    base.requires_grad_(False)
    return rows
