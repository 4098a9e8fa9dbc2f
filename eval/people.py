"""Choose the held-out people."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import chain
from typing import Any

import numpy as np

from eval.scene import Scene, enlargement
from preprocess.keypoints import BodyFrame, KeypointError, Keypoints
from preprocess.vocabulary import RowStatus
from shards.batch import Batch, select


def usable(batch: Batch, row: int) -> bool:
    """Whether a sample can stand on a ladder: measured, all ratios known, shoulders and hips found."""
    if batch.statuses[row] != RowStatus.OK or not np.isfinite(batch.ratios[row]).all():
        return False
    try:
        BodyFrame.from_keypoints(Keypoints.from_flat(batch.keypoints[row]))
    except KeypointError:
        return False
    return bool(batch.garment_mask[row].any())


def first_people(batches: Iterable[Batch], num_people: int) -> Batch:
    """Take the first usable samples of a split.

    Raises:
        ValueError: There is none.
    """
    chosen: list[Batch] = []
    missing = num_people
    for batch in batches:
        rows = [row for row in range(len(batch)) if usable(batch, row)][:missing]
        if rows:
            chosen.append(select(batch, rows))
            missing -= len(rows)
        if not missing:
            break
    if not chosen:
        raise ValueError(
            "the test split must have a sample with status ok, all three ratios, shoulders and hips, "
            "but has none: look at status and reason in size_annotations.parquet"
        )
    return joined(chosen)


def scene_of(people: Batch, measured_height: int) -> Scene:
    """Turn a batch of people into the scene that ladders are drawn on."""
    return Scene(
        keys=people.keys,
        photos=people.image,
        cloths=people.cloth,
        inpaint_masks=people.inpaint_mask.astype(bool),
        garment_masks=people.garment_mask.astype(bool),
        keypoints=people.keypoints,
        natural=people.ratios.astype(np.float64),
        factor=enlargement(people.image.shape[1], measured_height),
    )


def joined(batches: Sequence[Batch]) -> Batch:
    """Put batches behind one another."""
    columns = {field.name: [getattr(batch, field.name) for batch in batches] for field in fields(Batch)}
    values: dict[str, Any] = {
        name: np.concatenate(parts) if isinstance(parts[0], np.ndarray) else list(chain(*parts))
        for name, parts in columns.items()
    }
    return Batch(**values)
