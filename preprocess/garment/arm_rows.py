"""One side of the panel, row by row: where an arm's sleeve goes on there, or the arm lies across."""

from dataclasses import dataclass

import numpy as np

from preprocess.body.arms import HAND
from preprocess.body.canvas import INSIDE, BodyCanvas, Mask, Rows
from preprocess.body.keypoints import Array
from preprocess.garment.bounds import Bounds
from preprocess.garment.panel import DROOP, THIN, Side
from preprocess.garment.scene import Scene

BONE_SLACK = 0.04
"""How far outside the garment, in B, the bone of an arm in a sleeve may be."""

SLEEVED = 0.3
"""An arm has a sleeve that may go on behind the panel when it covers this share of it."""

INNERMOST = 0.7
"""Share of the hull of the torso's joints that the panel surely covers."""

ACROSS = 0.75
"""An arm whose forearm or hand is within this share of the hull lies across the panel."""

ACROSS_RADIUS = 0.12
"""Half the thickness of such a forearm, in B."""

HAND_ROWS, HAND_OUT, HAND_AREA = (0.6, 1.5), 0.35, 0.01
"""Rows, in T, in which a hanging hand shows, how far out, in B, and how much of it at least, in B squared."""

FEWEST_ROWS, FIRM_ROWS = 0.5, 0.6
"""Share of the width's rows that must tell about a side, and from which guessed rows don't count."""

MANY_ROWS = 0.1
"""Share of the width's rows from which a kind of row is named."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SideRows:
    """One side of the panel, row by row, `|b|` px; NaN in rows that tell nothing."""

    a: Array
    """(R,) px."""

    at: Array
    """(R,) best estimate."""

    low: Array
    """(R,) least."""

    high: Array
    """(R,) most."""

    against: Mask
    """(R,) rows in which something lies against the panel."""

    sleeve: Mask
    """(R,) rows in which the garment goes on into a sleeve."""

    silent: Mask
    """(R,) rows that tell nothing: a forearm lies across, or a piece is missing."""

    guessed: Mask
    """(R,) rows of which only a photo could tell where sleeve or arm hide the edge, and there is none."""

    def between(self, first: float, last: float) -> "SideRows":
        """The rows with `a` px in [first, last]."""
        chosen = (self.a >= first) & (self.a <= last)
        return SideRows(**{name: getattr(self, name)[chosen] for name in self.__slots__})

    def mean(self) -> Bounds:
        """Mean `|b|` px over all rows, by a line through those that tell something; unknown with too few."""
        told = np.isfinite(self.at)
        firm = told & ~self.guessed
        if len(firm) and firm.mean() >= FIRM_ROWS:
            told = firm
        if len(told) == 0 or told.mean() < FEWEST_ROWS:
            return Bounds.unknown()
        shift = 0.0
        if not told.all():
            slope, intercept = np.polyfit(self.a[told], self.at[told], 1)
            shift = slope * self.a.mean() + intercept - self.at[told].mean()
        value, low, high = (float(ends[told].mean() + shift) for ends in (self.at, self.low, self.high))
        return Bounds(value=value, low=low, high=high).widened(abs(shift))

    def flags(self) -> list[str]:
        """Name what many of the rows have beside them."""
        kinds = {
            "arm_touches_panel": self.against,
            "sleeve_touches_panel": self.sleeve & ~self.silent,
            "panel_hidden": self.silent,
        }
        return [name for name, rows in kinds.items() if len(rows) and rows.mean() > MANY_ROWS]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SideView:
    """What the rows of one side show, by columns that lead outward from the body axis."""

    side: Side
    a: Array
    """(R,) px."""
    b: Array
    """(K,) `|b|` px of the columns."""
    columns: Rows
    """(K,) of the canvas."""
    end: Array
    """(R,) `|b|` px where the garment ends."""
    outer: Array
    """(R,) `|b|` px where the garment, and what lies in front of it, ends."""
    front: Mask
    """(R, K) the garment, and what lies in front of it."""
    one_sleeve: bool
    """Whether the other arm shows that the garment has no such sleeves."""
    hand_shows: bool
    """Whether this arm's wrist was found, a hand shows on its side, or the picture ends before it: else the
    arm may be behind the back."""

    @property
    def step(self) -> float:
        """Px between columns."""
        return float(self.b[1] - self.b[0])

    @property
    def unit(self) -> float:
        """Columns per B."""
        return self.side.shoulder_px / self.step

    @property
    def worn(self) -> Mask:
        """(R,) rows in which there is cloth."""
        return np.isfinite(self.end)

    def column(self, at: Array) -> Array:
        """(R,) column of `|b|` px."""
        return np.asarray((at - self.b[0]) / self.step)

    def shows_beyond(self, at: Array, first: float, last: float) -> Mask:
        """(R,) whether anything is in front of the wall `first` to `last`, in B, beyond (R,) `|b|` px."""
        beyond = (self.b - at[:, None]) / self.side.shoulder_px
        return np.asarray((self.front & (beyond > first) & (beyond < last)).any(axis=1))


def hand_shows(canvas: BodyCanvas, side: Side, scene: Scene) -> bool:
    """Whether this arm's wrist was found, skin shows where its hand hangs, or the picture ends before it."""
    shoulder, elbow, wrist = side.arm.joints
    if np.isfinite(wrist).all():
        return True
    if scene.occluders is None or np.isnan(elbow).any():
        return False
    hanging = np.array([[HAND * np.hypot(*(elbow - shoulder)), 0]])  # as `bones_at` has it
    fingertips = canvas.frame.to_image(elbow + hanging)
    if (fingertips < 0).any() or (fingertips > canvas.picture_shape[::-1]).any():
        return True
    skin = scene.occluders if scene.overlays is None else scene.occluders & ~scene.overlays
    first, last = (round((share * side.torso_px - canvas.a0) / canvas.step) for share in HAND_ROWS)
    shown = canvas.resampled(skin, np.arange(first, last)) > INSIDE
    out = side.arm.side * canvas.b_of(np.arange(shown.shape[1])) > HAND_OUT * side.shoulder_px
    return bool(shown[:, out].sum() * (canvas.step / side.shoulder_px) ** 2 > HAND_AREA)


