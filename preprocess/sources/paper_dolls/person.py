"""Who a paper doll is, how it stands and how the photo is framed. Lengths are in torso lengths (T = 1)."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Colour = tuple[float, float, float]

SIDES = (-1, 1)
"""The person's right, the person's left: the sign of `b`."""

SKINS: tuple[Colour, ...] = (
    (246, 213, 190),
    (234, 192, 162),
    (219, 172, 136),
    (190, 137, 98),
    (150, 101, 70),
    (112, 74, 52),
    (84, 56, 42),
)
HAIRS: tuple[Colour, ...] = (
    (38, 30, 28),
    (66, 44, 32),
    (112, 72, 44),
    (176, 132, 78),
    (206, 176, 120),
    (150, 66, 34),
    (140, 136, 132),
)
HAIR_STYLES = ("short", "bob", "long", "draped", "bun", "curly", "buzz")
BOTTOMS = ("trousers", "jeans", "skirt")
BOTTOM_COLOURS: tuple[Colour, ...] = (
    (42, 44, 52),
    (58, 74, 110),
    (96, 120, 158),
    (224, 220, 212),
    (142, 124, 100),
    (84, 90, 78),
)
INNER_COLOURS: tuple[Colour, ...] = ((232, 230, 226), (206, 204, 204), (226, 214, 200))
SHOES = ("flat", "sneaker", "heel", "boot")
SHOE_COLOURS: tuple[Colour, ...] = (
    (36, 34, 36),
    (236, 234, 230),
    (120, 78, 52),
    (186, 160, 130),
    (70, 74, 92),
    (150, 44, 48),
)
BACKDROPS: tuple[Colour, ...] = (
    (236, 236, 236),
    (222, 225, 230),
    (232, 226, 218),
    (206, 212, 216),
    (244, 243, 240),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """How one arm is held: directions in degrees from straight down, outwards positive."""

    upper_angle: float
    """Of the bone from shoulder to elbow."""

    lower_angle: float
    """Of the bone from elbow to wrist; above 90 the hand is raised."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Legs:
    """How somebody stands whose legs are in the picture. Both legs are equally long."""

    hips: float
    """Distance of the hip joints over the width of the body's outline there."""

    thigh: float
    """Length of the bone."""

    shin: float
    """Length of the bone."""

    spread_deg: float
    """How far each thigh points outwards."""

    shins_deg: tuple[float, float]
    """The same of the right and the left shin."""

    shoe: str
    """One of `SHOES`."""

    shoe_colour: Colour
    """RGB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doll:
    """A person, apart from the garment that is tried on. Lengths are in torso lengths."""

    shoulder_width: float
    """Between the shoulder joints: B / T."""

    shoulder_slope: float
    """How far the shoulder line is turned against the torso (tangent): one shoulder lower."""

    chest: float
    """Half width of the outline at the chest over half the shoulder width; likewise waist and hip."""

    waist: float
    """See `chest`."""

    hip: float
    """See `chest`."""

    upper_arm: float
    """Length of the bone."""

    forearm: float
    """Length of the bone."""

    arm_radius: float
    """Half the thickness of the upper arm."""

    arms: tuple[Arm, Arm]
    """The person's right and left."""

    tilt_deg: float
    """How far the torso leans to the person's left, in degrees."""

    head_deg: float
    """How far the head leans, in degrees."""

    skin: Colour
    """RGB, 0 to 255."""

    hair: Colour
    """RGB."""

    hair_style: str
    """One of `HAIR_STYLES`."""

    bottom: str
    """One of `BOTTOMS`."""

    bottom_colour: Colour
    """RGB."""

    inner_colour: Colour
    """RGB of the vest worn under the garment."""

    backdrop: Colour
    """RGB of the studio's wall."""

    frame_top: float
    """`a` at the picture's upper edge."""

    frame_bottom: float
    """`a` at the picture's lower edge."""

    frame_shift: float
    """How far right of the middle the person stands, over the picture's width."""

    detail_seed: int
    """Seeds what a detector would add: confidences, joints it misses."""

    legs: Legs | None = None
    """None: the picture shows the upper body, and what it shows of the legs is in `bottom`."""

    @property
    def hips(self) -> float:
        """Distance of the hip joints over the width of the outline there."""
        return self.legs.hips if self.legs else 0.54


