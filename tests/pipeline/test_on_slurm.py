"""The engine of Slurm, on a real one: two nodes of one CPU on this computer, without systemd."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.engine.parts import Engine, Inline, open_engine
from pipeline.stage import ENGINE_VARIABLE
from pipeline.tables.incremental import PART_ROWS, Row, update
from tests.pipeline.engines import Numbers, Payload, Then, data_stages, draw_dolls, kill_a_run, made, table

pytest.importorskip("submitit", reason="needs `pip install submitit`")
PROGRAMS = {name: shutil.which(name, path="/usr/sbin:/usr/bin") for name in ("munged", "slurmctld", "slurmd")}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(None in PROGRAMS.values(), reason="needs Debian's slurmctld, slurmd and munge"),
    pytest.mark.skipif(os.geteuid() != 0, reason="slurmd must run as root"),
]

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0,defer_batch
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=60 State=UP
"""


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The configuration of a running one."""
    folder = tmp_path_factory.mktemp("slurm")
    (folder / "state").mkdir()
    (folder / "key").write_bytes(secrets.token_bytes(1024))
    (folder / "key").chmod(0o400)
    configuration = folder / "slurm.conf"
    values = {"folder": folder, "host": socket.gethostname(), "ports": free_ports(3)}
    configuration.write_text(CONFIGURATION.format(**values))
    environment = os.environ | {"SLURM_CONF": str(configuration)}
    files = {name: f"--{name}-file={folder}/munge-{name}" for name in ("log", "pid", "seed")}
    munge = ["--foreground", "--force", f"--key-file={folder}/key", f"--socket={folder}/munge.socket"]
    commands = [
        [PROGRAMS["munged"], *munge, *files.values()],
        [PROGRAMS["slurmctld"], "-D"],
        [PROGRAMS["slurmd"], "-D", "-N", "n1"],
        [PROGRAMS["slurmd"], "-D", "-N", "n2"],
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    daemons = []
    for command in commands:
        daemons.append(subprocess.Popen([str(word) for word in command], **quiet))
        time.sleep(0.3)
    yield configuration
    for daemon in reversed(daemons):
        daemon.terminate()
        daemon.wait()


def wait_until_idle(nodes: int) -> None:
    for _ in range(300):
        said = subprocess.run(["sinfo", "-h", "-o", "%t %D"], capture_output=True, text=True, check=False)
        if said.stdout.split() == ["idle", str(nodes)]:
            return
        time.sleep(0.1)
    raise TimeoutError(said.stdout + said.stderr)


@pytest.fixture
def engine(slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """As a user opens it, but for waiting less."""
    monkeypatch.setenv("SLURM_CONF", str(slurm))
    wait_until_idle(2)
    (tmp_path / "settings").mkdir()
    settings = "{partition: all, parts_per_task: 2, array_size: 4, look_every: 0.2}"
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
