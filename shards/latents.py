"""Latents and embeddings in place of pictures: one safetensors member a sample.

All samples of a folder have that member first and laid out alike. So a batch doesn't copy tensors: samples are
read into the rows of one buffer, and its arrays are views of all rows at once. A folder of such shards stands beside the shards with the pictures that it was made from, as `latents/`.
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

from shards.ustar import BLOCK, SampleError

LATENTS_FOLDER = "latents"
LATENTS_SUFFIX = "latents.safetensors"
HEADER_KEY = "encodings"
MAX_BYTES = 1 << 30
"""Of the encodings of a sample."""

DTYPES = {"float16": "F16", "float32": "F32"}
"""What encodings may be stored as, and safetensors' name of it."""

_CODES = {np.dtype(name): code for name, code in DTYPES.items()}

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
    """Shape of each tensor of a sample, without the batch."""

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
            spec = cls(**header[HEADER_KEY])
            spec.empty(0)
            if sum(map(prod, spec.tensors.values())) * np.dtype(spec.dtype).itemsize > MAX_BYTES:
                raise ValueError(f"a sample's may have at most {MAX_BYTES} bytes")
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"the index says nothing valid about its encodings: {error}") from error
        return spec

    def empty(self, count: int) -> Arrays:
        """Return arrays for the encodings of `count` samples."""
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        return {name: np.empty((count, *shape), self.dtype) for name, shape in self.tensors.items()}


class PackedLayout:
    """Where the tensors of a sample lie in its tar bytes, when it was written as the index says."""

    def __init__(self, spec: EncodingsSpec) -> None:
        member = save({name: array[0] for name, array in spec.empty(1).items()})
        start = 8 + int.from_bytes(member[:8], "little")
        self._start, self._num_bytes = member[:start], len(member)
        self._spec, self._tensors = spec, _tensors(member[8:start])
        self.num_bytes = BLOCK + len(member)
        """Bytes that a sample has at least."""

    def views(self, rows: NDArray[np.uint8]) -> Arrays:
        """Return the tensors of (B, bytes) packed samples, B first, without copying."""
        start = BLOCK + len(self._start)
        return {
            name: rows[:, start + begin : start + end].view(self._spec.dtype).reshape(len(rows), *shape)
            for name, (_, shape, begin, end) in self._tensors.items()
        }

    def fits(self, members: Mapping[str, memoryview]) -> bool:
        """Tell whether a sample's tensors lie where `views` shows them."""
        suffix = next(iter(members), "")
        if suffix != LATENTS_SUFFIX or len(members[suffix]) != self._num_bytes:
            return False
        return bytes(members[suffix][: len(self._start)]) == self._start


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
