"""The size axes: what of a garment is divided by what of a body. A row an axis; all else derives from it.

Columns of tables, fields of requests, inputs of the networks, rungs of ladders, plots and sliders follow
`AXES` and its order. A further axis is a further row, and in `WornMeasures` the length that it divides.
"""

import math
import os
from dataclasses import dataclass, replace

from preprocess.vocabulary import AXES_VARIABLE, OPTIONAL_AXES, SLEEVE, TRIED_ON, Category

Colour = tuple[int, int, int]

SMALLEST_RATIO = 0.01
"""Steps down end here, and what has no sleeves is read as this: sizes are compared by dividing them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """One thing that a size changes; its ratio, `<name>_ratio` in tables, is garment over body."""

    name: str
    """In tables, requests and reports."""

    category: Category
    """Of the garments that have it."""

    garment: str
    """Which length of the garment: a key of `WornMeasures.lengths`, and `garment_<this>_px` in tables."""

    body: str
    """Which length of the wearer: a key of `BodyFrame.lengths`, and `body_<this>_px` in tables."""

    meaning: str
    """What is divided by what, in words."""

    asked: tuple[float, float]
    """Smallest and largest ratio that may be asked for; the inpainting mask leaves room for the largest."""

    credible: tuple[float, float]
    """Ratios outside are taken for measuring errors."""

    step: float
    """What one step up adds: about one letter of a brand's sizes."""

    usual: float
    """Ratio of an ordinary garment, for where nothing is known."""

    growth: float
    """How many px the garment's length gains when its outline grows by one, where it is in one piece."""

    region: str
    """Where on the body it is seen."""

    words: tuple[str, str]
    """Below and above what it is compared with."""

    colour: Colour
    """RGB of its lines in drawings."""

    judged_at: float = 0.0
    """Bounds of a smaller ratio are judged as shares of this one: an end is seen as well on a short sleeve as
    on a long one. 0: always of the ratio itself."""

    most: float = math.inf
    """No garment has more, whatever its size: steps up end here."""


_SHOULDER = Axis(
    name="shoulder",
    category=Category.UPPER,
    garment="shoulder",
    body="shoulder",
    meaning="extent of the garment at the shoulders over the distance of the shoulder joints",
    asked=(0.7, 1.8),
    credible=(0.5, 2.2),
    step=0.04,
    usual=1.1,
    growth=2,
    region="shoulder",
    words=("tight", "wide"),
    colour=(214, 40, 40),
)
_WIDTH = Axis(
    name="width",
    category=Category.UPPER,
    garment="width",
    body="shoulder",
    meaning="width without sleeves, at 35 to 55 % of the torso, over the distance of the shoulder joints",
    asked=(0.7, 2.2),
    credible=(0.6, 2.6),
    step=0.1,
    usual=1.2,
    growth=2,
    region="chest",
    words=("tight", "wide"),
    colour=(170, 60, 190),
)
_LENGTH = Axis(
    name="length",
    category=Category.UPPER,
    garment="length",
    body="torso",
    meaning="how far the garment reaches down from the shoulders, over the length of the torso",
    asked=(0.3, 1.8),
    credible=(0.25, 2.2),
    step=0.03,
    usual=1.1,
    growth=1,
    region="hem",
    words=("short", "long"),
    colour=(30, 90, 220),
)

_SLEEVE = Axis(
    name=SLEEVE,
    category=Category.UPPER,
    garment="sleeve",
    body="arm",
    meaning="how far cloth covers the arms, from the shoulders on, over the length of the arms",
    asked=(SMALLEST_RATIO, 1.0),
    credible=(0.005, 1.05),
    step=0.02,
    usual=0.5,
    growth=1,
    region="arms",
    words=("short", "long"),
    colour=(20, 140, 110),
    judged_at=1.0,
    most=1.0,
)

