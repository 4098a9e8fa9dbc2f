"""A paper doll's garment: what it looks like, its outlines at any size on any body, and its true measures.

The outlines are built from the three size ratios so that these come out exactly as docs/design.md defines
them. Units and coordinates are those of `body`: torso lengths, `a` down, `b` left.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from preprocess.sources.paper_dolls.body import mirrored, rounded
from preprocess.sources.paper_dolls.person import Colour, Points
from preprocess.vocabulary import Lip

Ratios = NDArray[np.float64]

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
SLEEVE_TAPER = (0.38, LONG_SLEEVE_END), (1.02, 0.72)
"""Where sleeves end, and how wide they are there, over the upper arm."""

DRAWN = {"shoulder": (0.85, 1.6), "width": (0.8, 2.0), "length": (0.5, 1.6)}
"""What dolls can be drawn at, in the order of their (3,) ratios: bounds between which each is drawn."""

SHOULDER_ROWS = (0.0, 0.05)
WIDTH_ROWS = (0.35, 0.55)
AXIS_BAND = 0.25
"""Share of B each side of the axis in which the hem is looked for."""
SLEEVES_DRAWN = (0.14, 0.97)
"""Where sleeves end on arms where their length is a size, whatever it is when they lie flat."""
CAP_ROWS = (-0.03, 0.085)
"""Rows in which the shoulder's edge is upright: the measured rows, and a margin for a sloping body."""
ARMPIT = 0.22
LONGEST_TOP = 1.8
"""T. Longer garments have more corners, for they go around the hips."""
BARE_SLANT = 0.2
"""How steeply a sleeve that starts below the shoulder slants off, in rows per column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fabric:
    """What a garment is made of."""

    colour: str
    """A key of `COLOURS`; so are the colours of the print and the logo."""

    print_colour: str
    """See `colour`."""

    pattern: str
    """One of `PRINTS`."""

    print_pitch: float
    """Distance from one stripe or dot to the next, in torso lengths."""

    folds: tuple[tuple[float, float, float, float], ...]
    """Each fold: `b` over the half width at the hem, slant, thickness, depth."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GarmentDesign(Fabric):
    """What a garment that hangs from the shoulders looks like, whatever its size."""

    cut: str
    """One of `CUTS`."""

    neckline: str
    """A key of `NECKLINES`."""

    sleeves: str
    """One of `SLEEVES`."""

    sleeve_end: float
    """Where the sleeve ends, over the arm's length: 0 at the shoulder, 1 at the wrist."""

    hem_curve: float
    """How much higher the hem is at the sides than in the middle, in torso lengths."""


def sample_design(rng: np.random.Generator) -> GarmentDesign:
    """Draw a garment."""
    sleeves = SLEEVES[rng.choice(3, p=(0.25, 0.40, 0.35))]
    ends = {"none": 0.0, "short": rng.uniform(0.24, 0.38), "long": LONG_SLEEVE_END}
    necklines = [neck for neck in NECKLINES if not (sleeves == "none" and neck in ("shirt", "turtle"))]
    colours = rng.permutation(list(COLOURS))[:2]
    folds = sample_folds(rng)
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
        folds=folds,
    )


def sample_folds(rng: np.random.Generator) -> tuple[tuple[float, float, float, float], ...]:
    """Draw some folds."""
    return tuple(
        (rng.uniform(-0.85, 0.85), rng.uniform(-0.25, 0.25), rng.uniform(0.02, 0.05), rng.uniform(0.05, 0.13))
        for _ in range(rng.integers(4, 8))
    )


def print_words(fabric: Fabric) -> str:
    """Describe the print."""
    return {
        "plain": "",
        "stripes": f" with {fabric.print_colour} stripes",
        "pinstripes": f" with {fabric.print_colour} pinstripes",
        "dots": f" with {fabric.print_colour} dots",
        "logo": f" with a {fabric.print_colour} chest print",
    }[fabric.pattern]


