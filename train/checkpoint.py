"""Checkpoints: folders that appear whole, named by their step; `latest` and `best` name two of them.

    step-000200/   weights, EMA, optimiser, schedule, scaler, random states of every rank, stream, losses
    step-000400/
    latest         says step-000400; rewritten when that folder is complete
    best           says step-000200

What ends in `.partial` was being written, or removed, when a run died; it counts for nothing.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

LATEST, BEST = "latest", "best"
PARTIAL = ".partial"
TORCH_WRITER = "inline_container.cc"
"""Where in torch a file is written: all that tells a failure to write one from its other RuntimeErrors."""


def checkpoint_at(folder: Path, step: int) -> Path:
    """Where the checkpoint after `step` steps belongs."""
    return folder / f"step-{step:06d}"


def pointed(folder: Path, pointer: str) -> Path | None:
    """The checkpoint that `latest` or `best` names, or None."""
    named = folder / pointer
    return folder / named.read_text() if named.is_file() else None


def writing_at(path: Path) -> Path:
    """Where a checkpoint, or a file, is while it isn't whole."""
    return path.with_name(path.name + PARTIAL)


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """Yield where to write a file that takes its place, at once, when the block ends well."""
    partial = writing_at(file)
    yield partial
    partial.replace(file)


@contextmanager
def explaining_full_disk(checkpoint: Path) -> Iterator[None]:
    """Turn a failure to write `checkpoint` into one message; what was written of it is removed.

    Raises:
        OSError: Something inside could not be written. torch and safetensors have errors of their own for it.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if isinstance(error, RuntimeError) and TORCH_WRITER not in str(error):
            raise  # not the disk: no GPU memory, or another process has died
        shutil.rmtree(writing_at(checkpoint), ignore_errors=True)
        folder = checkpoint.parent
        free = shutil.disk_usage(folder).free // 2**20
        last = pointed(folder, LATEST)
        kept = f"{last.name} is whole, and the run will go on from it" if last else "there is none yet"
        raise OSError(
            f"no checkpoint could be written into {folder} ({free} MB free): {error}. The last one: {kept}. "
            "Make room and run the same command again"
        ) from error


def publish(checkpoint: Path, *, best: bool, keep: int) -> None:
    """Let a checkpoint that was written at `writing_at(checkpoint)` appear, then remove the old ones.

    The newest `keep` stay, and the best.
    """
    partial = writing_at(checkpoint)
    for file in partial.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    if checkpoint.exists():  # left by a run that died before `latest` was moved
        remove(checkpoint)
    partial.replace(checkpoint)
    if best:
        point(checkpoint.parent, BEST, checkpoint.name)
    point(checkpoint.parent, LATEST, checkpoint.name)
    prune(checkpoint.parent, keep)


def point(folder: Path, pointer: str, target: str) -> None:
    """Let a pointer name another checkpoint, at once."""
    with whole(folder / pointer) as partial:
        partial.write_text(target)


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints and those that are pointed at."""
    pointed_at = {pointed(folder, pointer) for pointer in (LATEST, BEST)}
    whole = sorted(path for path in folder.glob("step-*") if path.suffix != PARTIAL)
    for old in whole[:-keep]:
        if old not in pointed_at:
            remove(old)


def remove(checkpoint: Path) -> None:
    """Remove a checkpoint; half removed it is no checkpoint any more."""
    doomed = checkpoint.with_name(checkpoint.name + ".old" + PARTIAL)
    shutil.rmtree(doomed, ignore_errors=True)
    checkpoint.replace(doomed)
    shutil.rmtree(doomed)
