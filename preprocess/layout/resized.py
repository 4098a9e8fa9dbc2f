"""The worn garment resized on the body: the region it would cover at another size.

The torso part is taken apart from the sleeves. Its sides move outwards or inwards: by the shoulder ratio in
the rows of the shoulders, by the width ratio below the armpits. What is inside them, neckline and hair, stays
as it is. Its hem moves down the torso, keeping its curve: a longer garment goes on straight, a shorter one is
cut. Sleeves stay on their arms and grow thicker with the width. Each of these moves one way as its ratio
rises, so a larger request covers all that a smaller one covers.

One thing stands against that: the width of a garment that ends above 0.55 T is defined by rows nearer to the
chest. Where the garment is narrower there, a cropped layout is widened until it measures what was asked for.
"""

import cv2
import numpy as np

from preprocess.body.canvas import Mask
from preprocess.body.keypoints import Array, Keypoints
from preprocess.garment.measurements import measure_worn
from preprocess.layout.parts import split
from preprocess.layout.resizing import CROPPED, SLACK, length_of, resized_sleeves, resized_torso
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import require_shape

RESIZED = ("shoulder", "width", "length")
"""The axes that a layout follows; others leave it as it is."""

UNCHANGED = 1e-6
"""Share by which a ratio may differ from the natural one and still be it."""

ROUNDS = 4
"""How often a cropped layout's width is measured; if it still misses, or is doubtful, it isn't corrected."""

OUTLINE_ROWS = 384
"""Outlines are worked out in a picture of at most so many rows."""

CLOSE_ENOUGH = 0.003
"""Share by which it may lie beyond `SLACK` then."""


def layout_at(garment_mask: Mask, keypoints: Keypoints, natural: Array, requested: Array) -> Mask:
    """Return the region that the worn garment would cover at another size.

    Args:
        garment_mask: (H, W) bool, the garment as worn.
        keypoints: Of its wearer, px.
        natural: (A,) ratios it is worn at, in the order of `AXIS_NAMES`; NaN where unknown.
        requested: (A,) ratios wanted; NaN, or one whose natural ratio is unknown, leaves it as it is.

    Returns:
        (H, W) bool. Equal to `garment_mask` when nothing changes, or when nothing of it covers the chest.

    Raises:
        KeypointError: Shoulders or hips are missing.
    """
    require_shape("natural", natural, (len(AXIS_NAMES),))
    require_shape("requested", requested, (len(AXIS_NAMES),))
    places = [AXIS_NAMES.index(name) for name in RESIZED]
    natural, requested = natural[places], requested[places]
    with np.errstate(invalid="ignore"):
        changed = np.abs(requested / natural - 1) > UNCHANGED
    if not changed.any() or not garment_mask.any():
        return garment_mask.copy()
    parts = split(garment_mask, keypoints)
    if parts is None:
        return garment_mask.copy()
    wanted = np.where(changed, requested, np.nan)
    sleeves = resized_sleeves(parts, keypoints, wanted)
    layout = resized_torso(parts, wanted) | sleeves
    if length_of(parts, wanted) >= CROPPED or not changed[1:].any():
        return layout
    width = requested[1] if changed[1] else natural[1]
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


def outline_at(garment_mask: Mask, keypoints: Keypoints, natural: Array, requested: Array) -> Array:
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
    layout = layout_at(worn.view(np.bool_), keypoints.scaled(*(1 / stretch)), natural, requested)
    edges, _ = cv2.findContours(layout.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not edges:
        return np.empty((0, 2))
    outline: Array = (max(edges, key=cv2.contourArea)[:, 0] + 0.5) * stretch
    return outline


def missed_by(layout: Mask, keypoints: Keypoints, width: float) -> float:
    """Return what a width is to be multiplied by to be within `SLACK`; NaN where it can't be measured."""
    worn = measure_worn(layout, keypoints)
    missing = width * worn.body["shoulder"] / worn.lengths["width"].value
    return float("nan") if worn.flags else missing / float(np.clip(missing, 1 / SLACK, SLACK))
