"""Latents and embeddings in place of pictures: one safetensors member a sample.

All samples of a folder have that member first and laid out alike. So a batch doesn't copy tensors: samples
are read into the rows of one buffer, and its arrays are views of all rows at once. A folder of such shards
stands beside the shards with the pictures that it was made from, as `latents/`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import FIT_LABELS, NUM_JOINTS, Category, RowStatus
from shards.sample import SizeRecord, blaming, require_member
from shards.ustar import BLOCK, SIZE_FIELD, SampleError, header, unpack

LATENTS_FOLDER = "latents"
LATENTS_SUFFIX = "latents.safetensors"
HEADER_KEY = "encodings"
SCHEMA_VERSION = 3
"""2: samples have a description. 3: that has a category."""

MAX_BYTES = 1 << 30
"""Of the encodings of a sample."""

DTYPES = {"float16": "F16", "float32": "F32"}
"""What encodings may be stored as, and safetensors' name of it."""

_CODES = {np.dtype(name): code for name, code in (*DTYPES.items(), ("uint8", "U8"))}
_NAMES = {code: dtype for dtype, code in _CODES.items()}

TENSOR = "description"
"""Name, beside the encodings, of what else a batch knows, in fixed places: reading it takes a copy, where
parsing a record takes as long as reading all encodings of the sample."""

MAX_CAPTION_BYTES = 512

DESCRIPTION = np.dtype(
    [
        ("ratios", "<f4", len(AXIS_NAMES)),
        ("keypoints", "<f4", (NUM_JOINTS, 3)),
        ("fit_label", "i1"),
        ("status", "i1"),
        ("category", "i1"),
        ("caption", f"S{MAX_CAPTION_BYTES}"),
    ]
)
"""As in a batch of pictures: ratios, keypoints, place in `FIT_LABELS` or -1, places in `RowStatus` and
`Category`, UTF-8."""

_WORDS: dict[str, dict[int, str | None]] = {
    "fit_label": {-1: None, **dict(enumerate(FIT_LABELS))},
    "status": dict(enumerate(map(str, RowStatus))),
    "category": dict(enumerate(map(str, Category))),
}  # by the number that stands for it
_PLACES = {name: {word: place for place, word in words.items()} for name, words in _WORDS.items()}

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodingsSpec:
    """What the index says about the encodings of a folder of shards."""

    encoders: str
    """Hash (hex) of the weights of all that encoded."""

    scaling_factor: float
    """What the autoencoder's latents were multiplied by."""

    dtype: str
    """One of `DTYPES`."""

    image_height: int
    """Rows of the pictures that were encoded."""

    image_width: int
    """Columns of the pictures that were encoded."""

    pictures: str
    """xxh3_64 (hex) of the index of the shards that have those pictures."""

    tensors: dict[str, list[int]]
    """Shape of each tensor of a sample but its description, without the batch."""

    version: int
    """`SCHEMA_VERSION`."""

    def header(self) -> dict[str, Any]:
        """Return what the index must have."""
        return {HEADER_KEY: asdict(self)}

    @classmethod
    def from_header(cls, header: Mapping[str, Any]) -> Self | None:
        """Read what `header` made; None where the shards hold pictures.

        Raises:
            ValueError: It isn't such a header.
        """
        if HEADER_KEY not in header:
            return None
        try:
            if header[HEADER_KEY].get("version") != SCHEMA_VERSION:
                raise ValueError(f"they must have version {SCHEMA_VERSION}: write the shards again")
            spec = cls(**header[HEADER_KEY])
            spec.empty(0)
            if sum(map(prod, spec.tensors.values())) * np.dtype(spec.dtype).itemsize > MAX_BYTES:
                raise ValueError(f"a sample's may have at most {MAX_BYTES} bytes")
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise ValueError(f"the index says nothing valid about its encodings: {error}") from error
        return spec

    def empty(self, count: int) -> Arrays:
        """Return arrays for the encodings and descriptions of `count` samples."""
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        arrays = {name: np.empty((count, *shape), self.dtype) for name, shape in self.tensors.items()}
        return arrays | {TENSOR: np.empty((count, DESCRIPTION.itemsize), np.uint8)}


