"""The worn garment resized in the photo itself: its cloth is warped, and what comes bare is filled.

Arms give way to a panel that grows, unless they are to stay. No network draws: every colour is one of the
photo's. The garment's mask follows, so that what is measured in the picture is what was asked for.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.canvas import Mask
from preprocess.body.keypoints import ARM_JOINTS, Array, Keypoints
from preprocess.garment.scene import Scene
from preprocess.garment.size_ratios import SizeRatioParams, size_ratios
from preprocess.garment.worn import measured_alone
from preprocess.layout.bare import (
    Floats,
    Picture,
    around,
    blended,
    grown,
    in_levels,
    softened,
    spread,
    without_garment,
)
from preprocess.layout.elbows import Elbows
from preprocess.layout.parts import Parts, split
from preprocess.layout.prints import lit_as, periods_of, whole_periods
from preprocess.layout.resized import RESIZED, RESIZED_ON_LEGS, UNCHANGED, by_name
from preprocess.layout.sides import STEEPEST_FLARE
from preprocess.layout.warp import (
    Layer,
    Sides,
    eased,
    panel_of,
    place_of,
    sleeve_layer,
    thickened,
    torso_layer,
    under_panel,
)
from preprocess.layout.worn_on_legs import resize_lower, undressed
from preprocess.sizes.axes import AXIS_NAMES, JUDGED_AT
from preprocess.vocabulary import ARM_PARTS, Category, require_shape

RESIZABLE = (Category.UPPER, Category.DRESS, Category.LOWER)
"""Categories whose garments can be resized in the photo."""

RIM, INNER_RIM = (2, 0.015), (1, 0.006)
"""Least px, and T. Masks are inexact: a garment may show so far outside, and something else inside."""

STRAY = 0.08
"""T. What a mask has of the torso part so far below the hem is something else."""

HEM_HEIGHT = 0.15
"""T. What comes bare below, and so far above, the new hem is taken from what is seen below it."""

ABOUT = 6
"""This part of the picture's height about a garment is looked at."""

WAIST, HIPS, SHOES = 0.7, 1.0, 2.8
"""Rows, in T: a dress hangs as a skirt from the first on, over legs from the second, which are bare below it
down to the last."""

CUT_OFF = 0.02
"""B inside of its line from which on a skirt's side is cut off by what is in front of it."""

SHOWN = 0.03
"""Share by which a ratio may be off that is still shown; of one that is judged at a larger, of that."""

MOVED = 0.3
"""px. What moved less than this is left as the photo has it."""


@dataclass(frozen=True, slots=True, eq=False)
class WornPhoto:
    """A photo of a person in a garment."""

    photo: Picture
    """(H, W, 3) RGB."""

    garment_mask: Mask
    """(H, W) the garment in it."""


