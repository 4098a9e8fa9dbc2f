"""Rows beside an arm whose joints are given in px, where B = 200, T = 300 and the hull is 100 px wide."""

import numpy as np
import pytest

from preprocess.body.arms import Arm
from preprocess.garment.arm_rows import crossed_rows
from preprocess.garment.panel import Side


def side_with(*joints: tuple[float, float], side: int = 1) -> Side:
    """One side, of which only the arm's joints matter: `a`, and `|b|` px."""
    placed = np.array(joints) * (1, side)
    arm = Arm(side=side, joints=placed, points=placed, share=np.linspace(0, 1, 3), sleeve_end=0.0)
    return Side(arm=arm, hip=100, torso_px=300, shoulder_px=200)


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize(("wrist", "first", "last"), [(150, 77, 188), (50, 12, 123)])
def test_a_forearm_across_hides_the_rows_from_its_elbow_to_its_fingertips(
    wrist: int, first: int, last: int, side: int
) -> None:
    """From row 100, 50 px up or down to the wrist and 1.3 times that to the fingertips, and 24 px around."""
    crossed = side_with((0, 100), (100, 130), (wrist, 50), side=side)
    a = np.arange(300.0)
    assert a[crossed_rows(crossed, a)].tolist() == list(range(first, last + 1))


def test_an_arm_that_stays_outside_hides_no_rows() -> None:
    """Its fingertips come to 76 px of the hull's 100; two px further in they lie within three quarters."""
    a = np.arange(300.0)
    assert not crossed_rows(side_with((0, 100), (100, 141), (150, 91)), a).any()
    assert crossed_rows(side_with((0, 100), (100, 139), (150, 89)), a).any()
