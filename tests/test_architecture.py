"""The arrows between the folders and what a reader can carry, enforced: a change is a decision, made here."""

import ast
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from preprocess.identity import PACKAGES, ROOT, import_closure

MAY_IMPORT = {
    "preprocess": set(),
    "model": set(),
    "shards": {"preprocess"},
    "train": {"shards", "model"},
    "eval": {"preprocess", "shards", "model"},
    "pipeline": {"preprocess", "shards", "model", "train", "eval"},
}
DATA_STAGES = ("prepare_dataset", "extract_keypoints", "compute_size_ratios", "write_shards")

ENGINE_LIBRARIES = {"ray": "pipeline.engine.on_ray", "submitit": "pipeline.engine.on_slurm"}

PLUGGED_IN = ("preprocess.sources.", "model.bases.")
"""Rooms whose modules a registry names: one importer each is what they are for."""

MOST_MODULES = 237
MOST_MODULES_OF_A_FOLDER = 18
MOST_MODULES_WITH_ONE_IMPORTER = 40
MOST_LINES = 41_970
"""Ratchets: what there is today, and a little air. Whoever raises one says why."""

MEDIAN_FUNCTION_LINES = 9
MOST_FUNCTION_LINES = 80


@cache
def sources() -> dict[str, Path]:
    """Every file of the packages by its dotted name; a package's is that of its `__init__`."""
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return {name.removesuffix(".__init__"): file for name, file in zip(names, files, strict=True)}


def modules() -> dict[str, Path]:
    """The files that aren't a package's `__init__`."""
    return {name: file for name, file in sources().items() if file.name != "__init__.py"}


def imports_of(file: Path) -> Iterator[str]:
    """Yield our modules that a file names, for type checkers too; `from a import b` is a.b, or else a."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in sources() else node.module


@cache
def imports() -> dict[str, set[str]]:
    """By module, the others of ours that it imports."""
    return {name: {*imports_of(file)} & sources().keys() - {name} for name, file in sources().items()}


def functions() -> Iterator[tuple[str, int]]:
    """Yield every function and how many lines it has, decorators left out."""
    for module, file in sources().items():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module}.{node.name}", 1 + (node.end_lineno or 0) - node.lineno


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_follow_the_arrows(package: str) -> None:
    forbidden = MAY_IMPORT.keys() - MAY_IMPORT[package] - {package}
    wrong = [
        f"{name} imports {module}"
        for name, named in imports().items()
        if name.split(".")[0] == package
        for module in named
        if module.split(".")[0] in forbidden
    ]
    assert not wrong, f"{package}/ may import only {sorted(MAY_IMPORT[package])}: {wrong}"


def test_no_module_imports_itself_through_others() -> None:
    """Imports for type checkers count: a circle that only they see is still two halves of one thing."""
    try:
        TopologicalSorter(imports()).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def test_there_are_few_modules() -> None:
    assert len(modules()) <= MOST_MODULES


def test_a_folder_can_be_taken_in_at_a_glance() -> None:
    folders = Counter(str(file.parent.relative_to(ROOT)) for file in modules().values())
    assert {folder: n for folder, n in folders.items() if n > MOST_MODULES_OF_A_FOLDER} == {}


def test_few_modules_serve_a_single_one() -> None:
    importers = Counter(module for named in imports().values() for module in named)
    single = [name for name in modules() if importers[name] == 1 and not name.startswith(PLUGGED_IN)]
    assert len(single) <= MOST_MODULES_WITH_ONE_IMPORTER, single


def test_the_product_is_short() -> None:
    lines = sum(file.read_text().count("\n") for file in sources().values())
    assert lines <= MOST_LINES


def test_functions_are_short() -> None:
    lines = dict(functions())
    assert statistics.median(lines.values()) <= MEDIAN_FUNCTION_LINES
    assert {name: n for name, n in lines.items() if n > MOST_FUNCTION_LINES} == {}


def test_own_packages_are_imported_with_from() -> None:
    """`import eval.report.page` would hide the builtin eval, and ruff A004 does not see it."""
    wrong = [
        f"{module} imports {alias.name}"
        for module, file in sources().items()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name.split(".")[0] in PACKAGES
    ]
    assert not wrong


@pytest.mark.parametrize("stage", DATA_STAGES)
def test_data_stages_start_without_torch(stage: str) -> None:
    code = f"import sys, pipeline.{stage}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    heavy = {"torch", "diffusers", "transformers", "mediapipe"}
    assert not (heavy | ENGINE_LIBRARIES.keys()) & set(loaded.stdout.split())


def test_a_stage_does_not_know_what_runs_it() -> None:
    """Engines and their libraries are found by name: neither another one nor its code reruns anything."""
    named = {
        (module, alias.name.split(".")[0])
        for module, file in sources().items()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert {(module, name) for module, name in named if ENGINE_LIBRARIES.get(name, module) != module} == set()
    engines = {f"pipeline/engine/{name}.py" for name in ("engines", "local", "on_ray", "on_slurm")}
    for stage in DATA_STAGES:
        assert not engines & {file.as_posix() for file in import_closure(f"pipeline.{stage}")}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_package_is_this_checkout(package: str) -> None:
    module = __import__(package)
    assert Path(str(module.__file__)).is_relative_to(ROOT), f"another distribution installed `{package}`"
