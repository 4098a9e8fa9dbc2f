"""Worker processes: the batches of threads, bit for bit, and clear errors when something dies."""

import itertools
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from shards.batch import Batch
from shards.reader import DamageError
from shards.stream import SampleStream
from shards.writer import write_shards
from tests.benchmarks.loader_data import SPEC, make_latents
from tests.shards.making import HEIGHT, WIDTH, samples
from tests.shards.test_stream import damaged_copy, zero_inside_a_photo

COUNT = 11


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards")
    write_shards(samples(COUNT), out, "train", 4)
    return out


def stream_of(folder: Path, **options: object) -> SampleStream:
    defaults = {"batch_size": 4, "image_height": HEIGHT, "image_width": WIDTH, "seed": 3}
    return SampleStream(folder, **defaults | options)


def assert_same(one: Batch, other: Batch) -> None:
    for name in (field.name for field in fields(Batch) if field.name != "encodings"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.encodings.keys() == other.encodings.keys()
    for name, array in one.encodings.items():
        np.testing.assert_array_equal(array, other.encodings[name], err_msg=name)


def test_processes_give_the_batches_of_threads_and_resume_them(folder: Path) -> None:
    expected = list(itertools.islice(stream_of(folder), 9))
    stream = stream_of(folder, num_processes=2)
    batches = list(itertools.islice(stream, 6))  # more than there are slots: none is overwritten
    again = stream_of(folder, num_processes=1)
    again.load_state_dict(stream.state_dict())
    batches += itertools.islice(again, 3)
    for batch, one in zip(batches, expected, strict=True):
        assert_same(batch, one)


def test_processes_hand_over_encodings(tmp_path: Path) -> None:
    make_latents(tmp_path, 6)
    options = {"image_height": SPEC.image_height, "image_width": SPEC.image_width, "batch_size": 3}
    threads, processes = (stream_of(tmp_path, **options, num_processes=number) for number in (0, 1))
    for one, other in itertools.islice(zip(threads, processes, strict=False), 3):
        assert one.encodings.keys() == SPEC.tensors.keys()
        assert_same(one, other)


def test_damage_is_counted_and_named_across_processes(folder: Path, tmp_path: Path) -> None:
    copy, shards = damaged_copy(folder, tmp_path / "copy")
    largest = max(shards, key=lambda shard: shard["num_samples"])
    (lost,) = zero_inside_a_photo(copy / largest["name"], largest)
    with pytest.raises(DamageError, match=rf"{largest['name']}: the sample {lost} is damaged"):
        list(stream_of(copy, num_processes=1).epoch_batches())
    stream = stream_of(copy, num_processes=1, on_damage="skip")
    assert sum(len(batch) for batch in stream.epoch_batches()) == COUNT - 1
    assert stream.damaged == {f"{largest['name']}/{lost}": 1}


def test_a_killed_worker_is_an_error_and_not_a_hang(folder: Path) -> None:
    batches = iter(stream_of(folder, num_processes=1))
    next(batches)
    (worker,) = children_of(os.getpid(), "spawn_main")
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="a worker process of the sample stream died"):
        list(itertools.islice(batches, 20))


TRAINING = """
import sys
from shards.stream import SampleStream

if __name__ == "__main__":
    folder, height, width = sys.argv[1:]
    stream = SampleStream(folder, batch_size=4, image_height=int(height), image_width=int(width), seed=3,
                          num_processes=2)
    for _ in stream:
        print("read", flush=True)
"""


def children_of(parent: int, what: str) -> list[int]:
    """Child processes whose command line has `what`."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children if what in Path(f"/proc/{child}/cmdline").read_text()]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_and_their_memory_end_with_the_trainer(folder: Path, tmp_path: Path, how: int) -> None:
    script = tmp_path / "training.py"
    script.write_text(TRAINING)
    command = [sys.executable, str(script), str(folder), str(HEIGHT), str(WIDTH)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "read\n"
        workers = children_of(process.pid, "spawn_main")
        process.send_signal(how)
        process.stdout.close()
        assert process.wait(timeout=60) != 0
    assert len(workers) == 2
    for worker in workers:
        wait_for_the_end(worker)
    assert not list(Path("/dev/shm").glob(f"*-{process.pid}-*"))


def wait_for_the_end(process: int) -> None:
    """Fail when a process still runs after a minute."""
    for _ in range(600):
        command = Path(f"/proc/{process}/cmdline")  # empty when only its parent's wait is due
        if not command.is_file() or not command.read_bytes():
            return
        time.sleep(0.1)
    raise AssertionError(f"process {process} goes on")
