"""The engine of local processes."""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain

import cv2

from pipeline.engine.parts import Inline, Part, Work
from preprocess.workers import WorkerPool

FEW = 64
"""Up to this many samples are made in this process: starting others would cost more."""

AHEAD = 2
"""Parts in flight for each process: the one that it makes, and the next."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Fresh processes on this computer, each with one thread."""

    workers: int

    def map(self, work: Work, parts: Iterable[Part]) -> Iterator[Part]:
        """Keep every process at work; see `Engine`. A GPU is this process's alone.

        Raises:
            OSError: A process was killed.
        """
        first, rest = beginning(parts)
        if work.gpus or sum(part.size for part in first) <= FEW:
            yield from Inline().map(work, chain(first, rest))
            return
        flight: dict[Future[None], Part] = {}
        try:
            with WorkerPool(self.workers) as pool:
                for part in chain(first, rest):
                    flight[pool.submit(on_one_core, work, part)] = part
                    if len(flight) >= AHEAD * self.workers:
                        yield from landed(flight)
                while flight:
                    yield from landed(flight)
        except BrokenProcessPool as error:
            raise OSError(
                "a process was killed, perhaps for its memory: what is done is kept, so run it again, "
                "with fewer processes"
            ) from error


def beginning(parts: Iterable[Part]) -> tuple[list[Part], Iterator[Part]]:
    """Split parts into the first, up to where there is work for several processes, and the others."""
    rest, first = iter(parts), []
    for part in rest:
        first.append(part)
        if sum(one.size for one in first) > FEW:
            break
    return first, rest


def landed(flight: dict[Future[None], Part]) -> list[Part]:
    """Wait until some part is made, and take what is made out of the flight."""
    ready, _ = wait(flight, return_when=FIRST_COMPLETED)
    parts = []
    for future in ready:
        parts.append(flight.pop(future))
        future.result()
    return parts


def on_one_core(work: Work, part: Part) -> None:
    """Make a part in a process that leaves the other cores to others."""
    cv2.setNumThreads(1)
    work(part)
