"""Read human parsing: which label each pixel of a photo has, whatever way the labels are stored."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.keypoints import Keypoints
from preprocess.garment.scene import Scene
from preprocess.masks import OPAQUE, Levels, MaskSource, read_levels
from preprocess.pictures import LIMITS, Limits, PictureError
from preprocess.vocabulary import ATR_TO_LIP, GARMENT_LABELS, Category, Joint, Lip, ParseLabels

Mask = NDArray[np.bool_]

OCCLUDERS = (Lip.HAIR, Lip.GLOVE, Lip.SCARF, Lip.LEFT_ARM, Lip.RIGHT_ARM)
"""What may lie in front of a garment and hide its sides."""

OVERLAYS = (Lip.HAIR, Lip.GLOVE, Lip.SCARF)
"""Those that may lie over its shoulders."""

BOTTOMS = (Lip.PANTS, Lip.SKIRT)
"""What is worn below it."""

NUM_LABELS = {ParseLabels.LIP: len(Lip), ParseLabels.ATR: len(ATR_TO_LIP)}

LARGEST_GLASSES = 0.04
"""Share of the person that sunglasses may cover: as ATR's label 4 it is the top."""

PREVIEW = "use the data set's label files, not their coloured previews"

Colours = NDArray[np.uint8]

MOST_BLENDED = 0.1
"""Share of the edges along a row whose middle pixel may have a label between those beside it.

At most 0.025 in 190 maps of VITON, VITON-HD, Dress Code and street photos, at least 0.21 when they are
resized by blending, and 0.14 when they are saved as JPEG of quality 95.
"""

FEWEST_BLENDED = 8
"""Fewer such pixels tell nothing."""

TOLERANCE = 2
"""How far a channel may be off: writers round 169.15 and 254.15 either way."""

LIP_COLOURS = np.array([
    (0, 0, 0), (128, 0, 0), (255, 0, 0), (0, 85, 0), (170, 0, 51),
    (255, 85, 0), (0, 0, 85), (0, 119, 221), (85, 85, 0), (0, 85, 85),
    (85, 51, 0), (52, 86, 128), (0, 128, 0), (0, 0, 255), (51, 170, 221),
    (0, 255, 255), (85, 255, 170), (170, 255, 85), (255, 255, 0), (255, 170, 0),
], np.uint8)  # fmt: skip
"""(20, 3) RGB by label, which LIP's and CIHP's previews share, and VITON-HD's palettes.

Source: `label_colours` of LIP_JPPNet and of CIHP_PGN.
"""


def load_parse(
    path: MaskSource, labels: ParseLabels = ParseLabels.LIP, *, limits: Limits = LIMITS
) -> NDArray[np.uint8]:
    """Read a map of `labels` as (H, W) LIP labels.

    Palette indices, grey levels of any depth, three equal channels, `.npy` and `.npz` are the numbers. A
    preview in the colours of LIP, CIHP or SCHP is turned back into them, and so is a palette that was put in
    another order.

    Raises:
        PictureError: It is no such map; the message says what to do.
        OSError: It can't be read.
    """
    name = f"the parse map {path}" if isinstance(path, str | Path) else "the parse map"
    levels = read_levels(path, "the parse map", limits=limits).grey()
    if levels.lossy:
        raise PictureError(name, "is in a format that changes numbers (JPEG or lossy WebP): save it as PNG")
    numbers = numbers_of(levels, name)
    if is_blended(numbers):
        raise PictureError(
            name,
            "has labels between two others along their edges, as blending makes them: resize it by nearest "
            "neighbour, and never save it as JPEG",
        )
    largest, known = int(numbers.max()), NUM_LABELS[labels]
    if largest >= known:
        found = [int(label) for label in np.unique(numbers) if label >= known]
        raise PictureError(
            name,
            f"has the labels {', '.join(map(str, found[:5]))}, but {labels.upper()} has 0 to "
            f"{known - 1}: {PREVIEW}",
        )
    parse: NDArray[np.uint8] = numbers.astype(np.uint8, copy=False)
    if levels.alpha is not None:
        parse = np.where(levels.alpha >= OPAQUE, parse, np.uint8(0))
    if labels is ParseLabels.LIP:
        return parse
    table = np.zeros(256, np.uint8)
    table[: len(ATR_TO_LIP)] = ATR_TO_LIP
    return np.asarray(cv2.LUT(parse, table))


def numbers_of(levels: Levels, name: str) -> NDArray[Any]:
    """Return the (H, W) labels that a file's levels stand for."""
    values = levels.values
    if levels.palette is not None:
        return labels_of_palette(values, levels.palette)
    if values.ndim == 3:
        found = labels_of_colours(values)
        if found is None:
            raise PictureError(name, f"must hold labels, but has colours of no known preview: {PREVIEW}")
        return found
    if values.dtype.kind == "f" and not (values == np.rint(values)).all():
        raise PictureError(name, "must hold whole numbers, but has fractions")
    if values.min() < 0:
        raise PictureError(name, f"must hold labels from 0, but has {values.min()}")
    scaled = int(values.max()) >= 257 and not (values % 257).any()
    return values // 257 if scaled else values  # 8 bits that were scaled to 16


def is_blended(numbers: NDArray[Any]) -> bool:
    """Tell whether pixels at the edges of (H, W) labels have labels between those of their neighbours."""
    rows = numbers[::8]
    before, label, after = rows[:, :-2], rows[:, 1:-1], rows[:, 2:]
    between = ((before < label) & (label < after)) | ((before > label) & (label > after))
    return bool(between.sum() > max(FEWEST_BLENDED, MOST_BLENDED * (before != after).sum()))


