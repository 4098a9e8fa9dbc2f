"""A run that is killed with SIGKILL again and again, and goes on with other ranks and threads each time."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.shards.making import HEIGHT, WIDTH, samples, write_shards

COUNT = 53
RANKS_AND_THREADS = ((2, 2), (3, 1), (1, 4), (4, 0), (3, 3), (8, 2), (2, 1))

TRAINING = """
import json, os, sys
from pathlib import Path
from shards.stream import SampleStream

folder, saved, world_size, threads, wanted, height, width = sys.argv[1:]
ranks = [
    SampleStream(folder, batch_size=2, image_height=int(height), image_width=int(width), seed=3, rank=rank,
                 world_size=int(world_size), num_threads=int(threads))
    for rank in range(int(world_size))
]
run = json.loads(Path(saved).read_text()) if Path(saved).exists() else {"state": None, "keys": []}
for rank in ranks:
    if run["state"]:
        rank.load_state_dict(run["state"])
for batches in zip(*map(iter, ranks)):
    run["keys"] += [key for row in zip(*(batch.keys for batch in batches)) for key in row]
    run["state"] = ranks[0].state_dict()
    assert len({json.dumps(rank.state_dict()) for rank in ranks}) == 1
    Path(saved + ".partial").write_text(json.dumps(run))
    os.replace(saved + ".partial", saved)
    print(len(run["keys"]), flush=True)
    if len(run["keys"]) >= int(wanted):
        break
"""


def keys_after_kills(folder: Path, saved: Path, num_kills: int, num_epochs: int) -> tuple[list[str], int]:
    """Train through `num_epochs`, killed `num_kills` times: (keys in the order given, bytes of the state).

    Each kill comes after a random number of steps, whenever the process happens to be then.
    """
    rng = np.random.default_rng(0)
    wanted = num_epochs * COUNT
    for kill in range(num_kills + 1):
        world_size, threads = RANKS_AND_THREADS[kill % len(RANKS_AND_THREADS)]
        numbers = [world_size, threads, wanted, HEIGHT, WIDTH]
        command = [sys.executable, "-c", TRAINING, str(folder), str(saved), *map(str, numbers)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            if kill < num_kills:
                for _ in range(rng.integers(1, 4)):
                    process.stdout.readline()
                os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == (-signal.SIGKILL if kill < num_kills else 0)
    run = json.loads(saved.read_text())
    return run["keys"], len(json.dumps(run["state"]))


@pytest.mark.slow  # starts 5 processes
def test_a_run_killed_again_and_again_sees_every_sample_once_an_epoch(tmp_path: Path) -> None:
    write_shards(samples(COUNT), tmp_path / "shards", "train", 5)
    keys, num_bytes = keys_after_kills(tmp_path / "shards", tmp_path / "saved.json", 4, 3)
    assert_is_the_order(keys, tmp_path / "shards")
    assert num_bytes <= 256


def assert_is_the_order(keys: list[str], folder: Path) -> None:
    """Compare with the keys of an uninterrupted stream, and every epoch with the whole data set."""
    from shards.stream import SampleStream

    stream = SampleStream(folder, batch_size=1, image_height=8, image_width=8, seed=3)
    assert keys == stream.keys(len(keys))
    for start in range(0, len(keys) - COUNT + 1, COUNT):
        assert sorted(keys[start : start + COUNT]) == [f"{number:05d}_00" for number in range(COUNT)]
