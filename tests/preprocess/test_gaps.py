"""Gaps and shades between arm and panel that a parse map has filled, drawn so that the edge is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from preprocess.body.canvas import BodyCanvas
from preprocess.body.keypoints import BodyFrame, Keypoints
from preprocess.body.openpose import read_openpose
from preprocess.garment.gaps import gap_begins, nearest_to, shade_offsets, wall_colour
from preprocess.garment.measurements import measure_worn
from preprocess.garment.panel import sides_of
from preprocess.garment.parse import garment_mask, load_parse
from preprocess.garment.scene import Scene
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.garment.worn import measure_parsed
from preprocess.pictures import read_picture
from preprocess.vocabulary import Category, Joint
from tests.preprocess.people import (
    HEIGHT,
    SKIN,
    WIDTH,
    beside,
    hanging,
    paint_photo,
    person,
    tunic,
    with_sleeves,
)
from tests.shared_data import shared_data

WALL, CLOTH, ARM = (90.0, 0.0, 0.0), (40.0, 0.0, 0.0), (60.0, 30.0, 30.0)


def width_seen(
    photo: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    arms: NDArray[np.bool_] | None = None,
    wearer: Keypoints | None = None,
) -> tuple[float, float, float]:
    """Width and its bounds, in B = 200 px; arms are what lies in front."""
    arms = np.zeros((HEIGHT, WIDTH), bool) if arms is None else arms
    scene = Scene(photo=photo, occluders=arms)
    width = measure_worn(mask, person() if wearer is None else wearer, scene).lengths["width"]
    return width.value / 200, width.low / 200, width.high / 200


@pytest.mark.parametrize("filled", [0, 16, 24, 60])
def test_the_panel_ends_where_a_gap_begins_that_the_parse_map_has_filled(filled: int) -> None:
    """The garment is 240 px wide, 1.2 B; the parse map goes on over `filled` px of wall on either side."""
    photo = paint_photo(tunic(width=240), person())
    value, low, high = width_seen(photo, tunic(shoulder=400, width=240 + 2 * filled))
    assert value == pytest.approx(1.2, abs=0.015)
    assert low <= 1.2 <= high
    assert high - low < 0.05


def test_a_print_in_the_colour_of_the_wall_is_no_gap() -> None:
    """An upright stripe, 30 to 40 px from the panel's left side, beside which its cloth goes on."""
    mask = tunic(width=240)
    photo = paint_photo(mask, person())
    photo[:, 464:474] = 225
    assert width_seen(photo, mask)[0] == pytest.approx(1.2, abs=0.015)


def test_stripes_in_the_colour_of_the_wall_are_no_gap() -> None:
    """Upright ones, of which the outermost ends 10 px from either side."""
    mask = tunic(width=240)
    photo = paint_photo(mask, person())
    photo[:, np.arange(WIDTH) % 40 < 10] = 225
    assert width_seen(photo, mask)[0] == pytest.approx(1.2, abs=0.015)


@pytest.mark.parametrize(("cloth", "told"), [((222, 222, 222), False), ((255, 255, 200), True)])
def test_a_gap_is_uncertain_where_the_cloth_has_the_colour_of_the_wall(
    cloth: tuple[int, int, int], told: bool
) -> None:
    """1.2 B of cloth, 1.5 B by the parse map, which has filled the gaps to both arms."""
    arms, wearer = beside(150, 200), hanging(175, 175)
    photo = paint_photo(tunic(width=240), wearer, cloth)
    photo[beside(120, 150)] = 225
    photo[arms] = SKIN
    value, low, high = width_seen(photo, tunic(shoulder=400, width=300), arms, wearer)
    assert low <= 1.2 <= high
    assert (high - low <= 0.1 * value) == told
    if told:
        assert value == pytest.approx(1.2, abs=0.015)


def test_cloth_in_the_colour_of_the_wall_is_known_where_no_arm_is_beside_it() -> None:
    mask = tunic(width=240)
    value, low, high = width_seen(paint_photo(mask, person(), (222, 222, 222)), mask)
    assert value == pytest.approx(1.2, abs=0.015)
    assert high - low < 0.1 * value


@pytest.mark.parametrize("side", [-1, 1])
def test_a_wall_that_is_uneven_on_one_side_is_known_by_the_other(side: int) -> None:
    """1.2 B of cloth, 16 px of wall that the parse map has for cloth, and from 200 px on a picture."""
    photo = paint_photo(tunic(width=240), person())
    photo[:, np.r_[:184] if side < 0 else np.r_[584:WIDTH]] = (0, 0, 0)
    photo[::2, np.r_[:184] if side < 0 else np.r_[584:WIDTH]] = (250, 40, 40)
    value, low, high = width_seen(photo, tunic(shoulder=400, width=272))
    assert value == pytest.approx(1.2, abs=0.015)
    assert low <= 1.2 <= high
    assert high - low < 0.1 * value


