"""Hems in drawn pictures: where a parse map errs between like cloths, the photo tells the hem, or nobody.

The person of `people.person`: mid-shoulder in row 300, T = 320 px, so that row 620 is a length of 1.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from preprocess.garment.bounds import Bounds
from preprocess.garment.hem_view import HemView, strength_of
from preprocess.garment.hems import REACH, hem_lines
from preprocess.garment.measurements import measure_worn
from preprocess.garment.parse import garment_mask, scene_of
from preprocess.vocabulary import Category, Lip
from tests.preprocess.people import HEIGHT, WIDTH, paint_photo, person, tunic

Colour = tuple[int, int, int]
WHITE, GREY, NAVY, BLUE, SKIN = (
    (240, 240, 240),
    (150, 148, 145),
    (30, 35, 70),
    (80, 110, 170),
    (200, 150, 120),
)
SLACK = 0.015
TROUSERS = slice(264, 504)


def labels(hem: int, waistband: int | None = None) -> NDArray[np.uint8]:
    """LIP labels of a top that ends at row `hem`, and of trousers from row `waistband`, or from there, on."""
    parse = np.zeros((HEIGHT, WIDTH), np.uint8)
    parse[hem if waistband is None else waistband :, TROUSERS] = Lip.PANTS
    parse[tunic(hem=hem)] = Lip.UPPER_CLOTHES
    return parse


def photo(hem: int, top: Colour, bottoms: Colour) -> NDArray[np.uint8]:
    """A top of one colour down to row `hem`, trousers of another from there on, with a camera's noise."""
    picture = paint_photo(tunic(hem=hem), person(), top)
    picture[hem:, TROUSERS] = bottoms
    noise = np.random.default_rng(0).integers(-2, 3, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def length(parse: NDArray[np.uint8], picture: NDArray[np.uint8] | None) -> Bounds:
    scene = scene_of(parse, photo=picture)
    return measure_worn(garment_mask(parse, Category.UPPER), person(), scene).lengths["length"].over(320)


def test_a_hem_with_an_edge_is_as_the_parse_map_has_it() -> None:
    found = length(labels(620), photo(620, NAVY, GREY))
    assert found == length(labels(620), None)
    assert (found.low, found.value, found.high) == pytest.approx((1 - SLACK, 1, 1 + SLACK), abs=0.002)


def test_between_two_white_cloths_nothing_tells_the_hem() -> None:
    """A fold in row 700, 2 % darker below, is no edge."""
    picture = photo(620, WHITE, WHITE)
    picture[700:, TROUSERS] -= 5
    found = length(labels(700), picture)
    assert found.value == pytest.approx(1.25, abs=0.002)
    assert found.low == pytest.approx(1.25 + REACH[0] - SLACK, abs=0.002)
    assert found.high == pytest.approx(1.25 + REACH[1] + SLACK, abs=0.002)


@pytest.mark.parametrize("by_the_map", [556, 684], ids=["too high", "down into the trousers"])
def test_the_hem_is_where_the_photo_has_it_for_sure(by_the_map: int) -> None:
    found = length(labels(by_the_map), photo(620, NAVY, GREY))
    assert found.value == pytest.approx(1, abs=0.012)
    assert found.uncertainty < 0.05


def test_a_see_through_hem_that_the_map_gives_to_the_trousers_is_the_tops() -> None:
    """Lace of 32 px, 0.1 T, its threads of the top's colour, over jeans."""
    picture = photo(620, GREY, BLUE)
    lace = picture[620:652, TROUSERS]
    lace[np.indices(lace.shape[:2]).sum(axis=0) % 8 < 7] = (140, 138, 136)
    found = length(labels(620), picture)
    assert found.value == pytest.approx(1.1, abs=0.015)


def test_an_edge_between_cloths_of_one_colour_widens_the_bounds_up_to_it() -> None:
    """The hem in row 620 throws a shadow; the map's, in row 684, is a fainter seam of the trousers."""
    picture = photo(620, GREY, GREY)
    picture[620:630, TROUSERS] = (60, 60, 60)
    picture[684:690, TROUSERS] = (110, 108, 105)
    found = length(labels(684), picture)
    assert found.value == pytest.approx(1.2, abs=0.002)
    assert found.low < 1.03  # where the shadow ends
    assert found.high < 1.25


@pytest.mark.parametrize("seam", [540, 684], ids=["above", "below"])
def test_a_seam_fainter_than_the_hem_widens_nothing(seam: int) -> None:
    """The hem in row 620 throws the same shadow, and the map has it there."""
    picture = photo(620, GREY, GREY)
    picture[620:630, TROUSERS] = (60, 60, 60)
    picture[seam : seam + 6, TROUSERS] = (110, 108, 105)
    assert length(labels(620), picture) == length(labels(620), None)


def test_stripes_and_prints_are_no_hems() -> None:
    picture = photo(620, NAVY, GREY)
    for row in range(360, 600, 40):
        picture[row : row + 16, TROUSERS] = WHITE
    assert length(labels(620), picture) == length(labels(620), None)


def test_the_waistband_below_a_bare_belly_is_no_hem() -> None:
    picture = photo(560, WHITE, SKIN)
    picture[640:, TROUSERS] = NAVY
    assert length(labels(560, 640), picture) == length(labels(560, 640), None)


def test_a_sleeve_in_front_of_the_hem_is_not_the_hem() -> None:
    """A forearm of the top's colour hangs down to row 690, and its hand from there to row 740."""
    parse, picture = labels(620), photo(620, NAVY, GREY)
    parse[560:690, 400:430], picture[560:690, 400:430] = Lip.UPPER_CLOTHES, NAVY
    parse[690:740, 400:430], picture[690:740, 400:430] = Lip.LEFT_ARM, SKIN
    assert length(parse, picture).value == pytest.approx(1, abs=0.01)


def test_where_edge_and_colours_disagree_about_a_piece_below_the_hem_it_may_be_either() -> None:
    """A white stripe ends most columns, cloth of the top's colour goes on to a fainter edge in row 700."""
    parse, picture = labels(620), photo(700, NAVY, (50, 60, 110))
    picture[616:628, TROUSERS] = WHITE
    parse[620:700, 400:416] = Lip.UPPER_CLOTHES
    found = length(parse, picture)
    assert found.value == pytest.approx(1.25, abs=0.01)
    assert found.low == pytest.approx(1 - SLACK, abs=0.01)
    assert found.high == pytest.approx(1.25 + SLACK, abs=0.01)


def test_hands_over_half_of_a_hem_hide_nothing_that_the_other_half_shows() -> None:
    """Without the photo the hem may go on as far as the hands reach, 60 px or 0.19 T."""
    parse, picture = labels(620), photo(620, NAVY, GREY)
    parse[600:680, 384:440], picture[600:680, 384:440] = Lip.LEFT_ARM, SKIN
    assert length(parse, None).high > 1.15
    assert length(parse, picture).high == pytest.approx(1 + SLACK, abs=0.005)


def test_a_line_is_as_strong_as_all_but_a_few_of_its_columns_and_nothing_where_few_are_seen() -> None:
    """35 of 100 may be weaker: 3 of 10 columns, and 1 of 5 where the others are hidden."""
    columns = np.arange(1.0, 11.0)
    half, one = np.where(columns > 5, columns, np.nan), np.where(columns > 9, columns, np.nan)
    assert strength_of(np.stack([columns, half, one])) == pytest.approx([4, 7, 0])


def test_what_lies_between_two_lines_leaves_out_what_is_next_to_either() -> None:
    """Rows of 0.01 T, of which those from 0.32 to 0.38 T lie 0.02 T within lines at 0.295 and 0.405 T."""
    a, shown = np.arange(100) / 100, np.ones((100, 2), np.bool_)
    lines = np.zeros((100, 2, 3), np.float32)
    view = HemView(a=a, lines=lines, seen=shown & [True, False], garment=shown, bottoms=~shown)
    values = np.column_stack([a, a + 1]).astype(np.float32)
    first, last = np.array([0.295, 0.295]), np.array([0.405, 0.405])
    assert view.between(values, first, last) == pytest.approx(0.35)
    assert np.isnan(view.between(values, first, first + 0.03))


def test_columns_that_end_elsewhere_follow_their_neighbours() -> None:
    ends = np.array([1.0, 1.01, np.nan, 1.02, 0.7, 0.7, 0.7, 0.7, 1.2])
    lowest, main = hem_lines(ends)
    assert lowest == pytest.approx(np.full(9, 1.2))
    assert main == pytest.approx(np.full(9, 0.7))
