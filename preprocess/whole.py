"""Files and folders that appear whole: written beside their place, and renamed into it when they are done.

A run that is killed leaves `.NAME.partial`, which counts for nothing; the next run writes over it. In object
storage an object appears when all of it has arrived.
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
    try:
        yield partial
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


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `out` when the block ends well."""
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(out, ignore_errors=True)
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
