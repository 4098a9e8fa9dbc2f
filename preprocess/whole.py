"""Files and folders that appear whole: written beside their place, and renamed into it when they are done.

A run that is killed leaves `.NAME.partial`, which counts for nothing; the next run writes over it. One killed
just when a folder is exchanged leaves the earlier one as `.NAME.replaced`. In object storage an object
appears when all of it has arrived. What is written is as readable as the umask says: some libraries
(safetensors) make files that nobody but their owner can read.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from preprocess.places import RemotePath


@contextmanager
def whole_file(out: Path, writer: str = "") -> Iterator[Path]:
    """Yield where to write a file that takes the place of `out` when the block ends well.

    Args:
        out: Final place; the folders above are made.
        writer: Tells those apart who may write the same file at the same time.

    Raises:
        StorageError: `out` is in object storage, and can't be written now.
    """
    if isinstance(out, RemotePath):
        with TemporaryDirectory() as folder:
            yield Path(folder) / out.name
            out.put(Path(folder) / out.name)
        return
    partial = out.with_name(f".{out.name}{writer and '.'}{writer}.partial")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)
    partial.touch()  # which heeds the umask
    mode = partial.stat().st_mode
    try:
        yield partial
        partial.chmod(mode)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def folder_for(out: Path, last: str) -> Iterator[Path]:
    """Yield a folder to write into: `out`, or one on this machine that is put there when the block ends well.

    Files whose names begin with a dot aren't put: they say what this machine knows.

    Args:
        out: A folder here, or in object storage.
        last: Name of the files that say that the others are there: they are put last, and the old ones of
            the same places removed first.

    Raises:
        StorageError: An object can't be written; none of the files named `last` is there then.
    """
    if not isinstance(out, RemotePath):
        yield out
        return
    with TemporaryDirectory() as folder:
        yield Path(folder)
        found = Path(folder).rglob("*")
        files = sorted(path for path in found if path.is_file() and not path.name.startswith("."))
        places = {file: out / file.relative_to(folder).as_posix() for file in files}
        for file in files:
            if file.name == last:
                places[file].unlink(missing_ok=True)
        for file in sorted(files, key=lambda file: file.name == last):
            places[file].put(file)


def require_replaceable(out: Path, marker: str | None, *inputs: Path) -> None:
    """Refuse to write a folder where something lies that nobody asked to lose.

    Args:
        out: Folder to be written.
        marker: File that says that a folder is an earlier result, which may go; None: nothing may.
        inputs: What is read on the way.

    Raises:
        FileExistsError: `out` is a file, or has something but no `marker`.
        ValueError: `out` is an input or contains one, or lies in object storage.
    """
    if isinstance(out, RemotePath):
        raise ValueError(f"{out} must be a folder of this machine: copy it to object storage afterwards")
    for place in inputs:
        if not isinstance(place, RemotePath) and place.resolve().is_relative_to(out.resolve()):
            raise ValueError(f"{out} would take the place of {place}, which is read: name another folder")
    if out.is_dir() and (not any(out.iterdir()) or (marker and (out / marker).is_file())):
        return
    if out.exists():
        why = f"is no earlier result (it has no {marker})" if marker and out.is_dir() else "exists already"
        raise FileExistsError(f"{out} {why}: name another folder, or remove it")


@contextmanager
def whole_folder(out: Path, marker: str | None = None) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `out` when the block ends well.

    Args:
        out: Final place; a link stays one, and what it leads to is replaced.
        marker: File that says that a folder is an earlier result; see `require_replaceable`.

    Raises:
        FileExistsError: Something else lies there.
        OSError: The finished folder can't be put there; the message says where it is.
        ValueError: `out` lies in object storage.
    """
    require_replaceable(out, marker)
    out = out.resolve()
    partial, old = (out.with_name(f".{out.name}.{state}") for state in ("partial", "replaced"))
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    mode = partial.stat().st_mode & 0o666  # it was made as the umask says
    for path in partial.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(mode)
    try:
        require_replaceable(out, marker)
        shutil.rmtree(old, ignore_errors=True)
        if out.exists():
            out.rename(old)
        partial.replace(out)
    except OSError as error:
        raise OSError(f"{error}; what was to be there is in {partial}") from error
    shutil.rmtree(old, ignore_errors=True)
