import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.ladder.fit_metrics import size_accuracy
from preprocess.vocabulary import FIT_LABELS

labels = st.sampled_from(FIT_LABELS)


def test_counts_by_hand() -> None:
    accuracy = size_accuracy(
        ["tight", "tight", "loose", "loose", "loose", "oversized"],
        ["tight", "fitted", "loose", "loose", "tight", None],
    )
    assert accuracy.balanced == pytest.approx((1 / 2 + 2 / 3) / 2)
    # tight: 1 hit, 2 asked, 2 found; loose: 2 hits, 3 asked, 2 found; fitted: found, never asked
    assert accuracy.macro_f1 == pytest.approx((2 * 1 / 4 + 2 * 2 / 5 + 0) / 3)
    assert accuracy.coverage == pytest.approx(5 / 6)
    assert accuracy.majority_share == pytest.approx(3 / 5)
    np.testing.assert_array_equal(accuracy.confusion[0], [1, 1, 0, 0])


@given(requested=st.lists(labels, min_size=1), answer=labels)
def test_a_constant_scores_one_over_the_number_of_labels(requested: list[str], answer: str) -> None:
    requested = [*requested, answer]  # a constant that names a label in use
    accuracy = size_accuracy(requested, [answer] * len(requested))
    assert accuracy.balanced == pytest.approx(1 / len(set(requested)))
    assert accuracy.majority_baseline == pytest.approx(accuracy.balanced)


@given(requested=st.lists(labels, min_size=1))
def test_an_obedient_picture_scores_one(requested: list[str]) -> None:
    accuracy = size_accuracy(requested, requested)
    assert accuracy.balanced == accuracy.macro_f1 == accuracy.coverage == 1.0


def test_labels_shuffled_between_people_score_chance() -> None:
    rng = np.random.default_rng(0)
    requested = list(rng.choice(FIT_LABELS, 4000, p=[0.1, 0.2, 0.3, 0.4]))
    assert size_accuracy(requested, list(rng.permutation(requested))).balanced == pytest.approx(
        0.25, abs=0.03
    )


def test_nothing_measured_has_no_accuracy() -> None:
    accuracy = size_accuracy(["tight"], [None])
    assert np.isnan(accuracy.balanced)
    assert accuracy.coverage == 0.0
