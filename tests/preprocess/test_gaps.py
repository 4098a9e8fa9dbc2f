"""Gaps between arm and panel that a parse map has filled, drawn so that the edge is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from preprocess.garment.edges import gap_begins, wall_colour
from preprocess.garment.measurements import measure_worn
from preprocess.garment.scene import Scene
from tests.preprocess.people import HEIGHT, WIDTH, paint_photo, person, tunic

WALL, CLOTH = (90.0, 0.0, 0.0), (40.0, 0.0, 0.0)


def width_seen(photo: NDArray[np.uint8], mask: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Width and its bounds, in B = 200 px."""
    nothing = np.zeros((HEIGHT, WIDTH), bool)
    width = measure_worn(mask, person(), Scene(photo=photo, occluders=nothing)).lengths["width"]
    return width.value / 200, width.low / 200, width.high / 200


@pytest.mark.parametrize("filled", [0, 16, 24])
def test_the_panel_ends_where_a_gap_begins_that_the_parse_map_has_filled(filled: int) -> None:
    """The garment is 240 px wide, 1.2 B; the parse map goes on over `filled` px of wall on either side."""
    photo = paint_photo(tunic(width=240), person())
    value, low, high = width_seen(photo, tunic(shoulder=300, width=240 + 2 * filled))
    assert value == pytest.approx(1.2, abs=0.015)
    assert low <= 1.2 <= high
    assert high - low < 0.05


def test_stripes_in_the_colour_of_the_wall_are_no_gap() -> None:
    """Upright ones, of which the outermost ends 10 px from either side."""
    mask = tunic(width=240)
    photo = paint_photo(mask, person())
    photo[:, np.arange(WIDTH) % 40 < 10] = 225
    assert width_seen(photo, mask)[0] == pytest.approx(1.2, abs=0.015)


def test_the_wall_is_what_lies_beside_the_person() -> None:
    """100 columns to B: 30 of cloth, 30 of an arm, 40 of wall."""
    lines = np.tile(np.repeat([CLOTH, (60.0, 30.0, 30.0), WALL], [30, 30, 40], axis=0), (12, 1, 1))
    lines = lines.astype(np.float32)
    np.testing.assert_allclose(wall_colour(lines, [(1, np.full(12, 60.0))], 100), WALL)
    uneven = lines.copy()
    uneven[::2, 60:] = CLOTH
    assert np.isnan(wall_colour(uneven, [(1, np.full(12, 60.0))], 100)).all()
    assert np.isnan(wall_colour(lines, [(1, np.full(12, np.nan))], 100)).all()


def test_nothing_is_told_where_cloth_and_wall_are_alike() -> None:
    lines = np.tile(np.repeat([CLOTH, WALL], [50, 10], axis=0), (12, 1, 1)).astype(np.float32)
    worn, wall = np.ones(12, bool), np.array(WALL, np.float32)

    def begins(lines: NDArray[np.float32], wall: NDArray[np.float32]) -> list[int]:
        return np.flatnonzero(gap_begins(lines, wall, worn, 100, 1.0)[0]).tolist()

    assert begins(lines, wall) == [50]
    assert begins(lines, np.array((50.0, 0, 0), np.float32)) == []
    assert begins(lines, np.full(3, np.nan, np.float32)) == []
    printed = lines.copy()
    printed[:, 5:15] = WALL
    assert begins(printed, wall) == []


def test_a_side_that_the_light_brightens_is_no_gap() -> None:
    """Over 20 columns, a fifth of B, dark cloth goes over into the colour of the wall."""
    lightness = np.concatenate([np.full(40, 40.0), np.linspace(40, 90, 20), np.full(10, 90.0)])
    lines = np.zeros((12, 70, 3), np.float32)
    lines[..., 0] = lightness
    assert not gap_begins(lines, np.array(WALL, np.float32), np.ones(12, bool), 100, 1.0).any()
