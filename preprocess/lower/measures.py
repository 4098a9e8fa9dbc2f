"""Measure trousers, shorts and skirts against the legs: waist, width at the thighs and length, with bounds.

The definitions stand in docs/design.md. Everything is taken in the frame of the legs (`preprocess.body.legs`)
or along their bones, so nothing above the hips is needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.canvas import INSIDE, SMALLEST_PART
from preprocess.body.keypoints import Array, Keypoints
from preprocess.body.legs import LegFrame
from preprocess.garment.bounds import Bounds
from preprocess.garment.measurements import FRAME_MARGIN
from preprocess.lower.hem import hem_bounds_along
from preprocess.lower.waist import (
    AXIS_BAND,
    CLEAN_ROWS,
    GRID,
    LegView,
    ends_of,
    slope_of_waistband,
    view_of,
    waist_bounds,
)

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]

WIDTH_ROWS = (0.35, 0.55)
"""Rows, in thighs, whose mean number of pixels is the width."""

SHORT_FROM, SHORT_MARGIN, FEWEST_ROWS = 0.15, 0.03, 0.08
"""First row, in thighs, of what is too short for half of these; rows left out above its hem; and how many
there must be."""

MANY_ROWS = 0.1
MIN_H_OVER_L, MAX_H_OVER_L = 0.155, 0.42
"""Hips over legs of a person seen from the front."""

CROSSED = 0.1
"""Knees less far apart than this, in H, are crossed."""

BENT_DEG = 50.0
"""A knee bent further pulls the hem up, and cloth no longer follows the leg."""

UNEVEN_LEGS = 0.12
"""Legs whose lengths differ by more, in L: one points at the camera."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LowerMeasures:
    """Lengths of a worn garment of the lower body and its wearer; NaN where one can't be measured."""

    lengths: Mapping[str, Bounds]
    """px of the garment: `waist`, its extent below the upper edge; `width`, its pixels in the rows of the
    thighs; `length`, from the hip joints along the legs to the hem."""

    body: Mapping[str, float]
    """px of the wearer: `LegFrame.lengths`."""

    tilt_deg: float
    """Angle of the thighs against the vertical."""

    flags: tuple[str, ...]
    """What was seen that speaks against a measure, in a fixed order."""

    lines: Mapping[str, tuple[Array, ...]]
    """By axis, (N, 2) px of the picture along what was measured; for drawing."""

    ease_ratio: float = float("nan")
    """Nobody asks for it yet."""

    sleeve_ratio: float = float("nan")
    """There are no sleeves."""


def measure_lower(garment: Mask, keypoints: Keypoints, parse: Labels | None) -> LowerMeasures:
    """Measure the garment in one picture.

    Args:
        garment: (H, W) bool, every pixel of it.
        keypoints: The wearer, in px of that picture.
        parse: (H, W) LIP labels: what is in front of it, and above. Without them the waist is taken for
            covered where its upper edge may be a top's hem.

    Raises:
        KeypointError: Hips or knees are missing.
    """
    frame = LegFrame.from_keypoints(keypoints)
    garment = _without_specks(garment)
    view = view_of(garment, parse, frame)
    waist, waist_flags, waist_line = waist_bounds(view_of(garment, parse, frame, slope_of_waistband(view)))
    width, width_flags, width_lines = _width(view)
    length, length_flags, hem_lines = hem_bounds_along(garment, parse, frame)
    lines = {"waist": waist_line, "width": width_lines, "length": hem_lines}
    flags = [*_pose_flags(frame), *waist_flags, *width_flags, *length_flags]
    seen = {
        "garment_off_body": _off_body(view),
        "garment_out_of_frame": _cut_off([*waist_line, *width_lines], garment.shape),
    }
    return LowerMeasures(
        lengths={"waist": waist, "width": width, "length": length},
        body=frame.lengths,
        tilt_deg=frame.tilt_deg,
        flags=(*flags, *(name for name, found in seen.items() if found)),
        lines=lines,
    )


