"""Where trousers and skirts end: the hem along the bones of the legs, with bounds."""

import numpy as np
from numpy.typing import NDArray

from preprocess.body.canvas import INSIDE, edge_between
from preprocess.body.keypoints import Array
from preprocess.body.legs import LegFrame, seen_at
from preprocess.garment.bounds import Bounds
from preprocess.garment.ends import before_gap
from preprocess.garment.measurements import FRAME_MARGIN
from preprocess.garment.parse import OCCLUDERS, labels_mask
from preprocess.lower.waist import AXIS_BAND, EDGE_PX, GRID, HIDDEN_ROWS
from preprocess.vocabulary import Lip

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]

SHOES = (Lip.LEFT_SHOE, Lip.RIGHT_SHOE)

HEM_PERCENTILE = 99
LONGEST_GAP = 0.04
"""Rows, in L, that the garment may leave out along a leg and still go on below."""

HEM_SLACK = 0.012
"""L. How far the hem is off at most."""

WALKED = 1.3
"""How far a leg is followed, in its lengths: hems may lie on the floor."""

BOOTED = 0.85
"""Trousers that end in a shoe above this, in L, are tucked in."""


def hem_bounds_along(
    garment: Mask, parse: Labels | None, frame: LegFrame
) -> tuple[Bounds, list[str], tuple[Array, ...]]:
    """Measure how far down the garment goes along the legs; name what is wrong, and give lines at the hem."""
    step, leg = frame.hip_width / GRID, frame.leg
    labels = np.zeros(garment.shape, np.uint8) if parse is None else parse
    whole = np.flatnonzero(np.isfinite(frame.leg_lengths))
    if not len(whole):
        return Bounds.unknown(), ["missing_ankles"], ()
    offset = np.arange(-AXIS_BAND * GRID, AXIS_BAND * GRID + 1) * step
    found = [_leg_ends(garment, labels, frame, int(side), offset) for side in whole]
    ends = np.concatenate([leg_ends for leg_ends, _, _ in found])
    if not np.isfinite(ends).any():
        return Bounds.unknown(), [], ()
    hem = float(np.nanpercentile(ends, HEM_PERCENTILE))
    stray = max(lowest for _, _, lowest in found) > hem + LONGEST_GAP * leg
    reached = hem - LONGEST_GAP * leg  # a leg that reaches the hem unhidden shows it for both
    hidden = min(below for leg_ends, below, _ in found if (leg_ends >= reached).any())
    lines = tuple(
        frame.along(int(side), np.array([hem - step, hem]) * frame.leg_lengths[side] / leg, offset)[1]
        for side in whole
    )
    flags = ["stray_pieces"] if stray else []
    flags += ["hem_hidden"] if hidden > 0 else []
    if any(line[:, 1].max() > garment.shape[0] - FRAME_MARGIN for line in lines):
        return Bounds.unknown(), [*flags, "hem_out_of_frame"], ()
    slack = max(1.5 * EDGE_PX, HEM_SLACK * leg)
    return Bounds(value=hem, low=hem, high=hem).widened(slack, slack + hidden), flags, lines


def _leg_ends(
    garment: Mask, parse: Labels, frame: LegFrame, side: int, offset: Array
) -> tuple[Array, float, float]:
    """Follow one leg in columns beside its bone.

    Returns:
        (C,) where each column ends, px along a leg that is as long as both are on average, NaN where it never
        begins; px that something at the hem hides; and the lowest px that is covered at all.
    """
    step, stretch = frame.hip_width / GRID, frame.leg / frame.leg_lengths[side]
    distance = np.arange(0, WALKED * frame.leg_lengths[side], step)
    xy = frame.along(side, distance, offset)
    cover = seen_at(garment, xy)
    front: Mask = np.asarray(seen_at(labels_mask(parse, OCCLUDERS), xy) > INSIDE)
    inside: Mask = np.asarray(cover > INSIDE)
    kept = before_gap(inside, front, max(2, round(LONGEST_GAP * frame.leg / step)))
    if not kept.any():
        return np.full(len(offset), np.nan), 0.0, 0.0
    last = len(distance) - 1 - kept[::-1].argmax(axis=0)
    below = np.minimum(last + 1, len(distance) - 1)
    columns = np.arange(len(offset))
    ends = distance[last] + step * edge_between(cover[last, columns], cover[below, columns])
    there: Mask = np.asarray(kept.any(axis=0))
    ends = np.where(there, stretch * ends, np.nan)
    hidden = _hidden_below(parse, xy, front, last, there) * step * stretch
    return ends, hidden, float(distance[inside.any(axis=1)].max() * stretch)


def _hidden_below(parse: Labels, xy: Array, front: Mask, last: NDArray[np.int64], there: Mask) -> float:
    """Rows by which hands below the hem, or boots around trousers, may hide more of it."""
    rows = len(xy)
    columns = np.flatnonzero(there)
    shoes = seen_at(labels_mask(parse, SHOES), xy) > INSIDE
    trousers = seen_at(parse == Lip.PANTS, xy) > INSIDE
    margin = max(2, rows // 100)
    below = np.minimum(last[columns] + margin, rows - 1)
    boots = shoes[below, columns] & trousers[np.maximum(last[columns] - margin, 0), columns]
    longest = 0.0
    for what, hiding in ((front, front[below, columns]), (shoes, boots & (below < BOOTED * rows / WALKED))):
        if hiding.sum() >= HIDDEN_ROWS * len(columns):
            runs = [
                np.argmin(np.append(what[start:, column], False))
                for start, column in zip(below[hiding], columns[hiding], strict=True)
            ]
            longest = max(longest, float(np.median(runs)) + margin)
    return longest
