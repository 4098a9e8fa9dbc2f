"""Tell two training runs apart: same parameters, data, starting weights and code, or not."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CODE = Path(__file__).parents[1]
CODE_FOLDERS = ("eval", "model", "pipeline", "preprocess", "shards", "train")
"""What learns, and what chooses the best checkpoint: validation draws and measures."""


def run_fingerprint(params: "DataclassInstance", *inputs: Path) -> str:
    """xxh3_128 (hex) of parameters, input files (folders: all files below) and this project's code.

    A checkpoint is only continued by a run with the same fingerprint. Where and how the work runs (`runtime`)
    doesn't count: a run may go on with more processes or threads.
    """
    learned = {name: value for name, value in asdict(params).items() if name != "runtime"}
    digest = xxhash.xxh3_128(repr(learned).encode())
    sources = sorted(file for folder in CODE_FOLDERS for file in (CODE / folder).rglob("*.py"))
    for file in [*sources, *(file for path in inputs for file in files_below(path))]:
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 24):
                digest.update(block)
    return digest.hexdigest()


def files_below(path: Path) -> list[Path]:
    """`path` itself, or every file below it, sorted."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
