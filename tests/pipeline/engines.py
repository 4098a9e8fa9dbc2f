"""An engine made up for tests, and a table of squares to make on any."""

import gc
import os
import pickle
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline import compute_size_ratios, extract_keypoints, write_shards
from pipeline.engine.parts import Engine, Inline, Part, Work
from pipeline.engine.store import PartStore
from pipeline.tables.incremental import PART_ROWS, Job, Row, Table, update
from pipeline.tables.manifest import facts_beside, write_manifest
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.identity import ROOT
from preprocess.sources.paper_dolls.dataset import PaperDolls, render_dataset
from preprocess.sources.params import PaperDollParams
from shards.params import WriteShardsParams
from shards.plan import sha256_of

SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("split", "key", "status", "reason", "input_hash")),
        pa.field("square", pa.int64()),
    ]
)


@dataclass
class OutOfOrder:
    """An engine of ten lines: one part after another, in any order, as if elsewhere. It counts."""

    made: list[int] = field(default_factory=list)
    gpus: int = 0

    def map(self, work: Work, parts: Iterable[Part]) -> Iterator[Part]:
        waiting, self.gpus = list(parts), work.gpus
        random.Random(0).shuffle(waiting)
        for part in waiting:
            pickle.loads(pickle.dumps(work))(pickle.loads(pickle.dumps(part)))
            self.made.append(part.size)
            yield part


@dataclass
class Counting:
    """Makes one part after another, and counts the objects of a kind that are in memory meanwhile."""

    kind: type
    most: int = 0

    def map(self, work: Work, parts: Iterable[Part]) -> Iterator[Part]:
        for part in parts:
            self.most = max(self.most, sum(type(one) is self.kind for one in gc.get_objects()))
            work(part)
            yield part


@dataclass(frozen=True)
class Numbers:
    """Jobs that give each number its square; every seventh fails. Whoever does one writes a byte to `log`."""

    count: int
    changed: tuple[int, ...] = ()
    pause: float = 0.0
    log: Path = Path(os.devnull)

    def __call__(self) -> Iterator[Job]:
        for number in range(self.count):
            version = f"{number}{'*' if number in self.changed else ''}"
            payload = (number, version, self.pause, self.log)
            yield Job(split="test", key=f"{number:06d}", input_hash=version, payload=payload)


Payload = tuple[int, str, float, Path]


def square(payload: Payload) -> Row:
    number, version, pause, log = payload
    time.sleep(pause)
    with log.open("ab") as file:
        file.write(b".")
    failed = number % 7 == 0
    return {
        "split": "test",
        "key": f"{number:06d}",
        "status": "failed" if failed else "ok",
        "reason": f"seven: {number} is one of them" if failed else None,
        "input_hash": version,
        "square": number * number,
    }


def table(folder: Path, numbers: Numbers) -> Table:
    return Table(
        out=folder / "squares.parquet",
        schema=SCHEMA,
        jobs=numbers,
        work=square,
        digest="squares",
        total=numbers.count,
    )


def made(folder: Path, numbers: Numbers, engine: Engine | None = None) -> bytes:
    update(table(folder, numbers), engine or Inline())
    return (folder / "squares.parquet").read_bytes()


RUN = """
import sys
from pathlib import Path
from pipeline.engine.parts import open_engine
from tests.pipeline.engines import Numbers, made
folder, count = Path(sys.argv[1]), int(sys.argv[2])
made(folder, Numbers(count, pause=0.005, log=folder / "log"), open_engine(workers=1))
"""


def begin_run(folder: Path, count: int) -> subprocess.Popen[bytes]:
    """Begin a table of `count` numbers in a process of its own, on the engine that is chosen here."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    return subprocess.Popen([sys.executable, "-c", RUN, str(folder), str(count)], env=environment)


def kill_a_run(folder: Path, *, count: int, after: int) -> None:
    """Begin a table of `count` numbers, and kill its process once `after` parts are done."""
    store = PartStore(folder / ".squares.parquet.parts")
    run = begin_run(folder, count)
    while run.poll() is None and sum(1 for _ in store.list()) < after:
        time.sleep(0.01)
    run.kill()
    run.wait()
    assert not (folder / "squares.parquet").exists()


def stop_after(count: int) -> Engine:
    """An engine whose computer is switched off after `count` parts."""

    class Stopping(OutOfOrder):
        def map(self, work: Work, parts: Iterable[Part]) -> Iterator[Part]:
            for part in Inline().map(work, parts):
                yield part
                self.made.append(part.size)
                if len(self.made) == count:
                    raise OSError("switched off")

    return Stopping()


@dataclass
class Then:
    """Another engine; once it has made some parts, something happens."""

    engine: Engine
    what: Any
    after: int = 2

    def map(self, work: Work, parts: Iterable[Part]) -> Iterator[Part]:
        for number, part in enumerate(self.engine.map(work, parts)):
            yield part
            if number + 1 == self.after:
                self.what()


def data_stages(dolls: Path, folder: Path, engine: Engine) -> dict[str, str]:
    """Run every data stage on dolls; return the SHA-256 of each file that they leave in `folder`.

    But for the facts of the dolls' files, which tell when they were looked at.
    """
    tables = {name: folder / f"{name}.parquet" for name in ("manifest", "keypoints", "size_annotations")}
    manifest, keypoints = tables["manifest"], tables["keypoints"]
    write_manifest(PaperDolls(dolls), manifest, engine=engine)
    extract_keypoints.run(ExtractKeypointsParams(), manifest=manifest, out=keypoints, engine=engine)
    found = {"manifest": manifest, "keypoints": keypoints}
    compute_size_ratios.run(SizeRatioParams(), **found, out=tables["size_annotations"], engine=engine)
    params = WriteShardsParams(samples_per_shard=20, image_height=64, image_width=48)
    write_shards.run(params, **tables, out=folder / "shards", engine=engine)
    facts_beside(manifest).unlink()
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def draw_dolls(folder: Path) -> Path:
    """Draw people for two parts of a table."""
    render_dataset(PaperDollParams(train=PART_ROWS, test=5, image_height=128, image_width=96), folder)
    return folder
