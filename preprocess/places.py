"""Where files lie: on this machine, or in object storage behind any fsspec URL (s3://, gs://, ...).

A place is a `Path`. One in object storage is a `RemotePath`, which reads, lists and takes whole objects as a
path does files; whatever would open it as a local file raises. What storage fails to do is tried again, and
then stops the run: an outage is no fault of the sample whose turn it was.
"""

import logging
import os
import random
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from io import BytesIO
from pathlib import Path, PosixPath
from typing import Any, Self, TypeVar

log = logging.getLogger(__name__)

ATTEMPTS = 5
FIRST_WAIT_S = 0.5
"""Before the second attempt; each further wait is twice as long, and up to half of it is drawn."""

ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""What is wrong with one object, and stays so."""

HOPELESS = (PermissionError, ValueError, TypeError)
"""What is wrong with how storage is asked: another attempt is in vain, and so is another object."""

TAGS = ("ETag", "etag", "md5Hash", "content_md5", "crc32c", "generation", "LastModified", "mtime", "created")
"""What listings call that which changes with an object's bytes, best first."""

AT_ONCE = 1 << 28
"""Bytes that are asked for without asking first how many there are, which would be another request."""

T = TypeVar("T")


class StorageError(RuntimeError):
    """Object storage, or the file system, didn't do what it was asked; the message names the object.

    It is no OSError: those are about the files of one sample, which is then left out.
    """


def refuse_lost(error: BaseException | None) -> None:
    """Raise StorageError where an error is the file system's own, about a file that the manifest has read.

    A node that doesn't see the photos would give up one sample after another. What is wrong with a file's
    content has no `errno`, nor has an object that storage itself says is gone: those are one sample's.
    """
    if isinstance(error, OSError) and error.errno is not None:
        raise StorageError(
            f"{error}: it was there when the manifest was made; do all machines see it? If it was removed, "
            "run `dvc repro prepare_dataset`"
        ) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a listing says of a place."""

    is_file: bool
    """Whether it is an object, or else what begins the names of some."""

    num_bytes: int = 0
    """Of the object."""

    tag: str = ""
    """Equal where the bytes are, as far as the storage tells: S3's ETag, else what it has of that kind."""

    @classmethod
    def of(cls, listed: Mapping[str, Any]) -> Self:
        """Read what fsspec says of a place."""
        tag = next((str(listed[name]) for name in TAGS if listed.get(name) is not None), "")
        is_file = listed["type"] == "file"
        return cls(is_file=is_file, num_bytes=int(listed.get("size") or 0), tag=tag.strip('"'))


