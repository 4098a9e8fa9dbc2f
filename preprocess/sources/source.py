"""What a data set is to the pipeline: an iterable of samples, written down once as the manifest.

A new data set is one module with a class that has `name`, `root` and `samples()`, and one line in `registry`.
Nothing after the manifest knows where a sample came from.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import pyarrow as pa
import pyarrow.parquet as pq

from preprocess.places import kept, place
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

    def kept(self) -> Self:
        """Return the sample with files that are fetched once where they lie in object storage."""
        files: dict[str, Any] = {part: kept(path) for part, path in self.parts()}
        return replace(self, **files)

    def maps(self) -> tuple[Path, ...]:
        """Return the maps of `image`, which lie as the upright photo does."""
        return tuple(path for path in (self.parse, self.densepose, self.agnostic_mask) if path is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestRow(SourceSample):
    """A sample as the manifest has it, with absolute paths."""

    status: RowStatus
    """`ok`, or `failed` when a file can't be read."""

    reason: str | None = None
    """Why the row isn't `ok`."""

    input_hash: str
    """xxh3_128 (hex) over the sample's category and labels, and the names and bytes of its files; in object
    storage size and tag stand for bytes, unless it was to be hashed."""


class Source(Protocol):
    """A data set."""

    @property
    def name(self) -> str:
        """What params.yaml calls it."""

    @property
    def root(self) -> Path:
        """Folder, here or in object storage, that every path of its samples is below."""

    def samples(self) -> Iterator[SourceSample]:
        """Yield every sample once.

        Raises:
            FileNotFoundError: A folder, or a file that the data set itself names, is missing.
            ValueError: A list of the data set can't be understood.
        """


@runtime_checkable
class Drawn(Protocol):
    """A data set that was drawn, so that whoever evaluates can draw its people again in other ways."""

    def drawing(self) -> str:
        """Return the parameters that its drawing needs, as JSON; empty where they aren't known."""


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
        ValueError: The table is no manifest, or has another schema version.
    """
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    if "root" not in metadata:
        raise ValueError(f"{path} must be a manifest.parquet, as prepare_dataset writes it, but has no root")
    if metadata.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"{path} must have manifest schema {SCHEMA_VERSION}, got {metadata.get('schema_version')}: "
            "run `dvc repro prepare_dataset` again"
        )
    return place(metadata["root"]).absolute()


ROW_FIELDS = tuple(field.name for field in fields(ManifestRow))


def manifest_row(record: dict[str, Any], root: Path) -> ManifestRow:
    """Build a row from its Parquet record, joining its paths to `root`."""
    values = {name: record[name] for name in ROW_FIELDS}
    values |= {part: root / values[part] for part in PARTS if values[part] is not None}
    values |= {"category": Category(values["category"]), "status": RowStatus(values["status"])}
    values |= {"parse_labels": ParseLabels(values["parse_labels"])}
    return ManifestRow(**values)
