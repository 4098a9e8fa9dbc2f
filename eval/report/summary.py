"""From trials to the numbers of metrics.json, and from these to verdicts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.ladder.baselines import BASELINES
from eval.ladder.figures import (
    cross_talk,
    mean_and_interval,
    shuffled_summary,
    size_accuracy,
    summarize_ladder,
)
from eval.ladder.trials import Trials
from eval.params import EvaluateParams
from eval.report.card import COVERAGE, COVERAGE_MARGIN
from preprocess.garment.size_ratios import fit_label
from preprocess.sizes.axes import AXIS_NAMES, FIT_PLACE

Floats = NDArray[np.float64]

ADAPTER, SCALE_ZERO, SIZE_ONLY, BEYOND = "adapter", "scale_zero", "train_size_only", "out_of_range"
SHUFFLED, UNPAIRED = "shuffled", "unpaired"
"""Names of what was run, beside those of the baselines."""


def summarize(trials: Mapping[str, Trials], thresholds: Floats, params: EvaluateParams) -> dict[str, Any]:
    """Turn every method's trials, among them `ADAPTER`'s, into the fit sections of metrics.json.

    There are (3,) thresholds: width ratios between the fit labels.

    Returns:
        `ladder`, `controls`, `baselines`, `size_accuracy`, `gfd`, `unpaired`, all JSON values.
    """
    adapter = trials[ADAPTER]
    talk = cross_talk(adapter.changing(), adapter.measured)
    ladder = ladders(adapter, params)
    ladder |= {"people": len(adapter.requested), "cross_talk": talk.tolist()}
    if BEYOND in trials:
        ladder["out_of_range"] = ladders(trials[BEYOND], params)
    controls: dict[str, Any] = all_figures(trials, (SHUFFLED,), thresholds, params)
    swapped = {"size_accuracy": swapped_accuracy(adapter, thresholds, params)}
    controls[SHUFFLED] = controls.get(SHUFFLED, {}) | shuffled(adapter, params) | swapped
    controls |= all_figures(trials, (SCALE_ZERO, SIZE_ONLY), thresholds, params)
    return {
        "ladder": ladder,
        "controls": controls,
        "baselines": all_figures(trials, BASELINES, thresholds, params),
        "size_accuracy": width_accuracy(adapter, thresholds),
        "gfd": deviations(adapter, params),
        "unpaired": unpaired(trials.get(UNPAIRED), thresholds, params),
    }


def unpaired(trials: Trials | None, thresholds: Floats, params: EvaluateParams) -> dict[str, Any]:
    """The width ladder in another's garment; there is no outline to hold it against, so it has no GFD."""
    if trials is None or not len(trials.climbers(FIT_PLACE)):
        return {"absent": "there are no pictures of anybody in another's garment"}
    accuracy = width_accuracy(trials, thresholds)
    return ladders(trials, params) | {"people": len(trials.climbers(FIT_PLACE)), "size_accuracy": accuracy}


def all_figures(
    trials: Mapping[str, Trials], names: Iterable[str], thresholds: Floats, params: EvaluateParams
) -> dict[str, Any]:
    """`figures` of those methods that were run."""
    return {name: figures(trials[name], thresholds, params) for name in names if name in trials}


def figures(trials: Trials, thresholds: Floats, params: EvaluateParams) -> dict[str, Any]:
    """Every fit figure of a control or baseline, so that it stands beside the adapter's."""
    accuracy = width_accuracy(trials, thresholds)
    return ladders(trials, params) | {"size_accuracy": accuracy, "gfd": deviations(trials, params)}


def ladders(trials: Trials, params: EvaluateParams) -> dict[str, Any]:
    """The ladder figures by ratio, over the people known on it; without the ratios that nobody is."""
    return {
        name: summarize_ladder(*trials.along(dimension), num_bootstrap=params.num_bootstrap, seed=params.seed)
        for dimension, name in enumerate(AXIS_NAMES)
        if len(trials.climbers(dimension))
    }


def shuffled(trials: Trials, params: EvaluateParams) -> dict[str, Any]:
    """The ladder figures by ratio, against requests that were permuted many times."""
    return {
        name: shuffled_summary(
            *trials.along(dimension),
            num_shuffles=params.num_shuffles,
            num_bootstrap=params.num_bootstrap,
            seed=params.seed,
        )
        for dimension, name in enumerate(AXIS_NAMES)
        if len(trials.climbers(dimension))
    }


