"""Ratios of tops as arrays have them: what other categories have beside is unknown."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preprocess.sizes.axes import AXIS_NAMES, axes_of
from preprocess.vocabulary import Category

UPPER = tuple(axes_of(Category.UPPER))
MEANINGS = {name: axis.meaning for name, axis in axes_of(Category.UPPER).items()}
"""Of the axes of tops alone, for networks that know nothing else."""

TOP_PLACES = [AXIS_NAMES.index(name) for name in UPPER]


def of_tops(ratios: ArrayLike) -> NDArray[np.float64]:
    """(..., A) in the order of `AXIS_NAMES`, of (..., 3) shoulder, width and length."""
    known = np.asarray(ratios, np.float64)
    whole = np.full((*known.shape[:-1], len(AXIS_NAMES)), np.nan)
    whole[..., TOP_PLACES] = known
    return whole


def listed(values: Sequence[Any], other: Any) -> tuple[Any, ...]:
    """What belongs to each of `AXIS_NAMES`, of three that belong to the axes of tops."""
    return tuple(values[UPPER.index(name)] if name in UPPER else other for name in AXIS_NAMES)
