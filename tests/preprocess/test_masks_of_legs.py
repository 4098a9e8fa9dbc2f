"""Masks of trousers, skirts and dresses: the bars that those of tops are held to, and what photos lack."""

import numpy as np
import pytest

from preprocess.body.inpaint_mask import MaskParams, inpainting_mask
from preprocess.body.keypoints import KeypointError, Keypoints
from preprocess.body.legs import LEG_JOINTS, LegFrame, with_knees
from preprocess.body.openpose import read_openpose
from preprocess.body.protected import HEAD_LABELS
from preprocess.garment.parse import garment_mask, load_parse
from preprocess.sizes.axes import axes_of
from preprocess.sources.dress_code import DressCode
from preprocess.vocabulary import Category, Joint, Lip
from tests.preprocess.polygon_wardrobe import Dressed, dressed
from tests.preprocess.seen_masks import Bars, bars_of, dolls
from tests.shared_data import shared_data

LONG = [Category.LOWER, Category.DRESS]


def mask_of(drawing: Dressed, category: Category, *, parse: bool = True) -> np.ndarray:
    labels = drawing.parse if parse else None
    return inpainting_mask(drawing.keypoints, *drawing.parse.shape, category, MaskParams(), parse=labels)


@pytest.fixture(scope="module", params=LONG)
def bars(request: pytest.FixtureRequest) -> Bars:
    pairs = [
        (dressed(request.param, index, index), dressed(request.param, index, index + 5000))
        for index in range(400)
    ]
    return bars_of(request.param, pairs)


@pytest.mark.slow  # draws 800 people
def test_masks_do_not_tell_the_worn_size(bars: Bars) -> None:
    assert bars.ratios.shape[1] == 3
    assert (bars.ours <= 0.05).all()
    assert (bars.tight >= 0.5).all()  # the regression would have noticed


@pytest.mark.slow  # draws 800 people
def test_the_same_person_in_two_garments_has_the_same_mask(bars: Bars) -> None:
    assert bars.ious.min() >= 0.98


@pytest.mark.slow  # draws 800 people
def test_masks_hide_the_old_garment(bars: Bars) -> None:
    assert (bars.hidden >= 0.999).mean() >= 0.99


@pytest.mark.slow  # draws 80 dolls
@pytest.mark.parametrize("category", LONG)
def test_masks_hide_what_dolls_wear_whatever_it_is(category: Category) -> None:
    bars = bars_of(category, dolls(category, 40))
    assert len(bars.hidden) >= 36
    assert (bars.hidden >= 0.999).all()
    assert bars.ious.min() >= 0.98


@pytest.mark.parametrize("category", LONG)
def test_masks_hide_what_photographed_people_wear(category: Category) -> None:
    root = shared_data() / "data" / "dress_code"
    photos = {sample.key: sample for sample in DressCode(root, category=category).samples()}
    assert len(photos) >= 6
    for sample in photos.values():
        assert sample.parse is not None
        assert sample.openpose_json is not None
        parse = load_parse(sample.parse, sample.parse_labels)
        keypoints = read_openpose(sample.openpose_json, parse.shape[1], parse.shape[0])
        region = inpainting_mask(keypoints, *parse.shape, category, MaskParams(), parse=parse)
        garment, head = garment_mask(parse, category), np.isin(parse, HEAD_LABELS)
        assert (garment & region).sum() >= 0.999 * garment.sum()
        assert not (region & head).any()
        assert region.mean() <= 0.75  # not the whole photo


def hips_alone(drawing: Dressed) -> Keypoints:
    return drawing.keypoints.without(~np.isin(np.arange(25), [Joint.LEFT_HIP, Joint.RIGHT_HIP]))


def test_legs_need_no_shoulders_and_no_knees() -> None:
    drawing = dressed(Category.LOWER, 1, 1)
    assert not drawing.keypoints.has(Joint.LEFT_SHOULDER)
    alone = hips_alone(drawing)
    region = inpainting_mask(alone, *drawing.parse.shape, Category.LOWER, MaskParams(), parse=drawing.parse)
    garment = garment_mask(drawing.parse, Category.LOWER)
    assert (garment & region).sum() >= 0.999 * garment.sum()
    with pytest.raises(KeypointError, match="missing_hips"):
        inpainting_mask(Keypoints.missing(), 64, 64, Category.LOWER, MaskParams())


