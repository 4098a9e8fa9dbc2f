"""The worn garment resized on the body: the region it would cover at another size.

The torso part is taken apart from the sleeves. Its sides move outwards or inwards: by the shoulder ratio in
the rows of the shoulders, by the width ratio below the armpits. What is inside them, neckline and hair, stays
as it is. Its hem moves down the torso, keeping its curve: a longer garment goes on straight, a shorter one is
cut. Sleeves stay on their arms, grow thicker with the width, and end where the sleeve ratio says. Each of
these moves one way as its ratio rises, so a larger request covers all that a smaller one covers.

One thing stands against that: the width of a garment that ends above 0.45 T is defined by rows nearer to the
chest. Where the garment is narrower there, a cropped layout is widened until it measures what was asked for.

A dress is resized as tops are, but goes on below with the flare that it has. Trousers and skirts are resized
on the legs (`preprocess.lower.layout`).
"""

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np

from preprocess.body.canvas import Mask
from preprocess.body.keypoints import ARM_JOINTS, Array, Keypoints
from preprocess.garment.measurements import WIDTH_ROWS, measure_worn
from preprocess.layout.bare import around
from preprocess.layout.parts import HEM_BAND, SHOULDERS_BARE, Parts, sampled, split
from preprocess.layout.sides import ARMPIT, STRAIGHT, YOKE_END, Floats, movable
from preprocess.layout.sleeves import sleeves_to, with_whole_sleeves
from preprocess.lower.layout import lower_layout
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import SLEEVE, Category, require_shape

RESIZED = ("shoulder", "width", "length")
"""The axes that a garment in a photo follows; others leave it as it is."""

LAID = (*RESIZED, SLEEVE)
"""The axes that the layout of a garment that hangs from the shoulders follows."""

RESIZED_ON_LEGS = ("waist", "width", "length")
"""The same of a garment of the lower body."""

UNCHANGED = 1e-6
"""Share by which a ratio may differ from the natural one and still be it."""

ROUNDS = 4
"""How often a cropped layout's width is measured; if it still misses, or is doubtful, it isn't corrected."""

OUTLINE_ROWS = 384
"""Outlines are worked out in a picture of at most so many rows."""

CLOSE_ENOUGH = 0.003
"""Share by which it may lie beyond `SLACK` then."""

FLAT_HEM = WIDTH_ROWS[1] + 0.1
"""A garment cut to this length, in T, has a straight hem."""

ROUNDING = 1e-6
"""A growth this near to 1 is none."""

CROPPED = sum(WIDTH_ROWS) / 2
"""The width of a garment that ends above this row, in T, is defined by the chest."""

SLACK = 1.015
"""By this factor a width may be missed, so that a short layout stays inside longer ones."""

SLEEVE_GAIN = 0.4
"""Change of a sleeve's thickness for a change of the width ratio, both as shares."""


def layout_at(
    garment_mask: Mask,
    keypoints: Keypoints,
    natural: Array,
    requested: Array,
    category: Category = Category.UPPER,
) -> Mask:
    """Return the region that the worn garment would cover at another size.

    Args:
        garment_mask: (H, W) bool, the garment as worn.
        keypoints: Of its wearer, px.
        natural: (A,) ratios it is worn at, in the order of `AXIS_NAMES`; NaN where unknown.
        requested: (A,) ratios wanted; NaN, or one whose natural ratio is unknown, leaves it as it is.
        category: Of the garment.

    Returns:
        (H, W) bool. Equal to `garment_mask` when nothing changes, or when nothing of it covers the chest, or
        the legs.

    Raises:
        KeypointError: The joints that the category is measured against are missing.
    """
    require_shape("natural", natural, (len(AXIS_NAMES),))
    require_shape("requested", requested, (len(AXIS_NAMES),))
    names = RESIZED_ON_LEGS if category is Category.LOWER else LAID
    natural, requested = by_name(natural, names), by_name(requested, names)
    with np.errstate(invalid="ignore"):
        changed = np.abs(requested / natural - 1) > UNCHANGED
    if not changed.any() or not garment_mask.any():
        return garment_mask.copy()
    wanted = np.where(changed, requested, np.nan)
    if category is Category.LOWER:
        layout = lower_layout(garment_mask, keypoints, natural, wanted)
    else:
        layout = hanging_layout(garment_mask, keypoints, natural, wanted, flares=category is Category.DRESS)
    return garment_mask.copy() if layout is None else layout


def by_name(ratios: Array, names: tuple[str, ...]) -> Array:
    """Return the ratios of some axes out of (A,); NaN for one that nothing tried on has."""
    places = [AXIS_NAMES.index(name) if name in AXIS_NAMES else len(ratios) for name in names]
    return np.append(ratios, np.nan)[places]


