import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kendalltau, linregress

from eval.ladder.figures import (
    bias,
    cross_talk,
    kendall_tau,
    mae,
    mean_and_interval,
    order_accuracy,
    r2,
    shuffled_summary,
    size_accuracy,
    slope,
    summarize_ladder,
)
from preprocess.vocabulary import FIT_LABELS

NAN = np.nan
RISING = np.array([[1.0, 2.0, 3.0]])
labels = st.sampled_from(FIT_LABELS)
ladders = arrays(np.float64, (3, 6), elements=st.floats(-4, 4).map(lambda x: round(x, 2)))


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        pytest.param([1, 2, 3], 1.0, id="obeyed"),
        pytest.param([3, 2, 1], 0.0, id="reversed"),
        pytest.param([1, 1, 1], 0.5, id="ties count one half"),
        pytest.param([1, 3, 2], 2 / 3, id="one of three pairs is wrong"),
        pytest.param([1, 1, 2], 2.5 / 3, id="one of three pairs is tied"),
        pytest.param([1, NAN, 3], 1.0, id="pairs with an unknown are left out"),
        pytest.param([NAN, NAN, 3], NAN, id="no pair, no figure"),
    ],
)
def test_order_accuracy_of_three_rungs(measured: list[float], expected: float) -> None:
    np.testing.assert_allclose(order_accuracy(RISING, np.array([measured])), [expected])


def test_pairs_that_ask_for_the_same_are_left_out() -> None:
    assert order_accuracy(np.array([[1.0, 1.0, 2.0]]), np.array([[5.0, 1.0, 9.0]])) == [1.0]


@given(measured=ladders)
def test_kendall_tau_is_scipys(measured: np.ndarray) -> None:
    requested = np.tile(np.arange(6.0), (3, 1))
    expected = [kendalltau(x, y).statistic for x, y in zip(requested, measured, strict=True)]
    np.testing.assert_allclose(kendall_tau(requested, measured), np.nan_to_num(expected), atol=1e-12)


@given(measured=ladders)
def test_slope_is_scipys(measured: np.ndarray) -> None:
    requested = np.tile(np.arange(6.0), (3, 1))
    fits = [linregress(x, y) for x, y in zip(requested, measured, strict=True)]
    np.testing.assert_allclose(slope(requested, measured), [fit.slope for fit in fits], atol=1e-9)


