"""Questions about launchers: sharded weights in a world of one, and each configuration that the docs show."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from preprocess.identity import ROOT
from tests.gpu.report import Question
from tests.gpu.setting import Setting

BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
DOCS = ("docs/gpu.md", "docs/scale.md")
GROUPED = "dp_shard_size"
BUDGET_S = 60


def questions(setting: Setting) -> Iterator[Question]:
    """Yield what is asked."""
    yield Question(
        name="FSDP2 in a world of one",
        budget_s=BUDGET_S,
        work=partial(sharded, setting),
        bars={"gradients": ("<=", 1e-4)},
    )
    for number, text in enumerate(configurations()):
        kind = kind_of(text)
        yield Question(
            name=f"accelerate launch, {kind}{' in groups' * (GROUPED in text)} as the docs have it",
            budget_s=BUDGET_S,
            work=partial(launched, setting, text, number),
            bars={"steps": (">=", 2)},
        )


def configurations() -> list[str]:
    """Every configuration of accelerate in the docs."""
    blocks = [block for name in DOCS for block in BLOCK.findall((ROOT / name).read_text())]
    return [block for block in blocks if "distributed_type" in block]


def kind_of(text: str) -> str:
    """What a configuration of accelerate asks for: NO, MULTI_GPU or FSDP, which HSDP is too."""
    (kind,) = re.findall(r"distributed_type: *\"?(\w+)", text)
    return str(kind)


def sharded(setting: Setting) -> Mapping[str, Any]:
    """Share out the weights among one process, over NCCL where there is a GPU."""
    out = setting.out / "sharded.json"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "1"]
    return answer([*torchrun, "-m", "tests.gpu.one_process", "sharded", setting.device.type, str(out)], out)


def launched(setting: Setting, text: str, number: int) -> Mapping[str, Any]:
    """Launch two steps of training with a configuration, by one process; CPUs know no kinds.

    Raises:
        RuntimeError: It failed, or on a GPU it ran as another kind than the configuration's.
    """
    config, out = setting.out / f"accelerate-{number}.yaml", setting.out / f"launched-{number}.json"
    config.write_text(text)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    launch += ["--num_machines", "1", "--num_processes", "1", *([] if setting.on_gpu else ["--cpu"])]
    found = answer([*launch, "-m", "tests.gpu.one_process", "trained", setting.device.type, str(out)], out)
    if setting.on_gpu:
        require_launched(kind_of(text), found)
    return found


def require_launched(kind: str, found: Mapping[str, Any]) -> None:
    """Refuse what a launch of another kind found: it says nothing of this one.

    Raises:
        RuntimeError: It was another, or had more than one process.
    """
    if (found["launched_as"], found["processes"]) != (kind, 1):
        raise RuntimeError(
            f"asked for {kind} by 1 process, launched as {found['launched_as']} by {found['processes']}"
        )


def answer(command: list[str], out: Path) -> Mapping[str, Any]:
    """Run a command that writes JSON, and return it. What it launched ends with it, also where time is up.

    Raises:
        RuntimeError: It failed; with the last of what it said.
    """
    out.unlink(missing_ok=True)
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, **pipes) as process:
        try:
            said = process.communicate()[1]
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)  # torchrun passes it on to its workers; accelerate doesn't
            raise
    if process.returncode or not out.is_file():
        raise RuntimeError(f"exit status {process.returncode}: {said.strip()[-500:]}")
    found: Mapping[str, Any] = json.loads(out.read_text())
    return found