def sample_doll(rng: np.random.Generator) -> Doll:
    """Draw a person."""
    shoulder_width = rng.uniform(0.50, 0.62)
    build = rng.normal(0, 0.035)
    return Doll(
        shoulder_width=shoulder_width,
        shoulder_slope=np.tan(np.radians(rng.uniform(-2.5, 2.5))),
        chest=float(np.clip(rng.uniform(0.96, 1.04) + build, 0.92, 1.1)),
        waist=float(np.clip(rng.uniform(0.80, 0.94) + build, 0.74, 1.0)),
        hip=float(np.clip(rng.uniform(0.95, 1.14) + build, 0.9, 1.2)),
        upper_arm=rng.uniform(0.53, 0.61),
        forearm=rng.uniform(0.43, 0.49),
        arm_radius=rng.uniform(0.062, 0.078),
        arms=(sample_arm(rng), sample_arm(rng)),
        tilt_deg=float(np.clip(rng.normal(0, 3.2), -8, 8)),
        head_deg=float(rng.normal(0, 4)),
        skin=pick(rng, SKINS),
        hair=pick(rng, HAIRS),
        hair_style=HAIR_STYLES[rng.integers(len(HAIR_STYLES))],
        bottom=BOTTOMS[rng.choice(3, p=(0.45, 0.3, 0.25))],
        bottom_colour=pick(rng, BOTTOM_COLOURS),
        inner_colour=pick(rng, INNER_COLOURS),
        backdrop=pick(rng, BACKDROPS),
        frame_top=-rng.uniform(0.60, 0.98),
        frame_bottom=rng.uniform(1.45, 1.6) if rng.random() < 0.03 else rng.uniform(1.72, 2.1),
        frame_shift=rng.uniform(-0.03, 0.03),
        detail_seed=int(rng.integers(2**31)),
    )


def with_legs(doll: Doll, rng: np.random.Generator, *, headless: float, at_knees: float) -> Doll:
    """Show the legs of somebody, mostly the whole figure.

    These are shares of pictures: `headless` ones begin between chest and waist, as many of trousers do;
    `at_knees` ones end at the knees or shins.
    """
    legs = Legs(
        hips=rng.uniform(0.56, 0.66),
        thigh=rng.uniform(0.80, 0.92),
        shin=rng.uniform(0.78, 0.90),
        spread_deg=rng.uniform(-0.5, 5.5),
        shins_deg=(rng.uniform(-4.5, 2.5), rng.uniform(-4.5, 2.5)),
        shoe=SHOES[rng.integers(len(SHOES))],
        shoe_colour=pick(rng, SHOE_COLOURS),
    )
    floor = 1 + legs.thigh + legs.shin + 0.13
    crop, top, bottom = rng.random(), -rng.uniform(0.84, 1.0), floor + rng.uniform(0.04, 0.2)
    if crop < headless:
        top = rng.uniform(-0.12, 0.36)
    elif crop < headless + at_knees:
        bottom = 1 + legs.thigh + rng.uniform(0.08, 0.5) * legs.shin
    return replace(doll, legs=legs, frame_top=top, frame_bottom=bottom)


def pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """Draw one of some colours."""
    return colours[rng.integers(len(colours))]


def sample_arm(rng: np.random.Generator) -> Arm:
    """Draw a pose: mostly away from the torso, sometimes hanging, seldom with the hand raised."""
    pose = rng.choice(5, p=(0.73, 0.16, 0.05, 0.04, 0.02))
    if pose == 0:
        return Arm(upper_angle=rng.uniform(43, 56), lower_angle=rng.uniform(-22, 26))
    if pose == 1:
        return Arm(upper_angle=rng.uniform(45, 56), lower_angle=rng.uniform(-42, -22))
    if pose == 2:
        return Arm(upper_angle=rng.uniform(26, 41), lower_angle=rng.uniform(-8, 24))
    if pose == 3:
        hanging = rng.uniform(9, 20)
        return Arm(upper_angle=hanging, lower_angle=hanging + rng.uniform(-8, 8))
    return Arm(upper_angle=rng.uniform(38, 55), lower_angle=rng.uniform(115, 160))
