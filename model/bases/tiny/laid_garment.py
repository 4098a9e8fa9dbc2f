"""The garment's photo laid over the body where its category is worn, so that a print lies there too.

A garment's photo is taken from straight ahead, as a person's is. Brought to the scale of the body and put at
its shoulders, or its waist, its middle shows the print nearly as the panel will, whatever its size: cloth of
one bolt has the same print on a small garment as on a large one. Only the body and the category tell where it
is laid, so that it says nothing of the worn size.

Shapes: B batch, H x W the pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from model.adapter.body_maps import (
    LEFT_HIP,
    ON_LEGS,
    RIGHT_HIP,
    TORSO,
    legs_of,
    some_joints,
)
from model.pixels import sent


class Lay(NamedTuple):
    """Where a category is laid, in lengths of the torso from the shoulders, or of the legs from the hips."""

    top: float
    """Where the garment begins in its photo, without its collar."""

    height: float
    """How far it reaches from there."""

    half_width: float
    """Either side of the middle, at most. What lies beyond, there and below, is shown by mirrors: a worn
    garment may be wider and longer than its photo, which tells how cloth goes on and not where it ends."""

    bottom: float
    """Where the mirror begins, at most."""


UPPER = Lay(top=-0.114, height=1.234, half_width=0.28, bottom=1.04)
LAID = {
    "dress": Lay(top=-0.114, height=2.115, half_width=0.28, bottom=1.92),
    "lower": Lay(top=-0.17, height=1.16, half_width=0.2, bottom=0.9),
}
"""Of the other categories."""

BACKGROUND = 0.12
"""Pixels of the garment's photo that differ by more from its corner, of -1 .. 1, show the garment."""

FAINT = 0.05
"""Where they differ by less they surely don't."""

COLLAR = 1 / 3
"""Rows above the first that is so wide, of the widest one's width, are collar: they stand up from the
shoulders as far as the cut wants, and tell nothing of the scale."""

HEM = 5
"""Neighbouring pixels that end the garment where they are half covered."""

FINER = 3
"""Samples a pixel, each way: the photo shows the garment larger than the body wears it."""

OUTER, INNER = (0.68, 1.0), (0.4, 0.65)
"""Between which a mirror may lie, in half widths from the middle. That at the bottom has a range as wide."""

NEAR, STEPS = 0.22, 24
"""How far from it both sides are compared (half widths), and in how many steps."""

STEP = NEAR / STEPS

LINES = 24
"""Rows or columns that are looked at."""

LATER = 2.0
"""How much less alike both sides may be for a mirror that begins a half width later."""


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
    flat = Flat.of(cloths, [LAID.get(category, UPPER) for category in categories])
    y, x = ((torch.arange(FINER * n, device=cloths.device).to(cloths) + 0.5) / FINER for n in (height, width))
    offset = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1) - start[:, None, None]
    squared = length_px.square().sum(-1, keepdim=True)
    down = (length_px / squared.clamp(min=1))[:, None, None]
    across = torch.stack([down[..., 1], -down[..., 0]], dim=-1)
    shown = flat.at(*flat.mirrors().fold((offset * down).sum(-1), (offset * across).sum(-1)))
    return F.avg_pool2d(shown, FINER), known & (squared[:, 0] >= 1)


@dataclass(frozen=True)
class Flat:
    """Photos of garments alone, looked at by the coordinates of the bodies that they are laid on."""

    cloths: Tensor
    """(B, 3, H, W)."""

    lays: Tensor
    """(B, 4), the fields of `Lay`."""

    origin: Tensor
    """(B, 2) x and y of the middle of the shoulders, or of the hips (px)."""

    scale: Tensor
    """(B,) pixels of a length."""

    @classmethod
    def of(cls, cloths: Tensor, lays: Sequence[Lay]) -> Self:
        """Find garments in their photos."""
        table = sent(lays, cloths.device, cloths.dtype)
        top, bottom, middle = extent(cloths)
        scale = (bottom - top) / table[:, 1]
        return cls(cloths, table, torch.stack([middle, top - table[:, 0] * scale], dim=1), scale)

    def at(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, 3, M, N) colours at (B, M, N) lengths down and towards the wearer's left."""
        size = sent([self.cloths.shape[3], self.cloths.shape[2]], self.cloths.device, self.cloths.dtype)
        px = self.origin[:, None, None] + torch.stack([b, a], dim=-1) * self.scale[:, None, None, None]
        places = 2 * px / size - 1
        found = F.grid_sample(self.cloths, places, "bicubic", padding_mode="border", align_corners=False)
        return found.clamp(-1, 1)

    def mirrors(self) -> "Mirrors":
        """Find where the cloth is most like its mirror image: so stripes and dots go on as they would."""
        _, _, half_width, bottom = (n[:, None] for n in self.lays.unbind(1))
        lines = torch.linspace(0, 1, LINES, device=half_width.device).to(half_width)
        rows, columns = bottom * (0.3 + 0.5 * lines), half_width * (1.8 * lines - 0.9)

        def across(places: Tensor) -> Tensor:
            sides = [self.at(*grid(rows, side * half_width * places)) for side in (-1, 1)]
            return torch.cat(sides, dim=1)

        outer, inner = (places_between(*ends, half_width) for ends in (OUTER, INNER))
        below = self.at(*grid(bottom + half_width * (outer - 1), columns)).transpose(2, 3)
        return Mirrors(
            outer=half_width[:, 0] * most_alike(across(outer), outer, LATER),
            inner=half_width[:, 0] * most_alike(across(inner), inner, 0.0),
            bottom=bottom[:, 0] + half_width[:, 0] * (most_alike(below, outer, LATER) - 1),
        )


