import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.image.kid import poly_mmd

from eval.images.distances import FeatureMoments, frechet_distance, kernel_distance, squared_discrepancy

RNG = np.random.default_rng(0)
ONE = RNG.normal(0, 1, (400, 24)) @ RNG.normal(0, 1, (24, 24))
OTHER = RNG.normal(0.2, 1.3, (300, 24)) @ RNG.normal(0, 1, (24, 24))


def moments(features: np.ndarray, batch_size: int = 64) -> FeatureMoments:
    taken = FeatureMoments(features.shape[1])
    for start in range(0, len(features), batch_size):
        taken.update(features[start : start + batch_size])
    return taken


def test_frechet_distance_is_the_reference_formula() -> None:
    first, second = np.cov(ONE, rowvar=False), np.cov(OTHER, rowvar=False)
    shift = ONE.mean(axis=0) - OTHER.mean(axis=0)
    root = scipy.linalg.sqrtm(first @ second).real
    expected = shift @ shift + np.trace(first + second - 2 * root)
    assert frechet_distance(moments(ONE), moments(OTHER)) == pytest.approx(expected, rel=1e-4)


def test_frechet_distance_of_shifted_copies_is_the_shift() -> None:
    assert frechet_distance(moments(ONE), moments(ONE)) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(moments(ONE), moments(ONE + 0.5)) == pytest.approx(24 * 0.25)


def test_frechet_distance_with_fewer_samples_than_dimensions_stays_real() -> None:
    assert frechet_distance(moments(ONE[:8]), moments(OTHER[:9])) > 0


@settings(max_examples=20, deadline=None)
@given(batch_size=st.integers(1, 400))
def test_moments_do_not_depend_on_the_batches(batch_size: int) -> None:
    taken = moments(ONE, batch_size)
    np.testing.assert_allclose(taken.mean, ONE.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(taken.covariance, np.cov(ONE, rowvar=False), atol=1e-9)


def test_one_feature_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="at least 2 features, got 1"):
        _ = moments(ONE[:1]).covariance


def test_discrepancy_is_torchmetrics() -> None:
    a, b = (torch.from_numpy(features[:300]) for features in (ONE, OTHER))
    assert squared_discrepancy(ONE[:300], OTHER[:300]) == pytest.approx(float(poly_mmd(a, b)), rel=1e-6)


def test_kernel_distance_averages_subsets_the_same_way_each_time() -> None:
    mean, deviation = kernel_distance(ONE, OTHER, num_subsets=10, subset_size=100, seed=3)
    assert (mean, deviation) == kernel_distance(ONE, OTHER, num_subsets=10, subset_size=100, seed=3)
    assert mean == pytest.approx(squared_discrepancy(ONE[:300], OTHER), rel=0.5)
    with pytest.raises(ValueError, match="the smaller set's 300, got 301"):
        kernel_distance(ONE, OTHER, num_subsets=1, subset_size=301, seed=0)
