"""Paint a paper doll's trousers, shorts or skirt, worn or lying flat."""

from dataclasses import replace

import numpy as np

from preprocess.sources.paper_dolls.body import ellipse, mirrored, shaded
from preprocess.sources.paper_dolls.canvas import Canvas, Floats, Image
from preprocess.sources.paper_dolls.dress import WornDress
from preprocess.sources.paper_dolls.fabric import FLAT_RATIOS as FLAT_TOPS
from preprocess.sources.paper_dolls.fabric import (
    FLAT_SHOULDER_WIDTH,
    Hang,
    cloth,
    fold_shade,
    laid,
    lay_flat,
    on_paper,
)
from preprocess.sources.paper_dolls.garment import COLOURS, GarmentDesign
from preprocess.sources.paper_dolls.legs import CROTCH
from preprocess.sources.paper_dolls.lower import LowerDesign, WornLower
from preprocess.sources.paper_dolls.person import SIDES, Doll, Legs, Points, sample_doll

BAND = 0.06
"""Rows of the waistband."""
SEAM = 0.008
"""Half the thickness of a seam that is drawn."""

FLAT_RATIOS = {"trousers": (1.75, 2.3, 0.98), "shorts": (1.75, 2.4, 0.45), "skirt": (1.75, 2.3, 0.62)}
"""Size ratios of a flat garment: how one photographs it, whoever wears it."""
FLAT_DRESS = 2.0
"""Length ratio of a flat dress."""


def paint_lower(canvas: Canvas, worn: WornLower) -> None:
    """Paint the cloth, and the seams that make it trousers or a skirt."""
    patch = canvas.cover(worn.outline())
    if patch is None:
        return
    a, b = canvas.view.to_body(patch)
    half = float(worn.edges(1, np.array([worn.hem]))[1][0])
    hang = Hang(worn.top + 0.1, worn.hem, half, float(worn.ratios[1] - 1.8) / 1.6)
    across = b
    if worn.design.kind != "skirt":
        across = legs_apart(worn, a, b)
        hang = replace(hang, half=0.5 * half)
    paint = cloth(worn.design, 0.11 * canvas.view.torso_px, a, b, 1 / canvas.view.torso_px)
    canvas.paint(patch, replace(paint, folds=fold_shade(worn.design, hang, a, across)), worn.label)
    paint_seams(canvas, worn)


def legs_apart(worn: WornLower, a: Floats, b: Floats) -> Floats:
    """How far outwards of its leg's bone each pixel is, so that folds run down each leg."""
    rows = a[:, a.shape[1] // 2].astype(np.float64)
    middle = np.mean([worn.centre(side, rows) for side in SIDES], axis=0).astype(np.float32)
    return np.asarray(np.abs(b) - middle[:, None])


def line(points: Points, thickness: float = SEAM) -> Points:
    """Outline of a thin line through (N, 2) points, thick across the columns."""
    beside = np.array([0.0, thickness / 2])
    return np.concatenate([points - beside, (points + beside)[::-1]])


def paint_seams(canvas: Canvas, worn: WornLower) -> None:
    """Paint waistband, button, fly, pockets, inseam and hem."""
    base = COLOURS[worn.design.colour]
    dark = shaded(base, 0.7)
    low = worn.top + BAND
    wide = float(worn.edges(1, np.array([low]))[1][0])
    canvas.draw(mirrored(np.array([(low, wide), (low + SEAM, wide)])), dark, opacity=0.8)
    if worn.design.kind == "skirt":
        paint_level_hem(canvas, worn)
        return
    canvas.draw(ellipse((worn.top + BAND / 2, 0.0), 0.014, 0.014, 10), shaded(base, 0.55))
    canvas.draw(line(np.array([(low, 0.0), (CROTCH, 0.0)])), dark, opacity=0.7)
    fly = np.array([(low, 0.05), (1.06, 0.05), (1.12, 0.035), (1.15, 0.004)])
    canvas.draw(line(fly, 0.006), dark, opacity=0.55)
    for side in SIDES:
        pocket = np.array([low, low + 0.1, low + 0.2])
        edge = worn.edges(side, pocket)[1] * (0.7, 0.86, 0.985)
        canvas.draw(line(np.stack([pocket, side * edge], axis=1)), dark, opacity=0.7)
        paint_leg_seams(canvas, worn, side)


def paint_leg_seams(canvas: Canvas, worn: WornLower, side: int) -> None:
    """Paint where legs that touch part, and the seam of one leg's hem."""
    base = COLOURS[worn.design.colour]
    (a, b), slant = worn.at_hem(side)
    rows = np.linspace(CROTCH, a, 24)
    inner = worn.edges(side, rows)[0]
    touching = rows[inner <= 0.004]
    if len(touching) > 1:
        canvas.draw(line(np.stack([touching, np.zeros_like(touching)], axis=1), 0.012), shaded(base, 0.62))
    ends = np.array([float(edge[0]) for edge in worn.edges(side, np.array([a - 0.03]))])
    across = ends[0] + (ends[1] - ends[0]) * np.array([0.01, 0.99])
    row = a - 0.03 - (across - side * b) * slant
    hem = np.stack([row, side * across], axis=1)
    below = hem + np.array([SEAM, 0.0])
    canvas.draw(np.concatenate([hem, below[::-1]]), shaded(base, 0.74), opacity=0.8)


def paint_level_hem(canvas: Canvas, worn: WornLower) -> None:
    """Paint the seam of a skirt's hem."""
    row = worn.hem - 0.035
    half = 0.99 * float(worn.edges(1, np.array([row]))[1][0])
    seam = np.array([(row, half), (row + SEAM, half)])
    canvas.draw(mirrored(seam), shaded(COLOURS[worn.design.colour], 0.76), opacity=0.7)


def mannequin() -> Doll:
    """On whom everybody's garments lie flat."""
    legs = Legs(
        hips=0.6,
        thigh=0.86,
        shin=0.84,
        spread_deg=4.0,
        shins_deg=(4.0, 4.0),
        shoe="flat",
        shoe_colour=(0, 0, 0),
    )
    doll = sample_doll(np.random.default_rng(0))
    return replace(doll, shoulder_width=0.56, chest=1.0, waist=0.87, hip=1.04, legs=legs)


def flat_lower(design: LowerDesign, image_height: int, image_width: int) -> tuple[Image, Image]:
    """Draw the garment lying alone, always at the same proportions: its photo tells nothing of a worn size.

    Returns:
        (H, W, 3) RGB photo and (H, W) mask, 0 or 255.
    """
    worn = WornLower(design, np.array(FLAT_RATIOS[design.kind]), mannequin())
    back = ellipse((worn.top, 0.0), 0.022, 0.99 * worn.waist_half, 40)
    canvas = on_paper(np.concatenate([worn.outline(), back]), image_height, image_width)
    canvas.draw(back, shaded(COLOURS[design.colour], 0.6), worn.label)
    paint_lower(canvas, worn)
    return canvas.image, laid(canvas)


def flat_dress(design: GarmentDesign, image_height: int, image_width: int) -> tuple[Image, Image]:
    """Draw a dress lying alone, always at the same proportions.

    Returns:
        (H, W, 3) RGB photo and (H, W) mask, 0 or 255.
    """
    shoulder, width, _ = FLAT_TOPS[design.sleeves]
    worn = WornDress(design, np.array([shoulder, width, FLAT_DRESS]), FLAT_SHOULDER_WIDTH, mannequin())
    return lay_flat(worn, image_height, image_width)
