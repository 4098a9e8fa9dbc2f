"""A worn garment taken apart into torso part and sleeves, and where each pixel lies on the body."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body_canvas import INSIDE, BodyCanvas, axis_runs, column_ends, extents
from preprocess.keypoints import Array, BodyFrame, Keypoints
from preprocess.measurements import (
    AXIS_BAND,
    CROPPED_FROM,
    HEM_PERCENTILE,
    SHOULDER_ROWS,
    WIDTH_ROWS,
)
from preprocess.panel import Side, panel_cover, sides_of

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]


YOKE_END = 0.085
"""Rows above this, in T, follow the shoulder ratio alone."""

ARMPIT = CROPPED_FROM
"""Rows below this, in T, follow the width ratio alone: the first that a width is measured in."""

HEM_BAND = 0.12
"""Height, in T, of the part above the hem whose curve is kept."""

CAP_SLEEVE = 0.2
"""A sleeve that covers less of the arm counts as part of the shoulders."""

NECK_END = 0.3
"""An open neck may reach down to this row, in T."""

HIGHEST = -0.5
"""Nothing above this row, in T, belongs to the torso part."""

SLIVER = 0.008
"""Half the thickness, in T, of what is too thin to be a sleeve."""

CAP_ROOM = 1.04
"""How far beyond the shoulders' extent the torso part may reach in their rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """A worn garment taken apart, and where each pixel of the picture lies on the body."""

    torso: Mask
    """(H, W) the panel, and all that covers the shoulders."""

    sleeves: Mask
    """(H, W) the rest."""

    frame: BodyFrame
    """Of the wearer."""

    a: Floats
    """(H, W) row of each pixel's centre on the body, in T."""

    b: Floats
    """(H, W) column of each pixel's centre on the body, in B."""

    endless: Mask
    """(H, W) the torso part, going on straight below its hem."""

    side: Floats
    """(H, W) how far from the axis its outline is in each pixel's row, on the pixel's side, in B."""

    canvas: BodyCanvas
    """The torso part."""

    measures: Array
    """(3,) ratios of the torso part."""


def split(garment_mask: Mask, keypoints: Keypoints) -> Parts:
    """Take sleeves and torso part of a garment apart."""
    frame = BodyFrame.from_keypoints(keypoints)
    canvas = BodyCanvas.of(garment_mask, frame)
    right, left = (without_cap_sleeve(side) for side in sides_of(keypoints, canvas))
    panel = canvas.to_picture(on_axis(canvas, panel_cover(canvas, (right, left))), *garment_mask.shape)
    a, b = body_coordinates(frame, garment_mask.shape)
    shoulder, width = torso_measures(canvas)[0], torso_measures(BodyCanvas.of(garment_mask & panel, frame))[1]
    edge = CAP_ROOM * half_width(a, np.array([shoulder, width]))
    torso = garment_mask & (a > HIGHEST) & ((a < YOKE_END) | panel) & ((a > ARMPIT) | (np.abs(b) <= edge))
    sleeves = without_slivers(garment_mask & ~torso, frame)
    torso = torso | (garment_mask & (a > ARMPIT) & ~sleeves)
    torso_canvas = BodyCanvas.of(torso, frame)
    measures = np.array([shoulder, *torso_measures(torso_canvas)[1:]])  # hair may hide the shoulders' ends
    straight = np.minimum(a, np.float32(measures[2] - HEM_BAND))
    return Parts(
        torso=torso,
        sleeves=sleeves,
        frame=frame,
        a=a,
        b=b,
        endless=sampled(torso, frame, straight, b),
        side=sides_at(BodyCanvas.of(torso, frame, specks=True), straight, b),  # hair may cut off a shoulder
        canvas=torso_canvas,
        measures=measures,
    )


def without_slivers(mask: Mask, frame: BodyFrame) -> Mask:
    """Return a mask without the thin lines that taking the panel out leaves along its edges."""
    size = 2 * max(1, round(SLIVER * frame.torso_length)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    opened: Mask = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, kernel).view(np.bool_)
    return opened


def on_axis(canvas: BodyCanvas, cover: NDArray[np.uint8]) -> Mask:
    """Return the (R, C) stretch of each row that holds the axis; beside an open neck, between the joints."""
    rows = np.arange(len(cover))
    runs = axis_runs(canvas, cover[rows])
    b = canvas.b_of(np.arange(cover.shape[1]))
    inside = (b >= runs.low[:, None]) & (b <= runs.high[:, None])
    open_neck = np.isnan(runs.low) & (canvas.a_of(rows) < NECK_END * canvas.frame.torso_length)
    inside |= open_neck[:, None] & (np.abs(b) < canvas.frame.shoulder_width / 2)
    return inside & (cover > INSIDE)


