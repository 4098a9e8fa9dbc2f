"""The command line: examples in the help name real options, mistakes are one message and status 2."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pipeline.cli.app import app

ROOT = Path(__file__).parents[2]
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


def examples(text: str) -> list[list[str]]:
    found = re.findall(r"`cinderella ([^`]+)`", text)
    return [shlex.split(" ".join(example.split())) for example in found]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_whose_options_exist(name: str) -> None:
    command = COMMANDS[name]
    shown = [words for words in examples(command.help) if words[0] == name]
    assert shown, f"{name} --help shows no example"
    options = {option for parameter in command.params for option in parameter.opts}
    for words in shown:
        assert {word for word in words if word.startswith("--")} <= options


def test_help_shows_every_command_in_a_group() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "─ Commands" not in shown, "a command stands outside the groups"
    groups = [shown.index(f"─ {group}") for group in ("Try garments on", "Data", "Networks", "Evaluation")]
    assert groups == sorted(groups)


def test_the_readme_names_commands_that_exist() -> None:
    block = re.findall(r"^cinderella ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert block
    assert set(block) <= set(COMMANDS)


def test_doctor_says_what_is_missing_and_how_much_memory_it_takes(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--pretrained", str(tmp_path)])
    assert result.exit_code == 1
    assert "train_joint" in result.output
    assert "unet" in result.output
    (size,) = (
        line for line in result.output.splitlines() if line.startswith("cpu ") and "train_size" in line
    )
    assert "train_size, a sample at a time with runtime.mixed_precision and" in size
    assert ": 13.9 GiB (13.3 of weights" in size, "in half precision, though the folder is taken for full"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["annotate", "--root", "nowhere", "--out", "x.parquet"], "nowhere is not a folder", id="folder"
        ),
        pytest.param(["compare", "nowhere"], "nowhere", id="card"),
        pytest.param(["evaluate", "--out", "x"], "one of --checkpoint and --generated", id="nothing judged"),
        pytest.param(
            ["evaluate", "--out", "x", "--checkpoint", "joint"], "--root, or by --shards", id="no data"
        ),
        pytest.param(["doctor", "--preset", "huge"], "there is no base 'huge': known are", id="preset"),
    ],
)
def test_what_is_wrong_is_one_message_and_status_2(arguments: list[str], message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.app", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["try-on", "--person", "a.jpg", "--garment", "b.jpg", "--out", "s3://bucket/x"],
        ["publish", "--out", "s3://bucket/x"],
        ["inspect", "a.parquet", "--html", "s3://bucket/x"],
        ["inspect", "a.parquet", "--png", "s3://bucket/x"],
        ["evaluate", "--checkpoint", "joint", "--out", "s3://bucket/x"],
        ["compare", "reports", "s3://bucket/x"],
        ["fetch-models", "--out", "s3://bucket/x"],
    ],
)
def test_a_url_is_no_folder_of_this_machine(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "s3://bucket/x is a URL, where a path of this machine is wanted" in done.output
    assert not list(tmp_path.iterdir())


def test_help_starts_without_heavy_libraries() -> None:
    code = "import sys, pipeline.cli.app; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"torch", "diffusers", "mediapipe", "matplotlib"} & set(loaded.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "folder"], "cinderella: folder/metrics.json: not found\n"),
        (["compare", "text"], "cinderella: text must be a metrics.json, but is no JSON: "),
        (["compare", "number"], "cinderella: number must be a metrics.json of evaluate_tryon, but has no"),
        (["demo", "--chart", "folder"], "cinderella: folder: is a folder, where a file is wanted\n"),
        (["demo", "--chart", "text/chart.csv"], "cinderella: text/chart.csv: can't be there: a part of the"),
        (["doctor", "--params", "folder"], "folder must be a text file that can be read: "),
        (["doctor", "--params", "binary"], "binary must be a text file that can be read: "),
        (["try-on", "--person", "folder", "--preview", "--out", "o"], "cinderella: folder: is a folder, wh"),
        (["try-on", "--person", "none", "--preview", "--out", "o"], "cinderella: none: not found\n"),
        (["try-on", "--person", "text", "--preview", "--out", "o"], "cinderella: person photo text must be"),
    ],
)
def test_what_is_no_file_of_its_kind_is_named(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("a text\n")
    (tmp_path / "number").write_text("5\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    done = run_in(tmp_path, *arguments)
    assert (done.returncode, done.stderr[: len(message)]) == (2, message)


def run_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `cinderella` there, its output into pipes."""
    return subprocess.run(
        [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_comparison_that_is_no_window_wide_loses_nothing(tmp_path: Path) -> None:
    names = ["best", *(f"a_system_with_a_long_[name]_{number}" for number in range(1, 6))]
    for number, name in enumerate(names):
        gfd = {"mean": 10.12345 + number, "coverage": 1 / (number + 1)}
        (tmp_path / name).write_text(json.dumps({"protocol": {}, "gfd": gfd}))
    done = run_in(tmp_path, "compare", *names)
    assert all(name in done.stdout.splitlines()[1] for name in names)
    (row,) = (line for line in done.stdout.splitlines() if "gfd.mean" in line)
    assert row.split("│")[2:8] == [
        f" {10.12345 + n:.4f} ".ljust(len(name) + 2) for n, name in enumerate(names)
    ]
    assert f" {names[0]}; {names[1]} covers 50 %, " in row
    assert f"{names[5]} covers 17 % " in row
