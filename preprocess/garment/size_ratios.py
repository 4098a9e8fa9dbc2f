"""Divide a worn garment's lengths by the body's, judge the result and name the fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from preprocess.body.keypoints import Array, Keypoints
from preprocess.body.needs import RESTS_ON, needs_of
from preprocess.garment.bounds import MAX_UNCERTAINTY, Bounds, Measures
from preprocess.sizes.axes import AXIS_NAMES, JUDGED_AT, MEASURED_NAMES, axes_of
from preprocess.vocabulary import FIT_LABELS, SEGMENTED, Category, RowStatus

MEDIAPIPE_TRUST = 0.9
"""Factor of MediaPipe's confidence: its shoulders and torsos scatter by 3 and 5 % about OpenPose's."""

SURE_JOINT = 0.5
"""Confidence from which a joint of the trunk counts as certain; OpenPose's hips reach 0.4 in the median."""

UNSURE_JOINTS = 0.05
"""How far a ratio over joints that nobody is sure of may be off; less in proportion where they are surer."""

COLOURS_TELL = 0.05
"""How far a ratio may be off, either way, of a garment that was told by its colours."""

MEANINGLESS: dict[str, tuple[str, ...]] = {
    "back_view": MEASURED_NAMES,
    "several_people": MEASURED_NAMES,
    "garment_off_body": MEASURED_NAMES,
    "open_jacket": MEASURED_NAMES,
    "joint_out_of_frame": MEASURED_NAMES,
    "unsure_hips": MEASURED_NAMES,
    "side_view": ("shoulder", "waist", "width"),
    "raised_arm": ("shoulder",),
    "missing_elbow": ("width",),
    "axis_hidden": ("width",),
    "garment_out_of_frame": ("shoulder", "waist", "width"),
    "hem_out_of_frame": ("length",),
    "waist_covered": ("waist",),
    "waist_out_of_frame": ("waist",),
    "crossed_legs": ("width",),
    "bent_leg": ("length",),
}
"""Which ratios say nothing when a flag is up: they have no bounds. Other flags describe."""

