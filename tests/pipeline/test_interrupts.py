"""Ctrl-C: one line and exit status 130, from this process and all that it has started."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from preprocess.identity import ROOT
from preprocess.workers import later

SAID = (130, "\ninterrupted\n")

SQUARES = """
import sys
from pathlib import Path
import pipeline
from pipeline.engine.local import Processes
from tests.pipeline.engines import Numbers, made

if __name__ == "__main__":
    sys.excepthook = pipeline.end_in_a_line
    made(Path(sys.argv[1]), Numbers(10_000, pause=1.0, log=Path(sys.argv[1]) / "log"), Processes(2))
"""

CANCELLED = """
import sys, time
from multiprocessing import get_context
import pipeline
from preprocess.workers import WorkerPool

class Slow(get_context("fork").Process):
    def terminate(self):
        super().terminate()
        time.sleep(0.2)

if __name__ == "__main__":
    sys.excepthook = pipeline.end_in_a_line
    for _ in range(4):
        Slow(target=time.sleep, args=(60,)).start()
    with WorkerPool(2) as pool:
        work = [pool.submit(print) for _ in range(20)]
        while not work[2].running():  # as one that lies in the full queue is said to
            time.sleep(0.01)
        for future in work:
            future.cancel()
        raise KeyboardInterrupt
time.sleep(60)
"""

WAITING = """
import os, signal
from pipeline.cli import app, main

app.app.command("wait")(lambda: os.kill(os.getpid(), signal.SIGINT))
main()
"""

RUNNING = "import sys; from pipeline.cli.recipes import status_of; status_of(sys.argv[1:])"

TIDYING = """
import signal, sys, time
from pathlib import Path

def tidy(*_):
    time.sleep(1)
    Path(sys.argv[1], "tidy").touch()
    sys.exit(1)

signal.signal(signal.SIGINT, tidy)
Path(sys.argv[1], "begun").touch()
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def listening() -> Iterator[None]:
    """What a shell starts in the background ignores Ctrl-C, and all that it starts: not so these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(
    command: list[str], begun: Callable[[], bool], pause: float = 0.0, *, everybody: bool = True
) -> tuple[int, str]:
    """Press Ctrl-C some seconds after a command has begun; return its exit status and what it says.

    Said is by all that hold its stderr: so this waits for every process that it started.
    """
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    for _ in range(6000):
        if begun() or process.poll() is not None:
            break
        time.sleep(0.01)
    time.sleep(pause)
    to = os.killpg if everybody else os.kill  # a terminal: to a command and all that it started
    to(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    return process.returncode, said


@pytest.mark.slow  # starts processes
@pytest.mark.parametrize("pause", [0.0, 1.0])
def test_a_stage_that_draws_in_processes_leaves_nothing(tmp_path: Path, pause: float) -> None:
    """They import when the first picture is there, or soon after the folders are."""
    raw, out = tmp_path / "raw", tmp_path / "manifest.parquet"
    command = ["-m", "pipeline.prepare_dataset", "--raw", str(raw), "--out", str(out)]
    assert interrupted(command, (tmp_path / ".raw.partial").is_dir, pause) == SAID
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # starts processes
@pytest.mark.parametrize("sent_to", ["all", "who started them"])
def test_processes_of_an_engine_end_without_a_word(tmp_path: Path, sent_to: str) -> None:
    """Each is at work on rows that would take it minutes."""
    command, log = ["-c", SQUARES, str(tmp_path)], tmp_path / "log"
    assert interrupted(command, log.is_file, 0.2, everybody=sent_to == "all") == SAID
    assert not (tmp_path / "squares.parquet").exists()
    assert log.stat().st_size < 100


@pytest.mark.slow  # starts processes
def test_work_that_was_cancelled_ends_without_a_word(tmp_path: Path) -> None:
    """As `map` leaves it while processes import: who watches them hears of the first that has ended.

    They are ended one after another, in no order: one fault in fifteen would go unseen.
    """
    (tmp_path / "cancelled.py").write_text(CANCELLED)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "cancelled.py")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == SAID


def test_a_process_is_started_whole_whichever_thread_ctrl_c_comes_to() -> None:
    """The mask of the main thread alone would not do: the other thread here takes the signal."""
    go, whole = threading.Event(), threading.Event()

    def take_it() -> None:
        go.wait()
        signal.raise_signal(signal.SIGINT)

    def start() -> None:
        with later():
            go.set()
            other.join()
            whole.set()

    other = threading.Thread(target=take_it)
    other.start()  # before the mask, which a thread inherits
    with pytest.raises(KeyboardInterrupt):
        start()
    assert whole.is_set()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def importing(tmp_path: Path, torch: str) -> tuple[int, str]:
    """Start a stage that imports a `torch` of these lines; return its exit status and what it says."""
    (tmp_path / "torch.py").write_text(torch)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.train_base", "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_ctrl_c_while_a_stage_imports_is_a_line(tmp_path: Path) -> None:
    assert importing(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n") == SAID


def test_other_errors_keep_their_trace(tmp_path: Path) -> None:
    status, said = importing(tmp_path, "raise RuntimeError('a fault of ours')\n")
    assert status == 1
    assert said.startswith("Traceback")
    assert said.endswith("RuntimeError: a fault of ours\n")


def test_ctrl_c_in_a_command_is_a_line() -> None:
    command = [sys.executable, "-c", WAITING, "wait"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == SAID


def test_an_experiment_is_left_to_tidy_up(tmp_path: Path) -> None:
    """As DVC does after Ctrl-C; its lock and the workspace would stay as they are if it were killed."""
    command = ["-c", RUNNING, sys.executable, "-c", TIDYING, str(tmp_path)]
    status, said = interrupted(command, (tmp_path / "begun").exists)
    assert (status, said.splitlines()[-1]) == (-signal.SIGINT, "KeyboardInterrupt")
    assert (tmp_path / "tidy").exists()
