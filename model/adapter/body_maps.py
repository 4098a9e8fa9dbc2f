"""Keypoints drawn at the latent grid: what the size controller knows of the body.

Shapes: B batch, K = NUM_BODY_MAPS maps, h x w the latent grid. Joint numbers are OpenPose BODY_25.
Coordinates are continuous in pixels and in cells: column i covers [i, i + 1), so its centre is i + 0.5.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from model.pixels import sent

NUM_HEATMAPS = 15
"""Joints 0 to 14: the head's nose, neck, arms, hips and legs."""

RIGHT_SHOULDER, LEFT_SHOULDER, RIGHT_HIP, LEFT_HIP = 2, 5, 9, 12
TORSO = (RIGHT_SHOULDER, LEFT_SHOULDER, RIGHT_HIP, LEFT_HIP)
LEGS = ((9, 10, 11), (12, 13, 14))
"""Hip, knee and ankle."""

ON_LEGS = ("lower",)
"""Categories whose sizes are lengths over those of the legs; all others are measured on the torso."""

THIGHS_OF_LEG = 0.5
"""Thigh over leg, where no ankle is known."""

ARMS = ((2, 3, 4), (5, 6, 7))
LIMBS = ((2, 3), (3, 4), (5, 6), (6, 7), (2, 5), (9, 12), (9, 10), (12, 13))

FRAME = NUM_HEATMAPS + len(LIMBS) + len(ARMS)
"""The first of the three maps of the frame that a category is measured in: 1 where it is known, a / T, b / B;
on legs from the middle of the hips towards the knees, a / L, b / H."""

NUM_BODY_MAPS = FRAME + 3

JOINT_SIGMA = 0.08
"""Spread of a joint's Gaussian, in torso lengths."""

LIMB_REACH = 0.25
"""Distance from a limb's bone at which its map has fallen to 1 / e, in torso lengths."""

FARTHEST = 4.0
"""Body coordinates are clamped to this many lengths or widths of the body."""


def body_maps(
    keypoints: Tensor,
    image_hw: tuple[int, int],
    latent_hw: tuple[int, int],
    categories: Sequence[str] | None = None,
) -> Tensor:
    """Draw keypoints as joint heatmaps, limb maps, arm progress and body-frame coordinates.

    Args:
        keypoints: (B, 25, 3) x, y in px of the image and confidence; NaN or confidence 0 where missing.
        image_hw: Height and width of the image (px).
        latent_hw: Height and width of the maps.
        categories: B kinds of garments: they say in which frame coordinates are told; None: in the torso's.

    Returns:
        (B, K, h, w) float32; a map that needs a missing joint is zero.
    """
    cells_a_px = [latent_hw[1] / image_hw[1], latent_hw[0] / image_hw[0]]
    scale = sent(cells_a_px, keypoints.device, keypoints.dtype)
    known = torch.isfinite(keypoints).all(-1) & (keypoints[..., 2] > 0)
    xy = torch.where(known[..., None], keypoints[..., :2] * scale, 0.0)
    grid = cell_centres(latent_hw, keypoints.device)
    unit = torso_length(xy, known, latent_hw[0])
    maps = [heatmaps(grid, xy, known, unit)]
    maps += [limb_map(grid, xy, known, unit, start, end) for start, end in LIMBS]
    maps += [arm_progress(grid, xy, known, unit, arm) for arm in ARMS]
    frame = frame_maps(grid, xy, known)
    on_legs = [category in ON_LEGS for category in categories or ()]
    if any(on_legs):
        chosen = sent(on_legs, frame.device)[:, None, None, None]
        frame = torch.where(chosen, leg_maps(grid, xy, known), frame)
    return torch.cat([*maps, frame], dim=1)


def shares_of_cells(mask: Tensor, latent_hw: tuple[int, int]) -> Tensor:
    """Return (B, 1, h, w) float32, how much of each cell a (B, H, W) mask, not 0 where it is set, covers."""
    return F.adaptive_avg_pool2d((mask != 0).float()[:, None], latent_hw)


def cell_centres(latent_hw: tuple[int, int], device: torch.device) -> Tensor:
    """Return the (h, w, 2) x, y of the middle of every cell."""
    y, x = torch.meshgrid(*(torch.arange(n, device=device) + 0.5 for n in latent_hw), indexing="ij")
    return torch.stack([x, y], dim=-1)


def some_joints(values: Tensor, numbers: Sequence[int]) -> Tensor:
    """Return (B, N, ...) values of some joints; to bring a list of them to the device, as an index, waits."""
    return torch.stack([values[:, number] for number in numbers], dim=1)


def has_frame(known: Tensor) -> Tensor:
    """Return (B,) whether both shoulders and both hips are known."""
    return some_joints(known, TORSO).all(1)


def torso_length(xy: Tensor, known: Tensor, latent_height: int) -> Tensor:
    """Return (B, 1, 1) the torso length in cells, or three tenths of the picture where it is unknown."""
    top = some_joints(xy, (RIGHT_SHOULDER, LEFT_SHOULDER)).mean(1)
    bottom = some_joints(xy, (RIGHT_HIP, LEFT_HIP)).mean(1)
    length = (bottom - top).norm(dim=-1).clamp_min(1.0)
    return torch.where(has_frame(known), length, 0.3 * latent_height)[:, None, None]


