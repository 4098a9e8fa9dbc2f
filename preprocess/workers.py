"""Processes of this computer that work for the one that starts them, and end with it."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread
from types import FrameType, SimpleNamespace
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

THIS = SimpleNamespace(at_work=False, interrupted=False)
"""What this process is doing, as one of a pool."""


class WorkerPool(ProcessPoolExecutor):
    """Fresh processes: forking one in which OpenCV has threads may hang. Ctrl-C ends them without a word."""

    def __init__(self, workers: int | None = None) -> None:
        """Start none yet.

        Args:
            workers: How many, at most; None: one for each core.
        """
        super().__init__(workers, get_context("spawn"), initializer=settle_in)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Hand over work, and start a process where none is idle: no Ctrl-C reaches it while it imports."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which a new process inherits
        try:
            return super().submit(unless_interrupted, fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unless_interrupted(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Do work that was handed over.

    Raises:
        KeyboardInterrupt: Ctrl-C has come, now or before.
    """
    if THIS.interrupted:
        raise KeyboardInterrupt
    THIS.at_work = True
    try:
        return fn(*args, **kwargs)
    finally:
        THIS.at_work = False


def note_interrupt(_number: int, _frame: FrameType | None) -> None:
    """Break off what is being done; a process that waits goes on waiting, for the pool to end it."""
    THIS.interrupted = True
    if THIS.at_work:
        raise KeyboardInterrupt


def settle_in() -> None:
    """Prepare a process of a pool: for Ctrl-C, and not to outlive who started it."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as it is in the background of a script
        signal.signal(signal.SIGINT, note_interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    Thread(target=leave_with_parent, daemon=True).start()


def leave_with_parent() -> None:
    """End this process when the one that started it has ended, killed or not."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