def sleeve_rows(side: Side, a: Array, end: Array, outer: Array) -> Mask:
    """(R,) rows in which the garment goes on into this side's sleeve.

    It covers the bone, or what is left of a sleeve half behind the panel; a bare arm beyond it ends neither.
    """
    bone, share = bones_at(side, a)
    with np.errstate(invalid="ignore"):
        covered = share <= side.arm.sleeve_end + 0.01
        drooping = a < side.arm.sleeve_a + DROOP * side.shoulder_px
        behind = (bone < end + BONE_SLACK * side.shoulder_px) & (outer - end < THIN * side.shoulder_px)
        sleeved = side.arm.sleeve_end > SLEEVED
        found: Mask = ((bone < end) & (covered | drooping)) | (behind & (covered | sleeved))
        return found & (bone > INNERMOST * side.hull(a))


def bones_at(side: Side, a: Array) -> tuple[Array, Array]:
    """(R,) `|b|` px of the arm's bone, (R,) its share of the arm; without a wrist it hangs from the elbow."""
    arm = side.arm
    bone, share = arm.at_rows(a)
    elbow = arm.joints[1]
    if np.isfinite(elbow).all() and np.isnan(arm.joints[2]).any():
        below = np.isnan(bone) & (a >= elbow[0])
        bone, share = np.where(below, elbow[1], bone), np.where(below, 0.5, share)
    return arm.side * bone, share


def crossed_rows(side: Side, a: Array) -> Mask:
    """(R,) rows across which this side's forearm or hand lies."""
    elbow, wrist = side.arm.joints[1:]
    points = elbow + np.linspace(0, HAND, 40)[:, None] * (wrist - elbow)
    with np.errstate(invalid="ignore"):
        across = side.arm.side * points[:, 1] < ACROSS * side.hull(points[:, 0])
        low, high = points[:, 0].min(), points[:, 0].max()
        radius = ACROSS_RADIUS * side.shoulder_px
        found: Mask = across.any() & (a > low - radius) & (a < high + radius)
    return found
