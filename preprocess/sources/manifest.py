"""What the manifest says of a sample: its files hashed, and its pictures decoded once.

A file that its file system says is unchanged needn't be read again. In object storage a listing says which
bytes there are (size and ETag); nothing is fetched unless that is asked for, and a file that can't be decoded
is found by the stage that reads it.
"""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from preprocess.identity import identity
from preprocess.masks import ARRAYS, read_levels
from preprocess.pictures import LIMITS, Limits, PictureError, check_picture
from preprocess.places import Facts, RemotePath
from preprocess.shelf import Shelf
from preprocess.sources.source import MANIFEST_SCHEMA, SCHEMA_VERSION, Drawn, Source, SourceSample
from preprocess.vocabulary import DRAWING_KEY, SOURCE_KEY, RowStatus

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
    facts = facts_of(path)
    return b"" if facts is None else f"{facts.num_bytes} bytes, {facts.tag}".encode()


def input_hash(sample: SourceSample, root: Path, *, listed: bool = False) -> tuple[str, bool]:
    """Return the xxh3_128 (hex) of what is measured, and whether all of its files could be read.

    It is taken of what the garment and its labels are, and of the files by name, relative to `root`, and
    bytes. A file that can't be read has no bytes.

    Args:
        sample: Whose files.
        root: Folder that they are below.
        listed: Take what a listing says of a file for its bytes.
    """
    digest = xxhash.xxh3_128(f"{sample.category}\0{sample.parse_labels}\0".encode())
    all_read = True
    for part, path in sample.parts():
        try:
            content = stand_in(path) if listed else path.read_bytes()
        except OSError:
            content, all_read = b"", False
        digest.update(f"{part}\0{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest(), all_read


def file_facts(sample: SourceSample, root: Path, now: int) -> str | None:
    """Return the xxh3_128 (hex) of what `input_hash` is taken of, with the facts of files for their bytes.

    Equal facts, equal hashes. Whoever reads the files must look at their facts before.

    Args:
        sample: Whose files.
        root: Folder that they are below.
        now: Time (ns since 1970), not later than this call.

    Returns:
        None where a file's facts don't tell its bytes.
    """
    digest = xxhash.xxh3_128(f"{sample.category}\0{sample.parse_labels}\0".encode())
    for part, path in sample.parts():
        told = stamp(path, now)
        if told is None:
            return None
        digest.update(f"{part}\0{path.relative_to(root).as_posix()}\0{told}\0".encode())
    return digest.hexdigest()


def stamp(path: Path, now: int) -> str | None:
    """Return what tells a file's bytes from any that it had before, without reading it; None: nothing does.

    A file here changes its inode's time with every writing, and nobody can set that back. Git's index and
    DVC's rest on the same.
    """
    if isinstance(path, RemotePath):
        facts = path.facts()
        return None if facts is None else f"{facts.num_bytes} {facts.tag}"
    try:
        found = os.stat(path)  # noqa: PTH116 - a tenth of the time of a Path's
    except OSError:
        return None
    if max(found.st_mtime_ns, found.st_ctime_ns) > now - SETTLED_NS:
        return None
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def judged(
    sample: SourceSample,
    root: Path,
    before: dict[str, Any] | None = None,
    limits: Limits = LIMITS,
    *,
    listed: bool = False,
    facts: str | None = None,
) -> dict[str, Any]:
    """Read a sample's files and return its manifest row: a file that can't be decoded is a `failed` row.

    Args:
        sample: Whose files.
        root: Folder that they are below.
        before: The row of an earlier manifest; unchanged bytes aren't decoded again.
        limits: What is too large to be decoded.
        listed: Judge files by what a listing says.
        facts: See `file_facts`.

    Returns:
        The row, with `facts` beside; None where not all files could be read.
    """
    sample = sample if listed else sample.kept()  # to hash and to decode it are two readings
    found, all_read = input_hash(sample, root, listed=listed)
    if before is not None and before["input_hash"] == found:
        row = manifest_record(sample, root, before)
    else:
        error_of = listing_error if listed else decoding_error
        problems = {part: error_of(path, limits) for part, path in sample.parts()}
        reason = "; ".join(f"{part} unreadable: {why}" for part, why in problems.items() if why) or None
        status = str(RowStatus.FAILED if reason else RowStatus.OK)
        row = manifest_record(sample, root, {"status": status, "reason": reason, "input_hash": found})
    return row | {"facts": facts if all_read else None}


def manifest_record(sample: SourceSample, root: Path, found: dict[str, Any]) -> dict[str, Any]:
    """Return a sample's manifest row.

    Args:
        sample: What the data set says.
        root: Folder that its files are below.
        found: Has the `status`, `reason` and `input_hash` of its files.
    """
    return {
        "key": sample.key,
        "split": sample.split,
        "category": str(sample.category),
        "status": found["status"],
        "reason": found["reason"],
        "parse_labels": str(sample.parse_labels),
        "unpaired_key": sample.unpaired_key,
        "caption": sample.caption,
        "input_hash": found["input_hash"],
        **{part: path.relative_to(root).as_posix() for part, path in sample.parts()},
    }


def made_by(limits: Limits, *, listed: bool) -> str:
    """Return the identity of the code and limits that judge files."""
    return identity(__name__, [asdict(limits), listed])


def manifest_schema(source: Source, judged_by: str) -> pa.Schema:
    """Return the schema of a data set's manifest, with what it says of where it came from."""
    metadata = {"root": source.root.as_posix(), SOURCE_KEY: source.name, "schema_version": SCHEMA_VERSION}
    if isinstance(source, Drawn):
        metadata[DRAWING_KEY] = source.drawing()
    return MANIFEST_SCHEMA.with_metadata(metadata | {MADE_BY: judged_by})


def sorted_samples(source: Source) -> Shelf[SourceSample]:
    """Return the samples of a data set, which come sorted by split and key.

    Raises:
        ValueError: There is none, or two of one split share a key.
    """
    samples, twice = Shelf[SourceSample](), set()
    for sample in source.samples():
        if not samples.add(f"{sample.split}\0{sample.key}", sample):
            twice.add(f"{sample.split}/{sample.key}")
    if twice:
        raise ValueError(
            f"a key must be unique in its split, got {', '.join(sorted(twice)[:5])} more than once"
        )
    if not len(samples):
        raise ValueError(f"{source.root} has no sample: check prepare_dataset.root")
    return samples