class Mirrors(NamedTuple):
    """Where the cloth in a photo is turned back, to go on beyond it: (B,) lengths each."""

    outer: Tensor
    """From the middle, either side."""

    inner: Tensor
    """And where it is turned again: what lies nearer to the middle, a small emblem, is shown once."""

    bottom: Tensor
    """From the top."""

    def fold(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Fold (B, M, N) body coordinates into the part of the photo that shows nothing but cloth."""
        outer, inner, bottom = (n[:, None, None] for n in self)
        band = outer - inner
        beyond = inner + (torch.remainder(b.abs() - outer, 2 * band) - band).abs()
        return bottom - (bottom - a).abs(), torch.where(b.abs() > outer, b.sign() * beyond, b)


def grid(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """(B, M, N) each: every pair of rows (B, M) and columns (B, N)."""
    return a[:, :, None].expand(-1, -1, b.shape[1]), b[:, None].expand(-1, a.shape[1], -1)


def places_between(first: float, last: float, like: Tensor) -> Tensor:
    """(N,) places that are compared, `last` among them, and those that they are compared by."""
    count = round((last - first) / STEP)
    return last + STEP * torch.arange(-count - STEPS, STEPS + 1, device=like.device).to(like)


def most_alike(colours: Tensor, places: Tensor, later: float) -> Tensor:
    """(B,) which of (N,) places, the last axis of (B, C, L, N) colours, has the most alike sides."""
    around = colours.unfold(3, 2 * STEPS + 1, 1)
    around = around - around.mean(4, keepdim=True)
    alike = (around * around.flip(4)).mean((1, 2, 4)) / (around.square().mean((1, 2, 4)) + FAINT**2)
    compared = places[STEPS:-STEPS]
    return compared[(alike + later * compared).argmax(1)]


def wearers_of(keypoints: Tensor, categories: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 2) where torsos, or legs, begin; (B, 2) from there to their end; (B,) whether they are known."""
    torsos = torso_of(keypoints)
    on_legs = [category in ON_LEGS for category in categories]
    if not any(on_legs):
        return torsos
    found = keypoints.isfinite().all(-1) & (keypoints[..., 2] > 0)
    xy = torch.where(found[..., None], keypoints[..., :2], 0.0)
    down, length, known = legs_of(xy, found)
    along = torch.where(known[:, None], length * down, sent([0.0, 1.0], down.device, down.dtype))
    legs = (some_joints(xy, (RIGHT_HIP, LEFT_HIP)).mean(1), along, known)
    chosen = sent(on_legs, keypoints.device)
    start, along, known = (
        torch.where(chosen.reshape(-1, *[1] * (torso.dim() - 1)), leg, torso)
        for leg, torso in zip(legs, torsos, strict=True)
    )
    return start, along, known


def torso_of(keypoints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 2) the middle of the shoulders, (B, 2) from there to the middle of the hips; (B,) whether known."""
    joints = some_joints(keypoints, TORSO)
    known = (joints.isfinite().all(-1) & (joints[..., 2] > 0)).all(1)
    upright = sent([[0, 0], [0, 0], [0, 1], [0, 1]], joints.device, joints.dtype)
    xy = torch.where(known[:, None, None], joints[..., :2], upright)
    start = xy[:, :2].mean(1)
    return start, xy[:, 2:].mean(1) - start, known


def extent(cloths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where garments in (B, 3, H, W) photos begin below the collar, and end; their middle column: (B,) px."""
    differs = (cloths - cloths[:, :, :1, :1]).abs().amax(1)
    cover = coverage(differs)
    widths = cover.sum(2)
    top = first_crossing(widths, COLLAR * widths.amax(1))
    hem = F.avg_pool1d(cover, HEM, stride=1).amax(2).flip(1)
    bottom = widths.shape[1] - first_crossing(hem, hem.new_full((len(hem),), 0.5))
    columns = ((differs > BACKGROUND).sum(1) > 1).to(cloths)
    left, right = columns.argmax(1), columns.shape[1] - columns.flip(1).argmax(1)
    return top, bottom, (left + right).to(cloths) / 2


def coverage(differs: Tensor) -> Tensor:
    """(B, H, W) the share of each pixel that garments cover, by how much it differs from the background.

    A pixel at an edge is held against those two and three rows further in, which are covered as a whole. What
    JPEG leaves of an edge in the background is less than half of how much garments differ, or a quarter.
    """
    padded = F.pad(differs, (0, 0, 3, 3))
    height = differs.shape[1]
    above = torch.minimum(padded[:, :height], padded[:, 1 : height + 1])
    below = torch.minimum(padded[:, 6:], padded[:, 5:-1])
    known = torch.where(differs > FAINT, differs, torch.nan).flatten(1)
    least = (known.nanmedian(1).values / 2).nan_to_num(FAINT).clamp(min=FAINT)[:, None, None]
    full = torch.maximum(above, below).maximum(least)
    return (differs / full).clamp(max=1) * (differs > least / 2)


def first_crossing(profiles: Tensor, level: Tensor) -> Tensor:
    """(B,) where (B, N) values of rows first reach a (B,) level, in rows from the edge."""
    row = (profiles >= level[:, None]).to(profiles).argmax(1)
    here, before = (profiles.gather(1, n[:, None])[:, 0] for n in (row, (row - 1).clamp(min=0)))
    share = ((level - before) / (here - before).clamp(min=1e-6)).clamp(0, 1)
    return torch.where(row > 0, row - 0.5 + share, 0.0)
