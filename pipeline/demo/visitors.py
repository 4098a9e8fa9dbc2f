"""What the demo remembers of its visitors: in memory, for a while, for so many of them."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

Memory = TypeVar("Memory")

MOST_VISITORS = 32
"""Beyond this the one who was quiet for longest is forgotten."""

FORGET_AFTER = 900.0
"""Seconds without a word after which a visitor is forgotten."""


@dataclass(slots=True)
class Visitors(Generic[Memory]):
    """A memory for each visitor; what is forgotten is held nowhere else. Safe to use from several threads."""

    new: Callable[[], Memory]
    """Makes the memory of somebody unknown."""

    clock: Callable[[], float] = time.monotonic
    """Tells seconds."""

    _known: OrderedDict[str, tuple[float, Memory]] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def of(self, visitor: str) -> Memory:
        """Return a visitor's memory, a new one after it was forgotten; others may be forgotten meanwhile."""
        with self._lock:
            now = self.clock()
            self._forget_silent(now)
            memory = self._known.pop(visitor)[1] if visitor in self._known else self.new()
            self._known[visitor] = (now, memory)
            if len(self._known) > MOST_VISITORS:
                self._known.popitem(last=False)
            return memory

    def forget(self, visitor: str) -> None:
        """Drop what is known of a visitor, if anything."""
        with self._lock:
            self._known.pop(visitor, None)

    def forget_silent(self) -> None:
        """Drop everybody who said nothing for `FORGET_AFTER`."""
        with self._lock:
            self._forget_silent(self.clock())

    def __len__(self) -> int:
        return len(self._known)

    def _forget_silent(self, now: float) -> None:
        while self._known and now - next(iter(self._known.values()))[0] > FORGET_AFTER:
            self._known.popitem(last=False)
