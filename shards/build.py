"""Make a sample from its files, joints and measures."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.inpaint_mask import inpainting_mask
from preprocess.body.keypoints import BodyFrame, KeypointError, Keypoints
from preprocess.garment.parse import garment_mask, load_parse
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.sources.source import ManifestRow
from shards.codec import decode_mask, decode_photo, encode_photo, is_jpeg, picture_size, resized_mask
from shards.params import WriteShardsParams
from shards.sample import SCHEMA_VERSION, Sample, SizeRecord, blaming, encode
from shards.ustar import SampleError, pack

GARMENT_MARGIN = 0.1
"""How far a mask that follows the garment reaches beyond it, in shoulder widths."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What one sample is made from."""

    files: ManifestRow
    """Its row of the manifest."""

    keypoints: tuple[float, ...]
    """75 numbers: x, y (px of the photo), confidence of each joint."""

    measures: Mapping[str, Any]
    """Its row of the size annotations."""


def build_packed(parts: Parts, params: WriteShardsParams) -> bytes:
    """Return the tar bytes of a sample.

    Raises:
        SampleError: A file can't be decoded, joints for the mask are missing, or it should follow the garment
            without a parse map; the message says which.
    """
    sample = build_sample(parts, params)
    return pack(sample.key, encode(sample))


def build_sample(parts: Parts, params: WriteShardsParams) -> Sample:
    """Read a sample's files and draw its masks; see `build_packed`."""
    files = parts.files
    assert files.cloth is not None
    image = files.image.read_bytes()
    with blaming(files.key, "image"):
        height, width = picture_size(image)
    stored_height, stored_width = params.image_height or height, params.image_width or width
    keypoints = Keypoints.from_flat(parts.keypoints)
    parse = load_parse(files.parse, files.parse_labels) if files.parse else None
    try:
        inpaint = inpainting_mask(keypoints, height, width, files.category, params.mask, parse=parse)
    except KeypointError as error:
        raise SampleError(f"{files.key}: no inpainting mask: {error}") from error
    garment = None if parse is None else garment_mask(parse, files.category)
    if params.mask_follows == "garment":
        if garment is None:
            raise SampleError(f"{files.key}: mask_follows: garment needs a parse map")
        inpaint = grown(garment, keypoints)
    scaled = keypoints.scaled(stored_width / width, stored_height / height)
    return Sample(
        record=record_of(parts, scaled, stored_height, stored_width),
        image=photo(files.image, params),
        cloth=photo(files.cloth, params),
        densepose=photo(files.densepose, params) if files.densepose else None,
        inpaint_mask=shrunk(inpaint, params),
        garment_mask=None if garment is None else shrunk(garment, params),
        cloth_mask=mask_of(files.cloth_mask, params) if files.cloth_mask else None,
    )


def grown(garment: NDArray[np.bool_], keypoints: Keypoints) -> NDArray[np.bool_]:
    """Return the worn garment and what lies within `GARMENT_MARGIN` shoulder widths of it."""
    radius = max(1, round(GARMENT_MARGIN * BodyFrame.from_keypoints(keypoints).shoulder_width))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(garment.view(np.uint8), disc)).view(np.bool_)


def record_of(parts: Parts, keypoints: Keypoints, image_height: int, image_width: int) -> SizeRecord:
    """Collect what isn't a picture."""
    files, measures = parts.files, parts.measures
    return SizeRecord(
        key=files.key,
        split=files.split,
        status=measures["status"],
        category=files.category,
        garment_key=files.key,
        image_height=image_height,
        image_width=image_width,
        ratios=tuple(finite(measures[f"{name}_ratio"], 6) for name in AXIS_NAMES),
        keypoints=tuple(joint_of(*row) for row in keypoints.flat().reshape(-1, 3).tolist()),
        fit_label=measures["fit_label"],
        caption=files.caption,
        unpaired_key=files.unpaired_key,
        input_hash=files.input_hash,
        schema_version=SCHEMA_VERSION,
    )


def finite(value: float | None, digits: int) -> float | None:
    """Round a number; None and NaN become None."""
    return None if value is None or math.isnan(value) else round(value, digits)


def joint_of(x: float, y: float, confidence: float) -> tuple[float | None, float | None, float]:
    """Round a joint to hundredths of a pixel; a missing one has no place."""
    if math.isnan(x) or math.isnan(y):
        return None, None, 0.0
    return round(x, 2), round(y, 2), round(confidence, 4)


def photo(path: Path, params: WriteShardsParams) -> bytes:
    """Return a photo's own bytes if it is a JPEG of the stored size, else a new JPEG."""
    content = path.read_bytes()
    with blaming(path.stem, path.parent.name):
        size = picture_size(content)
        wanted = (params.image_height or size[0], params.image_width or size[1])
        if is_jpeg(content) and size == wanted:
            return content
        return encode_photo(decode_photo(content, *wanted), params.jpeg_quality)


def mask_of(path: Path, params: WriteShardsParams) -> NDArray[np.bool_]:
    """Read a white-on-black mask at the stored size."""
    with blaming(path.stem, path.parent.name):
        return decode_mask(path.read_bytes(), params.image_height, params.image_width).view(np.bool_)


def shrunk(mask: NDArray[np.bool_], params: WriteShardsParams) -> NDArray[np.bool_]:
    """Resize a mask to the stored size; a pixel is set where half of it or more was."""
    if params.image_height is None or params.image_width is None:
        return mask
    return resized_mask(mask.view(np.uint8), params.image_height, params.image_width).view(np.bool_)
