"""People in trousers, shorts, skirts and dresses, drawn as plain polygons: a second renderer.

What is worn below the waist is laid out in hip widths, `a` down from the hip joints and `b` to the person's
left, and drawn by Pillow. The truth is counted on a fine grid in the frame of hips and knees, and along the
bones, before anything overlaps the garment.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from preprocess.body.keypoints import Keypoints
from preprocess.garment.parse import garment_mask, scene_of
from preprocess.garment.size_ratios import SizeRatioParams, SizeRatios, size_ratios
from preprocess.garment.worn import measured
from preprocess.vocabulary import Category, Joint, Lip
from tests.preprocess import polygon_people as upper

Points = NDArray[np.float64]

GRID = 200
"""Samples a hip width of the grid that the truth is counted on."""

ABOVE, BESIDE, BELOW = 3.0, 4.0, 5.0
"""Extent of that grid, in hip widths."""

LEGS = (
    (Joint.RIGHT_HIP, Joint.RIGHT_KNEE, Joint.RIGHT_ANKLE),
    (Joint.LEFT_HIP, Joint.LEFT_KNEE, Joint.LEFT_ANKLE),
)
BAND = 0.25
KINDS = ("trousers", "shorts", "skirt")


@dataclass(frozen=True, kw_only=True)
class PolygonWearer:
    """One drawing."""

    category: Category
    parse: NDArray[np.uint8]
    keypoints: Keypoints
    truth: dict[str, float]
    """By axis."""
    plain: bool
    """Whether nothing hides an axis: no top over the waistband, no hand; hem and ankles are seen."""


@dataclass(frozen=True, kw_only=True)
class Lower:
    """What is drawn of somebody in trousers or a skirt, from back to front, in hip widths."""

    legs: Points
    """(2, 3, 2) hips, knees, ankles, right first."""
    garment: list[Points] = field(default_factory=list)
    layers: list[tuple[Lip, Points]] = field(default_factory=list)
    plain: bool = True


def annotate(person: PolygonWearer) -> SizeRatios:
    """Measure a drawing as the pipeline measures a photo, but for what only a photo shows."""
    garment, scene = garment_mask(person.parse, person.category), scene_of(person.parse)
    worn, flags = measured(garment, person.parse, person.keypoints, person.category, scene)
    return size_ratios(
        worn, SizeRatioParams(), category=person.category, keypoints=person.keypoints, flags=flags
    )


def random_lower(seed: int) -> PolygonWearer:
    """Draw somebody in trousers, shorts or a skirt, whole, or cut off above the head or at the knees."""
    rng = np.random.default_rng([seed, 19])
    figure = random_figure(rng)
    height = int(rng.choice([512, 1024]))
    width = height * 3 // 4
    leg = np.hypot(*np.moveaxis(np.diff(figure.legs, axis=1), 2, 0)).sum(axis=1).mean()
    at_knees = rng.random() < 0.12
    hip_px = height * (0.8 if at_knees else rng.uniform(0.46, 0.6)) / leg
    origin = np.array(
        [width * rng.uniform(0.45, 0.55), height * (0.4 if at_knees else rng.uniform(0.3, 0.42))]
    )
    angle = np.radians(rng.uniform(-6, 6))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def place(points: Points) -> Points:
        """Hip widths (a, b) to px (x, y)."""
        flat = points.reshape(-1, 2)
        return (flat[:, ::-1] * hip_px @ turn.T + origin).reshape(points.shape)

    canvas = Image.new("L", (4 * width, 4 * height), Lip.BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for label, outline in figure.layers:
        pen.polygon([tuple(xy) for xy in (4 * place(outline)).tolist()], fill=int(label))
    keypoints = Keypoints.missing()
    joints = place(figure.legs)
    for side, names in enumerate(LEGS):
        for joint, xy in zip(names, joints[side], strict=True):
            if (xy >= 0).all() and (xy < (width, height)).all():
                keypoints.xy[joint], keypoints.confidence[joint] = xy, 0.9
    hem = place(np.concatenate([outline[outline[:, 0] > 0] for outline in figure.garment]))[:, 1].max()
    seen = keypoints.has(*LEGS[0], *LEGS[1]) and hem < height - 3
    return PolygonWearer(
        category=Category.LOWER,
        parse=np.asarray(canvas)[2::4, 2::4].copy(),
        keypoints=keypoints,
        truth=count(figure),
        plain=figure.plain and seen,
    )


def random_dress(seed: int) -> PolygonWearer:
    """Draw somebody in a dress, in front of whom arms hang, rest or are raised."""
    rng = np.random.default_rng([seed, 20])
    aspect = rng.uniform(0.5, 0.75)
    figure = upper.random_figure(rng, aspect)
    figure.panel[0] = dress_outline(rng)
    split = rng.random() < 0.3  # parsers take some dresses for a top and a skirt
    worn = {Lip.UPPER_CLOTHES, Lip.DRESS, Lip.COAT}
    place = [label in worn for label, _ in figure.layers].index(True)
    arms = [layer for layer in figure.layers[place:] if layer[0] not in worn]
    label = Lip.UPPER_CLOTHES if split else Lip.DRESS
    layers = [layer for layer in figure.layers[:place] if layer[0] not in (Lip.PANTS, Lip.SKIRT)]
    layers += zip((Lip.RIGHT_LEG, Lip.LEFT_LEG), bare_legs(), strict=True)
    layers += [(label, piece) for piece in (*figure.panel, *figure.sleeves)]
    if split:
        layers.append((Lip.SKIRT, below(figure.panel[0], 0.75)))
    figure = upper.Figure(
        joints=figure.joints,
        layers=layers + arms,
        panel=figure.panel,
        sleeves=figure.sleeves,
        arms=figure.arms,
    )
    height = int(rng.choice([512, 1024]))
    width = height * 3 // 4
    torso = height * rng.uniform(0.2, 0.24)
    angle = np.radians(rng.uniform(-6, 6))
    origin = np.array([width * rng.uniform(0.45, 0.55), height * rng.uniform(0.17, 0.2)])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def to_px(points: Points) -> Points:
        """Body frame (a, b) to px (x, y)."""
        return np.column_stack([points[:, 1] * aspect * torso, points[:, 0] * torso]) @ turn.T + origin

    keypoints = Keypoints.missing()
    for joint, ab in figure.joints.items():
        keypoints.xy[joint], keypoints.confidence[joint] = to_px(np.array([ab]))[0], 0.9
    return PolygonWearer(
        category=Category.DRESS,
        parse=upper.paint(figure, to_px, height, width),
        keypoints=keypoints,
        truth=dict(zip(("shoulder", "width", "length"), upper.count(figure).tolist(), strict=True)),
        plain=upper.is_plain(figure) and not any(name is Lip.HAIR for name, _ in arms),
    )


def dress_outline(rng: np.random.Generator) -> Points:
    """A dress without sleeves: shoulders, chest, waist, hips and hem of any proportion."""
    chest, hem = rng.uniform(0.45, 0.95), rng.uniform(1.35, 2.9)
    waist = chest * rng.uniform(0.75, 1.05)
    hip = max(waist, 0.6) * rng.uniform(1.0, 1.3)
    tip = rng.uniform(0.48, 0.68)
    corners = [(-0.14, 0.2), (-0.02, tip), (0.06, tip), (0.25, chest), (0.7, waist), (1.05, hip)]
    return upper.both(np.array([*corners, (hem, hip * rng.uniform(0.85, 2.0))]))


def bare_legs() -> tuple[Points, Points]:
    """Outlines of the legs below a dress, in torso lengths down and shoulder widths across."""
    right = np.array([(1.0, -0.5), (2.0, -0.4), (3.0, -0.32), (3.0, -0.12), (2.0, -0.1), (1.0, -0.02)])
    return right, right * (1, -1)


def below(outline: Points, row: float) -> Points:
    """The part of a closed outline below a row."""
    half = outline[: len(outline) // 2]
    at = np.interp(row, half[:, 0], half[:, 1])
    return upper.both(np.concatenate([[(row, at)], half[half[:, 0] > row]]))


def random_figure(rng: np.random.Generator) -> Lower:
    """Lay out legs, a garment, what is worn above it, and hands."""
    legs = random_legs(rng)
    crossed = rng.random() < 0.06
    if crossed:
        legs[:, 1:, 1] *= -0.7
    kind = KINDS[rng.integers(3)]
    waist, top = rng.uniform(1.3, 2.6), -rng.uniform(0.25, 0.75)
    garment = skirt(rng, legs, waist, top) if kind == "skirt" else trousers(rng, legs, waist, top, kind)
    layers: list[tuple[Lip, Points]] = []
    for side, label in enumerate((Lip.RIGHT_LEG, Lip.LEFT_LEG)):
        layers.append((label, band(legs[side], 0.0, 1.02, 0.3, 0.14)))
        shoe = legs[side, 2] + np.array([(-0.05, -0.2), (-0.05, 0.2), (0.35, 0.28), (0.35, -0.28)])
        layers.append((Lip.RIGHT_SHOE if side == 0 else Lip.LEFT_SHOE, shoe))
    label = Lip.SKIRT if kind == "skirt" and rng.random() < 0.7 else Lip.PANTS
    above = rng.choice(["skin", "tucked", "over", "jacket"], p=[0.2, 0.5, 0.22, 0.08])
    torso = torso_outline(rng, waist, top)
    layers.append((Lip.TORSO_SKIN if above == "skin" else Lip.UPPER_CLOTHES, torso))
    layers += [(label, outline) for outline in garment]
    if above == "over":
        reach, hem = max(waist, 2.0) / 2 * rng.uniform(1.02, 1.3), rng.uniform(-0.1, 0.6)
        layers.append((Lip.UPPER_CLOTHES, upper.both(np.array([(-2.5, 1.2), (top, reach), (hem, reach)]))))
    if above == "jacket":
        for sign in (-1, 1):
            front = [(-2.5, 0.2), (-2.5, 1.4), (0.4, 1.5), (0.4, waist * rng.uniform(0.2, 0.4))]
            layers.append((Lip.COAT, np.array(front) * (1, sign)))
    hand = rng.random() < 0.35
    if hand:
        layers.append(random_arm(rng))
    plain = not (crossed or hand or above in ("over", "jacket"))
    return Lower(legs=legs, garment=garment, layers=layers, plain=plain)


def random_legs(rng: np.random.Generator) -> Points:
    """(2, 3, 2) joints of legs that stand straight, apart, or with one knee bent sideways."""
    thigh, shin = rng.uniform(1.75, 2.1), rng.uniform(1.6, 1.95)
    legs = np.zeros((2, 3, 2))
    for side, sign in enumerate((-1, 1)):
        out, turn = np.radians(rng.uniform(-4, 10)), np.radians(rng.uniform(-10, 6))
        legs[side, 0] = 0, sign * 0.5
        legs[side, 1] = legs[side, 0] + thigh * np.array([np.cos(out), sign * np.sin(out)])
        legs[side, 2] = legs[side, 1] + shin * np.array([np.cos(out + turn), sign * np.sin(out + turn)])
    if rng.random() < 0.15:
        bend = np.radians(rng.uniform(15, 40))
        legs[1, 2] = legs[1, 1] + shin * np.array([np.cos(bend), np.sin(bend)])
    return legs


def trousers(rng: np.random.Generator, legs: Points, waist: float, top: float, kind: str) -> list[Points]:
    """Two legs of cloth and what joins them."""
    share = rng.uniform(0.93, 1.04) if kind == "trousers" else rng.uniform(0.22, 0.6)
    thigh = rng.uniform(0.4, 0.75)
    hem = thigh * rng.uniform(0.5, 1.25)
    seat = max(0.5 + thigh * 0.95, waist / 2)
    crotch = rng.uniform(0.45, 0.75)
    yoke = [
        (top, waist / 2),
        (top + 0.22, waist / 2),
        (0.1, seat),
        (crotch, 0.5 + thigh),
        (crotch + 0.05, 0.02),
    ]
    return [upper.both(np.array(yoke)), *(band(leg, 0.08, share, thigh, hem) for leg in legs)]


def skirt(rng: np.random.Generator, legs: Points, waist: float, top: float) -> list[Points]:
    """One piece, of any flare, with a level hem."""
    hem = rng.uniform(0.9, 3.4)
    hip = max(waist / 2, rng.uniform(0.95, 1.3))
    flare = rng.uniform(0.85, 2.2) * hip
    if np.abs(legs[:, 1, 1]).max() > 0.7:
        flare = max(flare, 1.1 * hip)
    return [upper.both(np.array([(top, waist / 2), (top + 0.22, waist / 2), (0.1, hip), (hem, flare)]))]


def torso_outline(rng: np.random.Generator, waist: float, top: float) -> Points:
    """What is worn, or bare, above: it ends behind the waistband, no wider than that."""
    at = waist / 2 * rng.uniform(0.93, 1.0)
    return upper.both(np.array([(-2.6, rng.uniform(0.9, 1.3)), (top - 0.5, at), (top + 0.1, at)]))


def random_arm(rng: np.random.Generator) -> tuple[Lip, Points]:
    """A forearm with its hand: on the hip, in the pocket, beside the thigh."""
    sign = rng.choice([-1, 1])
    wrist = np.array([rng.uniform(-0.6, 1.2), sign * rng.uniform(0.6, 1.7)])
    elbow = np.array([-1.6, sign * rng.uniform(1.4, 2.0)])
    hand = wrist + 0.5 * (wrist - elbow) / np.hypot(*(wrist - elbow))
    return Lip.RIGHT_ARM if sign < 0 else Lip.LEFT_ARM, band(np.stack([elbow, wrist, hand]), 0, 1, 0.2, 0.17)


def band(bone: Points, start: float, end: float, wide: float, narrow: float) -> Points:
    """Outline of cloth or a limb around a bent line, between two shares of its length."""
    return upper.band(bone, start, end, wide, narrow, 1.0)


def count(figure: Lower) -> dict[str, float]:
    """The three ratios, by their definitions."""
    hips, knees = figure.legs[:, 0].mean(axis=0), figure.legs[:, 1].mean(axis=0)
    thigh = np.hypot(*(knees - hips))
    down = (knees - hips) / thigh
    across = np.array([-down[1], down[0]])
    across *= np.sign(across @ (figure.legs[1, 0] - figure.legs[0, 0]))
    lengths = np.hypot(*np.moveaxis(np.diff(figure.legs, axis=1), 2, 0)).sum(axis=1)
    leg = lengths.mean()
    framed = [np.column_stack([(o - hips) @ down, (o - hips) @ across]) for o in figure.garment]
    cover = raster(framed)
    rows = np.arange(len(cover)) / GRID - ABOVE
    near = np.abs(np.arange(cover.shape[1]) / GRID - BESIDE) <= BAND
    level = across[0] / across[1]  # of the frame against the waistband, which was laid out level
    straight = raster([np.column_stack([o[:, 0] + level * o[:, 1], o[:, 1]]) for o in framed])
    top = np.median(rows[straight[:, near].argmax(axis=0)])
    below = straight[(rows >= top) & (rows <= top + 0.05 * leg)]
    waist = np.median([np.ptp(np.flatnonzero(row)) + 1 for row in below])
    last = rows[cover.sum(axis=1) > BAND * GRID].max()
    chosen = (rows >= 0.35 * thigh) & (rows <= min(0.55 * thigh, last - 0.03 * thigh))
    if last < 0.45 * thigh:
        chosen = (rows >= 0.15 * thigh) & (rows <= last - 0.03 * thigh)
    return {
        "waist": float(waist) / GRID,
        "width": float(cover[chosen].sum(axis=1).mean()) / GRID,
        "length": hem_along(figure, lengths) / leg,
    }


def hem_along(figure: Lower, lengths: Points) -> float:
    """How far down the cloth goes along the bones, in hip widths."""
    cover = raster(figure.garment)
    ends = []
    for leg, length in zip(figure.legs, lengths, strict=True):
        walked = np.array([0.0, np.hypot(*(leg[1] - leg[0])), length, 1.35 * length])
        far = leg[2] + (leg[2] - leg[1]) / (length - walked[1]) * 0.35 * length
        at = np.arange(0, 1.3 * length, 1 / GRID)
        bone = np.column_stack([np.interp(at, walked, [*leg[:, axis], far[axis]]) for axis in (0, 1)])
        step = np.gradient(bone, axis=0)
        beside = np.column_stack([-step[:, 1], step[:, 0]]) / np.hypot(*step.T)[:, None]
        for offset in np.linspace(-BAND, BAND, 51):
            row, column = np.rint((bone + offset * beside + (ABOVE, BESIDE)) * GRID).astype(int).T
            inside = cover[np.clip(row, 0, len(cover) - 1), np.clip(column, 0, cover.shape[1] - 1)]
            if inside.any():
                ends.append(at[np.flatnonzero(inside).max()] * lengths.mean() / length)
    return float(np.percentile(ends, 99))


def raster(outlines: list[Points]) -> NDArray[np.bool_]:
    """Cover of polygons (a, b) on the upright grid."""
    canvas = Image.new("1", (int(2 * BESIDE * GRID), int((ABOVE + BELOW) * GRID)), 0)
    pen = ImageDraw.Draw(canvas)
    for outline in outlines:
        grid = (outline[:, ::-1] + (BESIDE, ABOVE)) * GRID
        pen.polygon([tuple(xy) for xy in grid.tolist()], fill=1)
    return np.asarray(canvas)
