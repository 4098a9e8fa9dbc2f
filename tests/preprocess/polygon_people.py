"""People drawn as plain polygons: a second renderer, which shares nothing with the paper dolls.

Everything is laid out in the body frame (`a` in torso lengths down, `b` in shoulder widths across) and drawn
by Pillow. The truth is read off the layers on a fine upright grid, by counting, before anything overlaps.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from preprocess.body.keypoints import BodyFrame, Keypoints
from preprocess.garment.measurements import measure_worn
from preprocess.garment.parse import garment_mask, scene_of
from preprocess.garment.size_ratios import SizeRatioParams, SizeRatios, size_ratios
from preprocess.garment.worn import parse_flags
from preprocess.vocabulary import Category, Joint, Lip

Points = NDArray[np.float64]

GRID = 400
"""Samples a torso length, and a shoulder width, of the grid that the truth is counted on."""

REACH = 3.0
"""Half the grid's extent across, in shoulder widths."""

BARE_FROM = 0.1
"""Share of an arm from which it may lie in front of the panel."""

ARMS = (
    (Joint.RIGHT_SHOULDER, Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST),
    (Joint.LEFT_SHOULDER, Joint.LEFT_ELBOW, Joint.LEFT_WRIST),
)

GARMENTS = (Lip.UPPER_CLOTHES, Lip.UPPER_CLOTHES, Lip.DRESS, Lip.COAT)


@dataclass(frozen=True, kw_only=True)
class PolygonPerson:
    """One drawing."""

    parse: NDArray[np.uint8]
    keypoints: Keypoints
    truth: NDArray[np.float64]
    """(3,) shoulder, width, length ratio."""
    sleeve: float
    """Share of the arm that is covered, of the arm of which less is."""
    plain: bool
    """Whether neither sleeve nor arm comes near the panel where its width is measured."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What is drawn, as polygons in the body frame by layer, from back to front."""

    aspect: float = 1.0
    """Shoulder width over torso length."""
    joints: dict[Joint, tuple[float, float]]
    layers: list[tuple[Lip, Points]] = field(default_factory=list)
    panel: list[Points] = field(default_factory=list)
    sleeves: list[Points] = field(default_factory=list)
    arms: list[Points] = field(default_factory=list)
    sleeve_end: float = 0.0
    """Share of the arms up to which sleeves reach."""
    over: bool = False
    """Whether the arms lie in front of the panel, from where the sleeves end."""


def random_person(seed: int) -> PolygonPerson:
    """Draw the person of a seed."""
    rng = np.random.default_rng(seed)
    aspect = rng.uniform(0.5, 0.85)  # shoulder width over torso length
    figure = random_figure(rng, aspect)
    height = int(rng.choice([256, 512, 1024]))
    width = height * 3 // 4
    torso = height * rng.uniform(0.22, 0.34)
    angle = np.radians(rng.uniform(-12, 12))
    origin = np.array([width * rng.uniform(0.45, 0.55), height * rng.uniform(0.25, 0.32)])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def place(points: Points) -> Points:
        """Body frame (a, b) to px (x, y)."""
        return np.column_stack([points[:, 1] * aspect * torso, points[:, 0] * torso]) @ turn.T + origin

    parse = paint(figure, place, height, width)
    keypoints = Keypoints.missing()
    for joint, ab in figure.joints.items():
        keypoints.xy[joint], keypoints.confidence[joint] = place(np.array([ab]))[0], 0.9
    person = PolygonPerson(
        parse=parse,
        keypoints=keypoints,
        truth=count(figure),
        sleeve=min(covered(figure, *arm) for arm in ARMS),
        plain=is_plain(figure),
    )
    return mirrored(person) if rng.random() < 0.5 else person


def annotate(person: PolygonPerson) -> SizeRatios:
    """Measure a drawing as the pipeline measures a photo."""
    garment = garment_mask(person.parse, Category.UPPER)
    worn = measure_worn(garment, person.keypoints, scene_of(person.parse))
    flags = parse_flags(person.parse, worn, BodyFrame.from_keypoints(person.keypoints), Category.UPPER)
    return size_ratios(worn, SizeRatioParams(), keypoints=person.keypoints, flags=flags)


def mirrored(person: PolygonPerson) -> PolygonPerson:
    """The same drawing in a mirror."""
    width = person.parse.shape[1]
    swap = np.arange(256, dtype=np.uint8)
    swap[[Lip.LEFT_ARM, Lip.RIGHT_ARM]] = Lip.RIGHT_ARM, Lip.LEFT_ARM
    parse = swap[person.parse[:, ::-1]]
    keypoints = person.keypoints.mirrored(width)
    return replace(person, parse=parse, keypoints=keypoints)


