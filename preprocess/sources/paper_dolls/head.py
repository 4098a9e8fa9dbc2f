"""The head of a paper doll: hair behind, face, hair in front."""

from collections.abc import Iterator

import numpy as np

from preprocess.sources.paper_dolls.body import ellipse, head_outline, mirrored, rounded, shaded, turned_head
from preprocess.sources.paper_dolls.canvas import Canvas
from preprocess.sources.paper_dolls.person import SIDES, Colour, Doll, Points
from preprocess.vocabulary import Lip

BEHIND = {
    "bob": [
        (-0.74, 0.0),
        (-0.74, 0.14),
        (-0.62, 0.235),
        (-0.4, 0.25),
        (-0.17, 0.225),
        (-0.12, 0.15),
        (-0.14, 0.0),
    ],
    "long": [
        (-0.74, 0.0),
        (-0.74, 0.13),
        (-0.62, 0.23),
        (-0.35, 0.24),
        (0.0, 0.25),
        (0.22, 0.19),
        (0.24, 0.0),
    ],
    "draped": [
        (-0.74, 0.0),
        (-0.74, 0.13),
        (-0.62, 0.23),
        (-0.35, 0.235),
        (-0.1, 0.22),
        (0.0, 0.16),
        (0.0, 0.0),
    ],
}
"""Left halves of the hair that hangs behind the shoulders."""

CAP = [
    (-0.79, 0.0),
    (-0.785, 0.09),
    (-0.735, 0.17),
    (-0.62, 0.217),
    (-0.50, 0.218),
    (-0.43, 0.205),
    (-0.50, 0.18),
    (-0.575, 0.15),
]
"""Left half of the hair on the skull, down the temple and back to the hairline."""

LOCK = [
    (-0.6, 0.2),
    (-0.35, 0.24),
    (-0.1, 0.225),
    (0.1, 0.2),
    (0.24, 0.165),
    (0.12, 0.125),
    (-0.1, 0.14),
    (-0.35, 0.19),
]
"""Hair that falls over the left shoulder."""

FRINGES = {
    "short": -0.615,
    "bob": -0.55,
    "long": -0.635,
    "draped": -0.65,
    "bun": -0.645,
    "curly": -0.61,
    "buzz": -0.655,
}
"""`a` of the hairline over the forehead."""


def paint_hair_behind(canvas: Canvas, doll: Doll) -> None:
    """Paint what of the hair the body hides."""
    shapes: list[Points] = []
    if doll.hair_style in BEHIND:
        shapes = [rounded(mirrored(np.array(BEHIND[doll.hair_style])), 2)]
    if doll.hair_style == "bun":
        shapes = [ellipse((-0.84, 0.0), 0.095, 0.105)]
    if doll.hair_style == "curly":
        turns = np.linspace(-1.9, 1.9, 9)
        shapes = [ellipse((-0.57 - 0.2 * np.cos(t), 0.21 * np.sin(t)), 0.1, 0.1, 14) for t in turns]
    paint_hair(canvas, doll, shapes, 0.86)


def paint_hair(canvas: Canvas, doll: Doll, shapes: list[Points], light: float) -> None:
    """Paint locks, all leaning with the head."""
    for shape in shapes:
        canvas.draw(turned_head(doll, shape), shaded(doll.hair, light), Lip.HAIR, bulge=0.09)


def paint_head(canvas: Canvas, doll: Doll) -> None:
    """Paint ears, face and the hair over them."""
    for side in SIDES:
        ear = turned_head(doll, ellipse((-0.44, side * 0.195), 0.055, 0.026))
        canvas.draw(ear, shaded(doll.skin, 0.88), Lip.FACE)
    canvas.draw(head_outline(doll), doll.skin, Lip.FACE, bulge=0.13)
    for shape, colour in face(doll):
        canvas.draw(turned_head(doll, shape), colour)
    hairline = FRINGES[doll.hair_style]
    cap = np.array([*CAP, (hairline, 0.09), (hairline - 0.012, 0.0)])
    if doll.hair_style == "buzz":
        cap = cap * (0.96, 0.93)
    paint_hair(canvas, doll, [rounded(mirrored(cap), 2)], 1.0)


def face(doll: Doll) -> Iterator[tuple[Points, Colour]]:
    """Yield eyes, brows, nose and mouth of an upright head with their colours."""
    brow = shaded(min(doll.hair, doll.skin), 0.8)
    for side in SIDES:
        at = side * 0.077
        yield ellipse((-0.463, at), 0.02, 0.037, 14), (244, 242, 238)
        yield ellipse((-0.463, at), 0.019, 0.018, 12), (58, 44, 38)
        lid = np.array([(-0.487, at - 0.038), (-0.494, at), (-0.476, at + 0.04), (-0.484, at)])
        yield lid, shaded(brow, 0.6)
        yield np.array([(-0.52, at - 0.045), (-0.536, at), (-0.52, at + 0.045), (-0.524, at)]), brow
    nose = np.array([(-0.45, 0.012), (-0.365, 0.034), (-0.35, 0.0), (-0.355, -0.022), (-0.362, 0.0)])
    yield nose, shaded(doll.skin, 0.84)
    half_mouth = np.array([(-0.298, 0.0), (-0.303, 0.02), (-0.288, 0.062), (-0.268, 0.0)])
    red, green, blue = doll.skin
    yield rounded(mirrored(half_mouth), 1), (0.86 * red, 0.58 * green, 0.58 * blue)


def paint_hair_in_front(canvas: Canvas, doll: Doll) -> None:
    """Paint locks that fall over the shoulders and hide a little of the garment."""
    if doll.hair_style == "draped":
        locks = [rounded(np.array(LOCK) * (1, side), 2) for side in SIDES]
        paint_hair(canvas, doll, locks, 0.94)
