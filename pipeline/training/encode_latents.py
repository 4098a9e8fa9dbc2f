"""What encoders make of each sample, as shards beside the pictures: written once, read in training."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.numpy import save

from model.bases import open_base
from model.bases.base import TryOnBase
from preprocess.identity import Input, identity
from shards.batch import STORED_BESIDE_LATENTS, is_framed
from shards.codec import encode_mask
from shards.index import INDEX_NAME, ShardIndex
from shards.latents import LATENTS_FOLDER, LATENTS_SUFFIX, SCHEMA_VERSION, TENSOR, EncodingsSpec, description
from shards.plan import Ingredients
from shards.reader import ShardReader
from shards.sample import RECORD_SUFFIX, SUFFIXES, blaming, decode_record
from shards.storage import LocalFolder
from shards.ustar import pack, unpack
from shards.writer import build_shards
from train.sample_encoder import encode

if TYPE_CHECKING:
    from shards.params import WriteShardsParams

log = logging.getLogger(__name__)

Place = tuple[int, int]
"""Shard and row of a sample's pictures."""


def encode_latents(params: "WriteShardsParams", pictures: Path, split: str) -> Path:
    """Encode every sample of a split, one by one, so that no sample's bytes depend on its neighbours.

    Done work is kept: a sample is encoded again when its pictures, the type, or the encoders' weights or code
    changed.

    Args:
        params: `latents_base` names the encoders.
        pictures: The split's shards.
        split: Names the tars.

    Returns:
        The folder with the tars and their index.
    """
    assert params.latents_base is not None
    assert params.image_height is not None
    assert params.image_width is not None
    base = open_base(params.latents_base).eval().requires_grad_(False)
    base.to("cuda" if torch.cuda.is_available() else "cpu")
    reader = ShardReader(LocalFolder(pictures), params.image_height, params.image_width)
    spec = EncodingsSpec(
        encoders=encoders_identity(base),
        scaling_factor=base.latent_scale,
        dtype=params.latents_dtype,
        image_height=params.image_height,
        image_width=params.image_width,
        pictures=reader.index.digest,
        tensors={
            name: list(tensor.shape[1:]) for name, tensor in encode(base, reader.batch([0], [(0, 0)])).items()
        },
        version=SCHEMA_VERSION,
    )
    rows = [
        Ingredients(key, fingerprint(input_hash, spec), (shard, row))
        for shard, entry in enumerate(reader.index.entries())
        for row, (key, input_hash) in enumerate(zip(entry.keys, entry.input_hashes, strict=True))
    ]
    out = pictures / LATENTS_FOLDER
    header = {"split": split} | spec.header()
    build_shards(rows, builder(base, reader, spec.dtype), out, split, params.samples_per_shard, header=header)
    return out


def fingerprint(input_hash: str, spec: EncodingsSpec) -> str:
    """Return the identity of a sample's encodings: whatever else its pictures' shards hold, they stay."""
    return identity(__name__, asdict(spec) | {"pictures": None}, [input_hash])


def encoders_identity(base: TryOnBase) -> str:
    """Return the identity of all that encodes samples: code, weights, and the scale of the latents."""

    def weights() -> Iterator[Input]:
        for module in base.encoders():
            for weight in module.state_dict().values():
                yield weight.cpu().contiguous().view(-1).view(torch.uint8).numpy()

    return identity("train.sample_encoder", base.latent_scale, weights())


def builder(base: TryOnBase, reader: ShardReader, dtype: str) -> Callable[[Place], bytes]:
    """Return a function that makes the packed bytes of the sample whose pictures are at a place."""
    kept = {RECORD_SUFFIX, *(SUFFIXES[name] for name in STORED_BESIDE_LATENTS)}

    def build(place: Place) -> bytes:
        key, packed = reader.packed(*place)
        batch = reader.batch([0], [place])
        beside = {suffix: bytes(member) for suffix, member in unpack(key, packed).items() if suffix in kept}
        arrays = {
            name: np.ascontiguousarray(tensor[0].float().cpu().numpy(), dtype)  # `save` takes memory as it is
            for name, tensor in encode(base, batch).items()
        }
        with blaming(key, RECORD_SUFFIX):
            record = decode_record(key, beside[RECORD_SUFFIX])
            arrays[TENSOR] = description(record, batch.keypoints[0])
        if is_framed(record, reader.image_height, reader.image_width):
            beside |= {
                SUFFIXES[name]: encode_mask(getattr(batch, name)[0].view(np.bool_))
                for name in STORED_BESIDE_LATENTS
                if SUFFIXES[name] in beside
            }
        return pack(key, {LATENTS_SUFFIX: save(arrays)} | beside)

    return build


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
        "encoders": encoders_identity(base),
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
