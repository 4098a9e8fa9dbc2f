"""A worn garment taken apart into torso part and sleeves, and where each pixel lies on the body."""

from dataclasses import dataclass

import cv2
import numpy as np

from preprocess.body.canvas import INSIDE, BodyCanvas, Mask, axis_cover, column_ends
from preprocess.body.keypoints import Array, BodyFrame, Keypoints
from preprocess.garment.ends import hem_row, shoulder_bounds
from preprocess.garment.panel import sides_of
from preprocess.garment.scene import Scene
from preprocess.layout.sides import ARMPIT, HIGHEST, NECK, Floats, TorsoSides, torso_sides

HEM_BAND = 0.12
"""Height, in T, of the part above the hem whose curve is kept."""

HEM_EDGE = 0.03
"""Height, in T, above the hem from which on its corners don't count as sides."""

SLIVER = 0.008
"""Half the thickness, in T, of what is too thin to be a sleeve."""

SMALLEST_SLEEVE = 0.01
"""Area, in B x B, of a piece beside the torso part from which it is a sleeve, and no bump of its side."""

SHOULDERS_BARE = (-0.03, 0.065)
"""Rows, in T, that only the shoulder ratio tells the extent of: no sleeve grows into them."""


SHOULDERS_SHOWN = (-0.002, 0.036)
"""Rows, in T, whose extent is the shoulders' even where hair hides the garment: enough for the median."""

FAR_OUT = 0.33
"""A narrow shoulder may end here, in B."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """A worn garment taken apart, and where each pixel of the picture lies on the body."""

    torso: Mask
    """(H, W) the panel, and all that covers the shoulders."""

    sleeves: Mask
    """(H, W) the rest."""

    yoke: Mask
    """(H, W) what joins a sleeve to the torso part between shoulder and armpit."""

    behind_hair: Mask
    """(H, W) what hair hides of the shoulders, in the rows that tell their extent."""

    frame: BodyFrame
    """Of the wearer."""

    a: Floats
    """(H, W) row of each pixel's centre on the body, in T."""

    b: Floats
    """(H, W) column of each pixel's centre on the body, in B."""

    sides: TorsoSides
    """Of the torso part, down to where the hem's curve begins."""

    shoulder: float
    """Extent at the shoulders as worn, in B."""

    width: float
    """Width as worn, in B."""

    length: float
    """Row of the hem as worn, in T."""

    hem: tuple[Array, Array]
    """(C,) columns in B, rising, and (C,) how far below (negative: above) `length` the hem is there, in T."""


def split(garment_mask: Mask, keypoints: Keypoints, scene: Scene | None = None) -> Parts | None:
    """Take sleeves and torso part of a garment apart; None where nothing covers the shoulders or the chest.

    Args:
        garment_mask: (H, W) bool.
        keypoints: Of its wearer, px.
        scene: What else the picture shows: where sleeves touch the panel a photo tells where it ends.

    Raises:
        KeypointError: Shoulders or hips are missing.
    """
    scene = scene or Scene()
    frame = BodyFrame.from_keypoints(keypoints)
    canvas = BodyCanvas.of(garment_mask, frame)
    arms = sides_of(keypoints, canvas)
    length = hem_row(canvas) / frame.torso_length
    whole = BodyCanvas.of(garment_mask, frame, specks=True)
    sides = torso_sides(canvas, whole, arms, length, scene) if np.isfinite(length) else None
    if sides is None:
        return None
    right, left = shoulder_bounds(canvas, None)[1]
    a, b = body_coordinates(frame, garment_mask.shape)
    pixel, here = 1 / frame.shoulder_width, np.nonzero(garment_mask & (a > HIGHEST))
    torso = np.zeros_like(garment_mask)
    torso[here] = np.abs(b[here]) <= sides.at(a[here], b[here])[0] + pixel / 2
    sleeves = without_scraps(garment_mask & ~torso, frame)
    torso |= garment_mask & (a > HIGHEST) & ~sleeves
    sleeved = np.where(b < 0, *(side.arm.sleeve_end > 0 for side in arms))
    yoke = sleeved & garment_mask & (np.abs(b) > NECK) & (a > SHOULDERS_BARE[1]) & (a < ARMPIT)
    straight = sides.above(max(length - HEM_BAND, ARMPIT))
    return Parts(
        torso=torso,
        sleeves=sleeves,
        yoke=yoke,
        behind_hair=whole.to_picture(hidden_shoulders(whole), *garment_mask.shape),
        frame=frame,
        a=a,
        b=b,
        sides=straight,
        shoulder=(left - right) / frame.shoulder_width,
        width=sides.width(length),
        length=length,
        hem=hem_curve(BodyCanvas.of(torso, frame), sides, length),
    )


