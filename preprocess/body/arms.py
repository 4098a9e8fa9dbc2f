"""The arms in the body frame: where their bones run, how far a sleeve covers them."""

from dataclasses import dataclass

import cv2
import numpy as np

from preprocess.body.canvas import BodyCanvas, Mask
from preprocess.body.keypoints import ARM_JOINTS, Array, BodyFrame, Keypoints

NUM_POINTS = 128
"""Points along an arm."""

UNCOVERED_RUN = 0.06
"""A sleeve ends where the bone is bare for this share of the arm."""

RESUMED = 0.3
"""Share of the arm below a sleeve's end that cloth covers where it is more than a panel beside the arm."""

SLEEVE_START = 0.25
"""A sleeve covers the bone at some point of this first share of the arm."""

BONE_TOLERANCE = 0.06
"""How far off the bone's line, in B, cloth still counts as covering it."""

ELBOW_RAISED = 0.1
"""An elbow above this row (in T) pulls the shoulders of the garment up."""

WRIST_RAISED = 0.15
"""A wrist above this row (in T) brings sleeve or forearm into the rows where shoulders are measured."""

HAND = 1.3
"""The hand ends at this multiple of the forearm."""

HAND_RAISED = 0.05
"""A hand that ends above this row (in T) lies at the collar or over a shoulder."""

BESIDE_SHOULDER = 0.85
"""A bare forearm further out than this (in B) is clear of the shoulders."""

SLEEVE_TO_WRIST = 0.6
"""A sleeve that covers this share of the arm goes up with the forearm."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Arm:
    """One arm. Points that lie beyond a missing joint are NaN."""

    side: int
    """Sign of `b`: -1 the person's right, 1 the left."""

    joints: Array
    """(3, 2) shoulder, elbow, wrist: a, b px."""

    points: Array
    """(N, 2) points from the shoulder to the wrist, evenly spaced over the arm's length."""

    share: Array
    """(N,) share of the arm's length up to each point; a missing forearm counts as long as the upper arm."""

    sleeve_end: float
    """Share of the arm that the garment covers, from the shoulder without a break; NaN without elbow."""

    bare_below: bool
    """Whether the arm is seen to go on below the sleeve's end, and the garment covers little of that: else
    the map may lack a piece of the sleeve."""

    @property
    def whole(self) -> bool:
        """Whether all three joints were found."""
        return bool(np.isfinite(self.joints).all())

    @property
    def sleeve_a(self) -> float:
        """`a` px of the bone where the sleeve ends; NaN without one."""
        covered = np.flatnonzero(self.share <= self.sleeve_end)
        return float(self.points[covered[-1], 0]) if self.sleeve_end > 0 else float("nan")

    def at_rows(self, a: Array) -> tuple[Array, Array]:
        """Where the bone crosses rows.

        Args:
            a: (R,) px.

        Returns:
            (R,) `b` px and (R,) share of the arm, of the crossing nearest the shoulder; NaN without one.
        """
        below = self.points[None, :, 0] >= a[:, None]
        crossing = below.argmax(axis=1)
        hit = below.any(axis=1) & (crossing > 0)
        b = np.where(hit, self.points[crossing, 1], np.nan)
        return b, np.where(hit, self.share[crossing], np.nan)


def arm_of(keypoints: Keypoints, frame: BodyFrame, side: int, garment: BodyCanvas) -> Arm:
    """Find an arm and the sleeve on it."""
    joints = frame.to_body(keypoints.xy[list(ARM_JOINTS[side])])
    points, share = _along(joints)
    covered = _covered(garment, points)
    sleeve_end = _sleeve_end(covered, points, share)
    below = np.isfinite(points).all(axis=1) & (share > sleeve_end)
    return Arm(
        side=side,
        joints=joints,
        points=points,
        share=share,
        sleeve_end=sleeve_end,
        bare_below=bool(below.any() and covered[below].mean() < RESUMED),
    )


