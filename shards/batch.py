"""A batch: samples decoded straight into arrays of the training size."""

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.person.window import Window
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import FIT_LABELS, NUM_JOINTS
from shards.codec import WHOLE, decide, decode_cover, decode_mask, decode_photo, picture_size
from shards.framing import Frame
from shards.latents import DESCRIPTION, TENSOR, Arrays, texts
from shards.sample import (
    COVER,
    MASKS,
    RECORD_SUFFIX,
    REQUIRED,
    SUFFIXES,
    SizeRecord,
    blaming,
    decode_record,
    require_member,
)
from shards.ustar import SampleError

CLOTHS = ("cloth", "cloth_mask")
PHOTOS = tuple(name for name in SUFFIXES if name not in MASKS)
GARMENT = (COVER, "garment_mask")
"""Fields of the worn garment: what is stored, and what that is decided to be."""

STORED_BESIDE_LATENTS = (COVER,)
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
    """(B, H, W) 0 or 1, the worn garment in `image`: half of a pixel or more."""

    garment_cover: NDArray[np.uint8]
    """(B, H, W) how much of each pixel it covers, 0 to `WHOLE`."""

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
    all but those of the worn garment."""

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def garment_shares(self) -> NDArray[np.float32]:
        """(B, H, W) how much of each pixel the worn garment covers, 0 to 1."""
        return np.divide(self.garment_cover, WHOLE, dtype=np.float32)

    def fit_label_numbers(self) -> NDArray[np.int64]:
        """Return (B,) the labels' places in `FIT_LABELS`, -1 where there is none."""
        return np.array([-1 if label is None else FIT_LABELS.index(label) for label in self.fit_label])


def empty_batch(
    positions: Sequence[int], image_height: int, image_width: int, encodings: Arrays | None = None
) -> Batch:
    """Return a batch whose arrays wait to be filled by `fill_row`; its lists are as long as `positions`.

    Encodings, B first, are what the samples have in place of pictures.
    """
    count = len(positions)
    pictures = {}
    for name in (*SUFFIXES, "garment_mask"):
        shape = (count, image_height, image_width) + (() if name in (*MASKS, *GARMENT) else (3,))
        if not encodings:
            pictures[name] = np.empty(shape, np.uint8)
        elif name in GARMENT:
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
    if batch.encodings:
        fill_pictures(batch, row, key, members)
        return
    record = decode_record(key, require_member(key, members, RECORD_SUFFIX))
    frame = frame_of(record, key, members, *batch.image.shape[1:3])
    fill_record(batch, row, record, None if frame is None else frame.window)
    fill_pictures(batch, row, key, members, frame)


def is_framed(record: SizeRecord, image_height: int, image_width: int) -> bool:
    """Tell whether a photo has other proportions than pictures of (image_height, image_width)."""
    return record.image_height * image_width != record.image_width * image_height


def frame_of(
    record: SizeRecord, key: str, members: Mapping[str, memoryview], image_height: int, image_width: int
) -> Frame | None:
    """Return how to look at a photo of other proportions than (image_height, image_width); else None."""
    if not is_framed(record, image_height, image_width):
        return None
    suffix = SUFFIXES["inpaint_mask"]
    with blaming(key, suffix):
        mask = decode_mask(require_member(key, members, suffix)).view(np.bool_)
        try:
            return Frame.around(mask, image_height, image_width)
        except ValueError as error:
            raise SampleError(f"no mask to frame the photo by: {error}") from error


def fill_record(batch: Batch, row: int, record: SizeRecord, window: Window | None) -> None:
    """Put a record into row `row`, its joints in px of the batch's pictures."""
    height, width = batch.image.shape[1:3]
    batch.ratios[row] = record.ratio_array()
    if window is None:
        batch.keypoints[row] = record.keypoint_array(height, width)
    else:
        joints = record.keypoint_array()
        batch.keypoints[row] = np.column_stack([window.seen_points(joints[:, :2]), joints[:, 2]])
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


def fill_pictures(
    batch: Batch, row: int, key: str, members: Mapping[str, memoryview], frame: Frame | None = None
) -> None:
    """Decode the pictures of a sample into row `row`, by a frame where its photo has other proportions."""
    height, width = batch.image.shape[1:3]
    for name in STORED_BESIDE_LATENTS if batch.encodings else SUFFIXES:
        array: NDArray[np.uint8] = getattr(batch, name)
        suffix = SUFFIXES[name]
        if suffix in members:
            with blaming(key, suffix):
                array[row] = decode_member(name, members[suffix], height, width, frame)
        elif name in REQUIRED:
            require_member(key, members, suffix)
        elif not batch.encodings:  # beside encodings they are zeros already
            array[row] = 0
    if SUFFIXES[COVER] in members or not batch.encodings:
        batch.garment_mask[row] = decide(batch.garment_cover[row])


def decode_member(
    name: str, content: memoryview, image_height: int, image_width: int, frame: Frame | None
) -> NDArray[np.uint8]:
    """Decode one picture of a sample at the batch's size, and keep its proportions."""
    if name in CLOTHS:
        size = picture_size(content)
        other = size[0] * image_width != size[1] * image_height
        frame = Frame.whole(*size, image_height, image_width) if other else None
    if frame is None:
        decode = decode_cover if name == COVER else decode_mask if name in MASKS else decode_photo
        return decode(content, image_height, image_width)
    if name == COVER:
        return frame.cover(decode_cover(content))
    if name in MASKS:
        return frame.mask(decode_mask(content).view(np.bool_)).view(np.uint8)
    return frame.picture(decode_photo(content))


def select(batch: Batch, rows: Sequence[int]) -> Batch:
    """Return some rows of a batch."""
    return Batch(**{one.name: _rows_of(getattr(batch, one.name), list(rows)) for one in fields(Batch)})


def _rows_of(value: Any, rows: list[int]) -> Any:
    """Return some rows of an array, of a list, or of each value of a dict."""
    if isinstance(value, dict):
        return {name: array[rows] for name, array in value.items()}
    return value[rows] if isinstance(value, np.ndarray) else [value[row] for row in rows]


def joined(batches: Sequence[Batch]) -> Batch:
    """Put batches behind one another."""
    return Batch(
        **{one.name: _behind([getattr(batch, one.name) for batch in batches]) for one in fields(Batch)}
    )


def _behind(parts: list[Any]) -> Any:
    """Put arrays, lists, or the values of dicts behind one another."""
    if isinstance(parts[0], dict):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else list(chain(*parts))
