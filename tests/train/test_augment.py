"""What is augmented, and how, depends on the seed and the sample's place, and on nothing else."""

import numpy as np

from train.augment import RESIZED_SHARE, random_growth
from train.keyed_random import KeyedRandom


def test_sizes_are_drawn_by_the_samples_place() -> None:
    whole = random_growth(0.2, KeyedRandom(3, np.arange(400)), 3)
    part = random_growth(0.2, KeyedRandom(3, np.arange(120, 130)), 3)
    np.testing.assert_array_equal(whole[120:130], part)
    changed = np.isfinite(whole).all(axis=1)
    assert abs(changed.mean() - RESIZED_SHARE) < 0.08
    assert np.isnan(whole[~changed]).all()
    low, high = whole[changed].min(axis=0), whole[changed].max(axis=0)
    np.testing.assert_allclose(low, 0.8, atol=0.03)
    np.testing.assert_allclose(high, 1.2, atol=0.03)
    assert (np.abs(np.corrcoef(whole[changed].T)[np.triu_indices(3, 1)]) < 0.15).all()  # each on its own


def test_the_size_is_hidden_from_as_many_of_the_resized_as_of_the_others() -> None:
    """The task hides a size by the draw `size` of the same seed and place."""
    random, dropout = KeyedRandom(3, np.arange(2000)), 0.1
    changed = np.isfinite(random_growth(0.2, random, 3)).all(axis=1)
    hidden = random.uniform("size").numpy() < dropout
    assert abs(hidden[changed].mean() - dropout) < 0.03  # 0.03: three standard deviations of a thousand draws
    assert abs(hidden[~changed].mean() - dropout) < 0.03
