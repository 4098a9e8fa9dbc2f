"""Measure the garment that is worn in a photo with a parse map: one recipe, for training data and for try-on.

Beside the garment the map tells what speaks against a measure: something in front of it, or a second garment.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from preprocess.body.densepose import Parts
from preprocess.body.keypoints import Array, BodyFrame, Keypoints
from preprocess.body.legs import LegFrame
from preprocess.body.needs import needs_of
from preprocess.garment.bounds import Bounds, Measures
from preprocess.garment.ends import SHOULDER_ROWS
from preprocess.garment.measurements import WornMeasures, measure_worn
from preprocess.garment.parse import BOTTOMS, scene_of
from preprocess.garment.scene import Scene
from preprocess.garment.size_ratios import SizeRatioParams, SizeRatios, size_ratios
from preprocess.lower.measures import measure_lower
from preprocess.vocabulary import Category, Lip

Labels = NDArray[np.uint8]

NOT_ON_BODY = frozenset({"garment_off_body", "garment_out_of_frame"})
"""Flags of measures that leave nothing to measure."""

EDGES_WIDTH = 384
"""px. The photo may be read smaller, for its edges, as long as it stays this wide."""

JUST_OUTSIDE = (0.02, 0.05)
"""How far beyond the garment's edge to look for what may hide it, in B."""

HIDDEN_ROWS = 0.4
"""Share of a side's rows from which what lies in front makes it doubtful."""

SECOND_GARMENT = 0.05
"""Share of the garment from which a second garment counts."""

BELOW_HEM = 0.03
"""How far below the hem to look for the trousers, in T."""

TUCKED_WIDTH = 0.97
"""A hem at most this much wider than what is below it is tucked in."""

TUCKED_ABOVE = 0.93
"""Row, in T, above which a waistband is: hems further down hang free, however wide the trousers."""

TWO_GARMENTS: dict[Category, tuple[tuple[Lip, ...], tuple[Lip, ...]]] = {
    Category.UPPER: ((Lip.UPPER_CLOTHES, Lip.DRESS), (Lip.COAT,)),
    Category.DRESS: ((Lip.DRESS,), (Lip.UPPER_CLOTHES, Lip.COAT)),
}
"""Labels of two garments that aren't one."""


def measure_parsed(
    garment: NDArray[np.bool_],
    parse: Labels,
    person: Keypoints,
    params: SizeRatioParams,
    *,
    category: Category,
    photo: NDArray[np.uint8] | None,
    densepose: Parts | None,
    doubts: Sequence[str] = (),
) -> tuple[Measures, SizeRatios]:
    """Measure a worn garment and judge what is measured.

    Args:
        garment: (H, W) bool, the garment in the parse map; some of it.
        parse: (H, W) LIP labels.
        person: Joints in px of the map.
        params: Limits beyond which a ratio is a measuring error, and when it is known.
        category: Of the garment.
        photo: (h, w, 3) RGB, read with `at_least=EDGES_WIDTH`; None where `needs_of` says that nothing asks
            for it.
        densepose: (h, w) DensePose's parts; None where there are none.
        doubts: What else is known against the measures.
    """
    scene = scene_of(parse, photo=photo, densepose=densepose)
    worn, flags = measured(garment, parse, person, category, scene)
    result = size_ratios(worn, params, category=category, keypoints=person, flags=[*flags, *doubts])
    return worn, result


def measured(
    garment: NDArray[np.bool_], parse: Labels, person: Keypoints, category: Category, scene: Scene
) -> tuple[Measures, list[str]]:
    """Measure a worn garment in the way of its category, and name what its parse map tells against it."""
    if needs_of(category).frame is LegFrame:
        return measure_lower(garment, person, parse), []
    worn = measure_worn(garment, person, scene)
    return worn, parse_flags(parse, worn, BodyFrame.from_keypoints(person), category)


