"""Centimetres to size ratios: a wearer's body, a brand's size chart.

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
- *Sleeves.* The seam is as high as the joints, and arms hang: what is longer than they are covers them whole.
- *A wearer who knows only the height.* Bone ends 25.9 % of it apart, a torso of 28.8 %, legs of 49.1 % from
  the hip joints to the ankles, arms of 33.3 % from the shoulders to the wrists.
- *Hips.* The hip joints that OpenPose finds are 0.66 of its shoulder joints' distance apart.
- *Trousers and skirts.* Around waist and hips they are stadiums as at the chest, as deep as the body is, a
  quarter of its girth. Half-way down the thighs both legs together look as wide as the garment is at the
  hips. The crotch is 6 % of the height below the hip joints, a waistband 8 % above them; cloth hangs straight
  down.

Source: body proportions from Drillis and Contini (1966), as printed in Winter, Biomechanics and Motor Control
of Human Movement: shoulders at 0.818 of the height, hips at 0.530, wrists at 0.485, ankles at 0.039, 0.259
between the bone ends. OpenPose's shoulders are 0.63 of its torso apart in the median of 1,039 photos of
VITON-HD, and 0.63 x 0.288 / 0.259 is 0.7; its hips are 0.66 of its shoulders apart in the median of 916. The
rest is ours.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from math import isfinite, pi
from pathlib import Path
from typing import Any, Self

from preprocess.sizes.axes import AXIS_NAMES, axes_of
from preprocess.sizes.request import SizeRequest
from preprocess.untrusted import read_yaml, shown
from preprocess.vocabulary import SLEEVE, Category

SHOULDERS_OF_HEIGHT, TORSO_OF_HEIGHT, LEG_OF_HEIGHT = 0.259, 0.818 - 0.530, 0.530 - 0.039
ARM_OF_HEIGHT = 0.818 - 0.485
DEPTH_OF_GIRTH = 0.25
"""Depth of chest, waist or hips over their girth."""

JOINTS_OF_SHOULDERS = 0.7
"""Distance of the detected shoulder joints over that of the bones' ends."""

HIPS_OF_SHOULDERS = 0.66
"""Distance of the detected hip joints over that of the shoulder joints."""

CROTCH_BELOW_HIPS, WAISTBAND_ABOVE_HIPS = 0.06, 0.08
"""From the hip joints, over the height."""

NECK_ABOVE_JOINTS = 0.125
"""Height of the shoulder seam at the neck above the shoulder joints, over the torso."""

SMALLEST_CM, LARGEST_CM = 5.0, 400.0
"""Body and garment measures outside are in another unit, or mistyped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wearer:
    """Measures of a body (cm). Lengths may be left out where the height is known; girths, all but one."""

    chest_cm: float | None = None
    """Around the chest, at its fullest."""

    waist_cm: float | None = None
    """Around the waist, where trousers are worn."""

    hip_cm: float | None = None
    """Around the hips, at their fullest."""

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
        if self.chest_cm is None and self.waist_cm is None and self.hip_cm is None:
            raise ValueError("a wearer must have chest_cm, or for trousers and skirts waist_cm or hip_cm")
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
        if not set(values) <= set(allowed):
            found = ", ".join(map(shown, values))
            raise ValueError(f"{path} must have some of {', '.join(allowed)}, got {found}")
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
    def hips(self) -> float:
        """Distance of the hip joints as a detector places them (cm)."""
        return HIPS_OF_SHOULDERS * self.joints

    @property
    def tall(self) -> float:
        """Height (cm), from the torso where it wasn't measured."""
        return self.height_cm or self.torso / TORSO_OF_HEIGHT

    @property
    def leg(self) -> float:
        """From hip joint to ankle (cm)."""
        return LEG_OF_HEIGHT * self.tall

    @property
    def arm(self) -> float:
        """From the shoulder to the wrist (cm)."""
        return ARM_OF_HEIGHT * self.tall

    def depth(self, girth: str) -> float:
        """Depth of the body (cm) where `girth`, such as `chest_cm`, goes around it.

        Raises:
            ValueError: That was neither measured nor is its girth known.
        """
        around = getattr(self, girth)
        if girth == "chest_cm" and self.chest_depth_cm is not None:
            return self.chest_depth_cm
        if around is None:
            raise ValueError(f"a garment's {girth} needs the wearer's {girth}")
        return DEPTH_OF_GIRTH * float(around)


