"""Samples a second and CPU a sample of our stream against other loaders, on the same samples and decoders.

    python -m tests.benchmarks.bench_stream [--samples 240] [--rounds 3] [--only limit,stream] [--kinds full]

Kinds: `full` photos of 1024x768 decoded to 512x384, `small` the same photos stored at that size, and
`latents`. Rows: `limit` is no loader: two processes that read and decode, and hand nothing on; `whole photos`
is the limit without decoding at half scale inside the JPEG; `stream` is ours.
Every loader has two workers and batches of 8, and each case a process of its own; the clock starts after the
first batches, and CPU counts worker processes too. Loaders that aren't installed are left out by name. Cases
alternate for `--rounds` rounds; medians are printed.
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
from pathlib import Path

import cv2
import xxhash

from tests.benchmarks.loader_data import make_latents, make_pictures, photos
from tests.benchmarks.loaders import BATCH, LOADERS, WORKERS

KINDS = ("full", "small", "latents")
LATENTS_PER_PHOTO = 16
"""So many samples of latents for each of pictures, because they are read so much faster."""
WARM_UP = 6
"""Batches before the clock starts."""

Results = dict[tuple[str, str], list[tuple[float, float]]]


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
    module = ["-m", "tests.benchmarks.bench_stream", "--child", name, str(folder), str(count)]
    copies = WORKERS if name in ("limit", "whole photos") else 1
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    processes = [subprocess.Popen([sys.executable, *module], **quiet) for _ in range(copies)]
    results = [json.loads(process.communicate(timeout=120)[0].splitlines()[-1]) for process in processes]
    return sum(rate for rate, _ in results), statistics.mean(cpu for _, cpu in results)


def prepare(scratch: Path, kinds: list[str], names: list[str], count: int) -> dict[str, tuple[Path, int]]:
    """Write the samples in every format that is asked for: folder and number of samples of each kind."""
    given, what = photos()
    sys.stdout.write(f"{what}\n")
    data = {}
    for kind in kinds:
        folder = scratch / kind
        data[kind] = (folder, count * LATENTS_PER_PHOTO if kind == "latents" else count)
        if kind == "latents":
            make_latents(folder, data[kind][1])
        else:
            make_pictures(folder, count, given, small=kind == "small")
        for write in {LOADERS[name][2] for name in names} - {None}:
            write(folder)
    return data


def main() -> None:
    """Make the data, alternate the cases and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(LOADERS))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--data", type=Path, help="folder for the samples; kept, and used again")
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
    names, kinds = [name for name in wanted if name not in absent], options.kinds.split(",")
    with tempfile.TemporaryDirectory() as scratch:
        data = prepared(options.data or Path(scratch), kinds, names, options.samples)
        report(run(data, names, options.rounds))
        hashing(data)


def prepared(folder: Path, kinds: list[str], names: list[str], count: int) -> dict[str, tuple[Path, int]]:
    """Use the samples that lie in a folder, or make them."""
    listing = folder / "data.json"
    if not listing.is_file():
        made = prepare(folder, kinds, names, count)
        listing.write_text(json.dumps({kind: [str(path), number] for kind, (path, number) in made.items()}))
    found = json.loads(listing.read_text())
    return {kind: (Path(path), number) for kind, (path, number) in found.items() if kind in kinds}


def run(data: dict[str, tuple[Path, int]], names: list[str], rounds: int) -> Results:
    """Measure every case once a round."""
    results: Results = {}
    for _ in range(rounds):
        for kind, (folder, count) in data.items():
            for name in names:
                if (name, kind) != ("whole photos", "latents"):
                    results.setdefault((kind, name), []).append(child(name, folder, count))
    return results


def report(results: Results) -> None:
    """Print medians, and medians of the ratios to the limit of the same round."""
    sys.stdout.write(
        f"{'kind':8} {'loader':14} {'samples/s':>10} {'x limit':>8} {'CPU ms':>8} {'x limit':>8}\n"
    )
    for (kind, name), rounds in results.items():
        base = results.get((kind, "limit"), rounds)
        rates = [rate / one[0] for (rate, _), one in zip(rounds, base, strict=True)]
        cpus = [cpu / one[1] for (_, cpu), one in zip(rounds, base, strict=True)]
        rate, cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
        sys.stdout.write(
            f"{kind:8} {name:14} {rate:10.1f} {statistics.median(rates):8.2f} "
            f"{cpu:8.3f} {statistics.median(cpus):8.2f}\n"
        )


def hashing(data: dict[str, tuple[Path, int]]) -> None:
    """Print what noticing damage costs: the checksum of a sample's bytes."""
    for kind, (folder, _) in data.items():
        tar = next(folder.glob("*.tar")).read_bytes()
        started = time.process_time()
        for _ in range(20):
            xxhash.xxh3_64_intdigest(tar)
        seconds = (time.process_time() - started) / 20
        per_sample = {"full": 24, "small": 24, "latents": 500}[kind]
        sys.stdout.write(f"{kind:8} checksum {1e3 * seconds / per_sample:.4f} CPU ms a sample\n")


if __name__ == "__main__":
    main()
