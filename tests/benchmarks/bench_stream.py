"""Samples a second and CPU a sample of our stream against other loaders, on the same decoders and shards.

    python -m tests.benchmarks.bench_stream [--samples 240] [--rounds 3] [--only stream,webdataset]

Rows: `limit` is no loader: two processes that read and decode, and hand nothing on. Every loader decodes
512x384 photos (or reads latents) with two workers and stacks batches of 8. Each case runs in a process of its
own; the clock starts after the first batches, and CPU counts its worker processes too. Peers that aren't
installed are left out by name. Cases alternate for `--rounds` rounds; medians are printed.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from preprocess.vocabulary import Category, RowStatus
from shards.batch import Batch, empty_batch, fill_row
from shards.codec import decode_photo, encode_photo
from shards.record import SizeRecord
from shards.sample import Sample
from shards.stream import SampleStream
from shards.ustar import unpack
from shards.writer import write_shards

HEIGHT, WIDTH = 512, 384
BATCH, WORKERS = 8, 2
WARM_UP = 6
"""Batches before the clock starts."""


def photo(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Something as hard to decode as a photo: smooth shades, edges and a little noise."""
    coarse = cv2.resize(
        rng.integers(0, 256, (24, 18, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    return np.clip(coarse + rng.normal(0, 6, coarse.shape), 0, 255).astype(np.uint8)


def make_shards(folder: Path, count: int, height: int, width: int, *, small: bool) -> None:
    """Write shards of full-size photos, or of the same photos at training size."""
    rng = np.random.default_rng(0)
    pictures = [encode_photo(photo(rng, height, width), 90) for _ in range(6)]
    if small:
        pictures = [encode_photo(decode_photo(one, HEIGHT, WIDTH), 95) for one in pictures]
    size = (HEIGHT, WIDTH) if small else (height, width)
    y, x = np.mgrid[: size[0], : size[1]]
    mask = ((y / size[0] - 0.5) ** 2 + (x / size[1] - 0.5) ** 2) < 0.12
    samples = []
    for number in range(count):
        key = f"{number:05d}_00"
        record = SizeRecord(
            key=key,
            split="train",
            status=RowStatus.OK,
            category=Category.UPPER,
            garment_key=key,
            image_height=size[0],
            image_width=size[1],
            ratios=(1.0, 1.1, 0.9),
            keypoints=((1.0, 2.0, 0.5),) * 25,
        )
        image, cloth, densepose = (pictures[(number + shift) % len(pictures)] for shift in range(3))
        samples.append(
            Sample(
                record=record,
                image=image,
                cloth=cloth,
                densepose=densepose,
                inpaint_mask=mask,
                garment_mask=mask,
                cloth_mask=mask,
            )
        )
    write_shards(samples, folder, "train", 24)


def decoded(items: list[tuple[str, dict[str, memoryview]]]) -> Batch:
    """Decode samples as every loader here does."""
    batch = empty_batch(range(len(items)), HEIGHT, WIDTH)
    for row, (key, members) in enumerate(items):
        fill_row(batch, row, key, members)
    return batch


def limit(folder: Path) -> Iterator[Batch]:
    """Read and decode in this process, by the index: what two of these do is the limit."""
    shards = json.loads((folder / "index.json").read_text())["shards"]
    while True:
        for shard in shards:
            file = os.open(folder / shard["name"], os.O_RDONLY)
            rows = list(zip(shard["keys"], shard["offsets"], shard["sizes"], strict=True))
            for start in range(0, len(rows) - BATCH + 1, BATCH):
                part = rows[start : start + BATCH]
                yield decoded(
                    [(key, unpack(key, os.pread(file, size, offset))) for key, offset, size in part]
                )
            os.close(file)


def stream(folder: Path) -> Iterator[Batch]:
    """Ours."""
    options = {"batch_size": BATCH, "image_height": HEIGHT, "image_width": WIDTH}
    yield from SampleStream(folder, seed=0, num_threads=WORKERS, **options)


def tensors(items: list[dict[str, object]]) -> dict[str, object]:
    """Decode WebDataset samples in a worker and make the tensors that cross to the trainer."""
    import torch

    batch = decoded(
        [(one["__key__"], {k: v for k, v in one.items() if isinstance(v, bytes)}) for one in items]
    )
    names = (
        "image",
        "cloth",
        "densepose",
        "cloth_mask",
        "inpaint_mask",
        "garment_mask",
        "ratios",
        "keypoints",
    )
    return {name: torch.from_numpy(getattr(batch, name)) for name in names} | {"keys": batch.keys}


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

    def __getitem__(self, number: int) -> dict[str, object]:
        folder = self.samples[number]
        return {"__key__": folder.name} | {path.name: path.read_bytes() for path in folder.iterdir()}


def unpack_loose(folder: Path) -> None:
    """Write the members of each sample as files."""
    for shard in json.loads((folder / "index.json").read_text())["shards"]:
        content = (folder / shard["name"]).read_bytes()
        for key, offset, size in zip(shard["keys"], shard["offsets"], shard["sizes"], strict=True):
            (folder / "loose" / key).mkdir(parents=True)
            for name, member in unpack(key, content[offset : offset + size]).items():
                (folder / "loose" / key / name).write_bytes(member)


def through_dataset(folder: Path) -> Iterator[object]:
    """torch's DataLoader over loose files, with worker processes."""
    from torch.utils.data import DataLoader

    loader = DataLoader(
        Loose(folder), BATCH, shuffle=True, num_workers=WORKERS, collate_fn=tensors, drop_last=True
    )
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

    def load(chosen: list[int]) -> dict[str, object]:
        return tensors([loose[number] for number in chosen])

    pipeline = (
        PipelineBuilder()
        .add_source(numbers())
        .pipe(load, concurrency=WORKERS)
        .add_sink(4)
        .build(num_threads=WORKERS)
    )
    with pipeline.auto_stop():
        yield from pipeline.get_iterator()


LOADERS: dict[str, tuple[Callable[[Path], Iterator[object]], str | None]] = {
    "limit": (limit, None),
    "stream": (stream, None),
    "webdataset": (through_webdataset, "webdataset"),
    "torch Dataset": (through_dataset, "torch"),
    "spdl": (through_spdl, "spdl"),
}
"""Each loader and the package it needs."""


def cpu_seconds(pid: int) -> float:
    """CPU time so far of a process and its children, living and gone."""
    ticks = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:15]))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return ticks / os.sysconf("SC_CLK_TCK") + sum(cpu_seconds(int(child)) for child in children)


