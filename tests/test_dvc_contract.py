"""dvc.yaml, params.yaml and the modules of pipeline/ name the same stages."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.params import Params, load_params
from tests.imports import imported_modules

ROOT = Path(__file__).parents[1]
STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS_MODULE = ROOT / "pipeline" / "params.py"


def paths_of(entries: list[str | dict[str, object]]) -> list[str]:
    """Paths of a `deps` or `outs` list, whose entries may carry options."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def import_closure(source: Path) -> set[Path]:
    """`source` and every file of this repository it imports, directly or not.

    The closure does not look through pipeline/params.py: the schema of another stage's section cannot change
    what this stage writes, because DVC compares the values of its own section.
    """
    seen: set[Path] = set()
    todo = [source]
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        if file == PARAMS_MODULE:
            continue
        for module in imported_modules(file):
            base = ROOT.joinpath(*module.split("."))
            todo += [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.exists()]
    return seen


def test_params_yaml_is_valid_and_has_one_section_per_stage() -> None:
    load_params(ROOT / "params.yaml")
    assert set(Params.model_fields) == set(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_stage_is_one_module_and_one_section(name: str) -> None:
    stage = STAGES[name]
    assert shlex.split(stage["cmd"])[:3] == ["python", "-m", f"pipeline.{name}"]
    assert importlib.util.find_spec(f"pipeline.{name}") is not None
    assert stage["params"] == [name]


@pytest.mark.parametrize("name", STAGES)
def test_every_path_of_a_stage_is_in_its_command(name: str) -> None:
    stage = STAGES[name]
    data = {path for path in paths_of(stage["deps"] + stage["outs"]) if re.match(r"\$\{at\.", path)}
    assert data <= set(shlex.split(stage["cmd"]))


@pytest.mark.parametrize("name", STAGES)
def test_editing_any_imported_file_reruns_the_stage(name: str) -> None:
    deps = [ROOT / dep for dep in paths_of(STAGES[name]["deps"])]
    unwatched = {
        file
        for file in import_closure(ROOT / "pipeline" / f"{name}.py")
        if not any(file.is_relative_to(dep) for dep in deps) and file.name != "__init__.py"
    }
    assert not unwatched


def test_editing_the_report_reruns_only_the_evaluation() -> None:
    report = [
        ROOT / "eval" / name for name in ("report.py", "plots.py", "summary.py", "baselines.py", "write.py")
    ]
    for name, stage in STAGES.items():
        deps = [ROOT / dep for dep in paths_of(stage["deps"])]
        watched = [file for file in report if any(file.is_relative_to(dep) for dep in deps)]
        assert watched == (report if name == "evaluate_tryon" else [])
