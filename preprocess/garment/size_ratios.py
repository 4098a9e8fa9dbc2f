"""Divide a worn garment's lengths by the body's, judge the result and name the fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from preprocess.body.keypoints import Array, Keypoints
from preprocess.garment.measurements import WornMeasures
from preprocess.sizes.axes import AXIS_NAMES, axes_of
from preprocess.vocabulary import FIT_LABELS, Category, RowStatus, out_of_bounds

MEDIAPIPE_TRUST = 0.9
"""Factor of MediaPipe's confidence: its shoulders and torsos scatter by 3 and 5 % about OpenPose's."""

DOUBTFUL_CONFIDENCE = 0.5
"""A suspect row's confidence is multiplied by this for each flag."""

TOUCHED_CONFIDENCE = 0.25
"""What is left of the confidence when no row of the width is clear of arms and sleeves."""

SURE_JOINT = 0.5
"""Confidence from which a joint of the trunk counts as certain; OpenPose's hips reach 0.4 in the median."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeRatioParams:
    """Section `compute_size_ratios` of params.yaml."""

    credible: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By axis: ratios outside are taken for measuring errors. Axes left out have the bounds of `AXES`."""

    fit_quantiles: tuple[Annotated[float, Gt(0)], ...] = (0.2, 0.5, 0.8)
    """Where the width ratios of the train split's ok rows are cut into `FIT_LABELS`."""

    tolerated_flags: tuple[str, ...] = ("tucked_hem",)
    """Flags that leave a row ok, with the flag as its reason. Where nearly everybody's arms hang at the
    sides, as in VITON-HD, add `arm_touches_panel` to accept widths that end at an arm."""

    segmenter: Literal["none", "grabcut"] = "none"
    """What finds the garment in a photo without a parse map. `none`: nothing, the row fails with `no_parse`.
    `grabcut`: its colours, from the joints; the row bears the flag `segmented_garment` and so is suspect,
    unless you tolerate it. Rows with a parse map don't depend on it."""

    workers: Annotated[int, Ge(0)] = 0
    """Processes; 0 takes every core. The result doesn't depend on it."""

    def __post_init__(self) -> None:
        for name, (low, high) in self.credible.items():
            if name not in AXIS_NAMES or not 0 < low < high:
                raise ValueError(
                    f"credible must have bounds that rise from above 0 for {', '.join(AXIS_NAMES)}, "
                    f"got {name}: {low} and {high}"
                )
        if len(self.fit_quantiles) != len(FIT_LABELS) - 1 or list(self.fit_quantiles) != sorted(
            self.fit_quantiles
        ):
            raise ValueError(
                f"fit_quantiles must be {len(FIT_LABELS) - 1} rising numbers, got {self.fit_quantiles}"
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SizeRatios:
    """How large a worn garment is against its wearer, and how far to trust that."""

    ratios: Array
    """(A,) garment over body in the order of `AXIS_NAMES`; NaN where it can't be measured."""

    ease_ratio: float
    """Panel width over the body's own width; NaN when unknown."""

    sleeve_ratio: float
    """Sleeve over arm length; NaN when unknown."""

    status: RowStatus
    """ok, suspect (measured, but not to be trusted) or failed (nothing measured)."""

    reason: str | None
    """The flags behind the status, joined by "; ". An ok row has tolerated ones only."""

    confidence: float
    """0 to 1: joints' confidence, clean rows, flags."""


def size_ratios(
    worn: WornMeasures,
    params: SizeRatioParams,
    *,
    category: Category = Category.UPPER,
    keypoints: Keypoints | None = None,
    flags: Sequence[str] = (),
) -> SizeRatios:
    """Divide lengths by the body's and judge the row.

    Args:
        worn: What was measured in the picture.
        params: Bounds beyond which a ratio is doubtful.
        category: Of the garment.
        keypoints: Whose confidence the row's takes in; left out, the joints count as certain.
        flags: What else is known against the row, e.g. from the parse map.

    Returns:
        Ratios and verdict; a ratio that can't be measured is NaN, never a guess.
    """
    ratios = over_body(worn, category)
    reasons = [*worn.flags, *flags, *_ratio_flags(ratios, category, params)]
    doubts = [reason for reason in reasons if reason not in params.tolerated_flags]
    status = RowStatus.SUSPECT if doubts else RowStatus.OK
    if np.isnan(ratios).all():
        status = RowStatus.FAILED
    clean = TOUCHED_CONFIDENCE + (1 - TOUCHED_CONFIDENCE) * worn.clean_share
    trust = 1.0 if keypoints is None else trunk_confidence(keypoints)
    return SizeRatios(
        ratios=ratios,
        ease_ratio=worn.ease_ratio,
        sleeve_ratio=worn.sleeve_ratio,
        status=status,
        reason="; ".join(dict.fromkeys(reasons)) or None,
        confidence=round(trust * clean * DOUBTFUL_CONFIDENCE ** len(doubts), 4),
    )


def trunk_confidence(keypoints: Keypoints) -> float:
    """Confidence 0 to 1 in the joints that span the body frame: the least certain counts."""
    trunk = keypoints.confidence[[2, 5, 9, 12]]
    found = trunk[trunk > 0]
    trust = MEDIAPIPE_TRUST if keypoints.source == "mediapipe" else 1.0
    return trust * float(np.clip(found.min() / SURE_JOINT, 0, 1)) if found.size else 0.0


def over_body(worn: WornMeasures, category: Category) -> Array:
    """Divide a worn garment's lengths by its wearer's: `shoulder_ratio`, `width_ratio`, `length_ratio`, ….

    Returns:
        (A,) in the order of `AXIS_NAMES`; NaN where a length is, and for the axes of other categories.
    """
    found = {
        name: getattr(worn, f"garment_{axis.garment}_px") / getattr(worn, f"body_{axis.body}_px")
        for name, axis in axes_of(category).items()
    }
    return np.array([found.get(name, np.nan) for name in AXIS_NAMES])


def _ratio_flags(ratios: Array, category: Category, params: SizeRatioParams) -> list[str]:
    """Name the ratios that are missing or out of bounds."""
    flags = []
    for name, axis in axes_of(category).items():
        ratio = ratios[AXIS_NAMES.index(name)]
        low, high = params.credible.get(name, axis.credible)
        if np.isnan(ratio):
            flags.append(f"{name}_not_measurable")
        elif not low <= ratio <= high:
            flags.append(out_of_bounds(name))
    return flags


def fit_label_thresholds(
    width_ratios: NDArray[np.floating], quantiles: Sequence[float] = SizeRatioParams().fit_quantiles
) -> Array:
    """Cut width ratios into fit labels.

    Args:
        width_ratios: (N,) of the ok rows of the train split; NaN are left out.
        quantiles: Shares below each cut.

    Returns:
        (3,) rising width ratios.

    Raises:
        ValueError: There is no ratio to cut.
    """
    found = np.asarray(width_ratios, dtype=np.float64)
    found = found[np.isfinite(found)]
    if found.size == 0:
        raise ValueError("fit labels must be cut from at least one measured width ratio, got none")
    return np.quantile(found, quantiles)


def fit_label(width_ratio: float, thresholds: Sequence[float] | Array) -> str:
    """Name the fit of a width ratio; a ratio at a threshold belongs to the wider label."""
    return FIT_LABELS[int(np.searchsorted(np.asarray(thresholds), width_ratio, side="right"))]
