"""Every recipe changes what it names, and the table says what came out."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.params import Params, load_params
from pipeline.recipes import RECIPES, REFERENCE, require_known, table
from preprocess.vocabulary import SIZE_RATIOS

ROOT = Path(__file__).parents[2]


def overridden(tmp_path: Path, overrides: tuple[str, ...]) -> Params:
    """params.yaml with `--set-param` overrides, as DVC writes it."""
    yaml = YAML(typ="safe")
    values: dict[str, Any] = yaml.load((ROOT / "params.yaml").read_text())
    for override in overrides:
        path, _, text = override.partition("=")
        *sections, last = path.split(".")
        place = values
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = yaml.load(text)
    changed = tmp_path / "params.yaml"
    with changed.open("w") as stream:
        YAML().dump(values, stream)
    return load_params(changed)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_valid_change(name: str, tmp_path: Path) -> None:
    plain, changed = load_params(ROOT / "params.yaml"), overridden(tmp_path, RECIPES[name].overrides)
    if name not in (REFERENCE, "no-augmentation"):
        assert changed != plain
    command = RECIPES[name].command(name)
    assert command[:3] == ["dvc", "exp", "run"]
    assert command.count("--set-param") == len(RECIPES[name].overrides)


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
