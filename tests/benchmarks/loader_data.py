"""Shards for the comparison of loaders, and the same samples in the formats of others."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
from safetensors.numpy import save

from pipeline.tables.sharding import build_shards
from preprocess.vocabulary import Category, RowStatus
from shards.codec import WHOLE, decode_photo, encode_photo
from shards.index import ShardIndex
from shards.latents import LATENTS_SUFFIX, SCHEMA_VERSION, TENSOR, EncodingsSpec, description
from shards.plan import Ingredients
from shards.sample import RECORD_SUFFIX, Sample, SizeRecord, encode_record
from shards.ustar import pack, unpack
from tests.shards.making import write_shards

HEIGHT, WIDTH = 512, 384
FULL_HEIGHT, FULL_WIDTH = 1024, 768
LATENTS = ("latents", "masked_latents", "densepose_latents", "garment_latents")
SPEC = EncodingsSpec(
    encoders="none",
    scaling_factor=1.0,
    dtype="float16",
    image_height=HEIGHT,
    image_width=WIDTH,
    pictures="none",
    version=SCHEMA_VERSION,
    tensors={name: [4, HEIGHT // 8, WIDTH // 8] for name in LATENTS} | {"mask": [1, HEIGHT // 8, WIDTH // 8]},
)

Photos = list[tuple[bytes, bytes, bytes]]
"""Person, garment and DensePose picture."""


def photos() -> tuple[Photos, str]:
    """Photos of VITON-HD where some lie at hand, else made ones: (photos, what they are)."""
    root = Path(__file__).parents[2]
    test = Path(os.environ.get("CINDERELLA_SHARED", root.parent / "shared")) / "data" / "vitonhd" / "test"
    found = [
        tuple((test / kind / path.name).read_bytes() for kind in ("image", "cloth", "image-densepose"))
        for path in sorted((test / "image").glob("*.jpg"))
        if all((test / kind / path.name).is_file() for kind in ("cloth", "image-densepose"))
    ]
    if found:
        return [(person, cloth, pose) for person, cloth, pose in found], f"{len(found)} photos of VITON-HD"
    rng = np.random.default_rng(0)
    made = [encode_photo(made_photo(rng), 90) for _ in range(6)]
    return [(made[i], made[i - 1], made[i - 2]) for i in range(6)], "made photos"


def made_photo(rng: np.random.Generator) -> np.ndarray:
    """Something as hard to decode as a photo: smooth shades, edges and a little noise."""
    coarse = cv2.resize(
        rng.integers(0, 256, (24, 18, 3), np.uint8), (FULL_WIDTH, FULL_HEIGHT), interpolation=cv2.INTER_CUBIC
    )
    return np.clip(coarse + rng.normal(0, 2, coarse.shape), 0, 255).astype(np.uint8)


def record(key: str, image_height: int, image_width: int) -> SizeRecord:
    """What a sample knows beside its pictures."""
    return SizeRecord(
        key=key,
        split="train",
        status=RowStatus.OK,
        category=Category.UPPER,
        garment_key=key,
        image_height=image_height,
        image_width=image_width,
        ratios=(1.0, 1.1, 0.9),
        bounds=((0.98, 1.02), (1.07, 1.13), (0.88, 0.92)),
        keypoints=tuple((10.25 + joint, 20.5 + joint, 0.875) for joint in range(25)),
        fit_label=None,
        caption="short sleeve round neck t-shirt",
        unpaired_key=None,
        input_hash="",
        schema_version=2,
    )


def make_pictures(folder: Path, count: int, given: Photos, *, small: bool) -> None:
    """Write shards of full-size photos, or of the same photos at training size."""
    if small:
        given = [
            tuple(encode_photo(decode_photo(one, HEIGHT, WIDTH), 95) for one in three)  # type: ignore[misc]
            for three in given
        ]
    height, width = (HEIGHT, WIDTH) if small else (FULL_HEIGHT, FULL_WIDTH)
    y, x = np.mgrid[:height, :width]
    mask = ((y / height - 0.5) ** 2 + (x / width - 0.5) ** 2) < 0.12
    samples = []
    for number in range(count):
        key = f"{number:05d}_00"
        image, cloth, densepose = given[number % len(given)]
        samples.append(
            Sample(
                record=record(key, height, width),
                image=image,
                cloth=cloth,
                densepose=densepose,
                inpaint_mask=mask,
                garment_cover=mask * np.uint8(WHOLE),
                cloth_mask=mask,
            )
        )
    write_shards(samples, folder, "train", 24)


def make_latents(folder: Path, count: int) -> None:
    """Write shards of random latents."""
    build_shards(
        [Ingredients(f"{number:05d}_00", str(number), number) for number in range(count)],
        packed_latents,
        folder,
        "train",
        500,
        header=SPEC.header(),
    )


def packed_latents(number: int) -> bytes:
    """Make the packed bytes of a sample of latents."""
    rng, key = np.random.default_rng(number), f"{number:05d}_00"
    arrays = {name: rng.standard_normal(shape, np.float32) for name, shape in SPEC.tensors.items()}
    known = record(key, HEIGHT, WIDTH)
    described = description(known, known.keypoint_array(HEIGHT, WIDTH))
    tensors = {name: array.astype(np.float16) for name, array in arrays.items()} | {TENSOR: described}
    return pack(key, {LATENTS_SUFFIX: save(tensors), RECORD_SUFFIX: encode_record(known)})


def members_of(folder: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield key and members of every sample."""
    for shard in ShardIndex(folder).entries():
        content = (folder / shard.name).read_bytes()
        for key, offset, size in zip(shard.keys, shard.offsets, shard.sizes, strict=True):
            yield key, {n: bytes(m) for n, m in unpack(key, content[offset : offset + size]).items()}


def write_loose(folder: Path) -> None:
    """Write the members of each sample as files."""
    for key, members in members_of(folder):
        (folder / "loose" / key).mkdir(parents=True)
        for name, content in members.items():
            (folder / "loose" / key / name).write_bytes(content)


def same(item: dict[str, object]) -> dict[str, object]:
    """What litdata stores of an item."""
    return item


def write_litdata(folder: Path) -> None:
    """Write litdata's chunks."""
    import litdata

    items = [{"__key__": key} | members for key, members in members_of(folder)]
    out = str(folder / "litdata")
    litdata.optimize(same, items, out, num_workers=1, chunk_bytes="21MB", verbose=False)


def write_mds(folder: Path) -> None:
    """Write mosaicml-streaming's shards."""
    streaming = mosaic()
    columns: dict[str, str] = {}
    writer = None
    for key, members in members_of(folder):
        columns = columns or {"__key__": "str"} | dict.fromkeys(members, "bytes")
        writer = writer or streaming.MDSWriter(out=str(folder / "mds"), columns=columns, size_limit=21 << 20)
        writer.write({"__key__": key} | members)
    assert writer is not None
    writer.finish()


def mosaic() -> ModuleType:
    """Import mosaicml-streaming; what it imports beside serves examples and type checks."""

    class Anything(ModuleType):
        def __getattr__(self, name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

    for name in (
        "torchvision",
        "torchvision.datasets",
        "torchvision.transforms",
        "torchvision.transforms.functional",
        "transformers",
        "transformers.feature_extraction_utils",
        "transformers.tokenization_utils_base",
        "transformers.models",
        "transformers.models.auto",
        "transformers.models.auto.tokenization_auto",
    ):
        sys.modules.setdefault(name, Anything(name))
    import streaming

    return streaming
