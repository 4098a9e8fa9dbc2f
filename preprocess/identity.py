"""The identity of a result: one digest of its parameters, its inputs and the code that makes it.

Whatever is kept to spare work (rows of a table, shards, encodings, checkpoints, pictures) carries the
identity of what made it, and is only taken up again by the same. The code is a module of this project and
every module of it that this one imports, found by reading the sources: nothing is listed by hand, so nothing
is forgotten. Comments, docstrings and layout don't count, nor does what is only imported for type checkers.
"""

import ast
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import xxhash
from numpy.typing import NDArray

from preprocess.vocabulary import AXES_VARIABLE

ROOT = Path(__file__).parents[1]
PACKAGES = ("preprocess", "shards", "model", "train", "eval", "pipeline")
SECTIONS = Path("pipeline", "params.py")
"""Lists the sections of every stage. It isn't looked through: a stage imports the class of its own section,
and another one's changes no result of it."""

AXES = Path("preprocess", "sizes", "axes.py")
"""Whose rows the environment chooses: what imports it is other code where they are others."""

BLOCK = 1 << 24
"""Bytes of a file read at a time."""

Input: TypeAlias = str | bytes | Path | NDArray[np.generic]


def identity(code: str, params: object, inputs: Iterable[Input] = ()) -> str:
    """Return the xxh3_128 (hex) of all that a result depends on.

    Args:
        code: Dotted name of the module that makes the result; see `code_identity`.
        params: What it is made with, JSON or dataclasses; leave out what only says how the work is done.
        inputs: What it is made from, in order: text, bytes, arrays, files, or folders with every file below.

    Raises:
        TypeError: `params` holds something whose value JSON can't tell.
    """
    digest = xxhash.xxh3_128(code_identity(code, ROOT).encode())
    digest.update(json.dumps(params, sort_keys=True, default=plain_value).encode())
    for content in inputs:
        for block in blocks(content):
            digest.update(block)
    return digest.hexdigest()


@cache
def code_identity(module: str, root: Path = ROOT) -> str:
    """Return the xxh3_128 (hex) of the code of `module` and of all of this project that it imports.

    It is taken of the syntax trees without bare strings, written so that Python's versions agree: a comment
    or a docstring makes nothing anew.
    """
    digest = xxhash.xxh3_128()
    files = import_closure(module, root)
    if AXES in files and os.environ.get(AXES_VARIABLE):
        digest.update(f"\0{os.environ[AXES_VARIABLE]}\0".encode())
    for file in files:
        digest.update(f"\0{file.as_posix()}\0".encode())
        digest.update(repr(plain_syntax(syntax(root / file))).encode())
    return digest.hexdigest()


@cache
def import_closure(module: str, root: Path = ROOT) -> tuple[Path, ...]:
    """Return the files, below `root`, of `module` and of all of this project that it imports, sorted.

    Imports within functions count. So do the packages around a module, as Python runs them.

    Raises:
        ValueError: `root` has no such module.
    """
    if file_of(module, root) is None:
        raise ValueError(f"{root} must have the module it is asked for, got {module}")
    todo = files_of(module, root)
    seen: set[Path] = set()
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += [found for name in run_imports(root, file) for found in files_of(name, root)]
    return tuple(sorted(seen))


def run_imports(root: Path, file: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports when it runs; `from a import b` is both a and a.b."""
    if file == SECTIONS:
        return
    todo: list[ast.AST] = [syntax(root / file)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            todo += node.orelse
        else:
            todo += ast.iter_child_nodes(node)


def is_type_checking(test: ast.expr) -> bool:
    """Tell whether a condition is `TYPE_CHECKING`."""
    return "TYPE_CHECKING" in (getattr(test, "id", None), getattr(test, "attr", None))


def files_of(module: str, root: Path) -> list[Path]:
    """Return the file of one of this project's modules and those of the packages around it."""
    parts = module.split(".")
    around = [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    return [file for name in around if (file := file_of(name, root))]


def file_of(module: str, root: Path) -> Path | None:
    """Return the file of a module or package below `root`; None where it isn't one of this project's."""
    place = Path(*module.split("."))
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if place.parts[0] in PACKAGES and (root / file).is_file()), None)


@cache
def syntax(file: Path) -> ast.Module:
    """Parse a file once."""
    return ast.parse(file.read_bytes())


def plain_syntax(node: Any) -> Any:
    """Return what a syntax tree says as nested tuples, without places, empty fields and bare strings."""
    if isinstance(node, list):
        return [plain_syntax(item) for item in node if not is_bare_string(item)]
    if not isinstance(node, ast.AST):
        return node
    fields = [(name, plain_syntax(value)) for name, value in ast.iter_fields(node)]
    return type(node).__name__, [(name, value) for name, value in fields if value not in (None, [])]


def is_bare_string(node: object) -> bool:
    """Tell whether a statement is nothing but a string: a docstring, of a module or a field."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def plain_value(value: object) -> object:
    """Say a dataclass or a path in JSON's terms."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"params must be JSON, dataclasses or paths, got {type(value).__name__}")


def blocks(content: Input) -> Iterator[Any]:
    """Yield what names an input and then its bytes, so that no two inputs read alike."""
    if isinstance(content, Path):
        for file in files_below(content):
            yield f"\0{file.relative_to(content).as_posix()}\0{file.stat().st_size}\0".encode()
            with file.open("rb") as stream:
                while block := stream.read(BLOCK):
                    yield block
    elif isinstance(content, np.ndarray):
        yield f"\0{content.dtype.str}{content.shape}\0".encode()
        yield np.ascontiguousarray(content)
    else:
        raw = content.encode() if isinstance(content, str) else content
        yield f"\0{len(raw)}\0".encode()
        yield raw


def files_below(path: Path) -> list[Path]:
    """Return `path` itself, or every file below it, sorted."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
