"""Which ratios of annotation rows are known: those whose bounds are narrow."""

import json

import numpy as np
import pyarrow as pa

from preprocess.body.keypoints import Array
from preprocess.garment.size_ratios import MAX_UNCERTAINTY

MAX_UNCERTAINTY_KEY = b"max_uncertainty"
"""Metadata of annotations: bounds no further apart than this share of a ratio make it known."""

BOUNDS_PARTS = ("ratio", "low", "high")
"""What the columns of an axis end in."""


def known_ratios(rows: pa.RecordBatch | pa.Table, axis: str, max_uncertainty: float | None = None) -> Array:
    """(N,) ratios of rows on one axis; NaN where not known.

    Args:
        rows: With the columns `<axis>_ratio`, `_low` and `_high`.
        axis: Its name.
        max_uncertainty: What known means; None takes it from the metadata of `rows`.
    """
    if max_uncertainty is None:
        found = (rows.schema.metadata or {}).get(MAX_UNCERTAINTY_KEY)
        max_uncertainty = MAX_UNCERTAINTY if found is None else float(json.loads(found))
    ratio, low, high = (
        np.asarray(rows.column(f"{axis}_{part}").to_numpy(zero_copy_only=False), np.float64)
        for part in BOUNDS_PARTS
    )
    with np.errstate(invalid="ignore"):
        return np.where(high - low <= max_uncertainty * ratio, ratio, np.nan)
