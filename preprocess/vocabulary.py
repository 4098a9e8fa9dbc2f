"""Words that every folder shares. Imports none of our packages."""

from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "test")

FIT_LABELS = ("tight", "fitted", "loose", "oversized")
"""Fit labels in rising order of `width_ratio`."""

SOURCE_KEY = b"source"
"""Metadata of the manifest and of size annotations: the data set's name."""

DRAWING_KEY = b"drawing"
"""Metadata beside it, of a data set that was drawn: the parameters that draw it again, as JSON."""

SEGMENTED = "segmented_garment"
"""Flag of a row whose garment was told by its colours, not by a parse map."""


SLEEVE = "sleeve"
OPTIONAL_AXES = (SLEEVE,)
"""Axes that are measured and asked for only where they are switched on."""

AXES_VARIABLE = "CINDERELLA_AXES"
"""Environment variable: those that this process has switched on, with commas between."""


class RowStatus(StrEnum):
    """What became of a sample. A stage writes one row per row it read; it never drops one."""

    OK = "ok"
    SUSPECT = "suspect"
    FAILED = "failed"


class Category(StrEnum):
    """What kind of garment is tried on."""

    UPPER = "upper"
    LOWER = "lower"
    DRESS = "dress"


TRIED_ON = (Category.UPPER, Category.LOWER, Category.DRESS)
"""Categories that are tried on, and so sharded and trained: those that have a mask. Others are measured."""


class Joint(IntEnum):
    """OpenPose BODY_25 joints by their row in a (25, 3) keypoint array."""

    NOSE = 0
    NECK = 1
    RIGHT_SHOULDER = 2
    RIGHT_ELBOW = 3
    RIGHT_WRIST = 4
    LEFT_SHOULDER = 5
    LEFT_ELBOW = 6
    LEFT_WRIST = 7
    MID_HIP = 8
    RIGHT_HIP = 9
    RIGHT_KNEE = 10
    RIGHT_ANKLE = 11
    LEFT_HIP = 12
    LEFT_KNEE = 13
    LEFT_ANKLE = 14
    RIGHT_EYE = 15
    LEFT_EYE = 16
    RIGHT_EAR = 17
    LEFT_EAR = 18
    LEFT_BIG_TOE = 19
    LEFT_SMALL_TOE = 20
    LEFT_HEEL = 21
    RIGHT_BIG_TOE = 22
    RIGHT_SMALL_TOE = 23
    RIGHT_HEEL = 24


NUM_JOINTS = len(Joint)


class Lip(IntEnum):
    """Labels of the LIP human-parsing data set, as in VITON-HD's `image-parse-v3`."""

    BACKGROUND = 0
    HAT = 1
    HAIR = 2
    GLOVE = 3
    SUNGLASSES = 4
    UPPER_CLOTHES = 5
    DRESS = 6
    COAT = 7
    SOCKS = 8
    PANTS = 9
    TORSO_SKIN = 10
    SCARF = 11
    SKIRT = 12
    FACE = 13
    LEFT_ARM = 14
    RIGHT_ARM = 15
    LEFT_LEG = 16
    RIGHT_LEG = 17
    LEFT_SHOE = 18
    RIGHT_SHOE = 19


ATR_TO_LIP = (
    Lip.BACKGROUND,
    Lip.HAT,
    Lip.HAIR,
    Lip.SUNGLASSES,
    Lip.UPPER_CLOTHES,
    Lip.SKIRT,
    Lip.PANTS,
    Lip.DRESS,
    Lip.PANTS,  # belt
    Lip.LEFT_SHOE,
    Lip.RIGHT_SHOE,
    Lip.FACE,
    Lip.LEFT_LEG,
    Lip.RIGHT_LEG,
    Lip.LEFT_ARM,
    Lip.RIGHT_ARM,
    Lip.SCARF,  # bag: like a scarf it is worn in front of the garment
    Lip.SCARF,
)
"""LIP label for each of ATR's, which Dress Code's `label_maps` have: there 4 is the top and 5 a skirt.

Source: `data/labelmap.py` of Dress Code's repository.
"""


class ParseLabels(StrEnum):
    """What the numbers in a parse map mean."""

    LIP = "lip"
    ATR = "atr"


TORSO_PARTS = (1, 2)
"""DensePose's back and front of the torso."""

CLOTHED_TORSO = 25
"""Beyond DensePose's numbers: the torso with its garment, by a detector that doesn't see under it."""

ARM_PARTS = tuple(range(15, 23))
"""DensePose's upper and lower arms, from all sides."""

GARMENT_LABELS: dict[Category, tuple[Lip, ...]] = {
    Category.UPPER: (Lip.UPPER_CLOTHES, Lip.DRESS, Lip.COAT),
    Category.LOWER: (Lip.PANTS, Lip.SKIRT),
    Category.DRESS: (Lip.UPPER_CLOTHES, Lip.DRESS, Lip.SKIRT),
}
"""The parse labels that make up the worn garment of a category; many a dress is parsed as top and skirt."""


def require_tried_on(category: Category) -> None:
    """Raise ValueError unless garments of a category can be tried on."""
    if category not in TRIED_ON:
        raise ValueError(
            f"garments of the category {category} are measured, but not tried on: only {', '.join(TRIED_ON)}"
        )


def require_shape(name: str, array: NDArray[np.generic], shape: tuple[int | str, ...]) -> None:
    """Raise ValueError unless `array` has `shape`; a string stands for any size, e.g. ("N", 2)."""
    fits = len(shape) == array.ndim and all(
        isinstance(want, str) or want == size for want, size in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join(map(str, shape))
        raise ValueError(f"{name} must have shape ({wanted}), got {array.shape}")
