"""An axis that params.yaml switches on: what a process knows, what it refuses, and whose results differ."""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from model.adapter.adapter import SizeAdapter
from model.bases.tiny.networks import TinyPreset, build_tiny_base
from pipeline import switched_on
from pipeline.checkpoints import RECORD, for_sizes_here
from pipeline.evaluate_tryon import require_masks
from pipeline.params import load_params, require_axes
from preprocess.body.inpaint_mask import MaskParams
from preprocess.identity import ROOT, code_identity
from preprocess.sizes.axes import AXIS_NAMES, MEANINGS
from preprocess.vocabulary import AXES_VARIABLE, TRIED_ON

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
        ("axes: [shoulder]\nroot: 2024-13-40", ""),
    ],
)
def test_params_tell_what_is_switched_on(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(text)
    assert switched_on(tmp_path / "params.yaml") == expected
    (tmp_path / "latin-1.yaml").write_bytes("# für\n".encode("latin-1"))
    assert switched_on(tmp_path / "latin-1.yaml") == switched_on(tmp_path / "other.yaml") == ""


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" sleeve,sleeve,", "sleeve"),
        ("", ""),
        ("sleeves", "CINDERELLA_AXES must name some of sleeve, got 'sleeves'"),
        ("width,sleeve", "CINDERELLA_AXES must name some of sleeve, got 'width,sleeve'"),
    ],
)
def test_the_variable_means_the_same_however_it_is_written(text: str, expected: str, tmp_path: Path) -> None:
    code = "import os, pipeline; print(os.environ['CINDERELLA_AXES'])"
    assert said(code, tmp_path, **{AXES_VARIABLE: text}) == expected


@pytest.mark.parametrize(
    ("usual", "changed", "status", "told"),
    [
        (OFF, OFF, 0, ""),
        (OFF, "", 2, "params.yaml: add the line `axes: [shoulder, width, length]`, which earlier versions"),
        (OFF, "tpyo: 1", 2, "params.yaml: 1 problem(s)\n  tpyo: Extra inputs"),
        (
            "inception: null",
            "inception: nowhere.pt",
            2,
            "params.yaml: evaluate_tryon.inception must be a file or null: there is no nowhere.pt\n",
        ),
        (
            "latents_base: null",
            "latents_base: /models/nowhere",
            2,
            "params.yaml: write_shards.latents_base must be a folder, or owner/name of the hub: there is no "
            "/models/nowhere\n",
        ),
    ],
)
def test_make_repro_says_what_is_wrong_with_the_file_before_dvc_reads_it(
    usual: str, changed: str, status: int, told: str, tmp_path: Path
) -> None:
    """DVC knows no default of a key that it watches."""
    done = checked(tmp_path, {usual: changed})
    assert (done.returncode, done.stderr[: len(told)]) == (status, told), done.stderr
    command = ["make", "--no-print-directory", "--dry-run", "repro"]  # another make may run the tests
    steps = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert steps.stdout.splitlines()[-2:] == ["python -m pipeline.params", "dvc repro"]


@pytest.mark.parametrize(
    ("preset", "pretrained", "told"),
    [
        ("sdxl", "/models/nowhere", "/models/nowhere"),
        ("sdxl", "yisol/IDM-VTON", ""),
        ("sdxl", str(ROOT), ""),
        ("tiny", "/models/nowhere", ""),  # which is made here
    ],
)
def test_a_base_that_is_nowhere_is_told_before_the_preprocessing(
    preset: str, pretrained: str, told: str, tmp_path: Path
) -> None:
    done = checked(
        tmp_path, {"preset: tiny ": f"preset: {preset} ", "pretrained: null": f"pretrained: {pretrained}"}
    )
    line = (
        f"params.yaml: train_base.pretrained must be a folder, or owner/name of the hub: there is no {told}\n"
    )
    assert (done.returncode, done.stderr) == ((2, line) if told else (0, ""))