@given(measured=ladders, gain=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_order_and_r2_do_not_change_with_a_linear_error(
    measured: np.ndarray, gain: float, shift: float
) -> None:
    requested = np.tile(np.arange(6.0), (3, 1))
    moved = np.round(measured, 2) * gain + shift
    np.testing.assert_allclose(r2(requested, moved), r2(requested, measured), atol=1e-6)
    np.testing.assert_allclose(order_accuracy(requested, moved), order_accuracy(requested, measured))


def test_r2_of_a_picture_that_never_changes_is_zero() -> None:
    assert r2(RISING, np.full((1, 3), 1.3)) == [0.0]
    assert np.isnan(r2(RISING, np.array([[1.0, NAN, NAN]])))


def test_mae_leaves_unknown_rungs_out() -> None:
    np.testing.assert_allclose(mae(RISING, np.array([[1.5, NAN, 2.0]])), [0.75])


def test_bias_is_above_zero_where_garments_are_too_large() -> None:
    np.testing.assert_allclose(bias(RISING, np.array([[1.5, NAN, 4.0]])), [0.75])
    np.testing.assert_allclose(bias(RISING, np.array([[1.5, NAN, 2.0]])), [-0.25])


def test_summary_counts_what_could_not_be_measured() -> None:
    measured = np.array([[1.0, 2.0, 3.0], [1.0, NAN, 3.0]])
    summary = summarize_ladder(np.repeat(RISING, 2, axis=0), measured, num_bootstrap=100, seed=0)
    assert summary["coverage"] == pytest.approx(5 / 6)
    assert summary["order_accuracy"] == 1.0
    assert summary["order_accuracy_ci95"] == [1.0, 1.0]


def test_an_unmeasured_ladder_has_no_figure() -> None:
    summary = summarize_ladder(RISING, np.full((1, 3), NAN), num_bootstrap=10, seed=0)
    assert summary["mae"] is None
    assert summary["mae_ci95"] is None
    assert summary["coverage"] == 0.0


def test_interval_of_many_people_is_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(1.0, 0.2, 400)
    mean, interval = mean_and_interval(values, num_bootstrap=4000, seed=1)
    assert interval is not None
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose(interval, [mean - half, mean + half], atol=0.003)
    assert mean_and_interval(values, num_bootstrap=4000, seed=1) == (mean, interval)


@given(seed=st.integers(0, 1000))
def test_shuffled_requests_score_one_half_whatever_was_measured(seed: int) -> None:
    requested = np.tile(np.arange(7.0), (24, 1))
    obedient = requested + 0.01
    summary = shuffled_summary(requested, obedient, num_shuffles=20, num_bootstrap=50, seed=seed)
    assert summary["order_accuracy"] == pytest.approx(0.5, abs=0.05)
    assert summary["slope"] == pytest.approx(0.0, abs=0.1)


def test_cross_talk_of_obedience_is_the_identity() -> None:
    requested = np.tile(np.linspace(0.8, 1.6, 5), (2, 3, 1))
    measured = np.full((2, 3, 5, 3), 1.1)
    for dimension in range(3):
        measured[:, dimension, :, dimension] = requested[:, dimension]
    measured[:, 1, :, 2] += 0.25 * requested[:, 1]  # asking for width lengthens the garment
    np.testing.assert_allclose(
        cross_talk(requested, measured), [[1, 0, 0], [0, 1, 0.25], [0, 0, 1]], atol=1e-9
    )


def test_labels_are_counted_by_hand() -> None:
    accuracy = size_accuracy(
        ["tight", "tight", "loose", "loose", "loose", "oversized"],
        ["tight", "fitted", "loose", "loose", "tight", None],
    )
    assert accuracy["balanced"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    # tight: 1 hit, 2 asked, 2 found; loose: 2 hits, 3 asked, 2 found; fitted: found, never asked
    assert accuracy["macro_f1"] == pytest.approx((2 * 1 / 4 + 2 * 2 / 5 + 0) / 3)
    assert accuracy["coverage"] == pytest.approx(5 / 6)
    assert accuracy["majority_share"] == pytest.approx(3 / 5)
    np.testing.assert_array_equal(accuracy["confusion"][0], [1, 1, 0, 0])


@given(requested=st.lists(labels, min_size=1), answer=labels)
def test_a_constant_scores_one_over_the_number_of_labels(requested: list[str], answer: str) -> None:
    requested = [*requested, answer]  # a constant that names a label in use
    accuracy = size_accuracy(requested, [answer] * len(requested))
    assert accuracy["balanced"] == pytest.approx(1 / len(set(requested)))
    assert accuracy["majority_baseline"] == pytest.approx(accuracy["balanced"])


@given(requested=st.lists(labels, min_size=1))
def test_an_obedient_picture_scores_one(requested: list[str]) -> None:
    accuracy = size_accuracy(requested, requested)
    assert accuracy["balanced"] == accuracy["macro_f1"] == accuracy["coverage"] == 1.0


def test_labels_shuffled_between_people_score_chance() -> None:
    rng = np.random.default_rng(0)
    requested = list(rng.choice(FIT_LABELS, 4000, p=[0.1, 0.2, 0.3, 0.4]))
    assert size_accuracy(requested, list(rng.permutation(requested)))["balanced"] == pytest.approx(
        0.25, abs=0.03
    )


def test_nothing_measured_has_no_accuracy() -> None:
    accuracy = size_accuracy(["tight"], [None])
    assert np.isnan(accuracy["balanced"])
    assert accuracy["coverage"] == 0.0
