"""Parts: what is done stays done, and is made once, whatever runs it and whenever it is killed."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.engine.local import Processes
from pipeline.engine.parts import Inline, Part, Work, open_engine
from pipeline.engine.store import PartStore
from pipeline.stage import ENGINE_VARIABLE, choose_engine
from pipeline.tables.incremental import (
    BATCH,
    BATCHES_PER_GROUP,
    DIGEST_KEY,
    PART_ROWS,
    Row,
    batched,
    parquet_rows,
    update,
    write_groups,
    written,
)
from preprocess.identity import ROOT
from tests.pipeline.engines import (
    Numbers,
    OutOfOrder,
    Payload,
    data_stages,
    draw_dolls,
    made,
    square,
    stop_after,
    table,
)
from tests.pipeline.folders import add_sample, new_root
from tests.preprocess.people import body_25_numbers, openpose, person


def interrupted(folder: Path, numbers: Numbers, count: int) -> PartStore:
    """The store that a run leaves which was stopped after `count` parts."""
    with pytest.raises(OSError, match="switched off"):
        made(folder, numbers, stop_after(count))
    return PartStore(folder / ".squares.parquet.parts")


def test_a_made_up_engine_makes_the_same_file(tmp_path: Path) -> None:
    numbers, engine = Numbers(1000), OutOfOrder()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert made(tmp_path / "a", numbers) == made(tmp_path / "b", numbers, engine)
    assert sorted(engine.made) == [1000 % PART_ROWS] + [PART_ROWS] * (1000 // PART_ROWS)
    rows = pq.read_table(tmp_path / "a/squares.parquet").to_pylist()
    assert [row["square"] for row in rows] == [number**2 for number in range(1000)]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["squares.parquet"]


@pytest.mark.slow  # starts processes
def test_processes_make_the_same_file(tmp_path: Path) -> None:
    numbers = Numbers(500)
    for name, engine in {"0": Inline(), "1": Processes(1), "2": Processes(2)}.items():
        (tmp_path / name).mkdir()
        made(tmp_path / name, numbers, engine)
    files = {(tmp_path / name / "squares.parquet").read_bytes() for name in ("0", "1", "2")}
    assert len(files) == 1


@pytest.mark.slow  # starts processes
def test_every_data_stage_makes_the_same_files(tmp_path: Path) -> None:
    dolls, made_by = draw_dolls(tmp_path / "dolls"), {}
    for name, engine in {"inline": Inline(), "made up": OutOfOrder(), "two": Processes(2)}.items():
        (tmp_path / name).mkdir()
        made_by[name] = data_stages(dolls, tmp_path / name, engine)
    assert made_by["inline"] == made_by["made up"] == made_by["two"]


def test_only_rows_that_changed_are_made(tmp_path: Path) -> None:
    made(tmp_path, Numbers(2000))
    engine = OutOfOrder()
    after = made(tmp_path, Numbers(2000, changed=(5, 1700)), engine)
    assert engine.made == [2]
    (tmp_path / "squares.parquet").unlink()
    assert made(tmp_path, Numbers(2000, changed=(5, 1700))) == after


def test_rows_of_samples_that_are_gone_go(tmp_path: Path) -> None:
    made(tmp_path, Numbers(500))
    engine = OutOfOrder()
    made(tmp_path, Numbers(400), engine)
    assert engine.made == []
    assert pq.read_metadata(tmp_path / "squares.parquet").num_rows == 400


def test_a_stopped_run_goes_on_with_what_is_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    numbers, engine = Numbers(10 * PART_ROWS), OutOfOrder()
    whole = made(tmp_path, numbers)
    (tmp_path / "squares.parquet").unlink()
    interrupted(tmp_path, numbers, 4)
    assert made(tmp_path, numbers, engine) == whole
    assert len(engine.made) == 6
    assert "squares: 4 of 10 parts were done before" in caplog.text
    assert f"squares: failed: {-(-640 // 7)} seven" in caplog.text, "what was done before counts too"


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "more", "torn", "other"])
def test_a_damaged_part_is_made_again(tmp_path: Path, damage: str) -> None:
    numbers, engine = Numbers(4 * PART_ROWS), OutOfOrder()
    whole = made(tmp_path, numbers)
    (tmp_path / "squares.parquet").unlink()
    store = interrupted(tmp_path, numbers, 3)
    folder = store.root / next(store.list())
    rows, done = folder / "rows.arrow", folder / "done.json"
    content = rows.read_bytes()
    if damage == "cut":
        rows.write_bytes(content[:-100])
    elif damage == "changed":
        rows.write_bytes(content.replace(b"seven", b"eight"))
    elif damage == "gone":
        rows.unlink()
    elif damage == "more":
        (folder / "more").touch()
    elif damage == "torn":
        done.write_bytes(done.read_bytes()[:-5])
    else:
        done.write_text(json.dumps({"rows": PART_ROWS}))
    assert made(tmp_path, numbers, engine) == whole
    assert engine.made == [PART_ROWS] * 2


def test_parts_of_other_code_or_inputs_are_not_used(tmp_path: Path) -> None:
    numbers = Numbers(4 * PART_ROWS)
    interrupted(tmp_path, numbers, 3)
    engine = OutOfOrder()
    update(replace(table(tmp_path, numbers), digest="cubes"), engine)
    assert len(engine.made) == 4
    (tmp_path / "squares.parquet").unlink()
    interrupted(tmp_path, numbers, 3)
    engine = OutOfOrder()
    made(tmp_path, replace(numbers, changed=(0,)), engine)
    assert len(engine.made) == 2


def test_the_same_part_may_be_put_twice(tmp_path: Path) -> None:
    """As by a worker that was thought lost and goes on."""
    store = PartStore(tmp_path / "parts")
    store.begin()
    with store.put("key") as slow:
        (slow / "file").write_text("slow")
        store.seal(slow, 1, {})
        with store.put("key") as fast:
            (fast / "file").write_text("fast")
            store.seal(fast, 1, {})
    assert store.done("key") is not None
    assert list(store.list()) == ["key"]
    assert [path.name for path in store.root.iterdir()] == ["key"]


def test_a_part_that_fails_is_not_put(tmp_path: Path) -> None:
    store = PartStore(tmp_path / "parts")
    store.begin()
    stage = replace(table(tmp_path, Numbers(3)), work=fail)
    (part,) = stage.plan()
    with pytest.raises(ValueError, match="no"):
        Work(run=stage.run, store=store)(part)
    assert list(store.root.iterdir()) == []


def test_a_worker_that_outlives_its_run_writes_nothing(tmp_path: Path) -> None:
    """As a task of Slurm does when the run is killed, and another one finishes the table."""
    numbers, stage = Numbers(3), table(tmp_path, Numbers(3))
    store = PartStore(tmp_path / ".squares.parquet.parts")
    made(tmp_path, numbers)
    (tmp_path / "squares.parquet").unlink()
    (part,) = stage.plan()
    with pytest.raises(OSError, match=r"squares\.parquet\.parts isn't there: its run has ended, or not all"):
        Work(run=stage.run, store=store)(part)
    assert list(tmp_path.iterdir()) == []


def test_parts_that_went_to_another_file_system_are_missed(tmp_path: Path) -> None:
    elsewhere = PartStore(tmp_path / "elsewhere")
    elsewhere.begin()

    class Elsewhere(OutOfOrder):
        def map(self, work: Work, parts: Iterable[Part]) -> Iterator[Part]:
            return super().map(replace(work, store=elsewhere), parts)

    with pytest.raises(OSError, match=r"was made, but isn't in .*parts: do all nodes see it\?"):
        made(tmp_path, Numbers(3), Elsewhere())


def test_few_samples_start_no_process(tmp_path: Path) -> None:
    """A lambda can't be sent to one."""
    few = replace(table(tmp_path, Numbers(PART_ROWS)), work=lambda payload: square(payload))
    update(few, Processes(2))
    assert pq.read_metadata(tmp_path / "squares.parquet").num_rows == PART_ROWS


