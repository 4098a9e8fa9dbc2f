"""Worker processes that decode batches in place of threads, and hand them over through shared memory.

Only places, names and texts are pickled. A worker writes a batch into a slot that no other batch has, and the
trainer copies it out, so a batch belongs to whoever holds it. The slots have no names in the file system, and
workers end with the process that started them, however that ends.
"""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from shards.batch import Batch, empty_batch
from shards.reader import OnDamage, ShardReader
from shards.storage import open_folder

ALIGNMENT = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderOptions:
    """What a worker needs to open the shards by itself."""

    location: Path | str
    cache: Path | None
    cache_bytes: int
    image_height: int
    image_width: int
    on_damage: OnDamage

    def open(self) -> ShardReader:
        """Open the shards."""
        folder = open_folder(self.location, self.cache, self.cache_bytes)
        return ShardReader(folder, self.image_height, self.image_width, self.on_damage)


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an array of a batch lies in a slot."""

    dtype: str
    shape: tuple[int, ...]
    offset: int | None
    """None: it is nothing but zeros, and lies nowhere."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A batch whose arrays are in a slot, and what its worker had to leave out of it."""

    values: dict[str, Any]
    damaged: Counter[str]


class DecoderProcesses:
    """Decodes batches in processes. At most `num_slots` may be asked for and not yet taken, in that order.

    Args:
        options: How workers open the shards.
        reader: The same shards; counts what workers leave out.
        batch_size: The most samples of a batch.
        num_processes: Workers.
        num_slots: Batches that may be on their way.
    """

    def __init__(
        self, options: ReaderOptions, reader: ShardReader, batch_size: int, num_processes: int, num_slots: int
    ) -> None:
        context = multiprocessing.get_context("spawn")  # forking a process that has threads may hang
        num_bytes = slot_bytes(reader, batch_size)
        self.reader, self.asked, self.taken = reader, 0, 0
        self.slots = [context.RawArray("B", num_bytes) for _ in range(num_slots)]
        self.pool = ProcessPoolExecutor(
            num_processes, context, initializer=start_worker, initargs=(options, self.slots)
        )

    def ask(self, positions: Sequence[int], places: Sequence[Sequence[int]]) -> Future[Parcel]:
        """Ask for a batch; see `ShardReader.batch`, and `take` for a worker's death."""
        slot = self.asked % len(self.slots)
        self.asked += 1
        with explaining_death():
            return self.pool.submit(decode_into, slot, positions, places)

    def take(self, asked: Future[Parcel]) -> Batch:
        """Wait for the batch that was asked for first, and return it.

        Raises:
            RuntimeError: A worker died.
        """
        with explaining_death():
            parcel = asked.result()
        slot = self.slots[self.taken % len(self.slots)]
        self.taken += 1
        self.reader.damaged.update(parcel.damaged)
        return Batch(**{name: taken_out(slot, value) for name, value in parcel.values.items()})

    def close(self) -> None:
        """Let the workers end, without waiting for what was asked for."""
        self.pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def explaining_death() -> Iterator[None]:
    """Say what the pool's own error doesn't."""
    try:
        yield
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process of the sample stream died (killed, or out of memory?): go on from the last "
            "state, with fewer processes if memory was short"
        ) from error


def slot_bytes(reader: ShardReader, batch_size: int) -> int:
    """Return the room (bytes) that the arrays of a batch take at most."""
    encodings = None if reader.encodings is None else reader.encodings.empty(batch_size)
    batch = empty_batch(range(batch_size), reader.image_height, reader.image_width, encodings)
    arrays = [value for value in values_of(batch).values() if isinstance(value, np.ndarray)]
    return sum(array.nbytes + ALIGNMENT for array in (*arrays, *batch.encodings.values()) if is_held(array))


def values_of(batch: Batch) -> dict[str, Any]:
    """Return the fields of a batch by name, without copying."""
    return {field.name: getattr(batch, field.name) for field in fields(Batch)}


def is_held(array: NDArray[Any]) -> bool:
    """Tell whether an array has memory of its own, unlike pictures that encodings stand for."""
    return 0 not in array.strides


class Worker:
    """What a worker process holds."""

    reader: ShardReader
    slots: Sequence[Any]


def start_worker(options: ReaderOptions, slots: Sequence[Any]) -> None:
    """Open the shards in a new process; it leaves Ctrl-C to its parent, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    Thread(target=end_with_parent, daemon=True).start()
    Worker.reader, Worker.slots = options.open(), slots


def end_with_parent() -> None:
    """Wait for the end of the parent process, then end this one."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def decode_into(slot: int, positions: Sequence[int], places: Sequence[Sequence[int]]) -> Parcel:
    """Decode a batch in a worker and put its arrays into a slot."""
    room = np.frombuffer(Worker.slots[slot], np.uint8)
    end = 0

    def put(value: Any) -> Any:
        nonlocal end
        if isinstance(value, dict):
            return {name: put(one) for name, one in value.items()}
        if not isinstance(value, np.ndarray):
            return value
        if not is_held(value):
            return Stored(value.dtype.str, value.shape, None)
        start = end + -end % ALIGNMENT
        end = start + value.nbytes
        room[start:end].view(value.dtype).reshape(value.shape)[...] = value
        return Stored(value.dtype.str, value.shape, start)

    batch = Worker.reader.batch(positions, places)
    damaged, Worker.reader.damaged = Worker.reader.damaged, Counter()
    return Parcel({name: put(value) for name, value in values_of(batch).items()}, damaged)


def taken_out(slot: Any, value: Any) -> Any:
    """Copy what was put into a slot out of it."""
    if isinstance(value, dict):
        return {name: taken_out(slot, one) for name, one in value.items()}
    if not isinstance(value, Stored):
        return value
    if value.offset is None:
        return np.broadcast_to(np.zeros(1, value.dtype), value.shape)
    return np.ndarray(value.shape, value.dtype, slot, value.offset).copy()
