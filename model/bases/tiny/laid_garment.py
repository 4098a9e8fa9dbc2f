"""The garment's photo laid over the torso, so that a print lies where it is worn.

A garment's photo is taken from straight ahead, as a person's is. Brought to the scale of the body and put at
its shoulders, its middle shows the print nearly as the panel will, whatever its size: cloth of one bolt has
the same print on a small garment as on a large one. Only the body tells where it is laid, so that it says
nothing of the worn size.

Shapes: B batch, H x W the pictures.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

RIGHT_SHOULDER, LEFT_SHOULDER, RIGHT_HIP, LEFT_HIP = 2, 5, 9, 12
"""Of BODY_25."""

TOP, HEIGHT = -0.14, 1.27
"""Where the garment's photo begins, from the shoulders down, and how far it reaches, in torso lengths."""

HALF_WIDTH, BOTTOM = 0.28, 1.05
"""What lies beyond these, in torso lengths, is shown by a mirror: a worn garment may be wider and longer than
its photo, which tells how the cloth goes on and not where it ends."""

BACKGROUND = 0.12
"""Pixels of the garment's photo that differ by more from its corner, of -1 .. 1, show the garment."""

FINER = 3
"""Samples a pixel, each way: the photo shows the garment larger than the body wears it."""


def lay_on_torso(cloths: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor]:
    """Lay garments over the torsos of people.

    Args:
        cloths: (B, 3, H, W) photos of the garments alone in -1 .. 1.
        keypoints: (B, 25, 3) x, y in px of a picture of the same size, confidence; NaN or 0 where missing.

    Returns:
        (B, 3, H, W), and (B,) whether the torso is known; where it isn't, the picture means nothing.
    """
    height, width = cloths.shape[2:]
    start, torso_px, known = torso_of(keypoints.to(cloths))
    y, x = ((torch.arange(FINER * n, device=cloths.device).to(cloths) + 0.5) / FINER for n in (height, width))
    offset = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1) - start[:, None, None]
    down = (torso_px / torso_px.square().sum(-1, keepdim=True))[:, None, None]
    across = torch.stack([down[..., 1], -down[..., 0]], dim=-1)
    a, b = mirrored((offset * down).sum(-1), (offset * across).sum(-1))
    top, bottom, middle = extent(cloths)
    top, middle, scale = (n[:, None, None] for n in (top, middle, (bottom - top) / HEIGHT))
    places = torch.stack([(middle + b * scale) / width, (top + (a - TOP) * scale) / height], dim=-1)
    laid = F.grid_sample(cloths, 2 * places - 1, padding_mode="border", align_corners=False)
    return F.avg_pool2d(laid, FINER), known


def mirrored(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Fold body coordinates into the part of the garment's photo that shows nothing but cloth."""
    across = HALF_WIDTH - (torch.remainder(b + HALF_WIDTH, 4 * HALF_WIDTH) - 2 * HALF_WIDTH).abs()
    return BOTTOM - (BOTTOM - a).abs(), across


def torso_of(keypoints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 2) the middle of the shoulders, (B, 2) from there to the middle of the hips; (B,) whether known."""
    joints = keypoints[:, [RIGHT_SHOULDER, LEFT_SHOULDER, RIGHT_HIP, LEFT_HIP]]
    known = (joints.isfinite().all(-1) & (joints[..., 2] > 0)).all(1)
    xy = torch.where(
        known[:, None, None], joints[..., :2], joints.new_tensor([[0, 0], [0, 0], [0, 1], [0, 1]])
    )
    start = xy[:, :2].mean(1)
    return start, xy[:, 2:].mean(1) - start, known


def extent(cloths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B,) first row, end of the last row and middle column (px) of garments in (B, 3, H, W) photos."""
    shown = ((cloths - cloths[:, :, :1, :1]).abs().amax(1) > BACKGROUND).to(cloths)
    rows, columns = ((shown.sum(axis) > 1).to(cloths) for axis in (2, 1))
    first, last = rows.argmax(1), rows.shape[1] - rows.flip(1).argmax(1)
    left, right = columns.argmax(1), columns.shape[1] - columns.flip(1).argmax(1)
    return first.to(cloths), last.to(cloths), (left + right).to(cloths) / 2
