from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess.garment.measurements import measure_worn
from preprocess.garment.size_ratios import SizeRatioParams, fit_label, fit_label_thresholds, size_ratios
from preprocess.vocabulary import FIT_LABELS, RowStatus
from tests.preprocess.people import person, tunic

WORN = measure_worn(tunic(), person())
PARAMS = SizeRatioParams()


def test_divides_garment_by_body() -> None:
    worn = replace(WORN, garment_shoulder_px=260.0, garment_width_px=220.0, garment_length_px=400.0)
    result = size_ratios(worn, PARAMS, keypoints=person())
    np.testing.assert_allclose(result.ratios, [1.3, 1.1, 1.25])
    assert (result.status, result.reason, result.confidence) == (RowStatus.OK, None, 1.0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"garment_width_px": 900.0}, "width_out_of_bounds", id="too wide to be true"),
        pytest.param({"garment_length_px": np.nan}, "length_not_measurable", id="no hem"),
        pytest.param({"flags": ("back_view", "crossed_arm")}, "back_view; crossed_arm", id="pose"),
    ],
)
def test_doubts_make_a_row_suspect_and_change_no_ratio(change: dict[str, object], reason: str) -> None:
    result = size_ratios(replace(WORN, **change), PARAMS)
    assert (result.status, result.reason) == (RowStatus.SUSPECT, reason)
    assert result.confidence < 1
    assert result.ratios[0] == size_ratios(WORN, PARAMS).ratios[0]


def test_a_missing_length_stays_missing() -> None:
    assert np.isnan(size_ratios(replace(WORN, garment_length_px=np.nan), PARAMS).ratios).tolist() == [
        False,
        False,
        True,
    ]


def test_a_row_without_any_ratio_has_failed() -> None:
    nothing = replace(WORN, garment_shoulder_px=np.nan, garment_width_px=np.nan, garment_length_px=np.nan)
    assert size_ratios(nothing, PARAMS).status is RowStatus.FAILED


def test_tolerated_flags_are_told_and_leave_the_row_ok() -> None:
    result = size_ratios(WORN, PARAMS, flags=["tucked_hem"])
    assert (result.status, result.reason) == (RowStatus.OK, "tucked_hem")
    strict = size_ratios(WORN, replace(PARAMS, tolerated_flags=()), flags=["tucked_hem"])
    assert strict.status is RowStatus.SUSPECT


def test_confidence_falls_with_the_least_certain_joint_and_for_mediapipe() -> None:
    unsure = person()
    unsure.confidence[9] = 0.25
    assert size_ratios(WORN, PARAMS, keypoints=unsure).confidence == 0.5
    assert size_ratios(WORN, PARAMS, keypoints=replace(person(), source="mediapipe")).confidence == 0.9


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
