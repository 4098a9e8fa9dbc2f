import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from shards.codec import WHOLE, decode_photo, encode_photo
from shards.order import SampleOrder
from shards.reader import DamageError
from shards.stream import SampleStream
from tests.shards.making import HEIGHT, WIDTH, record, sample, samples, write_shards
from tests.sizes import of_tops

COUNT = 53


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards")
    write_shards(samples(COUNT), out, "train", 5)
    return out


def stream_of(folder: Path, **options) -> SampleStream:
    defaults = {"batch_size": 4, "image_height": HEIGHT, "image_width": WIDTH, "seed": 3, "num_threads": 2}
    return SampleStream(folder / "index.json", **defaults | options)


def keys_of(stream: SampleStream, num_batches: int) -> list[list[str]]:
    return [batch.keys for batch in itertools.islice(stream, num_batches)]


def test_a_batch_holds_the_decoded_sample(folder: Path) -> None:
    one = sample("00007_00")
    batch = next(b for b in stream_of(folder).epoch_batches() if "00007_00" in b.keys)
    row = batch.keys.index("00007_00")
    np.testing.assert_array_equal(batch.image[row], decode_photo(one.image))
    np.testing.assert_array_equal(batch.cloth[row], decode_photo(one.cloth))
    np.testing.assert_array_equal(batch.inpaint_mask[row], one.inpaint_mask)
    np.testing.assert_array_equal(batch.garment_mask[row], one.garment_mask)
    np.testing.assert_array_equal(batch.garment_cover[row], one.garment_cover)
    np.testing.assert_array_equal(batch.cloth_mask[row], one.cloth_mask)
    np.testing.assert_array_equal(batch.ratios[row], of_tops([1.25, np.nan, 0.9]).astype(np.float32))
    np.testing.assert_array_equal(batch.keypoints[row, 0], np.array([12, 8.5, 0.9], np.float32))
    assert batch.categories[row] == "upper"
    assert (batch.captions[row], batch.fit_label[row], batch.statuses[row]) == (
        "a red top — “soft”",
        "loose",
        "ok",
    )


