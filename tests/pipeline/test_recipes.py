"""Every recipe changes what it names, and the table says what came out."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides

from pipeline.cli.recipes import RECIPES, REFERENCE, require_known, run_recipes, table, write_table
from pipeline.params import load_params
from preprocess.vocabulary import SIZE_RATIOS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", RECIPES)
def test_dvc_accepts_a_recipe_as_a_valid_change(name: str, tmp_path: Path) -> None:
    command = RECIPES[name].command(name)
    assert command[:5] == ["dvc", "exp", "run", "--name", name]
    assert command[5::2] == ["--set-param"] * len(RECIPES[name].overrides)
    changed = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", changed)
    apply_overrides(changed, to_path_overrides(command[6::2]).get("params.yaml", []))
    assert (load_params(changed) == load_params(ROOT / "params.yaml")) == (name == REFERENCE)


def test_the_table_has_a_row_an_experiment() -> None:
    metrics = {"size_accuracy.balanced": 0.625}
    for name in SIZE_RATIOS:
        metrics |= {f"ladder.{name}.order_accuracy": 0.98765, f"ladder.{name}.slope": 0.5}
    lines = table({REFERENCE: metrics, "no-controller": None}).splitlines()
    assert len(lines) == 4
    assert lines[2].endswith("| " + " | ".join([*(3 * ["0.988", "0.500", "-"]), "0.625"]) + " |")
    assert "| not run |" in lines[3]
    assert len({line.count("|") for line in lines}) == 1


def test_an_unknown_recipe_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no recipe nonsense: choose among reference, "):
        require_known(["nonsense"])


TWO_STAGES = """
stages:
  unchanged:
    cmd: echo again >> runs.txt && echo "{}" > unchanged.json
    params: [train_joint.seed]
    outs: [unchanged.json]
  changed:
    cmd: cp params.yaml seen.yaml && echo '{"size_accuracy.balanced":0.5}' > headline.json
    params: [train_size]
    outs: [seen.yaml]
    metrics: [headline.json]
"""


def test_recipes_run_one_by_one_what_they_change_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    Path("dvc.yaml").write_text(TWO_STAGES)
    own = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    for command in (
        ["git", "init", "--quiet"],
        ["dvc", "init", "--quiet"],
        ["git", "add", "."],
        ["git", *own, "commit", "--quiet", "--message", "start"],
    ):
        subprocess.run(command, check=True)
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "Test")
        monkeypatch.setenv(f"{name}_EMAIL", "test@example.com")
    before = Path("params.yaml").read_bytes()

    run_recipes(["no-controller"])
    run_recipes(["no-controller", "hybrid-encoder"])

    assert Path("params.yaml").read_bytes() == before
    assert load_params(Path("seen.yaml")).train_size.encoder == "hybrid"
    assert (
        load_params(Path("seen.yaml")).train_size.parts == load_params(Path("params.yaml")).train_size.parts
    )
    assert Path("runs.txt").read_text() == "again\n"
    lines = write_table(["no-controller", "hybrid-encoder", "mirrored"], Path("table.md")).splitlines()
    assert [line.split("|")[-2].strip() for line in lines[2:]] == ["0.500", "0.500", ""]
