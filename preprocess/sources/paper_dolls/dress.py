"""A paper doll's dress, and the top that it wears over trousers: garments that hang from the shoulders.

They are a `WornGarment` in all that its measures look at, but for the rows from the waist down.
"""

from dataclasses import dataclass, replace

import numpy as np

from preprocess.sources.paper_dolls.body import body_half_width
from preprocess.sources.paper_dolls.garment import GarmentDesign, Ratios, WornGarment, sample_design
from preprocess.sources.paper_dolls.legs import reach_out
from preprocess.sources.paper_dolls.lower import WornLower
from preprocess.sources.paper_dolls.person import Doll, Points
from preprocess.vocabulary import Lip

DRAWN = {"shoulder": (0.85, 1.6), "width": (0.8, 2.0), "length": (1.3, 2.6)}
"""What dolls can be drawn at, in the order of their (3,) ratios."""

FLARES = {"straight": 0.02, "fitted": 0.1, "a-line": 0.3}
"""How much further from the axis a dress is, by cut, for each torso length below the hips."""

WAIST_ROW, HIP_ROW = 0.6, 1.0
"""Rows between which a dress goes over into its skirt."""

WIDEST = 0.95
"""Half the width of the widest hem."""

WAYS = ("tucked", "cropped", "over")
BLOUSING = 0.06
"""Rows above the waistband in which a top that is tucked in is no wider than that."""


def sample_dress(rng: np.random.Generator) -> GarmentDesign:
    """Draw a dress."""
    return replace(sample_design(rng), hem_curve=0.0)


@dataclass(frozen=True)
class WornDress(WornGarment):
    """A dress at a size on somebody."""

    doll: Doll
    """Has legs."""

    @property
    def label(self) -> Lip:
        """What parse maps call it."""
        return Lip.DRESS

    def half_width(self, a: Points) -> Points:
        """Half width at rows `a` from the top of the cap down: never less than hips and legs below it."""
        body = np.where(
            a < HIP_ROW, body_half_width(self.doll, a), reach_out(self.doll, np.maximum(a, HIP_ROW))
        )
        upper = super().half_width(np.minimum(a, HIP_ROW))
        at_hips = max(float(self.scale), float(body_half_width(self.doll, np.array([HIP_ROW]))[0]) + 0.02)
        skirt = at_hips + FLARES[self.design.cut] * np.maximum(a - HIP_ROW, -0.2)
        skirt = np.maximum(np.minimum(skirt, max(WIDEST, at_hips)), body + 0.015)
        blend = np.clip((a - WAIST_ROW) / (HIP_ROW - WAIST_ROW), 0, 1)
        return np.asarray(upper + (skirt - upper) * blend * blend * (3 - 2 * blend))


@dataclass(frozen=True, kw_only=True, slots=True)
class Top:
    """What is worn with trousers or a skirt."""

    design: GarmentDesign
    """Its look."""

    ratios: Ratios
    """(3,) its size; a length that reaches the waistband counts where it hangs over that."""

    way: str
    """One of `WAYS`: tucked in, ending above the waistband, hanging over it."""

    above: float
    """How far above the waistband it ends where it is cropped."""


def sample_top(rng: np.random.Generator) -> Top:
    """Draw a top."""
    design = sample_design(rng)
    ratios = np.array([rng.uniform(0.95, 1.35), rng.uniform(1.0, 1.5), rng.uniform(1.02, 1.3)])
    return Top(
        design=design,
        ratios=ratios,
        way=WAYS[rng.choice(3, p=(0.6, 0.27, 0.13))],
        above=rng.uniform(0.06, 0.16),
    )


@dataclass(frozen=True)
class WornTop(WornGarment):
    """A top at a size, over or under the waistband of what is worn below."""

    way: str
    lower: WornLower

    @classmethod
    def of(cls, top: Top, lower: WornLower, shoulder_width: float) -> "WornTop":
        """Fit a top to what is worn below it."""
        hem = {"tucked": lower.top + 0.04, "cropped": lower.top - top.above, "over": float(top.ratios[2])}
        ratios = np.array([*top.ratios[:2], hem[top.way]])
        return cls(replace(top.design, hem_curve=0.0), ratios, shoulder_width, top.way, lower)

    def half_width(self, a: Points) -> Points:
        """Half width of the panel at rows `a`: gathered at a waistband that it is tucked into."""
        half = super().half_width(a)
        if self.way != "tucked":
            return half
        body = float(body_half_width(self.lower.doll, np.array([self.lower.top]))[0])
        waist = float(np.clip(body + 0.01, 0.9 * self.lower.waist_half, 1.02 * self.lower.waist_half))
        return np.asarray(np.minimum(half, waist + np.maximum(self.lower.top - BLOUSING - a, 0)))
