from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess.garment.bounds import Bounds
from preprocess.garment.measurements import WornMeasures, measure_worn
from preprocess.garment.size_ratios import SizeRatioParams, fit_label, fit_label_thresholds, size_ratios
from preprocess.vocabulary import FIT_LABELS, SEGMENTED, RowStatus
from tests.preprocess.people import person, tunic
from tests.sizes import TOP_PLACES, of_tops

WORN = measure_worn(tunic(), person())
PARAMS = SizeRatioParams()


def exactly(**px: float) -> WornMeasures:
    """`WORN` with some lengths replaced by ones without any doubt."""
    lengths = {name: Bounds(value=value, low=value, high=value) for name, value in px.items()}
    return replace(WORN, lengths={**WORN.lengths, **lengths})


def between(low: float, value: float, high: float) -> WornMeasures:
    """`WORN` with a width in px that lies between two bounds."""
    return replace(WORN, lengths={**WORN.lengths, "width": Bounds(value=value, low=low, high=high)})


def test_divides_garment_by_body() -> None:
    result = size_ratios(exactly(shoulder=260, width=220, length=400), PARAMS, keypoints=person())
    np.testing.assert_allclose(result.ratios, of_tops([1.3, 1.1, 1.25]))
    assert (result.status, result.reason, result.confidence) == (RowStatus.OK, None, 1.0)
    assert result.known[TOP_PLACES].all()


def test_a_ratio_is_known_where_its_bounds_are_narrow() -> None:
    narrow, wide = (size_ratios(between(low, 200, 212), PARAMS) for low in (193, 191))
    assert (narrow.known[1], narrow.status, narrow.reason) == (True, RowStatus.OK, None)
    assert (wide.known[1], wide.status, wide.reason) == (False, RowStatus.SUSPECT, "width_unknown")
    assert (wide.bounds["width"].low, wide.bounds["width"].high) == (191 / 200, 212 / 200)
    assert size_ratios(between(191, 200, 212), replace(PARAMS, max_uncertainty=0.11)).known[1]


@pytest.mark.parametrize(
    ("flag", "unknown"),
    [
        pytest.param("back_view", [True, True, True], id="from behind nothing can be told"),
        pytest.param("raised_arm", [True, False, False], id="a raised arm spoils the shoulders alone"),
        pytest.param("missing_elbow", [False, True, False], id="nobody knows where that arm is"),
        pytest.param("tucked_hem", [False, False, False], id="a tucked hem is no fault"),
    ],
)
def test_flags_leave_only_the_meaningless_without_bounds(flag: str, unknown: list[bool]) -> None:
    result = size_ratios(replace(WORN, flags=(flag,)), PARAMS)
    assert [bool(np.isnan(ratio.low)) for ratio in result.bounds.values()] == unknown
    np.testing.assert_array_equal(result.ratios, size_ratios(WORN, PARAMS).ratios)
    assert (result.reason or "").startswith(flag)


def test_the_same_reasons_are_said_in_the_same_order() -> None:
    """A left panel and a right one are looked at in turn, so flags come in any order."""
    for first, second in [("tucked_hem", "open_jacket"), ("open_jacket", "tucked_hem")]:
        worn = replace(exactly(width=900), flags=(first, "crossed_arm"))
        result = size_ratios(worn, PARAMS, flags=[second, "crossed_arm"])
        assert (result.reason or "").startswith("crossed_arm; open_jacket; tucked_hem; width_out_of_bounds; ")


def test_a_ratio_that_nobody_wears_is_not_known() -> None:
    result = size_ratios(exactly(width=900), PARAMS)
    assert (result.status, result.reason) == (RowStatus.SUSPECT, "width_out_of_bounds; width_unknown")
    reworded = replace(result, reason="as wide as a tent")
    np.testing.assert_allclose(reworded.credible, of_tops([1.3, np.nan, 1.25]), rtol=0.002)


def test_a_missing_length_stays_missing() -> None:
    nothing = replace(WORN, lengths={**WORN.lengths, "length": Bounds.unknown()})
    result = size_ratios(nothing, PARAMS)
    assert np.isnan(result.ratios[TOP_PLACES]).tolist() == [False, False, True]
    assert (result.status, result.reason) == (RowStatus.SUSPECT, "length_not_measurable; length_unknown")


def test_a_row_without_any_ratio_has_failed() -> None:
    nothing = replace(WORN, lengths=dict.fromkeys(WORN.lengths, Bounds.unknown()))
    assert size_ratios(nothing, PARAMS).status is RowStatus.FAILED


def test_a_garment_told_by_its_colours_has_wider_bounds() -> None:
    sure, told = (size_ratios(exactly(width=200), PARAMS, flags=flags) for flags in ((), (SEGMENTED,)))
    assert (sure.bounds["width"].low, sure.bounds["width"].high) == (1.0, 1.0)
    np.testing.assert_allclose([told.bounds["width"].low, told.bounds["width"].high], [0.95, 1.05])


def test_unsure_joints_widen_what_is_measured_over_them() -> None:
    unsure = person()
    unsure.confidence[9] = 0.1  # a fifth of what counts as sure: 4 % either way
    result = size_ratios(exactly(shoulder=260, width=220, length=400), PARAMS, keypoints=unsure)
    np.testing.assert_allclose([ratio.uncertainty for ratio in result.bounds.values()], [0, 0, 0.08])


def test_confidence_falls_with_the_least_certain_joint_and_for_mediapipe() -> None:
    exact = exactly(shoulder=260, width=220, length=400)
    unsure = person()
    unsure.confidence[9] = 0.25  # half as sure: 2.5 % either way, a quarter of the way to nothing known
    assert size_ratios(exact, PARAMS, keypoints=unsure).confidence == pytest.approx(
        0.5 * (2 + 0.75) / 3, abs=1e-4
    )
    assert size_ratios(exact, PARAMS, keypoints=replace(person(), source="mediapipe")).confidence < 0.9


@given(widths=st.lists(st.floats(0.5, 2.5), min_size=40, max_size=400, unique=True))
def test_thresholds_cut_the_labels_at_their_shares(widths: list[float]) -> None:
    thresholds = fit_label_thresholds(np.array(widths))
    labels = [fit_label(width, thresholds) for width in widths]
    shares = [labels.count(label) / len(widths) for label in FIT_LABELS]
    np.testing.assert_allclose(shares, [0.2, 0.3, 0.3, 0.2], atol=0.05)
    assert (np.diff(thresholds) >= 0).all()


def test_labels_rise_with_the_width() -> None:
    assert [fit_label(width, [0.9, 1.1, 1.3]) for width in (0.8, 0.9, 1.2, 1.3)] == [
        "tight", "fitted", "loose", "oversized",
    ]  # fmt: skip


def test_labels_need_something_to_be_cut_from() -> None:
    with pytest.raises(ValueError, match="at least one measured width ratio"):
        fit_label_thresholds(np.array([np.nan]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"credible": {"width": (2.0, 1.0)}}, "must have bounds that rise", id="bounds fall"),
        pytest.param(
            {"fit_quantiles": (0.5, 0.2, 0.8)}, "fit_quantiles must be 3 rising", id="quantiles fall"
        ),
        pytest.param({"fit_quantiles": (0.5,)}, "fit_quantiles must be 3 rising", id="too few"),
    ],
)
def test_nonsense_parameters_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SizeRatioParams(**values)
