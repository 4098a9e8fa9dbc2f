"""What a shape of pictures shows of a photo: all of it where it has those proportions, else a window on it.

So nobody is squashed: training, evaluation and try-on look through the window that `preprocess.person` puts
about what may be painted.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from preprocess.body.keypoints import Keypoints
from preprocess.person.window import Window
from shards.codec import WHOLE, resized, resized_mask

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """How a picture of one size is shown at another."""

    own_height: int
    """Rows of the picture (px)."""

    own_width: int
    """Columns of the picture (px)."""

    image_height: int
    """Rows to show it at."""

    image_width: int
    """Columns to show it at."""

    window: Window | None
    """Where to look; None: at all of it."""

    @classmethod
    def around(cls, mask: Mask, image_height: int, image_width: int) -> Self:
        """Frame a photo about the (H, W) mask of what may be painted in it.

        Raises:
            ValueError: Nothing may be painted.
        """
        height, width = mask.shape
        window = Window.around(mask, image_height, image_width)
        same = height * image_width == width * image_height
        return cls(
            own_height=height,
            own_width=width,
            image_height=image_height,
            image_width=image_width,
            window=None if same else window,
        )

    @classmethod
    def whole(cls, height: int, width: int, image_height: int, image_width: int) -> Self:
        """Frame a picture of a garment alone: all of it is shown, its edge goes on beyond."""
        return cls.around(np.ones((height, width), np.bool_), image_height, image_width)

    def picture(self, picture: Picture) -> Picture:
        """Show (H, W, 3), of the framed size or another one, by area where it shrinks."""
        if self.window is None:
            return resized(picture, self.image_height, self.image_width)
        return self.window.seen(resized(picture, self.own_height, self.own_width))

    def mask(self, mask: Mask) -> Mask:
        """Show (H, W) bool, of the framed size or another: a pixel is set where half of it or more was."""
        levels = mask.view(np.uint8)
        if self.window is None:
            return resized_mask(levels, self.image_height, self.image_width).view(np.bool_)
        return self.window.seen_mask(resized_mask(levels, self.own_height, self.own_width).view(np.bool_))

    def cover(self, cover: Picture) -> Picture:
        """Show how much of each pixel a mask covers, (H, W) uint8 0 to `WHOLE`; its size as above."""
        if self.window is None:
            return resized(cover, self.image_height, self.image_width)
        return np.minimum(self.window.seen_cover(resized(cover, self.own_height, self.own_width)), WHOLE)

    def joints(self, keypoints: Keypoints) -> Keypoints:
        """Move joints in px of the picture to px of what is shown."""
        if self.window is None:
            return keypoints.scaled(self.image_width / self.own_width, self.image_height / self.own_height)
        return replace(keypoints, xy=self.window.seen_points(keypoints.xy))
