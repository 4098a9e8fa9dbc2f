"""The cloth of a paper doll's garment: colour, print and folds, worn or lying flat."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from preprocess.sources.paper_dolls.body import direction, ellipse, mirrored, shaded
from preprocess.sources.paper_dolls.canvas import BodyView, Canvas, Floats, Image, Paint
from preprocess.sources.paper_dolls.garment import (
    COLOURS,
    Fabric,
    GarmentDesign,
    WornGarment,
    neck_opening,
    neck_tube,
    panel_outline,
    sleeve_outline,
)
from preprocess.sources.paper_dolls.person import SIDES, Colour, Points

LOGO_ROW = 0.24
LOGO_HALF = 0.11
FOLD_STEP = 4


def smooth_step(distance: Floats, width: float) -> Floats:
    """0 to 1 as `distance` rises through 0, within `width`."""
    return np.asarray(np.clip(distance / np.float32(width) + np.float32(0.5), 0, 1))


def print_cover(design: Fabric, a: Floats, b: Floats, pixel: float) -> Floats | None:
    """How much of each pixel the print covers (0 to 1), from its body coordinates; None when plain.

    Prints keep their scale whatever the garment's size, as cloth off one bolt does.
    """
    pitch = np.float32(design.print_pitch)
    turn = np.float32(2 * np.pi / pitch)
    sharp = 2 * np.pi / design.print_pitch * pixel * 1.2
    match design.pattern:
        case "stripes":
            return smooth_step(np.sin(a * turn) - np.float32(0.2), sharp)
        case "pinstripes":
            return smooth_step(np.cos(b * turn) - np.float32(0.88), 0.4 * sharp)
        case "dots":
            return smooth_step(np.cos(a * turn) * np.cos(b * turn) - np.float32(0.72), 0.6 * sharp)
        case "logo":
            return logo_cover(a, b, pixel)
        case _:
            return None


def logo_cover(a: Floats, b: Floats, pixel: float) -> Floats:
    """A diamond in a diamond's outline, on the chest."""
    away = np.abs(a - np.float32(LOGO_ROW)) + np.abs(b)
    outline = smooth_step(LOGO_HALF - away, pixel) * smooth_step(away - np.float32(0.72 * LOGO_HALF), pixel)
    return np.asarray(np.maximum(outline, smooth_step(np.float32(0.45 * LOGO_HALF) - away, pixel)))