def heatmaps(grid: Tensor, xy: Tensor, known: Tensor, unit: Tensor) -> Tensor:
    """Return (B, NUM_HEATMAPS, h, w): a Gaussian about every joint, 1 at its middle."""
    joints = xy[:, :NUM_HEATMAPS, None, None]
    squared = (grid - joints).square().sum(-1)
    sigma = (JOINT_SIGMA * unit).clamp_min(0.7)[:, None]
    return torch.exp(-squared / (2 * sigma.square())) * known[:, :NUM_HEATMAPS, None, None]


def segment(grid: Tensor, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Return each cell's distance to a bone and how far along it the nearest point lies, (B, h, w) each."""
    bone = (end - start)[:, None, None]
    offset = grid - start[:, None, None]
    along = ((offset * bone).sum(-1) / bone.square().sum(-1).clamp_min(1e-6)).clamp(0, 1)
    return (offset - along[..., None] * bone).norm(dim=-1), along


def limb_map(grid: Tensor, xy: Tensor, known: Tensor, unit: Tensor, start: int, end: int) -> Tensor:
    """Return (B, 1, h, w): 1 on the bone, falling exponentially with the distance from it."""
    distance, _ = segment(grid, xy[:, start], xy[:, end])
    there = known[:, start] & known[:, end]
    return (torch.exp(-distance / (LIMB_REACH * unit)) * there[:, None, None])[:, None]


def arm_progress(grid: Tensor, xy: Tensor, known: Tensor, unit: Tensor, arm: tuple[int, int, int]) -> Tensor:
    """Return (B, 1, h, w): 0 at the shoulder, 1/2 at the elbow, 1 at the wrist, fading away from the arm."""
    upper, along_upper = segment(grid, xy[:, arm[0]], xy[:, arm[1]])
    lower, along_lower = segment(grid, xy[:, arm[1]], xy[:, arm[2]])
    progress = torch.where(upper <= lower, along_upper, 1 + along_lower) / 2
    near = torch.exp(-torch.minimum(upper, lower) / (LIMB_REACH * unit))
    return (progress * near * some_joints(known, arm).all(1)[:, None, None])[:, None]


def frame_maps(grid: Tensor, xy: Tensor, known: Tensor) -> Tensor:
    """Return (B, 3, h, w): whether the torso is known, a in torso lengths, b in shoulder widths."""
    right, left = xy[:, RIGHT_SHOULDER], xy[:, LEFT_SHOULDER]
    top, bottom = (right + left) / 2, some_joints(xy, (RIGHT_HIP, LEFT_HIP)).mean(1)
    torso = (bottom - top).norm(dim=-1, keepdim=True).clamp_min(1.0)
    return coordinates(grid, (right, left), (bottom - top) / torso, torso, has_frame(known))


def leg_maps(grid: Tensor, xy: Tensor, known: Tensor) -> Tensor:
    """Return (B, 3, h, w): whether hips and knees are known, a in leg lengths, b in hip widths."""
    down, leg, there = legs_of(xy, known)
    return coordinates(grid, (xy[:, RIGHT_HIP], xy[:, LEFT_HIP]), down, leg, there)


def legs_of(xy: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Tell how legs stand.

    Args:
        xy: (B, 25, 2) joints.
        known: (B, 25) whether they are.

    Returns:
        (B, 2) the direction from the hips to the knees; (B, 1) the mean length of the legs whose ankle is
        known, or a guess at it from the thighs; (B,) whether hips and knees are known.
    """
    legs, found = (torch.stack([some_joints(of, leg) for leg in LEGS], dim=1) for of in (xy, known))
    down = (legs[:, :, 1] - legs[:, :, 0]).mean(1)
    thigh = down.norm(dim=-1, keepdim=True).clamp_min(1.0)
    lengths, whole = legs.diff(dim=2).norm(dim=-1).sum(-1), found.all(-1)
    leg = (lengths * whole).sum(1, keepdim=True) / whole.sum(1, keepdim=True).clamp_min(1)
    leg = torch.where(whole.any(1, keepdim=True), leg.clamp_min(1.0), thigh / THIGHS_OF_LEG)
    return down / thigh, leg, found[:, :, :2].all(-1).all(-1)


def coordinates(
    grid: Tensor, ends: tuple[Tensor, Tensor], down: Tensor, length: Tensor, known: Tensor
) -> Tensor:
    """Tell where every cell lies in a frame.

    Args:
        grid: (h, w, 2) middles of the cells.
        ends: (B, 2) right and left end of what the frame begins at.
        down: (B, 2) its unit vector away from there.
        length: (B, 1) the unit of `a`; that of `b` is the distance of the ends.
        known: (B,) whether there is such a frame; zeros where there isn't.

    Returns:
        (B, 3, h, w): 1, a, b.
    """
    right, left = ends
    span = (left - right).norm(dim=-1, keepdim=True).clamp_min(1.0)
    across = torch.stack([down[:, 1], -down[:, 0]], dim=-1)
    across = across * ((left - right) * across).sum(-1, keepdim=True).sign()
    offset = grid - ((right + left) / 2)[:, None, None]
    a = (offset * (down / length)[:, None, None]).sum(-1)
    b = (offset * (across / span)[:, None, None]).sum(-1)
    maps = torch.stack([torch.ones_like(a), a, b], dim=1).clamp(-FARTHEST, FARTHEST)
    return maps * known[:, None, None, None]
