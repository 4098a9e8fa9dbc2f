"""The photo around a hem: edges that run across, and which colours are the garment's."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from preprocess.body.canvas import INSIDE, BodyCanvas, Mask, Rows
from preprocess.body.keypoints import Array
from preprocess.garment.edges import Photo, Scores, photo_lines

COARSER = 2
"""Lines of the canvas per line that is looked at."""

STRIP, SOFT = 0.03, 0.012
"""Height, in T, of what is compared above and below an edge, and half of what is left out between."""

UNEVEN = 0.02
"""How far off a hem's line, in T, a column may have its edge, and how far apart two neighbours may end."""

WITHOUT = 0.35
"""Share of the columns that may lack a hem's edge."""

COLOURS_FROM = 0.1
"""How far off the hem, in T, surely one cloth alone is seen."""

COLOURS_ABOVE, COLOURS_BELOW = 0.6, 0.45
"""How far off, in T, it is looked at."""

CHEST = 0.15
"""First row, in T, below the neckline."""

BINS, BLUR = (12, 16, 16), 0.7
"""Of CIE Lab in a histogram of colours, and how many of them a colour spreads over."""

LAB_LOW, LAB_HIGH = (0, -64, -64), (100, 64, 64)
"""Range of these bins; the last ones take what is beyond."""

RARE, UNTOLD = 0.003, 0.02
"""Share of a cloth that has a colour by chance, and of one of which too little is seen to tell."""

FEWEST = 50
"""Points that tell a cloth's colours."""

TELLING = 2.0
"""No colour tells more than this."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HemView:
    """The photo around a hem, by rows of the body frame, in columns of its own."""

    a: Array
    """(R,) T below mid-shoulder."""

    lines: Scores
    """(R, C, 3) CIE Lab."""

    seen: Mask
    """(R, C) inside the picture, nothing in front."""

    garment: Mask
    """(R, C) by the parse map."""

    bottoms: Mask
    """(R, C) trousers or skirt, by the parse map."""

    @property
    def rows_per_torso(self) -> float:
        """Rows per T."""
        return float(1 / (self.a[1] - self.a[0]))

    def at(self, values: Scores, a: Array) -> Scores:
        """(N, C) values at `a` (N, C) T in each column; NaN where nothing is seen."""
        index = np.rint((a - self.a[0]) * self.rows_per_torso).astype(np.int64)
        found = (index >= 0) & (index < len(self.a))
        index, columns = np.where(found, index, 0), np.arange(values.shape[1])
        return np.where(found & self.seen[index, columns], values[index, columns], np.nan)

    def between(self, values: Scores | Mask, first: Array, last: Array) -> float:
        """Mean of values between two (C,) lines, but for what is next to them; NaN where nothing is seen."""
        a = self.a[:, None]
        inside = values[(a >= first + UNEVEN) & (a <= last - UNEVEN) & self.seen]
        return float(inside.mean()) if len(inside) else float("nan")


def view_of(
    canvas: BodyCanvas, columns: Rows, hem: float, photo: Photo, bottoms: Mask, occluders: Mask | None
) -> HemView:
    """See the photo from above a hem at row `hem`, in T, to below it."""
    torso = canvas.frame.torso_length
    coarse = replace(
        canvas,
        cover=canvas.cover[::COARSER, columns],
        b0=float(canvas.b_of(columns[:1])[0]),
        step=COARSER * canvas.step,
    )
    first = round(((hem - COLOURS_ABOVE) * torso - coarse.a0) / coarse.step)
    rows = np.arange(first, first + round((COLOURS_ABOVE + COLOURS_BELOW) * torso / coarse.step))
    on = (rows >= 0) & (rows < len(coarse.cover))
    garment = np.zeros((len(rows), len(columns)), np.bool_)
    garment[on] = coarse.cover[rows[on]] > INSIDE
    shown = np.ones(canvas.picture_shape, np.bool_) if occluders is None else ~occluders
    return HemView(
        a=coarse.a_of(rows) / torso,
        lines=photo_lines(coarse, photo, rows),
        seen=coarse.resampled(shown, rows) > INSIDE,
        garment=garment,
        bottoms=coarse.resampled(bottoms, rows) > INSIDE,
    )


def steps_of(view: HemView) -> Scores:
    """(R, C) step between what is above and below, Lab units."""
    strip, reach = (max(1, round(share * view.rows_per_torso)) for share in (STRIP, STRIP / 2 + SOFT))
    smooth = cv2.blur(view.lines, (1, strip))
    step = np.zeros(view.seen.shape, np.float32)
    step[reach:-reach] = np.linalg.norm(smooth[2 * reach :] - smooth[: -2 * reach], axis=2)
    return step


def spread_of(view: HemView, steps: Scores) -> Scores:
    """(R, C) the strongest of (R, C) steps near each row."""
    uneven = max(1, round(UNEVEN * view.rows_per_torso))
    return np.asarray(cv2.dilate(steps, np.ones((2 * uneven + 1, 1), np.uint8)))


def strength_of(steps: Scores) -> Scores:
    """(N,) the step that all but `WITHOUT` of the columns of an (N, C) line have; 0 where few are seen."""
    seen = np.isfinite(steps).sum(axis=1)
    weakest = np.sort(steps, axis=1)[np.arange(len(steps)), (WITHOUT * seen).astype(np.int64)]
    return np.where(seen > WITHOUT * steps.shape[1], weakest, 0)


def leaning_of(view: HemView, below: Array) -> Scores:
    """(R, C) how much more frequent a colour is in the garment than in what is worn below it, a logarithm.

    Args:
        view: Of the hem.
        below: (R, C) T from the hem.
    """
    bins = np.array(BINS, np.float32)
    low, high = np.array(LAB_LOW, np.float32), np.array(LAB_HIGH, np.float32)
    index = np.clip((view.lines - low) * (bins / (high - low)), 0, bins - 1).astype(np.int64)
    index = index @ (BINS[1] * BINS[2], BINS[2], 1)
    upper, lower = (
        _frequencies(index[where & view.seen])
        for where in (
            view.garment & (below < -COLOURS_FROM) & (view.a > CHEST)[:, None],
            view.bottoms & (below > COLOURS_FROM),
        )
    )
    telling = np.clip(np.log((upper + RARE) / (lower + RARE)), -TELLING, TELLING)
    return np.asarray(telling[index], np.float32)


def _frequencies(colours: NDArray[np.int64]) -> Scores:
    """Share of each colour, by its bin, and of those near it; all rare where there are few."""
    counts = np.bincount(colours, minlength=np.prod(BINS)).astype(np.float32)
    if len(colours) < FEWEST:
        return np.full(counts.shape, UNTOLD, np.float32)
    smooth = gaussian_filter(counts.reshape(BINS), BLUR, mode="nearest", truncate=2)
    return np.asarray(smooth.ravel() / len(colours))


def means_of(values: Scores) -> Array:
    """(N,) means of what is seen in (N, C); NaN where nothing is."""
    seen = np.isfinite(values)
    number = np.where(seen.any(axis=1), seen.sum(axis=1), np.nan)
    return np.asarray(np.where(seen, values, 0).sum(axis=1) / number)
