"""dvc.yaml, params.yaml and the modules of pipeline/ name the same stages; each watches what it runs."""

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.params import Params, load_params
from preprocess.identity import AXES, PACKAGES, ROOT, import_closure

STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
SOURCES = [
    file.relative_to(ROOT)
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
    if file.name != "__init__.py"
]
AUTHOR = ["-c", "user.name=somebody", "-c", "user.email=somebody@localhost"]


def paths_of(entries: list[str | dict[str, object]]) -> list[str]:
    """Paths of a `deps` or `outs` list, whose entries may carry options."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def code_of(name: str) -> list[Path]:
    """Files and folders of code that a stage watches."""
    return [Path(dep) for dep in paths_of(STAGES[name]["deps"]) if not dep.startswith("$")]


def closure_of(name: str) -> set[Path]:
    """Modules that a stage runs; the line of text of a package can't change a result."""
    return {file for file in import_closure(f"pipeline.{name}") if (ROOT / file).read_text().count("\n") > 1}


def reruns(files: list[Path]) -> set[str]:
    """The stages that run again when any of `files` is edited."""
    return {name for name in STAGES for dep in code_of(name) for file in files if file.is_relative_to(dep)}


def below(folder: str) -> list[Path]:
    """The modules of a folder, which has some."""
    files = [file for file in SOURCES if file.is_relative_to(folder)]
    assert files
    return files


def test_params_yaml_is_valid_and_has_one_section_per_stage() -> None:
    load_params(ROOT / "params.yaml")
    assert set(Params.model_fields) - {"axes"} == set(STAGES)


def test_all_that_is_wrong_with_params_yaml_is_said_at_once_a_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    values["prepare_dataset"]["source"] = "viton"
    values["train_base"]["preset"] = "sdxxl"
    values["train_size"]["loss"]["sise"] = 1
    values["evaluate_tryon"]["low_memory"] = 24
    (tmp_path / "params.yaml").write_text(json.dumps(values))
    with pytest.raises(SystemExit):
        load_params(tmp_path / "params.yaml")
    first, source, base, loss, memory = capsys.readouterr().err.splitlines()
    assert first.endswith("4 problem(s)")
    assert re.fullmatch(r"  prepare_dataset: .*source must be one of .*viton_hd.*, got 'viton'", source)
    assert re.fullmatch(r"  train_base: .*no base 'sdxxl': known are catvton, .*tiny_klein", base)
    assert loss == "  train_size.loss.sise: Unexpected keyword argument (got 1)"
    assert memory.startswith("  evaluate_tryon.low_memory: ")
    assert memory.endswith('(got the number 24: write it in quotes, "24")')


def test_a_folder_may_be_named_by_a_date(tmp_path: Path) -> None:
    """YAML reads it as one, as it reads a number where quotes are forgotten."""
    text = (ROOT / "params.yaml").read_text().replace("root: data ", "root: 2024-05-01 ")
    (tmp_path / "params.yaml").write_text(text)
    assert load_params(tmp_path / "params.yaml").prepare_dataset.root == "2024-05-01"


def test_a_day_that_there_is_not_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "params.yaml").read_text().replace("root: data ", "root: 2024-13-40 ")
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(SystemExit):
        load_params(tmp_path / "params.yaml")
    assert "params.yaml: not valid YAML: month must be in 1..12" in capsys.readouterr().err


@pytest.mark.parametrize("name", STAGES)
def test_stage_is_one_module_and_one_section(name: str) -> None:
    stage = STAGES[name]
    assert shlex.split(stage["cmd"])[:3] == ["python", "-m", f"pipeline.{name}"]
    assert importlib.util.find_spec(f"pipeline.{name}") is not None
    assert stage["params"] == [name, "axes"] if AXES in closure_of(name) else [name]


@pytest.mark.parametrize("name", STAGES)
def test_every_path_of_a_stage_is_in_its_command(name: str) -> None:
    stage = STAGES[name]
    data = {
        path
        for path in paths_of(stage["deps"] + stage["outs"] + stage.get("metrics", []))
        if re.match(r"\$\{at\.", path)
    }
    assert data <= set(shlex.split(stage["cmd"]))


@pytest.mark.parametrize("name", STAGES)
def test_editing_any_imported_file_reruns_the_stage(name: str) -> None:
    unwatched = {file for file in closure_of(name) if not any(file.is_relative_to(d) for d in code_of(name))}
    assert not unwatched


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_watches_no_folder_that_it_mostly_does_not_run(name: str) -> None:
    closure = closure_of(name)
    for dep in code_of(name):
        assert (ROOT / dep).exists(), f"{dep} is gone"
        watched = [file for file in SOURCES if file.is_relative_to(dep)] or [dep]
        assert 2 * len(closure & set(watched)) > len(watched), f"list what it runs of {dep}"


def test_editing_size_charts_or_centimetres_reruns_nothing() -> None:
    files = [Path("preprocess", "sizes", f"{name}.py") for name in ("chart", "centimetres")]
    assert all((ROOT / file).is_file() for file in files)
    assert reruns(files) == set()


