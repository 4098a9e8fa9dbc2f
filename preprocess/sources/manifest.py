"""What the manifest says of a sample: its files hashed, and its pictures decoded once.

A file that its file system says is unchanged needn't be read again. In object storage a listing says which
bytes there are (size and ETag); nothing is fetched unless that is asked for, and a file that can't be decoded
is found by the stage that reads it.
"""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import xxhash

from preprocess.identity import identity
from preprocess.masks import ARRAYS, read_levels
from preprocess.pictures import LIMITS, Limits, PictureError, check_picture
from preprocess.places import Facts, RemotePath, remembered
from preprocess.shelf import Shelf
from preprocess.sources.same_photo import SAME_PHOTO_FIELDS
from preprocess.sources.source import MANIFEST_SCHEMA, PARTS, SCHEMA_VERSION, Drawn, Source, SourceSample
from preprocess.vocabulary import DRAWING_KEY, SOURCE_KEY, Category, ParseLabels, RowStatus

COLUMNS = pa.schema([*MANIFEST_SCHEMA, *SAME_PHOTO_FIELDS])
"""Of the manifest: what later stages make samples from, and what tells copies of photos."""

MADE_BY = "made_by"
"""Metadata: identity of the code and limits that judged the files; others judge them anew."""


SETTLED_NS = 3 * 10**9
"""A file that changed less than this before it was looked at may change once more and keep its times: the
coarsest clock of a file system ticks every two seconds (FAT)."""


def decoding_error(path: Path, limits: Limits = LIMITS) -> str | None:
    """Say why the file at `path` can't be decoded to its last row, or None when it can."""
    suffix = path.suffix.lower()
    try:
        if suffix in ARRAYS:
            read_levels(path, "array", limits=limits)
        elif suffix != ".json":
            check_picture(path, limits=limits)
    except PictureError as error:
        return error.problem
    except OSError as error:
        return error.strerror or str(error)
    return None


def listing_error(path: Path, limits: Limits = LIMITS) -> str | None:
    """Say why the object at `path` can't be decoded, as far as a listing tells, or None."""
    facts = facts_of(path)
    if facts is None:
        return "not found"
    if path.suffix.lower() == ".json":
        return None  # as near: the stage that reads it judges it
    if not 0 < facts.num_bytes <= limits.max_bytes:
        return f"must have 1 to {limits.max_bytes:,} bytes, got {facts.num_bytes:,}"
    return None


def facts_of(path: Path) -> Facts | None:
    """Return what a listing of object storage said of a path."""
    return path.facts() if isinstance(path, RemotePath) else None


def stand_in(path: Path) -> bytes:
    """Return what a listing says, to be hashed in place of an object's bytes; nothing where there is none."""
    return (tag_of(facts_of(path)) or "").encode()


def tag_of(facts: Facts | None) -> str | None:
    """Say what a listing told of an object; None where it has none."""
    return None if facts is None else f"{facts.num_bytes} bytes, {facts.tag}"


VERDICT = ("status", "reason", "image_hash")
"""Columns that follow from `input_hash`, and are taken over with it."""


class Entry(NamedTuple):
    """A sample as the manifest has it before its files are looked at; paths would take long to pickle."""

    row: dict[str, Any]
    """Its columns, but those that its files tell; of the files it names those that the sample has."""

    listed: dict[str, Facts | None]
    """What a listing of object storage said of the files, by part; empty for those here."""

    @classmethod
    def of(cls, sample: SourceSample, root: Path) -> "Entry":
        """Write a sample down, whose files are below `root`."""
        parts = dict(sample.parts())
        row = {
            "key": sample.key,
            "split": sample.split,
            "category": str(sample.category),
            "parse_labels": str(sample.parse_labels),
            "unpaired_key": sample.unpaired_key,
            "caption": sample.caption,
            **{part: name_below(path, root) for part, path in parts.items()},
        }
        return cls(row, {part: path.facts() for part, path in parts.items() if isinstance(path, RemotePath)})

    def sample(self, root: Path) -> SourceSample:
        """Return the sample, whose files are below `root`."""
        values = self.row | {"category": Category(self.row["category"])}
        values["parse_labels"] = ParseLabels(self.row["parse_labels"])
        for part in PARTS:
            if part in values:
                path = root / values[part]
                values[part] = remembered(str(path), self.listed[part]) if self.listed else path
        return SourceSample(**values)


def name_below(path: Path, root: Path) -> str:
    """Return a path relative to `root`, as POSIX has it."""
    above = f"{root}/"  # relative_to does the same, in twenty times the time
    return str(path)[len(above) :] if str(path).startswith(above) else path.relative_to(root).as_posix()


class Hashes(NamedTuple):
    """What the bytes of a sample's files are."""

    input_hash: str
    """xxh3_128 (hex) of what is measured: of what the garment and its labels are, and of the files by name,
    relative to the root, and bytes. A file that can't be read has no bytes."""

    image_hash: str | None
    """xxh3_128 (hex) of the photo's bytes alone; None where they weren't read."""

    all_read: bool
    """Whether all files could be."""


