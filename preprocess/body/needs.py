"""Which joints garments of each category are measured against, and in which frame: told here alone."""

from dataclasses import dataclass

from preprocess.body.keypoints import BodyFrame, Keypoints
from preprocess.body.legs import HIPS, HIPS_AND_KNEES, LEG_JOINTS, LegFrame
from preprocess.vocabulary import Category, Joint

SHOULDERS = (Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER)
TRUNK = (*SHOULDERS, *HIPS)
ARMS = (Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST, Joint.LEFT_ELBOW, Joint.LEFT_WRIST)

RESTS_ON: dict[str, tuple[Joint, ...]] = {
    "shoulder": SHOULDERS,
    "torso": TRUNK,
    "arm": (*SHOULDERS, *ARMS),
    "hip": HIPS,
    "leg": tuple(joint for leg in LEG_JOINTS for joint in leg),
}
"""By the length of the body, the joints that it is measured between."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What measuring a garment looks at, beside the garment."""

    frame: type[BodyFrame] | type[LegFrame]
    """Spanned by the joints without which nothing is measured."""

    trusted: tuple[Joint, ...]
    """Joints whose confidence is that of the row."""

    inside: tuple[Joint, ...]
    """Joints one of which lies outside the picture in a suspect row."""

    sleeves: bool
    """Whether sleeves hang beside it: then photo and DensePose tell where it ends, of others the parse map
    alone."""


HANGING_FROM_SHOULDERS = Needs(frame=BodyFrame, trusted=TRUNK, inside=(*TRUNK, *ARMS), sleeves=True)
ON_THE_LEGS = Needs(frame=LegFrame, trusted=HIPS_AND_KNEES, inside=HIPS_AND_KNEES, sleeves=False)


def needs_of(category: Category) -> Needs:
    """Return what measuring a garment of a category needs."""
    return ON_THE_LEGS if category is Category.LOWER else HANGING_FROM_SHOULDERS


def frame_of(keypoints: Keypoints, category: Category) -> BodyFrame | LegFrame:
    """Return the frame that a category is measured in, or raise KeypointError where joints are missing."""
    return needs_of(category).frame.from_keypoints(keypoints)


def require_body(keypoints: Keypoints, category: Category) -> None:
    """Raise KeypointError unless the joints were found that a garment of a category is measured against."""
    frame_of(keypoints, category)
