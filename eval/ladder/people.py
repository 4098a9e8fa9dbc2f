"""Choose the held-out people."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.ladder.scene import Scene, enlargement
from preprocess.body.keypoints import BodyFrame, KeypointError, Keypoints
from preprocess.vocabulary import RowStatus
from shards.batch import Batch, select


def usable(batch: Batch, row: int, needed: NDArray[np.bool_]) -> bool:
    """Whether a sample can stand on a ladder: measured on the (A,) axes needed, shoulders and hips found."""
    if batch.statuses[row] != RowStatus.OK or not np.isfinite(batch.ratios[row][needed]).all():
        return False
    try:
        BodyFrame.from_keypoints(Keypoints.from_flat(batch.keypoints[row]))
    except KeypointError:
        return False
    return bool(batch.garment_mask[row].any())


def first_people(batches: Iterable[Batch], num_people: int, needed: NDArray[np.bool_]) -> Batch:
    """Take the first samples of a split that are usable on the (A,) axes needed.

    Raises:
        ValueError: There is none.
    """
    chosen: list[Batch] = []
    missing = num_people
    for batch in batches:
        rows = [row for row in range(len(batch)) if usable(batch, row, needed)][:missing]
        if rows:
            chosen.append(select(batch, rows))
            missing -= len(rows)
        if not missing:
            break
    if not chosen:
        raise ValueError(
            "the test split must have a sample with status ok, every ladder's ratio, shoulders and hips, "
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
    return Batch(
        **{one.name: _behind([getattr(batch, one.name) for batch in batches]) for one in fields(Batch)}
    )


def _behind(parts: list[Any]) -> Any:
    """Put arrays, lists, or the values of dicts behind one another."""
    if isinstance(parts[0], dict):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else list(chain(*parts))
