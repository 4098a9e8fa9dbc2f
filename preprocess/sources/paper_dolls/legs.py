"""The legs of a paper doll who is shown to the feet: outlines, shoes, and how both are painted.

Units and coordinates are those of `body`.
"""

from collections.abc import Iterator

import numpy as np

from preprocess.sources.paper_dolls.body import LEG_LABELS, leg_bones, paint_arms_and_torso, rounded, shaded
from preprocess.sources.paper_dolls.canvas import Canvas
from preprocess.sources.paper_dolls.garment import clipped
from preprocess.sources.paper_dolls.person import SIDES, Doll, Legs, Points
from preprocess.vocabulary import Lip

CROTCH = 1.235
"""`a` at which the legs part."""

FLESH = (
    (0.55, 0.42, 0.42),
    (0.85, 0.31, 0.31),
    (1.0, 0.28, 0.29),
    (1.3, 0.33, 0.29),
    (1.6, 0.25, 0.21),
    (1.9, 0.155, 0.15),
    (2.04, 0.15, 0.145),
)
"""Half widths of a leg: where along the bones (1 at the knee, 2 at the ankle), and how far beyond the bone
outwards and inwards, over half the width of the hips."""

PARTS = {-1: (9, 13, 6), 1: (10, 14, 5)}
"""DensePose's thigh, shin and foot."""

KNEECAP = ((-0.05, -0.03), (0.0, -0.048), (0.045, -0.02), (0.045, 0.02), (0.0, 0.048), (-0.05, 0.03))
"""Outline of the shade on a knee."""

SHOE_LABELS = {-1: Lip.RIGHT_SHOE, 1: Lip.LEFT_SHOE}


def hip_outline_half(doll: Doll) -> float:
    """Half the width of the body at the hips."""
    return doll.shoulder_width / 2 * doll.hip


def on_leg(doll: Doll, side: int, joints_down: Points) -> Points:
    """(N, 2) points on the bones of a leg: 0 at the hip, 1 at the knee, 2 at the ankle, and straight on."""
    bones = leg_bones(doll, side)
    steps = np.diff(bones, axis=0)
    down = np.asarray(joints_down)[:, None]
    return np.asarray(bones[0] + steps[0] * np.clip(down, 0, 1) + steps[1] * np.maximum(down - 1, 0))


def leg_edges(doll: Doll, side: int) -> tuple[Points, Points]:
    """Return the outer and the inner edge of a leg, (N, 2) each, from the top down."""
    half = hip_outline_half(doll)
    at, outwards, inwards = np.array(FLESH).T
    bone = on_leg(doll, side, at)
    outer, inner = bone.copy(), bone.copy()
    outer[:, 1] += side * outwards * half
    inner[:, 1] = side * np.maximum(side * bone[:, 1] - inwards * half, 0.008)
    hip = [(0.96, 0.995), (1.1, 1.03), (CROTCH - 0.02, 1.03)]
    top = np.array([(a, side * share * half) for a, share in hip])
    return np.concatenate([top, outer]), np.concatenate([[(0.96, 0.0), (CROTCH, side * 0.004)], inner])


def leg_outline_whole(doll: Doll, side: int) -> Points:
    """Outline of a leg from the hip to below the ankle."""
    outer, inner = leg_edges(doll, side)
    return rounded(np.concatenate([outer, inner[::-1]]), 2)


def leg_width(doll: Doll, a: Points) -> Points:
    """Width of the wider leg at rows `a`, which lie below the crotch."""
    widths = []
    for side in SIDES:
        outer, inner = leg_edges(doll, side)
        edges = [np.interp(a, edge[:, 0], side * edge[:, 1]) for edge in (outer, inner)]
        widths.append(edges[0] - edges[1])
    return np.maximum(*widths)


def reach_out(doll: Doll, a: Points) -> Points:
    """How far from the axis the body's outline is at rows `a` from the hips down: the farther leg's."""
    edges = ((side, leg_edges(doll, side)[0]) for side in SIDES)
    return np.maximum(*(np.interp(a, edge[:, 0], side * edge[:, 1]) for side, edge in edges))


def leg_parts(doll: Doll) -> Iterator[tuple[Points, int]]:
    """Yield DensePose's parts of both legs, in the order in which they are drawn."""
    for side in SIDES:
        thigh, shin, foot = PARTS[side]
        outline = leg_outline_whole(doll, side)
        yield outline, thigh
        yield clipped(outline, outline[:, 0] - leg_bones(doll, side)[1, 0]), shin
        yield foot_outline(doll, side), foot


def foot_outline(doll: Doll, side: int, wide: float = 1.0, *, start: float = -0.02) -> Points:
    """Outline of a foot that points at the camera, or of a shoe that is `wide` times as wide."""
    ankle, half = leg_bones(doll, side)[2], 0.072 * wide
    down = [(start, 0.052), (0.05, 0.058), (0.1, half), (0.128, 0.8 * half)]
    outer = [(a, 0.008 + b + 0.1 * max(a, 0)) for a, b in down]
    inner = [(a, 0.008 - b + 0.1 * max(a, 0)) for a, b in reversed(down)]
    return rounded(ankle + np.array(outer + inner) * (1, side), 2)


def paint_figure(canvas: Canvas, doll: Doll) -> None:
    """Paint all that is behind the garments in a picture of the whole body."""
    assert doll.legs is not None
    paint_arms_and_torso(canvas, doll)
    paint_legs(canvas, doll, doll.legs)


def paint_legs(canvas: Canvas, doll: Doll, legs: Legs) -> None:
    """Paint bare legs in shoes."""
    for side in SIDES:
        label, shoe = LEG_LABELS[side], SHOE_LABELS[side]
        canvas.draw(foot_outline(doll, side), doll.skin, label, bulge=0.04)
        canvas.draw(leg_outline_whole(doll, side), doll.skin, label, bulge=0.09)
        knee = leg_bones(doll, side)[1]
        canvas.draw(knee + np.array(KNEECAP), shaded(doll.skin, 0.93), opacity=0.5)
        whole = foot_outline(doll, side, 1.08, start={"boot": -0.09, "sneaker": 0.0}.get(legs.shoe, 0.02))
        cut = {"flat": 0.05, "heel": 0.062}.get(legs.shoe)
        ankle = leg_bones(doll, side)[2]
        outline = whole if cut is None else clipped(whole, whole[:, 0] - ankle[0] - cut)
        canvas.draw(outline, legs.shoe_colour, shoe, bulge=0.035)
        if legs.shoe == "sneaker":
            sole = clipped(whole, whole[:, 0] - ankle[0] - 0.105)
            canvas.draw(sole, (238, 238, 236), shoe, bulge=0.02)
