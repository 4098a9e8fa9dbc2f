"""The fit ladder: does the measured size follow the requested one?

A ladder asks for the same person, garment and noise at a rising sequence of one ratio. P is people, R rungs;
requested and measured ratios are (P, R), NaN where a picture couldn't be measured. Each figure is first taken
for every person, NaN where it can't be, and then averaged over the people whose figure exists; intervals
resample the people. Nothing is imputed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.vocabulary import FIT_LABELS, require_shape

Floats = NDArray[np.float64]


def order_accuracy(requested: Floats, measured: Floats) -> Floats:
    """Share of each person's pairs of rungs whose measured ratios stand in the requested order.

    A tie of the measured counts one half. Pairs with a NaN, and pairs that ask for the same, are left out.

    Returns:
        (P,) in [0, 1], NaN for a person without a pair. A guess scores 0.5.
    """
    signs = _pair_signs(requested, measured)
    return _mean((signs + 1) / 2)


def kendall_tau(requested: Floats, measured: Floats) -> Floats:
    """Kendall's tau-b of each person's ladder.

    Returns:
        (P,) in [-1, 1]; 0 where all measured ratios are equal, NaN for a person without a pair.

    Source:
        Kendall, "The treatment of ties in ranking problems", Biometrika 1945.
    """
    signs = _pair_signs(requested, measured)
    num_pairs = np.sum(~np.isnan(signs), axis=1)
    untied = np.nansum(np.abs(signs), axis=1)
    scale = np.sqrt(num_pairs * untied)
    tau = np.divide(np.nansum(signs, axis=1), scale, out=np.zeros(len(signs)), where=scale > 0)
    return np.where(num_pairs > 0, tau, np.nan)


def slope(requested: Floats, measured: Floats) -> Floats:
    """Least-squares slope of measured on requested for each person, (P,); 1 is obedience, NaN is unknown."""
    x, y = _centred(requested, measured)
    return _ratio(np.nansum(x * y, axis=1), np.nansum(x * x, axis=1))


def r2(requested: Floats, measured: Floats) -> Floats:
    """Squared correlation of requested and measured for each person, (P,).

    It is 0 where all measured ratios are equal: nothing of them follows the request.
    """
    x, y = _centred(requested, measured)
    explained = np.nansum(x * y, axis=1) ** 2
    spread = np.nansum(x * x, axis=1)
    total = np.nansum(y * y, axis=1)
    flat = total <= 1e-18
    share = _ratio(np.where(flat, 0.0, explained), spread * np.where(flat, 1.0, total))
    return np.where(np.isnan(share), np.nan, np.clip(share, 0.0, 1.0))


def mae(requested: Floats, measured: Floats) -> Floats:
    """Mean absolute difference of measured and requested for each person, (P,), in units of the ratio."""
    return _mean(np.abs(measured - requested))


def bias(requested: Floats, measured: Floats) -> Floats:
    """Mean of measured minus requested for each person, (P,); above 0 is too large."""
    return _mean(measured - requested)


FIGURES: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "order_accuracy": order_accuracy,
    "kendall_tau": kendall_tau,
    "slope": slope,
    "r2": r2,
    "mae": mae,
    "bias": bias,
}
"""Figures of one ladder by their name in metrics.json."""


def summarize_ladder(
    requested: Floats, measured: Floats, *, num_bootstrap: int, seed: int
) -> dict[str, float | list[float] | None]:
    """Average every figure over people, each beside its 95 % interval, and the coverage.

    Returns:
        `{figure: mean, figure_ci95: [low, high]}`, None where no person has the figure, `coverage`, the
        share of pictures that could be measured, and `people`.
    """
    summary: dict[str, float | list[float] | None] = {"people": len(requested)}
    for name, figure in FIGURES.items():
        mean, interval = mean_and_interval(figure(requested, measured), num_bootstrap, seed)
        summary[name] = mean
        summary[f"{name}_ci95"] = interval
    summary["coverage"] = float(np.mean(~np.isnan(measured)))
    return summary


def mean_and_interval(
    per_person: Floats, num_bootstrap: int, seed: int
) -> tuple[float | None, list[float] | None]:
    """Mean of (P,) figures over the people of whom it is known, and its 95 % percentile bootstrap interval.

    Returns:
        The mean and [low, high], both None when nobody's figure is known.
    """
    known = per_person[~np.isnan(per_person)]
    if not len(known):
        return None, None
    picks = np.random.default_rng(seed).integers(0, len(known), (num_bootstrap, len(known)))
    low, high = np.quantile(known[picks].mean(axis=1), [0.025, 0.975])
    return float(known.mean()), [float(low), float(high)]


def shuffled_summary(
    requested: Floats, measured: Floats, *, num_shuffles: int, num_bootstrap: int, seed: int
) -> dict[str, float | list[float] | None]:
    """Summarize the ladder against requests that were permuted between each person's rungs.

    Each person's figure is the mean over the permutations.

    Returns:
        The keys of `summarize_ladder` but `people`. Order accuracy is 0.5 but for chance, whatever was
        measured.
    """
    rng = np.random.default_rng(seed)
    shuffles = [rng.permuted(requested, axis=1) for _ in range(num_shuffles)]
    summary: dict[str, float | list[float] | None] = {}
    for name, figure in FIGURES.items():
        per_person = np.mean([figure(shuffle, measured) for shuffle in shuffles], axis=0)
        summary[name], summary[f"{name}_ci95"] = mean_and_interval(per_person, num_bootstrap, seed)
    summary["coverage"] = float(np.mean(~np.isnan(measured)))
    return summary


def cross_talk(requested: Floats, measured: Floats) -> Floats:
    """How much each measured ratio moves when one ratio is asked for.

    Args:
        requested: (P, A, R) what the ratio of each ladder was asked to be.
        measured: (P, A, R, A) all ratios measured on each ladder's pictures.

    Returns:
        (A, A): row i, column j is the mean slope of measured ratio j on requested ratio i. The identity is
        perfect; NaN where nobody's ladder could be measured.
    """
    num = requested.shape[1]
    slopes = [[slope(requested[:, i], measured[:, i, :, j]) for j in range(num)] for i in range(num)]
    return _mean(np.array(slopes))


def size_accuracy(requested: Sequence[str], measured: Sequence[str | None]) -> dict[str, Any]:
    """Does the measured fit label equal the requested one? Labels are never balanced in real data.

    Args:
        requested: N labels of `FIT_LABELS`.
        measured: N labels, None where the picture couldn't be measured; those are counted in the coverage
            and left out of everything else.

    Returns:
        `balanced`, the mean over the requested labels of the share that was measured as such; `macro_f1`, the
        mean of the labels' F1, over those requested or measured; what the constant that answers the most
        frequent label scores, as balanced (`majority_baseline`) and as plain accuracy (`majority_share`);
        `coverage`, the share that could be measured; `confusion`, counts with requested labels in rows and
        measured ones in columns. NaN without a measured sample.
    """
    confusion = np.zeros((len(FIT_LABELS), len(FIT_LABELS)), dtype=np.int64)
    for asked_label, found_label in zip(requested, measured, strict=True):
        if found_label is not None:
            confusion[FIT_LABELS.index(asked_label), FIT_LABELS.index(found_label)] += 1
    asked, found, hits = confusion.sum(axis=1), confusion.sum(axis=0), np.diag(confusion)
    present, seen = asked > 0, asked + found > 0
    num = int(asked.sum())
    return {
        "balanced": float(np.mean(hits[present] / asked[present])) if num else np.nan,
        "macro_f1": float(np.mean(2 * hits[seen] / (asked + found)[seen])) if num else np.nan,
        "majority_baseline": 1 / int(present.sum()) if num else np.nan,
        "majority_share": float(asked.max() / num) if num else np.nan,
        "coverage": num / len(requested) if requested else 0.0,
        "confusion": confusion.tolist(),
    }


def _pair_signs(requested: Floats, measured: Floats) -> Floats:
    """(P, pairs): 1 in the requested order, -1 against it, 0 for a tie, NaN left out."""
    require_shape("measured", measured, requested.shape)
    first, second = np.triu_indices(requested.shape[1], k=1)
    asked = np.sign(requested[:, second] - requested[:, first])
    found = np.sign(measured[:, second] - measured[:, first])
    return np.where(asked == 0, np.nan, asked * found)


def _centred(requested: Floats, measured: Floats) -> tuple[Floats, Floats]:
    """Both minus their mean over the rungs that were measured, NaN where they weren't."""
    require_shape("measured", measured, requested.shape)
    x = np.where(np.isnan(measured), np.nan, requested)
    return x - _mean(x)[:, None], measured - _mean(measured)[:, None]


def _mean(values: Floats) -> Floats:
    """Mean over the last axis of the values that are known, NaN where none is."""
    known = ~np.isnan(values)
    return _ratio(np.nansum(values, axis=-1), known.sum(axis=-1))


def _ratio(numerator: Floats, denominator: Floats | NDArray[np.int_]) -> Floats:
    """Divide, with NaN where the denominator is 0 (a person with fewer than two measured rungs)."""
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 1e-18)
