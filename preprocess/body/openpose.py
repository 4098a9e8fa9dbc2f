"""Read OpenPose's JSON, in every form met in the wild, or refuse it by name.

Known forms: BODY_25 (75 numbers) and COCO-18 (54), x,y without confidence (50, 36), version 1.0's
`pose_keypoints`, a list around the document, canvas fields, fractions of the picture (0 to 1 and -1 to 1, as
`--keypoint_scale` 3 and 4 write them), -1 for joints that weren't found, COCO-18 padded to 25 rows, BODY_25
cut to 18, and Dress Code's `keypoints` (18 rows of 4 numbers for a 384 x 512 picture).
"""

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.keypoints import MIN_CONFIDENCE, Array, KeypointError, Keypoints, from_coco_18
from preprocess.vocabulary import NUM_JOINTS, Joint

FAR_OUTSIDE = 0.1
"""A joint further outside the frame than this share of the picture's size is missing."""

COARSEST_GRID = 8
"""px. Coordinates that are all multiples of this, or of more, come from a template or a coarse heat map."""

NECK_OFFSET = 0.5
"""Largest distance of the neck from mid-shoulder, over the shoulder width; VITON-HD's largest is 0.16."""

FEWEST_BELOW_ZERO = 0.25
"""Share of the joints that are left of or above the middle, of anybody who is in the picture."""

FEWEST_JOINTS = 8
"""Fewer joints than this are too few to tell a placeholder, or another picture's size, from a person."""

DRESS_CODE_CANVAS = (384.0, 512.0)
"""Width and height that Dress Code's keypoints refer to, whatever the size of its photos."""

MISSING = (0.0, -1.0)
"""What both coordinates of a joint are that wasn't found; other tools than OpenPose write -1."""

NUMBERS_TO_SHAPE = {75: (25, 3), 54: (18, 3), 50: (25, 2), 36: (18, 2)}
TRUNK = [
    Joint.NECK,
    Joint.RIGHT_SHOULDER,
    Joint.LEFT_SHOULDER,
    Joint.MID_HIP,
    Joint.RIGHT_HIP,
    Joint.LEFT_HIP,
]


def read_openpose(path: Path, image_width: int, image_height: int) -> Keypoints:
    """Read the keypoints of the person whom the picture is of.

    Args:
        path: OpenPose's JSON for the picture.
        image_width: px of the picture that the result refers to.
        image_height: px of the same picture.

    Returns:
        Keypoints in px of the picture; joints that weren't found are NaN.

    Raises:
        KeypointError: The file can't be read as a person in this picture; the message names why.
    """
    people = read_people(path, image_width, image_height)
    return choose_person(people, image_width, image_height, garment_mask=None)


def read_people(
    path: Path, image_width: int, image_height: int, *, min_confidence: float = MIN_CONFIDENCE
) -> list[Keypoints]:
    """Read everybody in the file who is plausible; joints below `min_confidence` are missing.

    The other arguments, and errors, are those of `read_openpose`.
    """
    document = _load(path)
    people, problems = [], []
    canvas = _canvas(document, image_width, image_height)
    for numbers in _pose_numbers(document):
        try:
            table = _table(numbers)
            people.append(_person(table, canvas, image_width, image_height, min_confidence))
        except KeypointError as problem:
            problems.append(problem)
    if people:
        return people
    raise problems[0] if problems else KeypointError("no_people")


def choose_person(
    people: list[Keypoints], image_width: int, image_height: int, garment_mask: NDArray[np.bool_] | None
) -> Keypoints:
    """Choose who wears the garment: by overlap with its mask, then by size and centrality.

    The overlap is the share of the mask inside the hull of a person's trunk, in hundredths; without a mask
    it is 0 for everybody. Size is the diagonal of all joints; centrality falls linearly from the middle.
    """
    centre = np.array([image_width, image_height]) / 2

    def rank(person: Keypoints) -> tuple[float, float]:
        found = person.xy[np.isfinite(person.xy).all(axis=1)]
        offset = np.abs(found.mean(axis=0) - centre) / centre
        return _overlap(person, garment_mask), float(
            np.hypot(*np.ptp(found, axis=0)) * max(0.05, 1 - offset.max())
        )

    return people[0] if len(people) == 1 else max(people, key=rank)


