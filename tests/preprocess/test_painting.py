"""Shapes are painted where they are: column i of a picture covers [i, i + 1)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from preprocess.painting import draw_capsule, draw_disc, draw_line, fill


def middle(picture: NDArray[np.uint8]) -> tuple[float, float]:
    """The mean of the pixels' middles, x and y, each as often as it is bright."""
    light = picture.astype(np.float64)
    y, x = np.indices(light.shape) + 0.5
    return float((x * light).sum() / light.sum()), float((y * light).sum() / light.sum())


@settings(max_examples=30, deadline=None)
@given(x=st.floats(20, 60), y=st.floats(20, 30))
def test_a_shape_lies_about_its_centre(x: float, y: float) -> None:
    centre = np.array([x, y])
    square = centre + 9.25 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    disc, outline, region = (np.zeros((50, 80), np.uint8) for _ in range(3))
    draw_disc(disc, centre, 9, 255)
    draw_line(outline, square, 255, 1, closed=True)
    draw_capsule(region, centre, centre, 9)
    for picture, tolerance in ((disc, 0.2), (outline, 0.2), (region, 0.3)):  # OpenCV is no finer
        assert middle(picture) == pytest.approx((x, y), abs=tolerance)


def test_a_polygon_along_the_edges_of_pixels_covers_these_pixels() -> None:
    picture = np.zeros((10, 10), np.uint8)
    fill(picture, np.array([(2.5, 3.5), (5.5, 3.5), (5.5, 6.5), (2.5, 6.5)]), 7)
    assert (picture[3:7, 2:6] == 7).all(), "OpenCV sets what the outline touches, so 2.5 to 5.5 is 2 to 6"
    assert np.count_nonzero(picture) == 16
