"""A paper doll's trousers, shorts or skirt: what it looks like, its outline at any size, its true measures.

The outline is built from the three size ratios so that these come out exactly as docs/design.md defines them.
Units and coordinates are those of `body`: torso lengths, `a` down, `b` left.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from preprocess.sources.paper_dolls.body import body_half_width, hip_half, leg_bones, mirrored
from preprocess.sources.paper_dolls.garment import (
    COLOURS,
    Fabric,
    Ratios,
    print_words,
    sample_folds,
    with_article,
)
from preprocess.sources.paper_dolls.legs import CROTCH, leg_width, on_leg, reach_out
from preprocess.sources.paper_dolls.person import SIDES, Doll, Legs, Points
from preprocess.vocabulary import Lip

DRAWN = {"waist": (1.4, 2.5), "width": (1.5, 4.0), "length": (0.25, 1.08)}
"""What dolls can be drawn at, in the order of their (3,) ratios."""

LENGTHS = {"trousers": (0.42, 1.08), "shorts": (0.25, 0.75), "skirt": (0.25, 1.08)}
"""Which lengths each kind of garment is drawn at; they overlap: a garment tells little of its size."""

SHAPES = {
    "straight": (1.03, 1.0, 0.97, 0.9, 0.86),
    "tapered": (1.06, 1.0, 0.92, 0.76, 0.55),
    "flared": (1.05, 1.0, 0.94, 0.86, 1.2),
    "wide": (1.0, 1.0, 1.02, 1.08, 1.15),
    "pencil": (0.98, 1.0, 0.98, 0.92, 0.88),
    "a-line": (0.87, 0.97, 1.03, 1.2, 1.45),
    "circle": (0.76, 0.93, 1.07, 1.35, 1.8),
}
"""Width of a leg, or of a skirt, by cut at `SHAPE_ROWS`, relative to that of the measured rows."""

SHAPE_ROWS = (0.2, 0.35, 0.55, 1.0, 2.0)
"""Of the leg: 1 at the knee, 2 at the ankle."""

CUTS = {
    "trousers": ("straight", "tapered", "flared", "wide"),
    "shorts": ("straight", "wide"),
    "skirt": ("pencil", "straight", "a-line", "circle"),
}

WAIST_ROWS, WIDTH_ROWS = 0.05, (0.35, 0.55)
SHORT_FROM, SHORT_MARGIN = 0.15, 0.03
"""First row of the width, in thighs, where the hem is above the middle of `WIDTH_ROWS`, and how many rows are
left out above the hem."""

UPRIGHT = 0.065
"""Rows below the upper edge, in L, in which the sides are upright: those of the waist, and a margin."""

SEAT = 0.33
"""Row, in thighs, from which a skirt hangs freely."""

AXIS_BAND = 0.25
"""Share of H beside the bones in which the hem is looked for."""

WIDEST = 0.95
"""Half the width of the widest skirt's hem."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LowerDesign(Fabric):
    """What a garment of the lower body looks like, whatever its size."""

    kind: str
    """A key of `LENGTHS`."""

    cut: str
    """One of the kind's `CUTS`."""

    rise: float
    """`a` of the upper edge."""


def sample_lower(rng: np.random.Generator) -> LowerDesign:
    """Draw a garment."""
    kind = ("trousers", "shorts", "skirt")[rng.choice(3, p=(0.45, 0.2, 0.35))]
    colours = rng.permutation(list(COLOURS))[:2]
    return LowerDesign(
        kind=kind,
        cut=CUTS[kind][rng.integers(len(CUTS[kind]))],
        rise=rng.uniform(0.68, 0.9),
        colour=str(colours[0]),
        print_colour=str(colours[1]),
        pattern=("plain", "pinstripes", "stripes", "dots")[rng.choice(4, p=(0.55, 0.15, 0.1, 0.2))],
        print_pitch=rng.uniform(0.09, 0.16),
        folds=sample_folds(rng),
    )


def lower_caption(design: LowerDesign) -> str:
    """Describe the garment in words that hold at every size."""
    cut = "" if design.cut in ("straight", "wide") else f"{design.cut} "
    words = f"{design.colour} {cut}{design.kind}{print_words(design)}"
    return with_article(words) if design.kind == "skirt" else words


