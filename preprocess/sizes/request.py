"""The size that is asked for: one type for ratios, and for steps up or down from the natural size.

`preprocess.sizes.centimetres` turns centimetres into it.
"""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from preprocess.sizes.axes import AXIS_NAMES, SMALLEST_RATIO, Axis, axes_of
from preprocess.untrusted import shown
from preprocess.vocabulary import Category

log = logging.getLogger(__name__)

MOST_STEPS = 10
"""More steps than this are a mistake."""

ROUNDING = 1e-9
"""A ratio this little out of a range is at its end: it was measured there."""

Range = Mapping[str, tuple[float, float]]
"""Smallest and largest ratio that may be asked for, by axis."""

_PART = re.compile(r"\s*(\w+)\s*=\s*([^,=]*?)\s*")


@dataclass(frozen=True, slots=True, init=False)
class SizeRequest:
    """Garment over body, dimensionless, by the axes of a category: `SizeRequest(width=1.4)["width"]`."""

    asked: tuple[tuple[str, float], ...]
    """Axes and ratios that are not left open, in the table's order."""

    steps: float | None
    """Ratios left open are the natural ones plus so many steps, where the natural ones are known."""

    category: Category
    """Of the garment."""

    def __init__(
        self, *, steps: float | None = None, category: Category = Category.UPPER, **ratios: float | None
    ) -> None:
        """Ask for ratios by the names of their axes; None, or one left out, is left open.

        Raises:
            ValueError: The category has no such axis, a ratio is no finite number above 0, or there are too
                many steps.
        """
        axes = axes_of(category)
        unknown = sorted(ratios.keys() - axes)
        if unknown:
            raise ValueError(f"{category} has the axes {', '.join(axes)}, got {', '.join(unknown)}")
        asked = tuple((name, value) for name in axes if (value := ratios.get(name)) is not None)
        require_size(asked, steps)
        object.__setattr__(self, "asked", asked)
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "category", category)

    def __getitem__(self, name: str) -> float | None:
        return self.ratios()[name]

    @property
    def axes(self) -> dict[str, Axis]:
        """What may be asked for."""
        return axes_of(self.category)

    @classmethod
    def of(
        cls,
        ratios: Mapping[str, float | None],
        *,
        steps: float | None = None,
        category: Category = Category.UPPER,
    ) -> Self:
        """Ask for ratios by a mapping; see `SizeRequest`."""
        return cls(steps=steps, category=category, **ratios)

    @classmethod
    def natural(cls, steps: float = 0, category: Category = Category.UPPER) -> Self:
        """The size at which the person wears a garment in the photo, `steps` larger (below 0: smaller)."""
        return cls(steps=steps, category=category)

    @classmethod
    def measured(
        cls, ratios: Sequence[float] | NDArray[np.floating], category: Category = Category.UPPER
    ) -> Self:
        """Take (A,) ratios in the order of `AXIS_NAMES`; NaN, or one not above 0, could not be measured."""
        found = {name: float(r) for name, r in zip(AXIS_NAMES, ratios, strict=True) if r > 0}
        return cls.of(found, category=category)

    @classmethod
    def parse(cls, text: str, category: Category = Category.UPPER) -> Self:
        """Read `width=1.4,length=1.1`, with `steps=1` among it if wanted.

        Raises:
            ValueError: A name is unknown or twice there, or a value is no number; or nothing is asked for.
        """
        values: dict[str, float] = {}
        allowed = (*axes_of(category), "steps")
        for part in text.split(","):
            found = _PART.fullmatch(part)
            name = found[1] if found else ""
            if found is None or name not in allowed or name in values:
                raise ValueError(
                    f"a size must be like width=1.4,length=1.1 with each of {', '.join(allowed)} at most "
                    f"once, got {shown(text)}"
                )
            try:
                values[name] = float(found[2])
            except ValueError:
                raise ValueError(f"{name} must be a number, got {shown(found[2])}") from None
        steps = values.pop("steps", None)
        return cls.of(values, steps=steps, category=category)

    def of_category(self, category: Category) -> "SizeRequest":
        """Ask the same of garments of another category: steps of any, ratios of the same lengths.

        Raises:
            ValueError: They haven't an axis that is asked for, or divide other lengths by its name.
        """
        if category == self.category:
            return self
        request = SizeRequest.of(dict(self.asked), steps=self.steps, category=category)
        for name, _ in self.asked:
            here, there = self.axes[name], request.axes[name]
            if (here.garment, here.body) != (there.garment, there.body):
                raise ValueError(
                    f"{name} of {self.category} is over the {here.body}, of {category} over the {there.body}"
                    f": ask for steps, or for {category} by itself (--category)"
                )
        return request

    def resolved(self, natural: "SizeRequest | None") -> "SizeRequest":
        """Return ratios alone: steps are counted from the `natural` ratios; what they don't know stays open.

        Raises:
            ValueError: Steps up or down are asked for, and no natural ratio is known.
        """
        if self.steps is None:
            return self
        start = dict(natural.asked) if natural and natural.category == self.category else {}
        if self.steps and not start:
            raise ValueError(
                "steps are counted from the natural size, which is not known for this photo: give a parse "
                "map of it, or ask for ratios such as width=1.4"
            )
        stepped = {
            name: min(max(ratio + self.steps * self.axes[name].step, SMALLEST_RATIO), self.axes[name].most)
            for name, ratio in start.items()
        }
        return SizeRequest.of(stepped | dict(self.asked), category=self.category)

    def as_array(self) -> NDArray[np.float64]:
        """(A,) ratios in the order of `AXIS_NAMES`, NaN where open."""
        asked = dict(self.asked)
        return np.array([asked.get(name, np.nan) for name in AXIS_NAMES])

    def ratios(self) -> dict[str, float | None]:
        """Return the ratios of the category's axes by name."""
        asked = dict(self.asked)
        return {name: asked.get(name) for name in self.axes}

    def out_of_range(self, within: Range | None = None) -> list[str]:
        """Return a line for every ratio that is smaller or larger than what may be asked for.

        Args:
            within: What may be asked for; the table's range when None.
        """
        allowed = within or {name: axis.asked for name, axis in self.axes.items()}
        return [
            f"{name} must be between {smallest} and {largest}, got {value:.3g}"
            for name, value in self.asked
            for smallest, largest in [allowed[name]]
            if not smallest - ROUNDING <= value <= largest + ROUNDING
        ]

    def required_in_range(
        self, within: Range | None = None, natural: "SizeRequest | None" = None
    ) -> "SizeRequest":
        """Return this request; `within` as in `out_of_range`.

        A ratio of the `natural` size was measured, and nobody asked for it: out of range it is clamped.

        Raises:
            ValueError: Another ratio is out of range.
        """
        own = set(self.asked).intersection(natural.asked if natural else ())
        worn = SizeRequest.of(dict(own), category=self.category)
        if worn.out_of_range(within):
            ratios = dict(self.asked) | dict(worn.clamped(within).asked)
            moved = SizeRequest.of(ratios, steps=self.steps, category=self.category)
            return moved.required_in_range(within)
        problems = self.out_of_range(within)
        if problems:
            raise ValueError(f"{'; '.join(problems)}, or be clamped to the nearest size (--clamp)")
        return self

    def clamped(self, within: Range | None = None) -> "SizeRequest":
        """Return the nearest request in range; a warning is logged for every ratio that had to move."""
        for problem in self.out_of_range(within):
            log.warning("%s: clamped", problem)
        allowed = within or {name: axis.asked for name, axis in self.axes.items()}
        nearest = {name: float(np.clip(value, *allowed[name])) for name, value in self.asked}
        return SizeRequest.of(nearest, steps=self.steps, category=self.category)

    def __str__(self) -> str:
        asked = [*self.asked, *([] if self.steps is None else [("steps", self.steps)])]
        return " ".join(f"{name} {value:.2f}" for name, value in asked) or "open"


def require_size(asked: Sequence[tuple[str, float]], steps: float | None) -> None:
    """Raise ValueError unless ratios and steps are numbers that a size can have."""
    for name, value in (*asked, *([] if steps is None else [("steps", steps)])):
        if not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number or None, got {value}")
    for name, value in asked:
        if value <= 0:
            raise ValueError(f"{name} must be above 0, got {value}: it is garment over body, about 1")
    if steps is not None and abs(steps) > MOST_STEPS:
        raise ValueError(f"steps must be within {MOST_STEPS} of the natural size, got {steps:g}")
