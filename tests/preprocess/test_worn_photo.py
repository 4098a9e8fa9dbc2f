"""A doll's photo with its garment resized is measured and looks as the doll drawn at that size does."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from preprocess.body.densepose import nearest_parts
from preprocess.body.drawing import draw_body
from preprocess.body.keypoints import Keypoints
from preprocess.garment.parse import garment_mask
from preprocess.garment.scene import Scene
from preprocess.garment.size_ratios import SizeRatioParams, size_ratios
from preprocess.garment.worn import measured_alone
from preprocess.layout.bare import spread
from preprocess.layout.parts import split
from preprocess.layout.prints import period_along, whole_periods
from preprocess.layout.warp import Layer, rows_before
from preprocess.layout.worn_photo import WornPhoto, carried, resize_worn, shows
from preprocess.sources.paper_dolls.render import DollPicture
from preprocess.sources.paper_dolls.sample import doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Category, Joint
from tests.preprocess.people import paint_photo, person, tunic, with_sleeves
from tests.preprocess.test_inpaint_mask import keypoints_of
from tests.preprocess.test_layout import ratios_of
from tests.sizes import of_tops

DOLLS = PaperDollParams(train=8, test=8, image_height=256, image_width=192)
SHOULDER, WIDTH, LENGTH = np.eye(3)


def drawn(index: int, ratios: NDArray[np.float64] | None = None) -> DollPicture:
    return render_sample(DOLLS, doll_sample(DOLLS, "test", index), ratios)


def resized(picture: DollPicture, growth: NDArray[np.float64]) -> tuple[WornPhoto, NDArray[np.float64]]:
    """A doll's photo at grown ratios, and what it wears."""
    worn = WornPhoto(picture.image, garment_mask(picture.parse, Category.UPPER))
    natural = ratios_of(worn.garment_mask, keypoints_of(picture))[0]
    new = resize_worn(
        worn,
        keypoints_of(picture),
        of_tops(natural),
        of_tops(natural * growth),
        nearest_parts(picture.densepose),
    )
    assert new is not None
    return new, natural


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other)[where] ** 2)))


@pytest.mark.parametrize("axis", [SHOULDER, WIDTH, LENGTH], ids=["shoulder", "width", "length"])
@pytest.mark.parametrize("step", [-0.1, 0.1, 0.2])
def test_measures_what_was_asked_for(axis: NDArray[np.float64], step: float) -> None:
    picture, growth = drawn(0), 1 + step * axis
    new, natural = resized(picture, growth)
    measured = ratios_of(new.garment_mask, keypoints_of(picture))[0]
    np.testing.assert_allclose(measured, natural * growth, rtol=0.02)


