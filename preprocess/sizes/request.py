"""The size that is asked for: one type for ratios, and for steps up or down from the natural size.

`preprocess.sizes.centimetres` turns centimetres into it.
"""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from preprocess.small_files import shown
from preprocess.vocabulary import SIZE_RATIOS

log = logging.getLogger(__name__)

SMALLEST = {"shoulder": 0.7, "width": 0.7, "length": 0.3}
LARGEST = {"shoulder": 1.8, "width": 2.2, "length": 1.8}
"""The sizes that may be asked for (ratios); the inpainting mask leaves room for the largest."""

STEP = {"shoulder": 0.04, "width": 0.1, "length": 0.03}
"""What one step up adds to each ratio: about one letter of a brand's sizes.

Source: ours. Between letters, shirts usually grow by about 7 cm around the chest, 1.2 cm at the shoulders and
1.5 cm in length; with 32 cm between the joints, a torso of 50 cm and half of the cloth seen from the front
(`preprocess.sizes.centimetres`) that is about 0.1, 0.04 and 0.03.
"""

MOST_STEPS = 10
"""More steps than this are a mistake."""

SMALLEST_RATIO = 0.01
"""Steps down end here: a garment has some size."""

_PART = re.compile(r"\s*(\w+)\s*=\s*([^,=]*?)\s*")


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeRequest:
    """Garment over body, dimensionless, by the definitions of `SIZE_RATIOS`; None leaves a ratio open."""

    shoulder: float | None = None
    """Extent at the shoulders over the distance of the shoulder joints."""

    width: float | None = None
    """Width of the garment below the chest over the same distance."""

    length: float | None = None
    """From the shoulders to the hem, over the length of the torso."""

    steps: float | None = None
    """Ratios left open are the natural ones plus so many steps (`STEP`), where the natural ones are known."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{field.name} must be a finite number or None, got {value}")
        for name in SIZE_RATIOS:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, got {value}: it is garment over body, about 1")
        if self.steps is not None and abs(self.steps) > MOST_STEPS:
            raise ValueError(f"steps must be within {MOST_STEPS} of the natural size, got {self.steps:g}")

    @classmethod
    def natural(cls, steps: float = 0) -> Self:
        """The size at which the person wears a garment in the photo, `steps` larger (below 0: smaller)."""
        return cls(steps=steps)

    @classmethod
    def measured(cls, ratios: Sequence[float] | NDArray[np.floating]) -> Self:
        """Take (3,) ratios in the order of `SIZE_RATIOS`; NaN, or one not above 0, could not be measured."""
        return cls(**{name: float(r) for name, r in zip(SIZE_RATIOS, ratios, strict=True) if r > 0})

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `width=1.4,length=1.1`, with `steps=1` among it if wanted.

        Raises:
            ValueError: A name is unknown or twice there, or a value is no number; or nothing is asked for.
        """
        values: dict[str, float] = {}
        allowed = [field.name for field in fields(cls)]
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
        return cls(**values)

    def resolved(self, natural: "SizeRequest | None") -> "SizeRequest":
        """Return ratios alone: steps are counted from the `natural` ratios; what they don't know stays open.

        Raises:
            ValueError: Steps up or down are asked for, and no natural ratio is known.
        """
        if self.steps is None:
            return self
        start = SizeRequest().ratios() if natural is None else natural.ratios()
        if self.steps and not any(start.values()):
            raise ValueError(
                "steps are counted from the natural size, which is not known for this photo: give a parse "
                "map of it, or ask for ratios such as width=1.4"
            )
        stepped = {
            name: None if ratio is None else max(ratio + self.steps * STEP[name], SMALLEST_RATIO)
            for name, ratio in start.items()
        }
        asked = {name: ratio for name, ratio in self.ratios().items() if ratio is not None}
        return SizeRequest(**(stepped | asked))

    def as_array(self) -> NDArray[np.float64]:
        """(3,) ratios in the order of `SIZE_RATIOS`, NaN where open."""
        return np.array([np.nan if r is None else r for r in self.ratios().values()])

    def ratios(self) -> dict[str, float | None]:
        """Return the three ratios by name."""
        return {name: getattr(self, name) for name in SIZE_RATIOS}

    def out_of_range(self) -> list[str]:
        """Return a line for every ratio that is smaller or larger than what may be asked for."""
        return [
            f"{name} must be between {SMALLEST[name]} and {LARGEST[name]}, got {value:.3g}"
            for name, value in self.ratios().items()
            if value is not None and not SMALLEST[name] <= value <= LARGEST[name]
        ]

    def required_in_range(self) -> Self:
        """Return this request.

        Raises:
            ValueError: A ratio is out of range.
        """
        problems = self.out_of_range()
        if problems:
            raise ValueError(f"{'; '.join(problems)}: ask for less, or allow clamping to the nearest size")
        return self

    def clamped(self) -> "SizeRequest":
        """Return the nearest request in range; a warning is logged for every ratio that had to move."""
        for problem in self.out_of_range():
            log.warning("%s: clamped", problem)
        nearest = {
            name: None if value is None else min(max(value, SMALLEST[name]), LARGEST[name])
            for name, value in self.ratios().items()
        }
        return SizeRequest(**nearest, steps=self.steps)

    def __str__(self) -> str:
        asked: Mapping[str, float | None] = {**self.ratios(), "steps": self.steps}
        return " ".join(f"{name} {value:.2f}" for name, value in asked.items() if value is not None) or "open"