def random_figure(rng: np.random.Generator, aspect: float) -> Figure:
    """Lay out a body, its arms and a garment."""
    hip = rng.uniform(0.26, 0.4)
    figure = Figure(
        aspect=aspect,
        joints={
            Joint.NECK: (0, 0),
            Joint.NOSE: (-0.42, 0),
            Joint.RIGHT_SHOULDER: (0, -0.5),
            Joint.LEFT_SHOULDER: (0, 0.5),
            Joint.MID_HIP: (1, 0),
            Joint.RIGHT_HIP: (1, -hip),
            Joint.LEFT_HIP: (1, hip),
        },
    )
    garment = rng.choice(GARMENTS)
    body = np.array([(-0.15, 0.15), (0, 0.55), (0.4, 0.5), (0.7, 0.45), (1.15, hip + 0.22), (1.9, hip + 0.1)])
    figure.layers.append((Lip.TORSO_SKIN, both(body)))
    figure.layers.append((Lip(rng.choice([Lip.PANTS, Lip.SKIRT])), both(body[3:])))
    figure.layers.append((Lip.FACE, ellipse(-0.5, 0, 0.3, 0.3 / aspect)))
    if rng.random() < 0.7:
        figure.layers.append((Lip.HAIR, ellipse(-0.68, 0, 0.22, 0.34 / aspect)))
    over = rng.random() < 0.5
    sleeve, radius = rng.choice([0.0, 0.2, 0.3, 0.5, 0.95]), rng.uniform(0.13, 0.24)
    figure.panel.append(panel_outline(rng))
    in_front = []
    for side in (-1, 1):
        arm = arm_joints(rng, side, aspect)
        names = ("LEFT_ELBOW", "LEFT_WRIST") if side > 0 else ("RIGHT_ELBOW", "RIGHT_WRIST")
        figure.joints.update({Joint[name]: tuple(ab) for name, ab in zip(names, arm[1:], strict=True)})
        label = Lip.LEFT_ARM if side > 0 else Lip.RIGHT_ARM
        figure.arms.append(band(arm, 0.0, 1.12, 0.13, 0.09, aspect))
        figure.layers.append((label, figure.arms[-1]))
        in_front.append((label, band(arm, max(sleeve, BARE_FROM), 1.12, 0.12, 0.09, aspect)))
        if sleeve > 0:
            figure.sleeves.append(band(arm, 0.0, sleeve, radius, radius * rng.uniform(0.7, 1.1), aspect))
    figure.layers.extend((garment, piece) for piece in (*figure.panel, *figure.sleeves))
    figure.layers.extend(in_front if over else [])
    if rng.random() < 0.2:
        strand = np.array([(-0.6, 0.25), (-0.6, 0.6), (rng.uniform(-0.1, 0.6), 0.55), (0.0, 0.3)])
        figure.layers.append((Lip.HAIR, strand * (1, rng.choice([-1, 1]))))
    if (depth := rng.uniform(-0.05, 0.25)) > 0:
        neck = np.array([(-0.3, -0.2), (depth, 0), (-0.3, 0.2)])
        figure.layers.append((Lip.TORSO_SKIN, neck))
    return replace(figure, sleeve_end=float(sleeve), over=over)


def panel_outline(rng: np.random.Generator) -> Points:
    """A garment without sleeves: shoulders, chest, waist and hem of any proportion."""
    tip = rng.uniform(0.48, 0.68)
    chest = rng.uniform(0.45, 0.95)
    waist = chest * rng.uniform(0.8, 1.1)
    hem = rng.uniform(0.5, 1.6)
    flare = rng.uniform(0.9, 1.25) * waist
    corners = [
        (-0.14, 0.2),
        (-0.02, tip),
        (0.06, tip),
        (0.25, chest),
        (min(0.6, hem - 0.1), waist),
        (hem, flare),
    ]
    return both(np.array(corners))


def arm_joints(rng: np.random.Generator, side: int, aspect: float) -> Points:
    """(3, 2) shoulder, elbow, wrist: hanging, on the hip, before the belly, level, raised."""
    upper = np.radians(rng.uniform(4, 65) if rng.random() < 0.9 else rng.uniform(65, 150))
    fore = np.radians(rng.uniform(-15, 60) if rng.random() < 0.8 else rng.uniform(-110, 170))
    elbow = np.array([0.55 * np.cos(upper), 0.5 + 0.55 * np.sin(upper) / aspect])
    wrist = elbow + np.array([0.5 * np.cos(fore), 0.5 * np.sin(fore) / aspect])
    return np.stack([np.array([0.0, 0.5]), elbow, wrist]) * (1, side)


