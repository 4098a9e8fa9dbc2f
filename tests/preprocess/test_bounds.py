import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess.garment.bounds import Bounds

lengths = st.floats(0, 1e3)


@st.composite
def bounds(draw: st.DrawFn) -> Bounds:
    low, value, high = sorted(draw(st.tuples(lengths, lengths, lengths)))
    return Bounds(value=value, low=low, high=high)


def test_uncertainty_is_the_width_over_the_value() -> None:
    assert Bounds(value=200, low=190, high=215).uncertainty == 0.125
    assert Bounds.unknown().uncertainty == np.inf
    assert Bounds(value=200, low=190, high=215).vague().uncertainty == np.inf


def test_uncertainty_at_a_length_is_of_the_larger_of_the_two() -> None:
    short = Bounds(value=0.2, low=0.18, high=0.23)
    assert short.uncertainty_at(1.0) == pytest.approx(0.05)
    assert short.uncertainty_at(0.1) == short.uncertainty == pytest.approx(0.25)
    assert Bounds.unknown().uncertainty_at(1.0) == float("inf")


def test_other_readings_stretch_the_bounds_and_missing_ones_do_not() -> None:
    found = Bounds.spanning(10, [9, float("nan"), 14])
    assert (found.low, found.value, found.high) == (9, 10, 14)
    assert np.isnan(Bounds.spanning(float("nan"), [1, 2]).low)


def test_widening_stops_at_zero() -> None:
    wide = Bounds(value=1, low=1, high=1).widened(3, 2)
    assert (wide.low, wide.value, wide.high) == (0, 1, 3)


def test_bounds_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ValueError, match="must rise, got 2, 1, 3"):
        Bounds(value=1, low=2, high=3)


@given(one=bounds(), other=bounds(), by=st.floats(0, 10), scale=st.floats(0.1, 10))
def test_whatever_is_done_the_value_stays_within(one: Bounds, other: Bounds, by: float, scale: float) -> None:
    for result in (one.plus(other), one.widened(by), one.over(scale)):
        assert result.low <= result.value <= result.high


@given(one=bounds(), by=st.floats(0, 10))
def test_wider_bounds_are_never_surer(one: Bounds, by: float) -> None:
    assert one.widened(by).uncertainty >= one.uncertainty - 1e-12