@pytest.mark.parametrize("shade", [0, 4, 8])
def test_the_shade_of_an_arm_is_no_part_of_the_panel(shade: int) -> None:
    """1.2 B of light cloth; then `shade` px in the dark that the parse map has for cloth; then bare arms."""
    arms, wearer = beside(120 + shade, 180), hanging(150, 150)
    photo = paint_photo(tunic(width=240), wearer, (200, 220, 255))
    photo[beside(120, 121 + shade)] = 40
    photo[arms] = SKIN
    value, low, high = width_seen(photo, tunic(shoulder=300, width=240 + 2 * shade), arms, wearer)
    assert value == pytest.approx(1.2, abs=0.015)
    assert low <= 1.2 <= high


def test_the_wall_is_what_lies_beside_the_person() -> None:
    """100 columns to B: 30 of cloth, 30 of an arm, 40 of wall."""
    lines = np.tile(np.repeat([CLOTH, ARM, WALL], [30, 30, 40], axis=0), (12, 1, 1)).astype(np.float32)
    free = np.zeros((12, 100), bool)
    assert np.isnan(wall_colour(lines, free)).all()
    free[:, 62:] = True
    np.testing.assert_allclose(wall_colour(lines, free), WALL)
    lines[::2, 60:] = CLOTH
    assert np.isnan(wall_colour(lines, free)).all()


def begins(lines: NDArray[np.float32], wall: tuple[float, float, float], end: float) -> list[int]:
    """Columns of the first row at which a gap begins; 100 to B."""
    away = np.linalg.norm(lines - np.array(wall, np.float32), axis=2).astype(np.float32)
    found = gap_begins(away, np.full(len(lines), end), np.ones(len(lines), bool), 100, 1.0)
    return np.flatnonzero(found[0]).tolist()


def test_nothing_is_told_where_cloth_and_wall_are_alike() -> None:
    """50 columns of cloth and 10 of wall."""
    lines = np.tile(np.repeat([CLOTH, WALL], [50, 10], axis=0), (12, 1, 1)).astype(np.float32)
    assert begins(lines, WALL, 60) == [50]
    assert begins(lines, WALL, 60.0 + 45) == []  # it doesn't reach to where the parse map has the garment
    assert begins(lines, (50.0, 0.0, 0.0), 60) == []
    assert begins(lines, (np.nan, np.nan, np.nan), 60) == []
    printed = lines.copy()
    printed[:, 5:15] = WALL
    assert begins(printed, WALL, 60) == []


def test_a_side_that_the_light_brightens_is_no_gap() -> None:
    """Over 20 columns, a fifth of B, dark cloth goes over into the colour of the wall."""
    lines = np.zeros((12, 70, 3), np.float32)
    lines[..., 0] = np.concatenate([np.full(40, 40.0), np.linspace(40, 90, 20), np.full(10, 90.0)])
    assert begins(lines, WALL, 60) == []


@pytest.mark.parametrize(
    ("shade", "moved"), [(0, 0), (4, -4), (8, 0)], ids=["none", "some", "the panel's own"]
)
def test_a_shade_begins_where_the_colour_leaves_that_of_the_panel(shade: int, moved: int) -> None:
    """An arm begins at column 44 of 100 to B; what is dark further in than 5 of them belongs to the panel."""
    lines = np.zeros((12, 70, 3), np.float32)
    lines[..., 0] = 60
    lines[:, 44 - shade : 44, 0] = 20
    lines[:, 44:] = ARM
    assert set(shade_offsets(lines, np.full(12, 44.0), 100).tolist()) == {moved}
    assert set(shade_offsets(lines, np.full(12, np.nan), 100).tolist()) == {0.0}


def test_a_body_of_few_columns_shows_no_shade() -> None:
    """Of 9 columns to B not one is panel: 0.05 of them are looked at."""
    lines = np.zeros((12, 70, 3), np.float32)
    lines[:, 44:] = ARM
    np.testing.assert_array_equal(shade_offsets(lines, np.full(12, 44.0), 9), np.zeros(12))


def test_a_side_slants_no_more_than_it_may() -> None:
    """Known at row 2 alone, at 10 px; half a px further out for each row away from it."""
    ends = np.array([np.nan, np.nan, 10.0, np.nan])
    np.testing.assert_allclose(nearest_to(np.arange(4.0), ends, 0.5), [11, 10.5, 10, 10.5])
    assert np.isinf(nearest_to(np.arange(4.0), np.full(4, np.nan), 0.5)).all()


