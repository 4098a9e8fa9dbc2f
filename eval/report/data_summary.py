"""What the data stages know of all samples."""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from preprocess.garment.known import known_only
from preprocess.garment.size_ratios import fit_label_thresholds, thresholds_key
from preprocess.sizes.axes import AXIS_NAMES, FIT_PLACE
from preprocess.sources.params import PaperDollParams
from preprocess.sources.same_photo import SAME_PHOTO, Copies
from preprocess.vocabulary import DRAWING_KEY, SOURCE_KEY, SPLITS, TRIED_ON, Category

log = logging.getLogger(__name__)

RATIO_COLUMNS = tuple(f"{name}_ratio" for name in AXIS_NAMES)


Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class CategorySizes:
    """What was measured of one category."""

    ratios: Mapping[str, NDArray[np.float64]]
    """Split to (N, A) natural ratios, NaN where not known."""

    trusted: NDArray[np.float64]
    """(N, A) ratios, NaN where not known, that ladders and fit labels follow the quantiles of."""

    trusted_split: str
    """Whose rows these are: `train`, or `test` where nobody of a train split is known."""

    thresholds: NDArray[np.float64]
    """(3,) width ratios between the fit labels; (0,) where nobody's width is known, so there are none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSummary:
    """What the data stages measured, from size_annotations.parquet."""

    sizes: Mapping[Category, CategorySizes]
    """Of the categories that are tried on and of which somebody is known, in the order of `TRIED_ON`."""

    statuses: Mapping[str, Mapping[str, int]]
    """Split to counts by status."""

    reasons: Mapping[str, int]
    """Counts of the reasons why a row is not `ok`."""

    copies: tuple[str, ...]
    """What is to be said of photos that the data has more than once; see `Copies.lines`."""

    source: str
    """The data set's name, as `prepare_dataset` wrote it down; empty where nothing did."""

    drawing: PaperDollParams | None
    """How its people were drawn, so that they can be drawn again; None of photographs."""


def summarize_data(size_annotations: Path) -> DataSummary:
    """Read ratios, statuses and fit label thresholds of a size_annotations.parquet.

    Raises:
        ValueError: Nobody in it is known.
    """
    table = known_only(pq.read_table(size_annotations))
    rows = [row for row in table.to_pylist() if row["category"] in TRIED_ON]
    splits = sorted({row["split"] for row in rows})
    metadata = table.schema.metadata or {}
    found = {category: sizes_of(rows, category, metadata) for category in TRIED_ON}
    sizes = {category: of for category, of in found.items() if of is not None}
    if not sizes:
        raise ValueError(
            f"{size_annotations} has nobody known in train or test split, so there is no range of sizes to "
            "evaluate over: see the reasons with `cinderella inspect`, and what "
            "compute_size_ratios.max_uncertainty lets pass as known"
        )
    for category, of in sizes.items():
        if "train" in of.ratios and of.trusted_split == "test":
            words = size_annotations, category
            log.warning("%s has nobody known in its train split in %s: ladders follow the test split", *words)
    statuses = {split: Counter(row["status"] for row in rows if row["split"] == split) for split in splits}
    reasons = Counter(row["reason"] for row in rows if row["reason"])
    copies = Copies()
    for row in rows:
        copies.note(row["split"], row["key"], row.get(SAME_PHOTO))
    return DataSummary(
        sizes=sizes,
        statuses=statuses,
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        copies=tuple(copies.lines()),
        source=metadata.get(SOURCE_KEY, b"").decode(),
        drawing=drawing_of(metadata),
    )


def sizes_of(rows: Rows, category: Category, metadata: Mapping[bytes, bytes]) -> CategorySizes | None:
    """Take what is known of a category from rows of size_annotations.parquet; None where nobody is."""
    own = [row for row in rows if row["category"] == category]
    splits = sorted({row["split"] for row in own})
    ratios = {split: ratio_array(row for row in own if row["split"] == split) for split in splits}
    known = [split for split in SPLITS if np.isfinite(ratios.get(split, np.nan)).any()]
    if not known:
        return None
    trusted = ratios[known[0]]
    widths = trusted[:, FIT_PLACE]
    cuts: ArrayLike = ()
    if np.isfinite(widths).any():
        cuts = json.loads(metadata.get(thresholds_key(category), b"[]")) or fit_label_thresholds(widths)
    return CategorySizes(
        ratios=ratios,
        trusted=trusted,
        trusted_split=known[0],
        thresholds=np.asarray(cuts, dtype=np.float64),
    )


def drawing_of(metadata: Mapping[bytes, bytes]) -> PaperDollParams | None:
    """How the people were drawn, from metadata of size_annotations.parquet; None where that isn't known."""
    found = metadata.get(DRAWING_KEY)
    return PaperDollParams(**json.loads(found)) if found else None


def ratio_array(rows: Iterable[dict[str, float | None]]) -> NDArray[np.float64]:
    """(N, A) ratios of rows, NaN where null."""
    values = [[row[column] for column in RATIO_COLUMNS] for row in rows]
    return np.array(values, dtype=np.float64).reshape(-1, len(RATIO_COLUMNS))
