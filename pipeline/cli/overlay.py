"""Draw what was measured over the photo: joints, body frame, panel and measures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.tables.measure_sample import parts_of, photo_of
from preprocess.body.keypoints import ARM_JOINTS, BodyFrame, Keypoints
from preprocess.body.needs import needs_of
from preprocess.garment.ends import AXIS_BAND
from preprocess.garment.grabcut import segment_garment
from preprocess.garment.measurements import WornMeasures, garment_panel, measure_worn
from preprocess.garment.parse import garment_mask, load_parse, scene_of
from preprocess.garment.scene import Scene
from preprocess.garment.worn import EDGES_WIDTH
from preprocess.lower.measures import LowerMeasures, measure_lower
from preprocess.painting import draw_disc, draw_line
from preprocess.pictures import read_picture
from preprocess.sizes.axes import Colour, axes_of
from preprocess.sources.source import ManifestRow
from preprocess.vocabulary import SLEEVE, Category

Picture = NDArray[np.uint8]
Path2D = tuple[NDArray[np.float64], bool]

FRAME, BONES, PANEL, SLEEVES = (250, 200, 40), (255, 255, 255), (60, 160, 220), (110, 200, 120)
"""RGB of what no axis measures."""

SKELETON = ((2, 5), (2, 3), (3, 4), (5, 6), (6, 7), (9, 12), (2, 9), (5, 12), (0, 1))
LEGS = ((9, 10), (10, 11), (12, 13), (13, 14))
"""Bones, drawn where garments are measured against them."""


def draw_sample(sample: ManifestRow, found: Mapping[str, Any], *, segmented: bool = False) -> Picture:
    """Return the (H, W, 3) RGB photo of a sample with everything that was measured on it.

    Its row of keypoints.parquet was `found`. The garment is `segmented` by its colours, for want of a parse
    map.

    Raises:
        KeypointError: The person lacks the joints that the garment is measured against.
        ValueError: The photo or the parse map isn't one.
        OSError: They can't be read.
    """
    picture = read_picture(sample.image, beside=sample.maps()).copy()
    keypoints = Keypoints.from_flat(found["keypoints"], source=found["keypoint_source"])
    parse = None if sample.parse is None else load_parse(sample.parse, sample.parse_labels)
    if parse is not None:
        garment = garment_mask(parse, sample.category)
    elif segmented:
        garment = segment_garment(picture, keypoints)
    else:
        return draw_joints(picture, keypoints)
    scale = garment.shape[1] / picture.shape[1]
    person = keypoints.scaled(scale, scale)
    if parse is not None and not needs_of(sample.category).sleeves:
        tinted(picture, garment, PANEL)
        draw_joints(picture, keypoints, (*SKELETON, *LEGS))
        return draw_lower(picture, measure_lower(garment, person, parse), 1 / scale)
    small, parts = photo_of(sample, at_least=EDGES_WIDTH), parts_of(sample, found)
    plain = Scene(photo=small, densepose=parts)
    scene = plain if parse is None else scene_of(parse, photo=small, densepose=parts)
    panel = garment_panel(garment, person)
    tinted(picture, garment & ~panel, SLEEVES)
    tinted(picture, panel, PANEL)
    draw_joints(picture, keypoints)
    worn = measure_worn(garment, person, scene)
    return draw_measures(picture, worn, person, 1 / scale)


def tinted(picture: Picture, mask: NDArray[np.bool_], colour: Colour) -> None:
    """Tint the part of an (H, W, 3) picture that an (h, w) mask covers."""
    nearest = cv2.INTER_NEAREST_EXACT  # the plain one looks half a pixel further left and up
    full = cv2.resize(mask.astype(np.uint8), picture.shape[1::-1], interpolation=nearest) > 0
    picture[full] = (0.6 * picture[full] + 0.4 * np.array(colour)).astype(np.uint8)


def draw_joints(
    picture: Picture, keypoints: Keypoints, bones: tuple[tuple[int, int], ...] = SKELETON
) -> Picture:
    """Draw bones and joints; missing ones are left out."""
    thickness = max(1, picture.shape[0] // 340)
    for first, second in bones:
        if keypoints.has(first, second):
            _line(picture, keypoints.xy[[first, second]], BONES, thickness)
    for joint in keypoints.xy[np.isfinite(keypoints.xy).all(axis=1)]:
        draw_disc(picture, joint, 2 * thickness, FRAME)
    return picture


def draw_measures(picture: Picture, worn: WornMeasures, keypoints: Keypoints, scale: float) -> Picture:
    """Draw body frame, measures and, fainter, their bounds, taken in a picture `scale` times smaller."""
    frame = BodyFrame.from_keypoints(keypoints)
    paths = measured_paths(worn, frame) | {SLEEVE: cuffs(worn, keypoints, frame)}
    thickness = max(1, picture.shape[0] // 300)
    _line(picture, scale * frame.to_image(np.array([(0, 0), (frame.torso_length, 0)])), FRAME, thickness)
    for name, axis in axes_of(Category.UPPER).items():
        for ends, bound in paths.get(name, ()):
            colour = _faint(axis.colour) if bound else axis.colour
            _line(picture, scale * frame.to_image(ends), colour, thickness)
    return picture


def draw_lower(picture: Picture, worn: LowerMeasures, scale: float) -> Picture:
    """Draw the measures of trousers or a skirt, taken in a picture `scale` times smaller."""
    axes = axes_of(Category.LOWER)
    for name, lines in worn.lines.items():
        for line in lines:
            _line(picture, scale * line, axes[name].colour, max(1, picture.shape[0] // 300))
    return picture


def measured_paths(worn: WornMeasures, frame: BodyFrame) -> dict[str, list[Path2D]]:
    """Paths along what was measured, by axis: (N, 2) points a, b px, and whether it is but a bound."""
    reach, hem = AXIS_BAND * frame.shoulder_width, worn.lengths["length"]
    left, right = worn.shoulder_span
    sides: list[Path2D] = []
    for sign, side in zip((-1, 1), worn.sides, strict=True):
        told = np.isfinite(side.at)
        for ends, bound in ((side.low, True), (side.high, True), (side.at, False)):
            sides.append((np.column_stack([side.a[told], sign * ends[told]]), bound))
    return {
        "shoulder": [(np.array([(0, left), (0, right)]), False)],
        "width": sides,
        "length": [
            *((np.array([(row, -reach / 2), (row, reach / 2)]), True) for row in (hem.low, hem.high)),
            (np.array([(hem.value, -reach), (hem.value, reach)]), False),
            (np.array([(0, 0.9 * reach), (hem.value, 0.9 * reach)]), False),
        ],
    }


def cuffs(worn: WornMeasures, keypoints: Keypoints, frame: BodyFrame) -> list[Path2D]:
    """Paths across both arms where sleeves of the measured length end; as `measured_paths`."""
    sleeve, reach = worn.lengths[SLEEVE], AXIS_BAND * frame.shoulder_width
    paths: list[Path2D] = []
    for joints in ARM_JOINTS.values():
        bone = frame.to_body(keypoints.xy[list(joints)])
        walked = np.append(0, np.hypot(*np.diff(bone, axis=0).T).cumsum())
        for length, bound in ((sleeve.low, True), (sleeve.high, True), (sleeve.value, False)):
            at = length / worn.body["arm"] * walked[-1] + np.array([-1, 0])  # a px before it, and there
            before, end = np.column_stack([np.interp(at, walked, column) for column in bone.T])
            across = reach * (end - before)[::-1] * (-1, 1)
            paths.append((np.array([end - across, end + across]), bound))
    return paths


def _faint(colour: Colour) -> Colour:
    """Half way to white: of bounds."""
    red, green, blue = ((channel + 255) // 2 for channel in colour)
    return red, green, blue


def _line(picture: Picture, ends: NDArray[np.float64], colour: Colour, thickness: int) -> None:
    """Draw a line through two points or more, unless one is missing."""
    if len(ends) > 1 and np.isfinite(ends).all():
        draw_line(picture, ends, colour, thickness, closed=False)


def save_png(picture: Picture, out: Path) -> None:
    """Write an RGB picture."""
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(out)
