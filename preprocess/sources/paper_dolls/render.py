"""Draw a paper doll in a garment at a size: photo, parse map, DensePose, keypoints and the true measures."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.densepose import DENSEPOSE_COLOURS
from preprocess.painting import fill
from preprocess.sources.paper_dolls.body import (
    arm_bones,
    arm_outlines,
    body_half_width,
    hanging,
    head_outline,
    joints,
    leg_outline,
    paint_body,
    paint_hanging_arms,
    paint_vest,
    torso_outline,
)
from preprocess.sources.paper_dolls.canvas import COVERED, BodyView, Canvas, Image, cover, studio
from preprocess.sources.paper_dolls.dress import Top, WornDress, WornTop
from preprocess.sources.paper_dolls.fabric import paint_garment, paint_trim
from preprocess.sources.paper_dolls.garment import (
    DRAWN,
    WIDTH_ROWS,
    GarmentDesign,
    Ratios,
    WornGarment,
    panel_outline,
    sleeve_outline,
)
from preprocess.sources.paper_dolls.head import paint_hair_behind, paint_hair_in_front, paint_head
from preprocess.sources.paper_dolls.legs import leg_parts, paint_figure
from preprocess.sources.paper_dolls.lower import DRAWN as LOWER_DRAWN
from preprocess.sources.paper_dolls.lower import LowerDesign, WornLower
from preprocess.sources.paper_dolls.lower_fabric import paint_lower
from preprocess.sources.paper_dolls.person import SIDES, Doll, Points
from preprocess.vocabulary import Joint

DENSEPOSE_TABLE = np.zeros((256, 1, 3), np.uint8)
DENSEPOSE_TABLE[:25, 0] = DENSEPOSE_COLOURS

TORSO_PART, HAND_PARTS, LEG_PARTS, HEAD_PARTS = 2, {-1: 3, 1: 4}, {-1: 9, 1: 10}, {-1: 23, 1: 24}
Design = GarmentDesign | LowerDesign

UPPER_ARM_PARTS, LOWER_ARM_PARTS = {-1: (18, 16), 1: (17, 15)}, {-1: (22, 20), 1: (21, 19)}
"""Of the outer and the inner half."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DollPicture:
    """One rendering."""

    image: Image
    """(H, W, 3) RGB photo."""

    parse: Image
    """(H, W) LIP labels."""

    densepose: Image
    """(H, W, 3) RGB in DensePose's colours; the torso shows under the garment."""

    keypoints: NDArray[np.float64]
    """(25, 3) x, y in pixels and confidence; zeros where the detector found nothing."""

    truth: dict[str, float]
    """Ratios and lengths by the definitions in docs/design.md."""


def body_view(doll: Doll, image_height: int, image_width: int) -> BodyView:
    """Place a person in a picture as its framing says."""
    torso_px = min(image_height / (doll.frame_bottom - doll.frame_top), image_width / 1.75)
    lean = 0.4 * torso_px * np.sin(np.radians(doll.tilt_deg))
    mid_shoulder = np.array([image_width * (0.5 + doll.frame_shift) - lean, -doll.frame_top * torso_px])
    return BodyView(mid_shoulder, torso_px, doll.tilt_deg, doll.shoulder_slope)


def render(
    doll: Doll,
    design: Design,
    ratios: Ratios,
    image_height: int,
    image_width: int,
    *,
    top: Top | None = None,
    dress: bool = False,
) -> DollPicture:
    """Draw `doll` wearing `design` at a size.

    The same doll stands the same way in every garment and at every size: (3,) ratios of its category. A
    `top` is worn with a garment of the lower body; a `dress` hangs from the shoulders, as tops do.

    Returns:
        The picture with everything that a data set would have beside it.
    """
    view = body_view(doll, image_height, image_width)
    joint_xy = view.to_image(joints(doll))
    scale = np.linalg.norm(joint_xy[Joint.LEFT_SHOULDER] - joint_xy[Joint.RIGHT_SHOULDER]) / view.torso_px
    canvas = Canvas(studio(doll.backdrop, image_height, image_width), view)
    size = np.asarray(ratios, np.float64)
    if isinstance(design, LowerDesign):
        assert top is not None
        lower = WornLower(design, size, doll)
        paint_dressed(canvas, doll, WornTop.of(top, lower, float(scale)), lower)
        outline = lower.outline()
        found = lower_truth(doll, lower, top, view)
    else:
        worn = (
            WornDress(design, size, float(scale), doll) if dress else WornGarment(design, size, float(scale))
        )
        paint_dressed(canvas, doll, worn)
        outline = panel_outline(worn)
        found = truth(doll, worn, view)
    return DollPicture(
        image=canvas.image,
        parse=canvas.labels,
        densepose=densepose(doll, view, image_height, image_width),
        keypoints=detected(doll, joint_xy, image_height, image_width),
        truth=found | {"hem_in_frame": float(view.to_image(outline)[:, 1].max() < image_height)},
    )


