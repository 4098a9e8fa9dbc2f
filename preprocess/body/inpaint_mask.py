"""What may be painted anew: all that any garment of the category could cover, told by the body alone.

A mask that follows the worn garment tells a network its size, which then ignores the size that is asked for.
So the region comes from the joints and the allowed size range; segmentation only takes out what no garment
covers (face, hair and hands), never adds or ends anything at the garment's edge.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from preprocess.body.keypoints import BodyFrame, Keypoints
from preprocess.painting import draw_capsule, fill
from preprocess.sizes.axes import axes_of
from preprocess.vocabulary import TRIED_ON, Category, Joint, Lip, require_shape, require_tried_on

Mask = NDArray[np.bool_]
Array = NDArray[np.float64]

HEAD_LABELS = (Lip.HAT, Lip.HAIR, Lip.SUNGLASSES, Lip.FACE)
HAND_LABELS = (Lip.GLOVE, Lip.LEFT_ARM, Lip.RIGHT_ARM)
ARMS = (
    (Joint.RIGHT_SHOULDER, Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST),
    (Joint.LEFT_SHOULDER, Joint.LEFT_ELBOW, Joint.LEFT_WRIST),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskParams:
    """The largest garment that the inpainting mask must leave room for."""

    largest: Mapping[Category, Mapping[str, Annotated[float, Gt(0)]]] = field(default_factory=dict)
    """Largest ratios by category and axis; what is left out is filled in from the table of axes."""

    margin: Annotated[float, Gt(0)] = 0.08
    """Room beyond the largest garment, as a share of the shoulder width B."""

    sleeve_radius: Annotated[float, Gt(0)] = 0.45
    """Half the width of the widest sleeve, in shoulder widths B."""

    follows: Literal["body", "garment"] = "body"
    """`garment` grows the worn garment a little, as VITON-HD's own masks do; it tells the size (ablation)."""

    @classmethod
    def recorded(cls, values: Mapping[str, Any] | None, where: object) -> Self:
        """Read what shards and weights say of the masks that they were made with.

        Args:
            values: The fields, as JSON has them.
            where: Who says so.

        Raises:
            ValueError: It says nothing of them, or something else.
        """
        if values is None:
            raise ValueError(
                f"{where} doesn't say with which inpainting masks it was made: make it again (dvc repro; "
                "`cinderella publish` for a published folder)"
            )
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"{where} tells of other inpainting masks than this version draws") from error

    def asked(self, category: Category) -> dict[str, tuple[float, float]]:
        """Return the smallest and the largest ratio of each axis that may be asked for under such masks."""
        largest = self.largest[category]
        return {name: (axis.asked[0], largest[name]) for name, axis in axes_of(category).items()}

    def __post_init__(self) -> None:
        wrong = [
            f"{category}.{name}"
            for category, ratios in self.largest.items()
            for name in ratios
            if category not in TRIED_ON or name not in axes_of(Category(category))
        ]
        if wrong:
            raise ValueError(f"largest must have categories and axes of theirs, got {', '.join(wrong)}")
        full = {
            category: {name: axis.asked[1] for name, axis in axes_of(category).items()}
            | dict(self.largest.get(category, {}))
            for category in TRIED_ON
        }
        object.__setattr__(self, "largest", full)


def inpainting_mask(
    keypoints: Keypoints,
    image_height: int,
    image_width: int,
    category: Category,
    params: MaskParams,
    *,
    parse: NDArray[np.uint8] | None = None,
) -> Mask:
    """Return what any garment of the category could cover, without face, hair and hands.

    Args:
        keypoints: The person's joints, px.
        image_height: Rows of the photo.
        image_width: Columns of the photo.
        category: Of the garment.
        params: Sizes to leave room for.
        parse: (H, W) LIP labels, outlines of head and hands; without it they are drawn from the joints.

    Returns:
        (H, W) bool. It doesn't depend on where the worn garment ends.

    Raises:
        KeypointError: Shoulders or hips are missing.
        ValueError: There is no mask of the category.
    """
    require_tried_on(category)
    frame = BodyFrame.from_keypoints(keypoints)
    region = np.zeros((image_height, image_width), np.uint8)
    COVERED[category](region, keypoints, frame, params)
    hands = np.zeros_like(region)
    for arm in ARMS:
        draw_hand(hands, keypoints, arm)
    if parse is None:
        head = np.zeros_like(region)
        draw_head(head, keypoints, frame)
        return (region & ~head & ~hands).view(np.bool_)
    require_shape("parse", parse, (image_height, image_width))
    protected = np.isin(parse, HEAD_LABELS) | (hands.view(np.bool_) & np.isin(parse, HAND_LABELS))
    return region.view(np.bool_) & ~protected


