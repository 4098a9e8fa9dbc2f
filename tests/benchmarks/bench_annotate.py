"""Speed, memory and reuse of the data stages, on VITON-HD's own files repeated under new keys.

    python -m tests.benchmarks.bench_annotate speed    # pairs a second, against merely decoding the files
    python -m tests.benchmarks.bench_annotate memory   # peak memory at 1,000 and 20,000 samples, shards too
    python -m tests.benchmarks.bench_annotate reuse    # rerun after changing 1 of 2,000 samples
    python -m tests.benchmarks.bench_annotate parts    # what doing it in parts costs, against only measuring

Needs the shared VITON-HD cases (CINDERELLA_SHARED). Run nothing beside it.
"""

import json
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pipeline import compute_size_ratios, extract_keypoints, write_shards
from pipeline.engine.parts import Inline
from pipeline.tables.incremental import batched, write_groups, written
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.sources.source import MANIFEST_SCHEMA, SCHEMA_VERSION
from shards.params import WriteShardsParams
from tests.benchmarks.peaks import watched
from tests.shared_data import shared_data

STAGES = ("keypoints", "sizes", "shards")

PARTS = {
    "image": ("image", ".jpg"),
    "parse": ("image-parse-v3", ".png"),
    "densepose": ("image-densepose", ".jpg"),
    "openpose_json": ("openpose_json", "_keypoints.json"),
}


def write_manifest(out: Path, num_samples: int, changed: int | None = None) -> None:
    """List the complete test cases over and over, under new keys."""
    root = shared_data() / "data/vitonhd/test"
    keys = sorted(path.stem for path in (root / "image").glob("*.jpg"))
    schema = MANIFEST_SCHEMA.with_metadata({"root": str(root), "schema_version": SCHEMA_VERSION})
    rows = (row(keys, index, changed) for index in range(num_samples))
    with written(out, schema) as writer:
        write_groups(batched(rows, schema), num_samples, writer)


def row(keys: list[str], index: int, changed: int | None) -> dict[str, object]:
    """One sample of the manifest."""
    key = keys[index % len(keys)]
    files = {part: f"{folder}/{key}{end}" for part, (folder, end) in PARTS.items()}
    sample = {"key": f"{index:06d}", "split": "test", "category": "upper", "status": "ok", "caption": ""}
    sample["parse_labels"] = "lip"
    return sample | files | {"input_hash": f"{index}{'*' if index == changed else ''}"}


def annotate(folder: Path) -> float:
    """Run both stages and return the seconds they took."""
    start = time.perf_counter()
    run_stage("keypoints", folder)
    run_stage("sizes", folder)
    return time.perf_counter() - start


def run_stage(stage: str, folder: Path) -> None:
    """Run a stage on the manifest in a folder."""
    names = ("manifest", "keypoints", "size_annotations")
    manifest, found, out = (folder / f"{name}.parquet" for name in names)
    if stage == "keypoints":
        extract_keypoints.run(ExtractKeypointsParams(), manifest=manifest, out=found)
    elif stage == "sizes":
        compute_size_ratios.run(SizeRatioParams(), manifest=manifest, keypoints=found, out=out)
    else:
        tables = dict(zip(names, (manifest, found, out), strict=True))
        write_shards.run(WriteShardsParams(num_workers=2), **tables, out=folder / "shards")


def cost_of_parts(folder: Path) -> float:
    """CPU time of both stages in this process, as a multiple of what making their rows one by one takes."""
    found, manifest = folder / "keypoints.parquet", folder / "manifest.parquet"
    joints, sizes = ExtractKeypointsParams(), SizeRatioParams()
    start = time.process_time()
    extract_keypoints.run(joints, manifest=manifest, out=found, engine=Inline())
    out = folder / "sizes.parquet"
    compute_size_ratios.run(sizes, manifest=manifest, keypoints=found, out=out, engine=Inline())
    done = time.process_time()
    for job in extract_keypoints.jobs(joints, manifest):
        extract_keypoints.keypoint_row(job.payload)
    for job in compute_size_ratios.jobs(sizes, manifest, found):
        compute_size_ratios.annotation_row(job.payload)
    return (done - start) / (time.process_time() - done)


def decode(files: dict[str, object], root: Path, whole_photo: bool) -> None:
    """Read and decode the files of one sample: JSON, parse map, DensePose, the photo or its size alone."""
    json.loads((root / str(files["openpose_json"])).read_bytes())
    with Image.open(root / str(files["image"])) as photo:
        if whole_photo:
            photo.load()
    with Image.open(root / str(files["parse"])) as parse:
        np.asarray(parse)
    cv2.imread(str(root / str(files["densepose"])))


def decode_all(num_samples: int, *, whole_photo: bool) -> float:
    """Seconds to decode the files of as many samples with as many processes, starting them included."""
    root = shared_data() / "data/vitonhd/test"
    keys = sorted(path.stem for path in (root / "image").glob("*.jpg"))
    samples = [row(keys, index, None) for index in range(num_samples)]
    start = time.perf_counter()
    with ProcessPoolExecutor(initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        list(pool.map(decode, samples, repeat(root), repeat(whole_photo), chunksize=32))
    return time.perf_counter() - start


def memory(num_samples: int) -> None:
    """Print the peaks of each stage, run in a process of its own, at 1,000 samples and at `num_samples`."""
    counts = (1000, num_samples)
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / str(count) for count in counts]
        for folder, count in zip(folders, counts, strict=True):
            folder.mkdir()
            write_manifest(folder / "manifest.parquet", count)
        for stage in STAGES:
            commands = ([sys.executable, "-m", __spec__.name, stage, str(folder)] for folder in folders)
            small, large = map(watched, commands)
            for who, before, after in zip(("itself", "its largest worker"), small, large, strict=True):
                told = f"{stage}, {who}, at {counts[0]} and {counts[1]} samples"
                say(
                    f"{told}: {grown(before.resident, after.resident)}, of its own "
                    f"{grown(before.anonymous, after.anonymous)}"
                )


def grown(before: float, after: float) -> str:
    """Say two peaks (MiB)."""
    return f"{before:.1f} and {after:.1f} MiB ({after / max(before, 1) - 1:+.1%})"


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(what: str, num_samples: int) -> None:
    """Print one figure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_manifest(folder / "manifest.parquet", num_samples)
        if what == "parts":
            say(f"{cost_of_parts(folder) - 1:+.1%} CPU time")
            return
        seconds = annotate(folder)
        if what == "speed":
            say(f"{num_samples / seconds:.0f} pairs/s")
            for name, whole in (("all four files", True), ("what annotating decodes", False)):
                decoding = decode_all(num_samples, whole_photo=whole)
                rate = num_samples / decoding
                say(f"decoding {name}: {rate:.0f} pairs/s, so {decoding / seconds:.0%} of that rate")
        else:
            write_manifest(folder / "manifest.parquet", num_samples, changed=num_samples // 2)
            again = annotate(folder)
            say(f"all {seconds:.1f} s, 1 changed {again:.1f} s: {again / seconds:.1%}")


if __name__ == "__main__":
    if sys.argv[1] in STAGES:
        run_stage(sys.argv[1], Path(sys.argv[2]))
    elif sys.argv[1] == "memory":
        memory(int(sys.argv[2]) if len(sys.argv) > 2 else 20_000)
    else:
        main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2000)
