"""One of the processes that `test_two_nodes` launches: two nodes of two, of which one dies in step 8."""

import json
import os
import sys
from pathlib import Path

import psutil
from accelerate import PartialState
from safetensors.torch import save_file
from torch import Tensor

from shards.batch import Batch
from shards.stream import SampleStream
from tests.shards.making import HEIGHT, WIDTH
from tests.train.small_run import BATCH, Blocks, run
from train.keyed_random import KeyedRandom

DIES_IN_STEP = 8
KILLED_NODE = "1"


class Noted(Blocks):
    """Notes what it sees: the place in the order and the key of each sample."""

    def __init__(self, file: Path, *, dies: bool) -> None:
        super().__init__()
        self.file, self.dies = file, dies

    def forward(self, batch: Batch, random: KeyedRandom) -> dict[str, Tensor]:
        if self.dies and min(batch.position) >= (DIES_IN_STEP - 1) * BATCH:
            kill_node()
        seen = [*zip(map(int, batch.position), batch.keys, strict=True)]
        with self.file.open("a") as file:
            file.write(json.dumps(seen) + "\n")
        return super().forward(batch, random)


def kill_node() -> None:
    """Let this node's launcher and all its processes die at once, as with the power."""
    launcher = psutil.Process(os.getppid())
    others = [one for one in launcher.children(recursive=True) if one.pid != os.getpid()]
    for process in (launcher, *others, psutil.Process()):
        process.kill()


def go_on(shards: Path, folder: Path, *, dies: bool = False) -> None:
    """Train to the end, from the last checkpoint in the folder on, with the processes that there are."""
    processes = PartialState(cpu=True)
    count, rank = processes.num_processes, processes.process_index
    stream = SampleStream(
        shards / "train",
        batch_size=BATCH // count,
        image_height=HEIGHT,
        image_width=WIDTH,
        seed=0,
        rank=rank,
        world_size=count,
        num_threads=1,
    )
    folder.mkdir(exist_ok=True)
    task = Noted(folder / f"seen-of-{count}-{rank}.jsonl", dies=dies)
    run(task, folder / "checkpoints", stream=stream)
    if processes.is_main_process:
        save_file(dict(task.float().named_parameters()), folder / "end.safetensors")


if __name__ == "__main__":
    shards, folder, node = sys.argv[1:]
    first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
    go_on(Path(shards), Path(folder), dies=first and node == KILLED_NODE)
