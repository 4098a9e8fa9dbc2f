"""What encoders make of each sample, as shards beside the pictures: written once, read in training."""

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save

from model.bases import entry_of, open_base
from model.bases.base import TryOnBase
from pipeline.engine.parts import Engine, open_engine
from pipeline.tables.sharding import build_shards
from pipeline.training.stored_encodings import encoders_identity
from preprocess.identity import identity
from shards.batch import STORED_BESIDE_LATENTS, is_framed
from shards.codec import encode_cover
from shards.latents import LATENTS_FOLDER, LATENTS_SUFFIX, SCHEMA_VERSION, TENSOR, EncodingsSpec, description
from shards.plan import Ingredients
from shards.reader import ShardReader
from shards.sample import RECORD_SUFFIX, SUFFIXES, blaming, decode_record
from shards.storage import LocalFolder
from shards.ustar import pack, unpack
from train.sample_encoder import encode

if TYPE_CHECKING:
    from shards.params import WriteShardsParams

Place = tuple[int, int]
"""Shard and row of a sample's pictures."""


def encode_latents(
    params: "WriteShardsParams", pictures: Path, split: str, engine: Engine | None = None
) -> Path:
    """Encode every sample of a split, one by one, so that no sample's bytes depend on its neighbours.

    Done work is kept: a sample is encoded again when its pictures, the type, or the encoders' weights or code
    changed.

    Args:
        params: `latents_base` names the encoders.
        pictures: The split's shards.
        split: Names the tars.
        engine: Where samples are encoded; large networks want a GPU for each shard. None: the one that was
            chosen.

    Returns:
        The folder with the tars and their index.

    Raises:
        ValueError: What the encoders make leaves the range of the type that it is to be stored in.
    """
    assert params.latents_base is not None
    assert params.image_height is not None
    assert params.image_width is not None
    threads = torch.get_num_threads()
    encoder = Encoder(
        params.latents_base, pictures, params.image_height, params.image_width, params.latents_dtype
    )
    try:
        base, reader = encoder.opened()
        if encoder.dtype == "float16" and not entry_of(base.name).fits_fp16:
            raise ValueError(f"write_shards.latents_dtype must be float32 for {base.name}, got float16")
        gpus = int(entry_of(base.name).pretrained)
        spec = spec_of(encoder)
        rows = (
            Ingredients(key, fingerprint(input_hash, spec), (shard, row))
            for shard, entry in enumerate(reader.index.entries())
            for row, (key, input_hash) in enumerate(zip(entry.keys, entry.input_hashes, strict=True))
        )
        build_shards(
            rows,
            encoder,
            pictures / LATENTS_FOLDER,
            split,
            params.samples_per_shard,
            engine=engine or open_engine(workers=params.num_workers or 1),
            gpus=gpus,
            header={"split": split} | spec.header(),
        )
    finally:
        opened_base.cache_clear()
        opened_reader.cache_clear()
        torch.set_num_threads(threads)
    return pictures / LATENTS_FOLDER


@dataclass(frozen=True, slots=True)
class Encoder:
    """Makes the packed bytes of the sample whose pictures are at a place; loads networks once a process."""

    latents_base: str
    pictures: Path
    image_height: int
    image_width: int
    dtype: str

    def opened(self) -> tuple[TryOnBase, ShardReader]:
        """Return the networks that encode, and what reads the pictures."""
        where = self.pictures, self.image_height, self.image_width
        return opened_base(self.latents_base), opened_reader(*where)

    def __call__(self, place: Place) -> bytes:
        """Read, encode and pack a sample."""
        base, reader = self.opened()
        kept = {RECORD_SUFFIX, *(SUFFIXES[name] for name in STORED_BESIDE_LATENTS)}
        key, packed = reader.packed(*place)
        batch = reader.batch([0], [place])
        beside = {suffix: bytes(member) for suffix, member in unpack(key, packed).items() if suffix in kept}
        arrays = {
            name: stored(name, tensor[0].float().cpu().numpy(), self.dtype)
            for name, tensor in encode(base, batch).items()
        }
        with blaming(key, RECORD_SUFFIX):
            record = decode_record(key, beside[RECORD_SUFFIX])
            arrays[TENSOR] = description(record, batch.keypoints[0])
        if is_framed(record, reader.image_height, reader.image_width):
            beside |= {
                SUFFIXES[name]: encode_cover(getattr(batch, name)[0])
                for name in STORED_BESIDE_LATENTS
                if SUFFIXES[name] in beside
            }
        return pack(key, {LATENTS_SUFFIX: save(arrays)} | beside)


def stored(name: str, encoding: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    """Return an encoding in the type, and laid out, as `save` wants it.

    Raises:
        ValueError: It leaves that type's range.
    """
    with np.errstate(over="ignore"):
        kept = np.ascontiguousarray(encoding, dtype)
    if not np.isfinite(kept).all():
        raise ValueError(f"{name} isn't finite as {dtype}: set write_shards.latents_dtype to float32")
    return kept


@cache
def opened_base(folder: str) -> TryOnBase:
    """Load the networks of a base, onto the GPU where there is one.

    Without one, one thread computes: sums over several are in another order, and have other last bits.
    """
    base = open_base(folder).eval().requires_grad_(False)
    if torch.cuda.is_available():
        base.to("cuda")
    else:
        torch.set_num_threads(1)
    return base


@cache
def opened_reader(pictures: Path, image_height: int, image_width: int) -> ShardReader:
    """Open a split's shards of pictures."""
    return ShardReader(LocalFolder(pictures), image_height, image_width)


def spec_of(encoder: Encoder) -> EncodingsSpec:
    """Say what the encodings are, by those of the first sample."""
    base, reader = encoder.opened()
    return EncodingsSpec(
        encoders=encoders_identity(base),
        scaling_factor=base.latent_scale,
        dtype=encoder.dtype,
        image_height=encoder.image_height,
        image_width=encoder.image_width,
        pictures=reader.index.digest,
        tensors={
            name: list(tensor.shape[1:]) for name, tensor in encode(base, reader.batch([0], [(0, 0)])).items()
        },
        version=SCHEMA_VERSION,
    )


def fingerprint(input_hash: str, spec: EncodingsSpec) -> str:
    """Return the identity of a sample's encodings: whatever else its pictures' shards hold, they stay."""
    return identity(__name__, asdict(spec) | {"pictures": None}, [input_hash])