@pytest.mark.parametrize("axis", [SHOULDER, WIDTH, LENGTH], ids=["shoulder", "width", "length"])
def test_looks_like_the_doll_drawn_at_that_size(axis: NDArray[np.float64]) -> None:
    picture, growth = drawn(0), 1 + 0.15 * axis
    new, _ = resized(picture, growth)
    truth = drawn(0, doll_sample(DOLLS, "test", 0).ratios * growth)
    worn = garment_mask(truth.parse, Category.UPPER)
    near = cv2.dilate((worn | new.garment_mask).view(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert psnr(new.photo, truth.image, near) > 26 > psnr(picture.image, truth.image, near) + 1


def test_what_is_far_from_the_garment_stays_bit_for_bit() -> None:
    picture = drawn(0)
    new, _ = resized(picture, np.array([1.1, 1.2, 1.2]))
    worn = garment_mask(picture.parse, Category.UPPER)
    near = cv2.dilate((worn | new.garment_mask).view(np.uint8), np.ones((13, 13), np.uint8)) > 0
    np.testing.assert_array_equal(new.photo[~near], picture.image[~near])


def test_a_longer_garment_shows_no_more_of_its_sleeves() -> None:
    picture = drawn(0)
    new, _ = resized(picture, np.array([1, 1, 1.2]))
    worn = garment_mask(picture.parse, Category.UPPER)
    assert not (worn & ~new.garment_mask)[: worn.shape[0] // 3].any()
    assert (new.garment_mask & ~worn).any()


def test_the_size_it_is_worn_at_is_no_other_size() -> None:
    picture = drawn(0)
    worn = WornPhoto(picture.image, garment_mask(picture.parse, Category.UPPER))
    natural = of_tops([1.0, 1.2, 1.1])
    body = nearest_parts(picture.densepose)
    for requested in (natural, np.full_like(natural, np.nan)):
        assert resize_worn(worn, keypoints_of(picture), natural, requested, body) is None
    nothing = WornPhoto(picture.image, np.zeros_like(worn.garment_mask))
    assert resize_worn(nothing, keypoints_of(picture), natural, natural * 1.2, body) is None


def test_colours_spread_from_the_nearest_that_is_known() -> None:
    """Left is black, right is white: what lies between is the darker the nearer to the left."""
    known = np.zeros((32, 64), bool)
    known[:, :8] = known[:, -8:] = True
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, -8:] = 255
    filled = spread(picture, known)
    np.testing.assert_array_equal(filled[known], picture[known])
    row = filled[16, :, 0]
    assert (np.diff(row[8:-8]) >= 0).all()
    assert row[12] < 64 < 192 < row[51]
    np.testing.assert_array_equal(spread(picture, np.zeros_like(known)), picture)


def test_rows_go_down_to_the_new_hem_and_what_is_below_moves_along() -> None:
    rows = np.array([0.2, 0.3, 0.65, 1.2, 1.4])  # still to 0.3; the hem goes from 1.0 to 1.2
    before = rows_before(rows, 1.0, 1.2)
    np.testing.assert_allclose(before, [0.2, 0.3, 0.3 + 0.35 * 0.7 / 0.9, 1.0, 1.2])


def test_a_print_that_repeats_is_found_and_a_plain_cloth_is_not() -> None:
    """Stripes every 18 of 120 lines a torso length: a period of 0.15."""
    stripes = np.tile(np.sin(2 * np.pi * np.arange(80) / 18)[:, None], (1, 40))
    assert period_along(stripes) == pytest.approx(0.15, rel=0.02)
    assert np.isnan(period_along(stripes.T))  # the same all along: any shift is as good
    assert np.isnan(period_along(np.random.default_rng(0).normal(size=(80, 40))))
    assert np.isnan(period_along(np.zeros((80, 40))))


def test_a_print_moves_by_whole_periods() -> None:
    moved = np.array([[0.0, 0.06, 0.08, -0.2]], np.float32)
    np.testing.assert_allclose(whole_periods(moved, 0.15), [[0, 0, 0.15, -0.15]])
    np.testing.assert_array_equal(whole_periods(moved, float("nan")), moved)


HANGING = of_tops([1.386, 1.2, 340 / 320])
"""Ratios of `hanging`: sleeves reach out of the shoulders, the panel is 240 px wide and ends at row 640."""


def hanging() -> tuple[WornPhoto, Keypoints, NDArray[np.uint8]]:
    """Somebody whose long sleeves touch the panel down to its hem: only a seam in the photo parts them."""
    joints = person()
    joints.xy[[Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST]] = (242, 460), (236, 620)
    joints.xy[[Joint.LEFT_ELBOW, Joint.LEFT_WRIST]] = (526, 460), (532, 620)
    worn = with_sleeves(tunic(width=240, hem=640), joints)
    photo = paint_photo(worn, joints)
    for edge in (264, 504):
        photo[360:640, edge - 2 : edge + 2] = (15, 40, 80)
    return WornPhoto(photo, worn), joints, nearest_parts(draw_body(joints, *worn.shape))


def test_the_photo_tells_sleeves_from_the_panel_that_they_touch() -> None:
    worn, joints, body = hanging()
    parts = split(worn.garment_mask, joints, Scene(photo=worn.photo, densepose=body))
    assert parts is not None
    assert parts.width == pytest.approx(HANGING[1], rel=0.015)
    assert parts.torso[400:600, 270:498].all()
    assert not parts.torso[400:600, :255].any()


def test_a_panel_grows_over_sleeves_that_stay_and_takes_its_seam_along() -> None:
    worn, joints, body = hanging()
    new = resize_worn(worn, joints, HANGING, HANGING * of_tops([1, 1.1, 1]), body, arms_stay=True)
    assert new is not None
    right, left = np.flatnonzero(new.photo[460, :, 2] < 110)[[0, -1]]
    assert (right, left) == pytest.approx((384 - 132, 384 + 132), abs=3)
    np.testing.assert_array_equal(new.keypoints.xy, joints.xy)
    assert not (worn.garment_mask & ~new.garment_mask)[400:].any()


def test_a_sleeve_gets_thicker_with_the_width() -> None:
    """Half of it is 35 px about a bone at 242; 1.2 to 1.56 wide is 1.08 to 1.224 thick: 39.7 px."""
    worn, joints, body = hanging()
    new = resize_worn(worn, joints, HANGING, HANGING * of_tops([1, 1.3, 1]), body, arms_stay=True)
    assert new is not None
    before, after = (np.flatnonzero(mask[460])[0] for mask in (worn.garment_mask, new.garment_mask))
    assert before - after == pytest.approx(35 * (1.224 / 1.08 - 1), abs=1.5)


def bare_armed(hands: int = 640) -> tuple[WornPhoto, Keypoints, NDArray[np.uint8]]:
    """Somebody in a panel 240 px wide, beside which bare arms hang, 40 px thick, down to a row."""
    joints = person()
    joints.xy[[Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST]] = (250, 460), (250, hands)
    joints.xy[[Joint.LEFT_ELBOW, Joint.LEFT_WRIST]] = (518, 460), (518, hands)
    worn = tunic(width=240, hem=600)
    photo = np.full((*worn.shape, 3), 235, np.uint8)
    for arm in ((2, 3, 4), (5, 6, 7)):
        cv2.polylines(photo, [joints.xy[list(arm)].astype(np.int32)], False, SKIN, 40)
    photo[worn] = (40, 60, 150)
    return WornPhoto(photo, worn), joints, nearest_parts(draw_body(joints, *worn.shape))


SKIN = (220, 170, 140)


def skin_beside(photo: NDArray[np.uint8], row: int) -> NDArray[np.int64]:
    """Columns of the right half of the body in which a row of a photo shows skin."""
    return np.flatnonzero(np.abs(photo[row, :384].astype(int) - SKIN).max(axis=1) < 12)


def test_arms_give_way_to_a_panel_that_grows_and_hands_stay() -> None:
    """At 300 px it ends at 384 - 150, beyond the bones at 384 - 134."""
    worn, joints, body = bare_armed()
    natural = of_tops([1.2, 1.2, 300 / 320])
    sizes = natural, natural * of_tops([1, 1.25, 1])
    hidden, new = (resize_worn(worn, joints, *sizes, body, arms_stay=stay) for stay in (True, False))
    assert hidden is not None
    assert new is not None
    assert len(skin_beside(hidden.photo, 450)) < 10
    assert len(skin_beside(new.photo, 450)) > 20
    assert skin_beside(new.photo, 450)[-1] == pytest.approx(384 - 150, abs=4)
    out = joints.xy[Joint.RIGHT_ELBOW] - new.keypoints.xy[Joint.RIGHT_ELBOW]
    assert out == pytest.approx((43, 0), abs=6)  # 30 px at 0.35 T, where an arm moves 0.7 as far
    assert new.keypoints.xy[Joint.RIGHT_WRIST] == pytest.approx(joints.xy[Joint.RIGHT_WRIST])
    np.testing.assert_array_equal(new.photo[645:], worn.photo[645:])
    arm = (worn.photo == SKIN).all(axis=2).view(np.uint8)
    where = np.flatnonzero(new.followed(arm)[450, :384])
    assert where[0] == pytest.approx(skin_beside(new.photo, 450)[0], abs=2)
    np.testing.assert_array_equal(hidden.followed(arm), arm)


@pytest.mark.parametrize("seen", [True, False], ids=["to its hand", "out of the picture"])
def test_an_arm_that_gives_way_is_cut_nowhere(seen: bool) -> None:
    """Its inner edge runs on from row to row, however far below the garment the hand is."""
    worn, joints, body = bare_armed(hands=900)
    if not seen:
        joints.xy[[Joint.RIGHT_WRIST, Joint.LEFT_WRIST]] = np.nan
    natural = of_tops([1.2, 1.2, 300 / 320])
    new = resize_worn(worn, joints, natural, natural * of_tops([1, 1.25, 1]), body)
    assert new is not None
    edge = np.array([skin_beside(new.photo, row)[-1] for row in range(620, 890)])
    assert np.abs(np.diff(edge)).max() <= 1
    assert edge[0] < 384 - 132  # it was there
    assert edge[-1] == pytest.approx(384 - 114 if seen else edge[0], abs=3)


def test_a_raised_forearm_stays() -> None:
    worn, joints, body = bare_armed()
    joints.xy[[Joint.RIGHT_WRIST, Joint.LEFT_WRIST]] = (200, 380), (568, 380)
    natural = of_tops([1.2, 1.2, 300 / 320])
    new = resize_worn(worn, joints, natural, natural * of_tops([1, 1.25, 1]), body)
    assert new is not None
    np.testing.assert_array_equal(new.keypoints.xy, joints.xy)


def test_no_period_of_a_print_reaches_beyond_the_cloth() -> None:
    """The nearest whole period of 96 px to a move of 29 px is none: there the old panel doesn't reach."""
    worn, joints, body = bare_armed()
    parts = split(worn.garment_mask, joints, Scene(photo=worn.photo, densepose=body))
    assert parts is not None
    cloth = np.where(worn.garment_mask[..., None], worn.photo, 0).astype(np.float32)
    wider = Layer(worn.garment_mask, parts.a, 0.8 * parts.b)
    moved = carried(cloth, wider, wider.sources(parts), parts, (np.nan, 0.3))
    np.testing.assert_allclose(moved[450, 384 - 145 : 384 - 60], [[40, 60, 150]] * 85, atol=1)


def test_a_photo_shows_the_size_that_it_measures_and_no_other() -> None:
    worn, joints, body = hanging()
    assert shows(worn, joints, HANGING, body, Category.UPPER)
    assert shows(worn, joints, HANGING * of_tops([np.nan, 1, np.nan]), body, Category.UPPER)
    assert not shows(worn, joints, HANGING * of_tops([1, 1.06, 1]), body, Category.UPPER)
    seamless = np.where(worn.garment_mask[..., None], np.uint8(90), worn.photo)
    assert not shows(WornPhoto(seamless, worn.garment_mask), joints, HANGING, body, Category.UPPER)


def test_cloth_without_a_seam_leaves_open_where_sleeves_on_both_arms_begin() -> None:
    worn, joints, _ = hanging()
    seamless = np.where(worn.garment_mask[..., None], np.uint8(90), worn.photo)
    nothing = np.zeros_like(worn.garment_mask)
    scene = Scene(photo=seamless)
    measured = measured_alone(worn.garment_mask, joints, Category.UPPER, scene, tops=nothing)
    width = size_ratios(measured, SizeRatioParams(), keypoints=joints).bounds["width"]
    assert width.low < HANGING[1] < width.high
    assert width.uncertainty > 0.1


def test_a_panel_that_shrinks_leaves_no_seam_on_its_sleeves() -> None:
    worn, joints, body = hanging()
    new = resize_worn(worn, joints, HANGING, HANGING * of_tops([1, 0.8, 1]), body)
    assert new is not None
    right, left = np.flatnonzero(new.photo[460, :, 2] < 110)[[0, -1]]
    assert (right, left) == pytest.approx((384 - 96, 384 + 96), abs=5)
    assert shows(new, joints, HANGING * of_tops([1, 0.8, 1]), body, Category.UPPER)