def hanging_layout(
    garment_mask: Mask, keypoints: Keypoints, natural: Array, wanted: Array, *, flares: bool = False
) -> Mask | None:
    """Return what a garment that hangs from the shoulders would cover; None where it isn't on the chest.

    Args:
        garment_mask: (H, W) bool, as worn.
        keypoints: Of its wearer, px.
        natural: (4,) ratios of shoulder, width, length and sleeve as worn.
        wanted: (4,) ratios wanted; NaN leaves one as it is.
        flares: Whether its sides go on as they run; else they go on straight.
    """
    parts = split(garment_mask, keypoints)
    if parts is None:
        return None
    if np.isfinite(wanted[3]):
        parts = with_whole_sleeves(parts)
    if flares:
        parts = replace(parts, sides=parts.sides.flaring())
    sleeves = resized_sleeves(parts, keypoints, wanted)
    layout = resized_torso(parts, wanted) | sleeves
    if length_of(parts, wanted) >= CROPPED or not np.isfinite(wanted[1:3]).any():
        return layout
    width = natural[1] if np.isnan(wanted[1]) else wanted[1]
    aim, cropped = np.array([wanted[0], width, wanted[2]]), layout
    for _ in range(ROUNDS):
        missed = missed_by(cropped, keypoints, float(width))
        if np.isnan(missed):
            break
        if abs(missed - 1) < CLOSE_ENOUGH:
            return cropped
        aim[1] *= missed
        cropped = resized_torso(parts, aim) | sleeves
    return layout