@dataclass(frozen=True)
class WornLower:
    """A design at a size on somebody: edges by row. Truth and outline come from here."""

    design: LowerDesign
    ratios: Ratios
    """(3,) requested ratios in the order of `DRAWN`."""
    doll: Doll
    """Has legs."""

    @property
    def label(self) -> Lip:
        """What parse maps call it."""
        return Lip.SKIRT if self.design.kind == "skirt" else Lip.PANTS

    @property
    def legs(self) -> Legs:
        """How the wearer stands."""
        assert self.doll.legs is not None
        return self.doll.legs

    @property
    def hip_width(self) -> float:
        """H."""
        return 2 * hip_half(self.doll)

    @property
    def leg(self) -> float:
        """L."""
        return self.legs.thigh + self.legs.shin

    @property
    def knee(self) -> float:
        """Row of both knees."""
        return float(leg_bones(self.doll, 1)[1, 0])

    @property
    def top(self) -> float:
        """Highest row."""
        return self.design.rise

    @property
    def waist_half(self) -> float:
        """Half the extent below the upper edge."""
        return float(self.ratios[0]) * self.hip_width / 2

    def centre(self, side: int, a: Points) -> Points:
        """How far from the axis the bone of a leg is at rows `a`."""
        bones = on_leg(self.doll, side, np.array([0.0, 1.0, 2.0, 3.0]))
        return np.interp(a, bones[:, 0], side * bones[:, 1])

    def at_hem(self, side: int) -> tuple[Points, float]:
        """Where cloth ends on the bone of a leg, and the tangent of how far that points outwards there."""
        reach = float(self.ratios[2]) * self.leg
        thigh, shin = self.legs.thigh, self.legs.shin
        down = reach / thigh if reach < thigh else 1 + (reach - thigh) / shin
        angle = self.legs.spread_deg if reach < thigh else self.legs.shins_deg[SIDES.index(side)]
        return on_leg(self.doll, side, np.array([down]))[0], float(np.tan(np.radians(angle)))

    @cached_property
    def hem(self) -> float:
        """Lowest row; of a skirt, whose hem is level, the only one."""
        if self.design.kind != "skirt":
            return max(float(self.at_hem(side)[0][0]) for side in SIDES)
        rows = np.linspace(1.1, 1 + 1.3 * self.leg, 241)
        return float(np.interp(self.ratios[2], self.reach(rows), rows))

    def reach(self, rows: Points) -> Points:
        """(R,) length ratios of level hems: how far down the legs they are, beside the bones as one looks."""
        offsets = np.linspace(-AXIS_BAND, AXIS_BAND, 51) * self.hip_width
        ends = []
        for side in SIDES:
            joints = leg_bones(self.doll, side)[:2, 0]
            angles = np.radians([self.legs.spread_deg, self.legs.shins_deg[SIDES.index(side)]])[:, None, None]
            down = rows[:, None] - joints[:, None, None] + side * offsets * np.sin(angles)
            thigh, shin = down / np.cos(angles)
            ends.append(np.where(thigh <= self.legs.thigh, thigh, self.legs.thigh + shin))
        return np.asarray(np.percentile(np.concatenate(ends, axis=1), 99, axis=1) / self.leg)

    @cached_property
    def scale(self) -> float:
        """What the cut is multiplied by, so that the measured rows have the width that was asked for."""
        wanted, rows = float(self.ratios[1]) * self.hip_width, self.width_rows()
        scale = wanted
        for _ in range(6):
            scale *= wanted / float(self.cloth(rows, scale).mean())
        return scale

    def width_rows(self) -> Points:
        """Rows whose mean width is measured."""
        thigh = self.knee - 1
        last = (self.hem - 1) / thigh
        first = WIDTH_ROWS[0] if last >= sum(WIDTH_ROWS) / 2 else SHORT_FROM
        return 1 + thigh * np.linspace(first, min(WIDTH_ROWS[1], last - SHORT_MARGIN), 101)

    def cloth(self, a: Points, scale: float | None = None) -> Points:
        """Px of the garment in rows `a`, in torso lengths: without the gap between the legs."""
        edges = [self.edges(side, a, scale) for side in SIDES]
        return np.asarray(sum(outer - inner for inner, outer in edges))

    def edges(self, side: int, a: Points, scale: float | None = None) -> tuple[Points, Points]:
        """How far from the axis the cloth begins and ends at rows `a`, from the upper edge down."""
        scale = self.scale if scale is None else scale
        joined = 1.0 + SEAT * (self.knee - 1) if self.design.kind == "skirt" else CROTCH
        inner, outer = self.below(side, np.maximum(a, joined), scale)
        upright = self.top + UPRIGHT * self.leg
        blend = np.clip((a - upright) / (joined - upright), 0, 1)
        above = self.waist_half + (outer - self.waist_half) * blend * (2 - blend)
        flesh = np.where(a < 1, body_half_width(self.doll, a), reach_out(self.doll, np.maximum(a, 1))) + 0.015
        above = np.maximum(above, above + (flesh - above) * np.clip((a - upright) / 0.1, 0, 1))
        return np.where(a < joined, 0.0, inner), np.where(a < joined, above, outer)

    def below(self, side: int, a: Points, scale: float) -> tuple[Points, Points]:
        """The same where the legs have parted, or a skirt hangs."""
        thigh = self.knee - 1
        down = np.where(a < self.knee, (a - 1) / thigh, 1 + (a - self.knee) / self.legs.shin)
        shape = np.interp(down, SHAPE_ROWS, SHAPES[self.design.cut])
        hanging = np.clip((down - 0.6) / 0.2, 0, 1)
        if self.design.kind == "skirt":
            half = scale / 2 * shape
            half = np.maximum(half, half + (reach_out(self.doll, a) + 0.02 - half) * hanging)
            half = np.minimum(half, max(WIDEST, scale / 2))
            return np.zeros_like(a), half
        wide = scale / 2 * shape
        wide = np.maximum(wide, wide + (leg_width(self.doll, a) + 0.03 - wide) * hanging)
        inner = np.maximum(self.centre(side, a) - wide / 2, 0)
        return inner, inner + wide

    def outline(self) -> Points:
        """Closed outline of the whole garment."""
        joined = CROTCH
        rows = np.concatenate(
            [[self.top], np.linspace(self.top + UPRIGHT * self.leg, joined, 18), [joined + 1e-6]]
        )
        if self.design.kind == "skirt":
            rows = np.concatenate([rows[:-1], np.linspace(joined, self.hem, 28)[1:]])
            rows = rows[rows <= self.hem]
            half = np.stack([rows, self.edges(1, rows)[1]], axis=1)
            return mirrored(np.concatenate([[(self.top, 0.0)], half, [(self.hem, 0.0)]]))
        right, left = (self.leg_outline(side, rows) for side in SIDES)
        return np.concatenate([left, right[::-1]])

    def leg_outline(self, side: int, rows: Points) -> Points:
        """One half of trousers: down the outer edge, along the hem, and up the inner edge to the crotch."""
        (a, b), slant = self.at_hem(side)
        corners = [float(edge[0]) for edge in self.edges(side, np.array([a]))]
        inside, outside = (a - (edge - side * b) * slant for edge in corners)
        down = np.concatenate([rows, np.linspace(rows[-1], outside, 32)[1:]])
        up = np.linspace(inside, CROTCH + 1e-6, 32)
        outer = np.stack([down, side * self.edges(side, down)[1]], axis=1)
        inner = np.stack([up, side * self.edges(side, up)[0]], axis=1)
        return np.concatenate([[(self.top, 0.0)], outer, inner, [(CROTCH, 0.0)]])

    def truth(self) -> Ratios:
        """(3,) ratios of this outline by the definitions in docs/design.md."""
        waist = np.median(self.edges(1, self.top + np.linspace(0, WAIST_ROWS, 21) * self.leg)[1]) * 2
        width = self.cloth(self.width_rows()).mean()
        length = self.reach(np.array([self.hem]))[0] if self.design.kind == "skirt" else self.ratios[2]
        return np.array([waist / self.hip_width, width / self.hip_width, length])
