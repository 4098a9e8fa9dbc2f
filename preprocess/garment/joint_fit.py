"""Tell joints that were found in another size of the photo by where they lie on its parse map."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from preprocess.body.keypoints import Keypoints
from preprocess.vocabulary import NUM_JOINTS, Joint, Lip

TOPS = (Lip.UPPER_CLOTHES, Lip.DRESS, Lip.COAT)
ARMS = (Lip.LEFT_ARM, Lip.RIGHT_ARM)
LEGS = (Lip.LEFT_LEG, Lip.RIGHT_LEG)
HEAD = (Lip.HAT, Lip.HAIR, Lip.SUNGLASSES, Lip.FACE)
SHOULDERS = (*TOPS, *ARMS, Lip.TORSO_SKIN, Lip.SCARF, Lip.HAIR)

LIES_ON = {
    **dict.fromkeys((Joint.NOSE, Joint.RIGHT_EYE, Joint.LEFT_EYE), HEAD),
    Joint.NECK: (*SHOULDERS, Lip.FACE),
    **dict.fromkeys((Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER), SHOULDERS),
    **dict.fromkeys(
        (Joint.RIGHT_ELBOW, Joint.LEFT_ELBOW, Joint.RIGHT_WRIST, Joint.LEFT_WRIST), (*TOPS, *ARMS, Lip.GLOVE)
    ),
    **dict.fromkeys(
        (Joint.RIGHT_HIP, Joint.LEFT_HIP), (*TOPS, *ARMS, *LEGS, Lip.PANTS, Lip.SKIRT, Lip.GLOVE)
    ),
    **dict.fromkeys(
        (Joint.RIGHT_KNEE, Joint.LEFT_KNEE),
        (*LEGS, Lip.DRESS, Lip.COAT, Lip.PANTS, Lip.SKIRT, Lip.SOCKS, Lip.LEFT_SHOE, Lip.RIGHT_SHOE),
    ),
}
"""What a joint may lie on, what hides it included."""

SCALES = np.geomspace(0.2, 5, 93)
"""What joints may have to be multiplied by, in steps of 3.5 %."""

BETTER, GOOD = 0.2, 0.8
"""Share of the joints that must lie right at another scale, beyond those at their own, and at all.

Of 325 people of VITON, VITON-HD and Dress Code none is taken for another size, all but 1 to 2 of 100 are
at 0.5, 0.6, 1.2, 1.33, 1.5 or 2 times theirs, and all but 10 of 100 at 0.75 times.
"""


def other_scale(parse: NDArray[np.uint8], person: Keypoints) -> float | None:
    """Return what joints must be multiplied by to lie on a person's parse map; None where they do.

    Args:
        parse: (H, W) LIP labels.
        person: Joints in px that should be the map's.
    """
    own = shares_on(parse, person, np.ones(1))[0]
    if own > 1 - BETTER:
        return None
    shares = shares_on(parse, person, SCALES)
    best = shares.max()
    if best < GOOD or best - own < BETTER:
        return None
    return float(np.median(SCALES[shares == best]))


@cache
def allowed() -> NDArray[np.bool_]:
    """(25, 20) whether a joint may lie on a label."""
    table = np.zeros((NUM_JOINTS, len(Lip)), np.bool_)
    for joint, labels in LIES_ON.items():
        table[joint, list(labels)] = True
    return table


def shares_on(
    parse: NDArray[np.uint8], person: Keypoints, scales: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(S,) share of the joints that lie on what they belong to, when they are multiplied by (S,) `scales`."""
    joints = np.array([joint for joint in LIES_ON if person.has(joint)], np.int64)
    if not len(joints):
        return np.zeros(len(scales))
    places = np.floor(person.xy[joints] * scales[:, None, None]).astype(np.int64)
    x, y = places[..., 0], places[..., 1]
    inside = (x >= 0) & (y >= 0) & (x < parse.shape[1]) & (y < parse.shape[0])
    found = parse[np.where(inside, y, 0), np.where(inside, x, 0)]
    return np.asarray((allowed()[joints, found] & inside).mean(axis=1))
