"""A data set of which most people have a broken file: rows in are rows out, whatever is wrong with them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from preprocess.sources.paper_dolls.dataset import render_dataset
from preprocess.sources.params import PaperDollParams
from preprocess.sources.viton_hd import PARTS
from tests.preprocess.test_fuzzed_files import fuzzed

PEOPLE = 24
FINISHED, REFUSED = 0, 2
MOST_MEMORY = 1 << 30


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fuzz") / "dolls"
    render_dataset(PaperDollParams(train=1, test=PEOPLE, image_height=128, image_width=96), root)
    return root


MEASURED = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Runs a command and prints how much memory (KiB) the largest of its processes had. What the process had that
started them counts as theirs, so that it has to be a small one."""


def run(*words: object) -> tuple[int, str]:
    """Exit status and stderr of a command of `cinderella`, none of whose processes may outgrow a gibibyte."""
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", *map(str, words)]
    done = subprocess.run([sys.executable, "-c", MEASURED, *command], capture_output=True, check=False)
    largest = int(done.stdout) * 1024
    assert MOST_MEMORY / 32 < largest < MOST_MEMORY, "of the process and those it waited for"
    return done.returncode, done.stderr.decode()


def keys_of(root: Path) -> list[str]:
    return sorted(path.stem for path in (root / "test/image").iterdir())


def files_of(root: Path, key: str) -> Iterator[Path]:
    for part in PARTS.values():
        yield from (root / "test" / part.folders[0]).glob(f"{key}*")


def damaged(whole: Path, root: Path, seed: int) -> Path:
    """A copy in which one file of two people in three is broken, their photo or a map or their joints."""
    for path in whole.rglob("*.*"):
        copy = root / path.relative_to(whole)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    for number, key in enumerate(keys_of(root)):
        if number % 3 == 0:
            continue  # with nobody whole left, no shard could be written
        files = sorted(files_of(root, key))
        path = files[(number + seed) % len(files)]
        path.write_bytes(fuzzed(path.suffix, seed * PEOPLE + number))
    return root


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_every_person_has_a_row(whole: Path, tmp_path: Path, seed: int) -> None:
    root = damaged(whole, tmp_path / "root", seed)
    out = tmp_path / "rows.parquet"
    status, said = run("annotate", "--root", root, "--split", "test", "--out", out)
    assert (status, "Traceback" in said) == (FINISHED, False), said[-2000:]
    rows = {row["key"]: row for row in pq.read_table(out).to_pylist()}
    assert sorted(rows) == keys_of(root)
    assert all(row["reason"] for row in rows.values() if row["status"] == "failed")
    status, said = run("shard", "--root", root, "--split", "test", "--out", tmp_path / "shards")
    assert (status, "Traceback" in said) == (FINISHED, False), said[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_a_broken_list_is_read_or_refused(whole: Path, tmp_path: Path, number: int) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "test").symlink_to(whole / "test")
    (root / "test_pairs.txt").write_bytes(fuzzed(".txt", number))
    status, said = run("annotate", "--root", root, "--split", "test", "--out", tmp_path / "rows.parquet")
    assert (status in (FINISHED, REFUSED), "Traceback" in said) == (True, False), said[-2000:]
