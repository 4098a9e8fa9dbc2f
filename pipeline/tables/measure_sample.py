"""Measure one sample of the stage `compute_size_ratios`: from its files and joints to its columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.tables.incremental import Row
from preprocess.body.densepose import Parts, load_densepose
from preprocess.body.keypoints import KeypointError, Keypoints
from preprocess.body.needs import needs_of
from preprocess.garment.bounds import Bounds, Measures
from preprocess.garment.grabcut import segment_garment
from preprocess.garment.joint_fit import other_scale
from preprocess.garment.measurements import measure_worn
from preprocess.garment.parse import garment_mask, load_parse, other_labels
from preprocess.garment.scene import Scene
from preprocess.garment.size_ratios import SizeRatioParams, SizeRatios, size_ratios
from preprocess.garment.worn import EDGES_WIDTH, measure_parsed
from preprocess.pictures import PictureError, read_picture, same_shape
from preprocess.places import refuse_lost
from preprocess.sizes.axes import LENGTH_COLUMNS, MEASURED_NAMES
from preprocess.sources.source import ManifestRow
from preprocess.vocabulary import SEGMENTED, Category


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureJob:
    """One sample with its keypoints; travels to another process."""

    sample: ManifestRow
    """What the manifest says."""

    found: dict[str, Any]
    """The sample's row of keypoints.parquet."""

    params: SizeRatioParams
    """The stage's section."""


def measured(job: MeasureJob) -> Row:
    """Measure one sample.

    Raises:
        KeypointError: It can't be measured; the message is the reason.
    """
    found = job.found
    by_colour = job.params.segmenter == "grabcut" and job.sample.category is Category.UPPER
    if job.sample.parse is None and by_colour:
        return measured_in_photo(job)
    parse = parse_of(job.sample)
    garment = garment_mask(parse, job.sample.category)
    if not garment.any():
        raise KeypointError("no_garment")
    scale = parse.shape[1] / found["image_width"]
    if not same_shape(parse.shape, (found["image_height"], found["image_width"])):
        raise KeypointError("parse_of_other_shape")
    person = person_of(job).scaled(scale, scale)
    numbering = other_labels(parse, person, job.sample.parse_labels)
    if numbering is not None:
        raise KeypointError(numbering)
    require_own_size(parse, person, found["image_width"], found["image_height"])
    sleeves = needs_of(job.sample.category).sleeves
    worn, result = measure_parsed(
        garment,
        parse,
        person,
        job.params,
        category=job.sample.category,
        photo=photo_of(job.sample, at_least=EDGES_WIDTH) if sleeves else None,
        densepose=parts_of(job.sample, job.found) if sleeves else None,
        doubts=doubts_of(job),
    )
    return columns(worn, result, scale)


def require_own_size(parse: Any, person: Keypoints, width: int, height: int) -> None:
    """Raise KeypointError when the joints were found in another size of the photo."""
    factor = other_scale(parse, person)
    if factor is not None:
        raise KeypointError(
            f"other_image_size: the joints lie on the parse map at {factor:.2f} times their size, as those "
            f"of a picture of about {width / factor:.0f}x{height / factor:.0f}"
        )


def measured_in_photo(job: MeasureJob) -> Row:
    """Measure one sample without a parse map on the garment that stands out in its photo, and flag it.

    Raises:
        KeypointError: It can't be measured; the message is the reason.
    """
    person = person_of(job)
    photo = photo_of(job.sample)
    garment = segment_garment(photo, person)
    if not garment.any():
        raise KeypointError("no_garment")
    worn = measure_worn(garment, person, Scene(photo=photo, densepose=parts_of(job.sample, job.found)))
    flags = [SEGMENTED, *doubts_of(job)]
    result = size_ratios(worn, job.params, category=job.sample.category, keypoints=person, flags=flags)
    return columns(worn, result, 1.0)


def person_of(job: MeasureJob) -> Keypoints:
    """Return a sample's joints in px of its photo."""
    found = job.found
    return Keypoints.from_flat(
        found["keypoints"], source=found["keypoint_source"], format=found["keypoint_format"]
    )


def doubts_of(job: MeasureJob) -> list[str]:
    """Return what makes a sample's joints doubtful."""
    return job.found["reason"].split("; ") if job.found["reason"] else []


def photo_of(sample: ManifestRow, *, at_least: int | None = None) -> NDArray[np.uint8]:
    """Load the photo of a sample as (H, W, 3) RGB, or give the reason why not; see `read_picture`."""
    try:
        return read_picture(sample.image, beside=sample.maps(), at_least=at_least)
    except (OSError, ValueError) as error:
        raise KeypointError(unreadable("image", error)) from error


def parse_of(sample: ManifestRow) -> Any:
    """Load the labels of a sample, or give the reason why not."""
    if sample.parse is None:
        raise KeypointError("no_parse")
    try:
        return load_parse(sample.parse, sample.parse_labels)
    except (OSError, ValueError) as error:
        raise KeypointError(unreadable("parse", error)) from error


def unreadable(part: str, error: Exception) -> str:
    """Return the reason of a part that can't be read, without its path.

    Raises:
        StorageError: It can't be read on this machine; see `refuse_lost`.
    """
    refuse_lost(error)
    return f"{part}_unreadable: {error.problem}" if isinstance(error, PictureError) else f"{part}_unreadable"


def parts_of(sample: ManifestRow, found: Mapping[str, Any]) -> Parts | None:
    """Load the body's parts: DensePose's, else what was found with the joints; None where there are none.

    Raises:
        KeypointError: Its DensePose can't be read, or hasn't the proportions of the photo.
    """
    if sample.densepose is None:
        packed = found["body_parts"]
        return None if packed is None else decode_grey(packed)
    try:
        parts = load_densepose(sample.densepose, reduce=True)
    except (OSError, ValueError) as error:
        raise KeypointError(unreadable("densepose", error)) from error
    if not same_shape(parts.shape, (found["image_height"], found["image_width"])):
        raise KeypointError("densepose_of_other_shape")
    return parts


def decode_grey(content: bytes) -> Parts:
    """Decode a grey PNG of ours."""
    return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE))


def columns(worn: Measures, result: SizeRatios, scale: float) -> Row:
    """Columns of one measured sample; lengths in px of the photo, null where they can't be measured."""
    found = {f"body_{name}_px": length for name, length in worn.body.items()}
    found |= {f"garment_{name}_px": length.value for name, length in worn.lengths.items()}
    lengths = {name: found.get(name, np.nan) / scale for name in LENGTH_COLUMNS}
    ratios = {
        f"{name}_{part}": getattr(result.bounds.get(name, Bounds.unknown()), attribute)
        for name in MEASURED_NAMES
        for part, attribute in (("ratio", "value"), ("low", "low"), ("high", "high"))
    }
    extra = {"ease_ratio": result.ease_ratio, "sleeve_ratio": result.sleeve_ratio, "tilt_deg": worn.tilt_deg}
    values = {name: None if np.isnan(value) else value for name, value in (lengths | extra | ratios).items()}
    return values | {
        "status": str(result.status),
        "reason": result.reason,
        "confidence": result.confidence,
    }
