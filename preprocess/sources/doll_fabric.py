"""The cloth of a paper doll's garment: colour, print and folds, worn or lying flat."""

import cv2
import numpy as np

from preprocess.sources.doll_body import ellipse
from preprocess.sources.doll_canvas import BodyView, Canvas, Floats, Patch
from preprocess.sources.doll_garment import COLOURS, GarmentDesign, WornGarment, neck_opening, neck_tube

LOGO_ROW = 0.24
LOGO_HALF = 0.085
FOLD_STEP = 4


def smooth_step(distance: Floats, width: float) -> Floats:
    """0 to 1 as `distance` rises through 0, within `width`."""
    return np.clip(distance / np.float32(width) + np.float32(0.5), 0, 1)


def print_cover(design: GarmentDesign, a: Floats, b: Floats, pixel: float) -> Floats | None:
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
    """A ring with a bar across, on the chest."""
    away = np.sqrt((a - np.float32(LOGO_ROW)) ** 2 + b**2)
    ring = smooth_step(LOGO_HALF - away, pixel) * smooth_step(away - 0.6 * LOGO_HALF, pixel)
    bar = smooth_step(0.25 * LOGO_HALF - np.abs(a - np.float32(LOGO_ROW)), pixel) * smooth_step(
        1.35 * LOGO_HALF - np.abs(b), pixel
    )
    return np.maximum(ring, bar)


def fold_shade(worn: WornGarment, a: Floats, b: Floats) -> Floats:
    """What folds multiply the cloth by: soft streaks that rise from the hem, deeper where it is loose."""
    shape = a.shape
    a, b = a[::FOLD_STEP, ::FOLD_STEP], b[::FOLD_STEP, ::FOLD_STEP]
    half = float(worn.half_width(np.array([worn.hem]))[0])
    depth = 0.55 + 0.6 * float(np.clip(worn.ratios[1] - 0.9, 0, 1))
    rise = np.clip((a - 0.12) / max(worn.hem - 0.12, 0.2), 0, 1)
    shade = np.ones_like(a)
    for centre, slant, thickness, strength in worn.design.folds:
        away = (b - centre * half * (0.55 + 0.45 * rise) - slant * 0.3 * (worn.hem - a)) / thickness
        shade -= (
            np.float32(strength * depth) * rise * (np.exp(-(away**2)) - 0.7 * np.exp(-((away - 1.7) ** 2)))
        )
    return cv2.resize(shade.astype(np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR)


def cloth_colour(design: GarmentDesign, a: Floats, b: Floats, pixel: float) -> Floats:
    """(h, w, 3) RGB of flat cloth at body coordinates `a`, `b`; `pixel` is a pixel's size there."""
    base = np.asarray(COLOURS[design.colour], np.float32)
    cover = print_cover(design, a, b, pixel)
    if cover is None:
        return np.broadcast_to(base, (*a.shape, 3))
    return base + cover[..., None] * (np.asarray(COLOURS[design.print_colour], np.float32) - base)


def paint_panel(canvas: Canvas, patch: Patch | None, view: BodyView, worn: WornGarment, label: int) -> None:
    """Paint the garment without its sleeves."""
    if patch is None:
        return
    a, b = view.to_body(patch)
    colour = cloth_colour(worn.design, a, b, 1 / view.torso_px) * fold_shade(worn, a, b)[..., None]
    canvas.paint(patch, colour, label, radius_px=0.12 * view.torso_px)


def paint_sleeve(
    canvas: Canvas,
    patch: Patch | None,
    view: BodyView,
    worn: WornGarment,
    down: tuple[float, float],
    side: int,
    label: int,
) -> None:
    """Paint a sleeve whose cloth runs along the unit vector `down` (a, b)."""
    if patch is None:
        return
    a, b = view.to_body(patch)
    b = b - np.float32(side * worn.cap)
    along, across = a * down[0] + b * down[1], b * down[0] - a * down[1]
    design = worn.design
    base = np.asarray(COLOURS[design.colour], np.float32)
    plain = design.pattern == "logo"
    colour = (
        np.broadcast_to(base, (*a.shape, 3))
        if plain
        else cloth_colour(design, along, across, 1 / view.torso_px)
    )
    canvas.paint(patch, colour, label, radius_px=0.06 * view.torso_px)


def paint_trim(canvas: Canvas, view: BodyView, worn: WornGarment, label: int) -> None:
    """Paint what makes a neckline: a shirt's collar and buttons, a turtleneck's roll, or a ribbed edge."""
    base = np.asarray(COLOURS[worn.design.colour], np.float32)
    match worn.design.neckline:
        case "shirt":
            paint_shirt_front(canvas, view, worn, label)
        case "turtle":
            roll = canvas.cover(view.to_image(neck_tube(worn)))
            canvas.paint(roll, base * np.float32(0.96), label, radius_px=0.05 * view.torso_px)
        case _:
            edge = neck_opening(worn)
            band = np.concatenate([edge, np.add(edge[::-1], (0.026, 0.004))])
            for side in (-1, 1):
                canvas.paint(canvas.cover(view.to_image(band * (1, side))), base * np.float32(0.8))


def paint_shirt_front(canvas: Canvas, view: BodyView, worn: WornGarment, label: int) -> None:
    """Paint the two wings of a collar, the placket's edge and its buttons."""
    base = np.asarray(COLOURS[worn.design.colour], np.float32)
    opening = neck_opening(worn)
    low, half = opening[0, 0], opening[-1, 1]
    for side in (-1, 1):
        wing = np.array([(-0.135, half - 0.02), (-0.10, half + 0.045), (0.085, 0.115), (low, 0.004)]) * (
            1,
            side,
        )
        canvas.paint(
            canvas.cover(view.to_image(wing)), base * np.float32(0.93), label, radius_px=0.02 * view.torso_px
        )
    placket = np.array([(low, -0.03), (low, -0.022), (worn.hem - 0.01, -0.022), (worn.hem - 0.01, -0.03)])
    canvas.paint(canvas.cover(view.to_image(placket)), base * np.float32(0.7), opacity=0.6)
    for a in np.arange(low + 0.06, worn.hem - 0.03, 0.13):
        canvas.paint(canvas.cover(view.to_image(ellipse((a, 0.0), 0.013, 0.013, 8))), base * np.float32(0.6))
