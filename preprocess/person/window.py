"""The part of a photo that a model of another size and shape looks at, and the way back.

The window has the model's proportions, so nothing is stretched. It is the largest one in the photo if the
region to be painted fits into that, else larger: then the photo's edge is repeated around it.
"""

from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A rectangle on a photo (px); it may reach beyond the photo's edges."""

    top: int
    left: int
    height: int
    width: int
    image_height: int
    """Rows of what the model sees of it."""

    image_width: int
    """Columns of what the model sees of it."""

    @classmethod
    def around(cls, mask: NDArray[np.bool_], image_height: int, image_width: int) -> Self:
        """Choose the window for an (H, W) mask of what is to be painted, in px of the photo.

        The height and width are those of the model's pictures.

        Raises:
            ValueError: Nothing is to be painted.
        """
        x, y, box_width, box_height = cv2.boundingRect(mask.view(np.uint8))
        if not box_width:
            raise ValueError("the inpainting mask must cover some of the photo, but is empty")
        scale = min(mask.shape[0] / image_height, mask.shape[1] / image_width)
        scale = max(scale, box_height / image_height, box_width / image_width)
        height, width = round(image_height * scale), round(image_width * scale)
        return cls(
            top=placed(y, box_height, height, mask.shape[0]),
            left=placed(x, box_width, width, mask.shape[1]),
            height=height,
            width=width,
            image_height=image_height,
            image_width=image_width,
        )

    def seen(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what the model sees of an (H, W, 3) photo, by area where it shrinks."""
        return self._resized(self.cut(picture, cv2.BORDER_REPLICATE))

    def seen_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return what the model sees of an (H, W) mask: a pixel is set where half of it or more was."""
        inside: NDArray[np.bool_] = self.seen_cover(mask.view(np.uint8) * np.uint8(254)) >= 127
        return inside

    def seen_cover(self, cover: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what the model sees of how much of each pixel of an (H, W) photo a mask covers."""
        return self._resized(self.cut(cover, cv2.BORDER_CONSTANT))

    def seen_points(self, xy: NDArray[np.floating]) -> NDArray[np.float64]:
        """Move (N, 2) px of the photo to px of what the model sees."""
        scale = np.array([self.image_width / self.width, self.image_height / self.height])
        seen: NDArray[np.float64] = (np.asarray(xy, np.float64) - (self.left, self.top)) * scale
        return seen

    def put_back(
        self, seen: NDArray[Any], height: int, width: int, border: int = cv2.BORDER_CONSTANT
    ) -> NDArray[Any]:
        """Enlarge a picture or a map of what the model sees and place it on a (height, width) photo.

        Args:
            seen: (h, w, 3) uint8, or (h, w) float32, of any size.
            height: Rows of the photo.
            width: Columns of the photo.
            border: How it goes on outside the window, by OpenCV; 0 unless told.

        Returns:
            (height, width, 3) or (height, width).
        """
        grows = seen.shape[0] < self.height
        large = cv2.resize(
            seen, (self.width, self.height), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA
        )
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + self.height, height), min(self.left + self.width, width)
        inside = large[top - self.top : bottom - self.top, left - self.left : right - self.left]
        return np.asarray(cv2.copyMakeBorder(inside, top, height - bottom, left, width - right, border))

    def cut(self, picture: NDArray[np.uint8], border: int) -> NDArray[np.uint8]:
        """Return the window of a picture, going on beyond its edges as OpenCV's `border` says."""
        height, width = picture.shape[:2]
        above, below = max(0, -self.top), max(0, self.top + self.height - height)
        before, after = max(0, -self.left), max(0, self.left + self.width - width)
        if above or below or before or after:
            picture = np.asarray(cv2.copyMakeBorder(picture, above, below, before, after, border))
        top, left = max(0, self.top), max(0, self.left)
        return picture[top : top + self.height, left : left + self.width]

    def _resized(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        shrinks = picture.shape[0] >= self.image_height
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(picture, (self.image_width, self.image_height), interpolation=method))


def placed(start: int, length: int, window: int, whole: int) -> int:
    """Place a window of one axis about a box on it, inside the whole where it fits, else about its middle."""
    if window > whole:
        return (whole - window) // 2
    return min(max(start + (length - window) // 2, 0), whole - window)
