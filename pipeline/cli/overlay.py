"""Draw what was measured over the photo: joints, body frame, panel and measures."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocess.body.keypoints import BodyFrame, Keypoints
from preprocess.garment.grabcut import segment_garment
from preprocess.garment.measurements import AXIS_BAND, WornMeasures, garment_panel, measure_worn
from preprocess.garment.parse import OCCLUDERS, garment_mask, labels_mask, load_parse
from preprocess.painting import draw_disc, draw_line
from preprocess.pictures import read_picture
from preprocess.sizes.axes import Colour, axes_of
from preprocess.sources.source import ManifestRow
from preprocess.vocabulary import Category

Picture = NDArray[np.uint8]
Segment = tuple[tuple[float, float], tuple[float, float]]
"""`a`, `b` px of two points of the body frame."""

FRAME, BONES, PANEL, SLEEVE = (250, 200, 40), (255, 255, 255), (60, 160, 220), (110, 200, 120)
"""RGB of what no axis measures."""

SKELETON = ((2, 5), (2, 3), (3, 4), (5, 6), (6, 7), (9, 12), (2, 9), (5, 12), (0, 1))


def draw_sample(sample: ManifestRow, keypoints: Keypoints, *, segmented: bool = False) -> Picture:
    """Return the (H, W, 3) RGB photo of a sample with everything that was measured on it.

    Args:
        sample: Its files.
        keypoints: Its joints, px of the photo.
        segmented: Whether the garment was found by its colours, for want of a parse map.

    Raises:
        KeypointError: The person has no trunk.
        ValueError: The photo or the parse map isn't one.
        OSError: They can't be read.
    """
    picture = read_picture(sample.image, beside=sample.maps()).copy()
    occluders = None
    if sample.parse is not None:
        parse = load_parse(sample.parse, sample.parse_labels)
        garment, occluders = garment_mask(parse, sample.category), labels_mask(parse, OCCLUDERS)
    elif segmented:
        garment = segment_garment(picture, keypoints)
    else:
        return draw_joints(picture, keypoints)
    scale = garment.shape[1] / picture.shape[1]
    person = keypoints.scaled(scale, scale)
    panel = garment_panel(garment, person)
    for mask, colour in ((garment & ~panel, SLEEVE), (panel, PANEL)):
        nearest = cv2.INTER_NEAREST_EXACT  # the plain one looks half a pixel further left and up
        full = cv2.resize(mask.astype(np.uint8), picture.shape[1::-1], interpolation=nearest) > 0
        picture[full] = (0.6 * picture[full] + 0.4 * np.array(colour)).astype(np.uint8)
    draw_joints(picture, keypoints)
    worn = measure_worn(garment, person, occluders=occluders)
    return draw_measures(picture, worn, BodyFrame.from_keypoints(person), 1 / scale)


def draw_joints(picture: Picture, keypoints: Keypoints) -> Picture:
    """Draw bones and joints; missing ones are left out."""
    thickness = max(1, picture.shape[0] // 340)
    for first, second in SKELETON:
        if keypoints.has(first, second):
            _line(picture, keypoints.xy[[first, second]], BONES, thickness)
    for joint in keypoints.xy[np.isfinite(keypoints.xy).all(axis=1)]:
        draw_disc(picture, joint, 2 * thickness, FRAME)
    return picture


def draw_measures(picture: Picture, worn: WornMeasures, frame: BodyFrame, scale: float) -> Picture:
    """Draw the body frame and the measures, which were taken in a picture `scale` times smaller."""
    middle, reach = float(np.mean(worn.width_rows)), AXIS_BAND * frame.shoulder_width
    length = worn.garment_length_px
    seen: dict[str, list[Segment]] = {
        "shoulder": [((0, worn.shoulder_span[0]), (0, worn.shoulder_span[1]))],
        "width": [
            ((row, worn.width_span[0]), (row, worn.width_span[1])) for row in (*worn.width_rows, middle)
        ],
        "length": [((length, -reach), (length, reach)), ((0, 0.9 * reach), (length, 0.9 * reach))],
    }
    axes = axes_of(Category.UPPER)
    lines: list[tuple[Segment, Colour]] = [(((0, 0), (frame.torso_length, 0)), FRAME)]
    lines += [(ends, axes[name].colour) for name, measure in seen.items() for ends in measure]
    thickness = max(1, picture.shape[0] // 300)
    for ends, colour in lines:
        _line(picture, scale * frame.to_image(np.array(ends, dtype=np.float64)), colour, thickness)
    return picture


def _line(picture: Picture, ends: NDArray[np.float64], colour: Colour, thickness: int) -> None:
    """Draw a line between two points, unless one is missing."""
    if np.isfinite(ends).all():
        draw_line(picture, ends, colour, thickness, closed=False)


def save_png(picture: Picture, out: Path) -> None:
    """Write an RGB picture."""
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(out)