def test_a_gpu_is_one_process_s(tmp_path: Path) -> None:
    stage, store = table(tmp_path, Numbers(3 * PART_ROWS)), PartStore(tmp_path / "parts")
    pids: list[int] = []
    store.begin()

    def run(part: Part, out: Path) -> Counter[str]:
        pids.append(os.getpid())
        return stage.run(part, out)

    assert len([*Processes(2).map(Work(run=run, store=store, gpus=1), stage.plan())]) == 3
    assert pids == 3 * [os.getpid()]


def fail(payload: Payload) -> Row:
    raise ValueError(f"no {payload}")


def die(payload: Payload) -> Row:
    if payload[0] == 100:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(payload)


@pytest.mark.slow  # starts processes
def test_a_killed_worker_ends_the_run_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="what is done is kept, so run it again"):
        update(replace(table(tmp_path, Numbers(300)), work=die), Processes(1))
    assert made(tmp_path, Numbers(300))


KILLED = """
import os, signal, sys, time
from pathlib import Path
from pipeline.engine.local import Processes
from tests.pipeline.engines import Numbers, Then, made

def kill() -> None:
    time.sleep(float(sys.argv[3]))
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    killed = Then(Processes(2), kill, after=int(sys.argv[2]))
    made(folder, Numbers(1024, pause=0.001, log=folder / "log"), killed)
"""


