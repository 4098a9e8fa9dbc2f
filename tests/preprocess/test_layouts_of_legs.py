"""Layouts of trousers, skirts and dresses: they measure what was asked for, and nest."""

import itertools

import cv2
import numpy as np
import pytest

from preprocess.body.keypoints import Keypoints
from preprocess.body.legs import LEG_JOINTS, LegFrame
from preprocess.garment.measurements import measure_worn
from preprocess.garment.parse import garment_mask
from preprocess.layout.resized import hanging_layout, layout_at
from preprocess.lower.layout import lower_layout
from preprocess.lower.measures import measure_lower
from preprocess.sizes.axes import AXIS_NAMES, axes_of
from preprocess.vocabulary import Category, Joint
from tests.preprocess.people import person, tunic
from tests.preprocess.polygon_wardrobe import dressed

LONG = [Category.LOWER, Category.DRESS]
ASKED = {category: np.array([axis.asked for axis in axes_of(category).values()]).T for category in LONG}
FIRST_RUNG = {Category.LOWER: np.array([1.2, 1.3, 0.27]), Category.DRESS: ASKED[Category.DRESS][0]}
"""What is shorter has its width defined by other rows."""


def ratios_of(garment: np.ndarray, keypoints: Keypoints, category: Category) -> tuple[np.ndarray, bool]:
    """Ratios as the annotation stage measures them, and whether nothing makes them doubtful."""
    if category is Category.LOWER:
        lower = measure_lower(garment, keypoints, np.zeros(garment.shape, np.uint8))
        lengths, body, flags = lower.lengths, lower.body, lower.flags
    else:
        worn = measure_worn(garment, keypoints)
        lengths, body, flags = worn.lengths, worn.body, worn.flags
    axes = axes_of(category).values()
    return np.array([lengths[axis.garment].value / body[axis.body] for axis in axes]), not flags


def layout_of(
    garment: np.ndarray, keypoints: Keypoints, category: Category, wanted: np.ndarray
) -> np.ndarray:
    natural = ratios_of(garment, keypoints, category)[0]
    if category is Category.LOWER:
        layout = lower_layout(garment, keypoints, natural, wanted)
    else:
        natural, wanted = (np.append(ratios, np.nan)[:4] for ratios in (natural, wanted))  # sleeves may stay
        layout = hanging_layout(garment, keypoints, natural, wanted, flares=category is Category.DRESS)
    assert layout is not None
    return layout


def worn_by(category: Category, count: int) -> list[tuple[np.ndarray, Keypoints]]:
    """Garments that nothing hides, whose measures nothing makes doubtful."""
    found: list[tuple[np.ndarray, Keypoints]] = []
    for index in itertools.count():
        drawing = dressed(category, index, index)
        garment = garment_mask(drawing.parse, category)
        if drawing.plain and ratios_of(garment, drawing.keypoints, category)[1]:
            found.append((garment, drawing.keypoints))
        if len(found) == count:
            return found
    raise AssertionError


@pytest.mark.slow  # 48 layouts
@pytest.mark.parametrize("category", LONG)
def test_layouts_measure_what_was_asked_for(category: Category) -> None:
    errors = []
    for number, (garment, keypoints) in enumerate(worn_by(category, 12)):
        for requested in np.random.default_rng(number).uniform(*ASKED[category], (4, 3)):
            layout = layout_of(garment, keypoints, category, requested)
            measured, clean = ratios_of(layout, keypoints, category)
            if clean:
                errors.append(np.abs(measured / requested - 1))
    assert len(errors) >= 16
    assert np.mean(errors) <= 0.01
    assert (np.max(errors, axis=1) <= 0.02).mean() >= 0.95


@pytest.mark.slow  # 72 layouts
@pytest.mark.parametrize("category", LONG)
def test_a_larger_request_covers_a_smaller(category: Category) -> None:
    for garment, keypoints in worn_by(category, 3):
        for axis in range(3):
            values = np.linspace(FIRST_RUNG[category][axis], ASKED[category][1, axis], 4)
            wanted = [np.where(np.arange(3) == axis, value, np.nan) for value in values]
            ladder = [layout_of(garment, keypoints, category, one) for one in wanted]
            shares = [(one & two).sum() / one.sum() for one, two in itertools.pairwise(ladder)]
            assert min(shares) >= 0.995


@pytest.mark.parametrize("category", LONG)
def test_one_ratio_leaves_the_others_alone(category: Category) -> None:
    garment, keypoints = worn_by(category, 1)[0]
    natural = ratios_of(garment, keypoints, category)[0]
    for axis, factor in ((0, 1.2), (1, 1.15), (2, 0.9)):
        wanted = np.where(np.arange(3) == axis, natural * factor, np.nan)
        measured = ratios_of(layout_of(garment, keypoints, category, wanted), keypoints, category)[0]
        np.testing.assert_allclose(measured, np.where(np.isnan(wanted), natural, wanted), rtol=0.02)