def test_smaller_pictures_take_their_joints_along(folder: Path) -> None:
    batch = next(stream_of(folder, image_height=HEIGHT // 2, image_width=WIDTH // 2).epoch_batches())
    assert batch.image.shape == (4, HEIGHT // 2, WIDTH // 2, 3)
    np.testing.assert_array_equal(batch.keypoints[0, 0], np.array([6, 4.25, 0.9], np.float32))


def test_a_wide_photo_is_seen_around_what_is_painted_and_its_garment_whole(tmp_path: Path) -> None:
    """A window of 24 columns about a mask in columns 50 to 59 begins at column 43; rows are as they were."""
    wide = (HEIGHT, 72)
    photo = encode_photo(np.random.default_rng(0).integers(0, 256, (*wide, 3)).astype(np.uint8), 90)
    halves = np.zeros((*wide, 3), np.uint8)
    halves[:, 36:] = 255
    mask = np.zeros(wide, bool)
    mask[10:20, 50:60] = True
    joints = ((53.0, 8.5, 0.9), (20.0, 8.5, 0.9)) + 23 * ((None, None, 0.0),)
    one = sample(
        "a",
        record=record("a", image_width=72, keypoints=joints),
        image=photo,
        densepose=photo,
        cloth=encode_photo(halves, 90),
        inpaint_mask=mask,
        garment_cover=mask * np.uint8(WHOLE),
        cloth_mask=halves[..., 0] > 0,
    )
    write_shards([one], tmp_path, "t", 4)
    batch = next(stream_of(tmp_path, batch_size=1).epoch_batches())
    np.testing.assert_array_equal(batch.image[0], decode_photo(photo)[:, 43:67])
    np.testing.assert_array_equal(batch.densepose[0], decode_photo(photo)[:, 43:67])
    for name in ("inpaint_mask", "garment_mask"):
        np.testing.assert_array_equal(getattr(batch, name)[0], mask[:, 43:67])
    np.testing.assert_allclose(batch.keypoints[0, :2, :2], [(10, 8.5), (-23, 8.5)])
    middle = batch.cloth[0, HEIGHT // 2].astype(int)
    assert (middle[:11] < 20).all()
    assert (middle[13:] > 235).all()
    assert batch.cloth_mask[0, HEIGHT // 2].tolist() == 12 * [0] + 12 * [1]


def test_a_shard_stays_open_for_who_reads_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shards.reader.MAX_OPEN_FILES", 1)  # each thread closes what the others opened
    stream = stream_of(folder, num_threads=8)
    stream.order = SampleOrder(stream.order.counts, seed=3, num_streams=8)  # neighbours in other shards
    epoch = [key for keys in keys_of(stream, 10 * COUNT) for key in keys]
    assert {epoch.count(key) for key in epoch} == {40}


def test_pictures_a_sample_does_not_have_are_zeros(tmp_path: Path) -> None:
    write_shards([sample("a", garment_cover=None, cloth_mask=None, densepose=None)], tmp_path, "t", 4)
    batch = next(stream_of(tmp_path).epoch_batches())
    for picture in (batch.garment_mask, batch.cloth_mask, batch.densepose):
        assert not picture.any()


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8])
def test_decoding_small_stays_close_to_averaging_the_whole_photo(factor: int) -> None:
    rows, columns = np.mgrid[:192, :144]
    photo = np.stack([rows, columns, rows + columns], axis=-1).clip(0, 255).astype(np.uint8)
    content = encode_photo(photo, 95)
    small = decode_photo(content, 192 // factor, 144 // factor)
    blocks = photo.reshape(192 // factor, factor, 144 // factor, factor, 3).mean(axis=(1, 3))
    assert small.shape == blocks.shape
    assert np.abs(small - blocks).max() <= 3


@pytest.mark.parametrize("threads", range(5))
@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 8])
def test_ranks_share_every_epoch_without_loss_or_repetition(
    folder: Path, world_size: int, threads: int
) -> None:
    steps = 2 * COUNT // (3 * world_size) + 1
    ranks = [
        keys_of(stream_of(folder, batch_size=3, rank=r, world_size=world_size, num_threads=threads), steps)
        for r in range(world_size)
    ]
    by_step = [key for step in zip(*ranks, strict=True) for row in zip(*step, strict=True) for key in row]
    assert (
        sorted(by_step[:COUNT]) == sorted(by_step[COUNT : 2 * COUNT]) == [f"{n:05d}_00" for n in range(COUNT)]
    )
    assert by_step == stream_of(folder).keys(len(by_step))


def test_positions_count_on_over_epochs(folder: Path) -> None:
    batches = itertools.islice(stream_of(folder, batch_size=20, rank=1, world_size=2), 3)
    assert np.concatenate([batch.position for batch in batches]).tolist() == list(range(1, 120, 2))


def test_one_pass_gives_every_sample_once_in_order(folder: Path) -> None:
    stream = stream_of(folder)
    keys = [key for batch in stream.epoch_batches() for key in batch.keys]
    assert keys == [key for entry in stream.reader.index.entries() for key in entry.keys]
    assert stream.cursor == 0


def test_a_stream_goes_on_where_another_stood(folder: Path) -> None:
    expected = keys_of(stream_of(folder), 40)
    seen, state = [], stream_of(folder).state_dict()
    for threads in (0, 1, 2, 4) * 5:  # resumed 20 times
        stream = stream_of(folder, num_threads=threads)
        stream.load_state_dict(json.loads(json.dumps(state)))
        seen += keys_of(stream, 2)
        state = stream.state_dict()
    assert seen == expected


def test_two_ranks_go_on_as_three(folder: Path) -> None:
    def together(world_size: int, batch_size: int, steps: int, state=None) -> tuple[list[str], dict]:
        streams = [
            stream_of(folder, rank=rank, world_size=world_size, batch_size=batch_size)
            for rank in range(world_size)
        ]
        for stream in streams:
            stream.load_state_dict(state or stream.state_dict())
        ranks = [keys_of(stream, steps) for stream in streams]
        assert len({json.dumps(stream.state_dict()) for stream in streams}) == 1
        keys = [key for step in zip(*ranks, strict=True) for row in zip(*step, strict=True) for key in row]
        return keys, streams[0].state_dict()

    first, state = together(2, 4, 5)
    second, state = together(3, 5, 4, state)
    third, _ = together(1, 7, 3, state)
    assert first + second + third == stream_of(folder).keys(40 + 60 + 21)


def test_the_state_is_small_even_far_away(folder: Path) -> None:
    stream = stream_of(folder, seed=2**63)
    stream.cursor = 10**15
    assert len(json.dumps(stream.state_dict())) <= 256


def test_a_state_of_other_data_is_refused(folder: Path, tmp_path: Path) -> None:
    stream = stream_of(folder)
    keys_of(stream, 20)
    write_shards(samples(COUNT + 5), tmp_path, "train", 5)
    grown = stream_of(tmp_path)
    with pytest.raises(ValueError, match=r"another order of samples \(.*index \w+ -> \w+\)"):
        grown.load_state_dict(stream.state_dict())
    assert grown.cursor == 0


def test_a_missing_index_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"index.json not found: run `dvc repro write_shards`"):
        stream_of(tmp_path)


def test_the_folder_above_the_splits_is_told_from_shards_that_are_not_there(folder: Path) -> None:
    above = folder.parent / "above"
    above.mkdir()
    (above / "train").symlink_to(folder)
    with pytest.raises(FileNotFoundError, match=rf"name the shards of one split, {above}/train$"):
        stream_of(above)


def test_wrong_arguments_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="got 4, 2, 2 and 2"):
        stream_of(folder, rank=2, world_size=2)


def damaged_copy(folder: Path, out: Path) -> tuple[Path, dict]:
    out.mkdir()
    for path in folder.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    return out, json.loads((out / "index.json").read_text())["shards"]


def zero_inside_a_photo(tar: Path, shard: dict) -> set[str]:
    content = bytearray(tar.read_bytes())
    middle = shard["offsets"][1] + 512 + 400
    content[middle : middle + 100] = bytes(100)
    tar.write_bytes(content)
    return {shard["keys"][1]}


def cut(tar: Path, shard: dict) -> set[str]:
    end = shard["offsets"][2] + 700
    tar.write_bytes(tar.read_bytes()[:end])
    return set(shard["keys"][2:])


def remove(tar: Path, shard: dict) -> set[str]:
    tar.unlink()
    return set(shard["keys"])


def swap_members(tar: Path, shard: dict) -> set[str]:
    """Give the first sample's photo of the garment the bytes of its photo of the person."""
    content = tar.read_bytes()
    tar.write_bytes(
        content.replace(b".image.jpg\0", b".other.jpg\0", 1).replace(b".cloth.jpg\0", b".image.jpg\0", 1)
    )
    return {shard["keys"][0]}


@pytest.mark.parametrize("damage", [zero_inside_a_photo, cut, remove, swap_members])
def test_damage_is_noticed_by_name(folder: Path, tmp_path: Path, damage) -> None:
    copy, shards = damaged_copy(folder, tmp_path / "copy")
    largest = max(shards, key=lambda shard: shard["num_samples"])
    lost = damage(copy / largest["name"], largest)
    stream, keys = stream_of(copy, batch_size=1, num_threads=0), stream_of(folder).keys(COUNT)
    with pytest.raises(DamageError, match=largest["name"]):
        keys_of(stream, COUNT)
    assert keys[stream.cursor] in lost
    assert not lost & set(keys[: stream.cursor]), "all that comes before was given"


def test_a_record_with_another_caption_keeps_its_letters(tmp_path: Path) -> None:
    write_shards([sample("a", record=record("a", caption="très Ω"))], tmp_path, "t", 4)
    assert next(stream_of(tmp_path).epoch_batches()).captions == ["très Ω"]