def test_editing_the_report_reruns_only_the_evaluation() -> None:
    for file in below("eval/report"):
        assert reruns([file]) == {"evaluate_tryon"}


@pytest.mark.parametrize("folder", ["pipeline/demo", "pipeline/cli", "pipeline/tryon"])
def test_editing_what_shows_or_tries_on_reruns_nothing(folder: str) -> None:
    assert reruns(below(folder)) == set()


@pytest.mark.parametrize("name", ["engines", "local", "on_ray", "on_slurm"])
def test_editing_an_engine_reruns_nothing(name: str) -> None:
    assert reruns([Path(f"pipeline/engine/{name}.py")]) == set()


def test_editing_a_renderer_of_dolls_reruns_only_who_draws_them() -> None:
    """The evaluation draws held-out dolls again, without their prints."""
    assert reruns(below("preprocess/sources/paper_dolls")) == {"prepare_dataset", "evaluate_tryon"}


def test_editing_the_names_of_parse_labels_reruns_all_that_reads_them() -> None:
    assert reruns([Path("preprocess/vocabulary.py")]) == set(STAGES)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What git has of the pipeline's description, and nothing that a stage made."""
    for name in ("dvc.yaml", "params.yaml", "headline.json", ".dvc/config", ".dvc/.gitignore", ".dvcignore"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    shutil.copyfile(ROOT / ".gitignore", tmp_path / ".gitignore")
    for command in (["init", "-q"], ["add", "."], [*AUTHOR, "commit", "-qm", "one"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def metrics(clone: Path, *command: str) -> dict[str, Any]:
    """What `dvc metrics` says as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "metrics", *command, "--json"],
        cwd=clone, capture_output=True, text=True, check=True,
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_fresh_clone_shows_and_compares_the_figures(clone: Path) -> None:
    figures = json.loads((ROOT / "headline.json").read_text())
    assert "ladder.width.order_accuracy" in figures
    assert metrics(clone, "show")[""]["data"]["headline.json"]["data"] == figures
    (clone / "headline.json").write_text(json.dumps(figures | {"gfd.mean": 0.5}))
    found = metrics(clone, "diff")["headline.json"]["gfd.mean"]
    assert (found["old"], found["new"]) == (figures["gfd.mean"], 0.5)


def pages() -> list[Path]:
    """The pages that tell a user what to set."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def leaves(values: dict[str, Any], above: str = "") -> Iterator[str]:
    """Yield the dotted names of sections and of all keys below them."""
    for name, value in values.items():
        yield above + name
        if isinstance(value, dict):
            yield from leaves(value, f"{above}{name}.")


def pieces_on(page: Path) -> Iterator[dict[str, Any]]:
    """Yield what a page shows of params.yaml."""
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        values = YAML(typ="safe").load(block)
        if values.keys() <= Params.model_fields.keys():
            yield values


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return the settings below, those that stand above in their place."""
    nested = {name: value for name, value in above.items() if isinstance(value, dict)}
    return below | above | {name: laid_over(below.get(name, {}), value) for name, value in nested.items()}


def named_on(page: Path) -> set[str]:
    """The keys of params.yaml that a page names, as `section.key` or in a piece of the file."""
    names = set(re.findall(rf"\b((?:{'|'.join(STAGES)})(?:\.[a-z_]+)+)\b(?!\()", page.read_text()))
    names |= {name for piece in pieces_on(page) for name in leaves(piece)}
    return {name for name in names if not name.endswith(".py")}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_piece_of_params_yaml_on_a_page_is_valid_in_its_place(page: Path) -> None:
    whole = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    for piece in pieces_on(page):
        Params.model_validate_json(json.dumps(laid_over(whole, piece)))


def test_a_base_with_weights_is_shown_with_settings_that_fit_a_card() -> None:
    """The file's own are those of small networks: whole batches in full precision, all encodings kept."""
    shown = [
        piece for page in pages() for piece in pieces_on(page) if "pretrained" in piece.get("train_base", ())
    ]
    assert len(shown) == 3
    for piece in shown:
        for stage in ("train_size", "train_joint"):
            runtime = piece[stage]["runtime"]
            assert runtime["mixed_precision"] == "bf16"
            assert runtime["gradient_checkpointing"]
        stages = [piece[stage]["runtime"] for stage in ("train_base", "train_size", "train_joint")]
        assert not any(runtime["cache_encodings"] for runtime in stages)
        assert piece["evaluate_tryon"]["batch_size"] <= 8


def test_every_key_that_a_page_names_can_be_set_in_an_experiment() -> None:
    """`dvc exp run -S` takes a key that stands in params.yaml; others need a `+`."""
    known = {*leaves(YAML(typ="safe").load((ROOT / "params.yaml").read_text()))}
    found = {page.name: named_on(page) for page in pages()}
    assert found["README.md"] >= {"write_shards.image_height", "extract_keypoints.mediapipe_model"}
    assert {page: names - known for page, names in found.items() if names - known} == {}
