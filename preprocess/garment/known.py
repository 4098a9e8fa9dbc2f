"""Which ratios of annotation rows are known: those whose bounds are narrow."""

import json

import numpy as np
import pyarrow as pa

from preprocess.body.keypoints import Array
from preprocess.garment.bounds import MAX_UNCERTAINTY
from preprocess.sizes.axes import AXIS_NAMES, JUDGED_AT

MAX_UNCERTAINTY_KEY = b"max_uncertainty"
"""Metadata of annotations: bounds no further apart than this share of a ratio make it known."""

BOUNDS_PARTS = ("ratio", "low", "high")
"""What the columns of an axis end in."""


def known_only(rows: pa.Table) -> pa.Table:
    """Rows of annotations with null for every ratio that isn't known."""
    for axis in AXIS_NAMES:
        name = f"{axis}_ratio"
        found = pa.array(known_ratios(rows, axis), pa.float64(), from_pandas=True)  # NaN becomes null
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), found)
    return rows


def known_ratios(rows: pa.RecordBatch | pa.Table, axis: str, max_uncertainty: float | None = None) -> Array:
    """(N,) ratios of rows on one axis; NaN where not known.

    Args:
        rows: With the columns `<axis>_ratio`, `_low` and `_high`.
        axis: Its name.
        max_uncertainty: What known means; None takes it from the metadata of `rows`.

    Raises:
        ValueError: The rows have no bounds: they were made by an earlier version.
    """
    if f"{axis}_low" not in rows.schema.names:
        raise ValueError(f"annotations must have bounds ({axis}_low, {axis}_high): measure the photos again")
    if max_uncertainty is None:
        found = (rows.schema.metadata or {}).get(MAX_UNCERTAINTY_KEY)
        max_uncertainty = MAX_UNCERTAINTY if found is None else float(json.loads(found))
    ratio, low, high = (
        np.asarray(rows.column(f"{axis}_{part}").to_numpy(zero_copy_only=False), np.float64)
        for part in BOUNDS_PARTS
    )
    with np.errstate(invalid="ignore"):
        known = high - low <= max_uncertainty * np.maximum(ratio, JUDGED_AT[axis])
        return np.where(known, ratio, np.nan)
