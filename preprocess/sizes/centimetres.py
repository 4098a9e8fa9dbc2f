"""Centimetres to size ratios and back: a wearer's body, a brand's size chart, ease.

A size ratio is what a camera in front of the person sees, a tape measure goes around. The assumptions between
the two stand here and nowhere else; all are rough, and a chart's words "chest" or "length" are rougher.

- *Around the chest.* A horizontal section is two parallel sheets of cloth that end in half circles as deep as
  the body: a stadium. Ease adds to its width only, one half of it, as in a garment laid flat. Seen from the
  front it is girth / 2 - depth (pi / 2 - 1) wide. The garment is cut straight from the chest down.
- *Depth of the chest.* A quarter of its girth where the wearer doesn't know it.
- *Shoulders.* A garment's shoulder, seam to seam, lies on a line from one shoulder bone's end to the other;
  the joints that OpenPose finds are 0.7 of that apart.
- *Length.* Measured on the garment from the highest point of the shoulder seam, beside the neck, an eighth of
  the torso above the joints. The cloth hangs straight down from there.
- *A wearer who knows only the height.* Bone ends 25.9 % of it apart, a torso of 28.8 %.

Source: body proportions from Drillis and Contini (1966), as printed in Winter, Biomechanics and Motor Control
of Human Movement: shoulders at 0.818 of the height, hips at 0.530, 0.259 between the bone ends. OpenPose's
shoulders are 0.63 of its torso apart in the median of 1,039 photos of VITON-HD, and 0.63 x 0.288 / 0.259 is
0.7. The rest is ours.
"""

from dataclasses import dataclass, fields
from math import isfinite, pi
from pathlib import Path
from typing import Any, Self

from preprocess.sizes.request import SizeRequest
from preprocess.untrusted import read_yaml, shown

SHOULDERS_OF_HEIGHT, TORSO_OF_HEIGHT = 0.259, 0.818 - 0.530
DEPTH_OF_CHEST = 0.25
"""Depth of the chest over its girth."""

JOINTS_OF_SHOULDERS = 0.7
"""Distance of the detected shoulder joints over that of the bones' ends."""

NECK_ABOVE_JOINTS = 0.125
"""Height of the shoulder seam at the neck above the shoulder joints, over the torso."""

SMALLEST_CM, LARGEST_CM = 5.0, 400.0
"""Body and garment measures outside are in another unit, or mistyped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wearer:
    """Measures of a body (cm). Shoulder and torso may be left out where the height is known."""

    chest_cm: float
    """Around the chest, at its fullest."""

    height_cm: float | None = None
    """Standing."""

    shoulder_cm: float | None = None
    """From the end of one shoulder bone to that of the other, straight."""

    torso_cm: float | None = None
    """From the line between the shoulder joints down to the line between the hip joints."""

    chest_depth_cm: float | None = None
    """From breastbone to spine."""

    def __post_init__(self) -> None:
        require_cm("wearer", self)
        if self.height_cm is None and (self.shoulder_cm is None or self.torso_cm is None):
            raise ValueError("a wearer must have height_cm, or both of shoulder_cm and torso_cm")

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a wearer from YAML: `chest_cm: 92` and `height_cm: 172`, or what else there is above.

        Raises:
            ValueError: Something in the file is no measure of a body, or too little is there.
            OSError: It can't be read.
        """
        values = read_yaml(Path(path))
        allowed = [field.name for field in fields(cls)]
        if "chest_cm" not in values or not set(values) <= set(allowed):
            raise ValueError(
                f"{path} must have chest_cm, and may have {', '.join(allowed[1:])}, "
                f"got {', '.join(map(shown, values))}"
            )
        try:
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    @property
    def shoulder(self) -> float:
        """Distance of the shoulder bones' ends (cm), from the height where it wasn't measured."""
        return self.shoulder_cm or SHOULDERS_OF_HEIGHT * (self.height_cm or 0)

    @property
    def joints(self) -> float:
        """Distance of the shoulder joints as a detector places them (cm): what size ratios refer to."""
        return JOINTS_OF_SHOULDERS * self.shoulder

    @property
    def torso(self) -> float:
        """Length of the torso (cm), from the height where it wasn't measured."""
        return self.torso_cm or TORSO_OF_HEIGHT * (self.height_cm or 0)

    @property
    def depth(self) -> float:
        """Depth of the chest (cm), from its girth where it wasn't measured."""
        return self.chest_depth_cm or DEPTH_OF_CHEST * self.chest_cm


@dataclass(frozen=True, kw_only=True, slots=True)
class GarmentMeasures:
    """Measures of a finished garment (cm); None where the chart doesn't say."""

    chest_cm: float | None = None
    """All around, below the sleeves: twice what is measured on the garment laid flat."""

    shoulder_cm: float | None = None
    """Across the back, from seam to seam."""

    length_cm: float | None = None
    """From the highest point of the shoulder seam to the hem."""

    def __post_init__(self) -> None:
        require_cm("garment", self)

    def request(self, wearer: Wearer) -> SizeRequest:
        """Return the ratios at which `wearer` wears a garment of these measures."""
        return SizeRequest(
            shoulder=None if self.shoulder_cm is None else self.shoulder_cm / wearer.joints,
            width=None if self.chest_cm is None else front_width(self.chest_cm, wearer) / wearer.joints,
            length=None if self.length_cm is None else self.length_cm / wearer.torso - NECK_ABOVE_JOINTS,
        )

    @classmethod
    def of(cls, request: SizeRequest, wearer: Wearer) -> Self:
        """Return the measures of a garment that `wearer` wears at `request`; the inverse of `request`."""
        shoulder, width, length = (request[name] for name in ("shoulder", "width", "length"))
        return cls(
            shoulder_cm=None if shoulder is None else shoulder * wearer.joints,
            chest_cm=None if width is None else girth(width * wearer.joints, wearer),
            length_cm=None if length is None else (length + NECK_ABOVE_JOINTS) * wearer.torso,
        )


def front_width(girth_cm: float, wearer: Wearer) -> float:
    """Return how wide (cm) a garment of `girth_cm` looks from the front."""
    return girth_cm / 2 - wearer.depth * (pi / 2 - 1)


def girth(front_width_cm: float, wearer: Wearer) -> float:
    """Return the girth (cm) of a garment so wide from the front; the inverse of `front_width`."""
    return 2 * (front_width_cm + wearer.depth * (pi / 2 - 1))


def from_ease_cm(
    wearer: Wearer,
    *,
    chest: float | None = None,
    shoulder: float | None = None,
    length: float | None = None,
) -> SizeRequest:
    """Ask for a garment by how much larger than the body it is.

    Args:
        wearer: The body.
        chest: Garment's girth minus the body's (cm); a regular shirt has 8 to 12.
        shoulder: Garment's shoulder minus the body's (cm).
        length: How far the hem is below the hip joints (cm); below 0 it is above.
    """
    return GarmentMeasures(
        chest_cm=None if chest is None else wearer.chest_cm + chest,
        shoulder_cm=None if shoulder is None else wearer.shoulder + shoulder,
        length_cm=None if length is None else (1 + NECK_ABOVE_JOINTS) * wearer.torso + length,
    ).request(wearer)


def require_cm(what: str, measures: Any) -> None:
    """Raise ValueError unless every measure that is there is a number of centimetres of a person's size."""
    for field in fields(measures):
        value = getattr(measures, field.name)
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        if not number or not SMALLEST_CM <= value <= LARGEST_CM:
            raise ValueError(
                f"{field.name} of the {what} must be {SMALLEST_CM:g} to {LARGEST_CM:g} cm, got {shown(value)}"
            )
