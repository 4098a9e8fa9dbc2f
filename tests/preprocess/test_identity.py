"""What a result is identified by: parameters, inputs, and the code that makes it with all that it imports."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from preprocess.identity import code_identity, identity, import_closure

CODE = "preprocess.vocabulary"

SOURCES = {
    "preprocess/__init__.py": '"""The package."""\n',
    "preprocess/lengths.py": (
        '"""Lengths."""\nfrom typing import TYPE_CHECKING\n\nimport numpy\n\n'
        "from preprocess import units\n\nif TYPE_CHECKING:\n    from preprocess.people import Person\n"
        'CM = 2.54\n"""Of an inch."""\n\ndef inches(cm):\n'
        '    """Turn."""\n    from preprocess.rounding import rounded\n    return rounded(cm / CM)\n'
    ),
    "preprocess/units.py": "import os\n",
    "preprocess/rounding.py": "from shards.numbers import rounded\n",
    "preprocess/people.py": "Person = object\n",
    "preprocess/unused.py": "from preprocess.lengths import inches\n",
    "shards/numbers.py": "rounded = round\n",
}  # fmt: skip


@pytest.fixture
def small(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def edited(folder: Path, name: str, old: str, new: str) -> str:
    """Identity of lengths.py after an edit, in a copy of its own as files are read once."""
    copy = folder.parent / f"{folder.name}-{abs(hash((name, new)))}"
    for file in SOURCES:
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        text = (folder / file).read_text()
        assert name != file or old in text
        (copy / file).write_text(text.replace(old, new) if name == file else text)
    return code_identity("preprocess.lengths", copy)


def test_a_closure_has_what_runs_and_nothing_else(small: Path) -> None:
    names = ("__init__", "lengths", "rounding", "units")
    ours = [Path("preprocess", f"{name}.py") for name in names]
    assert import_closure("preprocess.lengths", small) == (*ours, Path("shards/numbers.py"))


def test_a_module_that_is_not_there_is_refused(small: Path) -> None:
    with pytest.raises(ValueError, match=r"must have the module it is asked for, got preprocess\.missing"):
        import_closure("preprocess.missing", small)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        pytest.param("preprocess/lengths.py", "2.54", "2.5", id="a number"),
        pytest.param("preprocess/units.py", "import os", "import sys", id="what is imported"),
        pytest.param("shards/numbers.py", "round\n", "int\n", id="what a function's import imports"),
        pytest.param("preprocess/__init__.py", "\n", "\nimport os\n", id="the package around it"),
        pytest.param("preprocess/lengths.py", "cm / CM", "CM / cm", id="the order of two words"),
    ],
)
def test_an_edit_that_can_change_a_result_is_another_identity(
    small: Path, name: str, old: str, new: str
) -> None:
    assert edited(small, name, old, new) != code_identity("preprocess.lengths", small)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        pytest.param("preprocess/lengths.py", "Turn.", "Turn centimetres.", id="a docstring"),
        pytest.param("preprocess/lengths.py", "Of an inch.", "Centimetres.", id="a constant's docstring"),
        pytest.param("preprocess/lengths.py", "CM = 2.54", "CM = 2.54  # exactly", id="a comment"),
        pytest.param("preprocess/lengths.py", "cm / CM", "(\n        cm / CM\n    )", id="layout"),
        pytest.param("preprocess/people.py", "object", "int", id="what only type checkers import"),
        pytest.param("preprocess/unused.py", "inches", "CM", id="what imports it"),
    ],
)
def test_an_edit_that_can_change_no_result_is_the_same_identity(
    small: Path, name: str, old: str, new: str
) -> None:
    assert edited(small, name, old, new) == code_identity("preprocess.lengths", small)


def test_a_stage_does_not_depend_on_the_sections_of_others() -> None:
    closure = import_closure("pipeline.compute_size_ratios")
    assert Path("pipeline/params.py") in closure
    assert Path("preprocess/garment/size_ratios.py") in closure
    assert not {Path("eval/params.py"), Path("train/params.py"), Path("shards/params.py")} & {*closure}


@dataclass(frozen=True)
class Size:
    width: float
    photo: Path = Path("a/b.png")


def test_parameters_are_told_apart_by_value() -> None:
    same = {identity(CODE, params) for params in (Size(1.5), {"photo": "a/b.png", "width": 1.5})}
    assert len(same) == 1
    others = {identity(CODE, params) for params in (Size(1.25), Size(1.5, Path("c")), [Size(1.5)], None, "")}
    assert len(others | same) == 6
    with pytest.raises(TypeError, match="must be JSON, dataclasses or paths, got ndarray"):
        identity(CODE, {"width": np.ones(2)})


def test_inputs_are_told_apart_by_content_and_by_where_each_ends(tmp_path: Path) -> None:
    assert identity(CODE, None, ["ab", "c"]) == identity(CODE, None, [b"ab", b"c"])
    kinds = [
        [],
        ["ab", "c"],
        ["a", "bc"],
        ["abc"],
        [np.arange(3)],
        [np.arange(3.0)],
        [np.arange(3)[:, None]],
        [np.arange(3)[::-1]],
    ]
    assert len({identity(CODE, None, inputs) for inputs in kinds}) == len(kinds)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one").write_text("1")
    found = {identity(CODE, None, [tmp_path])}
    (tmp_path / "in" / "one").write_text("2")
    found.add(identity(CODE, None, [tmp_path]))
    (tmp_path / "in" / "one").rename(tmp_path / "in" / "other")
    found.add(identity(CODE, None, [tmp_path]))
    assert len(found) == 3


def test_a_result_has_the_identity_of_the_code_that_makes_it(edit: Callable[[str, str, str], None]) -> None:
    before = identity(CODE, None)
    edit("preprocess/body/keypoints.py", "import", "import")
    assert identity(CODE, None) == before
    edit("preprocess/vocabulary.py", "Lip.DRESS", "Lip.SKIRT")
    assert identity(CODE, None) != before
