"""Encodings that `write_shards` stored: whose they are, and whether a run may read them."""

import logging
from pathlib import Path

import torch
import xxhash

from model.bases.sdxl.networks import TryOnBase
from shards.index import INDEX_NAME, ShardIndex
from shards.latents import LATENTS_FOLDER, EncodingsSpec

log = logging.getLogger(__name__)

ENCODING_CODE = tuple(
    Path(__file__).parents[1] / name
    for name in (
        "model/bases/sdxl/conditioning.py",
        "model/bases/tiny/autoencoder.py",
        "shards/augment.py",
        "train/sample_encoder.py",
    )
)
"""What makes encodings of a sample's pictures and caption, beside libraries."""


def encoders_hash(base: TryOnBase) -> str:
    """xxh3_128 (hex) of weights and code of all that encodes samples, and of the scale of the latents."""
    digest = xxhash.xxh3_128(repr(base.vae.config.scaling_factor).encode())
    for source in ENCODING_CODE:
        digest.update(source.read_bytes())
    for module in (base.vae, base.text_encoder, base.text_encoder_2, base.image_encoder):
        for weight in module.state_dict().values():
            digest.update(weight.cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def stored_encodings(pictures: Path, base: TryOnBase, image_height: int, image_width: int) -> Path | None:
    """Return the folder of a split's stored encodings, if they are what this base would make of its pictures.

    Args:
        pictures: Folder of the split's shards.
        base: Its encoders must be those that encoded.
        image_height: Rows of the pictures that training wants encoded.
        image_width: Columns of the same.
    """
    folder = pictures / LATENTS_FOLDER
    if not (folder / INDEX_NAME).is_file():
        return None
    spec = EncodingsSpec.from_header(ShardIndex(folder).header)
    assert spec is not None
    wanted = {
        "encoders": encoders_hash(base),
        "image_height": image_height,
        "image_width": image_width,
        "pictures": ShardIndex(pictures).digest,
    }
    differing = [name for name, value in wanted.items() if getattr(spec, name) != value]
    if differing:
        log.warning("%s has latents of other %s: pictures are read instead", folder, ", ".join(differing))
        return None
    log.info("latents and embeddings are read from %s", folder)
    return folder
