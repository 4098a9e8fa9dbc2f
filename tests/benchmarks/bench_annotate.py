"""Speed, memory and reuse of annotating, on VITON-HD's own files repeated under new keys.

    python -m tests.benchmarks.bench_annotate speed    # pairs a second, against merely decoding the files
    python -m tests.benchmarks.bench_annotate memory   # peak memory at 1,000 and 20,000 samples
    python -m tests.benchmarks.bench_annotate reuse    # rerun after changing 1 of 2,000 samples
    python -m tests.benchmarks.bench_annotate parts    # what doing it in parts costs, against only measuring

Needs the shared VITON-HD cases (CINDERELLA_SHARED). Run nothing beside it.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline import compute_size_ratios, extract_keypoints
from pipeline.engine.parts import Inline
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.sources.source import MANIFEST_SCHEMA, SCHEMA_VERSION
from tests.shared_data import shared_data

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
    with pq.ParquetWriter(out, schema) as writer:
        for start in range(0, num_samples, 1000):
            rows = [row(keys, index, changed) for index in range(start, min(start + 1000, num_samples))]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


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
    found, manifest = folder / "keypoints.parquet", folder / "manifest.parquet"
    extract_keypoints.run(ExtractKeypointsParams(), manifest=manifest, out=found)
    out = folder / "sizes.parquet"
    compute_size_ratios.run(SizeRatioParams(), manifest=manifest, keypoints=found, out=out)
    return time.perf_counter() - start


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


def peak_mib(num_samples: int) -> float:
    """Peak memory of the main process and of its largest worker, in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_annotate", "peak", str(num_samples)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")


def main(what: str, num_samples: int) -> None:
    """Print one figure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if what == "memory":
            small, large = peak_mib(1000), peak_mib(num_samples)
            say(f"peak {small:.0f} MiB at 1000, {large:.0f} at {num_samples}: {large / small - 1:+.1%}")
            return
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
        elif what == "reuse":
            write_manifest(folder / "manifest.parquet", num_samples, changed=num_samples // 2)
            again = annotate(folder)
            say(f"all {seconds:.1f} s, 1 changed {again:.1f} s: {again / seconds:.1%}")
        else:
            usage = [
                resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
            ]
            say(str(sum(usage) / 1024))


if __name__ == "__main__":
    defaults = {"speed": 2000, "memory": 20_000, "reuse": 2000, "parts": 2000}
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else defaults[sys.argv[1]])
