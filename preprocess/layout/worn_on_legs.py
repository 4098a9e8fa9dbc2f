"""Trousers and skirts resized in the photo itself, as tops are (`preprocess.layout.worn_photo`).

The layout says what they cover. Their cloth follows it row by row: down the bones to the new hem, and across
from the gap between the legs, or from the middle, to the sides, each leg of cloth by itself. Hands and arms
stay in front. What comes bare shows what is seen beside it, where that is of the same kind, or below.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.canvas import Mask
from preprocess.body.keypoints import Array, Keypoints
from preprocess.layout.bare import (
    EVEN,
    HAND_PARTS,
    HEAD_PARTS,
    NEARBY,
    Picture,
    Places,
    around,
    blended,
    evened,
    grown,
    in_levels,
    outside_of,
    softened,
    spread,
)
from preprocess.layout.prints import LINES, LONGEST, lit_as, periods_in, whole_periods
from preprocess.lower.layout import Floats, ResizedLegs, resized_on_legs
from preprocess.vocabulary import ARM_PARTS

FOOT_PARTS, LEG_PARTS = (5, 6), tuple(range(7, 15))
"""DensePose's feet and legs."""

TORSO = 0.45
"""L. The length that margins and prints are shares of: that of a torso."""

RIM, INNER_RIM = (2, 0.015), (1, 0.006)
"""Least px, and torso lengths. Masks are inexact: a garment may show so far outside, and something else
inside."""

HEM_HEIGHT = 0.12
"""Torso lengths. So much above the hem moves with it as it is."""

STILL = 0.3
"""L. Down to here the length moves nothing; less of a short garment."""

ON_CLOTH = 0.4
"""Share of the thinnest row's cloth, to either side of its middle, in which prints are looked for."""

MOVED = 0.3
"""px. What moved less than this is left as the photo has it."""

SURELY = 0.02
"""Torso lengths inside of a leg's edge from where on its skin is taken."""

SMALL_HOLE = 0.01
"""Square torso lengths. What a new layout encloses and is smaller is closed: legs of cloth met below it."""

ENOUGH = 0.002
"""Share of a picture from which colours can be spread in it."""

SHOES = 0.85
"""L. Skin of the legs is looked for above this."""

WALL, SKIN, FEET, TRUNK = range(4)
NUM_KINDS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Where the cloth of each leg lies in its rows, right leg first, as it was and as it is to be."""

    rows: Array
    """(2, R) px: the row that comes to lie in each."""

    outer: tuple[Array, Array]
    """(2, R) `b` px of the sides, before and after."""

    inner: tuple[Array, Array]
    """(2, R) `b` px of the gap's edges, before and after; of the middle where there is none."""

    middle: Array
    """(R,) `b` px between the legs."""

    @classmethod
    def of(cls, legs: ResizedLegs) -> Self:
        """Find them."""
        worn = legs.worn
        walked = np.tile(worn.walked.max(axis=0), (2, 1)) if worn.one_piece else worn.walked
        before = walked_before(walked, worn.length, legs.length, worn.frame.scale)
        rows = np.stack([np.interp(*pair, worn.rows) for pair in zip(before, walked, strict=True)])
        parted = worn.gap[0] < worn.gap[1]
        middle = np.where(parted, worn.gap.mean(axis=0), worn.bones.mean(axis=0))
        gap = np.where(parted, worn.gap, middle)
        out = np.array([[-1.0], [1.0]])
        outer = worn.ends + out * legs.px
        narrower = np.where(parted, gap - out * legs.px, middle)
        inner = np.stack([np.minimum(narrower[0], middle), np.maximum(narrower[1], middle)])
        old = [
            np.stack([np.interp(row, worn.rows, line) for row, line in zip(rows, lines, strict=True)])
            for lines in (worn.ends, gap)
        ]
        return cls(rows, (old[0], outer), (old[1], inner), middle)

    def sources(self, legs: ResizedLegs) -> tuple[Floats, Floats]:
        """Return the `a` and `b` px, (H, W), that the cloth of each pixel comes from."""
        spans = [np.abs(outer - inner) for outer, inner in zip(self.outer, self.inner, strict=True)]
        stretch = spans[0] / np.maximum(spans[1], 1.0)
        start = self.inner[0] - self.inner[1] * stretch
        side = (legs.places.b >= at(np.tile(self.middle, (2, 1)), legs)).astype(np.float32)
        a, scale, offset = (at(table, legs, side) for table in (self.rows, stretch, start))
        return a, legs.places.b * scale + offset