def without_cap_sleeve(side: Side) -> Side:
    """Take a very short sleeve for none."""
    return replace(side, arm=replace(side.arm, sleeve_end=0.0)) if side.arm.sleeve_end < CAP_SLEEVE else side


def body_coordinates(frame: BodyFrame, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return where each pixel's centre of an (H, W) picture lies: rows in T, columns in B."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    x += np.float32(0.5 - frame.shoulder_mid[0])
    y += np.float32(0.5 - frame.shoulder_mid[1])
    (ux, uy), (vx, vy) = frame.u / frame.torso_length, frame.v / frame.shoulder_width
    return (x * ux + y * uy).astype(np.float32), (x * vx + y * vy).astype(np.float32)


def half_width(a: Floats, measures: Array) -> Floats:
    """Return half the width, in B, that (H, W) rows `a` of a torso part with (3,) `measures` have."""
    blend = np.clip((a - YOKE_END) / (ARMPIT - YOKE_END), 0, 1)
    smooth = blend * blend * (3 - 2 * blend)
    shoulder, width = float(measures[0]) / 2, float(measures[1]) / 2
    half: Floats = shoulder + (width - shoulder) * smooth
    return half


def sides_at(canvas: BodyCanvas, a: Floats, b: Floats) -> Floats:
    """Return how far from the axis the cover ends, in B, at (H, W) rows `a` in T on the side of `b`.

    -1 above the first row that is covered.
    """
    rows = np.arange(len(canvas.cover))
    ends = extents(canvas, rows)
    found = np.isfinite(ends.low)
    if not found.any():
        return np.full(a.shape, -1, np.float32)
    at = canvas.a_of(rows[found]) / canvas.frame.torso_length
    right, left = (values[found] / canvas.frame.shoulder_width for values in (-ends.low, ends.high))
    outermost = np.where(b < 0, np.interp(a, at, right), np.interp(a, at, left))
    return np.where(a < at[0], -1, outermost).astype(np.float32)


def sampled(mask: Mask, frame: BodyFrame, a: Floats, b: Floats) -> Mask:
    """Look a mask up at (H, W) rows `a` in T and columns `b` in B of the body."""
    origin = frame.shoulder_mid - 0.5
    down, across = frame.u * frame.torso_length, frame.v * frame.shoulder_width
    x = (origin[0] + a * down[0] + b * across[0]).astype(np.float32)
    y = (origin[1] + a * down[1] + b * across[1]).astype(np.float32)
    return looked_up(mask, x, y)


def looked_up(mask: Mask, x: Floats, y: Floats) -> Mask:
    """Look a mask up at (H, W) pixel centres."""
    found: Mask = cv2.remap(mask.view(np.uint8) * np.uint8(255), x, y, cv2.INTER_LINEAR) > 127
    return found


def torso_measures(canvas: BodyCanvas) -> Array:
    """Measure a torso part: (3,) ratios as DESIGN section 3 has them; NaN where there is nothing."""
    torso_px, shoulder_px = canvas.frame.torso_length, canvas.frame.shoulder_width
    ends = extents(canvas, canvas.rows_between(*(row * torso_px for row in SHOULDER_ROWS)))
    shoulder = median(ends.high - ends.low) / shoulder_px
    columns = canvas.columns_between(-AXIS_BAND * shoulder_px, AXIS_BAND * shoulder_px)
    hems = column_ends(canvas, canvas.rows_between(0, 4 * torso_px), columns)
    hems = hems[np.isfinite(hems)]
    length = float(np.percentile(hems, HEM_PERCENTILE)) / torso_px if hems.size else float("nan")
    first, last = WIDTH_ROWS
    first = CROPPED_FROM if length < (first + last) / 2 else first
    rows = canvas.rows_between(first * torso_px, min(last, np.nan_to_num(length)) * torso_px)
    runs = axis_runs(canvas, canvas.cover[rows])
    width = mean(runs.high - runs.low) / shoulder_px
    return np.array([shoulder, width, length])


def median(values: Array) -> float:
    """Return the median of the finite values; NaN without any."""
    found = values[np.isfinite(values)]
    return float(np.median(found)) if found.size else float("nan")


def mean(values: Array) -> float:
    """Return the mean of the finite values; NaN without any."""
    found = values[np.isfinite(values)]
    return float(found.mean()) if found.size else float("nan")