class PackedLayout:
    """Where the tensors of a sample lie in its tar bytes, when it was written as the index says."""

    def __init__(self, spec: EncodingsSpec) -> None:
        member = save({name: array[0] for name, array in spec.empty(1).items()})
        start = 8 + int.from_bytes(member[:8], "little")
        self._tensors = _tensors(member[8:start])
        self._size = header("", len(member))[SIZE_FIELD]
        self._start = member[:start]
        self.num_bytes = BLOCK + len(member) + -len(member) % BLOCK
        """Bytes of the member, its tar header and its padding: what a sample has at least."""

    def views(self, rows: NDArray[np.uint8]) -> Arrays:
        """Return the tensors of (B, bytes) packed samples, B first, without copying."""
        start = BLOCK + len(self._start)
        return {
            name: rows[:, start + begin : start + end].view(_NAMES[code]).reshape(len(rows), *shape)
            for name, (code, shape, begin, end) in self._tensors.items()
        }

    def settle(self, arrays: Arrays, row: int, key: str, packed: memoryview) -> dict[str, memoryview]:
        """See to it that a sample's tensors lie where `views` showed them, and return its other members.

        Its tar bytes stand in its row of the arrays.

        Raises:
            SampleError: It has no such tensors.
        """
        if self._fits(key, packed):
            return unpack(key, packed[self.num_bytes :])
        members = unpack(key, bytes(packed))
        with blaming(key, LATENTS_SUFFIX):
            fill_encodings(arrays, row, require_member(key, members, LATENTS_SUFFIX))
        return members

    def _fits(self, key: str, packed: memoryview) -> bool:
        """Tell whether a sample is whole and begins with the headers of this layout."""
        head = bytes(packed[: BLOCK + len(self._start)])
        name = f"{key}.{LATENTS_SUFFIX}\0".encode()
        is_named_so = head.startswith(name) and head[SIZE_FIELD] == self._size
        return is_named_so and head[BLOCK:] == self._start and len(packed) >= self.num_bytes


def fill_encodings(arrays: Arrays, row: int, content: bytes | memoryview) -> None:
    """Copy the tensors of a sample, however they are laid out, into row `row` of arrays.

    Raises:
        SampleError: It isn't a safetensors file with just these tensors.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    if len(content) < start:
        raise SampleError("cut short")
    tensors = _tensors(bytes(content[8:start]))
    for name, array in arrays.items():
        dtype, shape, begin, end = tensors.get(name, ("", (), 0, 0))
        target = array[row]
        if (dtype, shape) != (_CODES[array.dtype], target.shape) or end - begin != target.nbytes:
            raise SampleError(f"without a tensor {name} of shape {target.shape} and type {array.dtype}")
        if start + end > len(content):
            raise SampleError("cut short")
        target[...] = np.ndarray(shape, array.dtype, content, start + begin)


@lru_cache(maxsize=16)
def _tensors(header: bytes) -> dict[str, tuple[str, tuple[int, ...], int, int]]:
    """Parse a safetensors header, which all samples of a folder share: type, shape, begin and end."""
    try:
        parsed = json.loads(header)
        return {
            name: (str(one["dtype"]), tuple(one["shape"]), *_range(one["data_offsets"]))
            for name, one in parsed.items()
            if name != "__metadata__"
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SampleError(f"not a safetensors file: {error}") from error


def _range(offsets: Any) -> tuple[int, int]:
    """Return begin and end; ValueError or TypeError when they aren't a range of bytes."""
    begin, end = offsets
    if type(begin) is not int or type(end) is not int or not 0 <= begin <= end:
        raise ValueError(f"data_offsets must be two growing whole numbers, got {offsets}")
    return begin, end


def description(record: SizeRecord, joints: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return what a batch of pictures knows of a sample beside them, as (N,) bytes.

    Joints are (25, 3): x, y in px of the batch's pictures, and confidence.

    Raises:
        SampleError: The caption is too long, or ends in a null character.
    """
    text = record.caption.encode()
    if len(text) > MAX_CAPTION_BYTES or text.endswith(b"\0"):
        raise SampleError(
            f"a caption must have at most {MAX_CAPTION_BYTES} bytes, got {len(text)}: shorten it"
        )
    one = np.zeros(1, DESCRIPTION)
    numbers = (places[getattr(record, name)] for name, places in _PLACES.items())
    one[0] = (record.ratio_array(), joints, *numbers, text)
    return one.view(np.uint8)


def texts(described: NDArray[np.void]) -> dict[str, list[Any]]:
    """Return fit labels, statuses, categories and captions of (B,) descriptions, by their names in a batch.

    Raises:
        SampleError: There is an unknown label, status or category, or a caption isn't UTF-8.
    """
    try:
        captions = [text.decode() for text in described["caption"].tolist()]
        labels, statuses, categories = (
            [words[number] for number in described[name].tolist()] for name, words in _WORDS.items()
        )
    except UnicodeDecodeError as error:
        raise SampleError(f"a description has no valid caption: {error}") from error
    except KeyError as error:
        raise SampleError(f"a description has an unknown label, status or category: {error}") from error
    return {"fit_label": labels, "statuses": statuses, "categories": categories, "captions": captions}
