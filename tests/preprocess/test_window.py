"""The window a model looks through: nothing is stretched, and what comes back lies where it was."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess.person.window import Window
from shards.framing import Frame


def box(height: int, width: int, top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


def test_a_photo_of_the_models_proportions_is_seen_whole() -> None:
    window = Window.around(box(400, 300, 100, 50, 300, 250), 96, 72)
    assert (window.top, window.left, window.height, window.width) == (0, 0, 400, 300)


def test_a_wide_photo_is_cut_around_the_mask() -> None:
    window = Window.around(box(400, 900, 50, 600, 350, 800), 96, 72)
    assert (window.top, window.left, window.height, window.width) == (0, 550, 400, 300)


def test_a_mask_that_is_wider_than_the_window_makes_it_reach_beyond_the_photo() -> None:
    window = Window.around(box(400, 900, 100, 0, 300, 600), 96, 72)
    assert (window.height, window.width) == (800, 600)
    assert (window.top, window.left) == (-200, 0)
    photo = np.arange(400 * 900 * 3, dtype=np.uint32).astype(np.uint8).reshape(400, 900, 3)
    assert window.seen(photo).shape == (96, 72, 3)


def test_an_empty_mask_is_refused() -> None:
    for size in ((40, 30), (40, 50)):
        for place in (Window, Frame):
            with pytest.raises(ValueError, match="inpainting mask must cover some"):
                place.around(np.zeros(size, bool), 96, 72)


@given(
    height=st.integers(40, 500),
    width=st.integers(40, 500),
    corners=st.tuples(*[st.floats(0, 0.9)] * 2),
    part=st.tuples(*[st.floats(0.05, 1)] * 2),
)
def test_the_window_holds_the_mask_and_keeps_proportions(
    height: int, width: int, corners: tuple[float, float], part: tuple[float, float]
) -> None:
    top, left = int(corners[0] * height), int(corners[1] * width)
    bottom, right = (
        min(height, top + 1 + int(part[0] * height)),
        min(width, left + 1 + int(part[1] * width)),
    )
    window = Window.around(box(height, width, top, left, bottom, right), 96, 72)
    assert window.top <= top
    assert window.left <= left
    assert window.top + window.height >= bottom - 1, "rounding of the proportions may cost a pixel"
    assert window.left + window.width >= right - 1
    assert window.height / window.width == pytest.approx(96 / 72, rel=0.02)


def test_points_and_pictures_go_there_and_back() -> None:
    mask = box(192, 400, 20, 100, 180, 200)
    window = Window.around(mask, 96, 72)
    seen = window.seen_mask(mask)
    back = window.put_back(seen.astype(np.float32), 192, 400) > 0.5
    np.testing.assert_array_equal(back, mask)
    np.testing.assert_allclose(
        window.seen_points(np.array([[window.left + window.width, window.top + window.height]])), [[72, 96]]
    )


def test_a_picture_that_is_put_back_may_go_on_beyond_its_window() -> None:
    window = Window(top=2, left=1, height=4, width=2, image_height=4, image_width=2)
    seen = np.arange(8, dtype=np.uint8).reshape(4, 2)
    back = window.put_back(seen, 8, 4, cv2.BORDER_REPLICATE)
    assert back[:, 0].tolist() == [0, 0, 0, 2, 4, 6, 6, 6]
    assert back[3].tolist() == [2, 2, 3, 3]
    assert window.put_back(seen, 8, 4)[:, 0].tolist() == [0] * 8
