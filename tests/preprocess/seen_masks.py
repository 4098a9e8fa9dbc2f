"""What the bars of masks ask about people in trousers, skirts and dresses whose sizes are known."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np

from preprocess.body.inpaint_mask import MaskParams, inpainting_mask
from preprocess.body.keypoints import BodyFrame, KeypointError, Keypoints
from preprocess.body.legs import LegFrame
from preprocess.body.needs import require_body
from preprocess.garment.parse import garment_mask
from preprocess.sources.paper_dolls.sample import doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Category
from tests.preprocess.polygon_wardrobe import Dressed
from tests.preprocess.test_inpaint_mask import held_out_r2, keypoints_of

ROWS, COLUMNS = 40, 36
"""At which a mask is read in body coordinates for the regression."""


@dataclass(frozen=True)
class Bars:
    """Figures of one category."""

    ratios: np.ndarray
    """(N, A) true ones."""

    ours: np.ndarray
    """(A,) R² of ridge regression from our masks to the ratios, on held-out people."""

    tight: np.ndarray
    """(A,) the same from masks that follow the garment."""

    hidden: np.ndarray
    """(N,) share of the worn garment inside the mask."""

    ious: np.ndarray
    """(N,) of a person's masks in two garments."""


def bars_of(category: Category, pairs: Iterable[tuple[Dressed, Dressed]]) -> Bars:
    """Draw masks of people in two garments each; the first three in five teach the regression."""
    ours, tight, ratios, hidden, ious = [], [], [], [], []
    for one, other in pairs:
        mask, again = (
            inpainting_mask(d.keypoints, *d.parse.shape, category, MaskParams(), parse=d.parse)
            for d in (one, other)
        )
        garment = garment_mask(one.parse, category)
        close = cv2.dilate(garment.view(np.uint8), np.ones((15, 15), np.uint8))
        ours.append(on_body(mask, one.keypoints, category))
        tight.append(on_body(close, one.keypoints, category))
        ratios.append(one.ratios)
        hidden.append((garment & mask).sum() / garment.sum())
        ious.append((mask & again).sum() / (mask | again).sum())
    truth, num_train = np.array(ratios), len(ratios) * 3 // 5
    r2 = [
        held_out_r2(rows[:num_train], truth[:num_train], rows[num_train:], truth[num_train:])
        for rows in (np.array(ours), np.array(tight))
    ]
    return Bars(truth, r2[0], r2[1], np.array(hidden), np.array(ious))


def dolls(category: Category, count: int) -> Iterator[tuple[Dressed, Dressed]]:
    """Yield paper dolls in two garments each; those whose body isn't in the picture are left out."""
    params = PaperDollParams(train=2000, test=2000, image_height=256, image_width=192, categories=(category,))
    for index in range(count):
        sample, other = (doll_sample(params, "train", number) for number in (index, index + 1000))
        again = replace(sample, design=other.design, ratios=other.ratios)
        pictures = [render_sample(params, one) for one in (sample, again)]
        if not garment_mask(pictures[0].parse, category).any():
            continue
        count = partial(np.asarray, sample.ratios)
        one, two = (Dressed(parse=seen.parse, keypoints=keypoints_of(seen), count=count) for seen in pictures)
        with suppress(KeypointError):
            require_body(one.keypoints, category)
            yield one, two


def on_body(mask: np.ndarray, keypoints: Keypoints, category: Category) -> np.ndarray:
    """Read a mask in the frame that the category is measured in: legs, or torso down to the floor."""
    if category is Category.LOWER:
        legs = LegFrame.from_keypoints(keypoints)
        grid = np.meshgrid(
            np.linspace(-0.4, 1.35, ROWS) * legs.scale,
            np.linspace(-4, 4, COLUMNS) * legs.hip_width,
            indexing="ij",
        )
        xy = legs.to_image(*grid)
    else:
        body = BodyFrame.from_keypoints(keypoints)
        grid = np.meshgrid(
            np.linspace(-0.5, 3.4, ROWS) * body.torso_length,
            np.linspace(-2.5, 2.5, COLUMNS) * body.shoulder_width,
            indexing="ij",
        )
        xy = body.to_image(np.stack(grid, axis=-1).reshape(-1, 2)).reshape(ROWS, COLUMNS, 2)
    places = (xy - 0.5).astype(np.float32)
    read: np.ndarray = cv2.remap(mask.astype(np.float32), places, None, cv2.INTER_LINEAR)
    return read.ravel()