class RemotePath(PosixPath):
    """A place in object storage: `{protocol}://{bucket}/{key}`.

    What a listing found keeps what the listing said of it, so that nothing is asked twice.
    """

    __slots__ = ("_facts", "_kept")
    _facts: Facts
    _kept: list[bytes]

    def __str__(self) -> str:
        protocol, colon, rest = super().__str__().partition(":/")
        return f"{protocol}://{rest}" if colon and "/" not in protocol else protocol + colon + rest

    def __fspath__(self) -> str:
        raise TypeError(f"{self} lies in object storage, where this can't be done")

    def absolute(self) -> Self:
        """Return the place itself."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return remembered, (str(self), getattr(self, "_facts", None))

    @property
    def filesystem(self) -> Any:
        """What fsspec has for the protocol; its library finds credentials in the environment."""
        import fsspec

        protocol = str(self).partition("://")[0]
        try:
            kind = fsspec.get_filesystem_class(protocol)
        except ImportError as error:
            raise ValueError(
                f"{self} can't be read: {error}; pip install 'cinderella-tryon[remote]'"
            ) from error
        if kind._get_kwargs_from_urls(str(self)) or "://" in kind._strip_protocol(str(self)):
            raise ValueError(
                f"{self} names a host: must be {{protocol}}://{{bucket}}/{{key}}, as in s3:// and gs://"
            )
        return fsspec.filesystem(protocol, use_listings_cache=False)

    def facts(self) -> Facts | None:
        """Return what is there: as a listing said, else as the storage says now; None where nothing is."""
        known: Facts | None = getattr(self, "_facts", None)
        if known is not None:
            return known
        try:
            return Facts.of(self.tried(lambda files: files.info(str(self))))
        except FileNotFoundError:
            return None

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:  # noqa: ARG002
        """Return mode and size; the rest is 0."""
        facts = self.facts()
        if facts is None:
            raise FileNotFoundError(f"{self} not found")
        mode = stat.S_IFREG if facts.is_file else stat.S_IFDIR
        return os.stat_result((mode, 0, 0, 0, 0, 0, facts.num_bytes, 0, 0, 0))

    def exists(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002
        """Tell whether there is something."""
        return self.facts() is not None

    def is_file(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002
        """Tell whether it is an object."""
        facts = self.facts()
        return facts is not None and facts.is_file

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002
        """Tell whether objects' names begin so."""
        facts = self.facts()
        return facts is not None and not facts.is_file

    def iterdir(self) -> Iterator[Self]:  # type: ignore[override]  # typeshed has a Generator
        """Yield what is directly below; of S3 a page is in memory, of other storage the whole listing."""
        if not self.has_pages():
            yield from self.listed(self.tried(lambda files: files.ls(str(self), detail=True)))
            return
        found = False
        for page in self.pages("/"):
            found = found or bool(page)
            yield from self.listed(page)
        if not found:
            raise FileNotFoundError(f"{self} not found")

    def glob(self, pattern: str, **_: Any) -> Iterator[Self]:  # type: ignore[override]
        """Yield what is directly below and has such a name."""
        yield from (path for path in self.iterdir() if fnmatchcase(path.name, pattern))

    def rglob(self, pattern: str, **_: Any) -> Iterator[Self]:  # type: ignore[override]
        """Yield the objects below, however deep, that have such a name."""
        if self.has_pages():
            pages: Iterable[Any] = self.pages("")
        else:
            pages = [self.tried(lambda files: files.find(str(self), detail=True)).values()]
        for page in pages:
            yield from (path for path in self.listed(page) if fnmatchcase(path.name, pattern))

    def has_pages(self) -> bool:
        """Tell whether what is below is listed by `pages`."""
        return self.tried(lambda files: hasattr(files, "call_s3"))

    def pages(self, delimiter: str) -> Iterator[list[dict[str, Any]]]:
        """Yield what S3 lists below, a request at a time, as fsspec's `ls` and `find` say it all at once.

        Args:
            delimiter: `/` for what is directly below; nothing for objects however deep.
        """
        files = self.filesystem
        bucket, key, _ = files.split_path(str(self))
        asked = {"Bucket": bucket, "Prefix": f"{key}/" if key else "", "Delimiter": delimiter, **files.req_kw}
        while True:
            page = self.tried(partial(ask_s3, asked))
            folders = [one["Prefix"].rstrip("/") for one in page.get("CommonPrefixes", ())]
            yield [
                *({"name": f"{bucket}/{name}", "type": "directory"} for name in folders),
                *(
                    {**one, "name": f"{bucket}/{one['Key'].rstrip('/')}", "size": one["Size"], "type": "file"}
                    for one in page.get("Contents", ())
                    if not one["Key"].endswith("/") or one["Key"] == asked["Prefix"]
                ),
            ]
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def listed(self, found: Any) -> Iterator[Self]:
        """Yield places that a listing found, each with what was said of it."""
        protocol, files = str(self).partition("://")[0], self.filesystem
        for one in found:
            path = type(self)(f"{protocol}://{files._strip_protocol(one['name']).lstrip('/')}")
            if path != self:  # S3's own console makes an empty object of a folder's name
                path._facts = Facts.of(one)
                yield path

    def read_bytes(self, most_bytes: int | None = None) -> bytes:
        """Return the object's bytes, or its first `most_bytes`: by one request up to `AT_ONCE`.

        Raises:
            OSError: It isn't there.
            StorageError: It can't be read.
        """
        kept: list[bytes] | None = getattr(self, "_kept", None)
        if kept:
            return kept[0][:most_bytes]
        content = self.tried(lambda files: self.beginning(files, most_bytes or AT_ONCE))
        if most_bytes is None and len(content) == AT_ONCE:
            content = self.tried(lambda files: files.cat_file(str(self)))
        if kept is not None and (most_bytes is None or len(content) < most_bytes):
            kept.append(content)
        return content

    def beginning(self, files: Any, most_bytes: int) -> bytes:
        """Ask once for the first bytes; S3 has an error for those of nothing."""
        try:
            content: bytes = files.cat_file(str(self), start=0, end=most_bytes)
        except (FileNotFoundError, PermissionError, ConnectionError, TimeoutError):
            raise
        except Exception:
            if files.info(str(self))["size"] == 0:
                return b""
            raise
        return content

    def open(self, mode: str = "r", *_: Any, **__: Any) -> BytesIO:  # type: ignore[override]
        """Open the object, fetched whole, for reading bytes."""
        if mode != "rb":
            raise ValueError(f"{self} can be opened to read bytes ('rb'), got {mode!r}")
        return BytesIO(self.read_bytes())

    def put(self, file: Path) -> None:
        """Put a local file here: the object appears, or is replaced, when all of it has arrived.

        Raises:
            StorageError: It can't be written.
        """
        self.tried(lambda files: files.put_file(str(file), str(self)))

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object."""
        try:
            self.tried(lambda files: files.rm_file(str(self)))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def tried(self, work: Callable[[Any], T]) -> T:
        """Return what the file system answers, asked again where that may help; see `tried`."""
        return tried(str(self), lambda: work(self.filesystem))


def ask_s3(asked: Mapping[str, Any], files: Any) -> dict[str, Any]:
    """Return a page of a listing."""
    page: dict[str, Any] = files.call_s3("list_objects_v2", **asked)
    return page


def remembered(location: str, facts: Facts | None) -> RemotePath:
    """Return a place with what a listing said of it, if one did."""
    path = RemotePath(location)
    if facts is not None:
        path._facts = facts
    return path


def tried(name: str, work: Callable[[], T]) -> T:
    """Return what some work with an object returns, tried again with growing waits.

    Args:
        name: The object, for messages.
        work: May be done twice.

    Raises:
        OSError: There is no such object: that is not tried again.
        StorageError: It failed `ATTEMPTS` times, or once in a way that leaves no hope.
    """
    wait = FIRST_WAIT_S
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return work()
        except ABSENT as error:
            kind = next(kind for kind in ABSENT if isinstance(error, kind))
            raise kind(f"{name}: {error}") from error
        except Exception as error:  # each storage has exceptions of its own
            if attempt == ATTEMPTS or isinstance(error, HOPELESS):
                times = "once" if attempt == 1 else f"{attempt} times, the last time"
                raise StorageError(f"{name} failed {times} by {error!r}") from error
            log.warning("%s: %r; trying again", name, error)
            time.sleep(wait * random.uniform(0.5, 1))
            wait *= 2
    raise AssertionError("unreachable")


def place(location: str | Path) -> Path:
    """Return a place by its path or fsspec URL; `file://` is a path of this machine."""
    if isinstance(location, Path) or "://" not in location:
        return Path(location) if isinstance(location, str) else location
    if location.startswith(("file://", "local://")):
        return Path(location.partition("://")[2])
    return RemotePath(location)


def kept(path: Path) -> Path:
    """Return a place that is fetched once: its bytes stay as long as it does, for who reads them often."""
    if not isinstance(path, RemotePath):
        return path
    again = RemotePath(path)
    again._kept = []
    return again


def here(path: Path, most_bytes: int | None = None) -> Path | BytesIO:
    """Return what a library can open: a local path, or an object's bytes, at most the first so many."""
    return BytesIO(path.read_bytes(most_bytes)) if isinstance(path, RemotePath) else path