def at(table: Array, legs: ResizedLegs, side: Floats | None = None) -> Floats:
    """Look (2, R) values up in each pixel's row, on its side, 0 or 1."""
    first, second = legs.worn.rows[:2].tolist()
    row = (legs.places.a - first) * (1 / (second - first))
    values = np.nan_to_num(table).astype(np.float32)
    side = np.zeros_like(row) if side is None else side
    return np.asarray(cv2.remap(values, row, side, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def walked_before(walked: Array, length: float, new: float, scale: float) -> Array:
    """Return the px along the legs that come to lie at each when the hem goes from `length` to `new` px."""
    still, far = min(STILL * scale, 0.6 * length, 0.6 * new), 10 * scale
    rigid = min(HEM_HEIGHT * TORSO * scale, 0.3 * length, 0.3 * new)
    places, came_from = ([-far, still, hem - rigid, hem + far] for hem in (new, length))
    return np.asarray(np.interp(walked, places, came_from))


def resize_lower(
    photo: Picture,
    garment: Mask,
    keypoints: Keypoints,
    ratios: tuple[Array, Array],
    densepose: NDArray[np.uint8],
) -> tuple[Picture, Mask] | None:
    """Show a worn garment of the lower body at another size.

    Args:
        photo: (H, W, 3) RGB.
        garment: (H, W) bool, as worn.
        keypoints: Of its wearer, px.
        ratios: (3,) each of waist, width and length, as worn and as wanted; NaN leaves one as it is.
        densepose: (H, W) DensePose's parts, 0 to 24.

    Returns:
        The photo and the garment in it; None where nothing of it is on the legs.

    Raises:
        KeypointError: Hips or knees are missing.
    """
    legs = resized_on_legs(garment, keypoints, *ratios)
    if legs is None:
        return None
    unit = TORSO * legs.worn.frame.scale
    rim, inner = (max(px, round(share * unit)) for px, share in (RIM, INNER_RIM))
    front = np.isin(densepose, (*HAND_PARTS, *ARM_PARTS)) & ~garment
    layout = (legs.layout | small_holes(legs.layout, SMALL_HOLE * unit**2) & ~garment) & ~front
    sources = Edges.of(legs).sources(legs)
    cloth = moved_cloth(spread(photo, ~grown(~garment, inner)), legs, sources, unit)
    legs_seen = (legs.places.along > legs.worn.length) & (legs.places.along < SHOES * legs.worn.frame.scale)
    plate = undressed(photo, grown(garment, rim) & ~front, densepose, legs_seen, unit)
    drawn = blended(plate, cloth, softened(layout))
    away = cv2.magnitude(sources[0] - legs.places.a, sources[1] - legs.places.b) > MOVED
    changed = grown((away & layout) | (layout != garment), rim) & ~front
    return in_levels(blended(photo.astype(np.float32), drawn, softened(changed))), layout


def small_holes(layout: Mask, largest: float) -> Mask:
    """Return (H, W) what a layout encloses in pieces of `largest` px or less."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~layout).view(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] <= largest
    small[0] = False
    return np.asarray(small[labels])


def moved_cloth(cloth: Floats, legs: ResizedLegs, sources: tuple[Floats, Floats], unit: float) -> Floats:
    """Return (H, W, 3) the cloth where it comes to lie; a print that repeats keeps its scale."""
    moved = taken_from(cloth, legs, *sources)
    repeats = prints_of(cloth, legs, unit)
    if np.isnan(repeats).all():
        return moved
    here = legs.places.a, legs.places.b
    whole = (
        own - whole_periods(own - other, period)
        for own, other, period in zip(here, sources, repeats, strict=True)
    )
    printed = lit_as(taken_from(cloth, legs, *whole), moved, float(np.nanmax(repeats)))
    rigid = HEM_HEIGHT * unit  # there the hem's seam would come again at each period
    share = np.clip((legs.places.along - legs.length) / rigid + 1, 0, 1)[..., None]
    return np.asarray(printed + np.minimum(4 * share, 1) * (moved - printed))


def taken_from(
    picture: Floats, legs: ResizedLegs, a: NDArray[np.floating], b: NDArray[np.floating]
) -> Floats:
    """Look a (H, W, 3) picture up at (H, W) `a` and `b` px of the legs."""
    frame = legs.worn.frame
    x, y = (
        (origin - 0.5 + a * down + b * across).astype(np.float32)
        for origin, down, across in zip(
            frame.hip_mid.tolist(), frame.u.tolist(), frame.v.tolist(), strict=True
        )
    )
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


def prints_of(cloth: Floats, legs: ResizedLegs, unit: float) -> tuple[float, float]:
    """Return after how many px a print repeats down and across the right leg, or a skirt; NaN: never."""
    worn = legs.worn
    rows = worn.rows[worn.width_rows(worn.length)]
    right, left = worn.ends[:, worn.width_rows(worn.length)]
    if not worn.one_piece:
        left = np.minimum(worn.gap[0], worn.bones.mean(axis=0))[worn.width_rows(worn.length)]
    half = ON_CLOTH * float(np.nanmin(left - right))
    a = np.arange(min(rows[0], 0.0), min(1.5 * worn.frame.thigh, 0.9 * worn.length), unit / LINES)
    b = float(np.nanmean(left + right)) / 2 + np.arange(-half, half, unit / LINES)
    if min(len(a), len(b)) < LINES * LONGEST:
        return float("nan"), float("nan")
    down, across = np.meshgrid(a, b, indexing="ij")
    found = periods_in(taken_from(cloth, legs, down, across))
    return found[0] * unit, found[1] * unit


def undressed(
    photo: Picture,
    garment: Mask,
    densepose: NDArray[np.uint8],
    bare_legs: Mask,
    unit: float,
) -> Floats:
    """Paint a photo as if its garment weren't worn.

    Args:
        photo: (H, W, 3) RGB.
        garment: (H, W) bool, all that may show some of the garment.
        densepose: (H, W) DensePose's parts, 0 to 24.
        bare_legs: (H, W) bool, where legs show their skin: between the hem and the shoes.
        unit: Px of a torso's length.

    Returns:
        (H, W, 3); elsewhere than under the garment it is the photo.
    """
    kinds = kinds_of(densepose)
    skin = skin_of(densepose, bare_legs, max(1, round(SURELY * unit)))
    shown = ~garment & ((kinds != SKIN) | skin)
    plate, left, here = photo.astype(np.float32), garment.copy(), np.nonzero(garment)
    for there in mirrored_from(garment, here):
        found = left[here] & shown[there] & (kinds[there] == kinds[here])
        taken, given = (tuple(places[found] for places in pixels) for pixels in (here, there))
        plate[taken], left[taken] = photo[given], False
    for kind in range(NUM_KINDS):
        bare = left & (kinds == kind)
        if bare.any():
            near = around(bare, photo.shape[0] // NEARBY)
            alike = kinds == kind
            near, known = enough_known((near, np.s_[:, :]), (shown & alike, ~garment & alike, ~garment))
            plate[near][bare[near]] = spread(photo[near], known)[bare[near]]
    evened(plate, garment & (kinds == WALL), EVEN * unit)
    return plate


def enough_known(
    boxes: tuple[tuple[slice, slice], ...], known: tuple[Mask, ...]
) -> tuple[tuple[slice, slice], Mask]:
    """Return the first box of the picture, and what is known in it, that tells enough colours."""
    for mask in known:
        for box in boxes:
            if mask[box].mean() > ENOUGH:
                return box, mask[box]
    return boxes[-1], known[-1]


def kinds_of(densepose: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W) what is under the garment: `WALL`, `SKIN`, `FEET` or `TRUNK`."""
    kinds = np.full(256, TRUNK, np.uint8)
    kinds[0] = WALL
    kinds[[*FOOT_PARTS]] = FEET
    kinds[[*LEG_PARTS, *ARM_PARTS, *HAND_PARTS, *HEAD_PARTS]] = SKIN
    return np.asarray(kinds[densepose])


def skin_of(densepose: NDArray[np.uint8], bare_legs: Mask, inside: int) -> Mask:
    """Return (H, W) what is skin where it is seen: hands and bare legs; arms have sleeves, heads have hair.

    DensePose's edges are inexact: it is so many px `inside` of them.
    """
    seen = np.isin(densepose, LEG_PARTS) & bare_legs
    return ~grown(~(seen | np.isin(densepose, HAND_PARTS)), inside)


def mirrored_from(garment: Mask, here: Places) -> tuple[Places, Places]:
    """Return what lies as far outside the garment as the pixels `here` lie inside.

    First in the nearest direction, to either side or down, then in the other.
    """
    height, width = garment.shape
    y, x = here
    before, after, under = outside_of(garment, here)
    beside = np.where(after - x < x - before, 2 * after - x - 1, 2 * before - x + 1)
    beside = np.where((beside >= 0) & (beside < width), beside, x)
    under = 2 * under - y - 1
    under = np.where(under < height, under, y)
    below = under - y < np.abs(beside - x)
    first = np.where(below, under, y), np.where(below, x, beside)
    return first, (np.where(below, y, under), np.where(below, beside, x))