def outline_at(
    garment_mask: Mask,
    keypoints: Keypoints,
    natural: Array,
    requested: Array,
    category: Category = Category.UPPER,
) -> Array:
    """Return where the edge of the worn garment would be at another size; arguments as in `layout_at`.

    Returns:
        (N, 2) px of the picture: the largest outline; (0, 2) where there is none.
    """
    height, width = garment_mask.shape
    scale = min(1.0, OUTLINE_ROWS / height)
    small_hw = (round(height * scale), round(width * scale))
    # the plain nearest looks up to half a pixel of the small mask too far left and up
    worn = np.asarray(
        cv2.resize(garment_mask.view(np.uint8), small_hw[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    )
    stretch = np.array([width / small_hw[1], height / small_hw[0]])
    layout = layout_at(worn.view(np.bool_), keypoints.scaled(*(1 / stretch)), natural, requested, category)
    edges, _ = cv2.findContours(layout.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not edges:
        return np.empty((0, 2))
    return np.asarray((max(edges, key=cv2.contourArea)[:, 0] + 0.5) * stretch)


def missed_by(layout: Mask, keypoints: Keypoints, width: float) -> float:
    """Return what a width is to be multiplied by to be within `SLACK`; NaN where it can't be measured."""
    worn = measure_worn(layout, keypoints)
    missing = width * worn.body["shoulder"] / worn.lengths["width"].value
    return float("nan") if worn.flags else missing / float(np.clip(missing, 1 / SLACK, SLACK))


def resized_torso(parts: Parts, wanted: Array) -> Mask:
    """Resize the torso part to (3,) ratios; NaN leaves one as it is.

    Each pixel of a side moves away from the neck in proportion to its distance from it; the growth rises
    with the ratios, and the hem's row in each column with the length. So larger ones never uncover anything.
    """
    straight = np.minimum(parts.a, np.float32(parts.sides.rows[-1]))
    side, even = parts.sides.at(parts.a, parts.b)
    inwards = (
        1.0
        if parts.sides.flare == STRAIGHT
        else parts.sides.at(straight, parts.b)[0] / np.maximum(side, 1e-3)
    )
    worn = sampled(parts.torso, parts.frame, straight, parts.b * inwards)
    growth = growth_at(parts, wanted)
    away = np.abs(parts.b)
    inside = away <= side + movable(even) * (growth - 1)
    if np.isfinite(wanted[0]):
        worn |= parts.behind_hair
    seam = 1 / parts.frame.shoulder_width  # one pixel, so that nothing is left open between old and new
    beside = inside & (away > side - seam) & (growth > 1 + ROUNDING)
    covered = np.where(growth < 1 - ROUNDING, worn & inside, worn | beside)
    return np.asarray(covered & (parts.a <= hem_at(parts, length_of(parts, wanted))))


def growth_at(parts: Parts, wanted: Array) -> Floats:
    """Return how much further from the neck the sides are in (H, W) rows."""
    shoulder = 1.0
    if np.isfinite(wanted[0]):
        shoulder = parts.sides.shoulder_growth(float(wanted[0]))
    width = width_growth(parts, float(wanted[1]), length_of(parts, wanted))
    blend = np.clip((parts.a - YOKE_END) / (ARMPIT - YOKE_END), 0, 1)
    smooth = blend * blend * (3 - 2 * blend)
    return np.asarray((1 - smooth) * shoulder + smooth * width)


def width_growth(parts: Parts, wanted: float, length: float) -> float:
    """Return how much further from the neck the sides below the armpits are.

    It is the same at all lengths, unless the width would be missed in the rows that define it there.
    """
    if np.isnan(wanted) and length == parts.length:
        return 1.0
    wanted = parts.width if np.isnan(wanted) else wanted
    growth = parts.sides.width_growth(parts.length, wanted)
    if length < CROPPED:
        return growth
    least, most = (parts.sides.width_growth(length, width) for width in (wanted / SLACK, wanted * SLACK))
    return min(max(growth, least), most)


def length_of(parts: Parts, wanted: Array) -> float:
    """Return the row of the hem, in T."""
    return parts.length if np.isnan(wanted[2]) else float(wanted[2])


def hem_at(parts: Parts, length: float) -> Floats:
    """Return the row of the hem, in T, in each pixel's column: the less of a garment is left, the straighter.

    So its sides, which rise with the curve, stay out of the rows of the width.
    """
    flatness = np.clip(1 - (parts.length - length) / max(parts.length - FLAT_HEM, HEM_BAND), 0, 1)
    return np.asarray(length + flatness * np.interp(parts.b, *parts.hem).astype(np.float32))


def resized_sleeves(parts: Parts, keypoints: Keypoints, wanted: Array) -> Mask:
    """Make sleeves thicker or thinner around the arms' bones; a narrower shoulder is bare of them."""
    sleeves = parts.sleeves
    factor = sleeve_factor(parts.width, float(wanted[1])) if np.isfinite(wanted[1]) else 1.0
    bare = (parts.a >= SHOULDERS_BARE[0]) & (parts.a <= SHOULDERS_BARE[1])
    if factor != 1 and sleeves.any():
        scaled = scaled_sleeves(parts, keypoints, factor)
        sleeves = sleeves & scaled if factor < 1 else sleeves | (scaled & ~bare)
    if wanted[0] < parts.shoulder:
        sleeves = sleeves & ~bare
    whole = sleeves | parts.yoke
    return sleeves_to(parts, keypoints, whole, float(wanted[3])) if np.isfinite(wanted[3]) else whole


def sleeve_factor(natural: float, wanted: float) -> float:
    """Return how much thicker sleeves become when the width goes from `natural` to `wanted`."""
    return float(max(1 + SLEEVE_GAIN * (wanted - 1), 0.3) / max(1 + SLEEVE_GAIN * (natural - 1), 0.3))


def scaled_sleeves(parts: Parts, keypoints: Keypoints, factor: float) -> Mask:
    """Scale the distance of each sleeve pixel from its arm's bone."""
    return sampled(parts.sleeves, parts.frame, *about_bones(parts, keypoints, np.float32(factor)))


def about_bones(parts: Parts, keypoints: Keypoints, factor: Floats | np.float32) -> tuple[Floats, Floats]:
    """Return rows and columns, (H, W), from which sleeves `factor` times as thick are taken.

    Distances from the arm's bone are scaled; where no elbow was found they stay.
    """
    down, across = (np.float32(px) for px in (parts.frame.torso_length, parts.frame.shoulder_width))
    a, b = parts.a.copy(), parts.b.copy()
    closer: Floats = np.broadcast_to(1 / factor, a.shape)
    for side, arm in ARM_JOINTS.items():
        joints = parts.frame.to_body(keypoints.xy[list(arm)])[:, ::-1]
        bones = [bone for bone in pairwise(joints) if np.isfinite(bone).all()]
        here = parts.b * side > 0
        box = around(here, 0)
        if bones:
            x, y = parts.b[box] * across, parts.a[box] * down
            near_x, near_y = nearest_on_arm(x, y, bones)
            np.copyto(a[box], (near_y + (y - near_y) * closer[box]) / down, where=here[box])
            np.copyto(b[box], (near_x + (x - near_x) * closer[box]) / across, where=here[box])
    return a, b


def nearest_on_arm(x: Floats, y: Floats, bones: list[tuple[Array, Array]]) -> tuple[Floats, Floats]:
    """Return the point of an arm's bones that is nearest to each of (H, W) points."""
    (near_x, near_y), *others = (nearest_on_bone(x, y, *bone) for bone in bones)
    for other_x, other_y in others:
        nearer = cv2.magnitude(x - other_x, y - other_y) < cv2.magnitude(x - near_x, y - near_y)
        near_x, near_y = np.where(nearer, other_x, near_x), np.where(nearer, other_y, near_y)
    return near_x, near_y


def nearest_on_bone(x: Floats, y: Floats, start: Array, end: Array) -> tuple[Floats, Floats]:
    """Return the point of a segment that is nearest to each of (H, W) points."""
    dx, dy = (end - start).astype(np.float32)
    x0, y0 = start.astype(np.float32)
    along = np.clip(((x - x0) * dx + (y - y0) * dy) / max(float(dx * dx + dy * dy), 1e-9), 0, 1)
    return x0 + along * dx, y0 + along * dy
