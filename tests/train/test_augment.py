"""What is augmented, and how, depends on the seed and the sample's place, and on nothing else."""

from typing import Any

import numpy as np

from preprocess.vocabulary import Category, Joint
from shards.batch import Batch, empty_batch, select
from train.augment import RESIZED_SHARE, AugmentedStream, augmented, random_growth
from train.keyed_random import KeyedRandom
from train.params import AugmentationParams

NUM = 400
EXTENT = 50
TRUNK = {
    Joint.RIGHT_SHOULDER: (22, 22),
    Joint.LEFT_SHOULDER: (28, 22),
    Joint.RIGHT_HIP: (22, 28),
    Joint.LEFT_HIP: (28, 28),
}
SEED = 3


def greys(first: int = 0) -> Batch:
    """Grey photos of 50 x 50 px, in whose middle a trunk of 6 x 6 px wears a garment."""
    batch = empty_batch(range(first, first + NUM), EXTENT, EXTENT)
    batch.image[:] = batch.cloth[:] = 100
    batch.densepose[:] = batch.garment_mask[:] = batch.garment_cover[:] = 0
    batch.cloth_mask[:] = batch.inpaint_mask[:] = 1
    batch.garment_mask[:, 22:28, 22:28] = 1
    batch.keypoints[:] = (np.nan, np.nan, 0)
    for joint, (x, y) in TRUNK.items():
        batch.keypoints[:, joint] = (x, y, 1)
    batch.ratios[:] = np.nan
    batch.keys[:] = [f"{place:05d}_00" for place in batch.position]
    batch.categories[:] = [str(Category.UPPER)] * NUM
    return batch


def changed(**params: float) -> Batch:
    batch = greys()
    return augmented(batch, AugmentationParams(**params), KeyedRandom(SEED, batch.position))


def test_nothing_is_augmented_unless_it_is_asked_for() -> None:
    batch = greys()
    assert augmented(batch, AugmentationParams(), KeyedRandom(SEED, batch.position)) is batch


def test_as_large_a_share_is_mirrored_as_is_asked_for() -> None:
    mirrored = [key.endswith(":mirrored") for key in changed(mirror=0.25).keys]
    assert abs(np.mean(mirrored) - 0.25) < 0.07  # three standard deviations of 400 draws
    assert all(key.endswith(":mirrored") for key in changed(mirror=1.0).keys)


def test_each_colour_channel_changes_as_far_as_is_asked_for() -> None:
    """Of 100: from 80 to 120 each, on its own, and alike in both photos."""
    after = changed(colour=0.2)
    colours = after.image[:, 0, 0].astype(int)
    np.testing.assert_array_equal(after.cloth[:, 0, 0], colours)
    np.testing.assert_allclose(colours.min(axis=0), 80, atol=1)
    np.testing.assert_allclose(colours.max(axis=0), 120, atol=1)
    assert (np.abs(np.corrcoef(colours.T)[np.triu_indices(3, 1)]) < 0.2).all()


def test_a_zoom_cuts_as_much_away_as_is_asked_for_and_at_any_place() -> None:
    """By up to a half: the trunk, 6 px wide, becomes 12 px wide at most, and lies anywhere."""
    xy = changed(zoom=0.5).keypoints[:, list(TRUNK), :2]
    width, height = (np.ptp(xy[..., axis], axis=1) for axis in (0, 1))
    np.testing.assert_allclose(width, height, atol=1e-3)
    np.testing.assert_allclose((width.min(), width.max()), (6, 12), atol=0.1)
    cut = 1 - 6 / width
    assert abs(cut.mean() - 0.25) < 0.03  # evenly, 0 to 0.5
    moved = xy.mean(axis=1) - EXTENT / 2
    assert (moved.min(axis=0) < -8).all()
    assert (moved.max(axis=0) > 8).all()
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.2  # in x and y on its own


class Stored:
    """Two batches, and where the second begins."""

    def __init__(self) -> None:
        self.first = 0

    def __iter__(self) -> Any:
        for first in range(self.first, 2 * NUM, NUM):
            self.first = first + NUM
            yield greys(first)

    def state_dict(self) -> dict[str, Any]:
        return {"first": self.first}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.first = state["first"]


def test_a_resumed_stream_augments_a_sample_as_before() -> None:
    params = AugmentationParams(mirror=0.5, colour=0.2, zoom=0.5)
    stream = AugmentedStream(Stored(), params, SEED)
    batches = iter(stream)
    next(batches)
    resumed = AugmentedStream(Stored(), params, SEED)
    resumed.load_state_dict(stream.state_dict())
    second, again = next(batches), next(iter(resumed))
    assert second.keys == again.keys
    np.testing.assert_array_equal(second.image, again.image)
    np.testing.assert_array_equal(second.keypoints, again.keypoints)
    some = select(greys(NUM), range(7, 9))
    alone = augmented(some, params, KeyedRandom(SEED, some.position))
    np.testing.assert_array_equal(alone.image, second.image[7:9])
    other = next(iter(AugmentedStream(Stored(), params, SEED + 1)))
    assert not np.array_equal(other.image, next(iter(AugmentedStream(Stored(), params, SEED))).image)


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
