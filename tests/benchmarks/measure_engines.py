"""Wall clock and CPU time of every data stage on every engine, and of a plain loop without parts.

    python -m tests.benchmarks.measure_engines /data/viton192
    python -m tests.benchmarks.measure_engines /data/viton192 --samples 500 --engines inline process
    chrt -r 1 python -m tests.benchmarks.measure_engines /data/viton192 --engines process ray

The samples are those of a root in VITON-HD's layout, under as many names as it takes, by hard links. Each
stage is a process of its own, as DVC starts it, on an empty folder; engines come in the order A B B A. `loop`
makes the same rows and samples one after another, holds them, and writes them. `process` is two local
processes, `ray` a cluster of two nodes of one CPU, `slurm` as many, all on this computer: their start is a
line of its own, `start`. CPU time is that of a control group, so of daemons, tasks and whoever was killed as
well. All engines must leave the same bytes, or this stops.

It must be run by root, on Linux with control groups of version 1, and `slurm` needs Debian's packages.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import compute_size_ratios, extract_keypoints, prepare_dataset, write_shards
from pipeline.stage import ENGINE_VARIABLE
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.identity import ROOT
from preprocess.sources.manifest import SETTLED_NS, Entry, judged, manifest_schema
from preprocess.sources.params import PrepareDatasetParams
from shards.build import Parts, build_packed
from shards.params import WriteShardsParams
from shards.ustar import SampleError
from shards.writer import TarWriter
from tests.pipeline.slurm import two_nodes, wait_until_idle

TABLES = ("manifest", "keypoints", "size_annotations")
OPTIONS = {
    "prepare_dataset": {"raw": "raw", "out": "manifest.parquet"},
    "extract_keypoints": {"manifest": "manifest.parquet", "out": "keypoints.parquet"},
    "compute_size_ratios": {
        "manifest": "manifest.parquet",
        "keypoints": "keypoints.parquet",
        "out": "size_annotations.parquet",
    },
    "write_shards": {name: f"{name}.parquet" for name in TABLES} | {"out": "shards"},
}
"""Of the stages' commands: files of the folder that they run in."""

ENGINES = ("loop", "inline", "process", "ray", "slurm")
COMMAND = [sys.executable, "-m"]
GROUPS = Path("/sys/fs/cgroup/cpuacct")


def write_root(source: Path, root: Path, num_samples: int) -> None:
    """Give the test split of `source` as many names as there are samples."""
    names = [line.split()[0] for line in (source / "test_pairs.txt").read_text().splitlines()]
    stems = [Path(name).stem for name in names]
    given = [(stems[number % len(stems)], f"{number:06d}_00") for number in range(num_samples)]
    for folder in sorted(path for path in (source / "test").iterdir() if path.is_dir()):
        files = {path.name.split(".")[0].removesuffix("_keypoints"): path for path in folder.iterdir()}
        (root / "test" / folder.name).mkdir(parents=True)
        for stem, name in given:
            if stem in files:
                os.link(files[stem], root / "test" / folder.name / files[stem].name.replace(stem, name))
    (root / "test_pairs.txt").write_text("".join(f"{name}.jpg {name}.jpg\n" for _, name in given))


def loop(stage: str, folder: Path) -> None:
    """Do the work of a stage without parts."""
    manifest, keypoints, annotations = (folder / f"{name}.parquet" for name in TABLES)
    if stage == "prepare_dataset":
        params = PrepareDatasetParams(source="viton_hd", root=str(folder / "root"))
        source = prepare_dataset.prepared(params, folder / "raw")
        entries = [Entry.of(one, source.root) for one in source.samples()]
        entries.sort(key=lambda one: str(one.row["key"]))
        rows = [judged(one, source.root) for one in entries]
        write_rows(rows, manifest_schema(source, "loop"), manifest)
    elif stage == "extract_keypoints":
        jobs = extract_keypoints.jobs(ExtractKeypointsParams(), manifest)
        rows = [extract_keypoints.keypoint_row(job.payload) for job in jobs]
        write_rows(rows, extract_keypoints.SCHEMA, keypoints)
    elif stage == "compute_size_ratios":
        sizes = SizeRatioParams()
        jobs = compute_size_ratios.jobs(sizes, manifest, keypoints)
        rows = [compute_size_ratios.annotation_row(job.payload) for job in jobs]
        metadata, change = compute_size_ratios.finish(sizes, manifest, batches_of(rows))
        table = pa.Table.from_batches([change(batch) for batch in batches_of(rows)])
        pq.write_table(table.replace_schema_metadata(metadata), annotations, compression="zstd")
    else:
        parts = [write_shards.gather(*rows) for rows in write_shards.joined(manifest, keypoints, annotations)]
        write_tars((one for one in parts if isinstance(one, Parts)), folder / "shards")


def write_rows(rows: list[dict[str, Any]], schema: pa.Schema, out: Path) -> None:
    """Write a table at once."""
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out, compression="zstd")


