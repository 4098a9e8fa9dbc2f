"""Processes of this computer that work for the one that starts them, and end with it."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from threading import Thread, current_thread, main_thread
from types import TracebackType
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


GRACE_S = 5.0
"""How long to wait for a process that was told to end; one that isn't the pool's may not listen."""


class WorkerPool(ProcessPoolExecutor):
    """Fresh processes: forking one in which OpenCV has threads may hang.

    Ctrl-C reaches every process of a terminal. These never hear it: raised wherever they are, it could be
    lost in a callback, or be told by each. Who started them does, and ends them.
    """

    def __init__(self, workers: int | None = None) -> None:
        """Start none yet, and never more than `workers`; None: one for each core."""
        super().__init__(workers, get_context("spawn"), initializer=settle_in)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Hand over work, and start a process where none is idle, whole: no Ctrl-C comes between."""
        with later():
            return super().submit(fn, *args, **kwargs)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is being done, and begin nothing more; after Ctrl-C wait for nothing.

        A generator that used the pool is closed by it, where Ctrl-C came to who asked for more.
        """
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt | GeneratorExit)
        # told first: work that `map` has cancelled can't be told that the process it waits for has ended
        self.shutdown(wait=not interrupted, cancel_futures=True)
        if interrupted:
            processes = active_children()
            for process in processes:
                process.terminate()
            for process in processes:
                process.join(GRACE_S)


@contextmanager
def later() -> Iterator[None]:
    """Let a Ctrl-C wait: the process that is started meanwhile takes none at all.

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


def settle_in() -> None:
    """Prepare a process that doesn't outlive who started it."""
    Thread(target=leave_with_parent, daemon=True).start()


def leave_with_parent() -> None:
    """End this process when the one that started it has ended, killed or not."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