SWITCHED_ON = frozenset(os.environ.get(AXES_VARIABLE, "").split(",")) & set(OPTIONAL_AXES)
"""Optional axes that are there: `pipeline` takes them from `axes` in params.yaml when it is imported."""

AXES = (
    _SHOULDER,
    _WIDTH,
    _LENGTH,
    replace(_SHOULDER, category=Category.DRESS),
    replace(_WIDTH, category=Category.DRESS),
    replace(_LENGTH, category=Category.DRESS, asked=(1.2, 3.2), credible=(0.9, 3.6), step=0.06, usual=2.0),
    Axis(
        name="waist",
        category=Category.LOWER,
        garment="waist",
        body="hip",
        meaning="extent of the garment just below its upper edge over the distance of the hip joints",
        asked=(1.2, 2.8),
        credible=(0.9, 3.6),
        step=0.08,
        usual=1.8,
        growth=2,
        region="waist",
        words=("tight", "wide"),
        colour=(214, 40, 40),
    ),
    Axis(
        name="width",
        category=Category.LOWER,
        garment="width",
        body="hip",
        meaning="width without the gap between the legs, at 35 to 55 % of the thighs, over that of the hips",
        asked=(1.3, 4.5),
        credible=(1.0, 6.0),
        step=0.12,
        usual=2.2,
        growth=2,
        region="thigh",
        words=("tight", "wide"),
        colour=(170, 60, 190),
    ),
    Axis(
        name="length",
        category=Category.LOWER,
        garment="length",
        body="leg",
        meaning="how far the garment reaches down from the hip joints, over the length of the legs",
        asked=(0.2, 1.15),
        credible=(0.1, 1.25),
        step=0.03,
        usual=0.95,
        growth=1,
        region="hem",
        words=("short", "long"),
        colour=(30, 90, 220),
    ),
    *(axis for axis in (_SLEEVE, replace(_SLEEVE, category=Category.DRESS)) if axis.name in SWITCHED_ON),
)
"""Every axis of every category: `shoulder_ratio`, `width_ratio`, `length_ratio`; `bounds_over_body`
of `preprocess.garment.size_ratios` divides.

The steps are ours. Between letters, shirts usually grow by about 7 cm around the chest, 1.2 cm at the
shoulders and 1.5 cm in length; with 32 cm between the joints, a torso of 50 cm and half of the cloth seen
from the front (`preprocess.sizes.centimetres`) that is about 0.1, 0.04 and 0.03. Sleeves grow by
about 1 cm, on arms of 55 cm from the joint to the wrist: 0.02.
"""

MEASURED_NAMES = tuple(dict.fromkeys(axis.name for axis in AXES))
"""Of every category: the columns of tables. Categories share a name, and so its column."""

AXIS_NAMES = tuple(dict.fromkeys(axis.name for axis in AXES if axis.category in TRIED_ON))
"""Of the categories that are tried on, in the order that every array of ratios has."""

MEANINGS = {
    name: "; ".join(
        dict.fromkeys(axis.meaning for axis in AXES if axis.name == name and axis.category in TRIED_ON)
    )
    for name in AXIS_NAMES
}
"""What each is, in words: networks are saved with it."""

JUDGED_AT = {axis.name: axis.judged_at for axis in AXES}
"""Of each name, the smallest ratio that bounds are judged as shares of."""

LENGTH_COLUMNS = (
    *dict.fromkeys(f"body_{axis.body}_px" for axis in AXES),
    *dict.fromkeys(f"garment_{axis.garment}_px" for axis in AXES),
)
"""Columns of tables that say what was divided."""

FIT_AXIS = "width"
"""The axis whose ratio the fit labels are cut from."""

FIT_PLACE = AXIS_NAMES.index(FIT_AXIS)


def axes_of(category: Category) -> dict[str, Axis]:
    """Return the axes of a category by name, in the table's order."""
    return {axis.name: axis for axis in AXES if axis.category == category}
