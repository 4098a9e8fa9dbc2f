"""Measure a worn garment against the body: the lengths behind the three size ratios.

The definitions stand in docs/design.md. All lengths are px of the picture, taken in the body frame.
"""

from dataclasses import dataclass

import numpy as np

from preprocess.body.arms import crossed, raised
from preprocess.body.canvas import INSIDE, BodyCanvas, Mask, Rows, Runs, axis_runs, column_ends, extents
from preprocess.body.keypoints import Array, BodyFrame, Keypoints
from preprocess.garment.panel import Side, panel_cover, panel_sides, sides_of

SHOULDER_ROWS = (0.0, 0.05)
"""Rows, in T, whose extent is the garment's shoulder width."""

WIDTH_ROWS = (0.35, 0.55)
"""Rows, in T, whose mean panel width is the garment's width."""

CROPPED_FROM = 0.15
"""First row, in T, of a garment too short for half of `WIDTH_ROWS`."""

HEM_MARGIN = 0.02
"""Rows, in T, above the hem that are left out of the width: there a hem that isn't level ends row by row."""

AXIS_BAND = 0.25
"""Columns within this of the body axis, in B, in which the hem is looked for."""

CHEST_ROWS = (0.15, 0.3)
"""Rows, in T, that every upper garment covers at the axis band, but for a deep neckline."""

HEM_PERCENTILE = 99
MIN_B_OVER_T, MAX_B_OVER_T = 0.42, 1.1
"""Shoulders over torso of a person seen from the front: 98 % of VITON-HD's."""

FRAME_MARGIN = 1.5
"""px. A garment this near to the picture's edge is cut off by it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WornMeasures:
    """Lengths of a worn garment and its wearer; NaN where one can't be measured."""

    garment_shoulder_px: float
    """Extent of the garment at the shoulders, sleeve caps included."""

    garment_width_px: float
    """Mean width of the panel in the rows of `width_rows`."""

    garment_length_px: float
    """Distance along the torso from mid-shoulder to the hem."""

    body_shoulder_px: float
    """B, between the shoulder joints."""

    body_torso_px: float
    """T, from mid-shoulder to mid-hip."""

    tilt_deg: float
    """Angle of the torso against the vertical."""

    ease_ratio: float
    """Panel width over the body's own width in the same rows; NaN without DensePose."""

    sleeve_ratio: float
    """Sleeve length over arm length; 0 without sleeves, NaN without arms."""

    clean_share: float
    """Share of the width's rows and sides that nothing touches, 0 to 1."""

    shoulder_span: tuple[float, float]
    """`b` px of the ends of the shoulder measure; for drawing."""

    width_span: tuple[float, float]
    """`b` px of the panel's mean sides; for drawing."""

    width_rows: tuple[float, float]
    """`a` px of the first and last row of the width."""

    flags: tuple[str, ...]
    """What makes the measures doubtful, in a fixed order."""


def measure_worn(
    garment_mask: Mask,
    keypoints: Keypoints,
    *,
    occluders: Mask | None = None,
    densepose_torso: Mask | None = None,
) -> WornMeasures:
    """Measure the garment in one picture.

    Args:
        garment_mask: (H, W) bool, every pixel of the garment.
        keypoints: The wearer, in px of that picture.
        occluders: (H, W) bool, bare arms and what else may lie in front; None guesses them from the joints.
        densepose_torso: (h, w) bool, the body's torso under the garment, at any scale of the same picture.

    Returns:
        The lengths, with flags for everything that makes one doubtful.

    Raises:
        KeypointError: Shoulders or hips are missing.
    """
    frame = BodyFrame.from_keypoints(keypoints)
    canvas = BodyCanvas.of(garment_mask, frame)
    sides = sides_of(keypoints, canvas)
    length = hem_row(canvas)
    rows = _width_rows(canvas, length)
    panel = panel_sides(canvas, rows, sides, occluders)
    shoulder = shoulder_span(canvas)
    flags = [*_pose_flags(frame, sides), *panel.flags]
    if _off_body(canvas):
        flags.append("garment_off_body")
    if _cut_off(canvas, rows, panel.runs, garment_mask.shape):
        flags.append("garment_out_of_frame")
    if _hem_cut_off(frame, length, garment_mask.shape):
        length = float("nan")
        flags.append("hem_out_of_frame")
    low, high = panel.span
    return WornMeasures(
        garment_shoulder_px=shoulder[1] - shoulder[0],
        garment_width_px=high - low,
        garment_length_px=length,
        body_shoulder_px=frame.shoulder_width,
        body_torso_px=frame.torso_length,
        tilt_deg=frame.tilt_deg,
        ease_ratio=_ease(canvas, rows, high - low, densepose_torso, garment_mask.shape),
        sleeve_ratio=_sleeve_ratio(sides),
        clean_share=panel.clean_share,
        shoulder_span=shoulder,
        width_span=panel.span,
        width_rows=_ends(canvas.a_of(rows)),
        flags=tuple(flags),
    )


def garment_panel(garment_mask: Mask, keypoints: Keypoints) -> Mask:
    """Return the (H, W) part of the garment that covers the torso: no sleeves, only the run on the axis.

    Raises:
        KeypointError: Shoulders or hips are missing.
    """
    canvas = BodyCanvas.of(garment_mask, BodyFrame.from_keypoints(keypoints))
    cover = panel_cover(canvas, sides_of(keypoints, canvas))
    runs = axis_runs(canvas, cover)
    b = canvas.b_of(np.arange(cover.shape[1]))
    inside = (b >= runs.low[:, None]) & (b <= runs.high[:, None])
    return canvas.to_picture(inside, *garment_mask.shape) & garment_mask


