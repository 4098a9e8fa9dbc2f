"""The parts of a worn garment at another size."""

import numpy as np

from preprocess.body_canvas import column_ends
from preprocess.garment_parts import HEM_BAND, Floats, Mask, Parts, half_width, looked_up, sampled
from preprocess.keypoints import Array, Keypoints
from preprocess.measurements import WIDTH_ROWS
from preprocess.vocabulary import Joint

NECK = 0.25
"""Columns within this of the axis, in B, keep their place: the neckline doesn't widen with the garment."""

NARROWEST = 0.05
"""What is left of a half width beyond `NECK`, at least, in B."""

FLAT_HEM = WIDTH_ROWS[1] + 0.1
"""A garment cut to this length, in T, has a straight hem."""

SLEEVE_GAIN = 0.4
"""Change of a sleeve's thickness for a change of the width ratio, both as shares."""

SHOULDERS_SHOWN = (-0.002, 0.036)
"""Rows, in T, in which a narrower shoulder is drawn to its end even where hair hides the garment."""

STRIP = np.float32(0.06)
"""Width of a narrow strip of shoulder beside hair, in B."""

BONES = (
    (Joint.RIGHT_SHOULDER, Joint.RIGHT_ELBOW),
    (Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST),
    (Joint.LEFT_SHOULDER, Joint.LEFT_ELBOW),
    (Joint.LEFT_ELBOW, Joint.LEFT_WRIST),
)


def resized_torso(parts: Parts, wanted: Array) -> Mask:
    """Resize the torso part to the (3,) ratios `wanted`."""
    measures = parts.measures
    if not np.isfinite([*measures, *wanted]).all():
        return parts.torso
    old = np.maximum(half_width(parts.a, measures), NECK + NARROWEST)
    new = np.maximum(half_width(parts.a, wanted), NECK + NARROWEST)
    growth = (new - NECK) / (old - NECK)
    away = np.abs(parts.b)
    new_side = parts.side + np.maximum(parts.side - NECK, 0) * (growth - 1)
    seam = 1 / parts.frame.shoulder_width  # one pixel, so that nothing is left open between old and new
    outward = (growth > 1) & (away > parts.side - seam)
    inside = (parts.endless | outward | hidden_shoulder(parts, new_side - seam)) & (away <= new_side)
    column = np.copysign(np.minimum(away, NECK) + np.maximum(away - NECK, 0) / growth, parts.b)
    hem = float(wanted[2]) + hem_flatness(parts, wanted) * hem_curve(parts, float(measures[2]), column)
    torso: Mask = inside & (parts.a <= hem)
    return torso


def hidden_shoulder(parts: Parts, end: Floats) -> Mask:
    """Return what lies between the neck and a shoulder's (H, W) `end`, in B, where that lies under hair.

    Or just beyond it: a strip that the hair cuts off would be taken for a speck.
    """
    beside_neck = (np.abs(parts.b) > NECK) & (end < parts.side)
    band = beside_neck & (parts.a > SHOULDERS_SHOWN[0]) & (parts.a < SHOULDERS_SHOWN[1])
    if not band.any():
        return band
    shown = [
        sampled(parts.torso, parts.frame, parts.a, np.copysign(end - back, parts.b)) for back in (0, STRIP)
    ]
    return band & ~(shown[0] & shown[1])


def hem_flatness(parts: Parts, wanted: Array) -> float:
    """Return what the hem's curve is multiplied by, 0 to 1: the less of a garment is left, the straighter.

    So its sides, which rise with the curve, stay out of the rows of the width.
    """
    length = float(parts.measures[2])
    return float(np.clip(1 - (length - wanted[2]) / max(length - FLAT_HEM, HEM_BAND), 0, 1))


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