def measured_alone(
    garment: NDArray[np.bool_],
    person: Keypoints,
    category: Category,
    scene: Scene | None = None,
    tops: NDArray[np.bool_] | None = None,
) -> Measures:
    """Measure a worn garment in a picture without a parse map.

    Args:
        garment: (H, W) bool, every pixel of it.
        person: Its wearer, in px of that picture.
        category: Of the garment.
        scene: What lies around it, if known.
        tops: (H, W) bool, what is worn above a garment of the lower body; None where that isn't known. A
            waist that they cover, or that they may, is unknown.
    """
    if needs_of(category).frame is not LegFrame:
        return measure_worn(garment, person, scene)
    worn = measure_lower(garment, person, None if tops is None else tops * np.uint8(Lip.UPPER_CLOTHES))
    if "waist_covered" not in worn.flags:
        return worn
    return replace(worn, lengths={**worn.lengths, "waist": Bounds.unknown()})


def parse_flags(parse: Labels, worn: WornMeasures, frame: BodyFrame, category: Category) -> list[str]:
    """Name what the (H, W) LIP labels of a picture tell against what was measured in it."""
    torso = frame.torso_length
    shoulder_rows = np.linspace(SHOULDER_ROWS[0] * torso, SHOULDER_ROWS[1] * torso, 5)
    width_rows = np.linspace(*worn.width_rows, 15)
    doubts = {
        "hair_over_shoulder": _lies_outside(parse, frame, shoulder_rows, worn.shoulder_span, Lip.HAIR),
        "hair_over_panel": _lies_outside(parse, frame, width_rows, worn.width_span, Lip.HAIR),
        "open_jacket": _two_garments(parse, *TWO_GARMENTS[category]),
        "tucked_hem": category is Category.UPPER and _tucked(parse, worn, frame),
    }
    return [name for name, doubtful in doubts.items() if doubtful]


def labels_at(parse: Labels, frame: BodyFrame, ab: Array) -> NDArray[np.int64]:
    """(N,) labels at (N, 2) points a, b px of the body frame; -1 outside the picture or where NaN."""
    xy = frame.to_image(ab)
    found = np.isfinite(xy[:, 0]) & np.isfinite(xy[:, 1])
    index = np.floor(np.where(found[:, None], xy, -1.0)).astype(np.int64)
    x, y = index.T
    on = (x >= 0) & (y >= 0) & (x < parse.shape[1]) & (y < parse.shape[0])
    index[~on] = 0
    return np.where(on, parse[index[:, 1], index[:, 0]].astype(np.int64), -1)


def _lies_outside(
    parse: Labels, frame: BodyFrame, rows: Array, span: tuple[float, float], label: Lip
) -> bool:
    """Whether `label` lies against either end of the garment in many rows."""
    for sign, end in zip((-1, 1), span, strict=True):
        b = end + sign * np.array(JUST_OUTSIDE) * frame.shoulder_width
        points = np.column_stack([np.repeat(rows, len(b)), np.tile(b, len(rows))])
        if (labels_at(parse, frame, points) == label).mean() >= HIDDEN_ROWS:
            return True
    return False


def _two_garments(parse: Labels, worn: Sequence[Lip], other: Sequence[Lip]) -> bool:
    """Whether two garments are worn over one another: an open jacket, of which only one is tried on."""
    coarse = parse[::4, ::4]
    counts = np.array([np.count_nonzero(np.isin(coarse, labels)) for labels in (worn, other)])
    return bool(counts.min() >= SECOND_GARMENT * counts.sum() > 0)


def _tucked(parse: Labels, worn: WornMeasures, frame: BodyFrame) -> bool:
    """Whether trousers or skirt go on below a hem at the waist, at least as wide as the garment above it."""
    hem, step = worn.lengths["length"].value, BELOW_HEM * frame.torso_length
    if not hem <= TUCKED_ABOVE * frame.torso_length:
        return False
    b = np.linspace(-1.2, 1.2, 97) * frame.shoulder_width
    above = labels_at(parse, frame, np.column_stack([np.full(len(b), hem - step), b]))
    below = labels_at(parse, frame, np.column_stack([np.full(len(b), hem + step), b]))
    garment = np.isin(above, (Lip.UPPER_CLOTHES, Lip.DRESS, Lip.COAT)).sum()
    bottom = np.isin(below, BOTTOMS).sum()
    return bool(garment > 0 and TUCKED_WIDTH * garment <= bottom)
