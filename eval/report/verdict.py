"""Does the adapter beat each baseline? Said plainly, also where it doesn't."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from preprocess.sizes.axes import AXIS_NAMES

BETTER, WORSE, UNDECIDED, UNKNOWN = "better", "worse", "intervals overlap", "not measured"


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
    """`BETTER` or `WORSE` only where the 95 % intervals don't overlap."""


def verdicts(metrics: Mapping[str, Any]) -> list[Verdict]:
    """Compare order accuracy, MAE and GFD of the adapter with every baseline of metrics.json."""
    return [
        verdict
        for rival, section in metrics["baselines"].items()
        for verdict in against(rival, section, metrics)
    ]


def against(rival: str, section: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[Verdict]:
    """Compare the adapter with one rival."""
    compared = [
        compare(rival, f"{ratio} {figure}", metrics["ladder"][ratio], section[ratio], figure, sign)
        for figure, sign in (("order_accuracy", 1), ("mae", -1))
        for ratio in AXIS_NAMES
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
    return Verdict(rival=rival, figure=label, ours=ours[figure], theirs=theirs[figure], outcome=outcome)
