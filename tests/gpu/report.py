"""Rows of figures that a device was asked for: each guarded, timed, and written as soon as it is there."""

import gc
import json
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate.state import AcceleratorState

Bars = Mapping[str, tuple[str, float]]
"""By figure: `<=` or `>=`, and what it must not cross."""

LEAST_SECONDS = 3.0
"""With less left a row isn't begun."""


class OutOfTimeError(Exception):
    """A row took longer than it may."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one question came to."""

    name: str
    seconds: float
    figures: Mapping[str, Any] = field(default_factory=dict)
    bars: Bars = field(default_factory=dict)
    missed: tuple[str, ...] | None = None
    """Figures beyond their bars; None where the device is not the one that the bars are for."""
    error: str | None = None
    """Why there are no figures."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of the device."""

    name: str
    budget_s: float
    """The row ends with an error when it takes longer."""
    work: Callable[[], Mapping[str, Any]]
    """Returns the figures."""
    bars: Bars = field(default_factory=dict)


class Report:
    """Runs questions one after another; the JSON file has every row that is done, whatever happens next.

    Args:
        out: Folder of `gpu_report.json` and `gpu_report.md`.
        facts: Of the device and the libraries.
        seconds: For all rows together.
        judged: Whether the bars and the rows' budgets are for this device.
    """

    def __init__(self, out: Path, facts: Mapping[str, Any], seconds: float, *, judged: bool) -> None:
        self.out, self.facts, self.judged = out, facts, judged
        self.deadline = time.monotonic() + seconds
        self.rows: list[Row] = []
        out.mkdir(parents=True, exist_ok=True)

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def ask(self, question: Question) -> Row:
        """Answer a question; an exception is a row with its words and stops nothing."""
        started = time.monotonic()
        limit = min(question.budget_s if self.judged else self.seconds_left, self.seconds_left)
        AcceleratorState._reset_state(reset_partial_state=True)  # another precision would be refused
        found: Mapping[str, Any] = {}
        error = None
        try:
            if limit < LEAST_SECONDS:
                raise OutOfTimeError(f"{limit:.0f} s were left")
            with alarm(limit):
                found = question.work()
        except (Exception, SystemExit) as problem:
            error = described(problem)
        row = Row(
            name=question.name,
            seconds=round(time.monotonic() - started, 1),
            figures=found,
            bars=question.bars,
            missed=tuple(missed(found, question.bars)) if self.judged and error is None else None,
            error=error,
        )
        self.rows.append(row)
        self.write()
        torch._dynamo.reset()  # so many networks compiled in one process would reach its limit
        with suppress(RuntimeError):  # of a device that broke; launched rows have a context of their own
            free_memory()
        return row

    def write(self) -> None:
        """Write all rows so far, as JSON and as a table."""
        content = {"facts": dict(self.facts), "rows": [asdict(row) for row in self.rows]}
        (self.out / "gpu_report.json").write_text(json.dumps(content, indent=2, default=str) + "\n")
        (self.out / "gpu_report.md").write_text("\n".join(table(self.facts, self.rows)) + "\n")


def free_memory() -> None:
    """Let go of what a row left on the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def described(problem: BaseException) -> str:
    """An exception in a line, and where it was raised."""
    place = traceback.extract_tb(problem.__traceback__)[-1:]
    where = "".join(f" ({Path(frame.filename).name}:{frame.lineno})" for frame in place)
    return f"{type(problem).__name__}: {str(problem).strip()[:600]}{where}"


def missed(figures: Mapping[str, Any], bars: Bars) -> Iterator[str]:
    """Yield the figures that are beyond their bars, or aren't there."""
    for name, (kind, limit) in bars.items():
        value = figures.get(name)
        if not isinstance(value, int | float) or not (value <= limit if kind == "<=" else value >= limit):
            yield name  # NaN is on neither side


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise `OutOfTimeError` in the block when it takes longer. Only in the main thread."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise OutOfTimeError(f"it took more than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def table(facts: Mapping[str, Any], rows: list[Row]) -> Iterator[str]:
    """Yield the lines of a Markdown table of all rows."""
    yield ", ".join(f"{name} {value}" for name, value in facts.items())
    yield ""
    yield "| row | s | figures | bars |"
    yield "|---|---|---|---|"
    for row in rows:
        said = row.error or ", ".join(f"{name} {shown(value)}" for name, value in row.figures.items())
        bars = ", ".join(f"{name} {kind} {limit:g}" for name, (kind, limit) in row.bars.items())
        verdict = "" if row.missed is None else " **missed**" if row.missed else " met"
        said, ending = said.replace("|", "/"), verdict if bars else ""
        yield f"| {row.name} | {row.seconds:.1f} | {said} | {bars}{ending} |"


def shown(value: Any) -> str:
    """A figure in few digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
