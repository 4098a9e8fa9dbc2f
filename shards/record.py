"""What a sample knows beside its pictures: the member `.size.json`."""

import itertools
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
LARGEST = 1e30
"""A float32 holds any number below this."""

_NUMBER_OR_NONE = {int, float, type(None)}


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
        return np.array(self.ratios, dtype=np.float32)  # None becomes NaN

    def keypoint_array(self) -> NDArray[np.float32]:
        """Return the joints, (25, 3) float32 x, y, confidence; x and y NaN where missing."""
        return np.array(self.keypoints, dtype=np.float32)  # None becomes NaN


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
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def _are_joints(value: object) -> bool:
    """Tell whether a value is x, y, confidence of every joint, with both of x and y or neither.

    All at once, because this is most of what reading a record costs.
    """
    if not isinstance(value, list) or len(value) != NUM_JOINTS:
        return False
    if not all(isinstance(row, list) and len(row) == 3 for row in value):
        return False
    numbers = list(itertools.chain.from_iterable(value))
    if not set(map(type, numbers)) <= _NUMBER_OR_NONE or None in numbers[2::3]:
        return False
    if [x is None for x in numbers[0::3]] != [y is None for y in numbers[1::3]]:
        return False
    given = [number for number in numbers if number is not None]
    return min(given) > -LARGEST and max(given) < LARGEST and not any(map(math.isnan, given))


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
    "keypoints": _are_joints,
    "fit_label": lambda value: value is None or value in FIT_LABELS,
    "caption": _is_string,
    "unpaired_key": _is_optional_string,
    "input_hash": _is_string,
}
