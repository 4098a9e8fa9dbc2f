"""The table of axes is whole, and what can't derive from it (YAML, pages) agrees with it."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from preprocess.body.inpaint_mask import COVERED, MaskParams, inpainting_mask
from preprocess.garment.bounds import Bounds, Measures
from preprocess.garment.measurements import measure_worn
from preprocess.garment.size_ratios import over_body
from preprocess.lower.measures import measure_lower
from preprocess.sizes.axes import AXES, AXIS_NAMES, FIT_AXIS, MEASURED_NAMES, Axis, axes_of
from preprocess.sizes.request import SizeRequest
from preprocess.vocabulary import GARMENT_LABELS, TRIED_ON, Category
from tests.preprocess.people import person, trousers, tunic
from tests.sizes import of_tops

ROOT = Path(__file__).parents[2]


WORN = measure_worn(tunic(), person())
MEASURED: dict[Category, Measures] = {
    Category.UPPER: WORN,
    Category.DRESS: WORN,
    Category.LOWER: measure_lower(*trousers()),
}


@pytest.mark.parametrize("axis", AXES, ids=lambda axis: f"{axis.category} {axis.name}")
def test_the_lengths_that_are_divided_are_measured(axis: Axis) -> None:
    worn = MEASURED[axis.category]
    assert worn.lengths[axis.garment].value > 0
    assert worn.body[axis.body] > 0


@pytest.mark.parametrize("axis", AXES, ids=lambda axis: f"{axis.category} {axis.name}")
def test_a_row_is_sound(axis: Axis) -> None:
    assert 0 < axis.credible[0] <= axis.asked[0] < axis.usual < axis.asked[1] <= axis.credible[1]
    assert 0 < axis.step < axis.usual
    assert axis.growth > 0


@pytest.mark.parametrize("category", Category)
def test_a_category_is_whole(category: Category) -> None:
    assert category in GARMENT_LABELS
    assert FIT_AXIS in axes_of(category), "its fit labels are cut from it"


@pytest.mark.parametrize("category", [*TRIED_ON, *COVERED])
def test_what_is_tried_on_has_a_mask(category: Category) -> None:
    assert category in COVERED
    assert MaskParams().largest[category].keys() == axes_of(category).keys()


def test_what_has_no_mask_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(COVERED, Category.LOWER)
    with pytest.raises(ValueError, match="no inpainting mask of the category lower: only upper, dress"):
        inpainting_mask(person(), 1024, 768, Category.LOWER, MaskParams())
    with pytest.raises(ValueError, match=r"categories and axes of theirs, got lower\.width"):
        MaskParams(largest={Category.LOWER: {"width": 3.0}})


def test_a_garment_is_divided_by_the_body() -> None:
    lengths = {
        "shoulder": Bounds(value=110, low=108, high=112),
        "width": Bounds.unknown(),
        "length": Bounds(value=300, low=290, high=310),
    }
    worn = dataclasses.replace(WORN, lengths=lengths, body={"shoulder": 100.0, "torso": 200.0})
    np.testing.assert_array_equal(over_body(worn, Category.UPPER), of_tops([1.1, np.nan, 1.5]))


def test_an_axis_of_another_garment_is_refused() -> None:
    with pytest.raises(ValueError, match="upper has the axes shoulder, width, length, got waist"):
        SizeRequest(waist=1.0)
    with pytest.raises(KeyError, match="waist"):
        SizeRequest(width=1.0)["waist"]


def test_dvc_plots_every_ladder() -> None:
    plots = YAML(typ="safe").load(ROOT / "dvc.yaml")["plots"]
    shown = {name: list(plot["y"]) for entry in plots for name, plot in entry.items()}
    ladders = [f"artifacts/reports/plots/ladder_{name}.csv" for name in AXIS_NAMES]
    assert shown["fit ladders"] == shown["geometric fit deviation"] == ladders


def test_pages_tell_the_axes_that_there_are() -> None:
    design = (ROOT / "docs" / "design.md").read_text()
    assert all(f"| `{name}_ratio` |" in design for name in MEASURED_NAMES)
    page = (ROOT / "docs" / "try-on.md").read_text()
    assert f"| | {' | '.join(['shoulder', 'waist', 'width', 'length'])} |" in page
    for category in TRIED_ON:
        cells = [f"{axis.asked[0]} to {axis.asked[1]}" for axis in axes_of(category).values()]
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{category}` |"))
        assert re.findall(r"[\d.]+ to [\d.]+", row) == cells
