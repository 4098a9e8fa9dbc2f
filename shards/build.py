"""Make a sample from its files, joints and measures."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.densepose import read_densepose
from preprocess.body.inpaint_mask import inpainting_mask
from preprocess.body.keypoints import KeypointError, Keypoints
from preprocess.body.needs import frame_of
from preprocess.garment.parse import garment_mask, load_parse
from preprocess.masks import read_mask
from preprocess.person.window import Window
from preprocess.pictures import look_at, read_picture, same_shape
from preprocess.places import refuse_lost
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.sources.source import ManifestRow
from preprocess.vocabulary import Category
from shards.codec import WHOLE, decode_photo, encode_photo, is_jpeg, resized
from shards.framing import Frame
from shards.params import WriteShardsParams
from shards.sample import SCHEMA_VERSION, Sample, SizeRecord, encode
from shards.ustar import SampleError, pack

CUT_MARGIN = 0.05
"""Room about a garment that is cut out of its wearer's photo, as a share of its height and width."""

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
    """Its row of the size annotations, with the ratios that aren't known taken out."""


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
    files = parts.files.kept()
    with blamed(files.key):
        photo = look_at(files.image, "image", beside=files.maps())
        height, width = photo.image_height, photo.image_width
        stored = params.image_height or height, params.image_width or width
        keypoints = Keypoints.from_flat(parts.keypoints)
        parse = None if files.parse is None else labels_of(files, height, width)
        body = inpainting_mask(keypoints, height, width, files.category, params.mask, parse=parse)
        garment = None if parse is None else garment_mask(parse, files.category)
        inpaint = body if params.mask.follows == "body" else grown(garment, keypoints, files.category)
        frame = Frame.around(body, *stored)
        cloth, cloth_mask = cloth_of(files, garment, stored, params)
        return Sample(
            record=record_of(parts, frame.joints(keypoints), *stored),
            image=photo_bytes(files.image, "image", frame, params, beside=files.maps()),
            cloth=cloth,
            densepose=densepose_bytes(files.densepose, frame, params) if files.densepose else None,
            inpaint_mask=frame.mask(inpaint),
            garment_cover=None if garment is None else frame.cover(garment.view(np.uint8) * np.uint8(WHOLE)),
            cloth_mask=cloth_mask,
        )


@contextmanager
def blamed(key: str) -> Iterator[None]:
    """Turn what is wrong with a sample's files into a SampleError that names the sample.

    Raises:
        StorageError: One can't be read on this machine; see `refuse_lost`.
    """
    try:
        yield
    except KeypointError as error:
        raise SampleError(f"{key}: no inpainting mask: {error}") from error
    except (ValueError, OSError) as error:
        refuse_lost(error)
        raise SampleError(f"{key}: {error}") from error


def labels_of(files: ManifestRow, height: int, width: int) -> NDArray[np.uint8]:
    """Read a sample's parse map at the size of its photo."""
    assert files.parse is not None
    labels = load_parse(files.parse, files.parse_labels)
    if labels.shape == (height, width):
        return labels
    return np.asarray(cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT))


def grown(garment: NDArray[np.bool_] | None, keypoints: Keypoints, category: Category) -> NDArray[np.bool_]:
    """Return the worn garment and what lies within `GARMENT_MARGIN` of the body's breadth of it."""
    if garment is None:
        raise ValueError("mask.follows: garment needs a parse map")
    radius = max(1, round(GARMENT_MARGIN * frame_of(keypoints, category).breadth))
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
        bounds=tuple(
            (finite(measures[f"{name}_low"], 6), finite(measures[f"{name}_high"], 6)) for name in AXIS_NAMES
        ),
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