def with_article(words: str) -> str:
    """Put a or an before some words."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def caption(design: GarmentDesign, *, dress: bool = False, sleeves: bool = True) -> str:
    """Describe the garment in words that hold at every size; without `sleeves` at sleeves of any length."""
    words = {"none": "sleeveless ", "short": "short-sleeved ", "long": "long-sleeved "}[design.sleeves]
    if dress:
        kind = {"shirt": "shirt dress", "turtle": "turtleneck dress"}.get(design.neckline, "dress")
    else:
        kind = {"shirt": "shirt", "turtle": "turtleneck sweater"}.get(
            design.neckline, "top" if design.sleeves == "none" else "T-shirt"
        )
    neck = (
        ""
        if design.neckline in ("shirt", "turtle")
        else f" with a {design.neckline.replace('v', 'V')} neckline"
    )
    prints = print_words(design)
    joined = neck + (prints if not neck else prints.replace(" with", " and", 1))
    return with_article(f"{design.colour} {words * sleeves}{kind}{joined}")


@dataclass(frozen=True)
class WornGarment:
    """A design at a size on a body: half widths by row. Truth and outlines come from here."""

    design: GarmentDesign
    ratios: Ratios
    """(3,) requested ratios in the order of `DRAWN`."""
    shoulder_width: float
    """B / T of the body."""

    @property
    def label(self) -> Lip:
        """What parse maps call it."""
        return Lip.UPPER_CLOTHES

    @property
    def cap(self) -> float:
        """Half the extent at the shoulders."""
        return float(self.ratios[0]) * self.shoulder_width / 2

    @property
    def hem(self) -> float:
        """Lowest row."""
        return float(self.ratios[2])

    @property
    def hem_curve(self) -> float:
        """The design's, flattened on a cropped garment so that the measured rows stay whole."""
        return self.design.hem_curve * float(np.clip((self.hem - 0.6) / 0.2, 0, 1))

    def profile(self, a: Points) -> Points:
        """Half width below the armpit relative to that of the measured rows, before normalising."""
        if self.design.cut == "fitted":
            return 1 - 0.09 * np.exp(-(((a - 0.64) / 0.2) ** 2))
        if self.design.cut == "a-line":
            return 1 + 0.22 * (np.maximum(a, 0.2) - 0.45)
        return np.ones_like(a)

    @cached_property
    def scale(self) -> float:
        """What the profile is multiplied by, so that the measured rows have the width that was asked for."""
        rows = np.linspace(WIDTH_ROWS[0], min(WIDTH_ROWS[1], self.hem), 21)
        return float(self.ratios[1] * self.shoulder_width / 2 / self.profile(rows).mean())

    def half_width(self, a: Points) -> Points:
        """Half width of the panel at rows `a` from the top of the cap down, without the hem's curve."""
        blend = np.clip((a - CAP_ROWS[1]) / (ARMPIT - CAP_ROWS[1]), 0, 1)
        smooth = blend * blend * (3 - 2 * blend)
        notch = 0.03 * np.sin(np.pi * blend) ** 2 * (self.design.sleeves == "none")
        return np.asarray(self.cap + (self.scale * self.profile(a) - self.cap) * smooth - notch)

    def truth(self) -> Ratios:
        """(3,) ratios of these outlines by the definitions in docs/design.md."""
        shoulder = np.median(self.half_width(np.linspace(*SHOULDER_ROWS, 21))) * 2 / self.shoulder_width
        rows = np.linspace(WIDTH_ROWS[0], min(WIDTH_ROWS[1], self.hem), 201)
        half = self.half_width(rows)
        if self.hem_curve:
            half = half * np.minimum(1, np.sqrt(np.maximum(self.hem - rows, 0) / self.hem_curve))
        columns = np.linspace(-AXIS_BAND, AXIS_BAND, 401) * self.shoulder_width
        return np.array(
            [shoulder, 2 * half.mean() / self.shoulder_width, np.percentile(self.hem_row(columns), 99)]
        )

    def hem_row(self, b: Points) -> Points:
        """Row of the hem at columns `b`."""
        across = b / self.half_width(np.array([self.hem]))
        return self.hem - self.hem_curve * np.minimum(across**2, 1)


def neck_opening(worn: WornGarment) -> Points:
    """Left half of the neckline, from its lowest point in front up to the side of the neck."""
    neck_half, neck_row = NECKLINES[worn.design.neckline]
    neck_half = min(neck_half, worn.cap - 0.05)
    if worn.design.neckline == "v":
        return np.array(
            [(neck_row, 0.0), (0.04, 0.6 * neck_half), (-0.06, 0.95 * neck_half), (-0.125, neck_half)]
        )
    turn = np.linspace(0, np.pi / 2, 9)
    return np.stack([-0.125 + (neck_row + 0.125) * np.cos(turn), neck_half * np.sin(turn)], axis=1)


