"""One paper doll: who it is, what it wears and at what size, and how it is drawn.

A doll is a pure function of (seed, split, index): more training people change nobody who was there before,
and test people are never training people.
"""

from dataclasses import dataclass, replace

import numpy as np

from preprocess.sizes.axes import axes_of
from preprocess.sources.paper_dolls import dress, garment, lower
from preprocess.sources.paper_dolls.dress import Top, sample_dress, sample_top
from preprocess.sources.paper_dolls.fabric import flat_cloth
from preprocess.sources.paper_dolls.garment import Ratios, caption, sample_design
from preprocess.sources.paper_dolls.lower import LowerDesign, lower_caption, sample_lower
from preprocess.sources.paper_dolls.lower_fabric import flat_dress, flat_lower
from preprocess.sources.paper_dolls.person import Doll, sample_doll, with_legs
from preprocess.sources.paper_dolls.render import Design, DollPicture, render
from preprocess.sources.params import LARGEST_SPLIT, PaperDollParams
from preprocess.vocabulary import SLEEVE, SPLITS, Category

DRAWN = {Category.UPPER: garment.DRAWN, Category.LOWER: lower.DRAWN, Category.DRESS: dress.DRAWN}
"""What dolls of a category are drawn at: bounds by axis, in the order of their (3,) ratios."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DollSample:
    """One entry of the data set, before it is drawn."""

    key: str
    """Five digits and `_00`, as VITON-HD's."""

    split: str
    """`train` or `test`."""

    doll: Doll
    """The person."""

    category: Category
    """Of the garment."""

    design: Design
    """The garment."""

    ratios: Ratios
    """(3,) its size, in the order of the category's `DRAWN`."""

    top: Top | None = None
    """What is worn with a garment of the lower body."""

    sleeve_end: float | None = None
    """Where its sleeves end when it is worn; None: where they end on the garment that lies flat."""

    @property
    def worn(self) -> Design:
        """The garment as it is worn."""
        if self.sleeve_end is None or isinstance(self.design, LowerDesign):
            return self.design
        return replace(self.design, sleeve_end=self.sleeve_end)


def doll_key(split: str, index: int) -> str:
    """Return the key of a split's person."""
    return f"{index + LARGEST_SPLIT * SPLITS.index(split):05d}_00"


def doll_sample(params: PaperDollParams, split: str, index: int) -> DollSample:
    """Draw the person, the garment and the size of one entry, each from a stream of its own."""
    category = params.category(index)
    people, designs, sizes, others = np.random.default_rng([params.seed, SPLITS.index(split), index]).spawn(4)
    doll = sample_doll(people)
    bounds = dict(DRAWN[category])
    design: Design
    match category:
        case Category.UPPER:
            design = sample_design(designs)
        case Category.LOWER:
            design = sample_lower(designs)
            bounds["length"] = lower.LENGTHS[design.kind]
            doll = with_legs(doll, others, headless=0.35, at_knees=0.08)
        case Category.DRESS:
            design = sample_dress(designs)
            doll = with_legs(doll, others, headless=0.0, at_knees=0.12)
    ratios = sizes.uniform(*np.array([*bounds.values()]).T)
    return DollSample(
        key=doll_key(split, index),
        split=split,
        doll=doll,
        category=category,
        design=design,
        ratios=ratios,
        top=sample_top(others) if category is Category.LOWER else None,
        sleeve_end=sample_sleeve(design, category, sizes),
    )


def sample_sleeve(design: Design, category: Category, rng: np.random.Generator) -> float | None:
    """Draw where sleeves end, where that is a size; garments without any stay so."""
    if SLEEVE not in axes_of(category) or isinstance(design, LowerDesign) or design.sleeves == "none":
        return None
    return rng.uniform(*garment.SLEEVES_DRAWN)


def sample_of_key(params: PaperDollParams, key: str) -> DollSample:
    """Return the entry that `doll_key` named.

    Raises:
        ValueError: The key isn't one of a doll.
    """
    digits, split = key.removesuffix("_00"), SPLITS[0]
    if not digits.isdecimal() or doll_key(split, int(digits)) != key:
        raise ValueError(f"a doll's key must be five digits and _00, got {key!r}")
    place, index = divmod(int(digits), LARGEST_SPLIT)
    return doll_sample(params, SPLITS[place], index)


def plain_sample(sample: DollSample) -> DollSample | None:
    """The same doll in the same garment without its print; None where it has none."""
    if sample.design.pattern == "plain":
        return None
    return replace(sample, design=replace(sample.design, pattern="plain"))


def render_sample(params: PaperDollParams, sample: DollSample, ratios: Ratios | None = None) -> DollPicture:
    """Draw an entry at its own size, or at another."""
    ratios = sample.ratios if ratios is None else ratios
    return render(
        sample.doll,
        sample.worn,
        ratios,
        params.image_height,
        params.image_width,
        top=sample.top,
        dress=sample.category is Category.DRESS,
    )


def flat_sample(params: PaperDollParams, sample: DollSample) -> tuple[np.ndarray, np.ndarray]:
    """Draw an entry's garment lying alone: (H, W, 3) photo and (H, W) mask."""
    if isinstance(sample.design, LowerDesign):
        return flat_lower(sample.design, params.image_height, params.image_width)
    draw = flat_dress if sample.category is Category.DRESS else flat_cloth
    return draw(sample.design, params.image_height, params.image_width)


def described(sample: DollSample) -> dict[str, str | None]:
    """Return the garment's caption, and the words of its design; None where it has none of a kind."""
    design = sample.design
    if isinstance(design, LowerDesign):
        return {"caption": lower_caption(design), "neckline": None, "sleeves": None, "cut": design.cut}
    words = {"neckline": design.neckline, "sleeves": design.sleeves, "cut": design.cut}
    return {
        "caption": caption(
            design, dress=sample.category is Category.DRESS, sleeves=sample.sleeve_end is None
        ),
        **words,
    }
