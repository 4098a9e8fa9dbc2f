"""Pictures of ladders: the strip of people by size, and overlays of expected and measured outlines."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eval.ladder.remeasure import Reading
from preprocess.painting import draw_line

Picture = NDArray[np.uint8]
EXPECTED_COLOUR, MEASURED_COLOUR = (16, 185, 129), (225, 29, 72)
LONGEST_SIDE = 448
STRIP_HEIGHT, CAPTION_PX = 256, 34


@dataclass(frozen=True, kw_only=True, slots=True)
class StripCell:
    """One generated picture of the strip."""

    picture: Picture
    """(H, W, 3) uint8."""

    requested: float
    """Width ratio that was asked for."""

    measured: float
    """Width ratio that was measured, NaN where it couldn't be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StripRow:
    """One person at rising sizes."""

    key: str
    """The person's sample key."""

    photo: Picture
    """(H, W, 3) uint8 original photo."""

    cloth: Picture
    """(H, W, 3) uint8 garment photo."""

    natural: float
    """Width ratio of the photo."""

    cells: Sequence[StripCell]
    """Tight to oversized."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorstCase:
    """A picture whose outline is far from the expected one."""

    overlay: Picture
    """The picture with both outlines, enlarged."""

    caption: str
    """Who, what was asked, what was measured."""

    gfd: float
    """Geometric fit deviation in body shoulder widths."""


def data_uri(picture: Picture) -> str:
    """Inline (H, W, 3) uint8 RGB as PNG, shrunk to `LONGEST_SIDE`."""
    factor = min(1.0, LONGEST_SIDE / max(picture.shape[:2]))
    small = resized(picture, *(round(side * factor) for side in picture.shape[:2]))
    _, encoded = cv2.imencode(
        ".png", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9]
    )
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode()


def ratio_text(ratio: float) -> str:
    """Two digits, or a dash where the ratio is NaN."""
    return "-" if np.isnan(ratio) else f"{ratio:.2f}"


def resized(picture: Picture, image_height: int, image_width: int) -> Picture:
    """Resize (H, W, 3): area averages to shrink, cubic to enlarge."""
    method = cv2.INTER_AREA if image_height < picture.shape[0] else cv2.INTER_CUBIC
    return cv2.resize(picture, (image_width, image_height), interpolation=method)


def overlay(picture: Picture, measured: Reading, expected: Reading, factor: int) -> Picture:
    """Draw the expected outline in green and the measured one in red on the picture enlarged by `factor`."""
    canvas = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    thickness = max(1, round(len(canvas) / 220))
    for reading, colour in ((expected, EXPECTED_COLOUR), (measured, MEASURED_COLOUR)):
        if len(reading.outline):
            draw_line(canvas, reading.outline.xy, colour, thickness, closed=True)
    return canvas


def strip(rows: Sequence[StripRow]) -> Image.Image:
    """Lay out photo, garment and sizes of every person, with the width ratios below each cell."""
    height, width = rows[0].photo.shape[:2]
    height, width = STRIP_HEIGHT, round(width * STRIP_HEIGHT / height)
    columns = 2 + len(rows[0].cells)
    gap = 6
    page = Image.new("RGB", (columns * (width + gap) + gap, len(rows) * (height + CAPTION_PX) + gap), "white")
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(13)
    for index, row in enumerate(rows):
        top = gap + index * (height + CAPTION_PX)
        cells = [(row.photo, f"photo {row.natural:.2f}"), (row.cloth, "garment")]
        cells += [(c.picture, f"asked {c.requested:.2f} got {ratio_text(c.measured)}") for c in row.cells]
        for column, (picture, caption) in enumerate(cells):
            left = gap + column * (width + gap)
            enlarged = resized(picture, height, width)
            page.paste(Image.fromarray(enlarged), (left, top))
            pen.text((left + width / 2, top + height + 4), caption, fill="#334155", font=font, anchor="ma")
    return page
