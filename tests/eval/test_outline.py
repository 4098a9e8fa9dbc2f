import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon
from numpy.typing import NDArray

from eval.ladder.outline import boundary, deviation, nearest, outline

SHOULDER_PX = 130.0
TORSO = np.array([[102, 120], [282, 120], [264, 200], [277, 380], [192, 392], [107, 380], [120, 200]], float)


def panel(
    widening: float = 0.0, scale: float = 1.0, shift: tuple[float, float] = (0, 0)
) -> NDArray[np.bool_]:
    """A torso of 520 x 400 px whose sides are moved outwards by `widening` px."""
    middle = TORSO[:, 0].mean()
    polygon = TORSO + np.stack([np.sign(TORSO[:, 0] - middle) * widening, np.zeros(len(TORSO))], axis=1)
    height, width = round(520 * scale), round(400 * scale)
    centres = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1).reshape(-1, 2)
    return Polygon((polygon + shift) * scale).contains_points(centres).reshape(height, width)


def gfd(one: NDArray[np.bool_], other: NDArray[np.bool_], shoulder_px: float = SHOULDER_PX) -> float:
    return deviation(outline(one), outline(other), shoulder_px).gfd


def test_a_panel_does_not_deviate_from_itself() -> None:
    result = deviation(outline(panel()), outline(panel()), SHOULDER_PX)
    assert result.gfd == 0.0
    assert result.hd95 == 0.0


@pytest.mark.parametrize("pixels", [2, 3, 5, 10, 20])
def test_a_dilation_deviates_by_its_pixels(pixels: int) -> None:
    away = cv2.distanceTransform((~panel()).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    assert gfd(away <= pixels, panel()) == pytest.approx(pixels / SHOULDER_PX, rel=0.05)


@settings(max_examples=12, deadline=None)
@given(scale=st.floats(0.5, 2), dx=st.floats(-30, 30), dy=st.floats(-30, 30), widening=st.floats(10, 25))
def test_scale_and_shift_change_it_by_one_percent_at_most(
    scale: float, dx: float, dy: float, widening: float
) -> None:
    reference = gfd(panel(widening), panel())
    moved = gfd(panel(widening, scale, (dx, dy)), panel(0, scale, (dx, dy)), SHOULDER_PX * scale)
    assert moved == pytest.approx(reference, rel=0.01)


def test_a_mirrored_pair_deviates_the_same() -> None:
    assert gfd(panel(15)[:, ::-1], panel()[:, ::-1]) == pytest.approx(gfd(panel(15), panel()), rel=0.01)


def test_hd95_sees_a_hem_that_the_mean_hardly_does() -> None:
    longer = panel()
    longer[380:440, 115:270] = True
    result = deviation(outline(longer), outline(panel()), SHOULDER_PX)
    assert result.hd95 > 3 * result.gfd


def test_an_empty_panel_is_unknown_not_zero() -> None:
    nothing = outline(np.zeros((20, 20), bool))
    assert len(nothing) == 0
    assert np.isnan(deviation(nothing, outline(panel()), SHOULDER_PX).gfd)


def test_only_the_largest_piece_has_a_boundary() -> None:
    stained = panel()
    stained[5:9, 5:9] = True
    np.testing.assert_allclose(boundary(stained), boundary(panel()))


@pytest.mark.parametrize("large", [5, 150], ids=["near the corner", "far from it"])
def test_the_largest_piece_is_told_by_its_area_not_its_place(large: int) -> None:
    mask = np.zeros((200, 200), bool)
    small = 155 - large
    mask[large : large + 40, large : large + 40] = mask[small : small + 30, small : small + 30] = True
    found = boundary(mask)
    np.testing.assert_allclose((found.min(axis=0), found.max(axis=0)), ([large] * 2, [large + 40] * 2))


def test_the_boundary_of_a_square_lies_on_its_edges() -> None:
    square = np.zeros((40, 40), bool)
    square[10:30, 5:25] = True  # columns 5 to 24 cover 5.0 to 25.0
    outline = boundary(square)
    np.testing.assert_allclose(outline.min(axis=0), [5, 10], atol=0.05)
    np.testing.assert_allclose(outline.max(axis=0), [25, 30], atol=0.05)


def test_distances_go_to_the_line_not_to_its_points() -> None:
    square = np.array([[0, 0], [4, 0], [8, 0], [8, 4], [8, 8], [4, 8], [0, 8], [0, 4]], float)
    points = np.array([[4.5, -3.0], [4.0, 4.0], [11.0, 12.0]])
    np.testing.assert_allclose(nearest(points, square)[0], [3, 4, 5])


def test_where_a_sleeve_was_cut_off_nothing_is_compared() -> None:
    """The same panel, cut from a sleeve along another line: no edge of the garment is elsewhere."""
    garment = np.zeros((200, 200), bool)
    garment[20:180, 60:140] = True
    garment[40:70, 140:190] = True  # a sleeve to the right
    panels = [garment.copy() for _ in range(2)]
    panels[0][:, 140:] = False
    panels[1][:, 148:] = False
    whole = [outline(panel) for panel in panels]
    edges = [outline(panel, garment) for panel in panels]
    assert deviation(*whole, SHOULDER_PX).gfd > 0.002
    assert deviation(*edges, SHOULDER_PX).gfd < 0.0005
    assert not edges[0].is_edge.all()
    assert edges[0].is_edge.mean() == pytest.approx(1 - 30 / 480, abs=0.02)


def test_points_are_evenly_spaced_along_the_line() -> None:
    square = outline(np.pad(np.ones((30, 30), bool), 5)).resampled(64)
    steps = np.linalg.norm(np.roll(square.xy, -1, axis=0) - square.xy, axis=1)
    np.testing.assert_allclose(steps, steps.mean(), rtol=0.05)
