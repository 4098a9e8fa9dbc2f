"""What a picture shows beside the garment's mask."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Parts = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scene:
    """What else is known of a picture. Each part may lie at a scale of its own."""

    occluders: Mask | None = None
    """(h, w) bool, bare arms and what else may lie in front; None guesses them from the joints."""

    overlays: Mask | None = None
    """(h, w) bool, what lies over shoulders: hair, a scarf; never bare arms."""

    bottoms: Mask | None = None
    """(h, w) bool, trousers or skirt; None where nobody tells them from what else isn't the garment."""

    photo: NDArray[np.uint8] | None = None
    """(h, w, 3) RGB."""

    densepose: NDArray[np.uint8] | None = None
    """(h, w) DensePose's parts, 0 to 24, or those of a detector that sees clothes: `CLOTHED_TORSO`."""
