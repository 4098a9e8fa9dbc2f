"""A real Slurm of two nodes of one CPU on this computer, without systemd; it must be started by root."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = {name: shutil.which(name, path="/usr/sbin:/usr/bin") for name in ("munged", "slurmctld", "slurmd")}
"""None where Debian's package isn't installed."""

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


@contextmanager
def two_nodes(folder: Path) -> Iterator[Path]:
    """Start one in an empty folder, of which it has all files; yield its configuration."""
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
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            daemons.append(subprocess.Popen([str(word) for word in command], **quiet))
            time.sleep(0.3)
        yield configuration
    finally:
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
