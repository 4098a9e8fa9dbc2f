"""Bounds: the interval in which a length lies by what the picture shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from preprocess.body.keypoints import Array

MAX_UNCERTAINTY = 0.1
"""Bounds further apart than this share of the ratio leave it unknown, unless you say otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """A length and the interval in which it lies; all NaN where it can't be measured."""

    value: float
    """The best estimate."""

    low: float
    """The least that it can be by what is seen."""

    high: float
    """The most."""

    def __post_init__(self) -> None:
        if self.low > self.value or self.value > self.high:
            raise ValueError(f"bounds must rise, got {self.low}, {self.value}, {self.high}")

    @classmethod
    def unknown(cls) -> Self:
        """Nothing can be measured."""
        return cls(value=float("nan"), low=float("nan"), high=float("nan"))

    @classmethod
    def spanning(cls, value: float, ends: Sequence[float] | Array) -> Self:
        """A value with other readings of the same length, which its bounds take in."""
        if not np.isfinite(value):
            return cls.unknown()
        found = [value, *(end for end in ends if np.isfinite(end))]
        return cls(value=value, low=float(min(found)), high=float(max(found)))

    @property
    def uncertainty(self) -> float:
        """Width of the interval over the value; infinite where there is no interval."""
        return self.uncertainty_at(0.0)

    def uncertainty_at(self, least: float) -> float:
        """Width of the interval over the value, or over `least` where the value is less."""
        width = self.high - self.low
        return width / max(self.value, least) if np.isfinite(width) and self.value > 0 else float("inf")

    def plus(self, other: Self) -> Self:
        """The sum of two lengths."""
        low, high = self.low + other.low, self.high + other.high
        return type(self)(value=self.value + other.value, low=low, high=high)

    def vague(self) -> Self:
        """The same value without an interval: it says nothing about what it should measure."""
        return type(self)(value=self.value, low=float("nan"), high=float("nan"))

    def widened(self, down: float, up: float | None = None) -> Self:
        """Bounds further out by `down` below and `up` (or as much) above, but not below 0."""
        up = down if up is None else up
        low = min(max(self.low - down, 0.0), self.value) if np.isfinite(self.low) else self.low
        return type(self)(value=self.value, low=low, high=self.high + up)

    def over(self, length: float) -> Self:
        """The ratio to another length."""
        return type(self)(value=self.value / length, low=self.low / length, high=self.high / length)


class Measures(Protocol):
    """What is measured of a worn garment and its wearer, whatever the category; NaN: it can't be."""

    @property
    def lengths(self) -> Mapping[str, Bounds]:
        """Px of the garment, by what the axes of its category divide."""

    @property
    def body(self) -> Mapping[str, float]:
        """Px of the wearer, by what the axes divide by."""

    @property
    def tilt_deg(self) -> float:
        """Angle of the body against the vertical."""

    @property
    def ease_ratio(self) -> float:
        """Garment's width over the body's own in the same rows."""

    @property
    def sleeve_ratio(self) -> float:
        """Sleeve over arm length."""

    @property
    def flags(self) -> tuple[str, ...]:
        """What was seen that speaks against a measure, in a fixed order."""