def hidden_shoulders(garment: BodyCanvas) -> Mask:
    """Return the (R, C) gaps between neck and shoulder's end.

    Where a garment shows only far out, the gap begins at the neck.
    """
    a = garment.a_of(np.arange(len(garment.cover))) / garment.frame.torso_length
    b = garment.b_of(np.arange(garment.cover.shape[1])) / garment.frame.shoulder_width
    shown = (garment.cover > INSIDE) & ((a > SHOULDERS_SHOWN[0]) & (a < SHOULDERS_SHOWN[1]))[:, None]
    hidden = np.zeros_like(shown)
    for columns in (np.flatnonzero(b > 0), np.flatnonzero(b < 0)[::-1]):
        half, away = shown[:, columns], np.abs(b[columns])
        begun = np.logical_or.accumulate(half, axis=1)
        begun |= (away > NECK) & ~half[:, away < FAR_OUT].any(axis=1, keepdims=True)
        goes_on = np.logical_or.accumulate(half[:, ::-1], axis=1)[:, ::-1]
        hidden[:, columns] = begun & goes_on & ~half & (away > NECK)
    return hidden


def hem_curve(torso: BodyCanvas, sides: TorsoSides, length: float) -> tuple[Array, Array]:
    """Return columns, in B, and how far below `length` the hem is there, in T; corners are left out."""
    torso_px, shoulder_px = torso.frame.torso_length, torso.frame.shoulder_width
    right, left = sides.narrowest(length - HEM_BAND, length - HEM_EDGE)
    columns = torso.columns_between(-right * shoulder_px, left * shoulder_px)
    rows = torso.rows_between(0, 4 * torso_px)
    ends = column_ends(torso, rows, columns, axis_cover(torso, rows, columns))
    depths = np.clip(ends / torso_px - length, -HEM_BAND, HEM_BAND)
    known = np.isfinite(depths)
    if not known.any():
        return np.zeros(1), np.zeros(1)
    return torso.b_of(columns[known]) / shoulder_px, depths[known]


def without_scraps(mask: Mask, frame: BodyFrame) -> Mask:
    """Return a mask without the lines and bumps that taking the panel out leaves along its edges."""
    size = 2 * max(1, round(SLIVER * frame.torso_length)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    opened = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, kernel)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(opened)
    large = stats[:, cv2.CC_STAT_AREA] >= SMALLEST_SLEEVE * frame.shoulder_width**2
    large[0] = False
    return np.asarray(large[labels])


def body_coordinates(frame: BodyFrame, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return where each pixel's centre of an (H, W) picture lies: rows in T, columns in B."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    x += np.float32(0.5 - frame.shoulder_mid[0])
    y += np.float32(0.5 - frame.shoulder_mid[1])
    (ux, uy), (vx, vy) = frame.u / frame.torso_length, frame.v / frame.shoulder_width
    return (x * ux + y * uy).astype(np.float32), (x * vx + y * vy).astype(np.float32)


def sampled(mask: Mask, frame: BodyFrame, a: Floats, b: Floats) -> Mask:
    """Look a mask up at (H, W) rows `a` in T and columns `b` in B of the body."""
    origin = frame.shoulder_mid - 0.5
    down, across = frame.u * frame.torso_length, frame.v * frame.shoulder_width
    x = (origin[0] + a * down[0] + b * across[0]).astype(np.float32)
    y = (origin[1] + a * down[1] + b * across[1]).astype(np.float32)
    return looked_up(mask, x, y)


def looked_up(mask: Mask, x: Floats, y: Floats) -> Mask:
    """Look a mask up at (H, W) pixel centres."""
    return np.asarray(cv2.remap(mask.view(np.uint8) * np.uint8(255), x, y, cv2.INTER_LINEAR) > 127)
