"""Ways to read the same samples: ours, others', and the limit. Each yields batches without end."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shards.batch import Batch, empty_batch, fill_described, fill_row
from shards.codec import decode_photo, resized
from shards.index import ShardIndex
from shards.latents import LATENTS_SUFFIX, EncodingsSpec, PackedLayout, fill_encodings
from shards.stream import SampleStream, keep_freed_memory
from shards.ustar import unpack
from tests.benchmarks.loader_data import HEIGHT, SPEC, WIDTH, mosaic, write_litdata, write_loose, write_mds

BATCH, WORKERS = 8, 2

Item = dict[str, Any]
"""`__key__`, and members by suffix."""


def decoded(items: list[Item]) -> Batch:
    """Decode samples as every loader here does."""
    encodings = SPEC.empty(len(items)) if LATENTS_SUFFIX in items[0] else None
    batch = empty_batch(range(len(items)), HEIGHT, WIDTH, encodings)
    for row, item in enumerate(items):
        members = {name: memoryview(value) for name, value in item.items() if isinstance(value, bytes)}
        if encodings:
            fill_encodings(encodings, row, members[LATENTS_SUFFIX])
        fill_row(batch, row, item["__key__"], members)
    if encodings:
        fill_described(batch)
    return batch


def tensors(items: list[Item]) -> Item:
    """Decode samples in a worker and make the tensors that cross to the trainer."""
    import torch

    batch = decoded(items)
    arrays = {"ratios": batch.ratios, "keypoints": batch.keypoints} | batch.encodings
    if not batch.encodings:
        names = ("image", "cloth", "densepose", "cloth_mask", "inpaint_mask", "garment_mask", "garment_cover")
        arrays |= {name: getattr(batch, name) for name in names}
    return {name: torch.from_numpy(array) for name, array in arrays.items()} | {"keys": batch.keys}


def limit(folder: Path) -> Iterator[Batch]:
    """Read and decode in this process, by the index: what two of these do is the limit."""
    keep_freed_memory()
    index = ShardIndex(folder)
    spec = EncodingsSpec.from_header(index.header)
    layout = PackedLayout(spec) if spec else None
    entries = list(index.entries())
    while True:
        for entry in entries:
            file = os.open(folder / entry.name, os.O_RDONLY)
            rows = list(zip(entry.keys, entry.offsets, entry.sizes, strict=True))
            for start in range(0, len(rows) - BATCH + 1, BATCH):
                part = rows[start : start + BATCH]
                packed = np.empty((BATCH, max(size for _, _, size in part)), np.uint8)
                batch = empty_batch(range(BATCH), HEIGHT, WIDTH, layout and layout.views(packed))
                for row, (key, offset, size) in enumerate(part):
                    content = memoryview(packed[row])[:size]
                    os.preadv(file, [content], offset)
                    if layout:
                        members = layout.settle(batch.encodings, row, key, content)
                    else:
                        members = unpack(key, content)
                    fill_row(batch, row, key, members)
                if layout:
                    fill_described(batch)
                yield batch
            os.close(file)


def whole_photos(folder: Path) -> Iterator[Batch]:
    """The limit without the JPEG's own DCT: photos are decoded whole, then averaged down."""
    import shards.batch

    def whole(content: bytes, image_height: int, image_width: int) -> np.ndarray:
        return resized(decode_photo(content), image_height, image_width)

    shards.batch.decode_photo = whole  # type: ignore[assignment]
    yield from limit(folder)


def stream(folder: Path) -> Iterator[Batch]:
    """Ours."""
    options = {"batch_size": BATCH, "image_height": HEIGHT, "image_width": WIDTH, "num_threads": WORKERS}
    yield from SampleStream(folder, seed=0, **options)


def through_webdataset(folder: Path) -> Iterator[object]:
    """webdataset with worker processes."""
    import webdataset
    from torch.utils.data import DataLoader

    tars = sorted(str(path) for path in folder.glob("*.tar"))
    options = {"shardshuffle": False, "nodesplitter": webdataset.split_by_node, "empty_check": False}
    dataset = webdataset.WebDataset(tars, **options).shuffle(64).batched(BATCH, collation_fn=tensors).repeat()
    yield from DataLoader(dataset, batch_size=None, num_workers=WORKERS)


class Loose:
    """A plain torch dataset over loose member files."""

    def __init__(self, folder: Path) -> None:
        self.samples = sorted((folder / "loose").iterdir())

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> Item:
        folder = self.samples[number]
        return {"__key__": folder.name} | {path.name: path.read_bytes() for path in folder.iterdir()}


def through_dataset(folder: Path) -> Iterator[object]:
    """torch's DataLoader over loose files, with worker processes."""
    from torch.utils.data import DataLoader

    options = {"shuffle": True, "num_workers": WORKERS, "collate_fn": tensors, "drop_last": True}
    loader = DataLoader(Loose(folder), BATCH, persistent_workers=True, **options)
    while True:
        yield from loader


def through_spdl(folder: Path) -> Iterator[object]:
    """SPDL's thread pipeline over loose files."""
    from spdl.pipeline import PipelineBuilder

    loose = Loose(folder)

    def numbers() -> Iterator[list[int]]:
        while True:
            order = np.random.default_rng(0).permutation(len(loose))
            for start in range(0, len(order) - BATCH + 1, BATCH):
                yield order[start : start + BATCH].tolist()

    def load(chosen: list[int]) -> Item:
        return tensors([loose[number] for number in chosen])

    builder = PipelineBuilder().add_source(numbers()).pipe(load, concurrency=WORKERS).add_sink(4)
    pipeline = builder.build(num_threads=WORKERS)
    with pipeline.auto_stop():
        yield from pipeline.get_iterator()


def through_litdata(folder: Path) -> Iterator[object]:
    """litdata's StreamingDataLoader over its chunks, with worker processes."""
    import litdata

    dataset = litdata.StreamingDataset(str(folder / "litdata"), shuffle=True, drop_last=True, seed=1)
    options = {"num_workers": WORKERS, "collate_fn": tensors, "drop_last": True}
    loader = litdata.StreamingDataLoader(dataset, batch_size=BATCH, **options)
    while True:
        yield from loader


def through_mosaic(folder: Path) -> Iterator[object]:
    """mosaicml-streaming's StreamingDataLoader over its shards, with worker processes."""
    streaming = mosaic()
    streaming.base.util.clean_stale_shared_memory()
    options = {"shuffle": True, "shuffle_seed": 0, "batch_size": BATCH}
    dataset = streaming.StreamingDataset(local=str(folder / "mds"), remote=None, **options)
    loader = streaming.StreamingDataLoader(
        dataset,
        batch_size=BATCH,
        num_workers=WORKERS,
        collate_fn=tensors,
        drop_last=True,
        persistent_workers=True,
    )
    while True:
        yield from loader


Loader = tuple[Callable[[Path], Iterator[object]], str | None, Callable[[Path], None] | None]

LOADERS: dict[str, Loader] = {
    "limit": (limit, None, None),
    "whole photos": (whole_photos, None, None),
    "stream": (stream, None, None),
    "spdl": (through_spdl, "spdl", write_loose),
    "webdataset": (through_webdataset, "webdataset", None),
    "torch Dataset": (through_dataset, "torch", write_loose),
    "litdata": (through_litdata, "litdata", write_litdata),
    "mosaic": (through_mosaic, "streaming", write_mds),
}
"""Each loader, the package it needs, and what writes its format."""
