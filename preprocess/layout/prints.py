"""Prints that repeat: a larger garment has more of them, not larger ones.

Cloth that is stretched would stretch its print. Where a print repeats, cloth is taken from whole periods away
instead, so that it meets itself; light and shade, which are broader, still go with the warp.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.keypoints import Array
from preprocess.layout.parts import Parts
from preprocess.layout.sides import Floats

LINES = 120
"""Grid lines per T on which prints are looked at."""

ROWS, COLUMNS = (0.15, 0.8), 0.45
"""Where, in T and B: the part of a torso that is cloth, as far as there is some."""

SHORTEST, LONGEST = 0.04, 0.28
"""T. Periods that are looked for."""

BROAD = 0.08
"""T. What is broader is light and shade, and no print."""

ALIKE, UNLIKE = 0.5, 0.3
"""Correlation with itself a period away, and how much less it is somewhere nearer."""


def periods_of(cloth: Floats, parts: Parts) -> tuple[float, float]:
    """Return after how much, in T, a print repeats down and across; NaN where it doesn't.

    Args:
        cloth: (H, W, 3) the garment's colours.
        parts: The garment taken apart.
    """
    frame = parts.frame
    a = np.arange(ROWS[0], min(ROWS[1], parts.length - 0.05), 1 / LINES)
    half = COLUMNS * frame.shoulder_width / frame.torso_length
    b = np.arange(-half, half, 1 / LINES)
    if len(a) < LINES * LONGEST:
        return float("nan"), float("nan")
    ab = frame.torso_length * np.stack(np.meshgrid(a, b, indexing="ij"), axis=-1)
    xy = (frame.to_image(ab.reshape(-1, 2)) - 0.5).astype(np.float32).reshape(*ab.shape)
    return periods_in(cv2.remap(cloth, xy[..., 0], xy[..., 1], cv2.INTER_LINEAR))


def periods_in(cloth: NDArray[np.floating]) -> tuple[float, float]:
    """Return after how much, in T, a print on (R, C, 3) grid lines repeats down and across; NaN: never."""
    patch = cloth.mean(axis=2)
    detail = patch - cv2.GaussianBlur(patch, (0, 0), BROAD * LINES)
    return period_along(detail), period_along(detail.T)


def period_along(detail: NDArray[np.floating]) -> float:
    """Return after how much, in T, an (R, C) patch is like itself again down its rows; NaN if never."""
    shifts = np.arange(1, round(LONGEST * LINES) + 1)
    alike = np.array([correlation(detail[shift:], detail[:-shift]) for shift in shifts])
    least = np.minimum.accumulate(alike)
    peak = (alike >= np.append(alike[1:], -1)) & (alike >= np.append(-1, alike[:-1]))
    found = peak & (alike > ALIKE) & (alike - least > UNLIKE) & (shifts >= SHORTEST * LINES)
    if not found.any():
        return float("nan")
    place = int(found.argmax())
    best = place if alike[place] > 0.9 * alike[found].max() else int(np.where(found, alike, -1).argmax())
    return float((shifts[best] + vertex(alike, best)) / LINES)


def correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Correlate two patches; 0 where one is flat."""
    power = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / power if power > 1e-6 else 0.0


def vertex(values: Array, place: int) -> float:
    """Return how far beside a peak among its neighbours a parabola through them has its own."""
    if not 0 < place < len(values) - 1:
        return 0.0
    before, here, after = values[place - 1 : place + 2]
    bend = before - 2 * here + after
    return float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0


def whole_periods(moved: Floats, period: float) -> Floats:
    """Round (H, W) displacements to whole periods; where there is no period they stay."""
    return moved if np.isnan(period) else np.asarray(np.round(moved / period) * period, np.float32)


def lit_as(printed: Floats, moved: Floats, broad_px: float) -> Floats:
    """Give (H, W, 3) cloth that was taken from elsewhere the light and shade of the cloth that moved here."""
    light = cv2.GaussianBlur(moved, (0, 0), broad_px) / np.maximum(
        cv2.GaussianBlur(printed, (0, 0), broad_px), 1
    )
    return np.asarray(printed * light.clip(0.7, 1.4))
