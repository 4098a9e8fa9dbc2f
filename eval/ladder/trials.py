"""How far pictures are from their requests, on all ladders of one method.

P is people, A axes, R rungs; NaN is unknown.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from eval.ladder.outline import Deviation, deviation
from eval.ladder.remeasure import Reading
from preprocess.sizes.axes import AXIS_NAMES, SMALLEST_RATIO, axes_of
from preprocess.vocabulary import Category

Floats = NDArray[np.float64]
NUM = len(AXIS_NAMES)

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class FitError:
    """How far a measured garment is from the expected one, in widths of the body; NaN where unknown."""

    outline: Deviation
    """Distances between the outlines."""

    width_bias: float
    """Measured minus requested width ratio; above 0 is too loose."""

    hem_error: float
    """Measured minus requested length ratio; above 0 is too long (in lengths of torso or legs)."""


def fit_error(measured: Reading, expected: Reading, requested: Floats, num_points: int) -> FitError:
    """Compare a generated picture's reading with the expected layout's and with (A,) requested ratios."""
    bias = dict(zip(AXIS_NAMES, measured.ratios - requested, strict=True))
    apart = deviation(measured.outline, expected.outline, expected.unit_px, num_points)
    return FitError(outline=apart, width_bias=float(bias["width"]), hem_error=float(bias["length"]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Trials:
    """Ladders of P people along each of A axes, with R rungs; NaN where a person has none along an axis."""

    requested: Floats
    """(P, A, R, A): [person, axis that changes, rung] -> all ratios that were asked for."""

    measured: Floats
    """(P, A, R, A) all ratios that were measured."""

    gfd: Floats
    """(P, A, R) geometric fit deviation, in widths of the body."""

    hd95: Floats
    """(P, A, R) 95th percentile of the distances, in widths of the body."""

    width_bias: Floats
    """(P, A, R) measured minus requested width ratio."""

    hem_error: Floats
    """(P, A, R) measured minus requested length ratio."""

    @staticmethod
    def unmeasured(requested: Floats) -> "Trials":
        """Trials of (P, A, R, A) requests on which nothing was measured yet."""
        unknown = [np.full(requested.shape[:3], np.nan) for _ in range(4)]
        measured = np.full(requested.shape, np.nan)
        fields = dict(zip(("gfd", "hd95", "width_bias", "hem_error"), unknown, strict=True))
        return Trials(requested=requested, measured=measured, **fields)

    def record(self, index: tuple[int, int, int], reading: Reading, error: FitError) -> None:
        """Write down what was measured on the picture of [person, ratio, rung]."""
        self.measured[index] = reading.ratios
        self.gfd[index] = error.outline.gfd
        self.hd95[index] = error.outline.hd95
        self.width_bias[index] = error.width_bias
        self.hem_error[index] = error.hem_error

    def of_another_garment(self) -> "Trials":
        """Trials of people in a garment whose outline at the requested ratios nobody knows."""
        unknown = np.full(self.gfd.shape, np.nan)
        return replace(self, gfd=unknown, hd95=unknown.copy())

    def of(self, rows: list[int]) -> "Trials":
        """Trials of some people."""
        return Trials(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def climbers(self, dimension: int) -> NDArray[np.int64]:
        """Which people have a ladder along an axis: those who are known on it."""
        return np.flatnonzero(np.isfinite(self.requested[:, dimension, :, dimension]).all(axis=1))

    def along(self, dimension: int) -> tuple[Floats, Floats]:
        """Requested and measured of the ratio that changes, on its own ladder: (C, R) of the `climbers`."""
        own = np.s_[self.climbers(dimension), dimension, :, dimension]
        return self.requested[own], self.measured[own]

    def changing(self) -> Floats:
        """(P, A, R) what the ratio that changes was asked to be."""
        return np.stack([self.requested[:, axis, :, axis] for axis in range(NUM)], axis=1)


def ladders_of(
    ratios: Mapping[Category, Floats], lowest_quantile: float, highest_quantile: float, num_rungs: int
) -> dict[Category, Floats]:
    """Return the `ladder_values` of each category that has a ladder, of its (N, A) ratios.

    Raises:
        ValueError: None has.
    """
    ends = lowest_quantile, highest_quantile
    values = {category: ladder_values(category, own, *ends, num_rungs) for category, own in ratios.items()}
    climbed = {category: own for category, own in values.items() if has_ladder(own).any()}
    if not climbed:
        raise ValueError(
            "the known ratios must vary along an axis to build a ladder, and those of no category do: check "
            "size_annotations.parquet, and add data of other sizes"
        )
    return climbed


def ladder_values(
    category: Category,
    train_ratios: Floats,
    lowest_quantile: float,
    highest_quantile: float,
    num_rungs: int,
) -> Floats:
    """Place the rungs evenly over the range of the data, and warn of axes along which it has none.

    `train_ratios` is (N, A), NaN where unknown; a ladder goes from its lower to its higher quantile.

    Returns:
        (A, R) rising requests along each axis; NaN along those that the data doesn't know, or on which all of
        it is alike: they have no ladder.
    """
    values = np.full((len(AXIS_NAMES), num_rungs), np.nan)
    for place in np.flatnonzero(np.isfinite(train_ratios).any(axis=0)):
        name = AXIS_NAMES[place]
        low, high = np.nanquantile(train_ratios[:, place], [lowest_quantile, highest_quantile])
        if low < high:
            values[place] = np.linspace(low, high, num_rungs)
            log.info("a ladder of %s along %s from %.3f to %.3f", category, name, low, high)
        else:
            words = category, name, low
            log.warning("no ladder of %s along %s: all that is known of it is %.3f", *words)
    return values


def has_ladder(values: Floats) -> NDArray[np.bool_]:
    """(A,) along which axes there are rungs, of (A, R) `values`."""
    return np.array([np.isfinite(rungs).any() for rungs in values])


def beyond(category: Category, values: Floats, share: float) -> Floats:
    """(A, 2) requests below and above (A, R) `values`, by `share` of their span, that a garment may have."""
    span = values[:, -1] - values[:, 0]
    most = [axes_of(category)[name].most if name in axes_of(category) else np.inf for name in AXIS_NAMES]
    below, above = values[:, 0] - share * span, values[:, -1] + share * span
    return np.stack([np.maximum(below, SMALLEST_RATIO), np.minimum(above, most)], axis=1)
