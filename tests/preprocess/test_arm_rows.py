"""Rows beside an arm whose joints are given in px, where B = 200, T = 300 and the hull is 100 px wide."""

import numpy as np
import pytest

from preprocess.body.arms import Arm
from preprocess.garment.arm_rows import crossed_rows, sleeve_rows
from preprocess.garment.panel import Side


def side_with(*joints: tuple[float, float], side: int = 1) -> Side:
    """One side, of which only the arm's joints matter: `a`, and `|b|` px."""
    placed = np.array(joints) * (1, side)
    share = np.linspace(0, 1, 3)
    arm = Arm(side=side, joints=placed, points=placed, share=share, sleeve_end=0.0, bare_below=True)
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


@pytest.mark.parametrize(
    ("sleeve_end", "end", "outer", "last"),
    [
        pytest.param(0.5, 150, 160, 139, id="it hangs 40 px below where it ends on the bone, in row 100"),
        pytest.param(0.5, 115, 115, 199, id="the bone is 5 px outside of cloth that half covers the arm"),
        pytest.param(0.2, 115, 115, 42, id="a short sleeve there ends with its cuff"),
        pytest.param(0.5, 111, 111, 0, id="the bone is 9 px outside, more than a sleeve leaves"),
    ],
)
def test_a_sleeve_goes_on_as_far_down_as_it_covers_the_bone_or_hangs_below_it(
    sleeve_end: float, end: int, outer: int, last: int
) -> None:
    """The arm hangs 120 px off the axis from row 0 to 200, on a hull of 100 px."""
    points = np.column_stack([np.arange(201.0), np.full(201, 120.0)])
    arm = Arm(
        side=1,
        joints=points[::100],
        points=points,
        share=np.arange(201) / 200,
        sleeve_end=sleeve_end,
        bare_below=True,
    )
    side, a = Side(arm=arm, hip=100, torso_px=300, shoulder_px=200), np.arange(200.0)
    found = sleeve_rows(side, a, np.full(200, float(end)), np.full(200, float(outer)))
    assert a[found].tolist() == list(range(1, last + 1))
