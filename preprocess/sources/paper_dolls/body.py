"""The body of a paper doll, and what it wears below the waist: joints, outlines and how they are painted.

Lengths are in torso lengths (T = 1) and points are (N, 2) arrays of body coordinates `a, b`: `a` runs from
the mid-shoulder down to the mid-hip (0 to 1), `b` to the person's left, which is the picture's right.
"""

import numpy as np

from preprocess.sources.paper_dolls.canvas import Canvas
from preprocess.sources.paper_dolls.person import SIDES, Colour, Doll, Points
from preprocess.vocabulary import NUM_JOINTS, Joint, Lip

KNEE, ANKLE = 1.95, 2.85
"""`a` of the joints of a leg that ends below the picture."""

ARM_LABELS = {-1: Lip.RIGHT_ARM, 1: Lip.LEFT_ARM}
LEG_LABELS = {-1: Lip.RIGHT_LEG, 1: Lip.LEFT_LEG}
HANGING = 25.0
"""Degrees from straight down up to which an upper arm hangs."""
WAISTBAND = 0.84
"""`a` at which trousers and skirts begin."""


def direction(side: int, angle_deg: float) -> Points:
    """Unit vector (a, b) `angle_deg` from straight down, outwards on `side`."""
    angle = np.radians(angle_deg)
    return np.array([np.cos(angle), side * np.sin(angle)])


def arm_bones(doll: Doll, side: int) -> Points:
    """Return (3, 2): shoulder, elbow and wrist."""
    arm = doll.arms[SIDES.index(side)]
    shoulder = np.array([0.0, side * doll.shoulder_width / 2])
    elbow = shoulder + doll.upper_arm * direction(side, arm.upper_angle)
    return np.stack([shoulder, elbow, elbow + doll.forearm * direction(side, arm.lower_angle)])


def hip_half(doll: Doll) -> float:
    """Half the distance between the hip joints."""
    return doll.hips / 2 * doll.shoulder_width * doll.hip


def joints(doll: Doll) -> Points:
    """Return the true (25, 2) joints in the order of `Joint`; NaN for feet, which no picture shows."""
    ab = np.full((NUM_JOINTS, 2), np.nan)
    ab[Joint.NECK], ab[Joint.MID_HIP] = (-0.01, 0), (1, 0)
    for joint, at in (
        (Joint.NOSE, (-0.40, 0)),
        (Joint.RIGHT_EYE, (-0.465, -0.075)),
        (Joint.LEFT_EYE, (-0.465, 0.075)),
        (Joint.RIGHT_EAR, (-0.44, -0.18)),
        (Joint.LEFT_EAR, (-0.44, 0.18)),
    ):
        ab[joint] = turned_head(doll, np.array([at]))[0]
    for side, first_arm, first_leg in (
        (-1, Joint.RIGHT_SHOULDER, Joint.RIGHT_HIP),
        (1, Joint.LEFT_SHOULDER, Joint.LEFT_HIP),
    ):
        ab[first_arm : first_arm + 3] = arm_bones(doll, side)
        ab[first_leg : first_leg + 3] = leg_bones(doll, side)
    return ab


def leg_bones(doll: Doll, side: int) -> Points:
    """Return (3, 2): hip, knee and ankle."""
    hip = side * hip_half(doll)
    if doll.legs is None:
        return np.array([(1, hip), (KNEE, hip * 1.05), (ANKLE, hip * 1.0)])
    thigh = doll.legs.thigh * direction(side, doll.legs.spread_deg)
    shin = doll.legs.shin * direction(side, doll.legs.shins_deg[SIDES.index(side)])
    return np.cumsum([np.array([1.0, hip]), thigh, shin], axis=0)


def turned_head(doll: Doll, ab: Points) -> Points:
    """Lean points of the head about the nape."""
    angle = np.radians(doll.head_deg)
    a, b = ab[:, 0] + 0.15, ab[:, 1]
    return np.stack(
        [a * np.cos(angle) + b * np.sin(angle) - 0.15, b * np.cos(angle) - a * np.sin(angle)], axis=1
    )


def shaded(colour: Colour, light: float) -> Colour:
    """A colour in other light."""
    return colour[0] * light, colour[1] * light, colour[2] * light


def rounded(corners: Points, rounds: int = 3) -> Points:
    """Smooth a closed polygon by cutting its corners (Chaikin's algorithm)."""
    for _ in range(rounds):
        following = np.roll(corners, -1, axis=0)
        corners = np.stack(
            [0.75 * corners + 0.25 * following, 0.25 * corners + 0.75 * following], axis=1
        ).reshape(-1, 2)
    return corners


