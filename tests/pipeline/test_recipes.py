"""Every recipe changes what it names and is an experiment of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.api import metrics_show
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides

from pipeline.cli.recipes import PRESETS, RECIPES, REFERENCE, recipe_of, require_known, run_recipes, ways
from pipeline.params import load_params

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", [*RECIPES, *PRESETS])
def test_dvc_accepts_a_recipe_as_a_valid_change(name: str, tmp_path: Path) -> None:
    command = recipe_of(name).command(name)
    assert command[:5] == ["dvc", "exp", "run", "--name", name]
    assert command[5::2] == ["--set-param"] * len(recipe_of(name).overrides)
    changed = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", changed)
    apply_overrides(changed, to_path_overrides(command[6::2]).get("params.yaml", []))
    assert (load_params(changed) == load_params(ROOT / "params.yaml")) == (name == REFERENCE)


def test_the_small_preset_trains_on_a_gpu_and_runs_only_when_it_is_named(tmp_path: Path) -> None:
    changed = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", changed)
    apply_overrides(changed, to_path_overrides(recipe_of("small").command("small")[6::2])["params.yaml"])
    params = load_params(changed)
    assert (params.train_base.preset, params.write_shards.image_height) == ("small", 256)
    assert params.train_base.unets.learning_rate == 3e-3
    for runtime in (
        section.runtime for section in (params.train_base, params.train_size, params.train_joint)
    ):
        assert runtime.mixed_precision == "bf16"
        assert runtime.compile
        assert runtime.channels_last
        assert not runtime.cache_encodings
    assert "small" in require_known(["small"])
    assert "small" not in require_known([])


def test_size_enters_by_every_set_of_ways_once() -> None:
    """Three sets without a map, and four with one, each with two controllers: eleven with the reference."""
    names = [name for name, _ in ways()]
    assert len(names) == len(set(names)) == 10
    assert {"tokens", "time", "tokens+time", "map-full", "map-simple", "tokens+time+map-simple"} <= set(names)
    assert RECIPES["time+map-simple"].overrides == (
        "train_size.parts=[time,map]",
        "train_size.controller=simple",
    )


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

    run_recipes(["tokens+time"])
    run_recipes(["tokens+time", "hybrid-encoder"])

    assert Path("params.yaml").read_bytes() == before
    assert load_params(Path("seen.yaml")).train_size.encoder == "hybrid"
    assert (
        load_params(Path("seen.yaml")).train_size.parts == load_params(Path("params.yaml")).train_size.parts
    )
    assert Path("runs.txt").read_text() == "again\n"
    for name in ("tokens+time", "hybrid-encoder"):
        assert metrics_show(rev=name) == {"size_accuracy.balanced": 0.5}
