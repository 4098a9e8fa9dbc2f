"""Paint the body of a paper doll, what it wears below the waist, and the vest under the garment."""

import numpy as np

from preprocess.sources.paper_dolls.body import (
    arm_outlines,
    body_half_width,
    leg_outline,
    mirrored,
    shaded,
    torso_outline,
)
from preprocess.sources.paper_dolls.canvas import Canvas
from preprocess.sources.paper_dolls.person import SIDES, Doll, Points
from preprocess.vocabulary import Lip

ARM_LABELS = {-1: Lip.RIGHT_ARM, 1: Lip.LEFT_ARM}
LEG_LABELS = {-1: Lip.RIGHT_LEG, 1: Lip.LEFT_LEG}
WAISTBAND = 0.84
"""`a` at which trousers and skirts begin."""


def paint_body(canvas: Canvas, doll: Doll) -> None:
    """Paint all that is behind the garment."""
    for side in SIDES:
        for outline in reversed(arm_outlines(doll, side)):
            canvas.draw(outline, doll.skin, ARM_LABELS[side], bulge=0.055)
    canvas.draw(torso_outline(doll), doll.skin, Lip.TORSO_SKIN, bulge=0.12)
    if doll.bottom == "skirt":
        paint_skirt(canvas, doll)
    else:
        paint_trousers(canvas, doll)
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
