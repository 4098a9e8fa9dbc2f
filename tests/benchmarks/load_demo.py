"""Load the demo with four clients for two minutes, then with a crowd, all on loopback.

    python -m tests.benchmarks.load_demo --model artifacts --examples artifacts/manifest.parquet

The command `cinderella demo` is started as a process of its own. Every client chooses a person, draws at
random sizes, asks for all sizes now and then, sends a broken photo, and comes back as somebody else. Told are
errors, pictures, the process's memory after a warm-up and at the end, and for every request that had to wait,
what it was told to wait against what it waited. The crowd shows that the queue is bounded.
"""

import argparse
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
from gradio_client import Client, handle_file

from tests.benchmarks.peaks import held

NUM_CLIENTS, NUM_CROWD = 4, 30
WARM_UP = 1 / 3
"""Share of the time after which memory must be flat."""

Found = dict[str, Any]


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="artifacts")
    parser.add_argument("--examples", default="artifacts/manifest.parquet")
    parser.add_argument("--seconds", type=float, default=120)
    arguments = parser.parse_args()
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "pipeline.cli.app", "demo", "--port", str(port)]
    command += ["--model", arguments.model, "--examples", arguments.examples]
    with subprocess.Popen(command) as server:
        try:
            wait_for(server, url)
            print(json.dumps(measure(url, server.pid, arguments.seconds), indent=2))  # noqa: T201
        finally:
            server.terminate()


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(server: subprocess.Popen[bytes], url: str) -> None:
    """Return once the server answers.

    Raises:
        RuntimeError: It ended instead.
    """
    while server.poll() is None:
        try:
            urlopen(url).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise RuntimeError("cinderella demo ended before it answered")


def measure(url: str, pid: int, seconds: float) -> Found:
    """Run the clients, watching memory, then the crowd."""
    begin, memory = time.monotonic(), []
    with ThreadPoolExecutor(NUM_CLIENTS) as pool:
        visits = [pool.submit(visitor, url, number, begin + seconds) for number in range(NUM_CLIENTS)]
        while not all(visit.done() for visit in visits):
            memory.append((time.monotonic() - begin, held("VmRSS", pid)))
            time.sleep(0.5)
        counts, waits = Counter[str](), []
        for visit in visits:
            counts += visit.result()[0]
            waits += visit.result()[1]
    warm = [mb for at, mb in memory if at > seconds * WARM_UP]
    told, waited = np.array(waits).reshape(-1, 2).T
    return {
        "counts": dict(counts),
        "memory_mb": {
            "after_warm_up": float(np.median(warm[: len(warm) // 4])),
            "at_the_end": float(np.median(warm[-(len(warm) // 4) :])),
        },
        "waits": {
            "requests": len(told),
            "told_s": float(np.median(told)),
            "waited_s": float(np.median(waited)),
            "median_error_s": float(np.median(np.abs(told - waited))),
            "median_ratio": float(np.median(told / waited)),
        },
        "crowd": crowd(url),
    }


def visitor(url: str, seed: int, until: float) -> tuple[Counter[str], list[tuple[float, float]]]:
    """Try on until the time is over; return what happened how often, and (told, waited) seconds."""
    choice, counts, waits = random.Random(seed), Counter[str](), []
    broken = Path(tempfile.mkdtemp()) / "<img src=x onerror=alert(1)>.png"
    broken.write_bytes(b"\x89PNG not a photo")
    while time.monotonic() < until:
        client = connect(url)
        counts["visits"] += 1
        ask(client, "/arrive", page_values(1.2), counts, waits)
        for _ in range(choice.randint(4, 10)):
            if time.monotonic() > until:
                break
            values = page_values(choice.uniform(0.8, 2.0))
            ask(client, choice.choice(["/draw"] * 5 + ["/all_sizes"]), values, counts, waits)
        refused(client, broken, counts)
        client.close()
    return counts, waits


def connect(url: str) -> Client:
    """Return a client that, like a browser, waits patiently for a busy server."""
    return Client(url, verbose=False, download_files=False, httpx_kwargs={"timeout": 60})


def page_values(width: float) -> list[Any]:
    """Return what stands in the page's controls: caption, overlays, ratios, chart, measures, settings."""
    settings = [8, 1, 1, 0, "ddim", False]
    return ["a <b>shirt</b>", ["Expected outline"], 1.1, round(width, 2), 1.0, None, 92, 172, *settings]


def ask(
    client: Client, api_name: str, values: list[Any], counts: Counter[str], waits: list[tuple[float, float]]
) -> None:
    """Ask for pictures; note what the queue told to wait first, and how long it took from then."""
    job, told = client.submit(*values, api_name=api_name), None
    while not job.done():
        status = job.status()
        if told is None and status.eta is not None and status.rank is not None:
            told = (status.eta, time.monotonic())
        time.sleep(0.02)
    counts[api_name if job.exception() is None else f"error: {job.exception()!r}"[:200]] += 1
    if told is not None:
        waits.append((told[0], time.monotonic() - told[1]))


def refused(client: Client, photo: Path, counts: Counter[str]) -> None:
    """Send a broken photo; anything but the message about it is an error."""
    try:
        client.predict(handle_file(str(photo)), *page_values(1.2), api_name="/bring_garment")
    except Exception as error:
        is_message = "whole photo" in str(error)
        counts["broken photo refused" if is_message else f"error: {error!r}"[:200]] += 1
    else:
        counts["error: a broken photo was taken"] += 1


def crowd(url: str) -> Found:
    """Let many clients ask at once; those whom the queue has no room for are told so."""
    clients = [connect(url) for _ in range(NUM_CLIENTS)]
    jobs = [clients[n % NUM_CLIENTS].submit(*page_values(1.2), api_name="/arrive") for n in range(NUM_CROWD)]
    outcomes = Counter(outcome(job.exception) for job in jobs)
    return dict(outcomes)


def outcome(exception: Callable[[], BaseException | None]) -> str:
    """Return `drawn`, or what the client was told."""
    error = exception()
    return "drawn" if error is None else str(error)[:60]


if __name__ == "__main__":
    main()