def band(arm: Points, start: float, end: float, wide: float, narrow: float, aspect: float) -> Points:
    """Outline of a limb along the arm between two shares of its length; half widths in shoulder widths."""
    square = np.array([1 / aspect, 1.0])  # both axes in shoulder widths
    joints = arm * square
    lengths = np.hypot(*np.diff(joints, axis=0).T)
    walked = np.array([0, lengths[0], lengths.sum(), 2 * lengths.sum()])
    far = joints[2] + (joints[2] - joints[1]) / lengths[1] * lengths.sum()
    at = np.linspace(start, end, 40) * lengths.sum()
    centre = np.column_stack([np.interp(at, walked, np.append(joints[:, k], far[k])) for k in (0, 1)])
    along = np.gradient(centre, axis=0)
    across = along[:, ::-1] * (-1, 1) / np.hypot(*along.T)[:, None]
    half = np.linspace(wide, narrow, len(at))[:, None]
    return np.concatenate([centre + half * across, (centre - half * across)[::-1]]) / square


def both(half: Points) -> Points:
    """Outline from its left half."""
    return np.concatenate([half, half[::-1] * (1, -1)])


def ellipse(a: float, b: float, radius_a: float, radius_b: float) -> Points:
    """A polygon of 40 corners."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.column_stack([a + radius_a * np.cos(turn), b + radius_b * np.sin(turn)])


def paint(figure: Figure, place: Callable[[Points], Points], height: int, width: int) -> NDArray[np.uint8]:
    """Draw the layers, four times as large, and keep every fourth pixel."""
    canvas = Image.new("L", (4 * width, 4 * height), Lip.BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for label, outline in figure.layers:
        pen.polygon([tuple(xy) for xy in (4 * place(outline)).tolist()], fill=int(label))
    return np.asarray(canvas)[2::4, 2::4].copy()


def fill(outlines: list[Points]) -> NDArray[np.bool_]:
    """Cover of polygons on the upright grid; row 0 is a = -0.5."""
    canvas = Image.new("1", (int(2 * REACH * GRID), 4 * GRID), 0)
    pen = ImageDraw.Draw(canvas)
    for outline in outlines:
        grid = np.column_stack([outline[:, 1] + REACH, outline[:, 0] + 0.5]) * GRID
        pen.polygon([tuple(xy) for xy in grid.tolist()], fill=1)
    return np.asarray(canvas)


def rows_of(cover: NDArray[np.bool_], low: float, high: float) -> NDArray[np.bool_]:
    """Rows with `a` between two values."""
    return cover[int((low + 0.5) * GRID) : int((high + 0.5) * GRID)]


def count(figure: Figure) -> NDArray[np.float64]:
    """The three ratios, by the definitions."""
    panel, garment = fill(figure.panel), fill(figure.panel + figure.sleeves)
    shoulder = np.median([np.ptp(np.flatnonzero(row)) + 1 for row in rows_of(garment, 0, 0.05)])
    length = np.flatnonzero(panel[:, int(REACH * GRID)]).max() / GRID - 0.5
    cropped = length < 0.45
    rows = rows_of(panel, 0.15, length) if cropped else rows_of(panel, 0.35, min(0.55, length - 0.005))
    return np.array([shoulder / GRID, rows.sum(axis=1).mean() / GRID, length])


def covered(figure: Figure, *arm: Joint) -> float:
    """Share of an arm up to where its bone comes out of the sleeve, and of a panel in front of it."""
    joints = np.array([figure.joints[joint] for joint in arm])
    square = joints * np.array([1 / figure.aspect, 1.0])
    walked = np.append(0, np.cumsum(np.hypot(*np.diff(square, axis=0).T)))
    share = np.linspace(0, 1, 2001)
    a, b = (np.interp(share, walked / walked[-1], joints[:, axis]) for axis in (0, 1))
    panel = fill(figure.panel)
    inside = panel[((a + 0.5) * GRID).astype(int).clip(0, len(panel) - 1), ((b + REACH) * GRID).astype(int)]
    behind = 1.0 if inside.all() else float(share[inside.argmin()])
    return max(figure.sleeve_end, min(behind, BARE_FROM) if figure.over else behind)


def is_plain(figure: Figure) -> bool:
    """Whether no hand or elbow is raised, and 0.03 B lie between panel and arms in the rows of the width."""
    arms = [joint for joint in figure.joints if joint.name.endswith(("ELBOW", "WRIST"))]
    if any(figure.joints[joint][0] < 0.2 for joint in arms):
        return False
    panel = rows_of(fill(figure.panel), 0.3, 0.6)
    limbs = rows_of(fill(figure.arms + figure.sleeves), 0.3, 0.6)
    grown = panel.copy()
    for shift in range(1, int(0.03 * GRID)):
        grown |= np.roll(panel, shift, 1) | np.roll(panel, -shift, 1)
    return not bool((grown & limbs).any())
