"""Trousers, skirts and dresses resized in the photo measure and look as the doll drawn at that size does."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from preprocess.body.densepose import nearest_parts
from preprocess.body.drawing import draw_body
from preprocess.garment.parse import garment_mask
from preprocess.layout.bare import evened
from preprocess.layout.worn_on_legs import walked_before
from preprocess.layout.worn_photo import WornPhoto, resize_worn, shows, skirt_line
from preprocess.sizes.axes import AXIS_NAMES, axes_of
from preprocess.sources.paper_dolls.render import DollPicture
from preprocess.sources.paper_dolls.sample import DollSample, doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import ARM_PARTS, Category
from tests.preprocess.people import trousers
from tests.preprocess.test_inpaint_mask import keypoints_of
from tests.preprocess.test_layouts_of_legs import ratios_of
from tests.preprocess.test_worn_photo import psnr

LONG = [Category.LOWER, Category.DRESS]
CHANGES = [(axis, step) for axis in range(3) for step in (-0.1, 0.15)]


def of_category(category: Category, ratios: NDArray[np.float64]) -> NDArray[np.float64]:
    """(A,) in the order of `AXIS_NAMES`, of (3,) in that of the category's axes."""
    known = dict(zip(axes_of(category), ratios, strict=True))
    return np.array([known.get(name, np.nan) for name in AXIS_NAMES])


def plain_doll(category: Category) -> tuple[PaperDollParams, DollSample, DollPicture]:
    """A whole doll whose garment nothing hides, with room for a longer and a wider one."""
    params = PaperDollParams(categories=(category,), image_height=384, image_width=288)
    for index in range(80):
        sample = doll_sample(params, "test", index)
        covered = sample.top is not None and sample.top.way == "over"
        if covered or sample.design.pattern != "plain" or sample.ratios[1] > 2.8:
            continue
        picture = render_sample(params, sample)
        garment = garment_mask(picture.parse, category)
        bones = (picture.keypoints[[2, 5, 9, 12, 10, 13, 11, 14], 2] > 0).all()
        around = cv2.dilate(garment.view(np.uint8), np.ones((31, 31), np.uint8)) > 0
        free = (
            category is Category.DRESS
            or not np.isin(nearest_parts(picture.densepose), ARM_PARTS)[around].any()
        )
        if bones and free and not garment[320:].any():
            return params, sample, picture
    raise AssertionError


def resized(
    category: Category, picture: DollPicture, growth: NDArray[np.float64]
) -> tuple[WornPhoto, NDArray[np.float64]]:
    """A doll's photo at grown ratios, and those that it wore."""
    worn = WornPhoto(picture.image, garment_mask(picture.parse, category))
    natural = ratios_of(worn.garment_mask, keypoints_of(picture), category)[0]
    asked = of_category(category, natural * growth)
    body = nearest_parts(picture.densepose)
    new = resize_worn(
        worn, keypoints_of(picture), of_category(category, natural), asked, body, category=category
    )
    assert new is not None
    return new, natural


@pytest.mark.parametrize("category", LONG)
def test_they_measure_what_was_asked_for_and_the_photo_shows_it(category: Category) -> None:
    _, _, picture = plain_doll(category)
    body = nearest_parts(picture.densepose)
    for axis, step in CHANGES:
        growth = 1 + step * np.eye(3)[axis]
        new, natural = resized(category, picture, growth)
        measured, _ = ratios_of(new.garment_mask, keypoints_of(picture), category)
        np.testing.assert_allclose(measured, natural * growth, rtol=0.02)
        asked = of_category(category, natural * growth)
        assert shows(new, keypoints_of(picture), asked, body, category)
        further = of_category(category, natural * (1 + 0.05 * np.eye(3)[axis]) * growth)
        assert not shows(new, keypoints_of(picture), further, body, category)


@pytest.mark.parametrize("category", LONG)
def test_they_look_like_the_doll_drawn_at_that_size(category: Category) -> None:
    params, sample, picture = plain_doll(category)
    for axis in range(3):
        growth = 1 + 0.15 * np.eye(3)[axis]
        new, _ = resized(category, picture, growth)
        truth = render_sample(params, sample, sample.ratios * growth)
        either = garment_mask(truth.parse, category) | new.garment_mask
        near = cv2.dilate(either.view(np.uint8), np.ones((9, 9), np.uint8)) > 0
        assert psnr(new.photo, truth.image, near) > max(26, psnr(picture.image, truth.image, near) + 1)


