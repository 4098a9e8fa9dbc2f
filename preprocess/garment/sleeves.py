"""How far sleeves cover the arms, and how surely that is seen.

A sleeve ends where the bone of its arm comes out of the cloth. Lines beside the bone tell what ends it: a
cuff runs across the arm, while the side of a wide panel that hangs over the arm crosses it at a slant, and
then any sleeve that may be under it is hidden.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from preprocess.body.arms import SLEEVE_START, UNCOVERED_RUN, Arm, crossed
from preprocess.body.canvas import INSIDE, BodyCanvas
from preprocess.body.keypoints import Array, BodyFrame
from preprocess.garment.arm_rows import SideRows
from preprocess.garment.bounds import MAX_UNCERTAINTY, Bounds
from preprocess.garment.scene import Scene
from preprocess.sizes.axes import SMALLEST_RATIO

NUM_POINTS = 400
"""Points along an arm: about two for a line of the canvas."""

LINES = (-0.05, -0.025, 0.0, 0.025, 0.05)
"""How far from the bone the arm is followed, in B: within a slender wrist."""

SLANTED = 0.5
"""A cuff runs no further along the arm than this share of how far it runs across: 27 degrees off square."""

UNDER = 0.3
"""How far below a level arm, in B, no sleeve hangs, but a panel may."""

LEVEL = 0.85
"""Sine of the angle from straight down from which an arm is level enough for that: 58 degrees."""

SHOWN_BEYOND = (0.015, 0.055)
"""Shares of the arm, beyond the end of a sleeve, in which the arm is looked for."""

SHOULDER = 0.16
"""Share of the arm that parse maps may count as the torso where it is bare."""

AT_HEM = 0.06
"""How near to the hem, in T, an end on an arm may be the hem's."""

CAP = 0.15
"""Row, in T, above which cloth on an arm is its own: no panel hangs in front of it there."""

SHOWN = 0.6
"""Share of that stretch in which the arm must be seen."""

UNEVEN = 0.1
"""A sleeve that is longer by this share of the arm than the other one isn't: a panel hides its arm."""

FOLDED = -0.7
"""Cosine of the angle between upper arm and forearm below which one lies over the other."""


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Lines along an arm, from the shoulder to the wrist."""

    ab: Array
    """(L, N, 2) points: a, b px."""

    share: Array
    """(N,) share of the arm's length up to each."""

    length: float
    """px of the arm."""

    side: int
    """Sign of `b`."""


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Where else the garment is."""

    sides: tuple[SideRows, SideRows]
    """Right and left, in the rows where the width is measured."""

    hem: float
    """`a` px where it ends."""


def sleeve_bounds(canvas: BodyCanvas, arms: Sequence[Arm], panel: Panel, scene: Scene) -> Bounds:
    """Return how far, in px, cloth covers arms (right, left) of mean length; unknown where neither tells."""
    found = [sleeve_on(canvas, arm, panel, scene) for arm in arms if tells(arm, canvas)]
    known = [share for share in found if share.uncertainty_at(1.0) <= MAX_UNCERTAINTY]
    if not known:
        return Bounds.unknown()
    least = min(share.value for share in known)
    known = [share for share in known if share.value <= least + UNEVEN]
    value, low, high = np.mean([(share.value, share.low, share.high) for share in known], axis=0)
    whole = Bounds(value=float(value), low=float(low), high=float(high)).over(1 / canvas.frame.arm_length)
    return whole.widened(1.0)  # px


def tells(arm: Arm, canvas: BodyCanvas) -> bool:
    """Whether an arm is found whole and in the picture, and lies neither on the body nor on itself."""
    if not arm.whole or crossed(arm, canvas.frame):
        return False
    xy = canvas.frame.to_image(arm.joints)
    if (xy < 0).any() or (xy > np.array(canvas.picture_shape[::-1])).any():
        return False
    upper, fore = np.diff(arm.joints, axis=0)
    return bool(upper @ fore > FOLDED * np.hypot(*upper) * np.hypot(*fore))


def sleeve_on(canvas: BodyCanvas, arm: Arm, panel: Panel, scene: Scene) -> Bounds:
    """Return the share of an arm that is covered; unknown where what follows it isn't the bare arm."""
    lines = lines_along(arm, canvas.frame)
    cover = cover_at(canvas, lines.ab)
    ends = np.array([covered_to(line, lines.share) for line in cover])
    middle = float(np.median(ends))
    if middle < 1 and not shown_beyond(canvas, lines, middle, scene):
        return Bounds.unknown()
    value, low, high = (
        max(share, SMALLEST_RATIO) for share in (middle, float(ends.min()), float(ends.max()))
    )
    if hidden(canvas, lines, ends, panel):
        low = 0.0
    return Bounds(value=value, low=low, high=high)


