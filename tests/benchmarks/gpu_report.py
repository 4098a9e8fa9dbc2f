"""What a GPU proves: every question of `tests.gpu`, in minutes, as JSON and as a table.

    python -m tests.benchmarks.gpu_report --out gpu_report [--minutes 8]
    python -m tests.benchmarks.gpu_report --device cpu --tiny --out rehearsal   # the same code, anywhere

Needs this checkout and its environment (`pip install -c requirements.lock -e .`, torch with CUDA), no network
and no weights: networks of full size have random ones, made on the device. `gpu_report.json` is written after
each row, so that what was found stays when the machine goes away. `--only` runs rows by words of their names:
preset `small` takes all the time that is left, so the last two rows need `--only "task size" "compiled,"`.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from unittest import mock

import torch

from tests.gpu import full_size, launching, numerics, small
from tests.gpu.report import Question, Report
from tests.gpu.setting import Setting

PARTS = (full_size, numerics, launching, small)
"""In the order in which they are asked: where time runs out, it is told what no CPU can rehearse."""
LIBRARIES = ("torch", "diffusers", "transformers", "accelerate", "peft", "bitsandbytes")


def facts(device: torch.device) -> dict[str, str]:
    """The device and the libraries; a missing one is a matter of the rows that want it."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, a rehearsal"
    found = {one.name: one.version for one in distributions() if one.name in LIBRARIES}
    return {"device": name, "cuda": str(torch.version.cuda)} | {one: found.get(one, "-") for one in LIBRARIES}


def all_questions(setting: Setting) -> Iterator[Question]:
    """Yield every question in the order in which they are asked."""
    for part in PARTS:
        yield from part.questions(setting)
    yield numerics.compiled_question(setting, "size")
    yield full_size.compiled_question(setting)


def main(arguments: list[str] | None = None) -> Report:
    """Ask everything, print each row as it comes, and return the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("gpu_report"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small networks and pictures: a rehearsal")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--only", nargs="*", default=[""], help="words, of which a row's name has one")
    options = parser.parse_args(arguments)
    device, out = torch.device(options.device), options.out.absolute()
    judged = device.type == "cuda" and not options.tiny
    report = Report(out, facts(device), 60 * options.minutes, judged=judged)
    setting = Setting(device=device, tiny=options.tiny, out=out, left=lambda: report.seconds_left)
    started = time.monotonic()
    with ExitStack() as stack:
        if options.tiny:  # the graphs are of interest in a rehearsal, not the code that is made of them
            stack.enter_context(mock.patch.object(torch, "compile", partial(torch.compile, backend="eager")))
        for question in all_questions(setting):
            if any(word in question.name for word in options.only):
                row = report.ask(question)
                said = row.error or ", ".join(f"{name} {value}" for name, value in row.figures.items())
                print(f"{time.monotonic() - started:6.1f} s  {row.name}: {said}", flush=True)  # noqa: T201
    return report


if __name__ == "__main__":
    main()