def garment_mask(parse: NDArray[np.uint8], category: Category) -> Mask:
    """Return where (H, W) labels are the worn garment of `category`."""
    return labels_mask(parse, GARMENT_LABELS[category])


def labels_mask(parse: NDArray[np.uint8], labels: Sequence[Lip]) -> Mask:
    """Return where (H, W) labels are one of `labels`."""
    table = np.zeros(256, np.uint8)
    table[list(labels)] = 1
    return np.asarray(cv2.LUT(parse, table).view(np.bool_))


def scene_of(
    parse: NDArray[np.uint8],
    *,
    photo: NDArray[np.uint8] | None = None,
    densepose: NDArray[np.uint8] | None = None,
) -> Scene:
    """Take what lies in front of the garment from (h, w) LIP labels; see `Scene` for the others."""
    return Scene(
        occluders=labels_mask(parse, OCCLUDERS),
        overlays=labels_mask(parse, OVERLAYS),
        bottoms=labels_mask(parse, BOTTOMS),
        photo=photo,
        densepose=densepose,
    )


def other_labels(
    parse: NDArray[np.uint8], person: Keypoints, labels: ParseLabels = ParseLabels.LIP
) -> str | None:
    """Say that a map read as `labels` has another numbering, as far as that shows; else None.

    ATR's top is 4, which LIP calls sunglasses; its face is 11, LIP's scarf; LIP's face is ATR's right leg.

    Args:
        parse: (H, W) LIP labels, as `load_parse` returns them.
        person: Joints in px of the map.
        labels: What the map was read as.
    """
    counts = np.bincount(parse[::8, ::8].ravel(), minlength=len(Lip))
    nose = label_at(parse, *person.xy[Joint.NOSE])
    if labels is ParseLabels.ATR and nose == Lip.RIGHT_LEG:
        return "parse map has ATR's label of a leg at the nose: are these LIP labels?"
    if labels is ParseLabels.ATR:
        return None
    glasses = counts[Lip.SUNGLASSES] > max(LARGEST_GLASSES * counts[1:].sum(), counts[Lip.FACE])
    if glasses or (nose == Lip.SCARF and counts[Lip.FACE] < counts[Lip.SCARF]):
        return "parse map has LIP's label of sunglasses or scarf where top or face are: are these ATR labels?"
    if nose == Lip.HAT and not counts[Lip.FACE]:
        return "parse map has LIP's label of a hat at the nose and no face: are these Pascal's labels?"
    return None


def label_at(parse: NDArray[np.uint8], x: float, y: float) -> int | None:
    """Return the label at a point in px; None outside the map, or where there is no point."""
    if not (0 <= x < parse.shape[1] and 0 <= y < parse.shape[0]):
        return None
    return int(parse[int(y), int(x)])


def voc_colours(count: int) -> Colours:
    """Return the first (count, 3) colours of Pascal VOC's palette, which SCHP gives its LIP and ATR labels.

    Source: the devkit's VOClabelcolormap: the bits of the number, three by three, become the highest bits of
    red, green and blue.
    """
    numbers = np.arange(count)
    colours = np.zeros((count, 3), np.int64)
    for bit in range(3):
        for channel in range(3):
            colours[:, channel] |= (numbers >> (3 * bit + channel) & 1) << (7 - bit)
    return colours.astype(np.uint8)


KNOWN_COLOURS = (LIP_COLOURS, voc_colours(len(LIP_COLOURS)))


def labels_of_palette(indices: NDArray[np.uint8], palette: Colours) -> NDArray[np.uint8]:
    """Return the labels of (H, W) palette indices: themselves, unless the palette was put in another order.

    A program that saves a palette picture anew may sort its colours. Known colours, and greys that are
    labels themselves, tell that.

    Args:
        indices: Of the palette.
        palette: (256, 3) RGB.
    """
    if any(is_near(palette[: len(known)], known) for known in KNOWN_COLOURS):
        return indices
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    colours = palette[used]
    labels = labels_of(colours)
    if labels is None and (colours == colours[:, :1]).all() and colours.max() < len(LIP_COLOURS):
        labels = colours[:, 0]
    if labels is None or len(set(labels.tolist())) < len(used):
        return indices
    table = np.zeros(256, np.uint8)
    table[used] = labels
    return np.asarray(cv2.LUT(indices, table))


def labels_of_colours(picture: Colours) -> NDArray[np.uint8] | None:
    """Return the labels of an (H, W, 3) RGB preview; None where its colours are of no known one."""
    codes = picture.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, index = np.unique(codes, return_inverse=True)
    if len(found) > len(LIP_COLOURS):
        return None
    labels = labels_of(np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.uint8))
    return None if labels is None else labels[index].reshape(codes.shape)


def labels_of(colours: Colours) -> NDArray[np.uint8] | None:
    """Return the label of each of (N, 3) colours, all of one known palette; None where there is none."""
    for known in KNOWN_COLOURS:
        off = np.abs(colours[:, None].astype(np.int16) - known).max(axis=2)
        if (off.min(axis=1) <= TOLERANCE).all():
            return np.asarray(off.argmin(axis=1), np.uint8)
    return None


def is_near(one: Colours, other: Colours) -> bool:
    """Tell whether two (N, 3) arrays of colours are equal but for rounding."""
    return one.shape == other.shape and bool((np.abs(one.astype(np.int16) - other) <= TOLERANCE).all())
