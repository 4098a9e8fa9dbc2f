"""One training sample: what a shard stores of it, and the way there and back."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, Literal

import numpy as np
from annotated_types import Gt, Len, Lt
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import FIT_LABELS, NUM_JOINTS, Category, RowStatus
from shards.codec import decide, decode_cover, encode_cover, encode_mask
from shards.ustar import SampleError

SCHEMA_VERSION: Final = 2
MAX_RECORD_BYTES = 1 << 20

Number = Annotated[float, Gt(-1e30), Lt(1e30)]
"""Finite, and a float32 holds it."""

Extent = Annotated[int, Gt(0), Lt(1 << 20)]
Joint = tuple[Number | None, Number | None, Number]
Interval = tuple[Number | None, Number | None]

COVER = "garment_cover"
MASKS = ("cloth_mask", "inpaint_mask", COVER)
SUFFIXES = {
    "image": "image.jpg",
    "cloth": "cloth.jpg",
    "cloth_mask": "cloth_mask.png",
    "inpaint_mask": "inpaint_mask.png",
    COVER: "garment_mask.png",
    "densepose": "densepose.jpg",
}
"""Members in their order in the tar, by field of `Sample`; after them comes the record."""

RECORD_SUFFIX = "size.json"
REQUIRED = ("image", "cloth", "inpaint_mask")


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeRecord:
    """What a sample knows beside its pictures: the member `.size.json`, which must have every field."""

    key: str
    """The sample's id."""

    split: str
    """`train` or `test`."""

    status: RowStatus
    """ok where every ratio is known, suspect where some is not."""

    category: Category
    """What kind of garment is worn."""

    garment_key: str
    """Whose garment the cloth photo shows."""

    image_height: Extent
    """Rows of the photo (px)."""

    image_width: Extent
    """Columns of the photo (px)."""

    ratios: Annotated[tuple[Number | None, ...], Len(len(AXIS_NAMES), len(AXIS_NAMES))]
    """Known ones of the photo, in the order of `AXIS_NAMES`; None where not known."""

    bounds: Annotated[tuple[Interval, ...], Len(len(AXIS_NAMES), len(AXIS_NAMES))]
    """Least and most that each ratio can be by what the photo shows, known or not."""

    keypoints: Annotated[tuple[Joint, ...], Len(NUM_JOINTS, NUM_JOINTS)]
    """25 joints: x, y (px of the photo, None where missing) and confidence."""

    fit_label: Literal[FIT_LABELS] | None  # type: ignore[valid-type]
    """One of `FIT_LABELS`."""

    caption: str
    """Describes the garment, never its size."""

    unpaired_key: str | None
    """Whose garment this person tries on in the unpaired test."""

    input_hash: str
    """Of everything that the sample was made from (hex)."""

    schema_version: Literal[2]
    """`SCHEMA_VERSION`."""

    def ratio_array(self) -> NDArray[np.float32]:
        """Return the ratios, (A,) float32, NaN where not known."""
        return np.array(self.ratios, dtype=np.float32)  # None becomes NaN

    def keypoint_array(
        self, image_height: int | None = None, image_width: int | None = None
    ) -> NDArray[np.float32]:
        """Return the joints, (25, 3) float32 x, y, confidence; x and y NaN where missing.

        Args:
            image_height: Rows of the picture whose px they are in; None: the photo's own.
            image_width: Its columns.
        """
        joints = np.array(self.keypoints, dtype=np.float32)  # None becomes NaN
        height, width = image_height or self.image_height, image_width or self.image_width
        return joints * np.array([width / self.image_width, height / self.image_height, 1], np.float32)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sample:
    """One sample. Photos stay encoded, so that writing them loses nothing."""

    record: SizeRecord
    """Everything but the pictures."""

    image: bytes
    """Photo of the person (JPEG)."""

    cloth: bytes
    """Photo of the garment alone (JPEG)."""

    inpaint_mask: NDArray[np.bool_]
    """(H, W) what may be painted anew."""

    garment_cover: NDArray[np.uint8] | None = None
    """(H, W) how much of each pixel the worn garment covers, 0 to `WHOLE`."""

    cloth_mask: NDArray[np.bool_] | None = None
    """(h, w) the garment in the cloth photo."""

    densepose: bytes | None = None
    """DensePose parts in their colours (JPEG)."""

    @property
    def key(self) -> str:
        """The sample's id."""
        return self.record.key

    @property
    def garment_mask(self) -> NDArray[np.bool_] | None:
        """(H, W) the worn garment: where it covers half of a pixel or more."""
        return None if self.garment_cover is None else decide(self.garment_cover).view(np.bool_)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sample) and encode(self) == encode(other)

    __hash__ = None  # type: ignore[assignment]  # holds arrays


