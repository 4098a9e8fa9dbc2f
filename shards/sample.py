"""One training sample: what a shard stores of it, and the way there and back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shards.codec import decode_mask, encode_mask
from shards.record import SizeRecord, decode_record, encode_record
from shards.ustar import SampleError

MASKS = ("cloth_mask", "inpaint_mask", "garment_mask")
SUFFIXES = {
    "image": "image.jpg",
    "cloth": "cloth.jpg",
    "cloth_mask": "cloth_mask.png",
    "inpaint_mask": "inpaint_mask.png",
    "garment_mask": "garment_mask.png",
    "densepose": "densepose.jpg",
}
"""Members in their order in the tar, by field of `Sample`; after them comes the record."""

RECORD_SUFFIX = "size.json"
REQUIRED = ("image", "cloth", "inpaint_mask")


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

    garment_mask: NDArray[np.bool_] | None = None
    """(H, W) the worn garment."""

    cloth_mask: NDArray[np.bool_] | None = None
    """(h, w) the garment in the cloth photo."""

    densepose: bytes | None = None
    """DensePose parts in their colours (JPEG)."""

    @property
    def key(self) -> str:
        """The sample's id."""
        return self.record.key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sample) and encode(self) == encode(other)

    __hash__ = None  # type: ignore[assignment]  # holds arrays


def encode(sample: Sample) -> dict[str, bytes]:
    """Return the members of a sample by suffix, in their order in the tar. Equal samples give equal bytes."""
    members = {}
    for name, suffix in SUFFIXES.items():
        value = getattr(sample, name)
        if value is not None:
            members[suffix] = encode_mask(value) if name in MASKS else value
    return members | {RECORD_SUFFIX: encode_record(sample.record)}


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
                values[name] = decode_mask(members[suffix]).view(np.bool_)
        elif suffix in members:
            values[name] = bytes(members[suffix])
    return Sample(record=record, **values)


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