def _along(joints: Array) -> tuple[Array, Array]:
    """Space points evenly along shoulder, elbow, wrist; a missing wrist leaves the second half NaN."""
    lengths = np.hypot(*np.diff(joints, axis=0).T)
    if np.isnan(lengths[0]):
        return np.full((NUM_POINTS, 2), np.nan), np.linspace(0, 1, NUM_POINTS)
    forearm = lengths[1] if np.isfinite(lengths[1]) else lengths[0]
    at = np.linspace(0, lengths[0] + forearm, NUM_POINTS)
    walked = np.array([0, lengths[0], lengths[0] + forearm])
    points = np.column_stack([np.interp(at, walked, joints[:, axis]) for axis in (0, 1)])
    return points, at / max(at[-1], 1e-9)


def _sleeve_end(covered: Mask, points: Array, share: Array) -> float:
    """Share of the arm at which the sleeve ends; 0 without one. A bare shoulder above it isn't its end."""
    if np.isnan(points[1]).any():
        return float("nan")
    start = share <= SLEEVE_START
    if not covered[start].any():
        return 0.0
    first = int(np.flatnonzero(covered & start)[-1])
    patience = round(UNCOVERED_RUN * NUM_POINTS)
    bare = np.convolve(~covered[first:], np.ones(patience), "valid") >= patience - 0.5
    end = first + int(bare.argmax()) if bare.any() else len(covered)
    known = np.isfinite(points[:end]).all(axis=1)
    return float(share[:end][known][-1]) if known.any() else 0.0


def _covered(garment: BodyCanvas, points: Array) -> Mask:
    """(N,) whether the garment covers the bone, or a line close to it on either side."""
    along = np.gradient(points, axis=0)
    across = along[:, ::-1] * (-1, 1) / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    offset = BONE_TOLERANCE * garment.frame.shoulder_width * across
    near = garment.covers(np.concatenate([points, points - offset, points + offset]))
    return np.asarray(near.reshape(3, -1).any(axis=0))


def raised(arm: Arm, frame: BodyFrame) -> bool:
    """Whether the elbow is held up at the shoulders, or wrist or hand near them or in a sleeve."""
    _, elbow, wrist = arm.joints
    hand = elbow + HAND * (wrist - elbow)
    up = wrist[0] < WRIST_RAISED * frame.torso_length or hand[0] < HAND_RAISED * frame.torso_length
    near = min(arm.side * wrist[1], arm.side * hand[1]) < BESIDE_SHOULDER * frame.shoulder_width
    held = up and (near or arm.sleeve_end > SLEEVE_TO_WRIST)
    return bool(elbow[0] < ELBOW_RAISED * frame.torso_length or held)


def crossed(arm: Arm, frame: BodyFrame) -> bool:
    """Whether the wrist or the elbow lies in front of (or behind) the torso."""
    rows, columns = (
        arm.joints[1:, 0] / frame.torso_length,
        arm.side * arm.joints[1:, 1] / frame.shoulder_width,
    )
    with np.errstate(invalid="ignore"):
        return bool(((rows > 0.05) & (rows < 0.95) & (columns < 0.3)).any())


def capsule(arm: Arm, canvas: BodyCanvas, radius: float, share_end: float) -> Mask:
    """Points of the canvas within `radius` px of the bone, from the shoulder to `share_end` of the arm."""
    points = arm.points[(arm.share <= share_end) & np.isfinite(arm.points).all(axis=1)]
    painted = np.zeros(canvas.cover.shape, np.uint8)
    if len(points) > 1:
        pixels = ((points[:, ::-1] - (canvas.b0, canvas.a0)) / canvas.step * 16).astype(np.int32)
        thickness = max(1, round(2 * radius / canvas.step))
        cv2.polylines(painted, [pixels[:, None]], False, 1, min(thickness, 32767), cv2.LINE_8, 4)
    return painted > 0
