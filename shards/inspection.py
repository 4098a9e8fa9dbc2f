"""What a folder of shards holds: numbers, pictures and orders, for people."""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.sizes.axes import AXIS_NAMES
from shards.batch import Batch
from shards.reader import ShardReader
from shards.storage import open_folder
from shards.stream import SampleStream

QUANTILES = (0.05, 0.5, 0.95)
SMALLEST = 8
"""Side (px) that photos are decoded at when nobody looks at them."""

SHOWN, MOST_SHOWN, COLUMNS = (256, 192), 12, 4
"""Of a contact sheet: height and width of a picture (px), samples, and samples in a row."""

INPAINT_TINT, GARMENT_TINT = (0, 90, 160), (200, 60, 0)


def stream_keys(
    location: str | Path,
    *,
    seed: int,
    epoch: int = 0,
    world_size: int = 1,
    rank: int = 0,
    num_workers: int = 0,
    skip: int = 0,
) -> Iterator[str]:
    """Yield the keys of one epoch, counted from 0, in the order that a rank will see them.

    Workers are threads that read and decode the samples on the way; 0 reads nothing but the index. The first
    `skip` samples of the rank are left out, as after an interruption.

    Raises:
        ValueError: `epoch` or `skip` is negative, or there is no such rank.
    """
    if epoch < 0 or skip < 0:
        raise ValueError(f"epoch and skip must be at least 0, got {epoch} and {skip}")
    stream = SampleStream(
        location,
        batch_size=1,
        image_height=SMALLEST,
        image_width=SMALLEST,
        seed=seed,
        rank=rank,
        world_size=world_size,
        num_threads=num_workers,
    )
    stream.cursor = epoch * len(stream) + skip * world_size
    count = max(0, len(range(rank, len(stream), world_size)) - skip)
    if num_workers == 0:
        yield from stream.keys(count)
    else:
        yield from (key for batch in itertools.islice(stream, count) for key in batch.keys)


def statistics(location: str | Path) -> dict[str, Any]:
    """Count what the shards hold, and give quantiles of the ratios; every record is read and checked."""
    reader = ShardReader(open_folder(location), SMALLEST, SMALLEST)
    records = list(reader.records())
    ratios = np.array([record.ratio_array() for record in records]).reshape(-1, len(AXIS_NAMES))
    index = reader.index
    return {
        "split": index.header.get("split"),
        "samples": index.num_samples,
        "shards": len(index.shards),
        "bytes": sum(shard.num_bytes for shard in index.shards),
        "left_out": index.header.get("left_out", {}),
        "skipped": sum(len(entry.skipped) for entry in index.entries()),
        "status": dict(Counter(str(record.status) for record in records)),
        "fit_label": dict(Counter(record.fit_label or "none" for record in records)),
        "picture_sizes": dict(Counter(f"{record.image_width}x{record.image_height}" for record in records)),
        "ratios": {name: quantiles(ratios[:, place]) for place, name in enumerate(AXIS_NAMES)},
    }


def quantiles(values: NDArray[np.float32]) -> dict[str, float | int | None]:
    """Return the quantiles of the finite values, None where there is none, and how many those are."""
    finite = values[np.isfinite(values)]
    found = np.quantile(finite, QUANTILES).round(4).tolist() if finite.size else [None] * len(QUANTILES)
    names = (f"q{100 * share:02.0f}" for share in QUANTILES)
    return {"measured": int(finite.size), **dict(zip(names, found, strict=True))}


def contact_sheet(location: str | Path) -> NDArray[np.uint8]:
    """Show a dozen samples from all over the shards: photo with masks tinted, garment, DensePose.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = SHOWN
    stream = SampleStream(
        location, batch_size=MOST_SHOWN, image_height=height, image_width=width, seed=0, num_threads=0
    )
    stream.batch_size = min(MOST_SHOWN, len(stream))
    batch = next(iter(stream))
    tiles = [tile(batch, row) for row in range(len(batch))]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[start : start + COLUMNS], axis=1) for start in range(0, len(tiles), COLUMNS)]
    return np.concatenate(rows)


def tile(batch: Batch, row: int) -> NDArray[np.uint8]:
    """Put the pictures of one sample side by side."""
    photo = batch.image[row].astype(np.float32)
    for mask, tint in ((batch.inpaint_mask[row], INPAINT_TINT), (batch.garment_mask[row], GARMENT_TINT)):
        photo = np.where(mask[..., None] > 0, 0.65 * photo + 0.35 * np.array(tint, np.float32), photo)
    return np.concatenate([photo.astype(np.uint8), batch.cloth[row], batch.densepose[row]], axis=1)