@pytest.mark.slow  # starts processes
def test_a_run_killed_at_random_moments_makes_at_most_two_parts_again(tmp_path: Path) -> None:
    """There are two workers, and four parts in flight: a run killed at its second makes at most five."""
    (tmp_path / "whole").mkdir()
    whole = made(tmp_path / "whole", Numbers(1024))
    out, store = tmp_path / "squares.parquet", PartStore(tmp_path / ".squares.parquet.parts")
    moments, kills = np.random.default_rng(0), 0
    while not out.exists():
        after, pause = str(moments.integers(1, 3)), str(moments.uniform(0, 0.1))
        command = [sys.executable, "-c", KILLED, str(tmp_path), after, pause]
        ended = subprocess.run(command, cwd=ROOT, check=False).returncode
        assert ended in (0, -signal.SIGKILL)
        kills += ended != 0
    assert kills >= 3, "of 16 parts, three runs make at most fifteen"
    again = (tmp_path / "log").stat().st_size - 1024
    assert again <= kills * 2 * PART_ROWS
    assert out.read_bytes() == whole == made(tmp_path, Numbers(1024))
    assert not store.root.exists()


def test_the_engine_is_chosen_by_option_variable_or_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    assert open_engine(workers=3) == Processes(3)
    assert isinstance(open_engine(workers=1), Inline)
    settings = Path("engine.yaml")
    settings.write_text("# engine: inline\n")
    assert open_engine(workers=3) == Processes(3)
    settings.write_text("engine: inline\nprocess: {workers: 5}\n")
    assert isinstance(open_engine(workers=3), Inline)
    monkeypatch.setenv(ENGINE_VARIABLE, "process")
    assert open_engine(workers=3) == Processes(5)
    monkeypatch.setenv(ENGINE_VARIABLE, "spark")
    with pytest.raises(ValueError, match="one of inline, process, ray, slurm, got 'spark'"):
        open_engine(workers=3)


def test_a_wrong_engine_file_lists_every_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("engine.yaml").write_text("engine: spark\nprocess: {workers: -1, adress: auto}\n")
    with pytest.raises(SystemExit):
        open_engine(workers=1)
    said = capsys.readouterr().err
    assert all(word in said for word in ("3 problem(s)", "engine:", "process.workers:", "process.adress:"))


