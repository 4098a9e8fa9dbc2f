import itertools

import cv2
import numpy as np
import pytest

from preprocess.body.canvas import Mask
from preprocess.body.keypoints import BodyFrame, Keypoints
from preprocess.garment.measurements import WIDTH_ROWS, measure_worn
from preprocess.garment.parse import garment_mask
from preprocess.layout import resized
from preprocess.layout.parts import split
from preprocess.sources.paper_dolls.sample import doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Category
from tests.preprocess.test_inpaint_mask import keypoints_of
from tests.sizes import of_tops

SMALLEST, LARGEST = np.array([0.7, 0.7, 0.3]), np.array([1.8, 2.2, 1.8])


def layout_at(garment: Mask, keypoints: Keypoints, natural: np.ndarray, requested: np.ndarray) -> Mask:
    """The layout of a top at (3,) ratios, worn at (3,) ratios."""
    return resized.layout_at(garment, keypoints, of_tops(natural), of_tops(requested))


def ratios_of(garment: np.ndarray, keypoints: Keypoints) -> tuple[np.ndarray, bool]:
    """Ratios as the annotation stage measures them, and whether nothing makes them doubtful."""
    worn = measure_worn(garment, keypoints)
    lengths = np.array(
        [worn.lengths["shoulder"].value, worn.lengths["width"].value, worn.lengths["length"].value]
    )
    return lengths / [worn.body["shoulder"], worn.body["shoulder"], worn.body["torso"]], not worn.flags


def worn_by(index: int, split: str = "test", seed: int = 0) -> tuple[np.ndarray, Keypoints, np.ndarray]:
    dolls = PaperDollParams(train=1000, test=1000, seed=seed)
    picture = render_sample(dolls, doll_sample(dolls, split, index))
    garment, keypoints = garment_mask(picture.parse, Category.UPPER), keypoints_of(picture)
    return garment, keypoints, ratios_of(garment, keypoints)[0]


@pytest.mark.slow  # 48 layouts
def test_layouts_measure_what_was_asked_for() -> None:
    errors = []
    for index in range(8):
        garment, keypoints, natural = worn_by(index)
        for requested in np.random.default_rng(index).uniform(SMALLEST, LARGEST, (6, 3)):
            measured, clean = ratios_of(layout_at(garment, keypoints, natural, requested), keypoints)
            if clean:
                errors.append(np.abs(measured / requested - 1))
    assert len(errors) >= 16
    assert np.mean(errors) <= 0.01
    assert (np.max(errors, axis=1) <= 0.02).mean() >= 0.95  # arms akimbo under a wide sleeve are the rest


@pytest.mark.slow  # 36 layouts
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_larger_request_covers_a_smaller(axis: int) -> None:
    smallest = SMALLEST[axis] if axis < 2 else WIDTH_ROWS[1]  # shorter, other rows define the width
    for index in range(3):
        garment, keypoints, natural = worn_by(index)
        ladder = []
        for value in np.linspace(smallest, LARGEST[axis], 4):
            requested = natural.copy()
            requested[axis] = value
            ladder.append(layout_at(garment, keypoints, natural, requested))
        shares = [(one & two).sum() / one.sum() for one, two in itertools.pairwise(ladder)]
        assert min(shares) >= 0.999


def test_hair_over_the_shoulders_stays_where_it_is() -> None:
    garment, keypoints, natural = worn_by(1)
    frame = BodyFrame.from_keypoints(keypoints)
    strand = np.zeros_like(garment)
    end = frame.to_image(np.array([[0.0, 0.4 * frame.shoulder_width]]))[0]
    cv2.circle(strand.view(np.uint8), tuple(np.rint(end).astype(int).tolist()), 3, 1, cv2.FILLED)
    worn = garment & ~strand
    assert not (layout_at(worn, keypoints, natural, natural * [1, 1.3, 1.3]) & strand).any()
    narrow, wide = (layout_at(worn, keypoints, natural, natural * [factor, 1, 1]) for factor in (0.9, 1.4))
    assert (narrow & strand).any()  # counts as covered in the rows that tell the shoulders' extent
    assert (wide & strand)[narrow & strand].all()
    requested = np.array([0.78, *natural[1:]])
    narrow = layout_at(worn, keypoints, natural, requested)
    assert ratios_of(narrow, keypoints)[0][0] == pytest.approx(0.78, rel=0.02)


def test_the_size_it_is_worn_at_changes_nothing() -> None:
    garment, keypoints, natural = worn_by(1)
    np.testing.assert_array_equal(layout_at(garment, keypoints, natural, natural), garment)


def test_an_unknown_ratio_is_left_as_it_is() -> None:
    garment, keypoints, natural = worn_by(1)
    unknown = natural * [1, np.nan, 1]
    np.testing.assert_array_equal(layout_at(garment, keypoints, unknown, natural * [1, 2, 1]), garment)


def test_nothing_worn_stays_nothing() -> None:
    garment, keypoints, natural = worn_by(1)
    assert not layout_at(np.zeros_like(garment), keypoints, natural, natural * 1.5).any()


def test_undersize_exposes_and_oversize_covers() -> None:
    garment, keypoints, natural = worn_by(1)
    small = layout_at(garment, keypoints, natural, natural * 0.7)
    large = layout_at(garment, keypoints, natural, natural * 1.4)
    assert small.sum() < 0.75 * garment.sum()
    assert large.sum() > 1.3 * garment.sum()


def test_sleeves_are_no_part_of_the_torso() -> None:
    garment, keypoints, natural = worn_by(1)
    parts = split(garment, keypoints)
    assert parts is not None
    assert not (parts.torso & parts.sleeves).any()
    np.testing.assert_allclose([parts.shoulder, parts.width, parts.length], natural, rtol=0.01)