@pytest.mark.parametrize(
    ("hand", "height", "behind"),
    [
        pytest.param(True, HEIGHT, False, id="a hand shows"),
        pytest.param(False, HEIGHT, True, id="behind the back"),
        pytest.param(False, 640, False, id="the picture ends before the hand"),
    ],
)
def test_a_sleeve_that_may_pass_for_the_panel_leaves_the_width_unknown(
    hand: bool, height: int, behind: bool
) -> None:
    """White sleeves on white, without a seam, and no left wrist was found: is that arm behind the back?"""
    wearer = hanging(130, 140)
    mask = with_sleeves(tunic(width=240), wearer)
    photo = paint_photo(mask, wearer)
    wearer.xy[Joint.LEFT_WRIST], wearer.confidence[Joint.LEFT_WRIST] = np.nan, 0
    shown = np.zeros((HEIGHT, WIDTH), bool)
    shown[620:680, 510:550] = hand
    scene = Scene(photo=photo[:height], occluders=shown[:height])
    left = measure_worn(mask[:height], wearer, scene).sides[1].mean()
    assert left.value > 150  # the sleeve's outer side, 35 px outside of the bone
    assert (left.low < 120) == (not behind)


@pytest.mark.parametrize(("bone", "left_open"), [(104, True), (116, False)])
def test_an_outline_just_beyond_the_bone_may_be_a_thin_sleeves(bone: int, left_open: bool) -> None:
    """240 px of cloth without a seam end 16 or 4 px outside of the bones, 0.08 or 0.02 B."""
    mask, wearer = tunic(shoulder=240, width=240), hanging(bone, bone)
    none = np.zeros((HEIGHT, WIDTH), bool)
    for side in measure_worn(mask, wearer, Scene(photo=paint_photo(mask, wearer), occluders=none)).sides:
        found = side.mean()
        assert found.value == pytest.approx(120, abs=2)
        assert (found.value - found.low > 5) == left_open


@pytest.mark.parametrize(("key", "by_eye"), [("001073_0", 1.22), ("008258_0", 0.965), ("010710_0", 0.866)])
def test_photographs_whose_gap_or_sleeve_was_taken_for_cloth_are_right_or_unknown(
    key: str, by_eye: float
) -> None:
    """A deep gap, a white sleeve on white, and a grey shirt before a grey wall; widths read off by eye."""
    folder = shared_data() / "data/viton192/test"
    parse = load_parse(folder / f"image-parse-v3/{key}.png")
    _, ratios = measure_parsed(
        garment_mask(parse, Category.UPPER),
        parse,
        read_openpose(folder / f"openpose_json/{key}_keypoints.json", 192, 256),
        SizeRatioParams(),
        category=Category.UPPER,
        photo=read_picture(folder / f"image/{key}.jpg"),
        densepose=None,
    )
    width = ratios.bounds["width"]
    assert not ratios.known[1] or width.value == pytest.approx(by_eye, rel=0.08)


def test_an_arm_that_is_covered_as_far_as_it_was_found_has_a_sleeve() -> None:
    """Without its wrist an arm ends at the elbow, and a long sleeve with it; a map may lack a piece of it."""
    wearer, whole = hanging(130, 140), with_sleeves(tunic(), hanging(130, 140))
    wearer.xy[Joint.LEFT_WRIST], wearer.confidence[Joint.LEFT_WRIST] = np.nan, 0
    torn = whole.copy()
    torn[350:400] &= tunic(width=160)[350:400]
    for mask, bare in ((whole, False), (torn, False), (tunic(), True)):
        canvas = BodyCanvas.of(mask, BodyFrame.from_keypoints(wearer))
        arms = [side.arm for side in sides_of(wearer, canvas)]
        assert [arm.bare_below for arm in arms] == [bare, bare]
        assert (max(arm.sleeve_end for arm in arms) < 0.5) == (mask is torn)


def test_a_bare_arm_that_hangs_beside_a_wide_piece_has_no_sleeve_there() -> None:
    """Of 250 rows below a sleeveless panel 20 reach to the bone, as a flared hem does."""
    wearer, mask = hanging(160, 170), tunic()
    mask[430:450, 384 - 180 : 384 + 180] = True
    canvas = BodyCanvas.of(mask, BodyFrame.from_keypoints(wearer))
    assert [side.arm.bare_below for side in sides_of(wearer, canvas)] == [True, True]


def test_a_faint_shade_beside_dark_cloth_is_no_part_of_it() -> None:
    """4 columns of an arm are 15 Lab units from the cloth, not 60: more than 12, if not 0.35 of the way."""
    lines = np.zeros((12, 70, 3), np.float32)
    lines[..., 0] = 10
    lines[:, 40:44] = 19, 12, 0
    lines[:, 44:] = 70, 0, 0
    assert set(shade_offsets(lines, np.full(12, 44.0), 100).tolist()) == {-4.0}


@pytest.mark.parametrize(("brighter", "width"), [(4, 1.2), (60, 1.0)])
def test_only_a_clear_edge_shows_a_sleeve_that_would_be_thin(brighter: int, width: float) -> None:
    """The outer 20 px on either side of 240 px of cloth are brighter; bones of arms are 4 px inside of it."""
    mask, wearer = tunic(shoulder=240, width=240), hanging(116, 116)
    photo = paint_photo(mask, wearer, (40, 90, 160))
    photo[mask & beside(100, 120, top=0)] += np.uint8(brighter)
    assert width_seen(photo, mask, wearer=wearer)[0] == pytest.approx(width, abs=0.015)