THRESHOLDS_KEY = b"fit_label_thresholds"
"""Metadata of size annotations: the width ratios between the fit labels, a JSON list (`thresholds_key`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeRatioParams:
    """Section `compute_size_ratios` of params.yaml."""

    credible: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By axis, in every category that has it: ratios outside are taken for measuring errors. Axes left out
    have the bounds of `AXES`."""

    max_uncertainty: Annotated[float, Gt(0)] = MAX_UNCERTAINTY
    """A ratio is known where its bounds are no further apart than this share of it."""

    fit_quantiles: tuple[Annotated[float, Gt(0)], ...] = (0.2, 0.5, 0.8)
    """Where the known width ratios of the train split are cut into `FIT_LABELS`."""

    segmenter: Literal["none", "grabcut"] = "none"
    """What finds the garment in a photo without a parse map. `none`: nothing, the row fails with `no_parse`.
    `grabcut`: its colours, from the joints; the row bears the flag `segmented_garment` and wider bounds. Rows
    with a parse map don't depend on it."""

    workers: Annotated[int, Ge(0)] = 0
    """Processes; 0 takes every core. The result doesn't depend on it."""

    def __post_init__(self) -> None:
        for name, (low, high) in self.credible.items():
            if name not in MEASURED_NAMES or not 0 < low < high:
                raise ValueError(
                    f"credible must have bounds that rise from above 0 for {', '.join(MEASURED_NAMES)}, "
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

    bounds: Mapping[str, Bounds]
    """By axis of the category, garment over body with the interval in which it lies; without one where it
    says nothing, NaN where it can't be measured."""

    max_uncertainty: float
    """Bounds no further apart than this share of the ratio make it known."""

    ease_ratio: float
    """Panel width over the body's own width; NaN when unknown."""

    sleeve_ratio: float
    """Sleeve over arm length; NaN when unknown."""

    status: RowStatus
    """ok (every axis of the category is known), suspect (some isn't) or failed (nothing was measured)."""

    reason: str | None
    """What was seen that speaks against a ratio, by the alphabet, then what is wrong with the axes and which
    aren't known, in the table's order; joined by "; ". So rows that have the same reasons say the same."""

    confidence: float
    """0 to 1: of the joints, times the mean over the axes of how far they are from being unknown."""

    beyond: tuple[str, ...]
    """Axes on which no garment is like this: the ratio is a measuring error."""

    @property
    def ratios(self) -> Array:
        """(A,) best estimates in the order of `AXIS_NAMES`."""
        return np.array([self._bounds_of(name).value for name in AXIS_NAMES])

    @property
    def credible(self) -> Array:
        """(A,) best estimates; NaN where one lies beyond what any garment has, and so is an error."""
        return np.where([name in self.beyond for name in AXIS_NAMES], np.nan, self.ratios)

    @property
    def known(self) -> NDArray[np.bool_]:
        """(A,) whether a ratio's bounds are narrow."""
        return np.array([name in self.bounds and self.is_known(name) for name in AXIS_NAMES])

    def is_known(self, name: str) -> bool:
        """Whether the bounds of an axis of the category are narrow."""
        return uncertainty(name, self.bounds[name]) <= self.max_uncertainty

    def _bounds_of(self, name: str) -> Bounds:
        """The bounds of an axis, which the category may lack."""
        return self.bounds.get(name, Bounds.unknown())


def size_ratios(
    worn: Measures,
    params: SizeRatioParams,
    *,
    category: Category = Category.UPPER,
    keypoints: Keypoints | None = None,
    flags: Sequence[str] = (),
) -> SizeRatios:
    """Divide lengths by the body's and judge the row.

    Args:
        worn: What was measured in the picture.
        params: Limits beyond which a ratio is a measuring error, and when it is known.
        category: Of the garment.
        keypoints: Whose confidence the bounds take in; left out, the joints count as certain.
        flags: What else is known against the row, e.g. from the parse map.

    Returns:
        Ratios and verdict; a ratio that can't be measured is NaN, never a guess.
    """
    found = bounds_over_body(worn, category)
    beyond = _beyond(found, category, params)
    reasons = [*sorted({*worn.flags, *flags}), *_ratio_flags(found, beyond)]
    void = {*beyond, *(name for reason in reasons for name in MEANINGLESS.get(reason, ()))}
    slack = COLOURS_TELL if SEGMENTED in reasons else 0.0
    doubts = joint_doubts(keypoints, category)
    bounds = {
        name: ratio.vague() if name in void else ratio.widened((slack + doubts[name]) * ratio.value)
        for name, ratio in found.items()
    }
    unsure = [uncertainty(name, ratio) for name, ratio in bounds.items()]
    known = [far <= params.max_uncertainty for far in unsure]
    status = RowStatus.OK if all(known) else RowStatus.SUSPECT
    if np.isnan([ratio.value for ratio in bounds.values()]).all():
        status = RowStatus.FAILED
    reasons += [f"{name}_unknown" for name, sure in zip(bounds, known, strict=True) if not sure]
    return SizeRatios(
        bounds=bounds,
        max_uncertainty=params.max_uncertainty,
        ease_ratio=worn.ease_ratio,
        sleeve_ratio=worn.sleeve_ratio,
        status=status,
        reason="; ".join(reasons) or None,
        confidence=_confidence(unsure, params.max_uncertainty, keypoints, category),
        beyond=beyond,
    )


def uncertainty(name: str, ratio: Bounds) -> float:
    """How far apart the bounds of an axis are, as a share of its ratio, or of what it is judged at."""
    return ratio.uncertainty_at(JUDGED_AT[name])


def bounds_over_body(worn: Measures, category: Category) -> dict[str, Bounds]:
    """Divide a worn garment's lengths by its wearer's: `shoulder_ratio`, `width_ratio`, `length_ratio`, ….

    Returns:
        By axis of the category, in the table's order; unknown where a length is.
    """
    return {
        name: worn.lengths[axis.garment].over(worn.body[axis.body])
        for name, axis in axes_of(category).items()
    }


def over_body(worn: Measures, category: Category) -> Array:
    """(A,) the ratios of `bounds_over_body` in the order of `AXIS_NAMES`; NaN where unknown."""
    found = bounds_over_body(worn, category)
    return np.array([found.get(name, Bounds.unknown()).value for name in AXIS_NAMES])


def joint_doubts(keypoints: Keypoints | None, category: Category) -> dict[str, float]:
    """By axis, how far the ratio may be off because its joints are unsure, either way, as a share of it."""
    axes = axes_of(category)
    if keypoints is None:
        return dict.fromkeys(axes, 0.0)
    return {
        name: UNSURE_JOINTS * (1 - joint_confidence(keypoints, RESTS_ON[axis.body]))
        for name, axis in axes.items()
    }


def _confidence(
    unsure: Sequence[float], max_uncertainty: float, keypoints: Keypoints | None, category: Category
) -> float:
    """Confidence 0 to 1; a ratio whose bounds are twice as wide as a known one's adds nothing to it."""
    sure = np.clip([1 - far / (2 * max_uncertainty) for far in unsure], 0, 1)
    trust = 1.0 if keypoints is None else joint_confidence(keypoints, needs_of(category).trusted)
    return round(trust * float(sure.mean()), 4)


def joint_confidence(keypoints: Keypoints, joints: Sequence[int]) -> float:
    """Confidence 0 to 1 in some joints: the least certain that was found counts."""
    found = keypoints.confidence[list(joints)]
    found = found[found > 0]
    trust = MEDIAPIPE_TRUST if keypoints.source == "mediapipe" else 1.0
    return trust * float(np.clip(found.min() / SURE_JOINT, 0, 1)) if found.size else 0.0


def _beyond(ratios: Mapping[str, Bounds], category: Category, params: SizeRatioParams) -> tuple[str, ...]:
    """Return the axes of which the ratio is there, and out of bounds."""
    limits = {name: params.credible.get(name, axis.credible) for name, axis in axes_of(category).items()}
    return tuple(
        name for name, (low, high) in limits.items() if ratios[name].value < low or ratios[name].value > high
    )


def _ratio_flags(ratios: Mapping[str, Bounds], beyond: Sequence[str]) -> list[str]:
    """Name the ratios that are missing or out of bounds."""
    wrong = {name: "not_measurable" for name, ratio in ratios.items() if np.isnan(ratio.value)}
    wrong |= dict.fromkeys(beyond, "out_of_bounds")
    return [f"{name}_{wrong[name]}" for name in ratios if name in wrong]


def thresholds_key(category: str) -> bytes:
    """Name the metadata with the thresholds of a category's fit labels."""
    return THRESHOLDS_KEY if category == Category.UPPER else THRESHOLDS_KEY + f"_{category}".encode()


def fit_label_thresholds(
    width_ratios: NDArray[np.floating], quantiles: Sequence[float] = SizeRatioParams().fit_quantiles
) -> Array:
    """Cut width ratios into fit labels.

    Args:
        width_ratios: (N,) known ones of the train split; NaN are left out.
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
