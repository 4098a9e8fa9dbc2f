"""Kill a run 20 times at random moments, SIGKILL; what it ends as must equal the unbroken run bit for bit.

    python -m tests.benchmarks.bench_resume --shards artifacts/shards [--kills 20] [--full-disk]

Every process is a fork of one that has imported the libraries, trains the size stage's task on real shards
with threads that read ahead, and is killed after a random CPU time, or as soon as a checkpoint is being
written (every third kill). The last one runs to the end. Compared are weights, averages, optimiser state and
every row of the loss log. `--full-disk` (root) trains on a tmpfs that fills up and is then made larger.
"""

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from model.bases.tiny.networks import TinyPreset
from tests.benchmarks.training_run import runtime, sample_stream, schedule, size_task
from train.checkpoint import LATEST, PARTIAL, pointed
from train.loop import fit

PRESET = TinyPreset(
    image_height=48, image_width=32, vae_width=8, latent_channels=4, unet_channels=(16, 32, 32)
)
STEPS, BATCH, CHECKPOINT_EVERY = 100, 4, 3
FULL_DISK_BYTES = 12_000_000
"""Room for one checkpoint, not for two."""


def train(shards: Path, folder: Path, steps: int) -> None:
    """Go on with the run in `folder` and leave its weights there."""
    task = size_task(PRESET)
    fit(
        task,
        sample_stream(shards, PRESET, BATCH),
        schedule(steps, BATCH),
        runtime(CHECKPOINT_EVERY),
        name="bench",
        seed=1,
        checkpoint_dir=folder,
        live_dir=folder / "live",
    )
    assert task.adapter is not None
    torch.save(task.adapter.state_dict(), folder / "final.pt")


def forked(work: Callable[[], None]) -> int:
    """Do `work` in a child process; return its process id at once."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except OSError as error:
        print(f"    the child says: {error}"[:300], file=sys.stderr, flush=True)  # noqa: T201
    finally:
        os._exit(status)


def cpu_seconds(child: int) -> float:
    """Processor time of a child so far: unlike the clock it does not go on while others are served."""
    fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kill_at_random(shards: Path, folder: Path, steps: int, longest: float, number: int) -> str:
    """Start the run, kill it; return what it was doing."""
    child = forked(lambda: train(shards, folder, steps))
    moment = random.uniform(0.1, longest)
    in_checkpoint = number % 3 == 0
    while cpu_seconds(child) < moment or in_checkpoint:
        if os.waitpid(child, os.WNOHANG)[0]:
            return "had ended"
        if in_checkpoint and list(folder.glob(f"*{PARTIAL}")):
            break
        time.sleep(0.0005 if in_checkpoint else 0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    left = [path.name for path in folder.glob(f"*{PARTIAL}")]
    last = pointed(folder, LATEST)
    return f"after {last.name if last else 'nothing'}{', while writing ' + left[0] if left else ''}"


def differences(left: Path, right: Path) -> list[str]:
    """Names of everything that differs between two finished runs."""
    one, other = pointed(left, LATEST), pointed(right, LATEST)
    assert one is not None
    assert other is not None
    found = [] if (one / "progress.json").read_text() == (other / "progress.json").read_text() else ["log"]
    for name in ("weights", "ema"):
        a, b = (load_file(folder / f"{name}.safetensors") for folder in (one, other))
        found += [f"{name} {key}" for key in a if not torch.equal(a[key], b[key])]
    a, b = (torch.load(folder / "optimizer.bin", weights_only=True) for folder in (one, other))
    found += [
        f"optimizer {key} {part}"
        for key, moments in a["state"].items()
        for part, value in moments.items()
        if not torch.equal(value, b["state"][key][part])
    ]
    a, b = (torch.load(folder / "final.pt", weights_only=True) for folder in (left, right))
    return found + [f"final {key}" for key in a if not torch.equal(a[key], b[key])]


def ended_well(child: int) -> bool:
    """Wait for a child."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def full_disk(shards: Path, folder: Path, steps: int) -> None:
    """Train into a tmpfs that is too small, make it larger, go on."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={FULL_DISK_BYTES}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        assert not ended_well(forked(lambda: train(shards, folder, steps))), "the disk never filled up"
        last = pointed(folder, LATEST)
        print(f"full disk: the run stopped; whole is {last.name if last else 'nothing'}")  # noqa: T201
        subprocess.run(["mount", "-o", "remount,size=1G", str(folder)], check=True)
        assert ended_well(forked(lambda: train(shards, folder, steps)))
        print(f"full disk: differences {differences(folder, folder.parent / 'unbroken')}")  # noqa: T201
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--full-disk", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)  # a fork doesn't inherit a pool of threads
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        unbroken, broken = Path(folder) / "unbroken", Path(folder) / "broken"
        assert ended_well(forked(lambda: train(options.shards, unbroken, options.steps)))
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = used.ru_utime + used.ru_stime
        print(f"unbroken: {seconds:.1f} CPU s for {options.steps} steps")  # noqa: T201
        broken.mkdir()
        longest = 1.6 * seconds / options.kills + 0.5
        for number in range(1, options.kills + 1):
            print(f"kill {number}: {kill_at_random(options.shards, broken, options.steps, longest, number)}")  # noqa: T201
        assert ended_well(forked(lambda: train(options.shards, broken, options.steps)))
        print(f"differences after {options.kills} kills: {differences(broken, unbroken)}")  # noqa: T201
        if options.full_disk:
            full_disk(options.shards, Path(folder) / "full", options.steps)


if __name__ == "__main__":
    main()