def mirrored(left: Points) -> Points:
    """Close an outline given by its left half, from the top to the bottom, with the same on the right."""
    return np.concatenate([left, left[::-1] * (1, -1)])


def ellipse(centre: tuple[float, float], half_a: float, half_b: float, num_points: int = 24) -> Points:
    """Outline of an upright ellipse."""
    turn = np.linspace(0, 2 * np.pi, num_points, endpoint=False)
    return np.stack([centre[0] + half_a * np.sin(turn), centre[1] + half_b * np.cos(turn)], axis=1)


def tube(path: Points, radii: tuple[float, ...] | Points) -> Points:
    """Outline of a limb: (N, 2) `path` thickened by `radii`, with the corner mitred and blunt ends."""
    steps = np.diff(path, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    along = np.concatenate([steps[:1], steps[:-1] + steps[1:], steps[-1:]])
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) * np.asarray(radii)[:, None]
    return np.concatenate([path + normal, (path - normal)[::-1]])


def body_half_width(doll: Doll, a: Points) -> Points:
    """Half width of the torso's outline at rows `a`, below the armpits."""
    half = doll.shoulder_width / 2
    rows = (0.1, 0.3, 0.48, 0.64, 0.84, 1.0, 1.2)
    widths = (
        1.0,
        doll.chest,
        0.55 * doll.chest + 0.45 * doll.waist,
        doll.waist,
        0.45 * doll.waist + 0.55 * doll.hip,
        doll.hip,
        doll.hip,
    )
    return half * np.interp(a, rows, widths)


def torso_outline(doll: Doll) -> Points:
    """Outline from the neck to the crotch."""
    half, radius = doll.shoulder_width / 2, doll.arm_radius
    top = np.array(
        [
            (-0.2, 0.0),
            (-0.2, 0.08),
            (-0.13, 0.1),
            (-0.095, 0.18),
            (-radius, half - 0.04),
            (-0.6 * radius, half + 0.7 * radius),
            (0.06, half + 0.9 * radius),
            (0.17, half),
        ]
    )
    a = np.linspace(0.26, 1.05, 9)
    sides = np.stack([a, body_half_width(doll, a)], axis=1)
    crotch = np.array([(1.14, 0.6 * hip_half(doll)), (1.22, 0.02)])
    return rounded(mirrored(np.concatenate([top, sides, crotch])))


def arm_outlines(doll: Doll, side: int) -> tuple[Points, Points, Points]:
    """Outlines of the upper arm, the forearm and the hand."""
    shoulder, elbow, wrist = arm_bones(doll, side)
    radius = doll.arm_radius
    upper, lower = (elbow - shoulder) / doll.upper_arm, (wrist - elbow) / doll.forearm
    middle = (shoulder + elbow) / 2
    first = tube(
        np.stack([shoulder - radius * upper, shoulder, middle, elbow, elbow + 0.7 * radius * upper]),
        (0.7 * radius, 1.05 * radius, radius, 0.82 * radius, 0.5 * radius),
    )
    second = tube(
        np.stack(
            [elbow - 0.7 * radius * lower, elbow, elbow + 0.35 * (wrist - elbow), wrist, wrist + 0.03 * lower]
        ),
        (0.5 * radius, 0.8 * radius, 0.84 * radius, 0.55 * radius, 0.5 * radius),
    )
    across = np.array([-lower[1], lower[0]]) * side
    palm = [
        (-0.02, -0.038),
        (0.03, -0.05),
        (0.11, -0.047),
        (0.19, -0.03),
        (0.21, 0.0),
        (0.18, 0.03),
        (0.11, 0.045),
        (0.12, 0.07),
        (0.09, 0.08),
        (0.04, 0.055),
        (-0.02, 0.038),
    ]
    hand = np.array([wrist + along * lower - sideways * across for along, sideways in palm])
    return rounded(first, 2), rounded(second, 2), rounded(hand, 2)


def leg_outline(doll: Doll, side: int, ease: float = 0.0) -> Points:
    """Outline of a leg from the groin to the ankle, or of a trouser leg that is `ease` wider each side."""
    hip, outer = hip_half(doll), doll.shoulder_width / 2 * doll.hip
    knee = hip * 1.05
    half_knee = 0.24 * doll.shoulder_width * doll.hip / 1.1 + ease
    return np.array(
        [
            (0.95, side * 0.0),
            (0.95, side * (outer + ease)),
            (1.25, side * (outer * 1.03 + ease)),
            (KNEE, side * (knee + half_knee)),
            (ANKLE, side * (knee + 0.8 * half_knee)),
            (ANKLE, side * (knee - 0.8 * half_knee)),
            (KNEE, side * max(knee - half_knee, 0.012)),
            (1.2, side * 0.012),
        ]
    )


