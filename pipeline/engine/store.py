"""Finished parts by key, in a folder: each appears whole, with a `done.json` that its files are held to.

Object storage takes another class with the same methods: a key is put in one step, or not at all.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

DONE = "done.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What `done.json` says of a part."""

    rows: int
    """Samples that it was made of."""

    failures: Mapping[str, int]
    """How many of them failed, by reason."""

    files: Mapping[str, str]
    """SHA-256 (hex) of each file of the part, by name."""


@dataclass(frozen=True, slots=True)
class PartStore:
    """A folder of finished parts, which several processes and computers may put parts into."""

    root: Path
    """Absolute, and on a file system that all of them share."""

    def list(self) -> Iterator[str]:
        """Yield the keys of the parts that were put."""
        if self.root.is_dir():
            yield from sorted(path.name for path in self.root.iterdir() if not path.name.startswith("."))

    def record(self, key: str) -> Done | None:
        """Return what the part's `done.json` says; None where there is none, or one that isn't whole."""
        try:
            return Done(**json.loads((self.root / key / DONE).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def made(self, key: str) -> Done:
        """Return the record of a part that was put, or raise OSError: it went to another machine's folder."""
        record = self.record(key)
        if record is None:
            raise OSError(f"part {key} was made, but isn't in {self.root}: do all nodes see it?")
        return record

    def done(self, key: str) -> Done | None:
        """Return the record of a part whose files are what it says; None: the part has to be made."""
        done = self.record(key)
        with suppress(OSError):
            if done is not None and checksums(self.root / key) == done.files:
                return done
        return None

    def begin(self) -> None:
        """Make the folder: whoever starts a run does that, so that workers that outlive one can't."""
        self.root.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def put(self, key: str) -> Iterator[Path]:
        """Yield an empty folder; what is in it when the block ends well, becomes the part.

        A part outlives a power cut. Of two workers that put the same one, either one's stays.

        Raises:
            OSError: There is no run whose part it could be, or this machine doesn't see its folder.
        """
        place, partial = self.root / key, self.root / f".{key}.{uuid4().hex}.partial"
        try:
            partial.mkdir()
        except FileNotFoundError as error:
            raise OSError(
                f"{self.root} isn't there: its run has ended, or not all nodes see this folder"
            ) from error
        try:
            yield partial
            for path in (*partial.iterdir(), partial):
                flush(path)
            with suppress(FileExistsError, NotADirectoryError):
                rename(partial, place)
            flush(self.root)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def remove(self, key: str) -> None:
        """Remove a part, if there is something of it."""
        shutil.rmtree(self.root / key, ignore_errors=True)

    def seal(self, folder: Path, rows: int, failures: Mapping[str, int]) -> None:
        """Write the `done.json` of a part that is about to be put."""
        done = Done(rows=rows, failures=dict(failures), files=checksums(folder))
        (folder / DONE).write_text(json.dumps(asdict(done), sort_keys=True))

    def open(self, key: str, name: str) -> BinaryIO:
        """Open a file of a part for reading."""
        return (self.root / key / name).open("rb")

    def hand_over(self, key: str, name: str, place: Path) -> None:
        """Give a file of a part a second place, where it appears whole; by a link where that can be."""
        partial = place.with_name(f".{place.name}.partial")
        partial.unlink(missing_ok=True)
        try:
            os.link(self.root / key / name, partial)
        except OSError:  # another file system, or one without links
            shutil.copyfile(self.root / key / name, partial)
        partial.replace(place)

    def clear(self) -> None:
        """Remove all parts, and what killed workers left."""
        shutil.rmtree(self.root, ignore_errors=True)


def rename(partial: Path, place: Path) -> None:
    """Rename a folder; FileExistsError when another one stands there."""
    try:
        partial.rename(place)
    except OSError as error:
        if place.is_dir():
            raise FileExistsError(place) from error
        raise


def checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 (hex) of every file of a folder but `done.json`, by name."""
    sums = {}
    for path in sorted(folder.iterdir()):
        if path.name != DONE:
            with path.open("rb") as file:
                sums[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


def flush(path: Path) -> None:
    """Have a file or folder written to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
