"""Which sizes a garment can have on a body: not every sleeve goes with every shoulder and width.

Shoulders that reach out over the arms, and a wide panel, cover arms without any sleeve: none ends higher.
Where shoulders end before the arms begin, none ends beside them: only the shoulder ratio tells what is there.
"""

import numpy as np

from preprocess.body.arms import arm_of
from preprocess.body.canvas import BodyCanvas, Mask
from preprocess.body.keypoints import ARM_JOINTS, Array, BodyFrame, Keypoints
from preprocess.garment.measurements import measure_worn
from preprocess.layout.parts import SHOULDERS_BARE
from preprocess.layout.resized import layout_at
from preprocess.sizes.axes import AXIS_NAMES, SMALLEST_RATIO
from preprocess.vocabulary import SLEEVE, Category

SAME = 0.01
"""Share of the arm by which a sleeve may be off that is still the one that was asked for."""


def possible_on(
    garment_mask: Mask,
    keypoints: Keypoints,
    natural: Array,
    requested: Array,
    category: Category = Category.UPPER,
) -> Array:
    """Return the (A,) ratios that a garment has on a body when others are asked for; see `layout_at`.

    Returns:
        The request; in place of a sleeve that would end where it can't, how far the rest covers the arms.

    Raises:
        KeypointError: The joints that the category is measured against are missing.
    """
    if SLEEVE not in AXIS_NAMES or category is Category.LOWER:
        return requested
    place = AXIS_NAMES.index(SLEEVE)
    wanted, found = requested[place], requested.copy()
    if not np.isfinite(wanted - natural[place]):
        return requested
    found[place] = SMALLEST_RATIO
    least, beside = covered(layout_at(garment_mask, keypoints, natural, found, category), keypoints)
    found[place] = least if wanted < max(least, beside) and abs(wanted - least) > SAME else wanted
    return found


def covered(garment: Mask, keypoints: Keypoints) -> tuple[float, float]:
    """Return how far a garment covers the arms, NaN where unknown, and how far they run beside the shoulders.

    Both are shares of the arms.
    """
    frame = BodyFrame.from_keypoints(keypoints)
    canvas, row = BodyCanvas.of(garment, frame), np.array([SHOULDERS_BARE[1] * frame.torso_length])
    shares = [arm_of(keypoints, frame, side, canvas).at_rows(row)[1][0] for side in ARM_JOINTS]
    worn = measure_worn(garment, keypoints)
    return worn.lengths["sleeve"].value / worn.body["arm"], float(np.fmax.reduce([0.0, *shares]))
