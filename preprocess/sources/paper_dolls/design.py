"""What a paper doll's garment looks like, whatever its size, and the words for it."""

from dataclasses import dataclass

import numpy as np

from preprocess.sources.paper_dolls.person import Colour

COLOURS: dict[str, Colour] = {
    "white": (240, 239, 236),
    "black": (40, 40, 44),
    "grey": (146, 148, 152),
    "navy": (38, 52, 92),
    "blue": (72, 118, 190),
    "red": (186, 46, 48),
    "burgundy": (112, 34, 52),
    "pink": (226, 152, 168),
    "green": (62, 118, 82),
    "olive": (116, 116, 68),
    "yellow": (230, 188, 74),
    "orange": (222, 122, 56),
    "purple": (116, 84, 150),
    "beige": (212, 192, 160),
}
SLEEVES = ("none", "short", "long")
NECKLINES: dict[str, tuple[float, float]] = {
    "round": (0.125, 0.0),
    "v": (0.12, 0.17),
    "scoop": (0.15, 0.13),
    "boat": (0.185, -0.045),
    "shirt": (0.115, 0.05),
    "turtle": (0.11, -0.05),
}
"""Half the width of the neck's opening, and `a` of its lowest point in front."""
PRINTS = ("plain", "stripes", "pinstripes", "dots", "logo")
CUTS = ("straight", "fitted", "a-line")
LONG_SLEEVE_END = 0.96


@dataclass(frozen=True, kw_only=True, slots=True)
class GarmentDesign:
    """What a garment looks like, whatever its size."""

    cut: str
    """One of `CUTS`."""

    neckline: str
    """A key of `NECKLINES`."""

    sleeves: str
    """One of `SLEEVES`."""

    sleeve_end: float
    """Where the sleeve ends, over the arm's length: 0 at the shoulder, 1 at the wrist."""

    colour: str
    """A key of `COLOURS`; so are the colours of the print and the logo."""

    print_colour: str
    """See `colour`."""

    pattern: str
    """One of `PRINTS`."""

    print_pitch: float
    """Distance from one stripe or dot to the next, in torso lengths."""

    hem_curve: float
    """How much higher the hem is at the sides than in the middle, in torso lengths."""

    folds: tuple[tuple[float, float, float, float], ...]
    """Each fold: `b` over the half width at the hem, slant, thickness, depth."""


def sample_design(rng: np.random.Generator) -> GarmentDesign:
    """Draw a garment."""
    sleeves = SLEEVES[rng.choice(3, p=(0.25, 0.40, 0.35))]
    ends = {"none": 0.0, "short": rng.uniform(0.24, 0.38), "long": LONG_SLEEVE_END}
    necklines = [neck for neck in NECKLINES if not (sleeves == "none" and neck in ("shirt", "turtle"))]
    colours = rng.permutation(list(COLOURS))[:2]
    folds = [
        (rng.uniform(-0.85, 0.85), rng.uniform(-0.25, 0.25), rng.uniform(0.02, 0.05), rng.uniform(0.05, 0.13))
        for _ in range(rng.integers(4, 8))
    ]
    return GarmentDesign(
        cut=CUTS[rng.choice(3, p=(0.5, 0.25, 0.25))],
        neckline=necklines[rng.integers(len(necklines))],
        sleeves=sleeves,
        sleeve_end=float(ends[sleeves]),
        colour=str(colours[0]),
        print_colour=str(colours[1]),
        pattern=PRINTS[rng.choice(5, p=(0.4, 0.2, 0.1, 0.12, 0.18))],
        print_pitch=rng.uniform(0.09, 0.16),
        hem_curve=float(rng.choice((0.0, 0.0, 0.02, 0.05))),
        folds=tuple(folds),
    )


def caption(design: GarmentDesign) -> str:
    """Describe the garment in words that hold at every size."""
    prints = {
        "plain": "",
        "stripes": f" with {design.print_colour} stripes",
        "pinstripes": f" with {design.print_colour} pinstripes",
        "dots": f" with {design.print_colour} dots",
        "logo": f" with a {design.print_colour} chest print",
    }
    sleeves = {"none": "sleeveless", "short": "short-sleeved", "long": "long-sleeved"}[design.sleeves]
    kind = {"shirt": "shirt", "turtle": "turtleneck sweater"}.get(
        design.neckline, "top" if design.sleeves == "none" else "T-shirt"
    )
    neck = (
        ""
        if design.neckline in ("shirt", "turtle")
        else f" with a {design.neckline.replace('v', 'V')} neckline"
    )
    joined = neck + (
        prints[design.pattern] if not neck else prints[design.pattern].replace(" with", " and", 1)
    )
    article = "an" if design.colour[0] in "aeiou" else "a"
    return f"{article} {design.colour} {sleeves} {kind}{joined}"
