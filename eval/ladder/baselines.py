"""Cheap ways to show another size, which every fit figure must stand beside.

They edit the photo itself, so they know the worn garment to the pixel: a model is not given that. `dilate`
and `scale` have one knob each, which is set to the best it can do for the requested ratios.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from eval.ladder.people import Scene
from eval.ladder.scoring import Draw
from preprocess.body.densepose import Parts, nearest_parts
from preprocess.body.drawing import draw_body
from preprocess.body.keypoints import BodyFrame, Keypoints
from preprocess.body.legs import LegFrame
from preprocess.body.needs import frame_of
from preprocess.layout.worn_photo import WornPhoto, resize_worn
from preprocess.lower.worn_legs import take_apart
from preprocess.sizes.axes import AXIS_NAMES, axes_of
from preprocess.vocabulary import Category

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

BASELINES = ("natural", "dilate", "scale", "resize")
"""*natural* ignores the request, *dilate* grows or shrinks the worn mask, *scale* scales mask and garment,
*resize* warps the worn garment to every ratio that is asked for, on a body drawn from the joints."""


def scale_factor(natural: Floats, requested: Floats) -> float:
    """Find the one factor whose scaled natural ratios are nearest to the requested ones, both (A,)."""
    natural, requested = known(natural, requested)
    return float(natural @ requested / (natural @ natural))


def growth_px(natural: Floats, requested: Floats, per_px: Floats) -> float:
    """Find the one growth of the outline that brings all ratios nearest to the request.

    Args:
        natural: (A,) ratios that were worn.
        requested: (A,) ratios.
        per_px: (A,) what each ratio gains when the outline grows by 1 px.

    Returns:
        px, below 0 to shrink.
    """
    per_px, change = known(per_px, requested - natural)
    return float(per_px @ change / (per_px @ per_px))


def gain_per_px(frame: BodyFrame | LegFrame, category: Category, garment: NDArray[np.bool_]) -> Floats:
    """Return (A,) what each ratio of a (H, W) garment gains when its outline grows by 1 px.

    Legs of cloth that stand apart grow towards each other as well.
    """
    gains = {name: axis.growth / frame.lengths[axis.body] for name, axis in axes_of(category).items()}
    worn = take_apart(garment, frame) if isinstance(frame, LegFrame) else None
    if worn is not None:
        rows = worn.width_rows(worn.length)
        gains["width"] = float((worn.widths(1.0) - worn.widths())[rows].mean()) / worn.frame.hip_width
    return np.array([gains.get(name, np.nan) for name in AXIS_NAMES])


def known(*values: Floats) -> list[Floats]:
    """Leave out the axes on which one of several (A,) isn't known."""
    there = np.isfinite(values).all(axis=0)
    return [one[there] for one in values]


def erase(photo: Picture, garment: NDArray[np.bool_]) -> Picture:
    """Fill a (H, W) garment in a (H, W, 3) photo from what lies around it."""
    around = cv2.dilate(garment.astype(np.uint8), np.ones((3, 3), np.uint8))
    return cv2.inpaint(photo, around, 3, cv2.INPAINT_TELEA)


def dilate(photo: Picture, plate: Picture, garment: NDArray[np.bool_], growth: float) -> Picture:
    """Grow or shrink the worn garment by the same number of pixels everywhere.

    Args:
        photo: (H, W, 3) uint8.
        plate: The photo without its garment, from `erase`.
        garment: (H, W) bool, not empty.
        growth: px, below 0 to shrink. New pixels take the colour of the nearest one of the garment.

    Returns:
        (H, W, 3) uint8.
    """
    outside = (~garment).astype(np.uint8)
    away, nearest = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    within = cv2.distanceTransform(garment.astype(np.uint8), cv2.DIST_L2, 5)
    signed = np.where(garment, 0.5 - within, away - 0.5)
    colours = np.zeros((int(nearest.max()) + 1, 3), np.uint8)
    colours[nearest[garment]] = photo[garment]
    cover = np.clip(growth - signed + 0.5, 0.0, 1.0)
    if growth <= 0:
        return _blend(plate, photo, np.where(garment, cover, 1.0))
    return _blend(photo, colours[nearest], cover)


def scale(
    photo: Picture, plate: Picture, garment: NDArray[np.bool_], anchor: Floats, factor: float
) -> Picture:
    """Scale the worn garment about a point of the body.

    Args:
        photo: (H, W, 3) uint8.
        plate: The photo without its garment, from `erase`.
        garment: (H, W) bool.
        anchor: (2,) x, y in px (pixel centres at 0.5) that stays where it is: `anchor`.
        factor: Dimensionless, above 0.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = garment.shape
    shift = (1 - factor) * (anchor - 0.5)
    move = np.array([[factor, 0, shift[0]], [0, factor, shift[1]]])
    pixels = cv2.warpAffine(
        photo, move, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    cover = cv2.warpAffine(garment.astype(np.float32), move, (width, height), flags=cv2.INTER_LINEAR)
    return _blend(plate, pixels, cover)


def _blend(below: Picture, above: Picture, cover: NDArray[np.floating]) -> Picture:
    """Lay one (H, W, 3) picture over another where the (H, W) cover is 1."""
    mixed = below + (above.astype(np.float64) - below) * cover[..., None]
    return np.round(mixed).astype(np.uint8)


def anchor(frame: BodyFrame | LegFrame) -> Floats:
    """(2,) px where a garment hangs from the body: what stays in place when it is scaled."""
    return frame.hip_mid if isinstance(frame, LegFrame) else frame.shoulder_mid


def baseline_draws(scene: Scene) -> dict[str, Draw]:
    """The baselines that follow the request, as ways to draw; *natural* is the photo itself."""
    joints = [Keypoints.from_flat(keypoints) for keypoints in scene.keypoints]
    bodies: dict[int, Parts] = {}
    frames = [frame_of(*person) for person in zip(joints, scene.categories, strict=True)]
    pairs = zip(scene.photos, scene.garment_masks, strict=True)
    plates = [erase(photo, garment) for photo, garment in pairs]

    def dilated(person: int, requested: Floats) -> Picture:
        gains = gain_per_px(frames[person], scene.categories[person], scene.garment_masks[person])
        growth = growth_px(scene.natural[person], requested, gains)
        return dilate(scene.photos[person], plates[person], scene.garment_masks[person], growth)

    def scaled(person: int, requested: Floats) -> Picture:
        factor = scale_factor(scene.natural[person], requested)
        return scale(
            scene.photos[person], plates[person], scene.garment_masks[person], anchor(frames[person]), factor
        )

    def resized(person: int, requested: Floats) -> Picture:
        if person not in bodies:
            bodies[person] = nearest_parts(draw_body(joints[person], *scene.photos.shape[1:3]))
        worn = WornPhoto(scene.photos[person], scene.garment_masks[person])
        category, sizes = scene.categories[person], (scene.natural[person], requested)
        new = resize_worn(worn, joints[person], *sizes, bodies[person], category, arms_stay=True)
        return worn.photo if new is None else new.photo

    def draws(edit: Callable[[int, Floats], Picture]) -> Draw:
        return lambda person, requests: np.array([edit(person, requested) for requested in requests])

    return {"dilate": draws(dilated), "scale": draws(scaled), "resize": draws(resized)}
