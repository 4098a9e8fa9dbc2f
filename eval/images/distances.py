"""Distances between two sets of pictures by their features: the formulas of FID and KID.

Which network made the features decides the name: only InceptionV3's FID weights make an FID or a KID.
"""

import numpy as np
from numpy.typing import NDArray

from preprocess.vocabulary import require_shape

Floats = NDArray[np.float64]


class FeatureMoments:
    """Mean and covariance of features that come in batches; memory doesn't grow with their number.

    Args:
        dim: Length D of a feature.
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self._mean = np.zeros(dim)
        self._scatter = np.zeros((dim, dim))

    def update(self, features: NDArray[np.floating]) -> None:
        """Take in (N, D) features."""
        require_shape("features", features, ("N", len(self._mean)))
        if not len(features):
            return
        batch = features.astype(np.float64)
        mean = batch.mean(axis=0)
        shift = mean - self._mean
        total = self.count + len(batch)
        centred = batch - mean
        # the pairwise update of Chan et al. 1979
        between = np.outer(shift, shift) * (self.count * len(batch) / total)
        self._scatter += centred.T @ centred + between
        self._mean = self._mean + shift * (len(batch) / total)
        self.count = total

    @property
    def mean(self) -> Floats:
        """(D,) mean."""
        return self._mean

    @property
    def covariance(self) -> Floats:
        """(D, D) unbiased covariance.

        Raises:
            ValueError: Fewer than two features were taken in.
        """
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 features, got {self.count}")
        covariance: Floats = self._scatter / (self.count - 1)
        return covariance


class FeatureSet:
    """Features of one set of pictures: their moments, and the features themselves where a kernel needs them.

    Args:
        dim: Length D of a feature.
        keep: Keep every feature, 4 D bytes a picture.
    """

    def __init__(self, dim: int, *, keep: bool) -> None:
        self.moments = FeatureMoments(dim)
        self.keep = keep
        self._kept: list[NDArray[np.float32]] = []

    def update(self, features: NDArray[np.float32]) -> None:
        """Take in (N, D) features."""
        self.moments.update(features)
        if self.keep:
            self._kept.append(features)

    def rows(self) -> NDArray[np.float32]:
        """(N, D) all features that were kept."""
        return np.concatenate(self._kept)


def frechet_distance(one: FeatureMoments, other: FeatureMoments) -> float:
    """Squared Frechet distance of the Gaussians fitted to two sets of features.

    Args:
        one: Moments of the first set.
        other: Moments of the second set.

    Returns:
        |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), at least 0.

    Source:
        Heusel et al., "GANs trained by a two time-scale update rule", 2017, equation 6. The root's trace is
        that of (C1^(1/2) C2 C1^(1/2))^(1/2), whose matrix is symmetric, so that no complex root appears.
    """
    values, vectors = np.linalg.eigh(one.covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ other.covariance @ root)
    trace = float(np.sqrt(np.clip(inner, 0, None)).sum())
    shift = one.mean - other.mean
    distance = float(shift @ shift + np.trace(one.covariance) + np.trace(other.covariance) - 2 * trace)
    return max(distance, 0.0)


def kernel_distance(
    one: NDArray[np.floating], other: NDArray[np.floating], *, num_subsets: int, subset_size: int, seed: int
) -> tuple[float, float]:
    """Squared maximum mean discrepancy with the cubic kernel, over random subsets.

    Args:
        one: (N, D) features.
        other: (M, D) features.
        num_subsets: Subsets drawn without replacement from each.
        subset_size: Features in a subset, at most the smaller of N and M.
        seed: Seed of the subsets.

    Returns:
        Mean and standard deviation over the subsets; unbiased, so it may be a little below 0.

    Raises:
        ValueError: The subsets are larger than a set, or smaller than 2.

    Source:
        Binkowski et al., "Demystifying MMD GANs", 2018, section 3.
    """
    smallest = min(len(one), len(other))
    if not 2 <= subset_size <= smallest:
        raise ValueError(f"subset_size must be between 2 and the smaller set's {smallest}, got {subset_size}")
    rng = np.random.default_rng(seed)
    values = [
        squared_discrepancy(
            one[rng.permutation(len(one))[:subset_size]], other[rng.permutation(len(other))[:subset_size]]
        )
        for _ in range(num_subsets)
    ]
    return float(np.mean(values)), float(np.std(values))


def squared_discrepancy(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Unbiased squared discrepancy of (N, D) and (N, D) features under (x.y / D + 1)^3."""
    num = len(one)
    within = [kernel(features, features) for features in (one, other)]
    pairs = [(values.sum() - np.trace(values)) / (num * (num - 1)) for values in within]
    return float(pairs[0] + pairs[1] - 2 * kernel(one, other).mean())


def kernel(one: NDArray[np.floating], other: NDArray[np.floating]) -> Floats:
    """(N, M) cubic kernel of (N, D) and (M, D) features."""
    return (one.astype(np.float64) @ other.astype(np.float64).T / one.shape[1] + 1) ** 3
