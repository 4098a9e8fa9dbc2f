"""An axis that params.yaml switches on: what a process knows, what it refuses, and whose results differ."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import switched_on
from pipeline.params import load_params, require_axes
from preprocess.identity import ROOT, code_identity
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import AXES_VARIABLE

OFF, ON = "axes: [shoulder, width, length]", "axes: [shoulder, width, length, sleeve]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose params.yaml switches sleeves on."""
    text = (ROOT / "params.yaml").read_text()
    assert OFF in text
    (tmp_path / "params.yaml").write_text(text.replace(OFF, ON))
    return tmp_path


def said(code: str, folder: Path, **environment: str) -> str:
    """What a fresh process prints that runs in a folder."""
    own = {name: value for name, value in os.environ.items() if name != AXES_VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=own | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OFF, ""),
        (f"{ON}  # a comment", "sleeve"),
        ("axes:\n- shoulder\n- sleeve\nprepare_dataset:\n  root: data", "sleeve"),
        ("prepare_dataset: {}", ""),
        ("axes: sleeve\n", ""),
        ("axes: [shoulder", ""),
    ],
)
def test_params_tell_what_is_switched_on(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(text)
    assert switched_on(tmp_path / "params.yaml") == expected
    assert switched_on(tmp_path / "other.yaml") == ""


def test_the_table_and_the_columns_have_the_axis_where_it_is_switched_on(folder: Path) -> None:
    code = (
        "from pipeline.compute_size_ratios import SCHEMA; from preprocess.sizes.axes import AXIS_NAMES; "
        "print(*AXIS_NAMES, *(name for name in SCHEMA.names if 'sleeve' in name))"
    )
    on = "sleeve sleeve_ratio sleeve_low sleeve_high garment_sleeve_px"
    assert said(code, folder) == f"shoulder width length waist {on}"
    assert said(code, ROOT) == "shoulder width length waist sleeve_ratio"
    assert AXIS_NAMES == ("shoulder", "width", "length", "waist")
    assert said(code, ROOT, **{AXES_VARIABLE: "sleeve"}) == f"shoulder width length waist {on}"


@pytest.mark.parametrize("axes", ["[shoulder, width]", "[shoulder, width, length, cuff]", "[sleeve]"])
def test_axes_that_there_are_not_are_refused(
    axes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "other.yaml").write_text(text.replace(OFF, f"axes: {axes}"))
    with pytest.raises(SystemExit):
        load_params(tmp_path / "other.yaml")
    assert "must be shoulder, width, length, and may go on with sleeve" in capsys.readouterr().err


def test_a_stage_refuses_axes_that_its_process_was_not_started_with(folder: Path) -> None:
    with pytest.raises(
        ValueError, match=r"axes must be shoulder, width, length in this process, got .*sleeve"
    ):
        require_axes(load_params(folder / "params.yaml"))
    require_axes(load_params(ROOT / "params.yaml"))


def test_only_what_knows_the_axes_is_other_code_with_others(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = ("pipeline.compute_size_ratios", "pipeline.extract_keypoints")
    plain = [code_identity.__wrapped__(module) for module in modules]
    monkeypatch.setenv(AXES_VARIABLE, "sleeve")
    changed = [code_identity.__wrapped__(module) for module in modules]
    assert [one != other for one, other in zip(plain, changed, strict=True)] == [True, False]


def test_a_ratio_is_known_by_the_length_of_the_arm(tmp_path: Path) -> None:
    """A sleeve of 0.2 that may be off by 0.04 is known, though that is a fifth of it; by 0.06 isn't."""
    code = (
        "import pyarrow as pa; from preprocess.garment.known import known_ratios; "
        "rows = pa.table({'sleeve_ratio': [.2, .2], 'sleeve_low': [.16, .14], 'sleeve_high': [.24, .26]}); "
        "print(known_ratios(rows, 'sleeve'))"
    )
    assert said(code, tmp_path, **{AXES_VARIABLE: "sleeve"}) == "[0.2 nan]"
