"""A run on two nodes loses one, and the other goes on with the same samples to the same weights."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import psutil
import pytest
import torch
from accelerate.utils import parse_flag_from_env, patch_environment
from safetensors.torch import load_file

from preprocess.identity import ROOT
from tests.gpu.launching import GROUPED, configurations
from tests.shards.making import write_people
from tests.train.small_run import BATCH, PARAMS, RUNTIME
from tests.train.two_nodes import DIES_IN_STEP, go_on
from train.sharding import ASKS_FOR_FSDP, MEMBERS, OTHERS, mesh_shape, require_shardable

IN_GROUPS = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "true",
    "PARALLELISM_CONFIG_DP_REPLICATE_SIZE": "2",
    "PARALLELISM_CONFIG_DP_SHARD_SIZE": "2",
}
"""What `accelerate launch` makes of a configuration for two groups of two."""

QUICKLY = "keep_alive_interval=1,keep_alive_max_attempt=10,last_call_timeout=3"
"""When a silent node counts as dead, and how long the others wait for one in its place (s). On busy cores one
that lives may be silent for seconds."""


def launched(shards: Path, folder: Path) -> list[subprocess.Popen[str]]:
    """Start two nodes of two processes; the first keeps the place where they meet."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        meeting = f"localhost:{free.getsockname()[1]}"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "1:2", "--nproc_per_node", "2"]
    torchrun += ["--max_restarts", "1", "--rdzv_backend", "c10d", "--rdzv_endpoint", meeting]
    nodes = []
    for node in ("1", "0"):  # who keeps the place comes last, or it might begin alone
        command = [*torchrun, "--rdzv_conf", f"{QUICKLY},is_host={node == '0'}"]
        command += ["-m", "tests.train.two_nodes", str(shards), str(folder), node]
        pipe = subprocess.PIPE
        environment = os.environ | IN_GROUPS
        nodes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stderr=pipe, text=True))
    return nodes


def kill_all(nodes: Sequence[subprocess.Popen[str]]) -> None:
    """Leave nobody behind when the test fails."""
    for node in nodes:
        if node.poll() is None:
            for process in (*psutil.Process(node.pid).children(recursive=True), node):
                process.kill()


def seen(folder: Path, processes: int, steps: range) -> list[tuple[int, str]]:
    """Place and key of what all processes of a run saw in some of its steps, in the order of places."""
    files = [folder / f"seen-of-{processes}-{rank}.jsonl" for rank in range(processes)]
    noted = [map(json.loads, file.read_text().splitlines()) for file in files]
    places = range((steps.start - 1) * BATCH, (steps.stop - 1) * BATCH)
    rows = ((place, key) for place, key in chain.from_iterable(chain.from_iterable(noted)))
    return sorted((place, key) for place, key in rows if place in places)


@pytest.mark.slow
def test_when_a_node_dies_the_other_goes_on_with_the_same_samples(tmp_path: Path) -> None:
    shards, folder = write_people(tmp_path / "shards"), tmp_path / "run"
    folder.mkdir()
    nodes = lost, survivor = launched(shards, folder)
    try:
        _, said = survivor.communicate(timeout=300)
    finally:
        kill_all(nodes)
    assert (survivor.returncode, lost.wait()) == (0, -signal.SIGKILL), said[-3000:]

    go_on(shards, folder / "alone")
    in_order = seen(folder / "alone", 1, range(1, PARAMS.steps + 1))
    assert [place for place, _ in in_order] == [*range(PARAMS.steps * BATCH)]
    resumed = 1 + (DIES_IN_STEP - 1) // RUNTIME.checkpoint_every * RUNTIME.checkpoint_every
    before, after = range(1, resumed), range(resumed, PARAMS.steps + 1)
    assert seen(folder, 4, before) + seen(folder, 2, after) == in_order
    expected, found = (load_file(place / "end.safetensors") for place in (folder / "alone", folder))
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-5, atol=1e-6)


def test_the_documented_groups_are_what_sharding_is_asked_for(tmp_path: Path) -> None:
    (documented,) = [text for text in configurations() if GROUPED in text]
    (tmp_path / "hsdp.yaml").write_text(documented)
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--config_file",
        str(tmp_path / "hsdp.yaml"),
    ]
    one = ["--num_machines", "1", "--num_processes", "1"]
    done = subprocess.run([*launch, *one, "--no_python", "env"], check=True, capture_output=True, text=True)
    asked = dict(
        line.split("=", 1) for line in done.stdout.splitlines() if line.startswith(("ACC", "FSDP", "PARA"))
    )
    with patch_environment(**asked):
        require_shardable(PARAMS, RUNTIME)
        assert parse_flag_from_env(ASKS_FOR_FSDP)
        assert mesh_shape(32) == (4, 8)


@pytest.mark.parametrize(
    ("members", "processes", "shape"), [("1", 8, (8,)), ("8", 8, (8,)), ("8", 32, (4, 8)), ("8", 24, (3, 8))]
)
def test_processes_stand_in_as_many_groups_as_they_fill(
    members: str, processes: int, shape: tuple[int, ...]
) -> None:
    with patch_environment(**{MEMBERS: members}):
        assert mesh_shape(processes) == shape


def test_processes_that_leave_a_group_unfilled_are_refused() -> None:
    with (
        patch_environment(**{MEMBERS: "8"}),
        pytest.raises(ValueError, match="must divide the 12 processes, got 8"),
    ):
        mesh_shape(12)


def test_what_else_processes_may_be_split_by_is_refused() -> None:
    with (
        patch_environment(FSDP_VERSION="2", **{OTHERS[0]: "2"}),
        pytest.raises(ValueError, match="parallelism_config may only have dp sizes"),
    ):
        require_shardable(PARAMS, RUNTIME)