def photo_bytes(
    path: Path, what: str, frame: Frame, params: WriteShardsParams, *, beside: Sequence[Path] = ()
) -> bytes:
    """Return a photo's own bytes if it is a plain JPEG of the stored size, else a new JPEG."""
    content, name = path.read_bytes(), f"{what} {path}"
    facts = look_at(content, name, beside=beside)
    if not facts.plain or frame.window is not None:
        return encode_photo(frame.picture(read_picture(content, name, beside=beside)), params.jpeg_quality)
    if (facts.image_height, facts.image_width) == (frame.image_height, frame.image_width):
        return content
    return encode_photo(decode_photo(content, frame.image_height, frame.image_width), params.jpeg_quality)


def cloth_of(
    files: ManifestRow, garment: NDArray[np.bool_] | None, stored: tuple[int, int], params: WriteShardsParams
) -> tuple[bytes, NDArray[np.bool_] | None]:
    """Return the photo of the garment alone and its mask; cut out of the wearer's where there is none."""
    if files.cloth is not None:
        frame = garment_frame(files.cloth, params)
        mask = mask_of(files.cloth_mask, frame) if files.cloth_mask else None
        return photo_bytes(files.cloth, "cloth", frame, params), mask
    if garment is None:
        raise ValueError("without a photo of the garment it takes a parse map to cut it out by")
    picture, mask = cut_out(read_picture(files.image, beside=files.maps()), garment, *stored)
    return encode_photo(picture, params.jpeg_quality), mask


def cut_out(
    photo: NDArray[np.uint8], garment: NDArray[np.bool_], image_height: int, image_width: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Cut a worn garment out onto white, as large as fits, so that its scale tells nothing of its size.

    The photo is (H, W, 3) RGB of the wearer, the garment (H, W).

    Returns:
        (image_height, image_width, 3) RGB and (image_height, image_width) bool.

    Raises:
        ValueError: There is no garment.
    """
    x, y, width, height = cv2.boundingRect(garment.view(np.uint8))
    if not width:
        raise ValueError("the parse map shows no garment to cut out")
    scale = (1 + 2 * CUT_MARGIN) * max(height / image_height, width / image_width)
    window = Window(
        top=round(y + height / 2 - scale * image_height / 2),
        left=round(x + width / 2 - scale * image_width / 2),
        height=max(1, round(scale * image_height)),
        width=max(1, round(scale * image_width)),
        image_height=image_height,
        image_width=image_width,
    )
    alone = np.where(garment[..., None], np.uint8(255) - photo, np.uint8(0))  # so that beyond it is white too
    seen = resized(np.uint8(255) - window.cut(alone, cv2.BORDER_CONSTANT), image_height, image_width)
    return seen, window.seen_mask(garment)


def densepose_bytes(path: Path, frame: Frame, params: WriteShardsParams) -> bytes:
    """Return DensePose in its colours as a JPEG; see `photo_bytes`."""
    if is_jpeg(path.read_bytes()):
        return photo_bytes(path, "densepose", frame, params)
    return encode_photo(frame.picture(read_densepose(path)), params.jpeg_quality)


def garment_frame(cloth: Path, params: WriteShardsParams) -> Frame:
    """Frame the photo of a garment alone."""
    facts = look_at(cloth, "cloth")
    size = facts.image_height, facts.image_width
    return Frame.whole(*size, params.image_height or size[0], params.image_width or size[1])


def mask_of(path: Path, frame: Frame) -> NDArray[np.bool_]:
    """Read the mask of a garment's photo, at the stored size.

    Raises:
        ValueError: It has another shape, so is another photo's; or it is inverted.
    """
    mask = read_mask(path, "cloth_mask")
    height, width = mask.shape
    if not same_shape(mask.shape, (frame.own_height, frame.own_width)):
        raise ValueError(
            f"cloth_mask {path} must have the proportions of its photo, "
            f"{frame.own_width}x{frame.own_height}, got {width}x{height}"
        )
    middle = mask[height // 3 : -(height // 3), width // 3 : -(width // 3)].mean()
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean()
    if border > 1 / 2 > middle:
        raise ValueError(
            f"cloth_mask {path} covers {border:.0%} of the photo's border but {middle:.0%} of its middle: "
            "is it inverted? It must be light where the garment is"
        )
    return frame.mask(mask)