def hidden(canvas: BodyCanvas, lines: Lines, ends: Array, panel: Panel) -> bool:
    """Whether the panel may have more to do with where (L,) lines come out of the cloth than a sleeve has."""
    middle = float(np.median(ends))
    if middle == 0:
        return False
    row = lines.ab[len(LINES) // 2, np.searchsorted(lines.share, middle).clip(0, NUM_POINTS - 1), 0]
    if middle == 1 or abs(row - panel.hem) < AT_HEM * canvas.frame.torso_length:
        return goes_under(lines, panel, middle)
    return ended_by_side(canvas, lines, ends)


def goes_under(lines: Lines, panel: Panel, end: float) -> bool:
    """Whether the bone, up to a share of the arm, runs where the panel may be as well."""
    a, b = lines.ab[len(LINES) // 2, lines.share < end].T
    rows = panel.sides[0 if lines.side < 0 else 1]
    if not rows.a.size:
        return False
    reach = np.interp(a, rows.a, np.nan_to_num(rows.high), left=0, right=0)
    return bool((lines.side * b < reach).any())


def lines_along(arm: Arm, frame: BodyFrame) -> Lines:
    """Lay the bone of a whole arm, and lines beside it."""
    bones = np.hypot(*np.diff(arm.joints, axis=0).T)
    walked, share = np.array([0, bones[0], bones.sum()]), np.linspace(0, 1, NUM_POINTS)
    bone = np.column_stack([np.interp(share * bones.sum(), walked, arm.joints[:, axis]) for axis in (0, 1)])
    along = np.gradient(bone, axis=0)
    outwards = along[:, ::-1] * (-1, 1) / np.hypot(*along.T)[:, None] * arm.side
    offsets = np.array(LINES)[:, None, None] * frame.shoulder_width
    return Lines(bone + offsets * outwards, share, float(bones.sum()), arm.side)


def cover_at(canvas: BodyCanvas, ab: Array) -> Array:
    """(L, N) cover, 0 to 255, at (L, N, 2) points a, b px; 0 outside the canvas."""
    rows, columns = np.moveaxis((ab - (canvas.a0, canvas.b0)) / canvas.step, -1, 0).astype(np.float32)
    return np.asarray(cv2.remap(canvas.cover.astype(np.float32), columns, rows, cv2.INTER_LINEAR), np.float64)


def covered_to(cover: Array, share: Array) -> float:
    """Share of an arm at which (N,) cover ends, between two points; 0 where none begins at the shoulder."""
    inside = cover > INSIDE
    start = inside & (share <= SLEEVE_START)
    if not start.any():
        return 0.0
    first = int(np.flatnonzero(start)[-1])
    patience = round(UNCOVERED_RUN * len(share))
    bare = np.convolve(~inside[first:], np.ones(patience), "valid") >= patience - 0.5
    if not bare.any():
        return float(share[np.flatnonzero(inside)[-1]])
    after = first + int(bare.argmax())
    over, under = cover[after - 1] - INSIDE, INSIDE - cover[after]
    return float(share[after - 1] + (share[after] - share[after - 1]) * over / (over + under))


def shown_beyond(canvas: BodyCanvas, lines: Lines, end: float, scene: Scene) -> bool:
    """Whether the bare arm follows where a sleeve ends; where nothing tells what lies there, it does."""
    if scene.occluders is None:
        return True
    first, last = (max(end, SHOULDER) + share for share in SHOWN_BEYOND)
    beyond = (lines.share > end + SHOWN_BEYOND[0]) & (lines.share <= last)
    if not beyond.any():
        return True
    xy = canvas.frame.to_image(lines.ab[len(LINES) // 2, beyond]) * canvas.scale_of(scene.occluders)
    x, y = np.clip(xy.astype(int), 0, np.array(scene.occluders.shape[::-1]) - 1).T
    hidden = np.zeros_like(x, bool) if scene.overlays is None else scene.overlays[y, x]
    seen = scene.occluders[y, x] & ~hidden
    return bool(seen[lines.share[beyond] > first].mean() >= SHOWN and hidden.mean() <= 1 - SHOWN)


def ended_by_side(canvas: BodyCanvas, lines: Lines, ends: Array) -> bool:
    """Whether the panel's side, not a cuff, ends the (L,) covered shares: it runs down across the arm."""
    frame, middle = canvas.frame, len(LINES) // 2
    place = int(np.searchsorted(lines.share, ends[middle]).clip(1, NUM_POINTS - 2))
    if lines.ab[middle, place, 0] < CAP * frame.torso_length:
        return False
    along = lines.ab[middle, place + 1] - lines.ab[middle, place - 1]
    level = abs(along[1]) / np.hypot(*along)
    across = (LINES[-1] - LINES[0]) * frame.shoulder_width
    slant = (ends[0] - ends[-1]) * lines.length / across
    if slant > SLANTED:
        return True
    if level < LEVEL:
        return False
    inwards = (lines.ab[0, place] - lines.ab[middle, place]) / (-LINES[0]) * UNDER
    return bool(cover_at(canvas, (lines.ab[middle, place] + inwards)[None, None])[0, 0] > INSIDE)
