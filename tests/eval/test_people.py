"""Who of the test split is looked at, and how."""

import numpy as np
import pytest

from eval.images.everybody import first_rows
from eval.images.fidelity import flat_colour
from eval.ladder.people import enlargement, first_people
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import Category, Joint
from shards.batch import Batch, empty_batch

WIDTH, LENGTH = (np.array([name == axis for name in AXIS_NAMES]) for axis in ("width", "length"))
TRUNK = [Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER, Joint.RIGHT_HIP, Joint.LEFT_HIP]
SQUARE = [(3, 2), (7, 2), (4, 8), (6, 8)]


def people(first: int, count: int) -> Batch:
    """Wearers of tops, all of whose ratios, joints and garments are known, in pictures of 10 x 10 px."""
    batch = empty_batch(range(first, first + count), 10, 10)
    batch.keys[:] = [str(place) for place in batch.position]
    batch.categories[:] = [str(Category.UPPER)] * count
    batch.ratios[:], batch.keypoints[:] = 1.2, (np.nan, np.nan, 0)
    batch.keypoints[:, TRUNK] = [(*xy, 1) for xy in SQUARE]
    batch.garment_mask[:] = batch.cloth_mask[:] = 0
    batch.garment_mask[:, 2:8, 3:7] = batch.cloth_mask[:, :, 5:] = 1
    batch.image[:], batch.cloth[:] = 100, 0
    batch.cloth[:, :5, 5:] = (200, 100, 50)
    return batch


@pytest.mark.parametrize(
    ("count", "taken", "read"),
    [
        pytest.param(None, [4, 4, 3], 3, id="all"),
        pytest.param(6, [4, 2], 2, id="a part of the second batch"),
        pytest.param(8, [4, 4], 2, id="whole batches, and none is read in vain"),
        pytest.param(12, [4, 4, 3], 3, id="more than there are"),
    ],
)
def test_the_first_people_are_taken_and_no_more_is_read(
    count: int | None, taken: list[int], read: int
) -> None:
    batches = iter([people(0, 4), people(4, 4), people(8, 3)])
    found = list(first_rows(batches, count))
    assert [len(batch) for batch in found] == taken
    assert [key for batch in found for key in batch.keys] == [str(place) for place in range(sum(taken))]
    assert len(list(batches)) == 3 - read


def test_the_flat_baseline_has_the_mean_colour_of_the_garments_photo() -> None:
    """Half of the garment there is (200, 100, 50), half black; what is around it doesn't count."""
    some = people(0, 1)
    picture = flat_colour(some, 0)
    assert (picture[2:8, 3:7] == (100, 50, 25)).all()
    assert (picture != 100).any(axis=2).sum() == 24
    some.cloth_mask[:] = 0
    assert (flat_colour(some, 0) == 100).all()


@pytest.mark.parametrize(("rows", "factor"), [(96, 6), (511, 2), (512, 1), (1024, 1)])
def test_small_pictures_are_enlarged_until_they_have_enough_rows(rows: int, factor: int) -> None:
    assert enlargement(rows, 512) == factor


def test_ladders_are_climbed_by_the_first_who_can_of_each_category() -> None:
    batches = [people(0, 6), people(6, 3), people(9, 1)]
    first, second, _ = batches
    first.ratios[0] = np.nan  # not known along any axis
    first.ratios[1, ~WIDTH] = np.nan  # known along one of the two that tops are asked for
    first.ratios[2, WIDTH | LENGTH] = np.nan
    first.keypoints[3, Joint.LEFT_HIP] = (np.nan, np.nan, 0)
    first.garment_mask[4] = 0
    second.categories[0] = str(Category.LOWER)  # has no ladders
    second.categories[1] = str(Category.DRESS)
    needed = {Category.DRESS: LENGTH, Category.UPPER: WIDTH | LENGTH}
    assert first_people(batches, 2, needed).keys == ["7", "1", "5"]
    assert first_people(batches, 1, {Category.UPPER: WIDTH | LENGTH}).keys == ["1"]
    with pytest.raises(ValueError, match="must have a sample with a known ratio"):
        first_people([first], 1, {Category.DRESS: LENGTH})
