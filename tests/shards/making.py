"""Small samples for the tests of shards."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from pipeline.tables.sharding import build_shards
from preprocess.vocabulary import Category, RowStatus
from shards.codec import WHOLE, encode_photo
from shards.index import INDEX_NAME
from shards.plan import Ingredients
from shards.sample import Sample, SizeRecord, encode
from shards.ustar import pack
from tests.sizes import listed

HEIGHT, WIDTH = 32, 24


def record(key: str, **changes: object) -> SizeRecord:
    values = {
        "key": key,
        "split": "train",
        "status": RowStatus.OK,
        "category": Category.UPPER,
        "garment_key": key,
        "image_height": HEIGHT,
        "image_width": WIDTH,
        "ratios": listed((1.25, None, 0.9), None),
        "bounds": listed(((1.2, 1.27), (None, None), (0.88, 0.95)), (None, None)),
        "keypoints": ((12.0, 8.5, 0.9), (None, None, 0.0)) + 23 * ((1.0, 2.0, 0.5),),
        "fit_label": "loose",
        "caption": "a red top — “soft”",
        "unpaired_key": None,
        "input_hash": "",
        "schema_version": 2,
    }
    return SizeRecord(**values | changes)


def sample(key: str, *, seed: int = 0, **changes: object) -> Sample:
    rng = np.random.default_rng([seed, *key.encode()])
    photos = [encode_photo(rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8), 90) for _ in range(3)]
    masks = rng.random((3, HEIGHT, WIDTH)) < 0.5
    values = {
        "record": record(key),
        "image": photos[0],
        "cloth": photos[1],
        "densepose": photos[2],
        "inpaint_mask": masks[0],
        "garment_cover": masks[1] * np.uint8(WHOLE),
        "cloth_mask": masks[2],
    }
    return Sample(**values | changes)


def samples(count: int) -> list[Sample]:
    return [sample(f"{number:05d}_00") for number in range(count)]


def rows_of(count: int, *, changed: tuple[int, ...] = ()) -> list[Ingredients[tuple[int, int]]]:
    versions = [(number, int(number in changed)) for number in range(count)]
    return [
        Ingredients(f"{number:05d}_00", f"{number}.{version}", (number, version))
        for number, version in versions
    ]


def build(what: tuple[int, int]) -> bytes:
    """A small sample-shaped blob; version 9 can't be built."""
    number, version = what
    content = np.random.default_rng(what).bytes(100 + number % 7 * 300)
    return pack(f"{number:05d}_00", {"image.jpg": content, "size.json": b"%d" % version})


def write_shards(made: Iterable[Sample], folder: Path, prefix: str, samples_per_shard: int) -> dict[str, Any]:
    """Write samples that are already made; return `index.json` as a dict."""
    rows = []
    for one in made:
        packed = pack(one.key, encode(one))
        rows.append(Ingredients(one.key, xxhash.xxh3_128_hexdigest(packed), packed))
    build_shards(rows, bytes, folder, prefix, samples_per_shard)
    index: dict[str, Any] = json.loads((folder / INDEX_NAME).read_bytes())
    return index


def write_people(folder: Path, count: int = 6) -> Path:
    """Write random pictures of people, train and test, whose joints and ratios are all known and vary."""
    joints = np.random.default_rng(0).uniform(2, 22, (25, 2))
    keypoints = tuple((float(x), float(y), 0.9) for x, y in joints)
    for split in ("train", "test"):
        made = []
        for number in range(count):
            key, known = f"{number:05d}_00", {"keypoints": keypoints, "split": split}
            ratios = listed([middle + 0.1 * number for middle in (1.0, 1.2, 0.8)], None)
            made.append(sample(key, record=record(key, ratios=ratios, **known)))
        write_shards(made, folder / split, split, samples_per_shard=4)
    return folder
