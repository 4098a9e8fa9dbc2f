"""The same people in several garments of the lower body and in several dresses, drawn as plain polygons.

Person and garment are drawn from random numbers of their own, so no ratio goes with a pose; garments reach
over the sizes that may be asked for, with hems down to the shoes' toes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from preprocess.body.keypoints import Keypoints
from preprocess.vocabulary import Category, Joint, Lip
from tests.preprocess import polygon_legs as lower
from tests.preprocess import polygon_people as upper

Points = NDArray[np.float64]
HEIGHT, WIDTH = 512, 384
SHOE = np.array([(-0.05, -0.2), (-0.05, 0.2), (0.6, 0.28), (0.6, -0.28)])
"""About the ankle, in hip widths."""

ARMS = (
    (Joint.RIGHT_SHOULDER, Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST),
    (Joint.LEFT_SHOULDER, Joint.LEFT_ELBOW, Joint.LEFT_WRIST),
)
LABELS = ((Lip.RIGHT_LEG, Lip.RIGHT_SHOE, Lip.RIGHT_ARM), (Lip.LEFT_LEG, Lip.LEFT_SHOE, Lip.LEFT_ARM))


@dataclass(frozen=True, kw_only=True)
class Dressed:
    """One drawing."""

    parse: NDArray[np.uint8]
    keypoints: Keypoints
    count: Callable[[], Points]
    plain: bool = True
    """Whether neither a top nor an arm hides some of a garment of the lower body."""

    @cached_property
    def ratios(self) -> Points:
        """True ones, in the order of the category's axes."""
        return self.count()


def dressed(category: Category, person: int, garment: int) -> Dressed:
    """Draw a person in a garment, each by its number."""
    body, cloth = np.random.default_rng([person, 21]), np.random.default_rng([garment, 22])
    return in_lower(body, cloth) if category is Category.LOWER else in_dress(body, cloth)


def in_lower(body: np.random.Generator, cloth: np.random.Generator) -> Dressed:
    """Draw somebody in trousers, shorts or a skirt; the top is tucked in, or hangs over it."""
    legs = lower.random_legs(body)
    hanging, reach, hem = body.random() < 0.25, body.uniform(1.2, 1.5), body.uniform(0.0, 0.5)
    arms = [lower.random_arm(body) for _ in range(body.integers(3))]
    width, place = body.uniform(0.42, 0.5), body.uniform(0.3, 0.36)
    waist, top = cloth.uniform(1.3, 2.7), -cloth.uniform(0.25, 0.75)
    garment = skirt(cloth, legs, waist, top) if cloth.random() < 0.4 else trousers(cloth, legs, waist, top)
    label = Lip.PANTS if cloth.random() < 0.6 else Lip.SKIRT
    layers = [(Lip.UPPER_CLOTHES, lower.torso_outline(cloth, waist, top))]
    for side, (limb, shoe) in enumerate(((Lip.RIGHT_LEG, Lip.RIGHT_SHOE), (Lip.LEFT_LEG, Lip.LEFT_SHOE))):
        layers.append((limb, lower.band(legs[side], 0.0, 1.02, 0.3, 0.14)))
        layers.append((shoe, legs[side, 2] + SHOE))
    layers += [(label, outline) for outline in garment]
    if hanging:
        over = [(-2.5, 1.2), (-0.5, reach), (hem, reach)]
        layers.append((Lip.UPPER_CLOTHES, upper.both(np.array(over))))
    layers += arms
    joints = {
        joint: xy
        for names, leg in zip(lower.LEGS, legs, strict=True)
        for joint, xy in zip(names, leg, strict=True)
    }
    scale = HEIGHT * width / 3.6 * np.ones(2)
    count = partial(count_lower, lower.Lower(legs=legs, garment=garment))
    return replace(drawn(layers, joints, count, scale, place), plain=not (hanging or arms))


def count_lower(figure: lower.Lower) -> Points:
    """Waist, width and length."""
    return np.array(list(lower.count(figure).values()))