def _without_specks(garment: Mask) -> Mask:
    """Clear islands that are small against the whole."""
    levels = np.ascontiguousarray(garment).view(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(levels, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = areas >= SMALLEST_PART * areas[1:].sum()
    kept[0] = False
    return garment if count < 3 or kept[1:].all() else np.asarray(kept[labels])


def _width(view: LegView) -> tuple[Bounds, list[str], tuple[Array, ...]]:
    """Count the garment's px in the rows of the thighs; name what touches it, and give its outer lines."""
    rows = _width_rows(view)
    if len(rows) * view.step < FEWEST_ROWS * view.frame.thigh:
        return Bounds.unknown(), ["too_short"], ()
    cover = view.cover[rows].astype(np.float64) / 255
    over = view.front[rows] | view.tops[rows]
    enclosed, beside = _in_front(view.cover[rows] > INSIDE, over)
    blended = cv2.dilate(enclosed.view(np.uint8), np.ones((3, 3), np.uint8)) * (1 - cover)  # cloth and hand
    px = view.step * np.stack([cover.sum(axis=1), blended.sum(axis=1), beside.sum(axis=1)])
    edges = 2 * np.mean(np.diff(view.cover[rows] > INSIDE, axis=1).sum(axis=1) / 2)
    hands = ((enclosed | beside) & view.front[rows]).sum(axis=1)
    flags = ["hand_over_garment"] if (hands > 2).mean() > MANY_ROWS else []
    lines = tuple(view.to_image(view.a[rows], end) for end in ends_of(view, rows).T)
    return _mean_width(view, rows, px).widened(edges * view.slack), flags, lines


def _mean_width(view: LegView, rows: NDArray[np.int64], px: Array) -> Bounds:
    """Mean over rows, by a line through those that nothing touches where these are many.

    Args:
        view: The garment.
        rows: (R,) of the width.
        px: (3, R) of the garment, of what lies within it, of what lies against it.
    """
    seen, enclosed, beside = px
    touched = np.asarray(enclosed + beside > 2 * view.step, np.uint8)
    near = np.ones((2 * round(1.5 / view.step) + 1, 1), np.uint8)
    clean: Mask = cv2.dilate(touched[:, None], near)[:, 0] == 0  # OpenCV takes (R,) for one row of R columns
    if not clean.all() and clean.mean() >= CLEAN_ROWS:
        slope, intercept = np.polyfit(view.a[rows][clean], seen[clean], 1)
        value = float(slope * view.a[rows].mean() + intercept)
        return Bounds(value=value, low=value, high=value).widened(abs(value - float(seen[clean].mean())))
    value = float((seen + enclosed).mean())
    return Bounds(value=value, low=float(seen.mean()), high=value + float(beside.mean()))


def _width_rows(view: LegView) -> NDArray[np.int64]:
    """Rows of the width; those above its hem of a garment that is too short for half of them."""
    thigh = view.frame.thigh
    filled = (view.cover > INSIDE).sum(axis=1) >= AXIS_BAND * GRID
    last = float(view.a[filled].max()) / thigh if filled.any() else 0.0
    first, end = width_rows(last)
    return view.rows_between(first * thigh, end * thigh)


def width_rows(last: float) -> tuple[float, float]:
    """First and last row, in thighs, of the width of a garment that ends at row `last`."""
    first, end = WIDTH_ROWS
    if last < sum(WIDTH_ROWS) / 2:
        first = SHORT_FROM
    return first, min(end, last - SHORT_MARGIN)


def _in_front(inside: Mask, front: Mask) -> tuple[Mask, Mask]:
    """Tell what lies in front with the garment on both sides of it, and on one, or in place of it all."""
    columns = inside.shape[1]
    hiding = front & ~inside
    hiding[:, [0, -1]] = False
    place = np.where(hiding, 0, np.arange(columns))
    left = np.maximum.accumulate(place, axis=1)
    place = np.where(hiding, columns - 1, np.arange(columns))
    right = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]
    before, after = (np.take_along_axis(inside, at, axis=1) for at in (left, right))
    alone = ~inside.any(axis=1, keepdims=True)
    return hiding & before & after, hiding & ((before ^ after) | alone)


def _pose_flags(frame: LegFrame) -> list[str]:
    """Name what is wrong with how the person stands."""
    knees = frame.to_body(frame.legs[:, 1])[:, 1]
    thighs, shins = frame.legs[:, 1] - frame.legs[:, 0], frame.legs[:, 2] - frame.legs[:, 1]
    turn = np.abs(np.degrees(np.arctan2(*thighs.T) - np.arctan2(*shins.T)))
    with np.errstate(invalid="ignore"):
        bent = np.minimum(turn, 360 - turn) > BENT_DEG
    lengths = frame.leg_lengths
    doubts = {
        "back_view": frame.back_view,
        "side_view": not MIN_H_OVER_L <= frame.hip_width / frame.scale <= MAX_H_OVER_L,
        "crossed_legs": knees[1] - knees[0] < CROSSED * frame.hip_width,
        "bent_leg": bool(bent.any()),
        "uneven_legs": bool(abs(lengths[1] - lengths[0]) > UNEVEN_LEGS * frame.scale),
    }
    return [name for name, doubtful in doubts.items() if doubtful]


def _off_body(view: LegView) -> bool:
    """Whether the garment isn't where the hips are: the joints are another person's or another picture's.

    Where no parse map tells a top that hangs over the hips, nor where the thighs are.
    """
    rows = view.rows_between(0.02 * view.frame.thigh, 0.12 * view.frame.thigh)
    near = np.abs(view.b) <= AXIS_BAND * view.frame.hip_width
    hips = np.ix_(rows, near)
    if ((view.cover[hips] > INSIDE) | view.front[hips] | view.tops[hips]).mean() >= CLEAN_ROWS:
        return False
    thighs = np.ix_(_width_rows(view), np.abs(view.b) <= view.frame.hip_width)
    rows_on = (view.cover[thighs] > INSIDE).any(axis=1)
    return view.mapped or not len(rows_on) or bool(rows_on.mean() < CLEAN_ROWS)


def _cut_off(lines: list[Array], picture_shape: tuple[int, ...]) -> bool:
    """Whether the picture's edge, not the garment's, ends the waist or any row of the width."""
    x = np.concatenate([line[:, 0] for line in lines]) if lines else np.zeros(0)
    x = x[np.isfinite(x)]
    return bool(((x < FRAME_MARGIN) | (x > picture_shape[1] - FRAME_MARGIN)).any())
