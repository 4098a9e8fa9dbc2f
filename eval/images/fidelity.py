"""Is it the same garment? Errors inside the worn garment, and whether its print is still there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from preprocess.garment.parse import garment_mask
from preprocess.sources.paper_dolls.garment import Ratios
from preprocess.sources.paper_dolls.sample import DollSample, plain_sample, render_sample, sample_of_key
from preprocess.sources.params import PaperDollParams
from shards.batch import Batch

Pictures = NDArray[np.uint8]
Masks = NDArray[np.bool_]
Floats = NDArray[np.float32]

SAME_DOLL = 8.0
"""Mean absolute difference (of 255) up to which a photo is the doll that its key draws: at 96 x 72 px JPEG
leaves up to 5; the nearest of 12,720 pairs are 13 apart in tops, 10 in trousers or skirts and 8 in dresses,
where most of the picture is wall."""

VISIBLE = 8.0
"""Levels (of 255) by which a print must change a pixel to be seen there."""

FEWEST_PRINT_PIXELS = 8
PRINT_MARGIN = 0.03
"""Cloth around a print that belongs to its region (of the picture's height): stripes have gaps."""

KEPT = 0.5
"""Correlation from which a print counts as kept: what differs explains less than what is the same."""


class Redrawn(NamedTuple):
    """A doll whose garment has a print, drawn with and without it."""

    printed: Pictures
    """(H, W, 3)."""

    plain: Pictures
    """(H, W, 3) the same doll in the same garment at the same size, without the print."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What pictures of N people are held against, H x W px."""

    photos: Pictures
    """(N, H, W, 3)."""

    masks: Masks
    """(N, H, W) what was painted anew."""

    garments: Masks
    """(N, H, W) the worn garment; nothing of a person where it isn't known."""

    prints: Sequence[Redrawn | None]
    """Of each person; None without a print, or where nobody can tell."""

    @classmethod
    def of(cls, people: Batch, drawing: PaperDollParams | None) -> Self:
        """Take it from a batch; `drawing` says how the people were drawn, None of photographs."""
        return cls(
            photos=people.image,
            masks=people.inpaint_mask.astype(bool),
            garments=people.garment_mask.astype(bool),
            prints=[redrawn(drawing, *one) for one in zip(people.keys, people.image, strict=True)],
        )

    def rows(self, kept: Sequence[int]) -> "Truth":
        """Return that of some of the people."""
        chosen = list(kept)
        return Truth(
            photos=self.photos[chosen],
            masks=self.masks[chosen],
            garments=self.garments[chosen],
            prints=[self.prints[row] for row in chosen],
        )

    def at(self, size: tuple[int, int]) -> "Truth":
        """Return all of it at another height and width."""
        return Truth(
            photos=shrunk(self.photos, size),
            masks=shrunk_masks(self.masks, size),
            garments=shrunk_masks(self.garments, size),
            prints=[None if one is None else Redrawn(*shrunk(np.stack(one), size)) for one in self.prints],
        )


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


def doll_of(drawing: PaperDollParams | None, key: str, photo: Pictures) -> DollSample | None:
    """The doll of which a (H, W, 3) photo is; None where it is no doll, or not the one that the key draws."""
    sample = named(drawing, key)
    if drawing is None or sample is None:
        return None
    return sample if shows(photo, drawn_again(drawing, sample, photo.shape)[0]) else None


def redrawn(drawing: PaperDollParams | None, key: str, photo: Pictures) -> Redrawn | None:
    """Draw a doll again, as large as its (H, W, 3) photo; None where `doll_of` is, and without a print."""
    sample = named(drawing, key)
    plain = sample and plain_sample(sample)
    if drawing is None or sample is None or plain is None:
        return None
    found = Redrawn(*(drawn_again(drawing, one, photo.shape)[0] for one in (sample, plain)))
    return found if shows(photo, found.printed) else None


def named(drawing: PaperDollParams | None, key: str) -> DollSample | None:
    """The doll that a key draws; None of photographs, which may lie beside a table of dolls."""
    try:
        return None if drawing is None else sample_of_key(drawing, key)
    except ValueError:
        return None


def shows(photo: Pictures, drawn: Pictures) -> bool:
    """Whether a photo is of a doll that was drawn again: not so of another seed's, or another renderer's."""
    return bool(np.abs(drawn.astype(np.float32) - photo).mean() <= SAME_DOLL)


def drawn_again(
    drawing: PaperDollParams, sample: DollSample, shape: Sequence[int], ratios: Ratios | None = None
) -> tuple[Pictures, Masks]:
    """Draw a doll, at its own ratios or others, of `shape` H, W, ...: (H, W, 3) picture, (H, W) garment."""
    size, drawn = (shape[0], shape[1]), render_sample(drawing, sample, ratios)
    garment = garment_mask(drawn.parse, sample.category)
    return shrunk(drawn.image[None], size)[0], shrunk_masks(garment[None], size)[0]


def garment_delta_e(picture: Pictures, photo: Pictures, garment: Masks) -> float:
    """Mean colour difference of two (H, W, 3) sRGB pictures over the (H, W) pixels of a garment.

    Source:
        CIEDE2000 (Sharma, Wu & Dalal 2005) by scikit-image; 1 is just noticeable, 10 another colour.
    """
    return float(deltaE_ciede2000(rgb2lab(photo[garment]), rgb2lab(picture[garment])).mean())


def print_correlation(picture: Pictures, drawn: Redrawn, garment: Masks) -> float | None:
    """How much of a print is in a (H, W, 3) picture, -1 to 1; None where it can't be seen at this size.

    Both the picture and the true one are held against the doll without its print, so that folds and shading
    don't count; what is left is correlated over the print and the cloth around it. A garment of the print's
    mean colour scores 0.
    """
    plain = drawn.plain.astype(np.float32)
    truth = drawn.printed - plain
    region = print_region(truth, garment)
    if region is None:
        return None
    wanted, found = ((one - one.mean(axis=0)).ravel() for one in (truth[region], (picture - plain)[region]))
    length = float(np.linalg.norm(wanted) * np.linalg.norm(found))
    return float(wanted @ found) / length if length else 0.0


def print_region(difference: Floats, garment: Masks) -> Masks | None:
    """(H, W) the garment's pixels on and near a print that makes a (H, W, 3) difference; None: too few."""
    seen = (np.abs(difference).max(axis=2) >= VISIBLE) & garment
    if seen.sum() < FEWEST_PRINT_PIXELS:
        return None
    reach = 2 * max(1, round(PRINT_MARGIN * len(seen))) + 1
    near = cv2.dilate(seen.astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool)
    return near & garment


def flat_colour(people: Batch, row: int) -> Pictures:
    """Draw a person whose worn garment, by its true mask, has the mean colour of its photo: a baseline."""
    picture, cloth, mask = people.image[row].copy(), people.cloth[row], people.cloth_mask[row].astype(bool)
    if mask.any():
        picture[people.garment_mask[row].astype(bool)] = cloth[mask].mean(axis=0).round()
    return picture
