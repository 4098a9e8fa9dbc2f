"""Where shards are: a local folder, or any fsspec URL behind a bounded local cache."""

import fcntl
import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from preprocess.places import StorageError, tried
from preprocess.whole import whole_file

DEFAULT_CACHE_BYTES = 20 << 30


class Folder(Protocol):
    """A folder of shards."""

    def index(self) -> Path:
        """Return a local `index.json`, fetched anew when the folder is remote."""

    def shard(self, name: str, num_bytes: int, sha256: str) -> Path:
        """Return a local copy of a shard.

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

    def shard(self, name: str, num_bytes: int, sha256: str) -> Path:  # noqa: ARG002
        """Return where a shard is, whether or not it is there."""
        return self.path / name


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
        self._sizes: OrderedDict[Path, int] = OrderedDict()
        self._lock = Lock()
        cache.mkdir(parents=True, exist_ok=True)
        for path in sorted(cache.glob("*.tar"), key=lambda path: path.stat().st_mtime):
            self._sizes[path] = path.stat().st_size

    def index(self) -> Path:
        """Fetch the index, always anew."""
        path = self.cache / f"index-{hashlib.sha256(self.url.encode()).hexdigest()[:16]}.json"
        self._fetch("index.json", path, None)
        return path

    def shard(self, name: str, num_bytes: int, sha256: str) -> Path:
        """Fetch a shard unless the cache has it, where it is named after its content."""
        path = self.cache / f"{sha256}.tar"
        with self._lock:
            if not path.is_file():
                with alone(path):
                    if not path.is_file():  # no other process fetched it meanwhile
                        self._make_room(num_bytes)
                        self._fetch(name, path, sha256)
            self._sizes[path] = num_bytes
            self._sizes.move_to_end(path)
        return path

    def _make_room(self, num_bytes: int) -> None:
        """Delete the shards used least recently until `num_bytes` fit; open files outlive that."""
        while self._sizes and sum(self._sizes.values()) + num_bytes > self.cache_bytes:
            path, _ = self._sizes.popitem(last=False)
            path.unlink(missing_ok=True)

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
        with whole_file(path, str(os.getpid())) as partial:
            self.filesystem.get_file(f"{self.root}/{name}", str(partial))
            with partial.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if sha256 not in (None, found):
                raise OSError("its SHA-256 isn't the index's")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Within the block no other process of this machine is in one for the same file, which this one makes."""
    lock = path.with_suffix(".lock")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def open_folder(location: str | Path) -> Folder:
    """Open the folder of an index, by the path or fsspec URL of `index.json` or of the folder."""
    return RemoteFolder(str(location)) if "://" in str(location) else LocalFolder(Path(location))