def measure(name: str, folder: Path, count: int) -> tuple[float, float]:
    """Run one loader in this process: (samples a second, CPU milliseconds a sample)."""
    cv2.setNumThreads(1)
    batches = LOADERS[name][0](folder)
    for _ in range(WARM_UP):
        next(batches)
    started, cpu = time.perf_counter(), cpu_seconds(os.getpid())
    for _ in range(count // BATCH):
        next(batches)
    return count / (time.perf_counter() - started), 1e3 * (cpu_seconds(os.getpid()) - cpu) / count


def child(name: str, folder: Path, count: int) -> tuple[float, float]:
    """Measure in a new process; the limit in two at once, whose rates add up."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.bench_stream",
        "--child",
        name,
        str(folder),
        str(count),
    ]
    copies = WORKERS if name == "limit" else 1
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(copies)]
    results = [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
    return sum(rate for rate, _ in results), statistics.mean(cpu for _, cpu in results)


def main() -> None:
    """Make the data, alternate the cases and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(LOADERS))
    parser.add_argument("--child", nargs=3, metavar=("NAME", "FOLDER", "COUNT"))
    options = parser.parse_args()
    if options.child:
        name, folder, count = options.child
        sys.stdout.write(json.dumps(measure(name, Path(folder), int(count))) + "\n")
        sys.stdout.flush()
        os._exit(0)  # no waiting for workers
    wanted = [name for name in LOADERS if name in options.only.split(",")]
    absent = [name for name in wanted if (need := LOADERS[name][1]) and not importlib.util.find_spec(need)]
    for name in absent:
        sys.stdout.write(f"{name}: not installed, left out\n")
    with tempfile.TemporaryDirectory() as scratch:
        cases = []
        for kind, small in (("full size", False), ("training size", True)):
            folder = Path(scratch) / kind.replace(" ", "-")
            make_shards(folder, options.samples, 1024, 768, small=small)
            unpack_loose(folder)
            cases += [(kind, name, folder) for name in wanted if name not in absent]
        results: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for _ in range(options.rounds):
            for kind, name, folder in cases:
                results.setdefault((kind, name), []).append(child(name, folder, options.samples))
    report(results)


def report(results: dict[tuple[str, str], list[tuple[float, float]]]) -> None:
    """Print medians, and medians of the ratios to the limit of the same round."""
    sys.stdout.write(
        f"{'shards':14} {'loader':14} {'samples/s':>10} {'x limit':>8} {'CPU ms':>8} {'x limit':>8}\n"
    )
    for (kind, name), rounds in results.items():
        base = results.get((kind, "limit"), rounds)
        rates = [rate / one[0] for (rate, _), one in zip(rounds, base, strict=True)]
        cpus = [cpu / one[1] for (_, cpu), one in zip(rounds, base, strict=True)]
        rate, cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
        sys.stdout.write(
            f"{kind:14} {name:14} {rate:10.1f} {statistics.median(rates):8.2f} "
            f"{cpu:8.2f} {statistics.median(cpus):8.2f}\n"
        )


if __name__ == "__main__":
    main()
