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
