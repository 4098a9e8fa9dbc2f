"""One page with a person, a garment, and how it looks at every size."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]

HEIGHT, GAP, FONT_PX = 320, 8, 12
"""px of a picture, between pictures, and of the letters."""

LINES = 5
"""Lines below each picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A picture with words below it."""

    picture: Picture
    """(H, W, 3) RGB."""

    title: str
    """First line."""

    lines: Sequence[str] = ()
    """The others."""


def draw_strip(photo: Picture, garment: Picture, cells: Sequence[Cell]) -> Image.Image:
    """Lay out photo, garment and every size in one row."""
    row = [Cell(picture=photo, title="photo"), Cell(picture=garment, title="garment"), *cells]
    thumbnails = [at_height(cell.picture) for cell in row]
    widths = [max(thumbnail.shape[1], 150) for thumbnail in thumbnails]
    line_px = FONT_PX + 4
    size = (sum(widths) + GAP * (len(row) + 1), HEIGHT + GAP * 2 + LINES * line_px)
    page = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(FONT_PX)
    left = GAP
    for cell, thumbnail, width in zip(row, thumbnails, widths, strict=True):
        page.paste(Image.fromarray(thumbnail), (left + (width - thumbnail.shape[1]) // 2, GAP))
        for number, line in enumerate([cell.title, *cell.lines][:LINES]):
            place = (left + width / 2, GAP + HEIGHT + 4 + number * line_px)
            pen.text(place, line[:40], fill="#334155", font=font, anchor="ma")
        left += width + GAP
    return page


def at_height(picture: Picture) -> Picture:
    """Resize a picture to the strip's height, no wider than twice that."""
    width = min(max(1, round(picture.shape[1] * HEIGHT / picture.shape[0])), 2 * HEIGHT)
    method = cv2.INTER_AREA if picture.shape[0] > HEIGHT else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, HEIGHT), interpolation=method))
