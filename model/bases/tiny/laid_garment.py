"""The garment's photo laid over the body where its category is worn, so that a print lies there too.

A garment's photo is taken from straight ahead, as a person's is. Brought to the scale of the body and put at
its shoulders, or its waist, its middle shows the print nearly as the panel will, whatever its size: cloth of
one bolt has the same print on a small garment as on a large one. Only the body and the category tell where it
is laid, so that it says nothing of the worn size.

Shapes: B batch, H x W the pictures.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from model.adapter.body_maps import (
    LEFT_HIP,
    ON_LEGS,
    RIGHT_HIP,
    TORSO,
    legs_of,
)


class Lay(NamedTuple):
    """Where a category is laid, in lengths of the torso from the shoulders, or of the legs from the hips."""

    top: float
    """Where the garment's photo begins."""

    height: float
    """How far it reaches."""

    half_width: float
    """Either side of the middle. What lies beyond, there and below, is shown by a mirror: a worn garment may
    be wider and longer than its photo, which tells how the cloth goes on and not where it ends."""

    bottom: float
    """Where the mirror begins."""


UPPER = Lay(top=-0.14, height=1.27, half_width=0.28, bottom=1.05)
LAID = {
    "dress": Lay(top=-0.14, height=2.3, half_width=0.28, bottom=2.0),
    "lower": Lay(top=-0.18, height=1.15, half_width=0.2, bottom=0.9),
}
"""Of the other categories."""

BACKGROUND = 0.12
"""Pixels of the garment's photo that differ by more from its corner, of -1 .. 1, show the garment."""

FINER = 3
"""Samples a pixel, each way: the photo shows the garment larger than the body wears it."""


def lay_on_body(cloths: Tensor, keypoints: Tensor, categories: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Lay garments over people.

    Args:
        cloths: (B, 3, H, W) photos of the garments alone in -1 .. 1.
        keypoints: (B, 25, 3) x, y in px of a picture of the same size, confidence; NaN or 0 where missing.
        categories: B kinds of garments.

    Returns:
        (B, 3, H, W), and (B,) whether that part of the body is known; where it isn't, the picture means
        nothing.
    """
    height, width = cloths.shape[2:]
    start, length_px, known = wearers_of(keypoints.to(cloths), categories)
    lays = cloths.new_tensor([LAID.get(category, UPPER) for category in categories])
    begins, reach, half_width, end = (n[:, None, None] for n in lays.unbind(1))
    y, x = ((torch.arange(FINER * n, device=cloths.device).to(cloths) + 0.5) / FINER for n in (height, width))
    offset = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1) - start[:, None, None]
    down = (length_px / length_px.square().sum(-1, keepdim=True))[:, None, None]
    across = torch.stack([down[..., 1], -down[..., 0]], dim=-1)
    a, b = mirrored((offset * down).sum(-1), (offset * across).sum(-1), half_width, end)
    top, bottom, middle = (n[:, None, None] for n in extent(cloths))
    scale = (bottom - top) / reach
    places = torch.stack([(middle + b * scale) / width, (top + (a - begins) * scale) / height], dim=-1)
    laid = F.grid_sample(cloths, 2 * places - 1, padding_mode="border", align_corners=False)
    return F.avg_pool2d(laid, FINER), known


def mirrored(a: Tensor, b: Tensor, half_width: Tensor, bottom: Tensor) -> tuple[Tensor, Tensor]:
    """Fold body coordinates into the part of the garment's photo that shows nothing but cloth."""
    across = half_width - (torch.remainder(b + half_width, 4 * half_width) - 2 * half_width).abs()
    return bottom - (bottom - a).abs(), across


def wearers_of(keypoints: Tensor, categories: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 2) where torsos, or legs, begin; (B, 2) from there to their end; (B,) whether they are known."""
    torsos = torso_of(keypoints)
    on_legs = [category in ON_LEGS for category in categories]
    if not any(on_legs):
        return torsos
    found = keypoints.isfinite().all(-1) & (keypoints[..., 2] > 0)
    xy = torch.where(found[..., None], keypoints[..., :2], 0.0)
    down, length, known = legs_of(xy, found)
    along = torch.where(known[:, None], length * down, down.new_tensor([0.0, 1.0]))
    legs = (xy[:, [RIGHT_HIP, LEFT_HIP]].mean(1), along, known)
    chosen = torch.tensor(on_legs, device=keypoints.device)
    start, along, known = (
        torch.where(chosen.reshape(-1, *[1] * (torso.dim() - 1)), leg, torso)
        for leg, torso in zip(legs, torsos, strict=True)
    )
    return start, along, known


def torso_of(keypoints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 2) the middle of the shoulders, (B, 2) from there to the middle of the hips; (B,) whether known."""
    joints = keypoints[:, TORSO]
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