def in_dress(body: np.random.Generator, cloth: np.random.Generator) -> Dressed:
    """Draw somebody in a dress, with sleeves or without, in front of which arms hang."""
    aspect, hip = body.uniform(0.5, 0.65), body.uniform(0.26, 0.36)
    torso = HEIGHT * body.uniform(0.2, 0.24)
    joints = {Joint.NECK: np.zeros(2), Joint.NOSE: np.array([-0.42, 0.0])}
    outline = [(-0.15, 0.15), (0, 0.55), (0.4, 0.5), (0.7, 0.45), (1.15, hip + 0.22)]
    layers = [(Lip.TORSO_SKIN, upper.both(np.array(outline)))]
    layers.append((Lip.FACE, upper.ellipse(-0.5, 0, 0.3, 0.3 / aspect)))
    knee, ankle = hip + body.uniform(-0.1, 0.1), hip + body.uniform(-0.15, 0.1)
    share, radius = cloth.choice([0.0, 0.2, 0.5, 0.95]), cloth.uniform(0.13, 0.24)
    panel, in_front = dress(cloth), []
    sleeves: list[Points] = []
    for side, names, arm_names, labels in zip((-1, 1), lower.LEGS, ARMS, LABELS, strict=True):
        leg = np.array([(1.0, hip), (2.0, knee), (2.7, ankle)]) * (1, side)
        arm = hanging_arm(body, aspect) * (1, side)
        joints.update(zip((*names, *arm_names), (*leg, *arm), strict=True))
        shoe = np.column_stack([2.7 + SHOE[:, 0] * 0.42, side * ankle + SHOE[:, 1] * 0.6])
        layers.append((labels[0], upper.band(leg, 0.0, 1.02, 0.2, 0.1, aspect)))
        layers.append((labels[1], shoe))
        in_front.append((labels[2], upper.band(arm, 0.1, 1.12, 0.12, 0.09, aspect)))
        if share > 0:
            sleeves.append(upper.band(arm, 0.1, share, radius, radius, aspect))
    layers += [(Lip.DRESS, panel), *in_front, *((Lip.DRESS, sleeve) for sleeve in sleeves)]
    worn = upper.Figure(joints={}, panel=[panel], sleeves=sleeves)
    scale = np.array([torso, aspect * torso])
    return drawn(layers, joints, partial(upper.count, worn), scale, 0.18)


def hanging_arm(rng: np.random.Generator, aspect: float) -> Points:
    """(3, 2) shoulder, elbow, wrist."""
    above, below = np.radians(rng.uniform(4, 35)), np.radians(rng.uniform(-25, 40))
    elbow = np.array([0.55 * np.cos(above), 0.5 + 0.55 * np.sin(above) / aspect])
    wrist = elbow + np.array([0.5 * np.cos(below), 0.5 * np.sin(below) / aspect])
    return np.stack([np.array([0.0, 0.5]), elbow, wrist])


def drawn(
    layers: list[tuple[Lip, Points]],
    joints: dict[Joint, Points],
    count: Callable[[], Points],
    scale: Points,
    top: float,
) -> Dressed:
    """Paint layers of rows and columns that `scale` turns into px; the origin lies at a share of the rows."""
    origin = np.array([HEIGHT * top, WIDTH / 2])
    canvas = Image.new("L", (2 * WIDTH, 2 * HEIGHT), Lip.BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for label, outline in layers:
        places = 2 * (outline * scale + origin)[:, ::-1]
        pen.polygon([tuple(xy) for xy in places.tolist()], fill=int(label))
    keypoints = Keypoints.missing()
    for joint, place in joints.items():
        keypoints.xy[joint] = (np.array(place) * scale + origin)[::-1]
        keypoints.confidence[joint] = 0.9
    return Dressed(parse=np.asarray(canvas)[1::2, 1::2].copy(), keypoints=keypoints, count=count)


def trousers(rng: np.random.Generator, legs: Points, waist: float, top: float) -> list[Points]:
    """Two legs of cloth of any length, and what joins them."""
    thigh = rng.uniform(0.4, 1.0)
    hem, share = thigh * rng.uniform(0.5, 1.25), rng.uniform(0.22, 1.12)
    seat = max(0.5 + thigh * 0.95, waist / 2)
    crotch = rng.uniform(0.45, 0.75)
    yoke = [(top, waist / 2), (top + 0.22, waist / 2), (0.1, seat), (crotch, 0.5 + thigh)]
    outline = upper.both(np.array([*yoke, (crotch + 0.05, 0.02)]))
    return [outline, *(lower.band(leg, 0.08, share, thigh, hem) for leg in legs)]


def skirt(rng: np.random.Generator, legs: Points, waist: float, top: float) -> list[Points]:
    """One piece of any length, as wide as the legs at least; what is longer flares less."""
    hem = rng.uniform(0.9, 3.9)
    hip = max(waist / 2, rng.uniform(0.95, 1.3))
    flare = max(hip * rng.uniform(0.85, 1.9), 0.4 + np.abs(legs[:, 1:, 1]).max())
    flare = min(flare, 2.0 + 0.25 * hem)
    return [upper.both(np.array([(top, waist / 2), (top + 0.22, waist / 2), (0.1, hip), (hem, flare)]))]


def dress(rng: np.random.Generator) -> Points:
    """A dress without sleeves, of any size that may be asked for."""
    chest, hem = rng.uniform(0.45, 1.05), rng.uniform(1.25, 3.0)
    waist = chest * rng.uniform(0.75, 1.0)
    hip = min(max(waist, 0.6) * rng.uniform(1.0, 1.3), 1.3)
    tip = rng.uniform(0.45, 0.85)
    flare = min(hip * rng.uniform(0.9, 1.9), 0.7 + 0.6 * hem)
    corners = [
        (-0.14, 0.2),
        (-0.02, tip),
        (0.06, tip),
        (0.25, chest),
        (0.7, waist),
        (1.05, hip),
        (hem, flare),
    ]
    return upper.both(np.array(corners))
