"""The encoder of a training stage's samples, which has encoded them all beforehand where that is wanted."""

import logging
from pathlib import Path

import numpy as np

from model.bases.base import TryOnBase
from pipeline.training.run import TrainingRun, processes_of_run
from pipeline.training.stored_encodings import encoders_identity, stored_encodings
from preprocess.identity import identity
from preprocess.whole import whole_file
from shards.augment import mirrored
from shards.index import INDEX_NAME
from shards.latents import LATENTS_FOLDER
from shards.stream import SampleStream
from train.params import AugmentationParams
from train.sample_encoder import SampleEncoder

log = logging.getLogger(__name__)

ENCODING_BATCH = 16
KEPT_FILES = 4
"""Files of encodings that stay: those of the data and weights before as well, plain and mirrored."""


def encoder_of(run: TrainingRun, base: TryOnBase) -> SampleEncoder:
    """Return the encoder of samples; it has encoded them all if the runtime parameters say so.

    Those that lie beside the shards are read where they serve. Mirrored samples, where there are any, are
    encoded beside the plain ones.
    """
    plain = run.augmentation == AugmentationParams()  # changed pictures have other encodings
    train = run.shards / "train"
    stored = stored_encodings(train, base, run.image_height, run.image_width) if plain else None
    if not plain and (train / LATENTS_FOLDER / INDEX_NAME).is_file():
        log.info("stored latents are of pictures as they are: with an augmentation pictures are read")
    encoder = SampleEncoder(base, stored)
    if run.params.runtime.cache_encodings and stored is None:
        with processes_of_run().main_process_first():
            fill(encoder, run, mirror=False)
            if run.augmentation.mirror > 0:
                fill(encoder, run, mirror=True)
    return encoder


def fill(encoder: SampleEncoder, run: TrainingRun, *, mirror: bool) -> None:
    """Encode all samples, as they are or mirrored."""
    stream = run.stream(ENCODING_BATCH, seed=0)
    batches = stream.epoch_batches()
    name = encodings_name(encoder.base, stream, run.image_height, run.image_width)
    if mirror:
        batches = (mirrored(batch, np.ones(len(batch), bool)) for batch in batches)
        name += "-mirrored"
    store = run.work / "encodings" / f"{name}.safetensors"
    if not store.is_file():
        with whole_file(store) as partial:
            encoder.write(batches, len(stream), partial)
    encoder.load(store)
    if processes_of_run().is_main_process:
        remember_use(store)


def remember_use(store: Path) -> None:
    """Remove the encodings beside `store` but those that were used last, `store` itself the very last.

    It harms no other run: what that has read it keeps in memory, and what it doesn't find it encodes anew.
    """
    store.touch()
    by_use = sorted(store.parent.glob("*.safetensors"), key=last_use, reverse=True)
    for old in by_use[KEPT_FILES:]:
        log.info("%s was not used for long: removed", old)
        old.unlink(missing_ok=True)


def last_use(store: Path) -> int:
    """Return when a file was used, in nanoseconds; 0 if another run has just removed it."""
    try:
        return store.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def encodings_name(base: TryOnBase, stream: SampleStream, image_height: int, image_width: int) -> str:
    """Return the identity of encodings, which may be those of mirrored samples."""
    inputs = [stream.reader.index.digest, encoders_identity(base)]
    return identity("shards.augment", (image_height, image_width), inputs)
