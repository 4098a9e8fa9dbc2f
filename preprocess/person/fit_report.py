"""How a garment fits in a picture: measured there, never taken from what was asked for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.body.keypoints import Keypoints
from preprocess.garment.scene import Scene
from preprocess.garment.size_ratios import SizeRatioParams, size_ratios
from preprocess.garment.worn import NOT_ON_BODY, measured_alone
from preprocess.sizes.axes import AXIS_NAMES, Axis
from preprocess.sizes.request import SizeRequest

JUST_RIGHT = 0.02
"""Deviations up to this are within what is measured in two pictures of the same garment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionFit:
    """One region of the body."""

    region: str
    """What it is called."""

    requested: float | None
    """Ratio that was asked for; None where it was left open."""

    measured: float | None
    """Ratio in the picture; None where it couldn't be measured."""

    natural: float | None
    """Ratio of the garment in the person's photo."""

    verdict: str
    """Measured against natural, such as `6 % wide at the chest`: how it sits beside what the person wears."""

    obedience: str
    """Measured against requested, such as `3 % less than asked`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FitReport:
    """One picture."""

    regions: Mapping[str, RegionFit]
    """By the name of the axis."""

    confidence: float
    """0 to 1: of the joints, clean rows, and doubts; 0 where nothing was measured."""

    doubts: tuple[str, ...]
    """What makes the measures doubtful."""

    @property
    def requested(self) -> dict[str, float | None]:
        """Ratios asked for."""
        return {name: region.requested for name, region in self.regions.items()}

    @property
    def measured(self) -> dict[str, float | None]:
        """Ratios measured."""
        return {name: region.measured for name, region in self.regions.items()}

    @property
    def verdict(self) -> dict[str, str]:
        """What to say of each region."""
        return {name: region.verdict for name, region in self.regions.items()}

    @property
    def summary(self) -> str:
        """All regions in one line."""
        return ", ".join(self.verdict.values())

    def to_dict(self) -> dict[str, Any]:
        """Return what `fit.json` says of a picture; numbers are rounded to a thousandth."""
        regions = {
            name: {key: round(v, 3) if isinstance(v, float) else v for key, v in asdict(region).items()}
            for name, region in self.regions.items()
        }
        return {
            "summary": self.summary,
            "confidence": round(self.confidence, 3),
            "doubts": list(self.doubts),
            "regions": regions,
        }


def measure_fit(
    garment: NDArray[np.bool_],
    keypoints: Keypoints,
    requested: SizeRequest,
    natural: SizeRequest | None,
    tops: NDArray[np.bool_] | None = None,
    picture: NDArray[np.uint8] | None = None,
) -> FitReport:
    """Measure the garment in a picture.

    Args:
        garment: (H, W) bool, where a segmenter sees it.
        keypoints: Of its wearer, px of that picture.
        requested: What was asked for.
        natural: Size of the garment in the person's own photo.
        tops: (H, W) bool, what is worn above a garment of the lower body; None where that isn't known.
        picture: (H, W, 3) RGB: its edges tell where a sleeve or an arm ends and the panel begins.
    """
    worn = measured_alone(garment, keypoints, requested.category, Scene(photo=picture), tops=tops)
    found = size_ratios(worn, SizeRatioParams(), category=requested.category, keypoints=keypoints)
    lost = not NOT_ON_BODY.isdisjoint(worn.flags)
    ratios = np.full(len(AXIS_NAMES), np.nan) if lost else found.ratios
    measured = SizeRequest.measured(ratios, requested.category)
    usual = natural or SizeRequest(category=requested.category)
    return FitReport(
        regions={
            name: region_fit(axis, requested[name], measured[name], usual[name])
            for name, axis in requested.axes.items()
        },
        confidence=0.0 if lost else found.confidence,
        doubts=tuple(found.reason.split("; ")) if found.reason else (),
    )


def region_fit(
    axis: Axis, requested: float | None, measured: float | None, natural: float | None
) -> RegionFit:
    """Put one region into words."""
    return RegionFit(
        region=axis.region,
        requested=requested,
        measured=measured,
        natural=natural,
        verdict=verdict(axis, measured, natural),
        obedience=obedience(axis, measured, requested),
    )


def verdict(axis: Axis, measured: float | None, natural: float | None) -> str:
    """Say how a region sits, e.g. `4 % tight at the shoulder`."""
    region = axis.region
    if measured is None:
        return f"not measurable at the {region}"
    difference = off_by(axis, measured, natural)
    if difference is None:
        return f"{measured:.2f} at the {region}, with nothing to compare it with"
    if abs(difference) <= JUST_RIGHT:
        return f"as worn at the {region}"
    smaller, larger = axis.words
    return f"{abs(difference):.0%} {larger if difference > 0 else smaller} at the {region}".replace("%", " %")


def obedience(axis: Axis, measured: float | None, requested: float | None) -> str:
    """Say how the picture follows the request, e.g. `3 % less than asked`."""
    if requested is None:
        return "not asked for"
    difference = off_by(axis, measured, requested)
    if difference is None:
        return "not measurable"
    if abs(difference) <= JUST_RIGHT:
        return "as asked"
    return f"{abs(difference):.0%} {'more' if difference > 0 else 'less'} than asked".replace("%", " %")


def off_by(axis: Axis, measured: float | None, reference: float | None) -> float | None:
    """Return the `deviation`, as a share of what the axis is judged at where the reference is less."""
    off = deviation(measured, reference)
    return off if off is None or reference is None else off * (reference / max(reference, axis.judged_at))


def deviation(measured: float | None, reference: float | None) -> float | None:
    """Return measured over reference, minus 1; None unless both are known."""
    return None if measured is None or reference is None else measured / reference - 1
