"""Changes of a batch that leave ratios true: picture, masks, keypoints and ratios together, or nothing.

Shapes: B batch, H and W the picture (px), whose column i covers [i, i + 1). Ratios are quotients of lengths
in the body frame, so mirrors, colours and zooms of the whole picture don't touch them. `resized` changes
them, and the worn garment in the picture with them. What would change one alone is label noise.
"""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.densepose import nearest_parts, with_sides_swapped
from preprocess.body.drawing import draw_body
from preprocess.body.keypoints import KeypointError, Keypoints
from preprocess.body.keypoints import mirrored as mirrored_joints
from preprocess.body.needs import ARMS, needs_of
from preprocess.layout.worn_photo import RESIZABLE, WornPhoto, followed, resize_worn, shows
from preprocess.sizes.axes import AXIS_NAMES, axes_of
from preprocess.vocabulary import Category, Joint
from shards.batch import PHOTOS, Batch
from shards.codec import WHOLE, decide
from shards.sample import COVER, MASKS

MIRRORED = ":mirrored"
"""Ends the key of a mirrored sample."""

BESIDE = {Category.LOWER: (Joint.RIGHT_ANKLE, Joint.LEFT_ANKLE)}
"""What is kept where it was found: without ankles trousers have no length; of others, without `ARMS` sleeves
can't be told from the panel."""

MARGIN = 0.02
"""Share of height and width that a zoom leaves around what it must keep."""


RESIZED = ":resized"
"""Ends the key of a sample whose garment has another size."""


def resized(batch: Batch, growth: NDArray[np.float32]) -> Batch:
    """Give worn garments other sizes, in the pictures, their masks and their ratios.

    A sample stays as it is where its category isn't `RESIZABLE` or an axis of it isn't known (of the lower
    body, whose waist a top may cover, where none is: the unknown ones stay), and where the new garment would
    come out of its inpainting mask or reach an edge of the picture, behind which its size can't be seen, or
    doesn't measure as it should: an arm is in the way, and stays there, or the pose would tell the size. The
    size of the garment's own photo, which has no scale, stays too.

    Args:
        batch: Samples; those that change lose their fit label, which was cut for the old width.
        growth: (B, A) what each ratio is multiplied by, as far as that may be asked for; NaN: nothing.
    """
    changed = {name: getattr(batch, name).copy() for name in ("image", "garment_mask", COVER, "ratios")}
    keys, labels = list(batch.keys), list(batch.fit_label)
    for row in np.flatnonzero(np.isfinite(growth).all(axis=1)).tolist():
        requested = asked_for(batch, row, growth[row])
        new = None if requested is None else resized_row(batch, row, requested)
        if new is not None:
            changed["image"][row], changed["garment_mask"][row] = new.photo, new.garment_mask
            changed[COVER][row], changed["ratios"][row] = new.garment_mask * np.uint8(WHOLE), requested
            keys[row], labels[row] = batch.keys[row] + RESIZED, None
    return replace(batch, keys=keys, fit_label=labels, **changed)


