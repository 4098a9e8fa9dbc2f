"""Size accuracy: does the measured fit label equal the requested one?

Classes are never balanced in real data, so the accuracy is balanced and stands beside a constant's score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.vocabulary import FIT_LABELS


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeAccuracy:
    """How well measured fit labels agree with the requested ones."""

    balanced: float
    """Mean over the requested labels of the share that was measured as such (recall); NaN without samples."""

    macro_f1: float
    """Mean of the labels' F1, over labels that were requested or measured."""

    majority_baseline: float
    """Balanced accuracy of the constant that always answers the most frequent requested label: 1 / labels."""

    majority_share: float
    """Plain accuracy of that constant."""

    coverage: float
    """Share of the samples whose label could be measured."""

    confusion: NDArray[np.int64]
    """(K, K) counts, rows requested and columns measured, ordered as `FIT_LABELS`."""


def size_accuracy(requested: Sequence[str], measured: Sequence[str | None]) -> SizeAccuracy:
    """Compare measured with requested fit labels.

    Args:
        requested: N labels of `FIT_LABELS`.
        measured: N labels, None where the picture couldn't be measured; those are counted in the coverage
            and left out of everything else.

    Returns:
        The figures; a label that was never requested has no recall and is left out of the mean.
    """
    confusion = confusion_matrix(requested, measured)
    asked = confusion.sum(axis=1)
    found = confusion.sum(axis=0)
    hits = np.diag(confusion)
    present = asked > 0
    seen = asked + found > 0
    num = int(asked.sum())
    return SizeAccuracy(
        balanced=float(np.mean(hits[present] / asked[present])) if num else np.nan,
        macro_f1=float(np.mean(2 * hits[seen] / (asked + found)[seen])) if num else np.nan,
        majority_baseline=1 / int(present.sum()) if num else np.nan,
        majority_share=float(asked.max() / num) if num else np.nan,
        coverage=num / len(requested) if requested else 0.0,
        confusion=confusion,
    )


def confusion_matrix(requested: Sequence[str], measured: Sequence[str | None]) -> NDArray[np.int64]:
    """(K, K) counts of the samples that were measured, rows requested, columns measured."""
    confusion = np.zeros((len(FIT_LABELS), len(FIT_LABELS)), dtype=np.int64)
    for asked, found in zip(requested, measured, strict=True):
        if found is not None:
            confusion[FIT_LABELS.index(asked), FIT_LABELS.index(found)] += 1
    return confusion
