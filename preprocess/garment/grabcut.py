"""Find the worn garment in a photo that has no parse map: OpenCV's GrabCut, seeded from the joints.

The joints say which part of the chest is surely covered, where an upper garment probably is and where none
can be; the colours there decide about the rest. Where the trousers, the hair or the wall have the garment's
colour they are mistaken for each other, so whatever is measured on it bears the flag `segmented_garment`.

Source: Rother, Kolmogorov, Blake: GrabCut, 2004.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.inpaint_mask import MaskParams, inpainting_mask
from preprocess.body.keypoints import Array, BodyFrame, Keypoints
from preprocess.body.protected import ARMS, draw_hand
from preprocess.painting import draw_capsule, fill
from preprocess.vocabulary import Category, Joint, require_shape

Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]

TORSO_PX = 96
"""The photo is reduced until its torso is this long: outlines are found to 1 % of it, in tens of ms."""

ROUNDS = 2
"""Times that GrabCut learns the colours and cuts; a third changes nothing."""

LARGEST_WORN = MaskParams()
"""The largest garment that is looked for: what people wear in photos. It is not the mask that a network is
trained with, which leaves room for what may be asked for and travels with its weights."""

LEAST_PIXELS = 50
"""Pixels on each side from which there are colours to learn."""

CORE = ((0.2, 0.26), (0.5, 0.28))
"""Right side of what every upper garment covers: `a` in T, `b` in B."""

TORSO = ((-0.08, 0.3), (0.0, 0.5), (0.6, 0.5))
"""Right side of what is covered unless the colours say otherwise; it ends where cropped garments do."""

UPPER_SLEEVE = 0.5
"""Share of the upper arm that belongs to it too."""

SLEEVE_RADIUS = 0.14
"""Half the thickness of that sleeve, in B."""

FACE_RADIUS = 0.09
"""Radius of the disc about the nose that the colour of the skin is taken from, in T."""

LEAST_SPREAD = (12.0, 4.0, 4.0)
"""Spread of the skin at least allowed for in OpenCV's 8-bit L, a, b: light differs more than colour."""

SKIN, NO_SKIN = 2.5, 3.0
"""Distances from the face's colour, in its spreads: skin is nearer than the first. A garment nearer than the
second is of that colour itself, and nothing is told by it."""

FAINTEST = 4.0
"""Difference of colour across the median piece of an outline (8-bit L, a, b): less is no outline."""


def segment_garment(photo: Picture, keypoints: Keypoints) -> Mask:
    """Find the upper garment that a person wears.

    Args:
        photo: (H, W, 3) RGB.
        keypoints: The wearer, in px of the photo.

    Returns:
        (H, W) bool; nothing where no garment stands out. The same photo gives the same mask.

    Raises:
        KeypointError: Shoulders or hips are missing.
    """
    require_shape("photo", photo, ("H", "W", 3))
    height, width = photo.shape[:2]
    scale = min(1.0, TORSO_PX / BodyFrame.from_keypoints(keypoints).torso_length)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    found = _cut_out(small, keypoints.scaled(size[0] / width, size[1] / height))
    full = cv2.resize(found * np.uint8(255), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full) > 127


def _cut_out(picture: Picture, keypoints: Keypoints) -> Picture:
    """(h, w) 0 or 1: the garment in a photo of measuring size."""
    frame, shape = BodyFrame.from_keypoints(keypoints), (picture.shape[0], picture.shape[1])
    core, torso = (_area(frame, side, shape) for side in (CORE, TORSO))
    found = _in_one_piece(_grabcut(picture, _seeds(picture, keypoints, core, torso)), core, torso)
    return found if _contrast(picture, found) >= FAINTEST else np.zeros_like(found)