def asked_for(batch: Batch, row: int, growth: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Return the (A,) ratios of a garment that grew; None where it can't, or too few of them are known."""
    category = Category(batch.categories[row])
    if category not in RESIZABLE:
        return None
    requested = np.full(len(AXIS_NAMES), np.nan)
    for name, axis in axes_of(category).items():
        place = AXIS_NAMES.index(name)
        grown = growth[place] if name in followed(category) else 1  # as sleeves, which stay as they are
        requested[place] = np.clip(batch.ratios[row, place] * grown, *axis.asked)
    known = np.isfinite(requested[[AXIS_NAMES.index(name) for name in axes_of(category)]])
    enough = known.any() if category is Category.LOWER else known.all()
    return requested if enough else None


def resized_row(batch: Batch, row: int, requested: NDArray[np.float64]) -> WornPhoto | None:
    """Resize the worn garment of one sample; None where that can't be shown."""
    joints, category = Keypoints.from_flat(batch.keypoints[row]), Category(batch.categories[row])
    worn = WornPhoto(batch.image[row], batch.garment_mask[row].astype(bool))
    natural = batch.ratios[row].astype(np.float64)
    seen = batch.densepose[row]
    try:
        body = nearest_parts(seen if seen.any() else draw_body(joints, *seen.shape[:2]))
        new = resize_worn(worn, joints, natural, requested, body, category, arms_stay=True)
    except KeypointError:
        return None
    room = np.pad(batch.inpaint_mask[row][1:-1, 1:-1] > 0, 1)
    if new is None or (new.garment_mask & ~room & ~worn.garment_mask).any():
        return None
    return new if shows(new, joints, requested, body, category) else None


def mirrored(batch: Batch, rows: NDArray[np.bool_]) -> Batch:
    """Mirror the (B,) chosen rows: pictures, masks, left and right joints and DensePose parts."""
    pictures = {name: getattr(batch, name).copy() for name in (*PHOTOS, *MASKS, "garment_mask")}
    for picture in pictures.values():
        picture[rows] = picture[rows][:, :, ::-1]
    pictures["densepose"][rows] = with_sides_swapped(pictures["densepose"][rows])
    keypoints = batch.keypoints.copy()
    keypoints[rows] = mirrored_joints(keypoints[rows], batch.image.shape[2])
    keys = [key + MIRRORED if row else key for key, row in zip(batch.keys, rows, strict=True)]
    return replace(batch, keys=keys, keypoints=keypoints, **pictures)


def recoloured(batch: Batch, gains: NDArray[np.float32]) -> Batch:
    """Multiply the colour channels of photo and garment by the same (B, 3) gains, as another light would."""
    photos = {
        name: (getattr(batch, name) * gains[:, None, None]).round().clip(0, 255).astype(np.uint8)
        for name in ("image", "cloth")
    }
    return replace(batch, **photos)


def zoomed(batch: Batch, cut: NDArray[np.float32], place: NDArray[np.float32]) -> Batch:
    """Cut away a border of each person's pictures and enlarge the rest to the old size.

    A cut that would lose part of the garment or a joint that it is measured by is made smaller until it
    doesn't; where frame or garment is unknown there is none. Joints that end outside are then missing.

    Args:
        batch: Its garment photos stay as they are.
        cut: (B,) share of height and width to cut away.
        place: (B, 2) where the rest lies between its outermost places, x and y, 0 to 1.
    """
    names = ("image", "densepose", "inpaint_mask", "garment_mask", COVER)
    pictures = {name: getattr(batch, name).copy() for name in names}
    keypoints = batch.keypoints.copy()
    extent = np.array([batch.image.shape[2], batch.image.shape[1]], np.float64)
    for row in range(len(batch)):
        inside = needed(batch, row)
        if inside is None:
            continue
        low, high = inside
        share = min(float(cut[row]), float((1 - (high - low) / extent).min()))
        if share <= 0:
            continue
        kept = (1 - share) * extent
        first, last = np.maximum(0, high - kept), np.minimum(extent - kept, low)
        corner = first + place[row] * (last - first)
        for name, picture in pictures.items():
            larger = enlarged_mask if name.endswith("mask") else enlarged
            picture[row] = larger(picture[row], corner, 1 - share)
        xy = (keypoints[row, :, :2] - corner) / (1 - share)
        outside = ~((xy >= 0) & (xy <= extent)).all(axis=1)
        keypoints[row, :, :2] = xy
        keypoints[row, outside] = (np.nan, np.nan, 0)
    return replace(batch, keypoints=keypoints, **pictures)


def needed(batch: Batch, row: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Corners, x and y, of what a zoom must keep: the garment and the joints that it is measured by."""
    category = Category(batch.categories[row])
    joints = needs_of(category).trusted, BESIDE.get(category, ARMS)
    y, x = np.nonzero(batch.garment_mask[row])
    frame, beside = (batch.keypoints[row, which, :2].astype(np.float64) for which in joints)
    if not len(x) or not np.isfinite(frame).all():
        return None
    corners = np.array([[x.min(), y.min()], [x.max() + 1, y.max() + 1]], np.float64)
    points = np.concatenate([corners, frame, beside[np.isfinite(beside).all(axis=1)]])
    extent = np.array([batch.image.shape[2], batch.image.shape[1]], np.float64)
    margin = MARGIN * extent  # a hem at the very edge could be a hem cut off
    return np.maximum(points.min(axis=0) - margin, 0), np.minimum(points.max(axis=0) + margin, extent)


def enlarged(picture: NDArray[np.uint8], corner: NDArray[np.float64], scale: float) -> NDArray[np.uint8]:
    """Fill a picture with its part of `scale` times its extent that begins at `corner`, x and y."""
    height, width = picture.shape[:2]
    shift = corner + 0.5 * (scale - 1)  # OpenCV's whole numbers are the middles of pixels
    into_source = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(picture, into_source, (width, height), flags=flags, borderMode=border))


def enlarged_mask(mask: NDArray[np.uint8], corner: NDArray[np.float64], scale: float) -> NDArray[np.uint8]:
    """Do the same with an (H, W) mask of 0 or 1."""
    return decide(enlarged(mask * np.uint8(WHOLE), corner, scale))
