"""What a data set is to the pipeline: an iterable of samples, written down once as the manifest.

A new data set is one module with a class that has `name`, `root` and `samples()`, and one line in
`pipeline/prepare_dataset.py`. Nothing after the manifest knows where a sample came from.
"""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from preprocess.vocabulary import Category, ParseLabels, RowStatus

SCHEMA_VERSION = "2"

PARTS = (
    "image",
    "cloth",
    "cloth_mask",
    "parse",
    "densepose",
    "openpose_json",
    "agnostic_mask",
    "unpaired_cloth",
    "unpaired_cloth_mask",
)
"""Files a sample may have, in the order they are hashed. Only `image` is required."""

MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("image", pa.string(), nullable=False),
        *(pa.field(part, pa.string()) for part in PARTS[1:]),
        pa.field("parse_labels", pa.string(), nullable=False),
        pa.field("unpaired_key", pa.string()),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("input_hash", pa.string(), nullable=False),
    ]
)
"""Paths are POSIX, relative to `root` in the schema's metadata; `input_hash` is xxh3_128 in hex."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceSample:
    """One person in one garment, by its files. Paths are below the source's root; None: there is none."""

    key: str
    """The sample's id, unique in its split."""

    split: str
    """`train` or `test`."""

    category: Category
    """What kind of garment is worn."""

    image: Path
    """Photo of the person."""

    caption: str = ""
    """Describes the garment, never its size."""

    cloth: Path | None = None
    """Photo of the garment alone."""

    cloth_mask: Path | None = None
    """Where the garment is in `cloth`, white on black."""

    parse: Path | None = None
    """Human parsing of `image`, labels as palette indices."""

    parse_labels: ParseLabels = ParseLabels.LIP
    """What the numbers in `parse` mean."""

    densepose: Path | None = None
    """DensePose parts of `image` in its colours."""

    openpose_json: Path | None = None
    """OpenPose keypoints of `image`."""

    agnostic_mask: Path | None = None
    """The data set's own inpainting mask. Kept for comparison: it tells the worn size."""

    unpaired_key: str | None = None
    """Whose garment this person tries on in the unpaired test."""

    unpaired_cloth: Path | None = None
    """Photo of that garment."""

    unpaired_cloth_mask: Path | None = None
    """Where that garment is in `unpaired_cloth`."""

    def parts(self) -> Iterator[tuple[str, Path]]:
        """Yield the name and path of each file the sample has, in the order of `PARTS`."""
        for part in PARTS:
            path: Path | None = getattr(self, part)
            if path is not None:
                yield part, path


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestRow(SourceSample):
    """A sample as the manifest has it, with absolute paths."""

    status: RowStatus
    """`ok`, or `failed` when a file can't be read."""

    reason: str | None = None
    """Why the row isn't `ok`."""

    input_hash: str
    """xxh3_128 (hex) over the names and bytes of the sample's files."""


class Source(Protocol):
    """A data set."""

    @property
    def name(self) -> str:
        """What params.yaml calls it."""

    @property
    def root(self) -> Path:
        """Folder that every path of its samples is below."""

    def samples(self) -> Iterator[SourceSample]:
        """Yield every sample once.

        Raises:
            FileNotFoundError: A folder, or a file that the data set itself names, is missing.
            ValueError: A list of the data set can't be understood.
        """


def decoding_error(path: Path) -> str | None:
    """Say why the picture at `path` can't be decoded to its last row, or None when it can."""
    try:
        with Image.open(path) as image:
            image.draft("L", (image.width // 8, image.height // 8))  # JPEG: an eighth of the pixels
            image.load()
    except UnidentifiedImageError:
        return "not an image"
    except (OSError, SyntaxError, ValueError) as error:
        return str(error)
    return None


def input_hash(sample: SourceSample, root: Path) -> str:
    """Return the xxh3_128 (hex) of the names, relative to `root`, and bytes of the sample's files."""
    digest = xxhash.xxh3_128()
    for part, path in sample.parts():
        content = path.read_bytes()
        digest.update(f"{part}\0{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def manifest_record(sample: SourceSample, root: Path) -> dict[str, Any]:
    """Read a sample's files and return its manifest row: a file that can't be decoded is a `failed` row."""
    problems = {part: decoding_error(path) for part, path in sample.parts() if path.suffix.lower() != ".json"}
    reasons = [f"{part} unreadable: {problem}" for part, problem in problems.items() if problem]
    return {
        "key": sample.key,
        "split": sample.split,
        "category": str(sample.category),
        "status": str(RowStatus.FAILED if reasons else RowStatus.OK),
        "reason": "; ".join(reasons) or None,
        "parse_labels": str(sample.parse_labels),
        "unpaired_key": sample.unpaired_key,
        "caption": sample.caption,
        "input_hash": input_hash(sample, root),
        **{part: path.relative_to(root).as_posix() for part, path in sample.parts()},
    }


def write_manifest(source: Source, out: Path) -> Counter[str]:
    """Write one row for every sample of `source`, sorted by split and key; return the counts by status.

    Raises:
        ValueError: The source has no sample, or two of one split share a key.
    """
    samples = sorted(source.samples(), key=lambda sample: (sample.split, sample.key))
    if not samples:
        raise ValueError(f"{source.root} has no sample: check prepare_dataset.root")
    require_unique(samples)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        work = pool.map(lambda sample: manifest_record(sample, source.root), samples)
        records = list(tqdm(work, total=len(samples), desc="manifest", unit="sample", disable=None))
    metadata = {"root": source.root.as_posix(), "source": source.name, "schema_version": SCHEMA_VERSION}
    table = pa.Table.from_pylist(records, schema=MANIFEST_SCHEMA.with_metadata(metadata))
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    pq.write_table(table, partial, compression="zstd")
    partial.replace(out)
    return Counter(record["status"] for record in records)


def require_unique(samples: list[SourceSample]) -> None:
    """Raise ValueError when two samples of one split share a key."""
    counts = Counter((sample.split, sample.key) for sample in samples)
    twice = [f"{split}/{key}" for (split, key), count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"a key must be unique in its split, got {', '.join(twice[:5])} more than once")


def read_manifest(path: Path) -> list[ManifestRow]:
    """Read the rows of a manifest, with paths made absolute.

    Raises:
        FileNotFoundError: There is no manifest at `path`.
        ValueError: It has another schema version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found: run `dvc repro prepare_dataset` first")
    table = pq.read_table(path)
    root = manifest_root(path, table.schema)
    return [manifest_row(record, root) for record in table.to_pylist()]


def manifest_root(path: Path, schema: pa.Schema) -> Path:
    """Return the folder that a manifest's paths are below.

    Raises:
        ValueError: The manifest has another schema version.
    """
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    if metadata.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"{path} must have manifest schema {SCHEMA_VERSION}, got {metadata.get('schema_version')}: "
            "run `dvc repro prepare_dataset` again"
        )
    return Path(metadata["root"]).absolute()


def manifest_row(record: dict[str, Any], root: Path) -> ManifestRow:
    """Build a row from its Parquet record, joining its paths to `root`."""
    values = {field.name: record[field.name] for field in fields(ManifestRow)}
    values |= {part: root / values[part] for part in PARTS if values[part] is not None}
    values |= {"category": Category(values["category"]), "status": RowStatus(values["status"])}
    values |= {"parse_labels": ParseLabels(values["parse_labels"])}
    return ManifestRow(**values)
