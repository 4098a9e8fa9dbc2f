"""What a sample knows beside its pictures: the member `.size.json`."""

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.vocabulary import FIT_LABELS, NUM_JOINTS, SIZE_RATIOS, Category, RowStatus
from shards.ustar import SampleError

SCHEMA_VERSION = 1
MAX_RECORD_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeRecord:
    """What a sample knows beside its pictures: the member `.size.json`."""

    key: str
    """The sample's id."""

    split: str
    """`train` or `test`."""

    status: RowStatus
    """Whether the measures can be trusted."""

    category: Category
    """What kind of garment is worn."""

    garment_key: str
    """Whose garment the cloth photo shows."""

    image_height: int
    """Rows of the photo (px)."""

    image_width: int
    """Columns of the photo (px)."""

    ratios: tuple[float | None, ...]
    """Measured on the photo, in the order of `SIZE_RATIOS`; None where not measurable."""

    keypoints: tuple[tuple[float | None, float | None, float], ...]
    """25 joints: x, y (px of the photo, None where missing) and confidence."""

    fit_label: str | None = None
    """One of `FIT_LABELS`."""

    caption: str = ""
    """Describes the garment, never its size."""

    unpaired_key: str | None = None
    """Whose garment this person tries on in the unpaired test."""

    input_hash: str = ""
    """Of everything that the sample was made from (hex)."""

    schema_version: int = SCHEMA_VERSION
    """Of this record."""

    def ratio_array(self) -> NDArray[np.float32]:
        """Return the ratios, (3,) float32, NaN where not measurable."""
        return np.array([math.nan if r is None else r for r in self.ratios], dtype=np.float32)

    def keypoint_array(self) -> NDArray[np.float32]:
        """Return the joints, (25, 3) float32 x, y, confidence; x and y NaN where missing."""
        rows = [[math.nan if v is None else v for v in row] for row in self.keypoints]
        return np.array(rows, dtype=np.float32)


def encode_record(record: SizeRecord) -> bytes:
    """Return the record as JSON."""
    return json.dumps(asdict(record), separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def decode_record(key: str, content: bytes | memoryview) -> SizeRecord:
    """Return the record that `encode_record` wrote, checking every field.

    Raises:
        SampleError: It isn't such a record, or one of another sample.
    """
    values = _parse(key, content)
    problems = [
        name for name, is_valid in _CHECKS.items() if name not in values or not is_valid(values[name])
    ]
    if problems:
        found = {name: values.get(name) for name in problems[:2]}
        raise SampleError(f"{key}: size.json has no valid {', '.join(problems)}, got {str(found)[:200]}")
    if values["key"] != key:
        raise SampleError(f"{key}: size.json belongs to the sample {values['key']!r}")
    values = {field.name: values[field.name] for field in fields(SizeRecord)}
    values |= {"status": RowStatus(values["status"]), "category": Category(values["category"])}
    values |= {
        "ratios": tuple(values["ratios"]),
        "keypoints": tuple(tuple(row) for row in values["keypoints"]),
    }
    return SizeRecord(**values)


def _parse(key: str, content: bytes | memoryview) -> dict[str, Any]:
    """Parse a JSON object of this schema version."""
    if len(content) > MAX_RECORD_BYTES:
        raise SampleError(f"{key}: size.json must have at most {MAX_RECORD_BYTES} bytes, got {len(content)}")
    try:
        values = json.loads(bytes(content))
    except (ValueError, RecursionError) as error:
        raise SampleError(f"{key}: size.json isn't JSON: {error}") from error
    if not isinstance(values, dict):
        raise SampleError(f"{key}: size.json must be an object, got {type(values).__name__}")
    if values.get("schema_version") != SCHEMA_VERSION:
        raise SampleError(
            f"{key}: size.json must have schema version {SCHEMA_VERSION}, "
            f"got {values.get('schema_version')!r}: write the shards again"
        )
    return values


def _is_number(value: object) -> bool:
    """Tell whether a value is a finite number that a float32 can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30


def _is_joint(row: object) -> bool:
    """Tell whether a value is x, y, confidence, with both of x and y or neither."""
    if not isinstance(row, list) or len(row) != 3 or not _is_number(row[2]):
        return False
    return all(map(_is_number, row[:2])) or row[:2] == [None, None]


def _is_optional_string(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _is_extent(value: object) -> bool:
    return type(value) is int and 0 < value < 1 << 20


_CHECKS = {
    "key": _is_string,
    "split": _is_string,
    "status": lambda value: value in tuple(RowStatus),
    "category": lambda value: value in tuple(Category),
    "garment_key": _is_string,
    "image_height": _is_extent,
    "image_width": _is_extent,
    "ratios": lambda value: (
        isinstance(value, list)
        and len(value) == len(SIZE_RATIOS)
        and all(ratio is None or _is_number(ratio) for ratio in value)
    ),
    "keypoints": lambda value: (
        isinstance(value, list) and len(value) == NUM_JOINTS and all(map(_is_joint, value))
    ),
    "fit_label": lambda value: value is None or value in FIT_LABELS,
    "caption": _is_string,
    "unpaired_key": _is_optional_string,
    "input_hash": _is_string,
}
