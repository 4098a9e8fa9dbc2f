"""A prepared person as a model of another size and shape sees them, and the way back into the photo."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from preprocess.person.prepare import PreparedPerson
from preprocess.person.window import Window


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PersonView:
    """Who is seen, and through which window."""

    person: PreparedPerson
    window: Window

    @classmethod
    def of(cls, person: PreparedPerson, image_height: int, image_width: int) -> Self:
        """Choose the window for a model whose pictures have this height and width (px)."""
        window = Window.around(person.inpaint_mask, image_height, image_width)
        return cls(person=person, window=window)

    def inputs(self, garment: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return what the model is given, a batch of one.

        Args:
            garment: (h, w, 3) RGB, whole; its edge is repeated where it has other proportions.

        Returns:
            `image`, `cloth`, `densepose` (1, H, W, 3) uint8, `inpaint_mask` (1, H, W) bool, and `keypoints`
            (1, 25, 3) float32 in px of `image`.
        """
        person, window = self.person, self.window
        whole = np.ones(garment.shape[:2], np.bool_)
        joints = np.column_stack([window.seen_points(person.keypoints.xy), person.keypoints.confidence])
        seen = {
            "image": window.seen(person.photo),
            "cloth": Window.around(whole, window.image_height, window.image_width).seen(garment),
            "densepose": window.seen(person.densepose),
            "inpaint_mask": window.seen_mask(person.inpaint_mask),
            "keypoints": joints.astype(np.float32),
        }
        return {name: array[None] for name, array in seen.items()}

    def seen(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what the model sees, (H, W, 3), of a picture of the photo's size."""
        return self.window.seen(picture)

    def in_photo(self, grid: NDArray[Any]) -> NDArray[Any]:
        """Enlarge a picture or map that the model made to the photo's size; 0 where it saw nothing."""
        return self.window.put_back(grid, *self.person.photo.shape[:2])

    @property
    def photo_px(self) -> float:
        """How many px of the photo one px of the model's picture covers."""
        return self.window.height / self.window.image_height
