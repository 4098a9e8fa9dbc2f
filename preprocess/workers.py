"""Processes of this computer that work for the one that starts them, and end with it."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread, current_thread, main_thread
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
        """Hand over work, and start a process where none is idle, whole: no Ctrl-C comes between."""
        with later():
            return super().submit(unless_interrupted, fn, *args, **kwargs)


@contextmanager
def later() -> Iterator[None]:
    """Let a Ctrl-C wait: the process that is started meanwhile takes none either, until it has settled in.

    That inherits this thread's mask. Another thread may take the signal all the same, so what Python does
    then, here in the main thread, waits as well.
    """
    waiting: list[int] = []
    defer = current_thread() is main_thread() and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    handler = signal.signal(signal.SIGINT, lambda number, _: waiting.append(number)) if defer else None
    try:
        yield
    finally:
        if defer:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if waiting:
            signal.raise_signal(signal.SIGINT)


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
