"""The held-out people that ladders are drawn on, and what each request should look like on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.ladder.remeasure import Reading, enlarge, enlarge_keypoints, read_garment
from preprocess.layout.resized import layout_at

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """P people with the photos of themselves wearing the garment that is tried on."""

    keys: Sequence[str]
    """P sample keys."""

    photos: NDArray[np.uint8]
    """(P, H, W, 3)."""

    cloths: NDArray[np.uint8]
    """(P, H, W, 3) garment photos."""

    inpaint_masks: NDArray[np.bool_]
    """(P, H, W) what may be repainted."""

    garment_masks: NDArray[np.bool_]
    """(P, H, W) the garment as it was worn."""

    keypoints: NDArray[np.float32]
    """(P, 25, 3) x, y in px and confidence, NaN where missing."""

    natural: Floats
    """(P, 3) ratios of the photo, as the data has them."""

    factor: int
    """Enlargement at which everything is measured."""

    def worn(self, person: int) -> Reading:
        """Read the data's own garment mask."""
        garment = enlarge(self.garment_masks[person], self.factor)
        return read_garment(garment, enlarge_keypoints(self.keypoints[person], self.factor))

    def expected(self, person: int, natural: Floats, requested: Floats) -> Reading:
        """Read the layout at (3,) requested ratios, where `worn` found (3,) natural ones."""
        garment = enlarge(self.garment_masks[person], self.factor)
        keypoints = enlarge_keypoints(self.keypoints[person], self.factor)
        return read_garment(layout_at(garment, keypoints, natural, requested), keypoints)

    def read(self, person: int, probability: NDArray[np.floating]) -> Reading:
        """Read a (H, W) garment probability of a generated picture."""
        return read_garment(
            enlarge(probability, self.factor), enlarge_keypoints(self.keypoints[person], self.factor)
        )


def enlargement(image_height: int, measured_height: int) -> int:
    """Smallest whole factor that makes a picture at least `measured_height` rows tall."""
    return max(1, -(-measured_height // image_height))
