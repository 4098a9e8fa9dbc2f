"""Where shards are: a local folder, or any fsspec URL behind a bounded local cache."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from preprocess.places import StorageError, tried
from preprocess.whole import whole_file
from shards.plan import sha256_of

DEFAULT_CACHE_BYTES = 20 << 30


class Folder(Protocol):
    """A folder of shards."""

    def index(self) -> Path:
        """Return a local `index.json`, fetched anew when the folder is remote."""

    def shard(self, name: str, num_bytes: int, sha256: str) -> FileIO:
        """Open a local copy of a shard.

        Raises:
            OSError: It is missing, or can't be fetched whole.
        """


class LocalFolder:
    """A folder on this machine. Its samples are checked as they are read, not here."""

    def __init__(self, path: Path) -> None:
        self.path = path if path.is_dir() else path.parent
        self.index_path = path / "index.json" if path.is_dir() else path

    def index(self) -> Path:
        """Return where the index is, whether or not it is there."""
        return self.index_path

    def shard(self, name: str, num_bytes: int, sha256: str) -> FileIO:  # noqa: ARG002
        """Open a shard."""
        return FileIO(self.path / name)


class RemoteFolder:
    """A folder at an fsspec URL. Whole shards are fetched, checked and kept while the cache has room.

    Args:
        url: Of `index.json` or its folder.
        cache: Folder for the copies; may be shared with other processes. Default: below the home folder.
        cache_bytes: Room for shards; it should hold those that the order reads at a time, at most 64. The
            shards used least recently go first.
    """

    def __init__(self, url: str, cache: Path | None = None, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        import fsspec

        cache = cache or Path.home() / ".cache/cinderella/shards"
        self.url = url.removesuffix("/index.json").rstrip("/")
        self.cache, self.cache_bytes = cache, cache_bytes
        filesystem, self.root = fsspec.core.url_to_fs(self.url)
        self.filesystem: Any = filesystem
        cache.mkdir(parents=True, exist_ok=True)

    def index(self) -> Path:
        """Fetch the index, always anew: named after its content, as others may be reading an earlier one."""
        fetched = self.cache / f".{uuid4().hex}.json"
        self._fetch("index.json", fetched, None)
        return fetched.replace(self.cache / f"index-{sha256_of(fetched)}.json")

    def shard(self, name: str, num_bytes: int, sha256: str) -> FileIO:
        """Open a shard, fetched unless the cache has it, where it is named after its content."""
        path = self.cache / f"{sha256}.tar"
        with alone(self.cache / f".{sha256[:2]}.lock"):  # whoever else wants it finds it then
            try:
                file = FileIO(path)
            except FileNotFoundError:
                file = self._fetched(name, path, num_bytes, sha256)
        with suppress(PermissionError):  # another user's
            os.utime(file.fileno())
        return file

    def _fetched(self, name: str, path: Path, num_bytes: int, sha256: str) -> FileIO:
        """Fetch a shard, then make room for it, and open it before anyone else makes room."""
        fetched = path.with_suffix(".fetched")
        self._fetch(name, fetched, sha256)
        with alone(self.cache / ".room.lock"):
            self._make_room(num_bytes)
            fetched.replace(path)
            return FileIO(path)

    def _make_room(self, num_bytes: int) -> None:
        """Delete the shards used least recently, whoever fetched them, until `num_bytes` fit.

        Files that are open outlive that.
        """
        found = sorted(
            ((path, path.stat()) for path in self.cache.glob("*.tar")), key=lambda one: one[1].st_mtime_ns
        )
        taken = sum(stat.st_size for _, stat in found)
        for path, stat in found:
            if taken + num_bytes <= self.cache_bytes:
                break
            path.unlink()
            taken -= stat.st_size

    def _fetch(self, name: str, path: Path, sha256: str | None) -> None:
        """Copy a remote file to `path` atomically, trying again with growing waits."""
        url = f"{self.url}/{name}"
        try:
            tried(url, lambda: self._copy(name, path, sha256))
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{url} not found: {error}") from error
        except StorageError as error:
            raise OSError(f"{url} can't be fetched: {error}") from error

    def _copy(self, name: str, path: Path, sha256: str | None) -> None:
        """Copy a remote file once; OSError when its content isn't what the index promises."""
        with whole_file(path, uuid4().hex) as partial:
            self.filesystem.get_file(f"{self.root}/{name}", str(partial))
            if sha256 not in (None, sha256_of(partial)):
                raise OSError("its SHA-256 isn't the index's")


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Within the block no other thread or process of this machine is in one with the same lock.

    The file stays: whoever waits for it would otherwise hold a lock that newcomers don't see.
    """
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def open_folder(location: str | Path) -> Folder:
    """Open the folder of an index, by the path or fsspec URL of `index.json` or of the folder."""
    return RemoteFolder(str(location)) if "://" in str(location) else LocalFolder(Path(location))
