"""The worn garment resized on the body: the region it would cover at another size.

The torso part is taken apart from the sleeves. Its half widths are stretched outwards from the neck: by the
shoulder ratio in the rows of the shoulders, by the width ratio below the armpits. Its hem moves down the
torso, keeping its curve: a longer garment goes on straight, a shorter one is cut. Sleeves stay on their arms
and grow thicker with the width. So a larger request covers all that a smaller one covers.
"""

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
    measure_worn,
)
from preprocess.panel import Side, panel_cover, sides_of
from preprocess.vocabulary import SIZE_RATIOS, Joint, require_shape

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

YOKE_END = 0.085
"""Rows above this, in T, follow the shoulder ratio alone."""

ARMPIT = CROPPED_FROM
"""Rows below this, in T, follow the width ratio alone: the first that a width is measured in."""

NECK = 0.25
"""Columns within this of the axis, in B, keep their place: the neckline doesn't widen with the garment."""

NARROWEST = 0.05
"""What is left of a half width beyond `NECK`, at least, in B."""

HEM_BAND = 0.12
"""Height, in T, of the part above the hem whose curve is kept."""

CAP_SLEEVE = 0.2
"""A sleeve that covers less of the arm counts as part of the shoulders."""

SLEEVE_GAIN = 0.4
"""Change of a sleeve's thickness for a change of the width ratio, both as shares."""

SHOULDERS_BARE = (-0.03, 0.065)
"""Rows, in T, that sleeves stay out of, so that nothing but the shoulder ratio tells the extent there."""

RAISED = 0.1
"""An elbow above this row, in T, pulls the sleeve through the rows of the shoulders."""

NECK_END = 0.3
"""An open neck may reach down to this row, in T."""

HIGHEST = -0.5
"""Nothing above this row, in T, belongs to the torso part."""

SLIVER = 0.008
"""Half the thickness, in T, of what is too thin to be a sleeve."""

CAP_ROOM = 1.04
"""How far beyond the shoulders' extent the torso part may reach in their rows."""

ROUNDS = 5
CLOSE_ENOUGH = 0.006
LARGEST_STEP = 1.3
"""Shoulders and width are corrected by measuring them: how often, until when, and how far at most."""

BONES = (
    (Joint.RIGHT_SHOULDER, Joint.RIGHT_ELBOW),
    (Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST),
    (Joint.LEFT_SHOULDER, Joint.LEFT_ELBOW),
    (Joint.LEFT_ELBOW, Joint.LEFT_WRIST),
)


def layout_at(garment_mask: Mask, keypoints: Keypoints, natural: Array, requested: Array) -> Mask:
    """Return the region that the worn garment would cover at another size.

    Args:
        garment_mask: (H, W) bool, the garment as worn.
        keypoints: Of its wearer, px.
        natural: (3,) ratios it is worn at, in the order of `SIZE_RATIOS`; NaN where unknown.
        requested: (3,) ratios wanted; NaN, or one whose natural ratio is unknown, leaves it as it is.

    Returns:
        (H, W) bool. Equal to `garment_mask` when nothing changes.

    Raises:
        KeypointError: Shoulders or hips are missing.
    """
    require_shape("natural", natural, (len(SIZE_RATIOS),))
    require_shape("requested", requested, (len(SIZE_RATIOS),))
    factors = np.nan_to_num(requested / natural, nan=1.0)
    if np.allclose(factors, 1, rtol=1e-6, atol=0) or not garment_mask.any():
        return garment_mask.copy()
    parts = split(garment_mask, keypoints)
    sleeves = resized_sleeves(parts, keypoints, sleeve_factor(natural[1], natural[1] * factors[1]))
    if not raises_an_arm(keypoints, parts.frame):
        sleeves &= (parts.a < SHOULDERS_BARE[0]) | (parts.a > SHOULDERS_BARE[1])
    aim = parts.measures * factors
    for _ in range(ROUNDS):
        torso = resized_torso(parts, aim)
        layout = torso | sleeves
        error = missed_by(layout, torso, parts, keypoints, natural * factors, parts.measures * factors)
        if np.abs(error[:2] - 1).max() < CLOSE_ENOUGH:
            break
        aim[:2] *= np.clip(error[:2], 1 / LARGEST_STEP, LARGEST_STEP)
    return layout


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
    return Parts(torso, sleeves, frame, a, b, torso_canvas, measures)


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


def resized_torso(parts: Parts, wanted: Array) -> Mask:
    """Resize the torso part to the (3,) ratios `wanted`."""
    measures = parts.measures
    if not np.isfinite([*measures, *wanted]).all():
        return parts.torso
    old = np.maximum(half_width(parts.a, measures), NECK + NARROWEST)
    new = np.maximum(half_width(parts.a, wanted), NECK + NARROWEST)
    beyond = np.maximum(np.abs(parts.b) - NECK, 0)
    stretched = np.minimum(np.abs(parts.b), NECK) + beyond * (old - NECK) / (new - NECK)
    column = np.copysign(stretched, parts.b).astype(np.float32, copy=False)
    straight = np.minimum(parts.a, np.float32(measures[2] - HEM_BAND))  # below, it goes on as it is there
    inside = sampled(parts.torso, parts.frame, straight, column)
    return inside & (parts.a <= float(wanted[2]) + hem_curve(parts, float(measures[2]), column))