def paint_dressed(canvas: Canvas, doll: Doll, worn: WornGarment, lower: WornLower | None = None) -> None:
    """Paint somebody in a garment that hangs from the shoulders, and in what else is worn below."""
    paint_hair_behind(canvas, doll)
    if doll.legs is None:
        paint_body(canvas, doll)
    else:
        paint_figure(canvas, doll)
        if lower is None:
            paint_vest(canvas, doll)
    over = isinstance(worn, WornTop) and worn.way == "over"
    if lower is not None and over:
        paint_lower(canvas, lower)
    paint_garment(canvas, worn, {side: arm_bones(doll, side) for side in SIDES}, doll.arm_radius)
    if lower is not None and not over:
        paint_lower(canvas, lower)
    paint_head(canvas, doll)
    paint_trim(canvas, worn)
    if lower is not None and worn.design.sleeves != "long":
        paint_hanging_arms(canvas, doll)
    paint_hair_in_front(canvas, doll)


def densepose(doll: Doll, view: BodyView, image_height: int, image_width: int) -> Image:
    """Return (H, W, 3) RGB: the parts of the body as if it wore nothing."""
    parts = np.zeros((image_height, image_width), np.uint8)

    def draw(outline: NDArray[np.float64], part: int) -> None:
        fill(parts, view.to_image(outline), part)

    torso = cover(view.to_image(torso_outline(doll)), image_height, image_width)
    legs = leg_parts(doll) if doll.legs else ((leg_outline(doll, side), LEG_PARTS[side]) for side in SIDES)
    for outline, part in legs:
        draw(outline, part)
    if torso is not None:
        parts[torso.where][torso.coverage >= COVERED] = TORSO_PART
    for side in SIDES:
        upper, lower, hand = arm_outlines(doll, side)
        for outline, (outer_part, inner_part) in (
            (upper, UPPER_ARM_PARTS[side]),
            (lower, LOWER_ARM_PARTS[side]),
        ):
            draw(outline, outer_part)
            middle = len(outline) // 2
            draw(outline[middle:] if side == 1 else outline[:middle], inner_part)
        draw(hand, HAND_PARTS[side])
    head = head_outline(doll)
    draw(head, HEAD_PARTS[1])
    draw(head[len(head) // 2 :], HEAD_PARTS[-1])
    return np.asarray(cv2.applyColorMap(parts, DENSEPOSE_TABLE))


MISSED = {
    Joint.RIGHT_SHOULDER: 0.005,
    Joint.LEFT_SHOULDER: 0.005,
    Joint.RIGHT_HIP: 0.005,
    Joint.LEFT_HIP: 0.005,
    Joint.RIGHT_ELBOW: 0.008,
    Joint.LEFT_ELBOW: 0.008,
    Joint.RIGHT_WRIST: 0.05,
    Joint.LEFT_WRIST: 0.05,
    Joint.RIGHT_EAR: 0.2,
    Joint.LEFT_EAR: 0.2,
    Joint.RIGHT_KNEE: 0.3,
    Joint.LEFT_KNEE: 0.3,
}
"""How often the detector misses a joint that is in the picture."""

MISSED_LEGS = {
    Joint.RIGHT_KNEE: 0.005,
    Joint.LEFT_KNEE: 0.005,
    Joint.RIGHT_ANKLE: 0.02,
    Joint.LEFT_ANKLE: 0.02,
}
"""The same in pictures that show the legs."""


def detected(doll: Doll, xy: NDArray[np.float64], image_height: int, image_width: int) -> NDArray[np.float64]:
    """Return (25, 3) what a detector says of joints `xy`: confidences, and zeros for those it misses."""
    rng = np.random.default_rng(doll.detail_seed)
    confidence = rng.uniform(0.6, 0.95, len(xy))
    confidence[[Joint.MID_HIP, Joint.RIGHT_HIP, Joint.LEFT_HIP]] *= 0.65
    often = MISSED | MISSED_LEGS if doll.legs else MISSED
    missed = rng.random(len(xy)) < [often.get(joint, 0.0) for joint in Joint]
    inside = np.all((xy >= 0) & (xy < (image_width, image_height)), axis=1)
    found = np.concatenate([xy, confidence[:, None]], axis=1).round(3)
    return np.where((inside & ~missed)[:, None], found, 0.0)


def truth(doll: Doll, worn: WornGarment, view: BodyView) -> dict[str, float]:
    """Ratios and lengths of the drawing, from its geometry."""
    ratios = worn.truth()
    body_shoulder_px = worn.shoulder_width * view.torso_px
    rows = np.linspace(WIDTH_ROWS[0], min(WIDTH_ROWS[1], worn.hem), 201)
    body_width_px = 2 * float(body_half_width(doll, rows).mean()) * view.torso_px
    arm_px = (doll.upper_arm + doll.forearm) * view.torso_px
    sleeve = min(covered_share(worn, arm_bones(doll, side), side) for side in SIDES)
    units = (body_shoulder_px, body_shoulder_px, view.torso_px)
    lengths = {
        f"garment_{name}_px": float(r) * unit for name, r, unit in zip(DRAWN, ratios, units, strict=True)
    }
    return {
        **{f"{name}_ratio": float(ratio) for name, ratio in zip(DRAWN, ratios, strict=True)},
        **lengths,
        "body_shoulder_px": body_shoulder_px,
        "body_torso_px": view.torso_px,
        "ease_ratio": lengths["garment_width_px"] / body_width_px,
        "body_arm_px": arm_px,
        "garment_sleeve_px": sleeve * arm_px,
        "sleeve_ratio": sleeve,
        "tilt_deg": view.tilt_deg,
        "sleeve_touches_panel": float(sleeve_touches_panel(doll, worn)),
        "arm_touches_panel": float(arm_touches_panel(doll, worn)),
        "hand_raised": float(any(arm.lower_angle > 90 for arm in doll.arms)),
    }


def covered_share(worn: WornGarment, bones: Points, side: int) -> float:
    """Share of an arm up to where its bone comes out of the sleeve, and of the panel at the shoulder."""
    lengths, share = np.linalg.norm(np.diff(bones, axis=0), axis=1), np.linspace(0, 1, 1001)
    joints = np.array([0, lengths[0], lengths.sum()]) / lengths.sum()
    a, b = (np.interp(share, joints, bones[:, axis]) for axis in (0, 1))
    bare = b * side > worn.half_width(a)
    return max(worn.design.sleeve_end, float(share[bare.argmax()]) if bare.any() else 1.0)


def lower_truth(doll: Doll, worn: WornLower, top: Top, view: BodyView) -> dict[str, float]:
    """Ratios and lengths of a drawing of trousers or a skirt, from its geometry."""
    body = {"hip": worn.hip_width * view.torso_px, "leg": worn.leg * view.torso_px}
    units = (body["hip"], body["hip"], body["leg"])
    ratios = dict(zip(LOWER_DRAWN, map(float, worn.truth()), strict=True))
    lengths = zip(ratios.items(), units, strict=True)
    return {
        **{f"{name}_ratio": ratio for name, ratio in ratios.items()},
        **{f"garment_{name}_px": ratio * unit for (name, ratio), unit in lengths},
        **{f"body_{name}_px": length for name, length in body.items()},
        "tilt_deg": view.tilt_deg,
        "waist_covered": float(top.way == "over"),
        "arm_hangs": float(bool(hanging(doll))),
        "hand_raised": float(any(arm.lower_angle > 90 for arm in doll.arms)),
    }


def reaches_panel(worn: WornGarment, outline: Points, side: int) -> bool:
    """Whether an arm or sleeve reaches the panel in the rows where its width is measured."""
    a, b = outline[:, 0], outline[:, 1] * side
    measured = (a > WIDTH_ROWS[0]) & (a < min(WIDTH_ROWS[1], worn.hem))
    return bool(np.any(measured & (b < worn.half_width(a))))


def sleeve_touches_panel(doll: Doll, worn: WornGarment) -> bool:
    """Whether cloth on an arm runs into the panel, so that the parse map doesn't tell them apart."""
    return worn.design.sleeves != "none" and any(
        reaches_panel(worn, sleeve_outline(worn, arm_bones(doll, side), doll.arm_radius, side), side)
        for side in SIDES
    )


def arm_touches_panel(doll: Doll, worn: WornGarment) -> bool:
    """Whether the panel hangs in front of an arm, bare or not."""
    return any(reaches_panel(worn, outline, side) for side in SIDES for outline in arm_outlines(doll, side))
