"""Every recipe changes what it names, and the table says what came out."""

import shutil
from pathlib import Path

import pytest
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides

from pipeline.params import load_params
from pipeline.recipes import RECIPES, REFERENCE, require_known, table
from preprocess.vocabulary import SIZE_RATIOS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", RECIPES)
def test_dvc_accepts_a_recipe_as_a_valid_change(name: str, tmp_path: Path) -> None:
    command = RECIPES[name].command(name)
    assert command[:6] == ["dvc", "exp", "run", "--force", "--name", name]
    assert command[6::2] == ["--set-param"] * len(RECIPES[name].overrides)
    changed = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", changed)
    apply_overrides(changed, to_path_overrides(command[7::2]).get("params.yaml", []))
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
