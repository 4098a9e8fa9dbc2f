"""Keypoints drawn at the latent grid."""

import pytest
import torch

from model.adapter.body_maps import FRAME, NUM_BODY_MAPS, body_maps

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
    # row 9 is px 36 to 39, its middle 37.5: (37.5 - 22) / 32; column 5 is px 20 to 23: (21.5 - 20) / 16
    assert a[9, 5] == pytest.approx(15.5 / 32)
    assert b[9, 5] == pytest.approx(1.5 / 16)


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
    assert maps[0, 2].argmax() == 5 * 10 + 3, "the right shoulder is at row 5, column 3"
    without_hip = body()
    without_hip[0, 9, 2] = 0
    assert not body_maps(without_hip, IMAGE_HW, LATENT_HW)[0, FRAME:].any()


def test_maps_move_with_the_picture_size() -> None:
    doubled = body()
    doubled[..., :2] = doubled[..., :2] * 2 + 0.5
    small, large = body_maps(body(), IMAGE_HW, LATENT_HW), body_maps(doubled, (160, 80), LATENT_HW)
    torch.testing.assert_close(small, large)
