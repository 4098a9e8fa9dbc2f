"""What may be painted anew: all that any garment of the category could cover, told by the body alone.

A mask that follows the worn garment tells a network its size, which then ignores the size that is asked for.
So the region comes from the joints and the allowed size range; segmentation only takes out what no garment
covers (`preprocess.body.protected`), never adds anything, and ends nothing at an edge that tells a size.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

import cv2
import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from preprocess.body.keypoints import BodyFrame, Keypoints
from preprocess.body.legs import LEG_JOINTS, LegFrame, with_knees
from preprocess.body.protected import ARMS, protected
from preprocess.painting import draw_capsule, fill
from preprocess.sizes.axes import axes_of
from preprocess.vocabulary import Category, Joint, require_shape

Mask = NDArray[np.bool_]
Array = NDArray[np.float64]

HIGHEST_WAIST = 0.22
"""How far above the hip joints a waistband may lie, over the leg L."""

SEAT = 0.75
"""Width at the hip joints of what is widest at the thighs."""

THIGHS = 0.55
"""Last row of the width, in thighs: what is narrower above it and wider below."""

SKIRT_FROM = 0.6
"""Row, in T, from which a dress may flare."""

FLARE, FLOOR = 1.4, 1.15
"""Width of the widest skirt at a row below the hips, in L, over that of its thighs."""

DRESS_FLARE, DRESS_FLOOR = 2.2, 3.2
"""Width of the widest dress at a row below the shoulders, in T, over that of its torso."""

DISC = np.column_stack([np.cos(turn := np.linspace(0, 2 * np.pi, 24, endpoint=False)), np.sin(turn)])


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskParams:
    """The largest garment that the inpainting mask must leave room for."""

    largest: Mapping[Category, Mapping[str, Annotated[float, Gt(0)]]] = field(default_factory=dict)
    """Largest ratios by category and axis; what is left out is filled in from the table of axes."""

    margin: Annotated[float, Gt(0)] = 0.08
    """Room beyond the largest garment, as a share of the shoulder width B; of two H for the lower body."""

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
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{where} tells of other inpainting masks than this version draws: {error}"
            ) from error

    def asked(self, category: Category) -> dict[str, tuple[float, float]]:
        """Return the smallest and the largest ratio of each axis that may be asked for under such masks."""
        largest = self.largest[category]
        return {name: (axis.asked[0], largest[name]) for name, axis in axes_of(category).items()}

    def __post_init__(self) -> None:
        wrong = [
            f"{category}.{name}"
            for category, ratios in self.largest.items()
            for name in ratios
            if category not in COVERED or name not in axes_of(Category(category))
        ]
        if wrong:
            raise ValueError(f"largest must have categories and axes of theirs, got {', '.join(wrong)}")
        full = {
            category: {name: axis.asked[1] for name, axis in axes_of(category).items()}
            | dict(self.largest.get(category, {}))
            for category in COVERED
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
    """Return what any garment of the category could cover, without what none covers.

    Args:
        keypoints: The person's joints, px.
        image_height: Rows of the photo.
        image_width: Columns of the photo.
        category: Of the garment.
        params: Sizes to leave room for.
        parse: (H, W) LIP labels, outlines of what is kept; without it they are drawn from the joints.

    Returns:
        (H, W) bool. It doesn't depend on where the worn garment ends; at the axis it does on where trousers
        or a skirt begin, which no size tells.

    Raises:
        KeypointError: Hips are missing, or shoulders, which `lower` doesn't need.
        ValueError: There is no mask of the category.
    """
    if category not in COVERED:
        raise ValueError(f"there is no inpainting mask of the category {category}: only {', '.join(COVERED)}")
    if category is Category.LOWER:
        keypoints = with_knees(keypoints)
    region = np.zeros((image_height, image_width), np.uint8)
    COVERED[category](region, keypoints, params)
    if parse is not None:
        require_shape("parse", parse, (image_height, image_width))
    return region.view(np.bool_) & ~protected(keypoints, category, (image_height, image_width), parse)


def cover_upper(region: NDArray[np.uint8], keypoints: Keypoints, params: MaskParams) -> None:
    """Set what any garment of the upper body could cover."""
    cover_torso(region, keypoints, params.largest[Category.UPPER], params)


def cover_dress(region: NDArray[np.uint8], keypoints: Keypoints, params: MaskParams) -> None:
    """Set what any dress could cover: torso, arms and legs, as far as the floor."""
    frame, largest = BodyFrame.from_keypoints(keypoints), params.largest[Category.DRESS]
    cover_torso(region, keypoints, largest, params)
    margin, half = params.margin * frame.shoulder_width, largest["width"] / 2 * frame.shoulder_width
    flare = (DRESS_FLARE - 1) * half / ((DRESS_FLOOR - SKIRT_FROM) * frame.torso_length)
    first, last = SKIRT_FROM * frame.torso_length, largest["length"] * frame.torso_length + margin
    rows, ends = np.array([first, last]), np.array([half, half + flare * (last - first)]) + margin
    sides = [frame.to_image(np.column_stack([rows, sign * ends])) for sign in (-1, 1)]
    legs = keypoints.xy[[joint for leg in LEG_JOINTS for joint in leg[1:] if keypoints.has(joint)]]
    fill_hull(region, np.concatenate([*sides, around(legs, half / 2 + margin)]))


def cover_lower(region: NDArray[np.uint8], keypoints: Keypoints, params: MaskParams) -> None:
    """Set what trousers and skirts could cover, from the highest waistband to the floor."""
    frame, largest = LegFrame.from_keypoints(keypoints), params.largest[Category.LOWER]
    margin, half = params.margin * frame.breadth, largest["width"] / 2 * frame.hip_width
    waist = largest["waist"] / 2 * frame.hip_width
    thighs, hem = THIGHS * frame.thigh, largest["length"] * frame.scale + margin
    flare = (FLARE - 1) * half / (FLOOR * frame.scale - thighs)
    rows = np.array([-HIGHEST_WAIST * frame.scale - margin, 0, thighs, hem])
    ends = np.array([waist, max(waist, SEAT * half), half, half + flare * (hem - thighs)]) + margin
    hips, knees, ankles = np.moveaxis(frame.legs, 1, 0)
    hems = ankles + (largest["length"] - 1) * frame.scale * frame.u
    joints = np.concatenate([hips, knees, ankles, hems])
    joints = joints[np.isfinite(joints[:, 0])]
    sides = [frame.to_image(rows, sign * ends) for sign in (-1, 1)]
    fill_hull(region, np.concatenate([*sides, around(joints, half / 2 + margin)]))


COVERED = {
    Category.UPPER: cover_upper,
    Category.DRESS: cover_dress,
    Category.LOWER: cover_lower,
}
"""What draws all that a garment of a category could cover."""


def around(places: Array, radius: float) -> Array:
    """Return (P, 2) px on circles about (N, 2) px."""
    return (places[:, None] + radius * DISC).reshape(-1, 2)


def fill_hull(region: NDArray[np.uint8], points: Array) -> None:
    """Set the convex hull of (P, 2) px: skirts span whatever the legs do."""
    fill(region, cv2.convexHull(points.astype(np.float32))[:, 0])


def cover_torso(
    region: NDArray[np.uint8], keypoints: Keypoints, largest: Mapping[str, float], params: MaskParams
) -> None:
    """Set the largest garment's panel and sleeves."""
    frame = BodyFrame.from_keypoints(keypoints)
    fill(region, frame.to_image(torso_outline(frame, largest, params.margin)))
    for arm in ARMS:
        draw_sleeve(region, keypoints, arm, frame, params)


def torso_outline(frame: BodyFrame, largest: Mapping[str, float], margin_share: float) -> Array:
    """Return the outline of the largest garment without sleeves: (P, 2) a, b in px of the body frame."""
    torso, across = frame.torso_length, frame.shoulder_width
    margin = margin_share * across
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
        elbow, radius = shoulder, max(radius, reach)
    draw_capsule(region, shoulder, elbow, radius)
    if keypoints.has(arm[2]):
        draw_capsule(region, elbow, wrist, radius)
    else:
        draw_capsule(region, elbow, elbow, max(radius, reach))
