"""Latents in shards: read where they lie, or copied from elsewhere; what a batch knows beside them."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from pipeline.tables.sharding import build_shards
from preprocess.vocabulary import Category
from shards.latents import (
    DESCRIPTION,
    LATENTS_SUFFIX,
    SCHEMA_VERSION,
    TENSOR,
    Arrays,
    EncodingsSpec,
    description,
    texts,
)
from shards.plan import Ingredients
from shards.reader import DamageError
from shards.sample import COVER, RECORD_SUFFIX, SUFFIXES, encode, encode_record
from shards.stream import SampleStream
from shards.ustar import SampleError, pack
from tests.shards.making import HEIGHT, WIDTH, record, sample
from tests.shards.test_stream import damaged_copy
from tests.sizes import of_tops

SPEC = EncodingsSpec(
    encoders="none",
    scaling_factor=1.0,
    dtype="float16",
    image_height=HEIGHT,
    image_width=WIDTH,
    pictures="none",
    tensors={"latents": [4, 2, 3], "text": [5]},
    version=SCHEMA_VERSION,
)
MASK = SUFFIXES[COVER]


def tensors(number: int) -> Arrays:
    known = record(f"{number:05d}_00", caption=f"caption {number}")
    return {
        "latents": np.full((4, 2, 3), number, np.float16),
        "text": np.arange(5, dtype=np.float16) + number,
        TENSOR: description(known, known.keypoint_array(HEIGHT, WIDTH)),
    }


def packed(number: int) -> bytes:
    """Every third sample has other tensors too, every third has another member first."""
    key = f"{number:05d}_00"
    content = save(tensors(number) | ({"a": np.ones(7, np.float32)} if number % 3 == 1 else {}))
    beside = {RECORD_SUFFIX: encode_record(record(key)), MASK: encode(sample(key))[MASK]}
    latents = {LATENTS_SUFFIX: content}
    return pack(key, beside | latents if number % 3 == 2 else latents | beside)


def write(folder: Path, build=packed, spec: EncodingsSpec = SPEC) -> Path:
    rows = [Ingredients(f"{number:05d}_00", str(number), number) for number in range(6)]
    build_shards(rows, build, folder, "train", 6, header=spec.header())
    return folder


def stream_of(folder: Path, **options: object) -> SampleStream:
    defaults = {"batch_size": 6, "image_height": HEIGHT, "image_width": WIDTH, "seed": 0}
    return SampleStream(folder, **defaults | options)


def test_tensors_are_the_same_wherever_they_lie_in_a_sample(tmp_path: Path) -> None:
    batch = next(stream_of(write(tmp_path)).epoch_batches())
    assert batch.encodings.keys() == SPEC.tensors.keys()
    assert batch.captions == [f"caption {number}" for number in range(6)]
    assert (batch.fit_label, batch.statuses) == (["loose"] * 6, ["ok"] * 6)
    assert batch.categories == ["upper"] * 6
    for number in range(6):
        np.testing.assert_array_equal(batch.encodings["latents"][number], tensors(number)["latents"])
        np.testing.assert_array_equal(batch.encodings["text"][number], tensors(number)["text"])
        np.testing.assert_array_equal(batch.garment_mask[number], sample(batch.keys[number]).garment_mask)
    np.testing.assert_array_equal(batch.ratios[0], of_tops([1.25, np.nan, 0.9]).astype(np.float32))
    np.testing.assert_array_equal(batch.keypoints[0], record("x").keypoint_array())
    assert not batch.image.any()


def test_a_damaged_sample_is_named(tmp_path: Path) -> None:
    copy, (shard,) = damaged_copy(write(tmp_path / "made"), tmp_path / "copy")
    content = bytearray((copy / shard["name"]).read_bytes())
    content[shard["offsets"][2] + 2048] ^= 1
    (copy / shard["name"]).write_bytes(content)
    with pytest.raises(DamageError, match="the sample 00002_00 is damaged"):
        next(stream_of(copy).epoch_batches())


def test_a_sample_without_its_tensors_is_named(tmp_path: Path) -> None:
    def build(number: int) -> bytes:
        return pack(f"{number:05d}_00", {LATENTS_SUFFIX: save({"text": np.ones(5, np.float16)})})

    with pytest.raises(DamageError, match=r"00000_00: latents.safetensors is without a tensor latents"):
        next(stream_of(write(tmp_path, build)).epoch_batches())


def test_a_sample_that_ends_inside_its_tensors_is_named(tmp_path: Path) -> None:
    def build(number: int) -> bytes:
        return pack(f"{number:05d}_00", {LATENTS_SUFFIX: save(tensors(number))})[:-512]

    with pytest.raises(DamageError, match=r"00000_00: the member latents.safetensors is cut short"):
        next(stream_of(write(tmp_path, build)).epoch_batches())


def test_a_wrong_description_in_a_shard_is_refused(tmp_path: Path) -> None:
    def build(number: int) -> bytes:
        wrong = tensors(number) | {TENSOR: np.full(DESCRIPTION.itemsize, 99, np.uint8)}
        return pack(f"{number:05d}_00", {LATENTS_SUFFIX: save(wrong)})

    with pytest.raises(
        DamageError, match=r"index.json: one of 00000_00, .* unknown label, status or category"
    ):
        next(stream_of(write(tmp_path, build)).epoch_batches())


def test_a_caption_that_does_not_fit_is_refused() -> None:
    with pytest.raises(SampleError, match="a caption must have at most 512 bytes, got 513"):
        description(record("a", caption="x" * 513), record("a").keypoint_array())


def test_a_description_takes_joints_along_to_the_size_of_the_pictures() -> None:
    described = description(record("a"), record("a").keypoint_array(2 * HEIGHT, WIDTH // 2)).view(
        DESCRIPTION
    )[0]
    np.testing.assert_array_equal(described["keypoints"][0], np.array([6, 17, 0.9], np.float32))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("fit_label", 4, "unknown label"),
        ("status", -1, "unknown label, status or category"),
        ("category", len(Category), "unknown label, status or category"),
        ("caption", b"\xff", "no valid"),
    ],
)
def test_a_wrong_description_is_refused(name: str, value: object, message: str) -> None:
    described = tensors(0)[TENSOR].view(DESCRIPTION).copy()
    assert texts(described) == {
        "fit_label": ["loose"],
        "statuses": ["ok"],
        "categories": ["upper"],
        "captions": ["caption 0"],
    }
    described[name] = value
    with pytest.raises(SampleError, match=message):
        texts(described)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "must have version 3: write the shards again"),
        ({"dtype": "float64"}, "dtype must be one of"),
        ({"tensors": {"latents": [1 << 40]}}, "at most 1073741824 bytes"),
        ({"tensors": {"latents": [-1]}}, "negative"),
    ],
)
def test_an_index_of_other_encodings_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"nothing valid about its encodings: .*{message}"):
        EncodingsSpec.from_header(replace(SPEC, **change).header())
    assert EncodingsSpec.from_header({"encodings": asdict(SPEC)}) == SPEC
