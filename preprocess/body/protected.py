"""What no garment of a category covers, and so is never painted anew: head, hands, feet, what hangs over it.

Where something may cover a part, its label alone would tell how far: so hands and feet are kept where the
joints say that no garment reaches, and a top where it hangs over the waistband. Of one that is tucked in the
middle is kept: how high a waistband lies is no size.
"""

import math

import numpy as np
from numpy.typing import NDArray

from preprocess.body.keypoints import BodyFrame, Keypoints
from preprocess.body.legs import LEG_JOINTS, LegFrame, seen_at
from preprocess.painting import draw_capsule, fill
from preprocess.vocabulary import GARMENT_LABELS, Category, Joint, Lip

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]

HEAD_LABELS = (Lip.HAT, Lip.HAIR, Lip.SUNGLASSES, Lip.FACE)
HAND_LABELS = (Lip.GLOVE, Lip.LEFT_ARM, Lip.RIGHT_ARM)
FOOT_LABELS = (Lip.SOCKS, Lip.LEFT_LEG, Lip.RIGHT_LEG, Lip.LEFT_SHOE, Lip.RIGHT_SHOE)
TOP_LABELS = (Lip.UPPER_CLOTHES, Lip.DRESS, Lip.COAT)

KEPT = {
    Category.UPPER: HEAD_LABELS,
    Category.DRESS: HEAD_LABELS,
    Category.LOWER: (*HEAD_LABELS, *HAND_LABELS, Lip.SCARF),
}
"""Labels that are kept wherever they are: nothing of the category covers them. Sleeves cover arms."""

LONG = (Category.LOWER, Category.DRESS)
"""Categories whose garments may reach the feet, and lie under hanging hands."""

ARMS = (
    (Joint.RIGHT_SHOULDER, Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST),
    (Joint.LEFT_SHOULDER, Joint.LEFT_ELBOW, Joint.LEFT_WRIST),
)

FOOT, FOOT_WIDTH = (0.12, 0.3), 0.2
"""From where to where beyond the ankle a foot is kept, and how far beside it, over the leg.

Where more is kept, what hides a shoe tells of dresses down to the floor: R² of their length is 0.08 at 0.09.
"""

HAND = (0.3, 0.65, 0.3)
"""Where a hand begins and ends beyond the wrist, and half its width, in forearms, with air around it."""

SLIM_HAND = (0.05, 0.45, 0.14)
"""The same of one that lies on trousers or a skirt: around it the garment would show."""

LOWEST_WAIST = 0.02
"""L. A top that ends this little above the hip joints, or below, hangs over the waistband."""

NEAR_AXIS = 0.25
"""Columns within this of the axis, in H, in which that is looked for."""

NARROWER_THAN_WAISTS, AIR = 0.4, 0.01
"""H either side of the axis, in which what lies above a waistband is kept, and L above it, where that ends.
Its own edge would show the old garment's colour."""


def protected(keypoints: Keypoints, category: Category, shape: tuple[int, int], parse: Labels | None) -> Mask:
    """Return what is kept of a photo.

    Without (H, W) LIP labels what is kept is drawn from the joints, in px.

    Raises:
        KeypointError: The joints that the category's frame needs are missing.
    """
    hands, feet = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    below = category in LONG
    for arm in ARMS:
        draw_hand(hands, keypoints, arm, SLIM_HAND if below and parse is None else HAND)
    for leg in LEG_JOINTS if below else ():
        draw_foot(feet, keypoints, leg)
    if parse is None:
        if category is not Category.LOWER:  # which covers no head, and may have no shoulders
            draw_head(hands, keypoints, BodyFrame.from_keypoints(keypoints))
        return (hands | feet).view(np.bool_)
    kept = np.isin(parse, KEPT.get(category, HEAD_LABELS))
    kept |= hands.view(np.bool_) & np.isin(parse, HAND_LABELS)
    kept |= feet.view(np.bool_) & np.isin(parse, FOOT_LABELS)
    if category is Category.LOWER:
        kept |= hanging_top(parse, keypoints) | above_waistband(parse, keypoints)
    return kept