def panel_outline(worn: WornGarment) -> Points:
    """Closed outline of the garment without its sleeves."""
    opening = neck_opening(worn)
    neck_half = opening[-1, 1]
    slope = np.array(
        [
            (-0.115, neck_half + 0.025),
            (-0.087, 0.6 * worn.cap + 0.4 * neck_half),
            (-0.064, worn.cap - 0.035),
            (-0.048, worn.cap - 0.01),
        ]
    )
    sides_a = np.concatenate(
        [
            np.linspace(*CAP_ROWS, 4),
            np.linspace(CAP_ROWS[1], ARMPIT, 10)[1:],
            np.linspace(ARMPIT, worn.hem - worn.hem_curve, 24 if worn.hem <= LONGEST_TOP else 60)[1:],
        ]
    )
    sides = np.stack([sides_a, worn.half_width(sides_a)], axis=1)
    hem_b = np.linspace(worn.half_width(np.array([worn.hem - worn.hem_curve]))[0], 0, 12)[1:]
    hem = np.stack([worn.hem_row(hem_b), hem_b], axis=1)
    return mirrored(np.concatenate([opening, slope, sides, hem]))


def sleeve_axis(bones: Points, end: float) -> Points:
    """(N, 2) points along the arm from the shoulder to `end` (share of the arm's length), bend rounded."""
    lengths = np.linalg.norm(np.diff(bones, axis=0), axis=1)
    walked = np.concatenate([[0], np.cumsum(lengths)])
    at = np.linspace(0, end * walked[-1], 25)
    path = np.stack([np.interp(at, walked, bones[:, axis]) for axis in (0, 1)], axis=1)
    soft = path.copy()
    for _ in range(2):
        soft[1:-1] = (soft[:-2] + 2 * soft[1:-1] + soft[2:]) / 4
    return soft


def sleeve_outline(worn: WornGarment, bones: Points, arm_radius: float, side: int) -> Points:
    """Closed outline of one sleeve, reaching under the panel.

    In the rows where shoulders are measured nothing lies beyond the cap's edge: a sleeve of a garment that is
    narrow at the shoulders starts below them and leaves the shoulder bare.

    Args:
        worn: Garment, design and size.
        bones: (3, 2) shoulder, elbow, wrist.
        arm_radius: Half the thickness of the upper arm.
        side: -1 is the person's right.

    Returns:
        (N, 2) body coordinates.
    """
    axis = sleeve_axis(bones, worn.design.sleeve_end)
    steps = np.gradient(axis, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    outwards = np.stack([-steps[:, 1], steps[:, 0]], axis=1) * side
    ease = 1.12 + 0.45 * float(np.clip(worn.ratios[1] - 1.0, -0.1, 0.8))
    taper = np.linspace(1.06, np.interp(worn.design.sleeve_end, *SLEEVE_TAPER), len(axis))
    radius = (arm_radius * ease * taper)[:, None]
    outer, inner = axis + outwards * radius, axis - outwards * radius
    tip = np.array([CAP_ROWS[1] - 0.012, side * worn.cap])
    overhang = (worn.cap - np.abs(outer[0, 1])) / 0.1
    first = round(10 * float(np.clip(overhang, 0, 1)))
    armpit = np.array([ARMPIT + 0.03, side * (worn.half_width(np.array([ARMPIT]))[0] - 0.012)])
    below = inner[:, 0] > armpit[0]
    under = inner[max(int(np.argmax(below)), 4) :] if below.any() else inner[-1:]
    inside = np.array([0.0, side * 0.5 * worn.cap])
    outline = np.concatenate([[tip], outer[first:], under[::-1], [armpit, inside]])
    below_shoulder = (outline[:, 0] - tip[0]) - BARE_SLANT * (np.abs(outline[:, 1]) - worn.cap)
    return clipped(outline, below_shoulder)


def clipped(outline: Points, inside: Points) -> Points:
    """Cut a closed outline where `inside`, a linear function given at its (N,) points, is negative.

    Source:
        One edge of Sutherland and Hodgman 1974.
    """
    kept: list[Points] = []
    following = np.roll(outline, -1, axis=0), np.roll(inside, -1)
    for point, here, other, there in zip(outline, inside, *following, strict=True):
        if here >= 0:
            kept.append(point)
        if (here >= 0) != (there >= 0):
            kept.append(point + (other - point) * here / (here - there))
    return np.array(kept)


def neck_tube(worn: WornGarment) -> Points:
    """Outline of a turtleneck's roll."""
    half = min(NECKLINES["turtle"][0], worn.cap - 0.05)
    return rounded(
        mirrored(
            np.array(
                [(-0.2, 0.0), (-0.205, 0.08), (-0.2, half), (-0.1, half + 0.02), (-0.04, 0.05), (-0.035, 0.0)]
            )
        ),
        2,
    )
