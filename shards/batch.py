"""A batch: samples decoded straight into arrays of the training size."""

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import FIT_LABELS, NUM_JOINTS
from shards.codec import decode_mask, decode_photo
from shards.latents import DESCRIPTION, TENSOR, Arrays, texts
from shards.sample import (
    MASKS,
    RECORD_SUFFIX,
    REQUIRED,
    SUFFIXES,
    SizeRecord,
    blaming,
    decode_record,
    require_member,
)

PHOTOS = tuple(name for name in SUFFIXES if name not in MASKS)
STORED_BESIDE_LATENTS = ("garment_mask",)
"""Pictures that training needs even where the others are encoded: the layout is compared with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Samples of one training step. Pictures a sample doesn't have are zeros."""

    keys: list[str]
    """Their ids."""

    position: NDArray[np.int64]
    """(B,) global position of each: samples since the start of training, over all ranks."""

    image: NDArray[np.uint8]
    """(B, H, W, 3) RGB, the person."""

    cloth: NDArray[np.uint8]
    """(B, H, W, 3) RGB, the garment alone."""

    densepose: NDArray[np.uint8]
    """(B, H, W, 3) RGB, DensePose parts in their colours."""

    cloth_mask: NDArray[np.uint8]
    """(B, H, W) 0 or 1, the garment in `cloth`."""

    inpaint_mask: NDArray[np.uint8]
    """(B, H, W) 0 or 1, what may be painted anew."""

    garment_mask: NDArray[np.uint8]
    """(B, H, W) 0 or 1, the worn garment in `image`."""

    ratios: NDArray[np.float32]
    """(B, A) in the order of `AXIS_NAMES`, NaN where not measurable."""

    keypoints: NDArray[np.float32]
    """(B, 25, 3) x, y in px of `image`, confidence; x and y NaN where missing."""

    fit_label: list[str | None]
    """One of `FIT_LABELS` each."""

    categories: list[str]
    """What kind of garment each wears, one of `Category`."""

    captions: list[str]
    """Describe the garments."""

    statuses: list[str]
    """`ok` or `suspect`: whether the measures can be trusted."""

    encodings: Arrays = field(default_factory=dict)
    """By name, B first: latents and embeddings. Where there are any, pictures are zeros,
    all but `garment_mask`."""

    def __len__(self) -> int:
        return len(self.keys)

    def fit_label_numbers(self) -> NDArray[np.int64]:
        """Return (B,) the labels' places in `FIT_LABELS`, -1 where there is none."""
        return np.array([-1 if label is None else FIT_LABELS.index(label) for label in self.fit_label])


def empty_batch(
    positions: Sequence[int], image_height: int, image_width: int, encodings: Arrays | None = None
) -> Batch:
    """Return a batch whose arrays wait to be filled by `fill_row`; its lists are as long as `positions`.

    Args:
        positions: (B,) global positions.
        image_height: Rows of pictures.
        image_width: Columns of pictures.
        encodings: What the samples have in place of pictures, B first.
    """
    count = len(positions)
    pictures = {}
    for name in SUFFIXES:
        shape = (count, image_height, image_width) + (() if name in MASKS else (3,))
        if not encodings:
            pictures[name] = np.empty(shape, np.uint8)
        elif name in STORED_BESIDE_LATENTS:
            # the kernel's zeros take no memory or time where nothing is written; np.zeros may write them
            pictures[name] = np.ndarray(shape, np.uint8, mmap.mmap(-1, max(1, prod(shape))))
        else:
            pictures[name] = np.ndarray(shape, np.uint8, bytes(1), strides=(0,) * len(shape))
    return Batch(
        keys=[""] * count,
        position=np.array(positions, dtype=np.int64),
        ratios=np.empty((count, len(AXIS_NAMES)), np.float32),
        keypoints=np.empty((count, NUM_JOINTS, 3), np.float32),
        fit_label=[None] * count,
        categories=[""] * count,
        captions=[""] * count,
        statuses=[""] * count,
        encodings=encodings or {},
        **pictures,
    )


def fill_row(batch: Batch, row: int, key: str, members: Mapping[str, memoryview]) -> None:
    """Decode the members of a sample into row `row`; descriptions are left to `fill_described`.

    Raises:
        SampleError: A required member is missing, or one can't be decoded.
    """
    batch.keys[row] = key
    if not batch.encodings:
        fill_record(batch, row, decode_record(key, require_member(key, members, RECORD_SUFFIX)))
    fill_pictures(batch, row, key, members)


def fill_record(batch: Batch, row: int, record: SizeRecord) -> None:
    """Put a record into row `row`, its joints in px of the batch's pictures."""
    height, width = batch.image.shape[1:3]
    batch.ratios[row] = record.ratio_array()
    batch.keypoints[row] = record.keypoint_array(height, width)
    batch.categories[row] = str(record.category)
    batch.fit_label[row] = record.fit_label
    batch.captions[row] = record.caption
    batch.statuses[row] = str(record.status)


def fill_described(batch: Batch) -> None:
    """Move the descriptions of a batch from its encodings to where they belong.

    Raises:
        SampleError: One isn't valid.
    """
    described = batch.encodings.pop(TENSOR).view(DESCRIPTION)[:, 0]
    batch.ratios[:] = described["ratios"]
    batch.keypoints[:] = described["keypoints"]
    for name, values in texts(described).items():
        getattr(batch, name)[:] = values


def fill_pictures(batch: Batch, row: int, key: str, members: Mapping[str, memoryview]) -> None:
    """Decode the pictures of a sample into row `row`."""
    height, width = batch.image.shape[1:3]
    for name in STORED_BESIDE_LATENTS if batch.encodings else SUFFIXES:
        array: NDArray[np.uint8] = getattr(batch, name)
        suffix = SUFFIXES[name]
        if suffix in members:
            with blaming(key, suffix):
                decode_picture = decode_mask if name in MASKS else decode_photo
                array[row] = decode_picture(members[suffix], height, width)
        elif name in REQUIRED:
            require_member(key, members, suffix)
        elif not batch.encodings:  # beside encodings they are zeros already
            array[row] = 0


def select(batch: Batch, rows: Sequence[int]) -> Batch:
    """Return some rows of a batch."""
    return Batch(**{one.name: _rows_of(getattr(batch, one.name), list(rows)) for one in fields(Batch)})


def _rows_of(value: Any, rows: list[int]) -> Any:
    """Return some rows of an array, of a list, or of each value of a dict."""
    if isinstance(value, dict):
        return {name: array[rows] for name, array in value.items()}
    return value[rows] if isinstance(value, np.ndarray) else [value[row] for row in rows]