@dataclass(frozen=True, slots=True, eq=False)
class ResizedPhoto(WornPhoto):
    """One in which the garment has another size."""

    keypoints: Keypoints
    """Of the wearer, whose elbows may have given way, px."""

    sources: tuple[Floats, Floats] | None = None
    """x and y, (H, W) px of the old photo, from which all but the garment comes; None where it stays."""

    def followed(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (H, W) labels of things in the old photo where these are in this one."""
        if self.sources is None:
            return labels
        return np.asarray(cv2.remap(labels, *self.sources, cv2.INTER_NEAREST), np.uint8)


def followed(category: Category) -> tuple[str, ...]:
    """Return the axes that a garment of a category follows in a photo; others leave it as it is."""
    return RESIZED_ON_LEGS if category is Category.LOWER else RESIZED


def resize_worn(
    worn: WornPhoto,
    keypoints: Keypoints,
    natural: Array,
    requested: Array,
    densepose: NDArray[np.uint8],
    category: Category = Category.UPPER,
    *,
    arms_stay: bool = False,
) -> ResizedPhoto | None:
    """Show the worn garment at another size.

    Args:
        worn: The photo.
        keypoints: Of the wearer, px.
        natural: (A,) ratios the garment is worn at, in the order of `AXIS_NAMES`; NaN where unknown.
        requested: (A,) ratios wanted; NaN, or one whose natural ratio is unknown, leaves it as it is.
        densepose: (H, W) DensePose's parts, 0 to 24, which tell what is under the garment.
        category: Of the garment.
        arms_stay: Whether a panel that grows hides arms, so that the pose stays as it is. Else they give way.

    Returns:
        None when nothing changes, or when nothing of the garment covers the chest, or the legs.

    Raises:
        KeypointError: The joints that the category is measured against are missing.

    Source:
        Ours. Changes are relative, so a width that is told by the photo's edges, and not by the mask alone,
        grows as it should.
    """
    require_shape("natural", natural, (len(AXIS_NAMES),))
    require_shape("requested", requested, (len(AXIS_NAMES),))
    ratios = by_name(natural, followed(category)), by_name(requested, followed(category))
    growth = np.nan_to_num(ratios[1] / ratios[0], nan=1.0)
    changed = np.abs(growth - 1) > UNCHANGED
    if not changed.any() or not worn.garment_mask.any():
        return None
    moved_down_to = 0 if arms_stay or category is Category.LOWER else arms_end(keypoints, len(worn.photo))
    left, top, right, bottom = room_for(worn.garment_mask, growth, moved_down_to)
    box = slice(top, bottom), slice(left, right)
    seen = WornPhoto(worn.photo[box], worn.garment_mask[box])
    joints = replace(keypoints, xy=keypoints.xy - (left, top))
    if category is Category.LOWER:
        wanted = ratios[0], np.where(changed, ratios[1], np.nan)
        new = resized_lower(seen, joints, wanted, densepose[box])
    else:
        skirt = category is Category.DRESS
        sizes = growth, float(ratios[0][1])
        new = resized_hanging(seen, joints, *sizes, densepose[box], skirt=skirt, arms_stay=arms_stay)
    if new is None:
        return None
    photo, layout = worn.photo.copy(), worn.garment_mask.copy()
    photo[box], layout[box] = new.photo, new.garment_mask
    if new.sources is None:
        return ResizedPhoto(photo, layout, keypoints)
    corner = np.array([left, top], np.float64)
    sources: NDArray[np.float32] = np.indices(layout.shape, np.float32)[::-1].copy()
    sources[:, *box] = np.stack(new.sources) + corner[:, None, None]
    moved = replace(keypoints, xy=new.keypoints.xy + corner)
    return ResizedPhoto(photo, layout, moved, (sources[0], sources[1]))


def resized_lower(
    worn: WornPhoto, keypoints: Keypoints, ratios: tuple[Array, Array], densepose: NDArray[np.uint8]
) -> ResizedPhoto | None:
    """Resize trousers or a skirt; see `resize_lower`."""
    found = resize_lower(worn.photo, worn.garment_mask, keypoints, ratios, densepose)
    return None if found is None else ResizedPhoto(*found, keypoints)


def resized_hanging(
    worn: WornPhoto,
    keypoints: Keypoints,
    growth: Array,
    width: float,
    densepose: NDArray[np.uint8],
    *,
    skirt: bool,
    arms_stay: bool,
) -> ResizedPhoto | None:
    """Resize what hangs from the shoulders by (3,) growths; None where nothing of it is on the chest."""
    parts = split(worn.garment_mask, keypoints, Scene(photo=worn.photo, densepose=densepose))
    if parts is None:
        return None
    sides = Sides.of(parts, width)
    elbows = Elbows.of(parts, sides, growth, keypoints)
    aside = None if arms_stay or not elbows.move else elbows.before(parts, sides)
    new = drawn_at(worn, parts, sides, growth, keypoints, densepose, aside, skirt=skirt)
    if aside is None:
        return ResizedPhoto(new.photo, new.garment_mask, keypoints)
    joints = elbows.joints(keypoints, parts)
    return ResizedPhoto(new.photo, new.garment_mask, joints, place_of(parts, parts.a, aside))


def arms_end(keypoints: Keypoints, height: int) -> int:
    """Return the row, px, down to which arms move that give way: the lower wrist's.

    It is the last of the picture's where an arm's wrist isn't seen: the arm hangs out of it.
    """
    _, elbows, wrists = (keypoints.xy[list(joints), 1] for joints in zip(*ARM_JOINTS.values(), strict=True))
    ends = np.where(np.isfinite(elbows) & np.isnan(wrists), height, np.nan_to_num(wrists))
    return int(np.ceil(ends.max()))


def room_for(garment: Mask, growth: Array, arms: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom px of what a garment at (3,) growths covers, with room about it.

    The last growth, the length's, lets a skirt that flares grow to the sides as well. A garment that grows
    moves arms, down to row `arms`.
    """
    height, width = garment.shape
    x, y, across, down = cv2.boundingRect(garment.view(np.uint8))
    margin = height // ABOUT
    beside = margin + round(across * max(0.0, float(growth.max()) - 1))
    below = margin + round(down * max(0.0, float(growth[2]) - 1))
    bottom = max(y + down + below, arms if growth.max() > 1 else 0)
    return (
        max(0, x - beside),
        max(0, y - margin),
        min(width, x + across + beside),
        min(height, bottom),
    )


def drawn_at(
    worn: WornPhoto,
    parts: Parts,
    sides: Sides,
    growth: Array,
    joints: Keypoints,
    densepose: NDArray[np.uint8],
    aside: Floats | None,
    *,
    skirt: bool,
) -> WornPhoto:
    """Draw the garment at another size.

    Args:
        worn: The photo.
        parts: Its garment taken apart.
        sides: Of its panel.
        growth: (3,) of shoulder, width and length.
        joints: Of the wearer, px.
        densepose: (H, W) DensePose's parts.
        aside: (H, W) columns, in B, from which arms and what is about them come; None where they stay.
        skirt: Whether what hangs below the waist moves with the torso part, and bares legs.
    """
    rim, inner = (max(px, round(share * parts.frame.torso_length)) for px, share in (RIM, INNER_RIM))
    hanging = skirt & worn.garment_mask & (parts.a > WAIST) & ~np.isin(densepose, ARM_PARTS)
    stray = parts.torso & (parts.a > parts.length + STRAY) & ~hanging
    garment = worn.garment_mask & ~stray
    below = parts.a > parts.length * min(growth[2], 1.0) - HEM_HEIGHT
    plate = bared_plate(worn.photo, grown(garment, rim), below, parts, densepose, skirt=skirt)
    if aside is not None:
        places = place_of(parts, parts.a, aside)
        plate = cv2.remap(plate, *places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    torso = garment & grown(panel_of(parts, sides, garment) | hanging, inner)  # with the shadow of its seam
    beside = garment & ~torso
    sleeves = garment & (grown(beside, 2 * rim) | under_panel(parts, joints))
    arms = parts if aside is None else replace(parts, b=aside)
    sleeved = thickened(arms, sides, joints, growth) if sleeves.any() else arms
    layers = sleeve_layer(sleeved, sides, growth, sleeves), torso_layer(parts, sides, growth, torso)
    if skirt and growth[2] != 1:
        layers = layers[0], flaring(layers[1], parts)
    shown = ~grown(~garment, inner)
    cloth = spread(worn.photo, shown)
    apart = growth[1] < 1 or aside is not None
    bared = apart and beside.any()  # then sleeves come out from under it, without its seam's shadow
    seamless = spread(worn.photo, shown & ~grown(torso, 2 * rim)) if bared else cloth
    drawn, cover, moved = plate, np.zeros(garment.shape, np.float32), np.zeros(garment.shape, np.bool_)
    repeats = periods_of(cloth, parts)
    for own, layer in zip((seamless, cloth), layers, strict=True):
        sources = layer.sources(parts)
        over = cv2.remap(softened(layer.mask), *sources, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        drawn = blended(drawn, carried(own, layer, sources, parts, repeats), over)
        cover = np.maximum(cover, over)
        moved = np.where(over > 1 / 2, layer.distance(parts) > MOVED, moved)
    layout = (cover > 1 / 2) | stray
    moved = (moved & layout) | (layout != worn.garment_mask)
    if aside is not None:
        moved |= Layer(garment, parts.a, aside).distance(parts) > MOVED
    changed = grown(moved, rim)
    photo = blended(worn.photo.astype(np.float32), drawn, softened(changed))
    return WornPhoto(in_levels(photo), layout)


def bared_plate(
    photo: Picture, garment: Mask, below: Mask, parts: Parts, densepose: NDArray[np.uint8], *, skirt: bool
) -> Floats:
    """Paint a photo as if its garment weren't worn, (H, W, 3); arguments as `without_garment`."""
    plate = without_garment(photo, garment, below, parts, densepose)
    if skirt:
        box = around(parts.a > HIPS, 0)
        shown = (parts.a[box] > parts.length) & (parts.a[box] < SHOES)
        seen = photo[box], garment[box], densepose[box], shown
        legs = undressed(*seen, parts.frame.torso_length)
        plate[box] = cv2.copyTo(legs, (parts.a[box] > HIPS).view(np.uint8), plate[box].copy())
    return plate


def flaring(layer: Layer, parts: Parts) -> Layer:
    """Let a skirt that moved down or up with its hem be as wide in each row as it was there, or would be."""
    told = parts.sides.rows > WAIST
    if told.sum() < 3:
        return layer
    right, left = (skirt_line(parts.sides.rows[told], side) for side in parts.sides.even[:, told])
    slope, start = (np.where(parts.b < 0, *pair).astype(np.float32) for pair in zip(right, left, strict=True))
    share = eased((parts.a - WAIST) / (HIPS - WAIST)).astype(np.float32)
    wider = (start + slope * layer.a) / np.maximum(start + slope * parts.a, np.float32(1e-3))
    return replace(layer, b=(layer.b * (1 + share * (wider - 1))).astype(np.float32))


def skirt_line(rows: Array, ends: Array) -> tuple[float, float]:
    """Lay a line, B a T down and B at row 0, along (R,) ends of a side, less those that a hand cuts off."""
    kept = np.ones(len(rows), np.bool_)
    slope = 0.0
    for _ in range(2):
        slope = float(np.clip(np.polyfit(rows[kept], ends[kept], 1)[0], 0, STEEPEST_FLARE))
        off = ends - slope * rows
        kept = off >= np.median(off[kept]) - CUT_OFF
    return slope, float(np.median(off[kept]))


def shows(
    worn: WornPhoto, keypoints: Keypoints, ratios: Array, densepose: NDArray[np.uint8], category: Category
) -> bool:
    """Whether a photo shows its garment at (A,) ratios: each that is not NaN is known in it, and measures so.

    A panel that grew over an arm, or shrank off a sleeve, ends where nothing tells it from them. A waist that
    is among the ratios isn't hidden by a top.
    """
    scene, nothing = Scene(photo=worn.photo, densepose=densepose), np.zeros_like(worn.garment_mask)
    measured = measured_alone(worn.garment_mask, keypoints, category, scene, tops=nothing)
    found = size_ratios(measured, SizeRatioParams(), category=category, keypoints=keypoints)
    said = np.isfinite(ratios)
    judged_at = np.maximum(ratios, [JUDGED_AT[name] for name in AXIS_NAMES])
    near = np.abs(found.ratios - ratios) <= SHOWN * judged_at
    return bool((near & found.known)[said].all())


def carried(
    cloth: Floats, layer: Layer, sources: tuple[Floats, Floats], parts: Parts, repeats: tuple[float, float]
) -> Floats:
    """Return (H, W, 3) the cloth where a layer has it; a print that repeats keeps its scale."""
    moved = cv2.remap(cloth, *sources, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if np.isnan(repeats).all():
        return np.asarray(moved)
    across = repeats[1] * parts.frame.torso_length / parts.frame.shoulder_width
    whole = place_of(
        parts,
        parts.a - whole_periods(parts.a - layer.a, repeats[0]),
        parts.b - whole_periods(parts.b - layer.b, across),
    )
    cover = cv2.remap(layer.mask.view(np.uint8), *whole, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    printed = cv2.remap(cloth, *whole, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    printed = np.where(cover[..., None] > 0, printed, moved)  # no period reaches beyond the cloth
    return lit_as(printed, moved, float(np.nanmax(repeats)) * parts.frame.torso_length)
