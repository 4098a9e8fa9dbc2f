"""Peak memory and CPU time of every data stage by the number of rows.

    python -m tests.benchmarks.measure_scale 10000 50000 200000
    python -m tests.benchmarks.measure_scale 100000 1000000 --folder /data/scratch --stages prepare keypoints
    python -m tests.benchmarks.measure_scale 2000 --once --whole --height 256 --width 192

The rows are one small paper doll under as many names, by hard links: each is listed, hashed, decoded,
measured and written as any other is. What would take hours is spared: of the measures all but 256 are an
earlier run's, unless all are wanted (`--whole`), and beyond 20,000 rows joints are too, and shards hold the
photo alone. A stage runs `inline`
in a process of its own, so that its peak is all there is. It is run twice, the second time with one sample
changed, unless it is `--once`. `own` is what isn't spent on parts: listing, planning and merging.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from pipeline import compute_size_ratios, extract_keypoints, prepare_dataset, write_shards
from pipeline.engine.parts import Part, Work
from pipeline.tables.incremental import DIGEST_KEY, Job, Row, batched, write_groups, written
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.sources.manifest import SETTLED_NS
from preprocess.sources.paper_dolls.dataset import ENDS, render_dataset
from preprocess.sources.params import PaperDollParams, PrepareDatasetParams
from shards.build import Parts
from shards.params import WriteShardsParams
from shards.ustar import pack
from tests.benchmarks.peaks import held

STAGES = ("prepare", "keypoints", "sizes", "shards")
LINKS = 30_000
"""Names of one file; ext4 has room for 65,000."""

MADE = 256
"""Samples whose rows are made where those of the others are an earlier run's."""

MOST_MADE = 20_000
"""Rows up to which all joints are found and whole samples are built."""

OUT = {"keypoints": "keypoints.parquet", "sizes": "size_annotations.parquet"}


class Watched:
    """Makes one part after another in this process, and adds up the seconds that they take."""

    seconds = 0.0
    """CPU time of the parts."""

    def map(self, work: Work, parts: Iterable[Part]) -> Iterator[Part]:
        """See `Engine`."""
        for part in parts:
            start = time.process_time()
            work(part)
            self.seconds += time.process_time() - start
            yield part


def write_root(root: Path, num_rows: int, image_height: int, image_width: int) -> None:
    """Give one doll's files as many names as there are rows."""
    doll = root.parent / "doll"
    drawing = PaperDollParams(train=1, test=2, image_height=image_height, image_width=image_width)
    render_dataset(drawing, doll)
    names = [f"{number:08d}_00" for number in range(num_rows)]
    for part, end in ENDS.items():
        drawn, folder = doll / "train" / part / f"00000_00{end}", root / "train" / part
        folder.mkdir(parents=True)
        for number, name in enumerate(names):
            place = os.fspath(folder / (name + end))
            if number == num_rows // 2:
                shutil.copyfile(drawn, place)  # it will change, and links to it with it
            elif number % LINKS == 0:
                shutil.copyfile(drawn, place)
                first = place
            else:
                os.link(first, place)
    (root / "train_pairs.txt").write_text("".join(f"{name}.jpg {name}.jpg\n" for name in names))


def change_one(root: Path, num_rows: int) -> None:
    """Change the photo of a sample in the middle."""
    with (root / "train/image" / f"{num_rows // 2:08d}_00.jpg").open("ab") as photo:
        photo.write(b"\0")


def run_stage(stage: str, folder: Path) -> dict[str, float]:
    """Run a stage and return its seconds, those of its parts, and the peak memory of this process (MiB)."""
    engine = Watched()
    tables = {name: folder / f"{name}.parquet" for name in ("manifest", "keypoints", "size_annotations")}
    manifest, keypoints, annotations = tables.values()
    start = time.process_time()
    if stage == "prepare":
        params = PrepareDatasetParams(source="viton_hd", root=str(folder / "root"))
        prepare_dataset.run(params, raw=folder / "raw", out=manifest, engine=engine)
    elif stage == "keypoints":
        extract_keypoints.run(ExtractKeypointsParams(), manifest=manifest, out=keypoints, engine=engine)
    elif stage == "sizes":
        found = {"manifest": manifest, "keypoints": keypoints}
        compute_size_ratios.run(SizeRatioParams(), **found, out=annotations, engine=engine)
    else:
        if pq.read_metadata(manifest).num_rows > MOST_MADE:
            vars(write_shards)["build_packed"] = photo_alone
        write_shards.run(WriteShardsParams(), **tables, out=folder / "shards", engine=engine)
    seconds = time.process_time() - start
    return {"seconds": seconds, "parts": engine.seconds, "peak": held("VmHWM")}


