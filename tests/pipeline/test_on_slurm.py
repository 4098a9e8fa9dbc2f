"""The engine of Slurm, on a real one: two nodes of one CPU on this computer, without systemd."""

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.engine.parts import Engine, Inline, Part, open_engine
from pipeline.stage import ENGINE_VARIABLE
from pipeline.tables.incremental import PART_ROWS, Row, update
from tests.pipeline.engines import Numbers, Payload, Then, data_stages, draw_dolls, kill_a_run, made, table
from tests.pipeline.slurm import PROGRAMS, two_nodes, wait_until_idle

pytest.importorskip("submitit", reason="needs `pip install submitit`")
from pipeline.engine import on_slurm
from pipeline.engine.on_slurm import looks, share

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(None in PROGRAMS.values(), reason="needs Debian's slurmctld, slurmd and munge"),
    pytest.mark.skipif(os.geteuid() != 0, reason="slurmd must run as root"),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The configuration of a running one."""
    with two_nodes(tmp_path_factory.mktemp("slurm")) as configuration:
        yield configuration


@pytest.fixture
def engine(slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """As a user opens it, but for waiting less."""
    monkeypatch.setenv("SLURM_CONF", str(slurm))
    wait_until_idle(2)
    (tmp_path / "settings").mkdir()
    settings = "{partition: all, samples_per_task: 128, array_size: 4, look_every: 0.2}"
    (tmp_path / "settings" / "engine.yaml").write_text(f"engine: slurm\nslurm: {settings}\n")
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path / "settings")
    (tmp_path / "inline").mkdir()
    return open_engine(workers=1)


def scontrol(*words: str) -> None:
    """It answers that a node that has come back by itself can't be resumed."""
    subprocess.run(["scontrol", *words], capture_output=True, check=False)


def test_two_nodes_make_the_same_file_from_several_arrays(engine: Engine, tmp_path: Path) -> None:
    numbers = Numbers(700)
    assert made(tmp_path / "inline", numbers) == made(tmp_path, numbers, engine)
    assert not list(tmp_path.glob(".squares*"))


def test_every_data_stage_makes_the_same_files(engine: Engine, tmp_path: Path) -> None:
    dolls, here, there = draw_dolls(tmp_path / "dolls"), tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    expected = data_stages(dolls, here, Inline())
    assert {"manifest.parquet", "size_annotations.parquet", "shards/train/index.json"} < expected.keys()
    assert data_stages(dolls, there, engine) == expected


def test_a_node_that_goes_down_costs_the_part_that_it_was_making(engine: Engine, tmp_path: Path) -> None:
    numbers = Numbers(600, pause=0.005, log=tmp_path / "log")

    def down() -> None:
        scontrol("update", "nodename=n1", "state=down", "reason=test")

    try:
        assert made(tmp_path, numbers, Then(engine, down)) == made(tmp_path / "inline", Numbers(600))
    finally:
        scontrol("update", "nodename=n1", "state=resume")
        wait_until_idle(2)
    assert (tmp_path / "log").stat().st_size - 600 <= 2 * PART_ROWS


def test_a_run_takes_over_from_a_killed_one(engine: Engine, tmp_path: Path) -> None:
    """Its tasks are cancelled: they would do the same work at the same time."""
    kill_a_run(tmp_path, count=700, after=3)
    numbers = Numbers(700, pause=0.005, log=tmp_path / "log")
    assert made(tmp_path, numbers, engine) == made(tmp_path / "inline", Numbers(700))
    assert (tmp_path / "log").stat().st_size - 700 <= 2 * PART_ROWS


def test_a_folder_that_cannot_be_emptied_does_not_stop_the_next_run(engine: Engine, tmp_path: Path) -> None:
    """A link stands for one into which a cancelled task still writes while it is being removed."""
    left, parts = tmp_path / "left", tmp_path / ".squares.parquet.parts"
    left.mkdir()
    parts.mkdir()
    (parts / ".slurm").symlink_to(left)
    numbers = Numbers(300)
    assert made(tmp_path, numbers, engine) == made(tmp_path / "inline", numbers)


def test_a_task_that_is_lost_is_sent_again(engine: Engine, tmp_path: Path) -> None:
    def lose() -> None:
        subprocess.run(["scancel", "--user=root"], check=True)

    numbers = Numbers(300, pause=0.005, log=tmp_path / "log")
    assert made(tmp_path, numbers, Then(engine, lose)) == made(tmp_path / "inline", Numbers(300))


def test_a_task_that_is_out_of_time_is_requeued(engine: Engine, tmp_path: Path) -> None:
    """Slurm signals that some time before it kills; it lets a requeued task wait two minutes, unless told."""

    def signal() -> None:
        scancel = ["scancel", "--signal=USR2", "--state=RUNNING", "--user=root"]
        subprocess.run(scancel, capture_output=True, check=False)
        time.sleep(2)
        squeue = ["squeue", "--noheader", "--array", "--states=PENDING", "--format=%i"]
        for task in subprocess.run(squeue, capture_output=True, text=True, check=True).stdout.split():
            requeued.append(task)
            scontrol("update", f"jobid={task}", "starttime=now")

    requeued: list[str] = []
    numbers = Numbers(300, pause=0.005, log=tmp_path / "log")
    assert made(tmp_path, numbers, Then(engine, signal, after=1)) == made(tmp_path / "inline", Numbers(300))
    assert requeued
    assert (tmp_path / "log").stat().st_size - 300 <= 2 * PART_ROWS


def fail(payload: Payload) -> Row:
    raise ValueError(f"no {payload[0]}")


def test_what_a_part_raises_ends_the_run_with_its_trace(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"a task failed on Slurm[\s\S]*ValueError: no "):
        update(replace(table(tmp_path, Numbers(300)), work=fail), engine)


def test_without_slurms_commands_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(ENGINE_VARIABLE, "slurm")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="there is no sbatch"):
        open_engine(workers=1)


@pytest.mark.parametrize(("size", "parts"), [(64, 16), (256, 4), (0, 16), (3000, 1)])
def test_a_task_gets_as_many_samples_of_whatever_parts(size: int, parts: int) -> None:
    rest = iter([Part(key=str(number), size=size, payload=None) for number in range(20)])
    assert len(share(rest, 1024)) == parts
    assert len([*rest]) == 20 - parts


def test_short_runs_look_soon_and_long_ones_spare_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, waits, asked = [0.0], [], []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    def queue(folder: Path) -> set[str]:  # noqa: ARG001
        asked.append(now[0])
        return set()

    monkeypatch.setattr(on_slurm, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: now[0]))
    monkeypatch.setattr(on_slurm, "in_queue", queue)
    for _ in islice(looks(tmp_path, every=10.0), 100):
        pass
    assert waits[0] == 0.2
    assert all(wait <= 0.2 + 0.05 * sum(waits[:number]) + 1e-9 for number, wait in enumerate(waits))
    assert waits[-1] == 10
    assert min(later - sooner for sooner, later in pairwise(asked)) >= 10
    assert len(asked) < len(waits)