def batches_of(rows: list[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
    """Yield annotations as one batch."""
    yield pa.RecordBatch.from_pylist(rows, schema=compute_size_ratios.SCHEMA)


def write_tars(parts: Iterator[Parts], out: Path) -> None:
    """Write samples to tars in the order in which they come."""
    params = WriteShardsParams()
    out.mkdir()
    for number in range(10**6):
        some = list(islice(parts, params.samples_per_shard))
        if not some:
            return
        place = out / f"test-{number:06d}.tar"
        with place.open("wb") as file:
            tar = TarWriter(file)
            for one in some:
                with suppress(SampleError):
                    tar.add(one.files.key, "", build_packed(one, params))
            tar.close(place.name, "")


class Meter:
    """CPU time of this process and of all that it starts from now on."""

    def __init__(self) -> None:
        self.group = GROUPS / f"measure_engines-{os.getpid()}"
        self.group.mkdir()
        (self.group / "cgroup.procs").write_text(str(os.getpid()))

    def measured(self, work: Callable[[], None]) -> tuple[float, float]:
        """Return the seconds of the clock and of CPUs that some work takes."""
        wall, used = time.perf_counter(), self.used()
        work()
        return time.perf_counter() - wall, self.used() - used

    def used(self) -> float:
        """Return the seconds of CPUs until now."""
        return int((self.group / "cpuacct.usage").read_text()) / 1e9

    def close(self) -> None:
        """Leave the group, which stays where something else hasn't ended."""
        (GROUPS / "cgroup.procs").write_text(str(os.getpid()))
        self.group.rmdir()


@contextmanager
def no_cluster(folder: Path) -> Iterator[str]:  # noqa: ARG001
    """Yield the settings of engines that need nothing started."""
    yield "process: {workers: 2}\n"


@contextmanager
def ray_cluster(folder: Path) -> Iterator[str]:  # noqa: ARG001
    """Start Ray, and yield the settings that name it."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0"}
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield f"ray: {{address: '{cluster.address}'}}\n"
    finally:
        cluster.shutdown()


@contextmanager
def slurm_cluster(folder: Path) -> Iterator[str]:
    """Start Slurm, and yield settings for it."""
    place = folder / "slurm"
    place.mkdir()
    with two_nodes(place) as configuration:
        os.environ["SLURM_CONF"] = str(configuration)
        wait_until_idle(2)
        yield "slurm: {partition: all}\n"


CLUSTERS = {"ray": ray_cluster, "slurm": slurm_cluster}


def run_stage(engine: str, stage: str, folder: Path) -> None:
    """Run a stage in a process of its own."""
    if engine == "loop":
        command = [*COMMAND, "tests.benchmarks.measure_engines", str(folder), "--loop", stage]
    else:
        words = [(f"--{name.replace('_', '-')}", value) for name, value in OPTIONS[stage].items()]
        command = [*COMMAND, f"pipeline.{stage}", *chain.from_iterable(words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), ENGINE_VARIABLE: engine}
    done = subprocess.run(
        command, cwd=folder, env=environment, check=False, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{engine}: {done.stderr}")


def run_engine(engine: str, root: Path, folder: Path, meter: Meter) -> dict[str, tuple[float, float]]:
    """Run all stages on an engine in an empty folder; return the seconds of each, and of its start."""
    (folder / "root").symlink_to(root)
    (folder / "params.yaml").write_text(f"prepare_dataset: {{source: viton_hd, root: '{root}'}}\n{REST}")
    cluster = CLUSTERS.get(engine, no_cluster)(folder)
    settings: list[str] = []
    seconds = {"start": meter.measured(lambda: settings.append(cluster.__enter__()))}
    try:
        (folder / "engine.yaml").write_text(settings[0])
        for stage in OPTIONS:
            seconds[stage] = meter.measured(partial(run_stage, engine, stage, folder))
    finally:
        cluster.__exit__(None, None, None)
    return seconds


REST = "".join(
    f"{section}: {{}}\n"
    for section in (
        *("extract_keypoints", "compute_size_ratios", "write_shards"),
        *("train_base", "train_size", "train_joint", "evaluate_tryon"),
    )
)
"""Of params.yaml: everything as it is by default."""


def digest_of(folder: Path) -> str:
    """Return the SHA-256 (hex) of what the stages made."""
    files = [folder / f"{name}.parquet" for name in TABLES]
    files += sorted(path for path in (folder / "shards").rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def measure(options: argparse.Namespace, folder: Path, meter: Meter) -> None:
    """Run all engines, and print what they took.

    Raises:
        ValueError: Two left different bytes.
    """
    write_root(options.root, folder / "root", options.samples)
    time.sleep(SETTLED_NS / 1e9 + 1)
    found: defaultdict[str, list[dict[str, tuple[float, float]]]] = defaultdict(list)
    digests: dict[str, str] = {}
    for number in range(options.rounds):
        for engine in options.engines[:: 1 if number % 2 == 0 else -1]:
            with TemporaryDirectory(dir=folder) as own:
                found[engine].append(run_engine(engine, folder / "root", Path(own), meter))
                say(f"# {engine} {json.dumps(found[engine][-1])}")
                if engine != "loop":
                    digests[engine] = digest_of(Path(own))
    if len({*digests.values()}) > 1:
        raise ValueError(f"all engines must leave the same bytes, got {digests}")
    tell(found)


def tell(found: dict[str, list[dict[str, tuple[float, float]]]]) -> None:
    """Print a line for each stage and engine: medians over the rounds."""
    for stage in ("start", *OPTIONS, "together"):
        for engine, runs in found.items():
            names = OPTIONS if stage == "together" else (stage,)
            wall, used = (
                median([sum(run[name][which] for name in names) for run in runs]) for which in range(2)
            )
            say(f"{stage:20s} {engine:8s} wall {wall:7.2f} s   CPU {used:7.2f} s")


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure, or run one stage as a loop where another process measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, help="in VITON-HD's layout, with test_pairs.txt")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--folder", type=Path, help="on the disk of the root; default: a temporary folder")
    parser.add_argument("--loop", choices=OPTIONS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.loop:
        loop(options.loop, options.root)
        return
    meter = Meter()
    try:
        with TemporaryDirectory(dir=options.folder) as folder:
            measure(options, Path(folder).resolve(), meter)
    finally:
        meter.close()


if __name__ == "__main__":
    main()