def half_width(a: Floats, measures: Array) -> Floats:
    """Return half the width, in B, that (H, W) rows `a` of a torso part with (3,) `measures` have."""
    blend = np.clip((a - YOKE_END) / (ARMPIT - YOKE_END), 0, 1)
    smooth = blend * blend * (3 - 2 * blend)
    shoulder, width = float(measures[0]) / 2, float(measures[1]) / 2
    half: Floats = shoulder + (width - shoulder) * smooth
    return half


def hem_curve(parts: Parts, length: float, column: Floats) -> Floats:
    """Return how far below (negative: above) `length` the worn hem is at (H, W) columns, in T."""
    canvas = parts.canvas
    columns = np.arange(canvas.cover.shape[1])
    ends = column_ends(canvas, canvas.rows_between(0, 4 * parts.frame.torso_length), columns)
    depths = np.clip(ends / parts.frame.torso_length - length, -HEM_BAND, HEM_BAND)
    known = np.isfinite(depths)
    places = canvas.b_of(columns[known]) / parts.frame.shoulder_width
    curve: Floats = np.interp(column, places, depths[known]).astype(np.float32)
    return curve


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


def sleeve_factor(natural: float, wanted: float) -> float:
    """Return how much thicker sleeves become when the width goes from `natural` to `wanted`."""
    if not np.isfinite([natural, wanted]).all():
        return 1.0
    return float(max(1 + SLEEVE_GAIN * (wanted - 1), 0.3) / max(1 + SLEEVE_GAIN * (natural - 1), 0.3))


def resized_sleeves(parts: Parts, keypoints: Keypoints, factor: float) -> Mask:
    """Scale the distance of each sleeve pixel from its arm's bone by `factor`."""
    if factor == 1 or not parts.sleeves.any():
        return parts.sleeves
    y, x = np.mgrid[: parts.sleeves.shape[0], : parts.sleeves.shape[1]].astype(np.float32) + np.float32(0.5)
    best = np.full(parts.sleeves.shape, np.inf, np.float32)
    bone_x, bone_y = x.copy(), y.copy()
    for upper, lower in BONES:
        if keypoints.has(upper, lower):
            near_x, near_y = nearest_on_bone(x, y, keypoints.xy[upper], keypoints.xy[lower])
            distance = np.hypot(x - near_x, y - near_y)
            nearer = distance < best
            best = np.where(nearer, distance, best)
            bone_x, bone_y = np.where(nearer, near_x, bone_x), np.where(nearer, near_y, bone_y)
    source = (bone_x + (x - bone_x) / factor - 0.5, bone_y + (y - bone_y) / factor - 0.5)
    grown = looked_up(parts.sleeves, *source)
    return grown | parts.sleeves if factor > 1 else grown


def nearest_on_bone(x: Floats, y: Floats, start: Array, end: Array) -> tuple[Floats, Floats]:
    """Return the point of a segment that is nearest to each of (H, W) points."""
    dx, dy = (end - start).astype(np.float32)
    x0, y0 = start.astype(np.float32)
    along = np.clip(((x - x0) * dx + (y - y0) * dy) / max(float(dx * dx + dy * dy), 1e-9), 0, 1)
    return x0 + along * dx, y0 + along * dy


def raises_an_arm(keypoints: Keypoints, frame: BodyFrame) -> bool:
    """Tell whether an elbow is held up at the shoulders."""
    rows = frame.to_body(keypoints.xy[[Joint.RIGHT_ELBOW, Joint.LEFT_ELBOW]])[:, 0]
    return bool((rows < RAISED * frame.torso_length).any())


def missed_by(
    layout: Mask, torso: Mask, parts: Parts, keypoints: Keypoints, wanted: Array, wanted_torso: Array
) -> Array:
    """Return by which (3,) factors a layout is too small, 1 where unknown.

    Where sleeves or arms blur the panel's sides, the torso part is measured instead, against what it had.
    """
    worn = measure_worn(layout, keypoints)
    if worn.flags:
        missing_torso: Array = wanted_torso / torso_measures(BodyCanvas.of(torso, parts.frame))
        return np.where(np.isfinite(missing_torso), missing_torso, 1.0)
    body = np.array([worn.body_shoulder_px, worn.body_shoulder_px, worn.body_torso_px])
    garment = np.array([worn.garment_shoulder_px, worn.garment_width_px, worn.garment_length_px])
    missing: Array = wanted * body / garment
    return np.where(np.isfinite(missing), missing, 1.0)


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
