"""Keypoints drawn at the latent grid."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from model.adapter.body_maps import FRAME, NUM_BODY_MAPS, NUM_HEATMAPS, body_maps, shares_of_cells
from preprocess.body.keypoints import mirrored

IMAGE_HW, LATENT_HW = (80, 40), (20, 10)


def body() -> torch.Tensor:
    """A body whose shoulders lie 16 px apart in row 22 and whose hips lie 32 px below."""
    points = torch.full((1, 25, 3), float("nan"))
    for joint, xy in {2: (12, 22), 5: (28, 22), 9: (14, 54), 12: (26, 54)}.items():
        points[0, joint] = torch.tensor([*xy, 1.0])
    return points


def test_body_coordinates_are_in_torso_lengths_and_shoulder_widths() -> None:
    known, a, b = body_maps(body(), IMAGE_HW, LATENT_HW)[0, FRAME:]
    assert known.all()
    # row 9 covers px 36 to 40, its middle is 38: (38 - 22) / 32; column 5 px 20 to 24: (22 - 20) / 16
    assert a[9, 5] == pytest.approx(16 / 32)
    assert b[9, 5] == pytest.approx(2 / 16)


def test_the_left_shoulder_has_the_positive_coordinate_from_behind_too() -> None:
    turned = body()
    turned[0, [2, 5]] = turned[0, [5, 2]]
    turned[0, [9, 12]] = turned[0, [12, 9]]
    b = body_maps(turned, IMAGE_HW, LATENT_HW)[0, FRAME + 2]
    assert b[5, 3] > 0 > b[5, 6]


def test_missing_joints_leave_empty_maps() -> None:
    maps = body_maps(body(), IMAGE_HW, LATENT_HW)
    assert maps.shape == (1, NUM_BODY_MAPS, *LATENT_HW)
    assert maps.isfinite().all()
    assert not maps[0, 0].any(), "the nose is missing"
    assert maps[0, 12].argmax() == 13 * 10 + 6, "the left hip is at row 13, column 6"
    without_hip = body()
    without_hip[0, 9, 2] = 0
    assert not body_maps(without_hip, IMAGE_HW, LATENT_HW)[0, FRAME:].any()


def test_limbs_are_arms_shoulders_hips_and_thighs() -> None:
    """Each map is 1 in the middle of its own bone alone."""
    joints = {2: (10, 10), 3: (4, 20), 4: (8, 30), 5: (30, 10), 6: (36, 20), 7: (32, 30)}
    joints |= {9: (14, 30), 12: (26, 30), 10: (14, 50), 13: (28, 50)}
    points = torch.full((1, 25, 3), float("nan"))
    for joint, (x, y) in joints.items():
        points[0, joint] = torch.tensor([x + 0.5, y + 0.5, 1.0])
    middles = [(15, 7), (25, 6), (15, 33), (25, 34), (10, 20), (30, 20), (40, 14), (40, 27)]
    maps = body_maps(points, (60, 40), (60, 40))[0, NUM_HEATMAPS : NUM_HEATMAPS + len(middles)]
    there = torch.stack([maps[:, row, column] for row, column in middles], dim=1)
    assert torch.equal(there > 0.999, torch.eye(len(middles)) > 0)


def test_an_arm_is_told_by_how_far_along_it_a_cell_lies() -> None:
    """A right arm, bent square, in 40 rows: without a torso 12 cells stand for it, and 3 for its reach."""
    points = torch.full((1, 25, 3), float("nan"))
    for joint, xy in {2: (10.5, 10.5), 3: (10.5, 30.5), 4: (30.5, 30.5)}.items():
        points[0, joint] = torch.tensor([*xy, 1.0])
    right, left = body_maps(points, (40, 40), (40, 40))[0, FRAME - 2 : FRAME]
    along = right[[10, 20, 30, 30, 30], [10, 10, 10, 20, 30]]
    assert along.tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert right[20, 7] == pytest.approx(0.25 / math.e)
    assert right[33, 30] == pytest.approx(1 / math.e)
    assert not left.any()


def test_maps_move_with_the_picture_size() -> None:
    doubled = body()
    doubled[..., :2] *= 2
    small, large = body_maps(body(), IMAGE_HW, LATENT_HW), body_maps(doubled, (160, 80), LATENT_HW)
    torch.testing.assert_close(small, large)


@settings(max_examples=30, deadline=None)
@given(x=st.floats(12, 28), y=st.floats(12, 68), factor=st.sampled_from([1, 2, 4]))
def test_a_heatmap_lies_where_its_joint_is(x: float, y: float, factor: int) -> None:
    points = body()
    points[0, 0] = torch.tensor([x, y, 1.0])
    height, width = IMAGE_HW[0] // factor, IMAGE_HW[1] // factor
    heat = body_maps(points, IMAGE_HW, (height, width))[0, 0].double()
    middles_y, middles_x = torch.meshgrid(
        (torch.arange(height) + 0.5) * factor, (torch.arange(width) + 0.5) * factor, indexing="ij"
    )
    for middles, place in ((middles_x, x), (middles_y, y)):
        assert float((heat * middles).sum() / heat.sum()) == pytest.approx(place, abs=0.1)


@settings(max_examples=10, deadline=None)
@given(x=st.floats(0, 39), y=st.floats(0, 79))
def test_maps_of_a_mirrored_body_are_the_mirrored_maps(x: float, y: float) -> None:
    points = body()
    points[0, 3] = torch.tensor([x, y, 1.0])
    maps = body_maps(points, IMAGE_HW, LATENT_HW)[0]
    flipped = torch.from_numpy(mirrored(points.numpy(), IMAGE_HW[1]))
    after = body_maps(flipped, IMAGE_HW, LATENT_HW)[0].flip(-1)
    sides = [0, 1, 5, 6, 7, 2, 3, 4, 8, 12, 13, 14, 9, 10, 11]
    assert len(sides) == NUM_HEATMAPS
    torch.testing.assert_close(after[sides], maps[:NUM_HEATMAPS])
    torch.testing.assert_close(after[FRAME + 1], maps[FRAME + 1])
    torch.testing.assert_close(after[FRAME + 2], -maps[FRAME + 2])


def test_trousers_are_placed_by_the_legs() -> None:
    """Hips 8 px apart, legs of 40 px: a counts these from the middle of the hips, b the hips' width."""
    joints = torch.zeros(2, 25, 3)
    for joint, x, y in ((9, 16, 20), (12, 24, 20), (10, 16, 40), (13, 24, 40), (11, 16, 60), (14, 24, 60)):
        joints[:, joint] = torch.tensor([x, y, 1.0])
    joints[1, [11, 14]] = 0.0  # no ankles: the thighs tell
    for maps in body_maps(joints, (80, 40), (80, 40), ["lower"] * 2):
        known, a, b = maps[FRAME:]
        assert known.all()
        assert a[30, 20].item() == pytest.approx(10.5 / 40)
        assert b[30, 24].item() == pytest.approx(4.5 / 8)
    assert not body_maps(joints, (80, 40), (80, 40), ["upper", "dress"])[:, FRAME:].any(), "no shoulders"


def test_cells_are_covered_in_shares() -> None:
    mask = torch.zeros(1, 8, 4, dtype=torch.uint8)
    mask[0, 2:, 1:] = 255
    assert_close(shares_of_cells(mask, (2, 1))[0, 0], torch.tensor([[2 * 3 / 16], [4 * 3 / 16]]))
