"""The outline that the worn garment would have at another size."""

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.layout.resized import layout_at
from preprocess.person.prepare import PreparedPerson
from preprocess.sizes.request import SizeRequest

ROWS = 384
"""Layouts are worked out in a picture of at most so many rows."""


def expected_outline(person: PreparedPerson, request: SizeRequest) -> NDArray[np.float64]:
    """Return where the edge of the garment should be at a size.

    Args:
        person: Who wears it; the garment in the photo is resized on the body.
        request: Ratios; one that is open, or whose natural ratio isn't known, stays as it is.

    Returns:
        (N, 2) px of the photo: the largest outline; (0, 2) where the worn garment isn't known.
    """
    if person.garment_mask is None or person.natural_size is None:
        return np.empty((0, 2))
    height, width = person.garment_mask.shape
    scale = min(1.0, ROWS / height)
    small_hw = (round(height * scale), round(width * scale))
    # the plain nearest looks up to half a pixel of the small mask too far left and up
    worn = np.asarray(
        cv2.resize(person.garment_mask.view(np.uint8), small_hw[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    )
    stretch = np.array([width / small_hw[1], height / small_hw[0]])
    layout = layout_at(
        worn.view(np.bool_),
        person.keypoints.scaled(*(1 / stretch)),
        person.natural_size.as_array(),
        request.as_array(),
    )
    edges, _ = cv2.findContours(layout.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not edges:
        return np.empty((0, 2))
    outline: NDArray[np.float64] = (max(edges, key=cv2.contourArea)[:, 0] + 0.5) * stretch
    return outline
