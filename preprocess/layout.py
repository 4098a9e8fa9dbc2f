"""The worn garment resized on the body: the region it would cover at another size.

The torso part is taken apart from the sleeves. Its sides move outwards or inwards: by the shoulder ratio in
the rows of the shoulders, by the width ratio below the armpits. What is inside them, neckline and hair, stays
as it is. Its hem moves down the torso, keeping its curve: a longer garment goes on straight, a shorter one is
cut. Sleeves stay on their arms and grow thicker with the width. So a larger request covers all that a smaller
one covers.

One thing stands against that: the width of a garment that ends above 0.55 T is defined by rows nearer to the
chest. Where the garment is narrower there, a cropped layout is widened until it measures what was asked for.
"""

import numpy as np

from preprocess.body_canvas import BodyCanvas
from preprocess.garment_parts import Mask, Parts, split, torso_measures
from preprocess.garment_resizing import resized_sleeves, resized_torso, sleeve_factor
from preprocess.keypoints import Array, BodyFrame, Keypoints
from preprocess.measurements import WIDTH_ROWS, measure_worn
from preprocess.vocabulary import SIZE_RATIOS, Joint, require_shape

SHOULDERS_BARE = (-0.03, 0.065)
"""Rows, in T, that sleeves stay out of, so that nothing but the shoulder ratio tells the extent there."""

RAISED = 0.1
"""An elbow above this row, in T, pulls the sleeve through the rows of the shoulders."""

CROPPED = sum(WIDTH_ROWS) / 2
"""The width of a garment shorter than this, in T, is defined by rows nearer to the chest."""

SHORT, SHORT_SLACK = WIDTH_ROWS[1] + 0.05, 1.013
"""Above this row, in T, a hem is in the rows of the width, or nearly: a layout that ends there may miss its
width by this factor, so as to stay inside longer ones."""

ROUNDS = 5
CLOSE_ENOUGH = 0.006
LARGEST_STEP = 1.3
"""Shoulders and width are corrected by measuring them: how often, until when, and how far at most."""


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
        if natural[2] * factors[2] < SHORT:
            error[1] /= np.clip(error[1], 1 / SHORT_SLACK, SHORT_SLACK)
        if np.abs(error[:2] - 1).max() < CLOSE_ENOUGH:
            break
        aim[:2] *= np.clip(error[:2], 1 / LARGEST_STEP, LARGEST_STEP)
    return layout


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
        if wanted_torso[2] < CROPPED < parts.measures[2]:
            missing_torso[1] = 1.0  # it was measured in other rows
        return np.where(np.isfinite(missing_torso), missing_torso, 1.0)
    body = np.array([worn.body_shoulder_px, worn.body_shoulder_px, worn.body_torso_px])
    garment = np.array([worn.garment_shoulder_px, worn.garment_width_px, worn.garment_length_px])
    missing: Array = wanted * body / garment
    return np.where(np.isfinite(missing), missing, 1.0)