def fold_shade(fabric: Fabric, hang: "Hang", a: Floats, b: Floats) -> Floats:
    """What folds multiply the cloth by: soft streaks that rise from the hem, deeper where it is loose."""
    shape = a.shape
    a, b = a[::FOLD_STEP, ::FOLD_STEP], b[::FOLD_STEP, ::FOLD_STEP]
    depth = 0.55 + 0.6 * float(np.clip(hang.looseness, 0, 1))
    rise = np.clip((a - hang.top) / max(hang.hem - hang.top, 0.2), 0, 1)
    shade = np.ones_like(a)
    for centre, slant, thickness, strength in fabric.folds:
        away = (b - centre * hang.half * (0.55 + 0.45 * rise) - slant * 0.3 * (hang.hem - a)) / thickness
        shade -= (
            np.float32(strength * depth) * rise * (np.exp(-(away**2)) - 0.7 * np.exp(-((away - 1.7) ** 2)))
        )
    return np.asarray(cv2.resize(shade.astype(np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR))


@dataclass(frozen=True)
class Hang:
    """Where cloth hangs."""

    top: float
    """Row from which it hangs freely."""
    hem: float
    """Row at which it ends."""
    half: float
    """Half its width there."""
    looseness: float
    """0 where it is tight, 1 where it has plenty of room."""

    @classmethod
    def of(cls, worn: WornGarment) -> "Hang":
        """Of a garment that hangs from the shoulders."""
        half = float(worn.half_width(np.array([worn.hem]))[0])
        return cls(0.12, worn.hem, half, float(worn.ratios[1] - 0.9))


def paint_garment(canvas: Canvas, worn: WornGarment, arms: Mapping[int, Points], arm_radius: float) -> None:
    """Paint the sleeves on the arms, then the panel, which hangs in front of them.

    Args:
        canvas: What is behind.
        worn: Garment and size.
        arms: (3, 2) shoulder, elbow and wrist of each side.
        arm_radius: Half the thickness of the upper arm.
    """
    if worn.design.sleeves != "none":
        for side, bones in arms.items():
            paint_sleeve(canvas, sleeve_outline(worn, bones, arm_radius, side), worn, bones, side)
    patch = canvas.cover(panel_outline(worn))
    if patch is not None:
        a, b = canvas.view.to_body(patch)
        bulge = 0.12 * canvas.view.torso_px
        paint = cloth(worn.design, bulge, a, b, 1 / canvas.view.torso_px)
        folds = fold_shade(worn.design, Hang.of(worn), a, b)
        canvas.paint(patch, replace(paint, folds=folds), worn.label)


def cloth(design: Fabric, radius_px: float, a: Floats, b: Floats, pixel: float) -> Paint:
    """Flat cloth with its print at body coordinates `a`, `b`; `pixel` is a pixel's size there."""
    return Paint(
        colour=COLOURS[design.colour],
        radius_px=radius_px,
        print_colour=COLOURS[design.print_colour],
        print_cover=print_cover(design, a, b, pixel),
    )


def paint_sleeve(canvas: Canvas, outline: Points, worn: WornGarment, bones: Points, side: int) -> None:
    """Paint a sleeve whose cloth runs along the upper arm."""
    patch = canvas.cover(outline)
    if patch is None:
        return
    a, b = canvas.view.to_body(patch)
    down_a, down_b = ((bones[1] - bones[0]) / np.linalg.norm(bones[1] - bones[0])).astype(np.float32)
    b = b - np.float32(side * worn.cap)
    along, across = a * down_a + b * down_b, b * down_a - a * down_b
    paint = cloth(worn.design, 0.06 * canvas.view.torso_px, along, across, 1 / canvas.view.torso_px)
    if worn.design.pattern == "logo":
        paint = replace(paint, print_cover=None)
    canvas.paint(patch, paint, worn.label)


def paint_trim(canvas: Canvas, worn: WornGarment) -> None:
    """Paint what makes a neckline: a shirt's collar and buttons, a turtleneck's roll, or a ribbed edge."""
    base = COLOURS[worn.design.colour]
    match worn.design.neckline:
        case "shirt":
            paint_shirt_front(canvas, worn)
        case "turtle":
            canvas.draw(neck_tube(worn), shaded(base, 0.96), worn.label, bulge=0.05)
        case _:
            edge = neck_opening(worn)
            band = np.concatenate(
                [edge, np.add(edge, (0.026, 0.004))[:0:-1], edge[:1] + np.array([0.026, 0.0])]
            )
            for side in SIDES:
                canvas.draw(band * (1, side), shaded(base, 0.8))


def paint_shirt_front(canvas: Canvas, worn: WornGarment) -> None:
    """Paint the two wings of a collar, the placket's edge and its buttons."""
    base = COLOURS[worn.design.colour]
    opening = neck_opening(worn)
    low, half = opening[0, 0], opening[-1, 1]
    wing = np.array([(-0.135, half - 0.02), (-0.10, half + 0.045), (0.085, 0.115), (low, 0.004)])
    for side in SIDES:
        canvas.draw(wing * (1, side), shaded(base, 0.93), worn.label, bulge=0.02)
    placket = np.array([(low, -0.03), (low, -0.022), (worn.hem - 0.01, -0.022), (worn.hem - 0.01, -0.03)])
    canvas.draw(placket, shaded(base, 0.7), opacity=0.6)
    for a in np.arange(low + 0.06, worn.hem - 0.03, 0.13):
        canvas.draw(ellipse((a, 0.0), 0.013, 0.013, 8), shaded(base, 0.6))


FLAT_RATIOS = {"none": (0.98, 1.2, 1.12), "short": (1.4, 1.2, 1.12), "long": (1.4, 1.2, 1.12)}
"""Size ratios of a flat garment by its sleeves: how one photographs it, whoever wears it."""
FLAT_SHOULDER_WIDTH = 0.6
FLAT_ARM_RADIUS = 0.075
PAPER: Colour = (245, 245, 244)


def flat_cloth(design: GarmentDesign, image_height: int, image_width: int) -> tuple[Image, Image]:
    """Draw the garment lying alone, always at the same proportions: its photo tells nothing of a worn size.

    Returns:
        (H, W, 3) RGB photo and (H, W) mask, 0 or 255.
    """
    worn = WornGarment(design, np.array(FLAT_RATIOS[design.sleeves]), FLAT_SHOULDER_WIDTH)
    return lay_flat(worn, image_height, image_width)


def lay_flat(worn: WornGarment, image_height: int, image_width: int) -> tuple[Image, Image]:
    """Draw a garment with sleeves lying alone: its photo and its mask."""
    arms = {side: flat_arm(side) for side in SIDES}
    sides = () if worn.design.sleeves == "none" else SIDES
    outlines = [sleeve_outline(worn, arms[side], FLAT_ARM_RADIUS, side) for side in sides]
    if worn.design.neckline == "turtle":
        outlines.append(neck_tube(worn))
    canvas = on_paper(np.concatenate([panel_outline(worn), *outlines]), image_height, image_width)
    opening = neck_opening(worn)
    back = mirrored(
        np.concatenate([np.add(opening, (0.01, 0.0)), [(-0.13, 0.6 * opening[-1, 1]), (-0.125, 0.0)]])
    )
    canvas.draw(back, shaded(COLOURS[worn.design.colour], 0.62), worn.label)
    paint_garment(canvas, worn, arms, FLAT_ARM_RADIUS)
    paint_trim(canvas, worn)
    return canvas.image, laid(canvas)


def on_paper(extent: Points, image_height: int, image_width: int) -> Canvas:
    """Return paper on which what covers some (N, 2) points of body coordinates is large and in the middle."""
    low, high = extent.min(axis=0), extent.max(axis=0)
    scale = 0.88 * min(image_height / (high - low)[0], image_width / (high - low)[1])
    middle = np.array([image_width, image_height]) / 2
    view = BodyView(middle - scale * ((low + high) / 2)[::-1], float(scale), 0.0)
    return Canvas(np.full((image_height, image_width, 3), PAPER, np.uint8), view)


def laid(canvas: Canvas) -> Image:
    """Return the (H, W) mask, 0 or 255, of what was laid on paper."""
    return np.where(canvas.labels > 0, np.uint8(255), np.uint8(0))


def flat_arm(side: int) -> Points:
    """(3, 2) bones that spread a flat garment's sleeve."""
    steps = np.array([0.0, 0.57, 1.03])[:, None] * direction(side, 15.0)
    return np.array([0.0, side * FLAT_SHOULDER_WIDTH / 2]) + steps
