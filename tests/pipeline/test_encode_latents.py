import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from torch.testing import assert_close

from model.bases import open_base
from model.bases.flux2_klein.tiny import TinyKleinPreset, build_tiny_klein
from model.bases.sdxl.networks import SdxlBase
from model.bases.tiny.networks import TinyPreset, build_tiny_base
from pipeline.tables.encode_latents import encode_latents
from pipeline.training.stored_encodings import encoders_identity, stored_encodings
from pipeline.write_shards import write_latents
from shards.batch import Batch
from shards.latents import SCHEMA_VERSION, TENSOR, EncodingsSpec, description, fill_encodings
from shards.params import WriteShardsParams
from shards.plan import sha256_of
from shards.stream import SampleStream
from shards.ustar import SampleError
from tests.model.catvton import small_base
from tests.pipeline.engines import OutOfOrder
from tests.shards.making import record, sample, samples, write_shards
from train.keyed_random import KeyedRandom
from train.params import LossParams
from train.sample_encoder import SampleEncoder
from train.tryon import TryOnTask

COUNT, SIDE = 7, 32
PRESET = TinyPreset(
    image_height=SIDE, image_width=SIDE, vae_width=8, latent_channels=4, unet_channels=(16, 32, 32)
)


def params_of(base: Path, dtype: str = "float32") -> WriteShardsParams:
    return WriteShardsParams(
        samples_per_shard=3,
        image_height=SIDE,
        image_width=SIDE,
        encode="latents",
        latents_base=str(base),
        latents_dtype=dtype,
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    build_tiny_base(PRESET, seed=0).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def networks(base: Path) -> SdxlBase:
    return open_base(base).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def pictures(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "train"
    write_shards(samples(COUNT), folder, "train", 3)
    encode_latents(params_of(base), folder, "train")
    return folder


def batches(folder: Path, **options: object) -> list[Batch]:
    stream = SampleStream(
        folder, batch_size=2, image_height=SIDE, image_width=SIDE, seed=1, num_threads=2, **options
    )
    return list(itertools.islice(stream, 5))


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in folder.iterdir()}


def test_stored_encodings_are_what_the_base_makes_of_the_pictures(pictures: Path, networks: SdxlBase) -> None:
    encoder = SampleEncoder(networks)
    for seen, stored in zip(batches(pictures), batches(pictures / "latents"), strict=True):
        assert seen.keys == stored.keys
        expected, found = encoder(seen), encoder(stored)
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            assert_close(found[name], value, atol=2e-5, rtol=1e-4)
        np.testing.assert_array_equal(seen.garment_mask, stored.garment_mask)
        np.testing.assert_array_equal(seen.ratios, stored.ratios)
        np.testing.assert_array_equal(seen.keypoints, stored.keypoints)


def test_training_takes_either(pictures: Path, networks: SdxlBase) -> None:
    task = TryOnTask(networks, SampleEncoder(networks), loss=LossParams())
    seen, stored = batches(pictures)[0], batches(pictures / "latents")[0]
    assert not stored.image.any()
    losses = [float(task(batch, KeyedRandom(0, batch.position))["loss"]) for batch in (seen, stored)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_what_leaves_the_range_of_half_precision_is_not_stored_as_infinite(tmp_path: Path) -> None:
    write_shards(samples(1), tmp_path / "train", "train", 3)
    klein = build_tiny_klein(TinyKleinPreset(vae_width=8), seed=0)
    far = build_tiny_base(PRESET, seed=0)
    far.vae.register_to_config(scaling_factor=1e9)
    messages = ("must be float32 for tiny_klein", "latents isn't finite as float16: set .* to float32")
    for base, message in zip((klein, far), messages, strict=True):
        base.save_pretrained(tmp_path / base.name)
        with pytest.raises(ValueError, match=message):
            encode_latents(params_of(tmp_path / base.name, "float16"), tmp_path / "train", "train")


def test_half_precision_takes_half_the_room_and_stays_close(
    pictures: Path, base: Path, networks: SdxlBase, tmp_path: Path
) -> None:
    write_shards(samples(COUNT), tmp_path, "train", 3)
    folder = encode_latents(params_of(base, "float16"), tmp_path, "train")
    sizes = [sum(tar.stat().st_size for tar in one.glob("*.tar")) for one in (folder, pictures / "latents")]
    assert sizes[0] < 0.7 * sizes[1]  # records and masks stay as they are
    half, whole = batches(folder)[0], batches(pictures / "latents")[0]
    assert half.encodings["latents"].dtype == np.float16
    assert SampleEncoder(networks)(half)["latents"].dtype == torch.float32
    for name, value in whole.encodings.items():
        np.testing.assert_allclose(half.encodings[name], value, atol=1e-3, rtol=2e-3)


def test_encoding_is_deterministic_and_does_only_what_changed(
    pictures: Path, base: Path, tmp_path: Path
) -> None:
    changed = [*samples(COUNT - 1), sample(f"{COUNT - 1:05d}_00", seed=1)]
    write_shards(changed, tmp_path, "train", 3)
    folder = encode_latents(params_of(base), tmp_path, "train")
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.tar")}
    encode_latents(params_of(base), tmp_path, "train")
    assert before == {path: path.stat().st_mtime_ns for path in folder.glob("*.tar")}
    write_shards(samples(COUNT), tmp_path, "train", 3)
    encode_latents(params_of(base), tmp_path, "train")
    assert sum(before[path] != path.stat().st_mtime_ns for path in before) == 1
    assert hashes(folder) == hashes(pictures / "latents")


def test_encodings_made_elsewhere_are_the_same(pictures: Path, base: Path, tmp_path: Path) -> None:
    write_shards(samples(COUNT), tmp_path, "train", 3)
    engine = OutOfOrder()
    folder = encode_latents(params_of(base), tmp_path, "train", engine)
    assert (len(engine.made), engine.gpus) == (3, 0)
    assert hashes(folder) == hashes(pictures / "latents")


def test_a_base_with_released_weights_asks_for_a_gpu(tmp_path: Path) -> None:
    small_base().save_pretrained(released := tmp_path / "released")
    write_shards(samples(COUNT), tmp_path / "train", "train", 3)
    engine = OutOfOrder()
    encode_latents(params_of(released), tmp_path / "train", "train", engine)
    assert (len(engine.made), engine.gpus) == (3, 1)


def test_only_the_same_base_and_the_same_pictures_may_use_them(
    pictures: Path, base: Path, networks: SdxlBase, tmp_path: Path
) -> None:
    assert stored_encodings(pictures, networks, SIDE, SIDE) == pictures / "latents"
    assert stored_encodings(pictures, build_tiny_base(PRESET, seed=1), SIDE, SIDE) is None
    assert stored_encodings(pictures, networks, SIDE, 2 * SIDE) is None
    write_shards(samples(COUNT), tmp_path, "train", 3)
    assert stored_encodings(tmp_path, networks, SIDE, SIDE) is None
    encode_latents(params_of(base), tmp_path, "train")
    write_shards(samples(COUNT + 1), tmp_path, "train", 3)
    assert stored_encodings(tmp_path, networks, SIDE, SIDE) is None


def test_other_code_makes_other_encodings(
    pictures: Path, networks: SdxlBase, edit: Callable[[str, str, str], None]
) -> None:
    edit("train/loop.py", "import", "import  # nothing else\nimport")
    assert stored_encodings(pictures, networks, SIDE, SIDE) == pictures / "latents"
    edit("model/pixels.py", "127.5", "127.0")
    assert stored_encodings(pictures, networks, SIDE, SIDE) is None


def test_the_same_weights_in_another_type_are_the_same_encoders() -> None:
    base = build_tiny_base(PRESET, seed=0).to(torch.bfloat16)
    stored = encoders_identity(base)
    assert encoders_identity(base.float()) == stored
    assert encoders_identity(build_tiny_base(PRESET, seed=0)) != stored, "before they were rounded"


def test_encodings_that_are_not_wanted_any_more_are_removed(base: Path, tmp_path: Path) -> None:
    write_shards(samples(COUNT), tmp_path, "train", 3)
    write_latents(params_of(base), tmp_path)
    assert (tmp_path / "latents" / "index.json").is_file()
    write_latents(WriteShardsParams(), tmp_path)
    assert not (tmp_path / "latents").exists()


def test_another_picture_size_is_refused(pictures: Path) -> None:
    with pytest.raises(ValueError, match="has latents of 32x32 pictures, 16x16 were asked for"):
        SampleStream(pictures / "latents", batch_size=2, image_height=16, image_width=16, seed=0)


def test_latents_need_a_base_and_a_size() -> None:
    with pytest.raises(ValueError, match="encode: latents needs latents_base and the image_height"):
        WriteShardsParams(encode="latents", latents_base="somewhere")


SPEC = EncodingsSpec(
    encoders="", scaling_factor=1.0, dtype="float16", image_height=8, image_width=8, pictures="",
    tensors={"latents": [4, 2, 3], "text": [5]}, version=SCHEMA_VERSION,
)  # fmt: skip


def good() -> dict[str, np.ndarray]:
    return {
        "latents": np.arange(24, dtype=np.float16).reshape(4, 2, 3),
        "text": np.ones(5, np.float16),
        TENSOR: description(record("a"), record("a").keypoint_array(8, 8)),
    }


def test_a_member_is_copied_into_its_row() -> None:
    arrays = SPEC.empty(2)
    fill_encodings(arrays, 1, memoryview(save(good())))
    for name, value in good().items():
        np.testing.assert_array_equal(arrays[name][1], value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cut short"),
        (save(good())[:-3], "cut short"),
        (b"\2\0\0\0\0\0\0\0[]", "not a safetensors file"),
        (save({"latents": good()["latents"]}), r"without a tensor text of shape \(5,\) and type float16"),
        (save(good() | {"text": np.ones(6, np.float16)}), "without a tensor text of shape"),
        (save(good() | {"text": np.ones(5, np.float32)}), "without a tensor text of shape"),
    ],
)
def test_a_wrong_member_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(SampleError, match=message):
        fill_encodings(SPEC.empty(1), 0, content)


def test_mutated_members_end_in_an_error_or_are_read() -> None:
    content = save(good())
    refused = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        changed = bytearray(content)
        for place in rng.integers(0, 150, 3):
            changed[place] = rng.integers(256)
        try:
            fill_encodings(SPEC.empty(1), 0, bytes(changed))
        except SampleError:
            refused += 1
    assert refused > 200
