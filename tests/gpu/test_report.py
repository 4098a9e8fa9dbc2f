"""The report guards its rows; and the code that a GPU will run, rehearsed on a CPU."""

import json
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from tests.benchmarks.gpu_report import all_questions, main
from tests.gpu import full_size, small
from tests.gpu.launching import answer, configurations, kind_of, require_launched
from tests.gpu.report import OutOfTimeError, Question, Report, alarm, missed
from tests.gpu.setting import Setting
from tests.train.small_try_on import TASKS
from train.params import OptimisationParams


def failing() -> dict[str, float]:
    raise MemoryError("no room")


def slow() -> dict[str, float]:
    time.sleep(30)
    return {}


def test_a_row_that_fails_or_lasts_stops_nothing_and_all_are_written(tmp_path: Path) -> None:
    report = Report(tmp_path, {"device": "none"}, seconds=60, judged=True)
    bars = {"error": ("<=", 0.1), "speed": (">=", 2.0), "absent": ("<=", 1.0)}
    report.ask(Question(name="fails", budget_s=10, work=failing, bars=bars))
    report.ask(Question(name="lasts", budget_s=3.1, work=slow))
    report.ask(Question(name="works", budget_s=10, work=lambda: {"error": 0.05, "speed": 1.0}, bars=bars))
    report.ask(Question(name="no time", budget_s=0.5, work=dict))
    rows = json.loads((tmp_path / "gpu_report.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["fails", "lasts", "works", "no time"]
    assert rows[0]["error"].startswith("MemoryError: no room (test_report.py:")
    assert rows[0]["missed"] is None
    assert "it took more than 3 s" in rows[1]["error"]
    assert rows[2]["missed"] == ["speed", "absent"]
    assert "left" in rows[3]["error"]
    lines = (tmp_path / "gpu_report.md").read_text().splitlines()
    assert lines[6] == (
        "| works | 0.0 | error 0.05, speed 1 | error <= 0.1, speed >= 2, absent <= 1 **missed** |"
    )


def test_no_number_meets_no_bar() -> None:
    bars = {"error": ("<=", 0.1), "speed": (">=", 2.0)}
    assert list(missed({"error": 0.1, "speed": 2.0}, bars)) == []
    assert list(missed({"error": float("nan"), "speed": float("nan")}, bars)) == ["error", "speed"]


def test_a_device_that_broke_ends_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked of a CUDA device after an illegal access fails, its cache's emptying too."""

    def broken() -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", broken)
    report = Report(tmp_path, {"device": "none"}, seconds=60, judged=True)
    assert report.ask(Question(name="breaks", budget_s=10, work=broken)).error
    assert report.ask(Question(name="goes on", budget_s=10, work=lambda: {"a": 1})).figures == {"a": 1}


def alive(number: int) -> bool:
    """Whether a process still runs, and is not just waiting for somebody to ask how it ended."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_was_launched_ends_when_its_time_is_up(tmp_path: Path) -> None:
    """A launcher starts a process that outlasts any patience, and waits for it."""
    begun = tmp_path / "begun"
    told = f"pathlib.Path({str(begun)!r}).write_text(str(os.getpid()))"
    child = f"import os, pathlib, time; {told}; time.sleep(600)"
    launcher = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with pytest.raises(OutOfTimeError), alarm(5):
        answer([sys.executable, "-c", launcher], tmp_path / "out.json")
    number = int(begun.read_text())
    for _ in range(1200):
        if not alive(number):
            break
        time.sleep(0.05)
    assert not alive(number)


def test_every_question_of_the_documents_is_asked(tmp_path: Path) -> None:
    setting = Setting(device=torch.device("cpu"), tiny=False, out=tmp_path, left=lambda: 480.0)
    names = [question.name for question in all_questions(setting)]
    assert len(names) == len(set(names))
    wanted = [
        "precision",
        "GradScaler",
        "8-bit AdamW: memory",
        "torch.compile",
        "under checkpointing",
        "FSDP2",
    ]
    wanted += [
        "accelerate launch",
        "train_size at 1024x768",
        "train_joint at 512x384",
        "30 steps",
        "strip of 7",
    ]
    wanted += ["--low-memory 8", "the stream feeds", "preset small"]
    assert [word for word in wanted if not any(word in name for name in names)] == []
    assert sum("accelerate launch" in name for name in names) == len(configurations())


def test_speed_and_memory_at_full_size_are_asked_first(tmp_path: Path) -> None:
    """No CPU can rehearse those: launches and compilations, a minute each, must not take their time."""
    setting = Setting(device=torch.device("cpu"), tiny=False, out=tmp_path, left=lambda: 480.0)
    names = [question.name for question in all_questions(setting)]
    last = names.index("--low-memory 8 in 8 GiB")
    assert names[: last + 1] == [question.name for question in full_size.questions(setting)]


def test_words_that_choose_rows_of_numbers_choose_no_row_of_speed(tmp_path: Path) -> None:
    setting = Setting(device=torch.device("cpu"), tiny=False, out=tmp_path, left=lambda: 480.0)
    chosen = [q.name for q in all_questions(setting) if "under checkpointing" in q.name]
    assert chosen == ["gradients under checkpointing"]


def test_the_word_small_chooses_every_row_that_the_others_of_preset_small_need(tmp_path: Path) -> None:
    """Dolls are drawn by the first, and the second tells the third how long a step is."""
    setting = Setting(device=torch.device("cpu"), tiny=False, out=tmp_path, left=lambda: 480.0)
    chosen = [question.name for question in all_questions(setting) if "small" in question.name]
    assert chosen == [question.name for question in small.questions(setting)]
    assert len(chosen) == 3


def test_a_stage_of_preset_small_has_steps_for_the_time_that_is_left_when_it_begins(tmp_path: Path) -> None:
    """Behind one that took longer there are fewer: the evaluation still has its minute."""
    trial = small.Trial(Setting(torch.device("cpu"), tiny=False, out=tmp_path, left=lambda: 0.0), step_s=0.25)
    wanted = OptimisationParams(steps=350, batch_size=32, learning_rate=1e-3, warmup_steps=70)
    told = [trial.schedule("joint", wanted, left_s) for left_s in (1000, 160, 110, 60, 0)]
    assert [one.steps for one in told] == [350, 300, 150, 10, 10]  # 0.9 of what is beyond 60 s, each 0.3 s
    assert [one.warmup_steps for one in told] == [70, 60, 30, 2, 2]


def test_a_launch_of_another_kind_is_no_answer() -> None:
    assert sorted(map(kind_of, configurations())) == ["FSDP", "FSDP", "MULTI_GPU", "NO"]  # the second is HSDP
    require_launched("FSDP", {"launched_as": "FSDP", "processes": 1})
    with pytest.raises(RuntimeError, match="asked for FSDP by 1 process, launched as NO by 1"):
        require_launched("FSDP", {"launched_as": "NO", "processes": 1})
    with pytest.raises(RuntimeError, match="launched as NO by 2"):
        require_launched("NO", {"launched_as": "NO", "processes": 2})


def test_the_rehearsal_runs_what_a_gpu_will_run(tmp_path: Path) -> None:
    """The quick rows; `--device cpu --tiny` without `--only` runs the others as well."""
    only = ["precision of", "broken run", "moments", "under checkpointing", "noise prediction"]
    only += ["numbers sent", "torch.compile", "train_joint at 64x48", "a picture of", "low-memory 8"]
    report = main(["--device", "cpu", "--tiny", "--minutes", "30", "--out", str(tmp_path), "--only", *only])
    assert {row.name: row.error for row in report.rows if row.error} == {}
    figures = {row.name: row.figures for row in report.rows}
    assert all(row.missed is None for row in report.rows)  # the bars are for another device
    precision = figures["precision of size's loss and gradients"]
    assert 0 < precision["bf16_gradients"] < 0.2
    assert precision["tf32_gradients"] == pytest.approx(0, abs=1e-6)  # there is none on a CPU
    for row in ("GradScaler", "8-bit AdamW"):
        went_on = figures[f"{row}: a broken run goes on"]
        differences = {"repeated": 0.0, "broken": 0.0, "beyond_repeating": 0.0}
        assert went_on == differences | {"resumed_at": 24}  # nothing is scaled on a CPU
    assert figures["gradients under checkpointing"]["gradients"] < 1e-5
    assert figures["numbers sent while the device is busy"]["wrong"] == 0
    for kind in TASKS:
        graphs = figures[f"torch.compile of both UNets, task {kind}"]
        assert (graphs["graphs"], graphs["graph_breaks"], graphs["recompiles"]) == (2, 0, 0)
    assert figures["train_joint at 64x48, batch 1, gradient checkpointing"]["tflop_a_step"] > 0
