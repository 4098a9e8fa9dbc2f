"""The most memory that processes hold, as the kernel counts it."""

import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

EVERY = 0.02
"""Seconds between two looks."""


class Peak(NamedTuple):
    """Of one process (MiB)."""

    resident: float
    """All in RAM, which other processes may share: code of libraries, files."""

    anonymous: float
    """What is the process' own, by looks every `EVERY` seconds."""


def held(name: str, pid: int | str = "self") -> float:
    """Return a figure (MiB) of a process: VmHWM, RssAnon, …

    VmHWM is the most it has held so far; `ru_maxrss` begins with what the process held that started it.
    """
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def watched(command: Sequence[str]) -> tuple[Peak, Peak]:
    """Run a command, and return the peak of its process and of the largest of those that it starts."""
    peaks: dict[int, Peak] = {}
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            for one in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
                try:
                    now = Peak(held("VmHWM", one.pid), held("RssAnon", one.pid))
                except (FileNotFoundError, ProcessLookupError):
                    continue
                before = peaks.get(one.pid, now)
                peaks[one.pid] = Peak(
                    max(now.resident, before.resident), max(now.anonymous, before.anonymous)
                )
            time.sleep(EVERY)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    main = peaks.pop(process.pid)
    return main, max(peaks.values(), default=Peak(0.0, 0.0))
