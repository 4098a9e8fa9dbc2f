import itertools
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from shards import storage
from shards.reader import DamageError
from shards.stream import SampleStream
from tests.shards.making import HEIGHT, WIDTH, samples, write_shards

COUNT = 12


class Flaky(MemoryFileSystem):
    """A store whose connection breaks on every other request."""

    protocol = "flaky"
    requests = itertools.count()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.replace("flaky://", "memory://"))

    def _open(self, path: str, **options: object):
        if next(self.requests) % 2 == 0:
            raise ConnectionResetError("connection reset by peer")
        return super()._open(path, **options)


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    monkeypatch.setattr(storage, "FIRST_WAIT_S", 0.0)
    write_shards(samples(COUNT), tmp_path / "made", "train", 3)
    for path in (tmp_path / "made").iterdir():
        MemoryFileSystem().pipe_file(f"/shards/{path.name}", path.read_bytes())
    yield "flaky://shards"
    MemoryFileSystem().rm("/shards", recursive=True)


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
    for path in MemoryFileSystem().ls("/shards", detail=False):
        if path.endswith(".tar"):
            MemoryFileSystem().rm(path)
    assert sum(len(batch) for batch in stream_of(remote, tmp_path / "cache").epoch_batches()) == COUNT


def test_a_shard_that_is_not_what_the_index_says_stops_by_name(remote: str, tmp_path: Path) -> None:
    MemoryFileSystem().pipe_file("/shards/train-000001.tar", b"x" * 5000)
    with pytest.raises(DamageError, match=r"train-000001.tar is missing: .*SHA-256 isn't the index's"):
        list(stream_of(remote, tmp_path / "cache").epoch_batches())


@pytest.mark.usefixtures("remote")
def test_a_missing_remote_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"flaky://elsewhere/index.json not found"):
        stream_of("flaky://elsewhere", tmp_path / "cache")