@pytest.mark.parametrize("category", LONG)
def test_what_is_far_from_the_garment_stays_bit_for_bit(category: Category) -> None:
    _, _, picture = plain_doll(category)
    new, _ = resized(category, picture, np.array([1.1, 1.15, 1.1]))
    either = garment_mask(picture.parse, category) | new.garment_mask
    near = cv2.dilate(either.view(np.uint8), np.ones((13, 13), np.uint8)) > 0
    np.testing.assert_array_equal(new.photo[~near], picture.image[~near])


def painted(garment: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Blue trousers whose right leg is green, before a grey wall."""
    photo = np.full((*garment.shape, 3), 200, np.uint8)
    photo[garment] = (20, 40, 160)
    photo[420:, :384][garment[420:, :384]] = (20, 140, 40)
    return photo


def wider(garment: NDArray[np.bool_], photo: NDArray[np.uint8], body: NDArray[np.uint8]) -> WornPhoto:
    """Trousers of 70 px a leg at 1.4 times their width: 98 px each, H being 100."""
    ratios = of_category(Category.LOWER, np.array([1.8, 1.4, np.nan]))
    asked = of_category(Category.LOWER, np.array([np.nan, 1.96, np.nan]))
    new = resize_worn(WornPhoto(photo, garment), trousers()[1], ratios, asked, body, Category.LOWER)
    assert new is not None
    return new


def test_legs_of_cloth_grow_each_by_itself() -> None:
    """Right leg from 299 to 369, left from 399 to 469: 14 px more on all four sides, in their own colours."""
    garment, wearer, _ = trousers()
    new = wider(garment, painted(garment), nearest_parts(draw_body(wearer, *garment.shape)))
    row = new.garment_mask[560]
    ends = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(int)))
    np.testing.assert_allclose(ends, [285, 383, 385, 483], atol=2)
    assert (new.photo[560, 290:378].argmax(axis=1) == 1).all()
    assert (new.photo[560, 390:478].argmax(axis=1) == 2).all()


def test_a_hand_stays_in_front() -> None:
    garment, wearer, _ = trousers()
    body = nearest_parts(draw_body(wearer, *garment.shape))
    photo = painted(garment)
    photo[540:580, 475:500], body[540:580, 475:500] = (220, 180, 160), 4
    new = wider(garment, photo, body)
    inside = np.s_[542:578, 477:498]  # of its edge, which is soft
    np.testing.assert_array_equal(new.photo[inside], photo[inside])
    assert not new.garment_mask[540:580, 475:500].any()
    assert new.garment_mask[600, 478], "where no hand is, it grew"


def test_cloth_is_still_at_the_hips_and_rigid_at_the_hem() -> None:
    """L is 100 px: still down to 30; 5.4 px above the hem go down with it, from 80 to 100."""
    walked = np.array([0.0, 30.0, 94.6, 97.0, 100.0, 120.0])
    before = walked_before(walked, 80.0, 100.0, 100.0)
    np.testing.assert_allclose(before, [0, 30, 74.6, 77, 80, 100])


def test_a_skirt_line_leaves_out_what_a_hand_cuts_off() -> None:
    rows = np.linspace(0.7, 2.0, 131)
    ends = 0.5 + 0.2 * rows
    ends[20:45] -= 0.15
    slope, start = skirt_line(rows, ends)
    assert (slope, start) == pytest.approx((0.2, 0.5), abs=0.02)


def test_a_garment_in_front_of_no_wall_evens_nothing_out() -> None:
    """As a dress in a photo that ends above its hips."""
    plate = np.ones((4, 6, 3), np.float32)
    evened(plate, np.zeros((4, 6), np.bool_), 2.0)
    np.testing.assert_array_equal(plate, 1)


def test_a_length_is_left_alone_where_no_ankle_tells_how_long_the_leg_is() -> None:
    _, _, picture = plain_doll(Category.LOWER)
    worn = WornPhoto(picture.image, garment_mask(picture.parse, Category.LOWER))
    natural = of_category(Category.LOWER, ratios_of(worn.garment_mask, keypoints_of(picture), LONG[0])[0])
    joints = keypoints_of(picture).without(np.isin(np.arange(25), (11, 14)))
    growth = of_category(Category.LOWER, np.array([1.0, 1.1, 0.8]))
    asked = [natural * growth, np.where(growth < 1, np.nan, natural * growth)]
    body = nearest_parts(picture.densepose)
    with_length, without = (resize_worn(worn, joints, natural, one, body, Category.LOWER) for one in asked)
    assert with_length is not None
    assert without is not None
    assert without.garment_mask.sum() > worn.garment_mask.sum()
    np.testing.assert_array_equal(with_length.garment_mask, without.garment_mask)
    np.testing.assert_array_equal(with_length.photo, without.photo)