def head_outline(doll: Doll) -> Points:
    """Outline of the face from the chin to under the hair."""
    left = np.array(
        [
            (-0.735, 0.0),
            (-0.735, 0.09),
            (-0.67, 0.172),
            (-0.52, 0.195),
            (-0.38, 0.18),
            (-0.26, 0.125),
            (-0.185, 0.05),
            (-0.18, 0.0),
        ]
    )
    return turned_head(doll, rounded(mirrored(left), 2))


def paint_body(canvas: Canvas, doll: Doll) -> None:
    """Paint all that is behind the garment in a picture of the upper body."""
    paint_arms_and_torso(canvas, doll)
    if doll.bottom == "skirt":
        paint_skirt(canvas, doll)
    else:
        paint_trousers(canvas, doll)
    paint_vest(canvas, doll)


def paint_arms_and_torso(canvas: Canvas, doll: Doll) -> None:
    """Paint what is bare of the upper body."""
    for side in SIDES:
        for outline in reversed(arm_outlines(doll, side)):
            canvas.draw(outline, doll.skin, ARM_LABELS[side], bulge=0.055)
    canvas.draw(torso_outline(doll), doll.skin, Lip.TORSO_SKIN, bulge=0.12)


def paint_hanging_arms(canvas: Canvas, doll: Doll) -> None:
    """Paint once more, in front of what is worn, the forearms and hands of arms that hang beside the body."""
    for side in hanging(doll):
        for outline in reversed(arm_outlines(doll, side)[1:]):
            canvas.draw(outline, doll.skin, ARM_LABELS[side], bulge=0.055)


def hanging(doll: Doll) -> list[int]:
    """Sides on which the arm hangs beside the body."""
    return [side for side, arm in zip(SIDES, doll.arms, strict=True) if arm.upper_angle < HANGING]


def paint_vest(canvas: Canvas, doll: Doll) -> None:
    """Paint what is worn under the garment."""
    canvas.draw(vest_outline(doll), doll.inner_colour, Lip.TORSO_SKIN, bulge=0.1)


def vest_outline(doll: Doll) -> Points:
    """Outline of the vest: what shows of it beside a garment that is too small counts as torso."""
    strap = 0.3 * doll.shoulder_width
    top = [(0.2, 0.0), (0.15, strap - 0.06), (-0.09, strap - 0.05), (-0.087, strap), (0.12, strap + 0.015)]
    return mirrored(np.concatenate([top, hugging(doll, 0.24, WAISTBAND + 0.03, 0.004)]))


def hugging(doll: Doll, top: float, bottom: float, ease: float) -> Points:
    """Left edge of cloth that follows the torso from row `top` to `bottom`, `ease` outside of it."""
    a = np.linspace(top, bottom, 8)
    return np.stack([a, body_half_width(doll, a) + ease], axis=1)


def paint_skirt(canvas: Canvas, doll: Doll) -> None:
    """Paint a skirt and the legs below it."""
    for side in SIDES:
        canvas.draw(leg_outline(doll, side), doll.skin, LEG_LABELS[side], bulge=0.1)
    waist = hugging(doll, WAISTBAND, 1.1, 0.012)
    half = np.concatenate([[(WAISTBAND, 0.0)], waist, [(1.55, 1.2 * waist[-1, 1]), (1.6, 0.0)]])
    canvas.draw(mirrored(half), doll.bottom_colour, Lip.SKIRT, bulge=0.14)


def paint_trousers(canvas: Canvas, doll: Doll) -> None:
    """Paint trousers with a waistband and a fly."""
    for side in SIDES:
        canvas.draw(leg_outline(doll, side, ease=0.015), doll.bottom_colour, Lip.PANTS, bulge=0.1)
    waist = hugging(doll, WAISTBAND, 1.1, 0.012)
    half = np.concatenate([[(WAISTBAND, 0.0)], waist, [(1.26, 0.02)]])
    canvas.draw(mirrored(half), doll.bottom_colour, Lip.PANTS, bulge=0.12)
    seam = shaded(doll.bottom_colour, 0.72)
    top, low = WAISTBAND + 0.05, WAISTBAND + 0.062
    canvas.draw(mirrored(np.array([(top, waist[1, 1]), (low, waist[1, 1])])), seam)
    canvas.draw(mirrored(np.array([(low, 0.005), (1.2, 0.005)])), seam)