def hanging_top(parse: Labels, keypoints: Keypoints) -> Mask:
    """Return the top where it hangs over the waistband; nothing where it may be tucked in.

    The hem of one that is tucked in is as wide as the waist.
    """
    frame = LegFrame.from_keypoints(keypoints)
    tops = np.isin(parse, TOP_LABELS)
    rows = -LOWEST_WAIST * frame.scale + np.linspace(-0.01, 0.01, 5)[:, None] * frame.scale
    columns = np.linspace(-NEAR_AXIS, NEAR_AXIS, 21)[None] * frame.hip_width
    places = frame.to_image(*np.broadcast_arrays(rows, columns))
    hangs = (seen_at(tops, places) > 0).mean() > 1 / 2
    return tops if hangs else np.zeros_like(tops)


def above_waistband(parse: Labels, keypoints: Keypoints) -> Mask:
    """Return what lies above trousers or a skirt in the middle of the body, whatever that is.

    No size tells how high a waistband lies. Networks that had to guess it would draw a blur of all heights,
    and it is just below its upper edge that a waist is measured.
    """
    frame = LegFrame.from_keypoints(keypoints)
    strip = np.zeros(parse.shape, np.uint8)
    rows = np.array([-1, -1, 1, 1]) * frame.thigh
    columns = np.array([-1, 1, 1, -1]) * NARROWER_THAN_WAISTS * frame.hip_width
    fill(strip, frame.to_image(rows, columns))
    garment = np.isin(parse, GARMENT_LABELS[Category.LOWER])
    air = math.ceil(AIR * frame.scale)
    begun = np.pad(np.maximum.accumulate(garment, axis=0), ((0, air), (0, 0)), mode="edge")[air:]
    return np.asarray(strip.view(np.bool_) & ~begun & garment.any(axis=0))


def draw_hand(
    region: Labels,
    keypoints: Keypoints,
    arm: tuple[Joint, Joint, Joint],
    hand: tuple[float, float, float] = HAND,
) -> None:
    """Cover the hand at the end of a forearm: from where, how far, and half its width, in forearms."""
    if not keypoints.has(*arm[1:]):
        return
    elbow, wrist = keypoints.xy[arm[1]], keypoints.xy[arm[2]]
    forearm = wrist - elbow
    length = float(np.hypot(*forearm))
    start, end, radius = hand
    draw_capsule(region, wrist + start * forearm, wrist + end * forearm, radius * length)


def draw_foot(region: Labels, keypoints: Keypoints, leg: tuple[Joint, Joint, Joint]) -> None:
    """Cover the foot at the end of a leg, where few hems lie."""
    if not keypoints.has(*leg):
        return
    hip, knee, ankle = keypoints.xy[list(leg)]
    length = float(np.hypot(*(knee - hip)) + np.hypot(*(ankle - knee)))
    down = (ankle - hip) / max(float(np.hypot(*(ankle - hip))), 1e-9)
    across = FOOT_WIDTH * length * np.array([-down[1], down[0]])
    heel, floor = (ankle + share * length * down for share in FOOT)
    fill(region, np.stack([heel - across, heel + across, floor + across, floor - across]))


def draw_head(region: Labels, keypoints: Keypoints, frame: BodyFrame) -> None:
    """Cover the head: around the face's joints, or above the neck where none was found."""
    joints = [Joint.NOSE, Joint.LEFT_EYE, Joint.RIGHT_EYE, Joint.LEFT_EAR, Joint.RIGHT_EAR]
    found = keypoints.xy[[joint for joint in joints if keypoints.has(joint)]]
    centre = found.mean(axis=0) if len(found) else frame.shoulder_mid - 0.45 * frame.torso_length * frame.u
    radius = 0.24 * frame.torso_length
    draw_capsule(region, centre, centre - 0.3 * radius * frame.u, radius)