def cover_upper(
    region: NDArray[np.uint8], keypoints: Keypoints, frame: BodyFrame, params: MaskParams
) -> None:
    """Set what any garment of the upper body could cover."""
    fill(region, frame.to_image(torso_outline(frame, params)))
    for arm in ARMS:
        draw_sleeve(region, keypoints, arm, frame, params)


COVERED = {Category.UPPER: cover_upper}
"""What draws all that a garment of a category could cover."""


def torso_outline(frame: BodyFrame, params: MaskParams) -> Array:
    """Return the outline of the largest garment without sleeves: (P, 2) a, b in px of the body frame."""
    torso, across = frame.torso_length, frame.shoulder_width
    margin = params.margin * across
    largest = params.largest[Category.UPPER]
    shoulder = largest["shoulder"] / 2 * across + margin
    width = largest["width"] / 2 * across + margin
    right_side = [
        (-0.45 * torso, 0.35 * across),  # collar, up to the chin
        (-0.25 * torso, 0.6 * across),
        (-0.12 * torso - margin, shoulder),
        (0.15 * torso, max(shoulder, width)),
        (largest["length"] * torso + margin, width),
    ]
    return np.array(right_side + [(a, -b) for a, b in reversed(right_side)])


def draw_sleeve(
    region: NDArray[np.uint8],
    keypoints: Keypoints,
    arm: tuple[Joint, Joint, Joint],
    frame: BodyFrame,
    params: MaskParams,
) -> None:
    """Cover an arm as far as the wrist; where a joint is missing, all that the arm could reach."""
    shoulder, elbow, wrist = (keypoints.xy[joint] for joint in arm)
    radius = params.sleeve_radius * frame.shoulder_width
    reach = 0.6 * frame.torso_length  # of the upper arm and of the forearm
    if not keypoints.has(arm[1]):
        elbow = wrist if keypoints.has(arm[2]) else shoulder
        radius = max(radius, reach)
    draw_capsule(region, shoulder, elbow, radius)
    if keypoints.has(arm[2]):
        draw_capsule(region, elbow, wrist, radius)
    else:
        draw_capsule(region, elbow, elbow, max(radius, reach))


def draw_hand(region: NDArray[np.uint8], keypoints: Keypoints, arm: tuple[Joint, Joint, Joint]) -> None:
    """Cover the hand at the end of a forearm, from just beyond the wrist."""
    if not keypoints.has(*arm[1:]):
        return
    elbow, wrist = keypoints.xy[arm[1]], keypoints.xy[arm[2]]
    forearm = wrist - elbow
    length = float(np.hypot(*forearm))
    draw_capsule(region, wrist + 0.3 * forearm, wrist + 0.65 * forearm, 0.3 * length)


def draw_head(region: NDArray[np.uint8], keypoints: Keypoints, frame: BodyFrame) -> None:
    """Cover the head: around the face's joints, or above the neck where none was found."""
    joints = [Joint.NOSE, Joint.LEFT_EYE, Joint.RIGHT_EYE, Joint.LEFT_EAR, Joint.RIGHT_EAR]
    found = keypoints.xy[[joint for joint in joints if keypoints.has(joint)]]
    centre = found.mean(axis=0) if len(found) else frame.shoulder_mid - 0.45 * frame.torso_length * frame.u
    radius = 0.24 * frame.torso_length
    draw_capsule(region, centre, centre - 0.3 * radius * frame.u, radius)