def test_what_slurm_says_to_tasks_that_it_refuses_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit", reason="needs `pip install submitit`")
    for name, text in (("sbatch", "echo invalid partition >&2; exit 1"), ("srun", "exit 0")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv(ENGINE_VARIABLE, "slurm")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=r"Slurm takes no tasks .*engine\.yaml.*: invalid partition"):
        made(tmp_path, Numbers(10), open_engine(workers=1))


def test_the_commands_take_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, "process")  # put back afterwards
    root = new_root(tmp_path)
    add_sample(root, "00000_00", openpose(body_25_numbers(person())))
    choose_engine("inline")
    command = ["annotate", "--root", str(root), "--out", str(tmp_path / "out.parquet")]
    assert CliRunner().invoke(app, [*command, "--engine", "process"]).exit_code == 0
    assert os.environ[ENGINE_VARIABLE] == "process"
    refused = CliRunner().invoke(app, [*command, "--engine", "spark"])
    assert refused.exit_code == 2
    assert "'spark' is not one of" in refused.output
    stage = [sys.executable, "-m", "pipeline.extract_keypoints", "--engine", "spark", "--manifest"]
    tables = tmp_path / ".out" / "manifest.parquet", "--out", tmp_path / "keypoints.parquet"
    done = subprocess.run([*stage, *map(str, tables)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "must be one of inline, process, ray, slurm, got 'spark'" in done.stderr


def test_reasons_are_counted_without_what_they_say_of_one_sample(tmp_path: Path) -> None:
    part = next(iter(table(tmp_path, Numbers(20)).plan()))
    assert table(tmp_path, Numbers(20)).run(part, tmp_path) == Counter({"seven": 3})


def test_a_table_is_read_and_written_in_little_memory(tmp_path: Path) -> None:
    """Arrow would fetch whole groups, or the file ahead; noise, which can't be compressed, shows it."""
    path, row_bytes, num_rows = tmp_path / "noise.parquet", 1024, 32 * BATCH
    noise, held, before = np.random.default_rng(0), [], pa.total_allocated_bytes()
    schema = pa.schema([pa.field("noise", pa.binary())], metadata={DIGEST_KEY: b"noise"})

    def seen(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            held.append((pa.total_allocated_bytes() - before) / (BATCH * row_bytes))
            yield row

    made = ({"noise": noise.bytes(row_bytes)} for _ in range(num_rows))
    with written(path, schema) as writer:
        write_groups(batched(seen(made), schema), num_rows, writer)
    assert max(held) < BATCHES_PER_GROUP + 2
    held.clear()
    assert sum(1 for _ in seen(parquet_rows(path, "noise"))) == num_rows
    assert max(held) < 4
    opened = [file.name for file in (ROOT / "pipeline").rglob("*.py") if "ParquetFile(" in file.read_text()]
    assert opened == ["incremental.py"], "by `streamed` alone"


@pytest.mark.parametrize(
    ("total", "num_rows", "groups"),
    [
        pytest.param(20, 20, [20], id="few"),
        pytest.param(5000, 5000, [2048, 2048, 904], id="four batches of 512 a group"),
        pytest.param(10_000_000, 11_000, [10_240, 760], id="twenty, or there would be 4,883 groups, not 977"),
    ],
)
def test_row_groups_follow_from_the_number_of_rows(
    tmp_path: Path, total: int, num_rows: int, groups: list[int]
) -> None:
    schema = pa.schema([pa.field("number", pa.int64())])
    with written(tmp_path / "out.parquet", schema) as writer:
        write_groups(batched(({"number": number} for number in range(num_rows)), schema), total, writer)
    found = pq.read_metadata(tmp_path / "out.parquet")
    assert [found.row_group(number).num_rows for number in range(found.num_row_groups)] == groups
