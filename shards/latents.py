"""Latents and embeddings in place of pictures: one safetensors member a sample, copied straight into a batch.

A folder of such shards stands beside the shards with the pictures that it was made from, as `latents/`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shards.ustar import SampleError

LATENTS_FOLDER = "latents"
LATENTS_SUFFIX = "latents.safetensors"
HEADER_KEY = "encodings"
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
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"the index says nothing valid about its encodings: {error}") from error
        return spec

    def empty(self, count: int) -> Arrays:
        """Return arrays for the encodings of `count` samples."""
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        return {name: np.empty((count, *shape), self.dtype) for name, shape in self.tensors.items()}


def fill_encodings(arrays: Arrays, row: int, content: bytes | memoryview) -> None:
    """Copy the tensors of a sample into row `row` of arrays that `EncodingsSpec.empty` made.

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