def hem_row(canvas: BodyCanvas) -> float:
    """Largest `a` of the panel: a high percentile over the columns near the axis."""
    torso, shoulders = canvas.frame.torso_length, canvas.frame.shoulder_width
    rows = canvas.rows_between(0, 4 * torso)
    columns = canvas.columns_between(-AXIS_BAND * shoulders, AXIS_BAND * shoulders)
    ends = column_ends(canvas, rows, columns)
    ends = ends[np.isfinite(ends)]
    return float(np.percentile(ends, HEM_PERCENTILE)) if ends.size else float("nan")


def _width_rows(canvas: BodyCanvas, length: float) -> Rows:
    """Rows that the width is the mean of; a cropped garment has its own."""
    torso = canvas.frame.torso_length
    first, last = width_band(length / torso)
    return canvas.rows_between(first * torso, last * torso)


def width_band(length: float) -> tuple[float, float]:
    """Return the first and last row, in T, of the width of a garment that ends at row `length`."""
    first, last = WIDTH_ROWS
    if length < (first + last) / 2:
        first = CROPPED_FROM
    return first, min(last, float(np.nan_to_num(length)) - HEM_MARGIN)


def shoulder_span(canvas: BodyCanvas) -> tuple[float, float]:
    """Ends of the garment along the shoulders: of the row whose extent is the median."""
    low, high = (share * canvas.frame.torso_length for share in SHOULDER_ROWS)
    rows = canvas.rows_between(low, high)
    wanted = max(1, int((high - low) / canvas.step))
    ends = extents(canvas, rows)
    found = np.isfinite(ends.low)
    if found.sum() < wanted / 2:
        return float("nan"), float("nan")
    extent = float(np.median((ends.high - ends.low)[found]))
    middle = float(np.median((ends.high + ends.low)[found])) / 2
    return middle - extent / 2, middle + extent / 2


def _ease(canvas: BodyCanvas, rows: Rows, width: float, torso: Mask | None, shape: tuple[int, ...]) -> float:
    """Panel width over the mean width of the body's own torso in the same rows; NaN when unknown.

    Args:
        canvas: The garment's.
        rows: Of the width.
        width: px of the picture.
        torso: (h, w) bool, at any scale of that picture.
        shape: Height and width of the picture.
    """
    if torso is None or len(rows) == 0:
        return float("nan")
    lines = canvas.resampled(torso, rows, (torso.shape[1] / shape[1], torso.shape[0] / shape[0]))
    runs = axis_runs(canvas, lines)
    widths = (runs.high - runs.low)[np.isfinite(runs.low)]
    return float(width / widths.mean()) if 2 * len(widths) > len(rows) else float("nan")


def _sleeve_ratio(sides: tuple[Side, Side]) -> float:
    """Mean share of the arms that is covered, over the arms seen whole."""
    ends = [side.arm.sleeve_end for side in sides if side.arm.whole]
    return float(np.mean(ends)) if ends else float("nan")


def _pose_flags(frame: BodyFrame, sides: tuple[Side, Side]) -> list[str]:
    """Name what is wrong with how the person stands."""
    arms = [side.arm for side in sides]
    doubts = {
        "back_view": frame.back_view,
        "side_view": not MIN_B_OVER_T <= frame.shoulder_width / frame.torso_length <= MAX_B_OVER_T,
        "missing_elbow": any(np.isnan(arm.sleeve_end) for arm in arms),
        "raised_arm": any(raised(arm, frame) for arm in arms),
        "crossed_arm": any(crossed(arm, frame) for arm in arms),
    }
    return [name for name, doubtful in doubts.items() if doubtful]


def _off_body(canvas: BodyCanvas) -> bool:
    """Whether the garment isn't where the chest is: the joints are another person's or another picture's."""
    torso, shoulders = canvas.frame.torso_length, canvas.frame.shoulder_width
    rows = canvas.rows_between(CHEST_ROWS[0] * torso, CHEST_ROWS[1] * torso)
    columns = canvas.columns_between(-AXIS_BAND * shoulders, AXIS_BAND * shoulders)
    chest = canvas.cover[np.ix_(rows, columns)]
    expected = (CHEST_ROWS[1] - CHEST_ROWS[0]) * torso * 2 * AXIS_BAND * shoulders / canvas.step**2
    return bool((chest > INSIDE).sum() < expected / 2)


def _cut_off(canvas: BodyCanvas, rows: Rows, runs: Runs, picture_shape: tuple[int, ...]) -> bool:
    """Whether the picture's edge, not the garment's, ends any row of the width."""
    a = canvas.a_of(rows)
    points = np.column_stack([np.tile(a, 2), np.concatenate([runs.low, runs.high])])
    xy = canvas.frame.to_image(points[np.isfinite(points).all(axis=1)])
    width = picture_shape[1]
    return bool(((xy[:, 0] < FRAME_MARGIN) | (xy[:, 0] > width - FRAME_MARGIN)).any())


def _hem_cut_off(frame: BodyFrame, length: float, picture_shape: tuple[int, ...]) -> bool:
    """Whether the garment runs off the picture's lower edge near the axis."""
    reach = AXIS_BAND * frame.shoulder_width
    hem = frame.to_image(np.array([[length, -reach], [length, reach]]))
    return bool(hem[:, 1].max() > picture_shape[0] - FRAME_MARGIN)


def _ends(values: Array) -> tuple[float, float]:
    """First and last value; NaN when there is none."""
    return (float(values[0]), float(values[-1])) if len(values) else (float("nan"), float("nan"))