def width_accuracy(trials: Trials, thresholds: Floats) -> dict[str, Any]:
    """Size accuracy over the width ladder: the only one whose requests cross the fit labels."""
    requested, measured = trials.along(FIT_PLACE)
    return label_accuracy(requested.ravel(), measured.ravel(), thresholds)


def swapped_accuracy(trials: Trials, thresholds: Floats, params: EvaluateParams) -> dict[str, Any]:
    """`width_accuracy` against requests that were permuted between all pictures, many times."""
    requested, measured = (ratios.ravel() for ratios in trials.along(FIT_PLACE))
    rng = np.random.default_rng(params.seed)
    swapped = np.concatenate([rng.permutation(requested) for _ in range(params.num_shuffles)])
    return label_accuracy(swapped, np.tile(measured, params.num_shuffles), thresholds)


def label_accuracy(requested: Floats, measured: Floats, thresholds: Floats) -> dict[str, Any]:
    """Size accuracy of (N,) width ratios, NaN where they couldn't be measured."""
    asked = [fit_label(ratio, thresholds) for ratio in requested]
    found = [None if np.isnan(ratio) else fit_label(ratio, thresholds) for ratio in measured]
    return size_accuracy(asked, found)


def deviations(trials: Trials, params: EvaluateParams) -> dict[str, Any]:
    """`gfd` of metrics.json: means over all pictures that were asked for, with intervals over people."""
    per_person = {
        "mean": trials.gfd,
        "width_bias": trials.width_bias,
        "hem_error": trials.hem_error,
        "hd95": trials.hd95,
    }
    section: dict[str, Any] = {}
    for name, values in per_person.items():
        people = masked_mean(values.reshape(len(values), -1))
        section[name], section[f"{name}_ci95"] = mean_and_interval(people, params.num_bootstrap, params.seed)
    asked = np.isfinite(trials.changing())
    section["coverage"] = float(np.isfinite(trials.gfd[asked]).mean())
    return section


def masked_mean(values: Floats) -> Floats:
    """Mean over the last axis of what is known, NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=-1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan)


def without_nan(value: Any) -> Any:
    """Replace every number that isn't finite by None, in nested dicts and lists: JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


BETTER, WORSE, UNDECIDED, UNKNOWN = "better", "worse", "intervals overlap", "not measured"
UNEQUAL = "not over as many pictures"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One figure of the adapter beside one rival's."""

    rival: str
    """Baseline or control."""

    figure: str
    """What is compared, such as `width order_accuracy`."""

    ours: float | None
    """The adapter's figure."""

    theirs: float | None
    """The rival's figure."""

    outcome: str
    """`BETTER` or `WORSE` only where the 95 % intervals don't overlap, and the better one doesn't cover fewer
    pictures by more than `COVERAGE_MARGIN`."""


def verdicts(metrics: Mapping[str, Any]) -> list[Verdict]:
    """Compare order accuracy, MAE and GFD of the adapter with every baseline of metrics.json.

    Said plainly, also where the adapter is not better.
    """
    return [
        verdict
        for rival, section in metrics["baselines"].items()
        for verdict in against(rival, section, metrics)
    ]


def measured_along(metrics: Mapping[str, Any]) -> list[str]:
    """Return the axes along which metrics.json has ladders."""
    return [name for name in AXIS_NAMES if name in metrics["ladder"]]


def against(rival: str, section: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[Verdict]:
    """Compare the adapter with one rival."""
    compared = [
        compare(rival, f"{ratio} {figure}", metrics["ladder"][ratio], section[ratio], figure, sign)
        for figure, sign in (("order_accuracy", 1), ("mae", -1))
        for ratio in measured_along(metrics)
    ]
    return [*compared, compare(rival, "GFD", metrics["gfd"], section["gfd"], "mean", -1)]


def compare(
    rival: str, label: str, ours: Mapping[str, Any], theirs: Mapping[str, Any], figure: str, sign: int
) -> Verdict:
    """Compare one figure; `sign` is 1 where more is better and -1 where less is."""
    intervals = ours[f"{figure}_ci95"], theirs[f"{figure}_ci95"]
    if None in intervals:
        outcome = UNKNOWN
    else:
        (low, high), (their_low, their_high) = (sorted(sign * end for end in pair) for pair in intervals)
        outcome = BETTER if low > their_high else WORSE if high < their_low else UNDECIDED
        lead = ours[COVERAGE] - theirs[COVERAGE]
        if (outcome == BETTER and -lead > COVERAGE_MARGIN) or (outcome == WORSE and lead > COVERAGE_MARGIN):
            outcome = UNEQUAL
    return Verdict(rival=rival, figure=label, ours=ours[figure], theirs=theirs[figure], outcome=outcome)
