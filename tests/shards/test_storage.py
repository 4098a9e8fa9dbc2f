import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from preprocess import places
from shards import storage
from shards.index import ShardIndex
from shards.reader import DamageError
from shards.stream import SampleStream
from tests.object_storage import upload
from tests.preprocess.flaky import FAILS_ALWAYS, Flaky
from tests.shards.making import HEIGHT, WIDTH, samples, write_shards

COUNT = 12


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(places, "FIRST_WAIT_S", 0.0)
    Flaky.restart()
    write_shards(samples(COUNT), tmp_path / "made", "train", 3)
    upload(Flaky(), tmp_path / "made", "shards")
    Flaky.break_down(3)
    return "flaky://bucket/shards"


def stream_of(url: str, cache: Path, cache_bytes: int = 1 << 30, num_threads: int = 2) -> SampleStream:
    folder = storage.RemoteFolder(url, cache, cache_bytes)
    return SampleStream(
        folder, batch_size=3, image_height=HEIGHT, image_width=WIDTH, seed=0, num_threads=num_threads
    )


@pytest.mark.parametrize("suffix", ["", "/", "/index.json"])
def test_a_url_gives_the_same_batches_as_a_folder_over_a_bad_connection(
    remote: str, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # where copies are kept
    far, near = (
        SampleStream(place, batch_size=3, image_height=HEIGHT, image_width=WIDTH, seed=0)
        for place in (remote + suffix, tmp_path / "made")
    )
    for one, other in itertools.islice(zip(far, near, strict=True), 9):
        assert one.keys == other.keys
    assert list((tmp_path / ".cache/cinderella/shards").glob("*.tar"))


def test_the_cache_stays_within_its_bounds(remote: str, tmp_path: Path) -> None:
    largest = max(path.stat().st_size for path in (tmp_path / "made").glob("*.tar"))
    stream = stream_of(remote, tmp_path / "cache", cache_bytes=2 * largest, num_threads=0)
    for _ in itertools.islice(stream, 12):
        assert sum(path.stat().st_size for path in (tmp_path / "cache").glob("*.tar")) <= 2 * largest


def test_a_second_stream_reads_what_the_first_fetched(remote: str, tmp_path: Path) -> None:
    list(stream_of(remote, tmp_path / "cache").epoch_batches())
    Flaky.break_down(0)
    for path in Flaky().glob("/bucket/shards/*.tar"):
        Flaky().rm(path)
    assert sum(len(batch) for batch in stream_of(remote, tmp_path / "cache").epoch_batches()) == COUNT


def test_processes_of_a_machine_fetch_a_shard_once(remote: str, tmp_path: Path) -> None:
    folders = [storage.RemoteFolder(remote, tmp_path / "cache") for _ in range(8)]
    shard = ShardIndex(folders[0].index()).shards[0]
    Flaky.break_down(0)
    with ThreadPoolExecutor(len(folders)) as pool:  # each has its own cache's view, as processes have
        files = list(
            pool.map(lambda folder: folder.shard(shard.name, shard.num_bytes, shard.sha256), folders)
        )
    assert {len(file.read()) for file in files} == {shard.num_bytes}
    assert len([asked for asked in Flaky.asked if asked.startswith("get")]) == 1


def test_processes_that_share_a_cache_stay_within_its_bounds_together(remote: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    largest = max(path.stat().st_size for path in (tmp_path / "made").glob("*.tar"))
    folders = [storage.RemoteFolder(remote, cache, largest) for _ in range(2)]
    shards = ShardIndex(folders[0].index()).shards
    assert len(shards) > 2
    files = []
    for number, shard in enumerate(shards):
        files.append(folders[number % 2].shard(shard.name, shard.num_bytes, shard.sha256))
        assert (cache / f"{shard.sha256}.tar").is_file()
        assert sum(path.stat().st_size for path in cache.glob("*.tar")) <= largest
    assert [len(file.read()) for file in files] == [shard.num_bytes for shard in shards], (
        "open ones outlive it"
    )


def test_an_index_is_read_to_its_end_while_a_new_one_is_fetched(remote: str, tmp_path: Path) -> None:
    reading = ShardIndex(storage.RemoteFolder(remote, tmp_path / "cache").index())
    write_shards(samples(COUNT)[1:], tmp_path / "fewer", "train", 3)
    Flaky.break_down(0)
    upload(Flaky(), tmp_path / "fewer", "shards")
    after = ShardIndex(storage.RemoteFolder(remote, tmp_path / "cache").index())
    assert after.num_samples == COUNT - 1
    assert sum(entry.num_samples for entry in reading.entries()) == COUNT


def test_a_store_that_always_fails_is_named(remote: str, tmp_path: Path) -> None:
    stream = stream_of(remote, tmp_path / "cache")
    Flaky.break_down(FAILS_ALWAYS)
    with pytest.raises(OSError, match=r"shards/train-00000\d.tar can't be fetched.*reset by peer"):
        list(stream.epoch_batches())


def test_a_shard_that_is_not_what_the_index_says_stops_by_name(remote: str, tmp_path: Path) -> None:
    Flaky().pipe_file("/bucket/shards/train-000001.tar", b"x" * 5000)
    with pytest.raises(DamageError, match=r"train-000001.tar is missing: .*SHA-256 isn't the index's"):
        list(stream_of(remote, tmp_path / "cache").epoch_batches())


@pytest.mark.usefixtures("remote")
def test_a_missing_remote_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"flaky://bucket/elsewhere/index.json not found"):
        stream_of("flaky://bucket/elsewhere", tmp_path / "cache")
