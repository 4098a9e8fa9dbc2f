"""Size maps to look at. H x W the picture, h x w the latent grid."""

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

TINT = (220, 40, 120)
"""RGB of the garment's region."""

OUTLINE = (255, 255, 255)
"""RGB of its edge."""


def draw_size_map(
    photo: NDArray[np.uint8], layout_logits: Tensor, strength: float = 0.6
) -> NDArray[np.uint8]:
    """Tint where the garment will be, and draw the edge at which its probability is one half.

    Args:
        photo: (H, W, 3) RGB.
        layout_logits: (1, h, w), one row of `SizeCondition.layout_logits`.
        strength: Share of the tint where the garment is certain.

    Returns:
        (H, W, 3) RGB.
    """
    height, width = photo.shape[:2]
    grid = layout_logits[0].detach().float().sigmoid().cpu().numpy()
    probability = cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
    weight = strength * probability[..., None]
    tinted = (photo * (1 - weight) + np.array(TINT, np.float32) * weight).round().astype(np.uint8)
    edges, _ = cv2.findContours((probability > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(tinted, edges, -1, OUTLINE, 1)