def checked(folder: Path, changes: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What the check before `make repro` says of a params.yaml with changes."""
    text = (ROOT / "params.yaml").read_text()
    for usual, changed in changes.items():
        assert text.count(usual) == 1
        text = text.replace(usual, changed)
    (folder / "params.yaml").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pipeline.params"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


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


def test_a_sleeve_that_covers_the_arm_gets_no_longer_and_steps_up_are_no_mistake(tmp_path: Path) -> None:
    code = (
        "import numpy as np; from preprocess.sizes.request import SizeRequest as S; "
        "from eval.ladder.trials import beyond; from preprocess.vocabulary import Category; "
        "natural = S(width=1.2, sleeve=0.99); "
        "print(*(S(steps=n).resolved(natural).required_in_range()['sleeve'] for n in (0, 1, 2)), "
        "beyond(Category.UPPER, np.tile([0.1, 0.9], (5, 1)), 0.5)[4])"
    )
    assert said(code, tmp_path, **{AXES_VARIABLE: "sleeve"}) == "0.99 1.0 1.0 [0.01 1.  ]"


def test_a_photo_shows_a_short_sleeve_that_is_off_by_little_of_the_arm(tmp_path: Path) -> None:
    """A sleeve of 0.2 shows 0.18 and 0.22, though that is a tenth of it, and neither 0.16 nor 0.24."""
    code = (
        "from preprocess.layout.worn_photo import WornPhoto, shows; "
        "from preprocess.body.densepose import nearest_parts; from preprocess.body.drawing import draw_body; "
        "from preprocess.sizes.request import SizeRequest as S; "
        "from tests.preprocess.people import paint_photo; "
        "from tests.preprocess.test_sleeves import parse_with, wide_armed; joints = wide_armed(); "
        "worn = parse_with(joints, 0.2, 0.2) == 5; photo = WornPhoto(paint_photo(worn, joints), worn); "
        "body = nearest_parts(draw_body(joints, *worn.shape)); "
        "print(*(shows(photo, joints, S(sleeve=ratio).as_array(), body, 'upper') "
        "for ratio in (0.16, 0.18, 0.2, 0.22, 0.24)))"
    )
    assert said(code, tmp_path, **{AXES_VARIABLE: "sleeve"}) == "False True True True False"


def test_sleeves_that_end_where_none_can_are_what_covers_the_arms_without_them(tmp_path: Path) -> None:
    """Arms of 401 px, of which 201 go out by 180 and down by 90.

    A shoulder of 260 px reaches out 30 px over them, 34 px along them or 0.084; one of 300 px 56 or 0.139.
    A narrower one than the joints covers nothing, and arms come down out of its rows after 47 px, at 0.116.
    """
    code = (
        "import numpy as np; from preprocess.layout.possible import possible_on; "
        "from preprocess.garment.parse import garment_mask; from preprocess.vocabulary import Category as C; "
        "from preprocess.sizes.request import SizeRequest as S; joints = wide_armed(); "
        "parse = parse_with(joints, 0, 0); worn = garment_mask(parse, C.UPPER); "
        "natural = S(shoulder=1.3, width=1.2, length=1.25, sleeve=0.084).as_array(); "
        "had = lambda **size: possible_on(worn, joints, natural, S(**size).as_array())[4]; "
        "print(*(had(shoulder=one, sleeve=end) for one, end in "
        "((1.3, 0.01), (1.3, 0.2), (1.5, 0.01), (1.5, 0.6), (0.9, 0.05), (0.9, 0.1), (0.9, 0.15))), "
        "had(width=1.5))"
    )
    imports = "from tests.preprocess.test_sleeves import parse_with, wide_armed; "
    told = said(imports + code, tmp_path, **{AXES_VARIABLE: "sleeve"}).split()
    expected = [0.084, 0.2, 0.139, 0.6, 0.01, 0.01, 0.15, np.nan]
    np.testing.assert_allclose(np.array(told, float), expected, atol=0.006)


def test_a_sleeve_that_cant_be_had_is_drawn_as_it_can_with_a_warning(tmp_path: Path) -> None:
    """A shoulder of 1.3 covers 0.084 of the arms: no sleeve is shorter."""
    code = (
        "from tests.preprocess.test_sleeves import parse_with, wide_armed; "
        "import numpy as np; from pipeline.tryon.pictures import clamped; "
        "from pipeline.tryon.size_aware import possible; "
        "from preprocess.person.prepare import prepare_person; "
        "from preprocess.body.inpaint_mask import MaskParams; "
        "from preprocess.sizes.request import SizeRequest; joints, mask = wide_armed(), MaskParams(); "
        "parse = parse_with(joints, 0, 0); photo = np.full((*parse.shape, 3), 200, np.uint8); "
        "person = prepare_person(photo, keypoints=joints, parse=parse, mask=mask); "
        "short, long = (SizeRequest(shoulder=1.3, sleeve=end) for end in (0.01, 0.3)); "
        "drawn = possible(person, short); print(possible(person, long) == long, "
        "*clamped(short, drawn, mask.asked('upper')), sep='; ')"
    )
    told, warning = said(code, tmp_path, **{AXES_VARIABLE: "sleeve"}).splitlines()
    found = re.fullmatch(r"True; sleeve: 0.01 asked for, (0\.0\d+) drawn \(with the other sizes\)", told)
    assert found is not None, told
    assert float(found[1]) == pytest.approx(0.084, abs=0.006)
    assert warning.startswith("sleeve 0.01 can't be had with the other sizes: drawn at 0.0")


def test_a_chart_tells_sleeves_where_they_are_a_size(tmp_path: Path) -> None:
    """Somebody of 170 cm has arms of 0.333 x 170 = 56.6 cm, which 20 cm cover to 0.353 and 60 cm whole."""
    (tmp_path / "chart.csv").write_text("size,chest_cm,sleeve_cm\nshort,100,20\nlong,100,60\nopen,100,\n")
    code = (
        "from preprocess.sizes.chart import SizeChart; from preprocess.sizes.centimetres import Wearer; "
        "body = Wearer(chest_cm=90, height_cm=170); chart = SizeChart.read('chart.csv'); "
        "asked = [chart.request(name, body) for name in ('short', 'long', 'open')]; "
        "print(*(size['sleeve'] and round(size['sleeve'], 3) for size in asked))"
    )
    assert said(code, tmp_path, **{AXES_VARIABLE: "sleeve"}) == "0.353 1.0 None"
    assert "must have some of chest_cm, shoulder_cm, length_cm, waist_cm, hip_cm, inseam_cm, got" in said(
        code, tmp_path
    )


def test_a_preview_says_that_it_leaves_sleeves_as_they_are(tmp_path: Path) -> None:
    code = (
        "from pipeline.tryon.preview import left_open, on_known_axes; "
        "from preprocess.sizes.request import SizeRequest as S; asked = S(width=1.4, sleeve=0.9); "
        "shown = on_known_axes(asked, S(width=1.2, sleeve=0.3)); "
        "print(shown, *left_open([asked], [shown]), sep='; ')"
    )
    note = "sleeve was asked for, but stays as it is: no preview shows it"
    assert said(code, tmp_path, **{AXES_VARIABLE: "sleeve"}).splitlines()[-1] == f"width 1.40; {note}"


def test_weights_that_know_an_axis_that_is_off_say_how_to_switch_it_on() -> None:
    base = build_tiny_base(TinyPreset(), 0)
    adapter = SizeAdapter.for_sites(base.sites(), MEANINGS | {"sleeve": ""}, categories=TRIED_ON)
    with pytest.raises(
        ValueError, match=r"joint was trained with the axis sleeve.* set CINDERELLA_AXES=sleeve"
    ):
        for_sizes_here(adapter, "joint")


def test_masks_that_tell_of_fewer_axes_are_those_of_the_table(tmp_path: Path) -> None:
    """As those of weights that were trained before an axis was switched on."""
    full = asdict(MaskParams())
    fewer = {name: dict(ratios) for name, ratios in full["largest"].items()}
    del fewer["upper"]["length"]
    (tmp_path / RECORD).write_text(json.dumps({"mask": full | {"largest": fewer}}))
    require_masks(tmp_path, full)
    with pytest.raises(ValueError, match="was trained with the inpainting masks"):
        require_masks(tmp_path, full | {"margin": 0.2})
    with pytest.raises(ValueError, match="was trained with the inpainting masks"):
        require_masks(tmp_path, None)


def test_sleeves_are_off_by_shares_of_the_arm_however_short_they_are(tmp_path: Path) -> None:
    """0.05 in place of none is 4 % of the arm too long, not 400 % of next to nothing."""
    code = (
        "from preprocess.person.fit_report import region_fit; from preprocess.sizes.axes import axes_of; "
        "upper = axes_of('upper'); "
        "fits = [region_fit(upper['sleeve'], 0.3, 0.05, 0.01), region_fit(upper['width'], 1.0, 1.2, 1.5)]; "
        "print(*(text for fit in fits for text in (fit.verdict, fit.obedience)), sep='; ')"
    )
    told = "4 % long at the arms; 25 % less than asked; 20 % tight at the chest; 20 % more than asked"
    assert said(code, tmp_path, **{AXES_VARIABLE: "sleeve"}) == told