def hashes_of(entry: Entry, sample: SourceSample, *, listed: bool = False) -> Hashes:
    """Read the files of a sample and its entry; `listed` takes what a listing says of one for its bytes."""
    digest = xxhash.xxh3_128(f"{sample.category}\0{sample.parse_labels}\0".encode())
    image_hash, all_read = None, True
    for part, path in sample.parts():
        try:
            content = stand_in(path) if listed else path.read_bytes()
        except OSError:
            content, all_read = b"", False
        if part == "image" and content and not listed:  # of some storage the tag is no more than a time
            image_hash = xxhash.xxh3_128_hexdigest(content)
        digest.update(f"{part}\0{entry.row[part]}\0{len(content)}\0".encode())
        digest.update(content)
    return Hashes(digest.hexdigest(), image_hash, all_read)


def file_facts(entry: Entry, root: str, now: int) -> str | None:
    """Return the xxh3_128 (hex) of what `Hashes.input_hash` is, with the facts of files for their bytes.

    Equal facts, equal hashes. Whoever reads the files must look at their facts before.

    Args:
        entry: Whose files.
        root: Folder that they are below.
        now: Time (ns since 1970), not later than this call.

    Returns:
        None where a file's facts don't tell its bytes.
    """
    digest = xxhash.xxh3_128(f"{entry.row['category']}\0{entry.row['parse_labels']}\0".encode())
    for part in PARTS:
        name = entry.row.get(part)
        if name is not None:
            told = tag_of(entry.listed[part]) if entry.listed else stamp(f"{root}/{name}", now)
            if told is None:
                return None
            digest.update(f"{part}\0{name}\0{told}\0".encode())
    return digest.hexdigest()


def stamp(path: str, now: int) -> str | None:
    """Return what tells a file's bytes from any that it had before, without reading it; None: nothing does.

    A file changes its inode's time with every writing, and nobody can set that back. Git's index and DVC's
    rest on the same.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path for each takes as long again
    except OSError:
        return None
    if max(found.st_mtime_ns, found.st_ctime_ns) > now - SETTLED_NS:
        return None
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def judged(
    entry: Entry,
    root: Path,
    before: dict[str, Any] | None = None,
    limits: Limits = LIMITS,
    *,
    listed: bool = False,
    facts: str | None = None,
) -> dict[str, Any]:
    """Read a sample's files and return its manifest row: a file that can't be decoded is a `failed` row.

    Args:
        entry: Whose files.
        root: Folder that they are below.
        before: The row of an earlier manifest; unchanged bytes aren't decoded again.
        limits: What is too large to be decoded.
        listed: Judge files by what a listing says.
        facts: See `file_facts`.

    Returns:
        The row, with `facts` beside; None where not all files could be read.
    """
    sample = entry.sample(root)
    sample = sample if listed else sample.kept()  # to hash and to decode it are two readings
    found = hashes_of(entry, sample, listed=listed)
    told = {"input_hash": found.input_hash, "facts": facts if found.all_read else None}
    if before is not None and before["input_hash"] == found.input_hash:
        return entry.row | {name: before[name] for name in VERDICT} | told
    error_of = listing_error if listed else decoding_error
    problems = {part: error_of(path, limits) for part, path in sample.parts()}
    reason = "; ".join(f"{part} unreadable: {why}" for part, why in problems.items() if why) or None
    verdict = {
        "status": str(RowStatus.FAILED if reason else RowStatus.OK),
        "reason": reason,
        "image_hash": None if problems["image"] else found.image_hash,
    }
    return entry.row | verdict | told


def made_by(limits: Limits, *, listed: bool) -> str:
    """Return the identity of the code and limits that judge files."""
    return identity(__name__, [asdict(limits), listed])


def manifest_schema(source: Source, judged_by: str) -> pa.Schema:
    """Return the schema of a data set's manifest, with what it says of where it came from."""
    metadata = {"root": source.root.as_posix(), SOURCE_KEY: source.name, "schema_version": SCHEMA_VERSION}
    if isinstance(source, Drawn):
        metadata[DRAWING_KEY] = source.drawing()
    return COLUMNS.with_metadata(metadata | {MADE_BY: judged_by})


def sorted_samples(source: Source) -> Shelf[Entry]:
    """Return the samples of a data set, to be taken sorted by split and key.

    Raises:
        ValueError: There is none, or two of one split share a key.
    """
    samples, twice = Shelf[Entry](), set()
    for sample in source.samples():
        if not samples.add(f"{sample.split}\0{sample.key}", Entry.of(sample, source.root)):
            twice.add(f"{sample.split}/{sample.key}")
    if twice:
        raise ValueError(
            f"a key must be unique in its split, got {', '.join(sorted(twice)[:5])} more than once"
        )
    if not len(samples):
        raise ValueError(f"{source.root} has no sample: check prepare_dataset.root")
    return samples
