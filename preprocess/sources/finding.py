"""Find the files of a data set under the names that people give folders and files."""

import os
import unicodedata
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from preprocess.masks import ARRAYS
from preprocess.pictures import HEIC_SUFFIXES, INSTALL_HEIC, photo_suffixes
from preprocess.places import Facts, RemotePath, remembered
from preprocess.shelf import scratch
from preprocess.sources.pairs import stem_of

UNREADABLE = dict.fromkeys(HEIC_SUFFIXES, INSTALL_HEIC) | dict.fromkeys(
    (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".psd", ".jxl", ".jp2", ".svg", ".pdf"),
    "save it as JPEG or PNG",
)
"""What can't be read of what may well be a photo, and what to do about it."""

LISTED_KIB = 512
"""Memory of the listing of a folder: a data set has eight, which are looked into in the same order."""

JUNK_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN")
"""What archives and file servers leave; so are folders whose name begins with a dot."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """How one part of a data set's samples may be called."""

    folders: tuple[str, ...]
    """Names of the folder, best first; upper case, `-` and `_` make no difference."""

    ends: tuple[str, ...] = ("",)
    """What follows a sample's name, before the suffix, best first."""

    arrays: bool = False
    """Whether NumPy's files are read beside pictures."""

    suffixes: tuple[str, ...] = ()
    """Suffixes, where it is no picture."""

    def wanted(self) -> tuple[str, ...]:
        """Return the suffixes, in lower case, of files that can be read."""
        return self.suffixes or photo_suffixes() + (ARRAYS if self.arrays else ())


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The files of one part, listed once."""

    part: Part
    """What was looked for."""

    folders: tuple[Path, ...]
    """Where it was found."""

    files: tuple["Listing", ...]
    """Of each folder."""

    @classmethod
    def below(cls, root: Path, part: Part) -> "Found":
        """List the folders of a part that are in `root`."""
        there: dict[str, list[Path]] = {}
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            there.setdefault(plain(folder.name), []).append(folder)
        folders = tuple(
            path for name in dict.fromkeys(map(plain, part.folders)) for path in there.get(name, [])
        )
        return cls(part=part, folders=folders, files=tuple(Listing(folder, part) for folder in folders))

    def of(self, name: str, *, whole: bool = False) -> Path | None:
        """Return the file of the sample `name`; None: there is none.

        Args:
            name: It may have a photo's suffix.
            whole: Whether the suffix belongs to the name, since others differ by it.
        """
        bases = (name,) if whole else dict.fromkeys((name, stem_of(name)))
        for files in self.files:
            for base in bases:
                for end in self.part.ends:
                    path = files.get(composed(base + end))
                    if path is not None:
                        return path
        return None

    def missing(self, others: Mapping[str, int]) -> str | None:
        """Say what was looked for and what is there instead; None where there is some of it.

        `others` has how many files the folders have that no part is found in, by name.
        """
        if any(self.files):
            return None
        what = "has no file that can be read" if self.folders else "not found"
        there = ", ".join(f"{name}/ has {count:,} files" for name, count in others.items())
        return f"{self.part.folders[0]}/ {what}; {there or 'there is no other folder'}"

    def strangers(self) -> str:
        """Say that none of the files is called after a sample, and how they are called."""
        first = min(files.first for files in self.files if files)
        count = sum(len(files) for files in self.files)
        return (
            f"{self.folders[0].name}/ has {count:,} files, but none is named as a photo: the first is {first}"
        )


class Listing:
    """A folder's files of a part by name, with suffix and without, on disk; the better suffix has a name."""

    def __init__(self, folder: Path, part: Part) -> None:
        self.folder, self.db = folder, scratch(LISTED_KIB)
        weakref.finalize(self, self.db.close)
        self.db.execute("CREATE TABLE listed (rank, file, num_bytes, tag, whole, stem)")
        self.db.execute("CREATE TABLE found (name PRIMARY KEY, file, num_bytes, tag) WITHOUT ROWID")
        self.db.executemany("INSERT INTO listed VALUES (?, ?, ?, ?, ?, ?)", self.listed(part.wanted()))
        for clause, name in (("REPLACE", "whole"), ("IGNORE", "stem")):
            self.db.execute(
                f"INSERT OR {clause} INTO found SELECT {name}, file, num_bytes, tag"
                " FROM listed ORDER BY rank, file"
            )
        row = self.db.execute("SELECT count(*), min(file) FROM listed").fetchone()
        self.count, self.first = int(row[0]), os.fsdecode(row[1] or b"")
        self.db.execute("DROP TABLE listed")

    def listed(self, wanted: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Yield rank, name and facts of each file, and the names that it is found by."""
        for entry in entries(self.folder):
            stem, suffix = os.path.splitext(entry.name)  # noqa: PTH122 - a Path for each takes seconds
            rank = wanted.index(suffix.lower()) if suffix.lower() in wanted else None
            if rank is not None and not entry.name.startswith("._") and is_file(entry):
                facts = entry.facts() if isinstance(entry, RemotePath) else None
                told = (facts.num_bytes, facts.tag) if facts else (None, None)
                names = (os.fsencode(composed(name)) for name in (entry.name, stem))
                yield rank, os.fsencode(entry.name), *told, *names

    def get(self, name: str) -> Path | None:
        """Return the file of a name; None: there is none."""
        query = "SELECT file, num_bytes, tag FROM found WHERE name = ?"
        row = self.db.execute(query, (os.fsencode(name),)).fetchone()
        if row is None:
            return None
        path = self.folder / os.fsdecode(row[0])
        if not isinstance(path, RemotePath):
            return path
        return remembered(str(path), Facts(is_file=True, num_bytes=row[1], tag=row[2]))

    def __len__(self) -> int:
        return self.count


def entries(folder: Path) -> Iterator[os.DirEntry[str] | RemotePath]:
    """Yield what is directly in a folder."""
    if isinstance(folder, RemotePath):
        yield from folder.iterdir()
        return
    with os.scandir(folder) as found:
        yield from found


def is_file(entry: os.DirEntry[str] | RemotePath) -> bool:
    """Tell whether an entry is a file; a link in a circle is none."""
    try:
        return entry.is_file()
    except OSError:
        return False


def plain(name: str) -> str:
    """Return a folder's name without what makes no difference."""
    return name.lower().replace("-", "_").replace(" ", "_")


def composed(name: str) -> str:
    """Return a name in the one form of its accents: macOS writes names apart that lists have composed."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def is_link(path: Path) -> bool:
    """Tell whether a path is a link; object storage has none."""
    return not isinstance(path, RemotePath) and path.is_symlink()


def file_counts(folders: Iterable[Path]) -> dict[str, int]:
    """Count the files of folders by their names; empty ones are left out."""
    counts = {folder.name: sum(entry.is_file() for entry in folder.iterdir()) for folder in folders}
    return {name: count for name, count in counts.items() if count}


@dataclass(slots=True)
class PassedOver:
    """Counts by kind what looks like a part of a data set, and isn't."""

    counts: Counter[str] = field(default_factory=Counter)

    def is_photo(self, path: Path, root: Path) -> bool:
        """Tell whether a path below `root` is a photo that can be read; if not, count it."""
        kind = self.kind(path, root)
        if kind:
            self.counts[kind] += 1
        return kind is None

    def kind(self, path: Path, root: Path) -> str | None:
        """Say what a path is instead of a photo that can be read; "" is not worth a word."""
        suffix, parts = path.suffix.lower(), path.relative_to(root).parts
        kind: str | None = None
        if any(part.startswith(".") or part in JUNK_FOLDERS for part in parts):
            kind = "" if path.is_dir() else "hidden files and folders"
        elif path.is_dir():
            kind = "folders named like photos" if suffix in photo_suffixes() else ""
            kind = "links to folders, which aren't followed" if is_link(path) else kind
        elif suffix not in photo_suffixes():
            kind = f"{suffix} ({UNREADABLE[suffix]})" if suffix in UNREADABLE else f"{suffix or 'no'} suffix"
        elif not path.is_file():
            kind = "dead links named like photos"
        elif path.name.encode(errors="ignore").decode() != path.name:
            kind = "photos whose names aren't UTF-8"
        return kind

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.counts.items()))