def _seeds(picture: Picture, keypoints: Keypoints, core: Picture, torso: Picture) -> Picture:
    """(h, w) GrabCut's classes: the core for sure, nothing on the head or beyond the largest garment."""
    frame, likely, hands = BodyFrame.from_keypoints(keypoints), torso.copy(), np.zeros_like(torso)
    for arm in ARMS:
        draw_hand(hands, keypoints, arm)
        if keypoints.has(*arm[:2]):
            shoulder, elbow = keypoints.xy[list(arm[:2])]
            end = shoulder + UPPER_SLEEVE * (elbow - shoulder)
            draw_capsule(likely, shoulder, end, SLEEVE_RADIUS * frame.shoulder_width)
    # hands are drawn larger than they are, and rest on garments: colours decide there too
    height, width = torso.shape
    region = inpainting_mask(keypoints, height, width, Category.UPPER, LARGEST_WORN) | (hands > 0)
    seeds = np.where(region, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
    seeds[region & (likely > 0) & ~_skin(picture, keypoints, core)] = cv2.GC_PR_FGD
    seeds[(core > 0) & (hands == 0)] = cv2.GC_FGD
    return seeds


def _grabcut(picture: Picture, seeds: Picture) -> Picture:
    """(h, w) 0 or 1: what GrabCut makes of its classes; nothing where a side or every contrast is missing."""
    found = np.zeros_like(seeds)
    x, y, width, height = cv2.boundingRect((seeds != cv2.GC_BGD).view(np.uint8))
    box = slice(y, y + height), slice(x, x + width)
    classes = np.ascontiguousarray(seeds[box])
    inside = np.count_nonzero(classes & 1)  # GC_FGD and GC_PR_FGD are odd
    if min(inside, classes.size - inside) < LEAST_PIXELS or np.ptp(picture[box]) < FAINTEST:
        return found
    cv2.setRNGSeed(0)  # its k-means starts at random
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(picture[box]), classes, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    found[box] = classes & 1
    return found


def _skin(picture: Picture, keypoints: Keypoints, core: Picture) -> Mask:
    """(h, w) where the picture has the face's colour; nowhere if the garment has it, or no face is seen."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float64)
    face = np.zeros_like(core)
    if keypoints.has(Joint.NOSE):
        nose = keypoints.xy[Joint.NOSE]
        radius = FACE_RADIUS * BodyFrame.from_keypoints(keypoints).torso_length
        draw_capsule(face, nose, nose, radius)
    if not face.any() or not core.any():
        return np.zeros(core.shape, bool)
    colours = lab[face > 0]
    middle = np.median(colours, axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(colours - middle), axis=0), LEAST_SPREAD)
    distance = np.sqrt((((lab - middle) / spread) ** 2).sum(axis=-1))
    told_apart = np.median(distance[core > 0]) >= NO_SKIN
    return np.asarray((distance < SKIN) & told_apart)


def _in_one_piece(found: Picture, core: Picture, torso: Picture) -> Picture:
    """Keep what hangs together with the core, without frayed edges and without holes on the torso."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    smooth = cv2.morphologyEx(cv2.morphologyEx(found, cv2.MORPH_OPEN, disc), cv2.MORPH_CLOSE, disc)
    _, pieces = cv2.connectedComponents(smooth)
    garment = np.isin(pieces, pieces[(core > 0) & (smooth > 0)])
    _, gaps = cv2.connectedComponents((~garment).view(np.uint8), connectivity=4)
    holes = ~garment & ~np.isin(gaps, gaps[torso == 0])
    filled: Picture = ((garment & (smooth > 0)) | holes).view(np.uint8)
    return filled


def _contrast(picture: Picture, found: Picture) -> float:
    """How far the colours inside and outside differ along the outline, in the median; 0 without one."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float32)
    inside = found.astype(np.float32)
    means = []
    for side in (inside, 1 - inside):
        weight = np.maximum(cv2.blur(side, (7, 7)), 1e-6)
        means.append(cv2.blur(lab * side[..., None], (7, 7)) / weight[..., None])
    outline = cv2.dilate(found, np.ones((3, 3), np.uint8)) > found
    return float(np.median(np.linalg.norm(means[0] - means[1], axis=-1)[outline])) if outline.any() else 0.0


def _area(frame: BodyFrame, right_side: tuple[tuple[float, float], ...], shape: tuple[int, int]) -> Picture:
    """(h, w) 0 or 1: a part of the torso by its right side, points `a` in T and `b` in B."""
    side = np.array(right_side) * (frame.torso_length, frame.shoulder_width)
    outline: Array = np.concatenate([side, side[::-1] * (1, -1)])
    area = np.zeros(shape, np.uint8)
    fill(area, frame.to_image(outline))
    return area