def _overlap(person: Keypoints, garment_mask: NDArray[np.bool_] | None) -> float:
    """Share of the garment inside the hull of the person's trunk, rounded to hundredths."""
    trunk = person.xy[TRUNK]
    trunk = trunk[np.isfinite(trunk).all(axis=1)]
    if garment_mask is None or len(trunk) < 3 or not garment_mask.any():
        return 0.0
    hull = np.zeros(garment_mask.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(trunk.astype(np.int32)), 1)
    return round(float(hull[garment_mask].mean()), 2)


def _load(path: Path) -> dict[str, Any]:
    """Read the outermost object, or refuse."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise KeypointError("json_unreadable") from error
    except (ValueError, RecursionError) as error:
        raise KeypointError("not_json") from error
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        raise KeypointError("no_people")
    return document


def _pose_numbers(document: dict[str, Any]) -> list[Any]:
    """The pose of each person, unchecked; Dress Code has one person and no list of people."""
    people = document.get("people")
    if not isinstance(people, list):
        return [document["keypoints"]] if "keypoints" in document else []
    poses = [
        person.get("pose_keypoints_2d") or person.get("pose_keypoints")
        for person in people
        if isinstance(person, dict)
    ]
    return [pose for pose in poses if pose]


def _table(numbers: object) -> Array:
    """Turn a list, flat or nested, into (25 or 18, 3) x, y, confidence; NaN where there is no number."""
    if not isinstance(numbers, list):
        raise KeypointError("unknown_layout")
    flat = [value for item in numbers for value in (item if isinstance(item, list) else [item])]
    values = np.array([_number(value) for value in flat])
    if len(values) == 72 and isinstance(numbers[0], list):
        return _dress_code_table(values.reshape(18, 4))
    if len(values) not in NUMBERS_TO_SHAPE:
        raise KeypointError("unknown_layout")
    table = values.reshape(NUMBERS_TO_SHAPE[len(values)])
    if table.shape[1] == 2:
        table = np.column_stack([table, np.ones(len(table))])
    return _with_missing(table, np.isin(table[:, 0], MISSING) & (table[:, 0] == table[:, 1]))


def _dress_code_table(values: Array) -> Array:
    """Read rows of x, y and two numbers that are no confidence; a missing joint is (1, 1) or less."""
    table = np.column_stack([values[:, :2], np.ones(len(values))])
    return _with_missing(table, (table[:, 0] <= 1) & (table[:, 1] <= 1))


def _with_missing(table: Array, missing: NDArray[np.bool_]) -> Array:
    """Mark rows as missing: NaN, NaN, 0. A row with any number that isn't finite is missing too."""
    missing = missing | ~np.isfinite(table).all(axis=1)
    return np.where(missing[:, None], np.array([np.nan, np.nan, 0.0]), table)


def _number(value: object) -> float:
    """Read a JSON value as a float; NaN when it is no finite number of a sane size."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if -1e9 < value < 1e9 else math.nan


def _canvas(document: dict[str, Any], image_width: int, image_height: int) -> tuple[float, float] | None:
    """Width and height that the coordinates refer to, where the file tells."""
    if "people" not in document and "keypoints" in document:
        return DRESS_CODE_CANVAS
    width, height = _number(document.get("canvas_width")), _number(document.get("canvas_height"))
    if not (width > 0 and height > 0):
        return None
    if abs(width / height * image_height / image_width - 1) > 0.02:
        raise KeypointError("other_image_size")
    return width, height


def _person(
    table: Array,
    canvas: tuple[float, float] | None,
    image_width: int,
    image_height: int,
    min_confidence: float,
) -> Keypoints:
    """Check one person's joints and scale them to the picture, or refuse the person."""
    if not (table[:, 2] > 0).any():
        raise KeypointError("zero_confidence")
    table = _with_missing(table, ~(table[:, 2] >= min_confidence))
    found = table[table[:, 2] > 0, :2]
    if len(found) == 0:
        raise KeypointError("low_confidence")
    if np.abs(found).max() <= 1 + FAR_OUTSIDE:
        table, found, canvas = _from_fractions(table, found), _from_fractions(found, found), (1.0, 1.0)
    _refuse_placeholder(found)
    size = np.array([image_width, image_height], dtype=np.float64)
    if canvas is not None:
        table = table * np.append(size / canvas, 1.0)
    elif len(found) >= FEWEST_JOINTS and (found <= size / 2).all():
        raise KeypointError("other_image_size")
    return _in_frame(_map_layout(table), size)


