"""A map of the body in DensePose's colours, drawn from the joints: for photos that DensePose hasn't seen.

Parts are where the joints say, as wide as bodies are in the mean: no outline of this body. Arms lie in front.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from preprocess.body.densepose import DENSEPOSE_COLOURS
from preprocess.body.keypoints import BodyFrame, Keypoints
from preprocess.body.legs import LegFrame, with_knees
from preprocess.body.needs import SHOULDERS
from preprocess.body.protected import ARMS, draw_head
from preprocess.painting import draw_capsule, fill
from preprocess.vocabulary import Joint

Labels = NDArray[np.uint8]
Limbs = Mapping[int, tuple[Joint, Joint, float]]

TORSO, HEAD, HANDS = 2, 23, (3, 4)
LEGS: Limbs = {
    9: (Joint.RIGHT_HIP, Joint.RIGHT_KNEE, 0.26),
    10: (Joint.LEFT_HIP, Joint.LEFT_KNEE, 0.26),
    13: (Joint.RIGHT_KNEE, Joint.RIGHT_ANKLE, 0.18),
    14: (Joint.LEFT_KNEE, Joint.LEFT_ANKLE, 0.18),
}
"""Part: joints at its ends, and half its thickness in shoulder widths B."""

ARM_PARTS: Limbs = {
    18: (Joint.RIGHT_SHOULDER, Joint.RIGHT_ELBOW, 0.13),
    17: (Joint.LEFT_SHOULDER, Joint.LEFT_ELBOW, 0.13),
    22: (Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST, 0.1),
    21: (Joint.LEFT_ELBOW, Joint.LEFT_WRIST, 0.1),
}
"""The same for the arms."""

HAND = (0.1, 0.35, 0.1)
"""Where a hand begins and ends beyond the wrist, in forearms, and half its width in shoulder widths B."""

SHOULDERS_OF_HIPS = 1.5
"""B over H, in the median of VITON-HD's photos."""

TORSO_SIDE = ((-0.12, 0.2), (-0.03, 0.5), (0.1, 0.56), (0.3, 0.52), (0.6, 0.45), (0.95, 0.52), (1.12, 0.5))
"""Rows in T and half widths in B of the torso, down one side."""


def draw_body(keypoints: Keypoints, image_height: int, image_width: int) -> NDArray[np.uint8]:
    """Draw a person as DensePose would colour the parts.

    Args:
        keypoints: px of the picture; a limb whose joint is missing is left out.
        image_height: Rows of the picture.
        image_width: Columns of the picture.

    Returns:
        (H, W, 3) RGB.

    Raises:
        KeypointError: Hips are missing; or shoulders, where there aren't both knees either.
    """
    parts = np.zeros((image_height, image_width), np.uint8)
    if keypoints.has(*SHOULDERS):
        frame = BodyFrame.from_keypoints(keypoints)
        draw_limbs(parts, with_knees(keypoints), LEGS, frame.shoulder_width)
        draw_trunk(parts, keypoints, frame)
    else:  # a photo of trousers that ends at the chest
        draw_limbs(parts, keypoints, LEGS, SHOULDERS_OF_HIPS * LegFrame.from_keypoints(keypoints).hip_width)
    return np.asarray(DENSEPOSE_COLOURS[parts])


def draw_trunk(parts: Labels, keypoints: Keypoints, frame: BodyFrame) -> None:
    """Draw torso, arms and head into (H, W) labels."""
    side = np.array(TORSO_SIDE) * (frame.torso_length, frame.shoulder_width)
    torso = np.zeros_like(parts)
    fill(torso, frame.to_image(np.concatenate([side, side[::-1] * (1, -1)])))
    parts[torso != 0] = TORSO
    draw_limbs(parts, keypoints, ARM_PARTS, frame.shoulder_width)
    for part, arm in zip(HANDS, ARMS, strict=True):
        hand = np.zeros_like(parts)
        if keypoints.has(*arm[1:]):
            wrist, forearm = keypoints.xy[arm[2]], keypoints.xy[arm[2]] - keypoints.xy[arm[1]]
            start, end = (wrist + share * forearm for share in HAND[:2])
            draw_capsule(hand, start, end, HAND[2] * frame.shoulder_width)
        parts[hand != 0] = part
    head = np.zeros_like(parts)
    draw_head(head, keypoints, frame)
    parts[head != 0] = HEAD


def draw_limbs(parts: Labels, keypoints: Keypoints, limbs: Limbs, shoulder_width: float) -> None:
    """Draw every limb whose joints were found into (H, W) labels."""
    for part, (start, end, radius) in limbs.items():
        if keypoints.has(start, end):
            limb = np.zeros_like(parts)
            draw_capsule(limb, keypoints.xy[start], keypoints.xy[end], radius * shoulder_width)
            parts[limb != 0] = part