def make_most(stage: str, folder: Path) -> None:
    """Write a stage's rows of all samples but the first `MADE`, as an earlier run would have left them.

    They are that of the last, which is the same doll.
    """
    manifest, keypoints = folder / "manifest.parquet", folder / "keypoints.parquet"
    jobs: Iterator[Job]
    work: Callable[[Any], Row]
    if stage == "keypoints":
        joints = ExtractKeypointsParams()
        made_by, schema = extract_keypoints.made_by(joints), extract_keypoints.SCHEMA
        jobs, work = extract_keypoints.jobs(joints, manifest), extract_keypoints.keypoint_row
    else:
        sizes = SizeRatioParams()
        made_by, schema = compute_size_ratios.made_by(sizes, keypoints), compute_size_ratios.SCHEMA
        jobs, work = compute_size_ratios.jobs(sizes, manifest, keypoints), compute_size_ratios.annotation_row
    jobs = islice(jobs, MADE, None)
    first = next(jobs)
    row = work(first.payload)
    rows = (row | {"key": job.key, "input_hash": job.input_hash} for job in chain([first], jobs))
    total = pq.read_metadata(manifest).num_rows - MADE
    with written(folder / OUT[stage], schema.with_metadata({DIGEST_KEY: made_by.encode()})) as writer:
        write_groups(batched(rows, schema), total, writer)


def photo_alone(parts: Parts, params: WriteShardsParams) -> bytes:  # noqa: ARG001
    """Make a sample of the photo alone, in place of `build_packed`."""
    return pack(parts.files.key, {"image.jpg": parts.files.image.read_bytes()})


def in_own_process(stage: str, folder: Path) -> dict[str, float]:
    """Run a stage in another process; see `run_stage`."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.measure_scale",
        "--run",
        stage,
        "--folder",
        str(folder),
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def measure(num_rows: int, folder: Path, options: argparse.Namespace) -> None:
    """Print a line for each stage, as it is and with one sample changed."""
    write_root(folder / "root", num_rows, options.height, options.width)
    spared = {"keypoints": MOST_MADE, "sizes": num_rows if options.whole else MADE}
    time.sleep(SETTLED_NS / 1e9 + 1)  # of files that were just written prepare_dataset remembers nothing
    for run in ("all",) if options.once else ("all", "one changed"):
        for stage in options.stages:
            if run == "all" and num_rows > spared.get(stage, num_rows):
                make_most(stage, folder)
            got = in_own_process(stage, folder)
            own = got["seconds"] - got["parts"]
            say(
                f"{num_rows:9,} rows  {stage:10s} {run:12s} peak {got['peak']:6.0f} MiB"
                f"  {got['seconds']:8.1f} s"
                f"  own {own:7.1f} s ({own / got['seconds']:5.1%}, {1000 * own / num_rows:.3f} ms a row)"
            )
        change_one(folder / "root", num_rows)


def main() -> None:
    """Measure, or run one stage where another process measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, default=[10_000, 50_000])
    parser.add_argument("--folder", type=Path, help="where to; default: a temporary folder")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--once", action="store_true", help="don't run it again with one sample changed")
    parser.add_argument("--whole", action="store_true", help="measure every sample")
    parser.add_argument("--height", type=int, default=64, help="of the doll (px)")
    parser.add_argument("--width", type=int, default=48)
    parser.add_argument("--run", choices=STAGES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        say(json.dumps(run_stage(options.run, options.folder)))
        return
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    for num_rows in options.rows:
        with TemporaryDirectory(dir=options.folder) as folder:
            measure(num_rows, Path(folder), options)


if __name__ == "__main__":
    main()
