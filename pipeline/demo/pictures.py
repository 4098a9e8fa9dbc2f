"""What the demo shows: enlarged pictures with lines over them, and measures as HTML, every text escaped."""

from collections.abc import Sequence
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.tryon.size_aware import TryOnResult
from preprocess.painting import draw_line
from preprocess.person.fit_report import FitReport
from preprocess.sizes.axes import axes_of
from preprocess.vocabulary import Category

Picture = NDArray[np.uint8]

SHOWN_HEIGHT = 768
"""Smaller pictures are enlarged to about this height (px), so that lines over them are fine."""

MAP_COLOUR, OUTLINE_COLOUR = (220, 40, 120), (16, 185, 129)
"""RGB."""

MAP_STRENGTH = 0.55
"""Share of the colour where the garment is certain."""

THUMBNAIL_HEIGHT = 256
"""Of choices (px)."""

SIZE_MAP, OUTLINE = "Size map", "Expected outline"
"""What may be drawn over a picture, as the page calls it."""


def pictures_of(result: TryOnResult, overlays: Sequence[str]) -> list[Picture]:
    """Return the pictures of a result as they are shown, with the overlays that are switched on."""
    rows = zip(result.pictures, result.size_maps, result.expected_outlines, strict=True)
    return [
        shown(
            np.asarray(picture),
            size_map if SIZE_MAP in overlays else None,
            outline if OUTLINE in overlays else None,
        )
        for picture, size_map, outline in rows
    ]


def shown(
    picture: Picture,
    size_map: NDArray[np.floating] | None = None,
    outline: NDArray[np.floating] | None = None,
) -> Picture:
    """Enlarge a picture, tint it by the size map and draw the outline.

    Args:
        picture: (H, W, 3) RGB.
        size_map: (h, w) probability of the garment, over the whole picture.
        outline: (N, 2) x, y in px of `picture`.

    Returns:
        (F H, F W, 3) RGB, F a whole number.
    """
    factor = max(1, round(SHOWN_HEIGHT / picture.shape[0]))
    canvas = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    if size_map is not None:
        smooth = cv2.resize(size_map.astype(np.float32), canvas.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        weight = MAP_STRENGTH * np.clip(smooth, 0, 1)[..., None]
        canvas = (canvas * (1 - weight) + np.array(MAP_COLOUR, np.float32) * weight).round().astype(np.uint8)
    if outline is not None and len(outline):
        draw_line(canvas, factor * outline, OUTLINE_COLOUR, max(2, factor // 2), closed=True)
    return canvas


def thumbnail(picture: Picture) -> Picture:
    """Shrink (H, W, 3) to `THUMBNAIL_HEIGHT`."""
    width = round(picture.shape[1] * THUMBNAIL_HEIGHT / picture.shape[0])
    return np.asarray(cv2.resize(picture, (width, THUMBNAIL_HEIGHT), interpolation=cv2.INTER_AREA))


def slider_mark(ends: tuple[float, float], natural: float | None) -> str:
    """Return HTML that marks the natural ratio below a slider from one end to the other."""
    if natural is None:
        return '<div class="mark"><span style="--at:50%">natural size not known</span></div>'
    smallest, largest = ends
    share = (natural - smallest) / (largest - smallest)
    place = f"{100 * min(max(share, 0), 1):.1f}%"
    return f'<div class="mark" style="--at:{place}"><i></i><span>natural {natural:.2f}</span></div>'


def measured_by(category: Category) -> str:
    """Return HTML that says what is divided by what in a category."""
    parts = ", ".join(f"{name} over the {axis.body}" for name, axis in axes_of(category).items())
    return f"<p>Garment over body: {parts}.</p>"


def fit_table(reports: Sequence[FitReport], notes: Sequence[str]) -> str:
    """Return HTML that says how the first picture's garment sits, and what is doubtful."""
    rows, doubts = "", list(notes)
    for report in reports[:1]:
        doubts += [doubt.replace("_", " ") for doubt in report.doubts]
        for region in report.regions.values():
            numbers = f"asked {ratio_text(region.requested)}, measured {ratio_text(region.measured)}"
            rows += f"<tr><th>{escape(region.verdict)}</th><td>{numbers}</td></tr>"
    items = "".join(f"<li>{escape(doubt)}</li>" for doubt in doubts)
    return f"<table>{rows}</table><ul>{items}</ul>"


def ratio_text(ratio: float | None) -> str:
    """Return two digits, or a dash where nothing is known."""
    return "-" if ratio is None else f"{ratio:.2f}"