def _from_fractions(table: Array, found: Array) -> Array:
    """Turn `--keypoint_scale 4`, from -1 to 1, into `--keypoint_scale 3`, from 0 to 1; leave the latter.

    From -1 to 1 somebody's head or right side is below 0; from 0 to 1 only what lies outside the picture.

    Args:
        table: (N, 2) or (N, 3), x and y first.
        found: (N, 2) x and y of the joints that were found, which tell.
    """
    if (found < 0).any(axis=1).mean() < FEWEST_BELOW_ZERO:
        return table
    return np.column_stack([(table[:, :2] + 1) / 2, table[:, 2:]])


def _refuse_placeholder(found: Array) -> None:
    """Raise KeypointError when joints lie on a line (a ramp) or on a coarse grid (a template)."""
    if len(found) < FEWEST_JOINTS:
        return
    spread = np.linalg.svd(found - found.mean(axis=0), compute_uv=False)
    if spread[1] <= 0.02 * spread[0]:
        raise KeypointError("placeholder")
    if (found == np.round(found)).all() and np.gcd.reduce(found.astype(np.int64).ravel()) >= COARSEST_GRID:
        raise KeypointError("placeholder")


def _map_layout(table: Array) -> Keypoints:
    """Tell BODY_25 from COCO-18 and map the rows to BODY_25."""
    layout = detect_layout(table)
    if layout == "coco_18":
        person = from_coco_18(table[:18, :2], table[:18, 2])
    else:
        full = np.full((NUM_JOINTS, 3), [np.nan, np.nan, 0.0])
        full[: len(table)] = table
        person = Keypoints.from_flat(full.ravel(), source="openpose", format="body_25")
    _refuse_implausible(person)
    return person


def detect_layout(table: Array) -> str:
    """Tell whether (18 or 25, 3) joints are `body_25` or `coco_18`, from where they lie.

    The count decides unless the joints contradict it: rows 8, 9, 12 are mid-hip, right and left hip in
    BODY_25, so row 8 lies between the others; rows 14, 15 are the eyes in COCO-18, so they lie at the nose.
    """
    xy = table[:, :2]
    reach = np.hypot(*(xy[2] - xy[5]))
    hips = np.hypot(*(xy[9] - xy[12]))
    between_hips = bool(np.hypot(*(xy[8] - (xy[9] + xy[12]) / 2)) < 0.3 * hips < reach)
    eyes_at_nose = bool(
        np.hypot(*(xy[14] - xy[0])) < 0.4 * reach and np.hypot(*(xy[15] - xy[0])) < 0.4 * reach
    )
    if len(table) == NUM_JOINTS:
        padded = not np.isfinite(xy[18:]).any() and eyes_at_nose and not between_hips
        return "coco_18" if padded else "body_25"
    return "body_25" if between_hips and not eyes_at_nose else "coco_18"


def _refuse_implausible(person: Keypoints) -> None:
    """Raise KeypointError when the neck isn't near mid-shoulder: the rows are not in the order we think."""
    right, left, neck = person.xy[[Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER, Joint.NECK]]
    if np.hypot(*(neck - (right + left) / 2)) > NECK_OFFSET * np.hypot(*(left - right)):
        raise KeypointError("implausible_skeleton")


def _in_frame(person: Keypoints, size: Array) -> Keypoints:
    """Drop joints far outside the picture; refuse the person when that is half of them."""
    xy = person.xy
    with np.errstate(invalid="ignore"):
        outside: NDArray[np.bool_] = np.any(np.abs(xy / size - 0.5) > 0.5 + FAR_OUTSIDE, axis=1)
    if 2 * outside.sum() >= np.isfinite(xy).all(axis=1).sum():
        raise KeypointError("other_image_size")
    return person.without(outside)