def encode(sample: Sample) -> dict[str, bytes]:
    """Return the members of a sample by suffix, in their order in the tar. Equal samples give equal bytes."""
    members = {}
    for name, suffix in SUFFIXES.items():
        value = getattr(sample, name)
        if value is not None:
            members[suffix] = encode_member(name, value)
    return members | {RECORD_SUFFIX: encode_record(sample.record)}


def encode_member(name: str, value: Any) -> bytes:
    """Encode a mask; photos are encoded."""
    if name == COVER:
        return encode_cover(value)
    return encode_mask(value) if name in MASKS else value


def decode(key: str, members: Mapping[str, bytes | memoryview]) -> Sample:
    """Return the sample that `encode` turned into `members`.

    Raises:
        SampleError: A required member is missing, or one can't be decoded.
    """
    record = decode_record(key, require_member(key, members, RECORD_SUFFIX))
    for name in REQUIRED:
        require_member(key, members, SUFFIXES[name])
    values: dict[str, Any] = {}
    for name, suffix in SUFFIXES.items():
        if suffix in members and name in MASKS:
            with blaming(key, suffix):
                cover = decode_cover(members[suffix])
                values[name] = cover if name == COVER else decide(cover).view(np.bool_)
        elif suffix in members:
            values[name] = bytes(members[suffix])
    return Sample(record=record, **values)


_RECORD = TypeAdapter(SizeRecord)


def encode_record(record: SizeRecord) -> bytes:
    """Return the record as JSON."""
    return json.dumps(asdict(record), separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def decode_record(key: str, content: bytes | memoryview) -> SizeRecord:
    """Return the record that `encode_record` wrote, checking every field.

    Raises:
        SampleError: It isn't such a record, or one of another sample.
    """
    if len(content) > MAX_RECORD_BYTES:
        raise SampleError(f"{key}: size.json must have at most {MAX_RECORD_BYTES} bytes, got {len(content)}")
    try:
        record = _RECORD.validate_json(bytes(content), strict=True)
    except ValidationError as error:
        raise SampleError(f"{key}: size.json {_problem(error)}") from error
    if record.key != key:
        raise SampleError(f"{key}: size.json belongs to the sample {record.key!r}")
    x, y, _ = zip(*record.keypoints, strict=True)
    if [one is None for one in x] != [one is None for one in y]:
        raise SampleError(
            f"{key}: size.json has no valid keypoints: a joint must have both x and y or neither"
        )
    return record


def _problem(error: ValidationError) -> str:
    """Say what is wrong with a record."""
    found = error.errors(include_url=False)
    fields = {str(one["loc"][0]): None for one in found if one["loc"]}
    got = f"{found[0]['msg']}, got {str(found[0]['input'])[:100]}"
    if "schema_version" in fields:
        return f"must have schema version {SCHEMA_VERSION}: {got}: write the shards again"
    if not fields:
        return f"isn't a JSON object: {got}"
    return f"has no valid {', '.join(fields)}: {got}"


@contextmanager
def blaming(key: str, suffix: str) -> Iterator[None]:
    """Put the names of the sample and the member into a SampleError that is raised inside."""
    try:
        yield
    except SampleError as error:
        raise SampleError(f"{key}: {suffix} is {error}") from error


def require_member(key: str, members: Mapping[str, bytes | memoryview], suffix: str) -> bytes | memoryview:
    """Return a member, or raise SampleError with what the sample has instead."""
    if suffix not in members:
        raise SampleError(f"{key}: the member {suffix} is missing, it has {', '.join(members) or 'none'}")
    return members[suffix]