def apart(kind: str) -> tuple[np.ndarray, Keypoints]:
    """A person in shorts or a skirt whose legs stand apart: H = 60 px, L = 240 px."""
    keypoints = Keypoints.missing()
    places = [[(130, 100), (120, 220), (110, 340)], [(190, 100), (200, 220), (210, 340)]]
    for names, leg in zip(LEG_JOINTS, places, strict=True):
        keypoints.xy[list(names)] = leg
        keypoints.confidence[list(names)] = 0.9
    garment = np.zeros((400, 320), np.uint8)
    garment[60:130, 100:220] = 1
    legs = [[[100, 130], [150, 130], [145, 210], [95, 210]], [[170, 130], [220, 130], [225, 210], [175, 210]]]
    skirt = [[[100, 130], [220, 130], [240, 210], [80, 210]]]
    for outline in legs if kind == "shorts" else skirt:
        cv2.fillPoly(garment, [np.array(outline)], 1)
    return garment.view(np.bool_), keypoints


def test_shorts_become_trousers_leg_by_leg() -> None:
    garment, keypoints = apart("shorts")
    longer = layout_of(garment, keypoints, Category.LOWER, np.array([np.nan, np.nan, 0.95]))
    assert longer[320, [112, 208]].all()  # on the shins
    assert not longer[150:320, 160].any()  # between them
    shins = longer[320].sum()
    assert 90 <= shins <= 110  # two legs of 50 px


def test_a_longer_skirt_goes_on_around_both_legs_with_its_flare() -> None:
    garment, keypoints = apart("skirt")
    longer = layout_of(garment, keypoints, Category.LOWER, np.array([np.nan, np.nan, 0.85]))
    assert longer[205:290, 160].all()
    assert longer[200].sum() == pytest.approx(155, abs=4)
    assert longer[280].sum() == pytest.approx(155 + 2 * 80 / 4, abs=8)  # a px out each side for four px down


def test_legs_of_cloth_grow_into_the_gap_between_them() -> None:
    garment, keypoints = apart("shorts")
    wider = layout_of(garment, keypoints, Category.LOWER, np.array([np.nan, 2.0, np.nan]))  # 120 px of 100
    assert wider[170].sum() == pytest.approx(120, abs=4)
    assert not wider[170, 160]
    assert wider[170, 151]  # 5 px at each of four edges; the right leg ended at 148
    assert not garment[170, 151]


def test_no_step_is_left_below_a_top_that_hangs_over_the_waistband() -> None:
    garment, keypoints = apart("skirt")
    garment[:115] = False  # 0.125 thighs below the hips
    wider = layout_of(garment, keypoints, Category.LOWER, np.array([np.nan, 2.8, np.nan]))
    ends = [int(np.flatnonzero(row)[-1]) for row in wider[116:200]]
    assert np.abs(np.diff(ends)).max() <= 5  # not all of it from one row to the next


def test_what_lies_in_front_stays_in_front() -> None:
    garment, keypoints = apart("skirt")
    hand = np.zeros_like(garment)
    hand[140:170, 110:130] = True
    wider = layout_of(garment & ~hand, keypoints, Category.LOWER, np.array([np.nan, 2.8, 0.7]))
    assert not (wider & hand)[142:168, 112:128].any()
    assert wider[155, 100]


def test_a_dress_goes_on_with_its_flare_and_a_top_straight() -> None:
    garment = tunic(hem=350).view(np.uint8)
    cv2.fillPoly(garment, [np.array([[284, 350], [484, 350], [534, 750], [234, 750]])], 1)  # 1 out, 8 down
    natural = ratios_of(garment.view(np.bool_), person(), Category.DRESS)[0]
    natural = np.append(natural, np.nan)
    wanted = np.array([np.nan, np.nan, natural[2] + 0.5, np.nan])  # 160 px
    flaring, straight = (
        hanging_layout(garment.view(np.bool_), person(), natural, wanted, flares=flares)
        for flares in (True, False)
    )
    assert flaring is not None
    assert straight is not None
    assert not (straight & ~flaring).any()
    assert flaring[890].sum() == pytest.approx(300 + 2 * 140 / 8, abs=6)
    assert straight[890].sum() == pytest.approx(295, abs=8)


def test_the_category_says_how_a_garment_is_resized() -> None:
    garment, keypoints = apart("shorts")
    natural, wanted = np.full(len(AXIS_NAMES), np.nan), np.full(len(AXIS_NAMES), np.nan)
    length = AXIS_NAMES.index("length")
    natural[length], wanted[length] = 0.46, 0.9
    layout = layout_at(garment, keypoints, natural, wanted, Category.LOWER)
    assert ratios_of(layout, keypoints, Category.LOWER)[0][2] == pytest.approx(0.9, rel=0.02)
    np.testing.assert_array_equal(layout_at(garment, keypoints, natural, natural, Category.LOWER), garment)
    nowhere = layout_at(np.zeros_like(garment), keypoints, natural, wanted, Category.LOWER)
    assert not nowhere.any()


def test_without_ankles_the_length_stays() -> None:
    garment, keypoints = apart("shorts")
    ankles = np.isin(np.arange(25), [Joint.LEFT_ANKLE, Joint.RIGHT_ANKLE])
    without = keypoints.without(ankles)
    assert np.isnan(LegFrame.from_keypoints(without).leg)
    wider = layout_of(garment, without, Category.LOWER, np.array([np.nan, 2.0, np.nan]))
    assert wider[200].sum() > garment[200].sum()
    assert not wider[215:].any()
