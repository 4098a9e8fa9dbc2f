"""Measure a worn garment against the body: the lengths behind the size ratios, each with its bounds.

The definitions stand in docs/design.md. All lengths are px of the picture, taken in the body frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from preprocess.body.arms import crossed, raised
from preprocess.body.canvas import INSIDE, BodyCanvas, Mask, Rows, axis_runs, extents
from preprocess.body.keypoints import Array, BodyFrame, Keypoints
from preprocess.garment.arm_rows import SideRows
from preprocess.garment.bounds import Bounds
from preprocess.garment.ends import AXIS_BAND, SHOULDER_ROWS, hem_bounds, shoulder_bounds
from preprocess.garment.panel import Side, panel_cover, sides_of, without_holes
from preprocess.garment.scene import Parts, Scene
from preprocess.garment.sides import panel_rows
from preprocess.garment.sleeves import Panel, sleeve_bounds
from preprocess.vocabulary import TORSO_PARTS

WIDTH_ROWS = (0.35, 0.55)
"""Rows, in T, whose mean panel width is the garment's width."""

CROPPED_FROM = 0.15
"""First row, in T, of a garment too short for half of `WIDTH_ROWS`."""

HEM_MARGIN = 0.02
"""Rows, in T, above the hem that are left out of the width: there a hem that isn't level ends row by row."""

ROWS_ABOVE, ROWS_BELOW = 0.07, 0.2
"""How far above and below the rows of the width, in T, the panel's sides are followed."""

CHEST_ROWS = (0.15, 0.3)
"""Rows, in T, that every upper garment covers at the axis band, but for a deep neckline."""

MIN_B_OVER_T, MAX_B_OVER_T = 0.42, 1.1
"""Shoulders over torso of a person seen from the front: 98 % of VITON-HD's."""

FRAME_MARGIN = 1.5
"""px. A garment this near to the picture's edge is cut off by it."""

CUT_ROWS = 0.25
"""Share of the shoulders' rows that the picture must cut to move what they tell together."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WornMeasures:
    """Lengths of a worn garment and its wearer; NaN where one can't be measured."""

    lengths: Mapping[str, Bounds]
    """px of the garment: `shoulder`, its extent at the shoulders, sleeve caps included; `width`, the mean one
    of the panel in the rows of `width_rows`; `length`, from mid-shoulder to the hem; `sleeve`, how far cloth
    covers arms of the mean length."""

    body: Mapping[str, float]
    """px of the wearer: `BodyFrame.lengths`."""

    tilt_deg: float
    """Angle of the torso against the vertical."""

    ease_ratio: float
    """Panel width over the body's own width in the same rows; NaN without DensePose."""

    sleeve_ratio: float
    """Sleeve length over arm length; 0 without sleeves, NaN without arms."""

    shoulder_span: tuple[float, float]
    """`b` px of the ends of the shoulder measure; for drawing."""

    sides: tuple[SideRows, SideRows]
    """Both sides of the panel in the rows of the width, right first."""

    width_rows: tuple[float, float]
    """`a` px of the first and last row of the width."""

    flags: tuple[str, ...]
    """What was seen that speaks against a measure, in a fixed order."""

    @property
    def width_span(self) -> tuple[float, float]:
        """`b` px of the panel's mean sides; NaN where one isn't known."""
        right, left = (rows.mean().value for rows in self.sides)
        return -right, left


