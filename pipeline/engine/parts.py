"""Work in parts: what a finished part holds is the truth, whoever made it, and wherever.

A stage is a plan of parts, a pure function of one part that writes nothing but its folder, and one merge in
the order of the plan. Parts have a fixed size and are named by the digest of all that they are made from, so
a run that was killed, on whatever engine, is taken up again on any other.
"""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from tqdm import tqdm

from pipeline.engine.store import Done, PartStore

log = logging.getLogger(__name__)

MOST_REASONS = 10
"""Reasons of failures that are logged, the most frequent first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A piece of a stage's work."""

    key: str
    """Digest (hex) of code, parameters and inputs: equal keys, equal output."""

    size: int
    """Samples that have to be made."""

    payload: Any
    """What they are made from; it must pickle."""

    before: int = 0
    """Samples between the part before and this one that need no work."""


Run = Callable[[Part, Path], Mapping[str, int]]
"""Writes the output of a part into a folder, returns the failures by reason; what it raises ends the run."""


class Stage(Protocol):
    """What is done in parts."""

    @property
    def name(self) -> str:
        """For the progress bar."""

    @property
    def total(self) -> int:
        """Samples, those that need no work included."""

    @property
    def gpus(self) -> int:
        """That a part takes."""

    def plan(self) -> Iterable[Part]:
        """Yield the parts in order, however many workers there are."""

    @property
    def run(self) -> Run:
        """What makes a part; it pickles, with nothing that grows with the number of samples."""

    def merge(self, parts: "FinishedParts") -> None:
        """Make the stage's output of its parts' outputs."""


@dataclass(frozen=True, slots=True)
class FinishedParts:
    """The parts of a plan, in order, when all are there."""

    store: PartStore
    keys: list[str]

    def files(self, name: str) -> Iterator[BinaryIO]:
        """Open a file of each part, one after another."""
        for key in self.keys:
            with self.store.open(key, name) as file:
                yield file


@dataclass(frozen=True, kw_only=True)
class Work:
    """Makes a part and puts it into the store; pickles, and works in any process that sees the same files."""

    run: Run
    store: PartStore
    gpus: int = 0
    """That a part takes."""

    folder: Path = field(default_factory=Path.cwd)
    """Whoever works does it here: parameters may name files relative to it."""

    def __call__(self, part: Part) -> None:
        """Make a part."""
        os.chdir(self.folder)
        with self.store.put(part.key) as folder:
            failures = self.run(part, folder)
            self.store.seal(folder, part.size, failures)


class Engine(Protocol):
    """Where work runs."""

    def map(self, work: Work, parts: Iterable[Part]) -> Iterator[Part]:
        """Call `work` on each part and yield the part when that has returned, in any order.

        A few parts are in flight at once: `parts` is read as they are worked off. What `work` raises is
        raised, once no other part is being made.
        """


class Inline:
    """Does all work in this process."""

    def map(self, work: Work, parts: Iterable[Part]) -> Iterator[Part]:
        """Make one part after another; see `Engine`."""
        for part in parts:
            work(part)
            yield part


def open_engine(workers: int) -> Engine:
    """Open the engine that the user chose: local processes where none was.

    Args:
        workers: Local processes; 0 for every core, 1 for none but this one.

    Raises:
        ValueError: There is no such engine, or its library isn't installed.
    """
    engines = import_module("pipeline.engine.engines")  # by name: what runs changes no result of a stage
    engine: Engine = engines.open_engine(workers)
    return engine


def run_parts(stage: Stage, engine: Engine, store: PartStore) -> None:
    """Make the parts that aren't done, wherever the engine does that, and merge all of them.

    What an earlier run left in the store is checked; the store is empty in the end.

    Raises:
        OSError: A part that was made isn't in the store.
    """
    store.begin()
    keys: list[str] = []
    found = 0
    failures: Counter[str] = Counter()
    with tqdm(total=stage.total, desc=stage.name, unit="sample", disable=None) as bar:

        def note(done: Done) -> None:
            failures.update(done.failures)
            bar.set_postfix(failed=failures.total(), refresh=False)
            bar.update(done.rows)

        def missing() -> Iterator[Part]:
            nonlocal found
            for part in stage.plan():
                keys.append(part.key)
                bar.update(part.before)
                done = store.done(part.key)
                if done is None:
                    store.remove(part.key)
                    yield part
                else:
                    found += 1
                    note(done)

        for part in engine.map(Work(run=stage.run, store=store, gpus=stage.gpus), missing()):
            note(store.made(part.key))
        bar.update(stage.total - bar.n)
    if found:
        log.info("%s: %d of %d parts were done before", stage.name, found, len(keys))
    stage.merge(FinishedParts(store, keys))
    if failures:
        words = (f"{count} {reason}" for reason, count in failures.most_common(MOST_REASONS))
        log.warning("%s: failed: %s", stage.name, ", ".join(words))
    store.clear()
