"""Sleeves at another length: cut square off along the arm, or gone on with as thick as they end.

A longer sleeve covers all of a shorter one: what is added at a share of the arm is the same at all lengths.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from preprocess.body.canvas import Mask
from preprocess.body.keypoints import ARM_JOINTS, Array, Keypoints
from preprocess.layout.parts import SHOULDERS_BARE, Parts
from preprocess.layout.sides import Floats

ON_BONE = 0.05
"""How far from the bone, in B, cloth covers it."""

CUFF = 0.08
"""Share of the arm, up to where a sleeve ends, whose thickness it goes on with."""

THICK, WRIST = 0.2, 0.13
"""Half the thickness, in B, of a sleeve where there was none, and the most of any at the wrist."""

LOWEST = 0.5
"""Row, in T, below which what sticks out of the torso part is none of a sleeve's."""

SLIM = 0.08
"""Half the thickness, in B, of the slimmest sleeve at the wrist; at the shoulder it is `THICK`."""


@dataclass(frozen=True, slots=True, eq=False)
class OnArm:
    """Where (H, W) pixels lie on an arm."""

    share: Floats
    """Share of the arm's length of the nearest point of its bone."""

    away: Floats
    """How far from that point, in B."""


def sleeves_to(parts: Parts, keypoints: Keypoints, sleeves: Mask, length: float) -> Mask:
    """Return sleeves that end at a share of the arms; one on an arm that lacks a joint stays.

    Args:
        parts: The worn garment, from `with_whole_sleeves`.
        keypoints: Of its wearer, px.
        sleeves: (H, W) as thick as wanted, with what joins them to the torso part.
        length: Share of the arms that they are to cover.
    """
    bare = (parts.a >= SHOULDERS_BARE[0]) & (parts.a <= SHOULDERS_BARE[1])
    for side, joints in ARM_JOINTS.items():
        if not keypoints.has(*joints):
            continue
        arm = on_arm(parts, keypoints.xy[list(joints)])
        beside = parts.b * side > 0
        end, thick = cuff_of(arm, sleeves & beside)
        added = beside & ~bare & (arm.away <= thickness(arm, end, thick))
        sleeves = np.where(beside, (sleeves | added) & (arm.share <= length), sleeves)
    return sleeves


def with_whole_sleeves(parts: Parts) -> Parts:
    """Return a garment whose sleeves have the corners that lie beyond the sides of its torso part."""
    beyond = np.abs(parts.b) > parts.sides.at(parts.a, parts.b)[0] + 1 / parts.frame.shoulder_width
    corners = parts.torso & beyond & (parts.a > SHOULDERS_BARE[1]) & (parts.a < LOWEST)
    return replace(parts, torso=parts.torso & ~corners, sleeves=parts.sleeves | corners)


def on_arm(parts: Parts, joints: Array) -> OnArm:
    """Find the nearest point of an arm's bone, (3, 2) px, to each pixel."""
    y, x = np.mgrid[: parts.a.shape[0], : parts.a.shape[1]].astype(np.float32) + np.float32(0.5)
    lengths = np.hypot(*np.diff(joints, axis=0).T)
    share, away = np.zeros_like(x), np.full_like(x, np.inf)
    for walked, length, (start, stop) in zip((0.0, lengths[0]), lengths, pairwise(joints), strict=True):
        u = (stop - start) / max(length, 1e-9)
        along = np.clip((x - start[0]) * u[0] + (y - start[1]) * u[1], 0, length)
        distance = np.hypot(x - start[0] - along * u[0], y - start[1] - along * u[1])
        nearer = distance < away
        share = np.where(nearer, (walked + along) / lengths.sum(), share)
        away = np.where(nearer, distance, away)
    return OnArm(share.astype(np.float32), (away / parts.frame.shoulder_width).astype(np.float32))


def cuff_of(arm: OnArm, sleeve: Mask) -> tuple[float, float]:
    """Return where a sleeve ends, as a share of the arm, and half its thickness there, in B."""
    on_bone = sleeve & (arm.away <= ON_BONE)
    if not on_bone.any():
        return 0.0, THICK
    end = float(arm.share[on_bone].max())
    last = sleeve & (arm.share > end - CUFF) & (arm.share < end)
    thick = float(np.quantile(arm.away[last], 0.95)) if last.any() else THICK
    return end, max(thick, SLIM)


def thickness(arm: OnArm, end: float, thick: float) -> Floats:
    """Return half the thickness, in B, of what is sleeve on an arm.

    Up to a sleeve's end it is the worn one, which a narrower panel may bare; from there it goes on.
    """
    onwards = np.clip((arm.share - end) / max(1 - end, 1e-6), 0, 1)
    start = max(thick, THICK - (THICK - SLIM) * end)
    return np.asarray(np.where(arm.share <= end, thick, start + (min(start, WRIST) - start) * onwards))
