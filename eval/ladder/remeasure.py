"""Re-measure a picture with the annotator that measured the data: never look at the request.

A picture and a segmenter's probability of the garment go in; ratios and outline come out, in the person's
body frame. As in the data, the picture's edges tell where a sleeve or an arm ends and the panel begins.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from eval.ladder.outline import NO_OUTLINE, Outline, outline
from preprocess.body.keypoints import Keypoints
from preprocess.garment.bounds import MAX_UNCERTAINTY
from preprocess.garment.measurements import garment_panel
from preprocess.garment.scene import Scene
from preprocess.garment.size_ratios import over_body
from preprocess.garment.worn import NOT_ON_BODY, measured_alone
from preprocess.sizes.axes import AXES, AXIS_NAMES, FIT_AXIS, axes_of
from preprocess.vocabulary import Category

Floats = NDArray[np.float64]

PANEL_AXES = frozenset(axis.name for axis in AXES if axis.garment == "width")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was measured on one picture."""

    ratios: Floats
    """(A,) measured ratios, NaN where they couldn't be measured."""

    outline: Outline
    """Of the garment without sleeves, in px of the enlarged picture; empty where doubtful."""

    unit_px: float
    """The width of the body that the garment's is divided by, in px of the enlarged picture: that of the
    shoulders, or of the hips."""


def enlarge(probability: NDArray[np.floating] | NDArray[np.bool_], factor: int) -> NDArray[np.bool_]:
    """Threshold a (H, W) probability at one half after enlarging it, to place its edge below a pixel."""
    height, width = probability.shape
    large = cv2.resize(
        probability.astype(np.float32), (width * factor, height * factor), interpolation=cv2.INTER_CUBIC
    )
    return large > 0.5


def enlarge_picture(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Follow `enlarge` with an (H, W, 3) picture."""
    height, width = picture.shape[:2]
    large = cv2.resize(picture, (width * factor, height * factor), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.uint8)


def enlarge_keypoints(keypoints: NDArray[np.floating], factor: int) -> Keypoints:
    """Follow `enlarge` with (25, 3) keypoints x, y, confidence in px of the small picture."""
    return Keypoints.from_flat(keypoints, source="openpose", format="body_25").scaled(factor, factor)


def read_garment(
    garment: NDArray[np.bool_],
    keypoints: Keypoints,
    category: Category,
    picture: NDArray[np.uint8] | None = None,
    *,
    waist_seen: bool = True,
    sure: bool = False,
) -> Reading:
    """Measure a garment on a body.

    Args:
        garment: (H, W) bool.
        keypoints: The person's joints in px of that mask.
        category: Of the garment.
        picture: (H, W, 3) RGB, what the mask was found in; None of a mask that nobody has drawn.
        waist_seen: Whether the person's own top leaves the waist of trousers free; else it isn't read.
        sure: Whether the mask was laid out with known edges: none is doubted.

    Returns:
        The reading. A ratio that the annotator doubts is NaN, and so are those of an empty mask.
    """
    tops = np.zeros_like(garment) if waist_seen else None
    worn = measured_alone(garment, keypoints, category, Scene(photo=picture), tops=tops)
    lost = not NOT_ON_BODY.isdisjoint(worn.flags)
    doubtful = not sure and worn.lengths["width"].uncertainty > MAX_UNCERTAINTY
    covered = () if waist_seen else ("waist",)
    guessed = [lost or name in covered or (doubtful and name in PANEL_AXES) for name in AXIS_NAMES]
    ratios = np.where(guessed, np.nan, over_body(worn, category))
    line = NO_OUTLINE if lost or doubtful else outline_of(garment, keypoints, category)
    return Reading(ratios=ratios, outline=line, unit_px=worn.body[axes_of(category)[FIT_AXIS].body])


def outline_of(garment: NDArray[np.bool_], keypoints: Keypoints, category: Category) -> Outline:
    """Return the line round a (H, W) garment without its sleeves, where it has any."""
    if category is Category.LOWER:
        return outline(garment)
    return outline(garment_panel(garment, keypoints), garment)