def test_a_knee_that_is_out_of_sight_lies_straight_below() -> None:
    alone = Keypoints.missing()
    alone.xy[[Joint.RIGHT_HIP, Joint.LEFT_HIP]] = (90, 200), (110, 200)
    found = with_knees(alone)
    np.testing.assert_allclose(found.xy[[Joint.RIGHT_KNEE, Joint.LEFT_KNEE]], [(90, 242), (110, 242)])
    alone.xy[[Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER]] = (80, 100), (120, 100)  # T = 100 px
    np.testing.assert_allclose(with_knees(alone).xy[Joint.LEFT_KNEE], (110, 310))
    whole = dressed(Category.LOWER, 1, 1).keypoints
    np.testing.assert_array_equal(with_knees(whole).xy, whole.xy)


def test_a_dress_needs_no_legs() -> None:
    drawing = dressed(Category.DRESS, 2, 2)
    torso = drawing.keypoints.without(np.isin(np.arange(25), np.array(LEG_JOINTS)[:, 1:]))
    region = inpainting_mask(torso, *drawing.parse.shape, Category.DRESS, MaskParams(), parse=drawing.parse)
    garment = garment_mask(drawing.parse, Category.DRESS)
    assert (garment & region).sum() >= 0.999 * garment.sum()


@pytest.mark.parametrize("category", LONG)
def test_shoes_hands_and_head_are_kept(category: Category) -> None:
    people = (dressed(category, person, 7) for person in range(20))
    drawing = next(one for one in people if (one.parse == Lip.LEFT_ARM).any())
    region, parse = mask_of(drawing, category), drawing.parse
    shoes, rows = np.isin(parse, [Lip.LEFT_SHOE, Lip.RIGHT_SHOE]), np.arange(len(parse))[:, None]
    sole = rows > rows[shoes.any(axis=1)].max() - 4
    assert (shoes & sole).any()
    assert (region & shoes & sole).sum() <= 0.1 * (shoes & sole).sum()
    assert not (region & (parse == Lip.FACE)).any()
    if category is Category.LOWER:
        assert not (region & (parse == Lip.LEFT_ARM)).any()


def test_a_top_is_kept_where_it_hangs_over_the_waistband() -> None:
    kept = set()
    for index in range(12):
        drawing = dressed(Category.LOWER, index, index)
        frame = LegFrame.from_keypoints(drawing.keypoints)
        row, column = int(frame.hip_mid[1]), int(frame.hip_mid[0])
        hangs = drawing.parse[row - 3, column] == Lip.UPPER_CLOTHES
        inside = mask_of(drawing, Category.LOWER) & (drawing.parse == Lip.UPPER_CLOTHES)
        assert bool(inside.any()) != hangs
        kept.add(hangs)
    assert kept == {True, False}


def test_the_middle_of_what_lies_above_a_waistband_is_kept() -> None:
    """H is 20 px and L 200: columns within 8 px of the axis, down to 2 px above the upper edge."""
    wearer = Keypoints.missing()
    wearer.xy[np.array(LEG_JOINTS)] = [[(x, y) for y in (200, 300, 400)] for x in (90, 110)]
    parse = np.zeros((450, 200), np.uint8)
    parse[100:170, 70:130] = Lip.UPPER_CLOTHES
    parse[170:380, 80:120] = Lip.PANTS
    region = inpainting_mask(wearer, *parse.shape, Category.LOWER, MaskParams(), parse=parse)
    assert not region[160:168, 93:108].any()
    assert region[160:168, 70:91].all(), "beside it a top as wide as the waist would tell that"
    assert region[160:168, 110:130].all()
    assert region[168:380, 80:120].all()
    parse[parse == Lip.PANTS] = Lip.DRESS  # which begins at no waist
    parse[parse == Lip.UPPER_CLOTHES] = 0
    in_dress = inpainting_mask(wearer, *parse.shape, Category.LOWER, MaskParams(), parse=parse)
    assert in_dress[160:168, 70:130].all()


@pytest.mark.parametrize("category", LONG)
def test_more_room_is_left_for_a_larger_garment(category: Category) -> None:
    drawing = dressed(category, 3, 3)
    usual = mask_of(drawing, category, parse=False)
    for name, axis in axes_of(category).items():
        params = MaskParams(largest={category: {name: axis.asked[1] * 0.8}})
        smaller = inpainting_mask(drawing.keypoints, *drawing.parse.shape, category, params)
        assert (smaller & usual).sum() >= 0.999 * smaller.sum()  # edges are rounded
        assert smaller.sum() < usual.sum(), name