def measure_worn(garment_mask: Mask, keypoints: Keypoints, scene: Scene | None = None) -> WornMeasures:
    """Measure the garment in one picture.

    Args:
        garment_mask: (H, W) bool, every pixel of the garment.
        keypoints: The wearer, in px of that picture.
        scene: What else is known of the picture; None knows nothing, and guesses the arms from the joints.

    Returns:
        The lengths, with flags for what was seen that speaks against one.

    Raises:
        KeypointError: Shoulders or hips are missing.
    """
    scene = scene or Scene()
    frame = BodyFrame.from_keypoints(keypoints)
    canvas = BodyCanvas.of(garment_mask, frame)
    sides = sides_of(keypoints, canvas)
    canvas = without_holes(canvas, canvas.rows_between(0, frame.torso_length), sides, scene.occluders)
    length, stray = hem_bounds(canvas, scene)
    first, last = width_band(length.value / frame.torso_length)
    band = first * frame.torso_length, last * frame.torso_length
    panel = _panel(canvas, band, sides, scene)
    width = _width(canvas, panel, band)
    shoulder, span = shoulder_bounds(canvas, scene.overlays)
    sleeve = sleeve_bounds(canvas, [side.arm for side in sides], Panel(panel, length.value), scene)
    flags = [*_pose_flags(frame, sides), *dict.fromkeys(panel[0].flags() + panel[1].flags())]
    seen = {
        "axis_hidden": np.isnan(width.value),
        "garment_off_body": _off_body(canvas, scene.occluders),
        "stray_pieces": stray,
        "garment_out_of_frame": _cut_off(canvas, panel),
        "hem_out_of_frame": _hem_cut_off(canvas, length.value),
    }
    flags += [name for name, found in seen.items() if found]
    if seen["hem_out_of_frame"]:
        length = Bounds.unknown()
    return WornMeasures(
        lengths={"shoulder": shoulder, "width": width, "length": length, "sleeve": sleeve},
        body=frame.lengths,
        tilt_deg=frame.tilt_deg,
        ease_ratio=_ease(canvas, canvas.rows_between(*band), width.value, scene.densepose),
        sleeve_ratio=_sleeve_ratio(sides),
        shoulder_span=span,
        sides=panel,
        width_rows=band,
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


def width_band(length: float) -> tuple[float, float]:
    """Return the first and last row, in T, of the width of a garment that ends at row `length`."""
    first, last = WIDTH_ROWS
    if length < (first + last) / 2:
        first = CROPPED_FROM
    return first, min(last, float(np.nan_to_num(length)) - HEM_MARGIN)


def _panel(
    canvas: BodyCanvas, band: tuple[float, float], sides: tuple[Side, Side], scene: Scene
) -> tuple[SideRows, SideRows]:
    """Follow the panel's sides in a band of rows, px, and somewhat beyond, and keep the band."""
    torso = canvas.frame.torso_length
    first, last = band
    rows = canvas.rows_between(first - ROWS_ABOVE * torso, last + ROWS_BELOW * torso)
    right, left = (found.between(first, last) for found in panel_rows(canvas, rows, sides, scene))
    return right, left


def _width(canvas: BodyCanvas, panel: tuple[SideRows, SideRows], band: tuple[float, float]) -> Bounds:
    """Mean width of the panel; where a side tells too little, the garment's whole extent without bounds."""
    right, left = (rows.mean() for rows in panel)
    if np.isfinite(right.value + left.value):
        return right.plus(left)
    runs = axis_runs(canvas, canvas.cover[canvas.rows_between(*band)])
    widths = (runs.high - runs.low)[np.isfinite(runs.low)]
    if 2 * len(widths) <= len(runs.low):
        return Bounds.unknown()
    value = float(widths.mean())
    return Bounds(value=value, low=value, high=value).vague()


def _ease(canvas: BodyCanvas, rows: Rows, width: float, densepose: Parts | None) -> float:
    """Panel width, px, over the mean width of the body's own torso in the same rows; NaN when unknown."""
    if densepose is None or len(rows) == 0:
        return float("nan")
    runs = axis_runs(canvas, canvas.resampled(np.isin(densepose, TORSO_PARTS), rows))
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


def _off_body(canvas: BodyCanvas, occluders: Mask | None) -> bool:
    """Whether the garment isn't where the chest shows: the joints are of another person or picture."""
    torso, shoulders = canvas.frame.torso_length, canvas.frame.shoulder_width
    rows = canvas.rows_between(CHEST_ROWS[0] * torso, CHEST_ROWS[1] * torso)
    columns = canvas.columns_between(-AXIS_BAND * shoulders, AXIS_BAND * shoulders)
    chest = canvas.cover[np.ix_(rows, columns)]
    expected = (CHEST_ROWS[1] - CHEST_ROWS[0]) * torso * 2 * AXIS_BAND * shoulders / canvas.step**2
    if occluders is not None:  # an arm across it, or hair
        expected -= (canvas.resampled(occluders, rows)[:, columns] > INSIDE).sum() if len(rows) else 0
    return bool((chest > INSIDE).sum() < expected / 2)


def _cut_off(canvas: BodyCanvas, panel: tuple[SideRows, SideRows]) -> bool:
    """Whether the picture's edge, not the garment's, ends many rows of the shoulders, or any of the width."""
    rows = canvas.rows_between(*(share * canvas.frame.torso_length for share in SHOULDER_ROWS))
    a, shoulders, (right, left) = canvas.a_of(rows), extents(canvas, rows), panel
    at_edge = _at_edge(canvas, a, shoulders.low) | _at_edge(canvas, a, shoulders.high)
    cut = len(rows) > 0 and at_edge.mean() >= CUT_ROWS
    return bool(cut or any(_at_edge(canvas, end.a, s * end.at).any() for s, end in ((-1, right), (1, left))))


def _at_edge(canvas: BodyCanvas, a: Array, b: Array) -> Mask:
    """(R,) whether points a, b px lie at the picture's left or right edge; not where one is NaN."""
    x = canvas.frame.to_image(np.column_stack([a, b]))[:, 0]
    return np.asarray((x < FRAME_MARGIN) | (x > canvas.picture_shape[1] - FRAME_MARGIN))


def _hem_cut_off(canvas: BodyCanvas, length: float) -> bool:
    """Whether the garment runs off the picture near the axis, whichever way up that is."""
    reach = AXIS_BAND * canvas.frame.shoulder_width
    hem = canvas.frame.to_image(np.array([[length, -reach], [length, reach]]))
    height, width = canvas.picture_shape
    return bool(((hem < FRAME_MARGIN) | (hem > np.array([width, height]) - FRAME_MARGIN)).any())