@dataclass(frozen=True, kw_only=True, slots=True)
class GarmentMeasures:
    """Measures of a finished garment (cm); None where the chart doesn't say."""

    chest_cm: float | None = None
    """All around, below the sleeves: twice what is measured on the garment laid flat."""

    shoulder_cm: float | None = None
    """Across the back, from seam to seam."""

    length_cm: float | None = None
    """From the highest point of the shoulder seam to the hem; of trousers and skirts from the upper edge."""

    waist_cm: float | None = None
    """All around the upper edge of trousers or a skirt."""

    hip_cm: float | None = None
    """All around them at the hips."""

    inseam_cm: float | None = None
    """From the crotch of trousers to the hem."""

    sleeve_cm: float | None = None
    """From the shoulder seam to the cuff; only where sleeves are a size."""

    def __post_init__(self) -> None:
        require_cm("garment", self)

    def request(self, wearer: Wearer, category: Category = Category.UPPER) -> SizeRequest:
        """Return the ratios at which `wearer` wears a garment of these measures and that category.

        Raises:
            ValueError: There is a measure that such garments don't have, or one that takes a measure of the
                body which isn't known.
        """
        self.require_measures(category)
        ways = LOWER if category is Category.LOWER else ON_TORSO
        given = {way: getattr(self, way.measure) for way in ways}
        ratios = {
            way.axis: min(way.ratio(cm, wearer), axes_of(category)[way.axis].most)
            for way, cm in given.items()
            if cm is not None
        }
        return SizeRequest.of(ratios, category=category)

    def require_measures(self, category: Category) -> None:
        """Raise ValueError where there is a measure that garments of a category don't have, or one twice."""
        ways = LOWER if category is Category.LOWER else ON_TORSO
        known = [way.measure for way in ways]
        given = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        strange = [name for name in given if name not in known]
        if strange:
            raise ValueError(f"garments of {category} have {', '.join(known)}, got {', '.join(strange)}")
        if {"inseam_cm", "length_cm"} <= set(given):
            raise ValueError("trousers must have one of inseam_cm and length_cm, got both")


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """From a measure of a garment to a ratio."""

    measure: str
    """A field of `GarmentMeasures`."""

    axis: str
    """Name of the ratio."""

    body: Callable[[Wearer], float]
    """What it is divided by (cm)."""

    around: bool = False
    """Whether it is a girth, of which half is seen from the front."""

    starts: Callable[[Wearer], float] = lambda _: 0.0
    """How far (cm) above where the ratio is counted from the measure begins."""

    def ratio(self, cm: float, wearer: Wearer) -> float:
        """Return the ratio of a garment of that measure."""
        seen = front_width(cm, wearer.depth(self.measure)) if self.around else cm - self.starts(wearer)
        return seen / self.body(wearer)


ON_TORSO = tuple(
    way
    for way in (
        Way(measure="shoulder_cm", axis="shoulder", body=lambda wearer: wearer.joints),
        Way(measure="chest_cm", axis="width", body=lambda wearer: wearer.joints, around=True),
        Way(
            measure="length_cm",
            axis="length",
            body=lambda wearer: wearer.torso,
            starts=lambda wearer: NECK_ABOVE_JOINTS * wearer.torso,
        ),
        Way(measure="sleeve_cm", axis=SLEEVE, body=lambda wearer: wearer.arm),
    )
    if way.axis in AXIS_NAMES
)
"""Of tops and dresses."""

LOWER = (
    Way(measure="waist_cm", axis="waist", body=lambda wearer: wearer.hips, around=True),
    Way(measure="hip_cm", axis="width", body=lambda wearer: wearer.hips, around=True),
    Way(
        measure="inseam_cm",
        axis="length",
        body=lambda wearer: wearer.leg,
        starts=lambda wearer: -CROTCH_BELOW_HIPS * wearer.tall,
    ),
    Way(
        measure="length_cm",
        axis="length",
        body=lambda wearer: wearer.leg,
        starts=lambda wearer: WAISTBAND_ABOVE_HIPS * wearer.tall,
    ),
)
"""Of trousers and skirts."""


def front_width(girth_cm: float, depth_cm: float) -> float:
    """Return how wide (cm) a garment of `girth_cm` looks from the front on a body so deep."""
    return girth_cm / 2 - depth_cm * (pi / 2 - 1)


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
