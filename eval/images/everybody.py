"""The image metrics' own test: everybody of the split at the natural size, paired and unpaired."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from eval.images.judges import Judges
from eval.images.meter import ImageMeter, Masks, Pictures
from eval.ladder.people import Wardrobe
from eval.params import EvaluateParams
from shards.batch import Batch, select

Make = Callable[[Batch, bool], Sequence[Pictures | None]]
"""People, and whether they wear another's garment -> a (H, W, 3) picture each, None where there is none."""


class ImageTest:
    """Image metrics at the pictures' own size and at every standard size that is smaller.

    Args:
        judges: Networks.
        image_hw: Height and width of the pictures (px).
        standard: Heights and widths to compare at as well.
        paired: Whether each picture has its own photo.
        seed: Of the kernel distance's subsets.
    """

    def __init__(
        self,
        judges: Judges,
        image_hw: tuple[int, int],
        standard: Sequence[tuple[int, int]],
        *,
        paired: bool,
        seed: int,
    ) -> None:
        self.image_hw, self.standard = image_hw, standard
        sizes = {image_hw, *(size for size in standard if size[0] < image_hw[0] and size[1] < image_hw[1])}
        self._meters = {size: ImageMeter(judges, paired=paired, seed=seed) for size in sorted(sizes)}

    def update(self, pictures: Pictures, photos: Pictures, masks: Masks) -> None:
        """Take in (N, H, W, 3) pictures, photos and (N, H, W) inpainting masks of their own size."""
        for size, meter in self._meters.items():
            meter.update(shrunk(pictures, size), shrunk(photos, size), shrunk_masks(masks, size))

    def section(self) -> dict[str, Any]:
        """Figures at the own size, and a section `at_{height}x{width}` for every standard size."""
        standard = {f"at_{height}x{width}": self._at((height, width)) for height, width in self.standard}
        return self._meters[self.image_hw].section() | standard

    def _at(self, size: tuple[int, int]) -> dict[str, Any]:
        if size in self._meters:
            return self._meters[size].section()
        height, width = self.image_hw
        return {"absent": f"the pictures have {height}x{width} px: enlarged, the resizing would be measured"}


def image_section(
    batches: Iterable[Batch], wardrobe: Wardrobe, make: Make, judges: Judges, params: EvaluateParams
) -> dict[str, Any]:
    """Compare a picture of everybody with their photos.

    Args:
        batches: The test split, all of one picture size.
        wardrobe: Knows whose garment each person tries on.
        make: The system.
        judges: Networks.
        params: How many people, and the sizes to compare at.

    Returns:
        `image` of metrics.json; in `unpaired` each person wears another's garment, so that there is no photo
        of that, and only the distances between sets of pictures can be taken.
    """
    tests: dict[bool, ImageTest] = {}
    asked = {True: 0, False: 0}
    for people in first_rows(batches, params.num_image_people):
        for unpaired, dressed in ((False, people), (True, wardrobe.swapped(people)[1])):
            image_hw = (people.image.shape[1], people.image.shape[2])
            test = tests.setdefault(
                unpaired,
                ImageTest(judges, image_hw, params.image_sizes, paired=not unpaired, seed=params.seed),
            )
            asked[unpaired] += len(dressed)
            made = make(dressed, unpaired) if len(dressed) else []
            found = {row: picture for row, picture in enumerate(made) if picture is not None}
            if found:
                rows, pictures = list(found), np.stack(list(found.values()))
                test.update(pictures, dressed.image[rows], dressed.inpaint_mask[rows].astype(bool))
    sections = {unpaired: test.section() | {"asked": asked[unpaired]} for unpaired, test in tests.items()}
    return sections[False] | {"unpaired": sections[True]}


def first_rows(batches: Iterable[Batch], count: int | None) -> Iterable[Batch]:
    """Yield batches with the first `count` samples, or all."""
    left = count
    for batch in batches:
        part = batch if left is None or left >= len(batch) else select(batch, range(left))
        yield part
        left = None if left is None else left - len(part)
        if left == 0:
            return


def shrunk(pictures: Pictures, size: tuple[int, int]) -> Pictures:
    """Resize (N, H, W, 3) by area to (N, *size, 3)."""
    if pictures.shape[1:3] == size:
        return pictures
    small = [cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA) for picture in pictures]
    return np.stack(small).astype(np.uint8)


def shrunk_masks(masks: Masks, size: tuple[int, int]) -> Masks:
    """Resize (N, H, W) masks; a pixel is set where half of it or more was."""
    if masks.shape[1:] == size:
        return masks
    shares = [cv2.resize(m.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA) for m in masks]
    return np.stack(shares) >= 0.5
