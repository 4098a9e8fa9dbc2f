"""The sides of the panel with their bounds: where the garment without sleeves ends, row by row.

Each row of a side is one of these. *Clear*: the garment's own outline, moved to the edge in the photo beside
it. *Against*: an arm, hair or a bag lies against it and may hide some of it. *Sleeve*: the garment goes on
into a sleeve, and the photo tells where (`edges`). *Silent*: a forearm lies across, or the parse map ends
where the body surely goes on; the row tells nothing.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, median_filter

from preprocess.body.canvas import INSIDE, BodyCanvas, Mask, Rows, axis_runs, extents
from preprocess.body.keypoints import Array
from preprocess.garment.arm_rows import (
    INNERMOST,
    SideRows,
    SideView,
    bones_at,
    crossed_rows,
    hand_shows,
    sleeve_rows,
)
from preprocess.garment.edges import FAINTEST, Edges, Scores, edges_of, like_the_panel, strongest_path
from preprocess.garment.gaps import (
    EVENED,
    SideColours,
    before_gaps,
    before_shade,
    least_by_gaps,
    nearest_to,
    side_colours,
)
from preprocess.garment.panel import SLEEVE_RADIUS, Side, front_lines, may_be_hidden, outward
from preprocess.garment.scene import Parts, Scene
from preprocess.vocabulary import ARM_PARTS, CLOTHED_TORSO, TORSO_PARTS

Ends = tuple[Array, Array, Array]
"""(R,) `|b|` px of the panel's end, the least that it can be, and the most."""

SEEN_TORSO = (*TORSO_PARTS, CLOTHED_TORSO)

OUTLINE_REACH = 0.02
"""How far off the parse map's outline, in B, the photo's edge is looked for."""

OUTLINE_TRUST = 0.2
"""What an edge at the end of that reach loses against one on the outline."""

OUTLINE_SLACK_PX, OUTLINE_SLACK = 0.6, 0.01
"""px, and B: how far the edge is off at most where nothing is in the way; the larger of the two counts."""

PATH_SLACK = 0.5
"""Share of that slack for a path under a sleeve: its bounds take in others as well."""

SLANT = 0.3
"""A side under a sleeve may slant so much from where a gap shows it, in px per px."""

BITTEN = 0.55
"""A garment that ends within this share of the hull lacks a piece: no torso is so narrow."""

WITHIN, GOES_ON = 0.85, 0.5
"""So does one that ends within that share of the hull, where the photo beyond looks that like the panel."""

LEAST_ALIKE = 0.5
"""What is left of an edge's score when nothing inside of it looks like the panel."""

SLEEVE_EDGE, SLEEVE_EDGE_PX = 0.04, 2.0
"""The last of a sleeve, in B or px, is its own edge and not the panel's; twice as far in, all may be that."""

GUESS_OFFSET, GUESS_SPREAD = 0.05, 0.08
"""The panel's edge lies this far, in B, outside of where the sleeve's inner side would mirror its outer one
about the bone, and scatters this much."""

BODY_OFFSET, BODY_SPREAD = 0.02, 0.04
"""The same, in B, about the middle between DensePose's torso and its arm."""

MOST_DOUBT = 8.0
"""What a path loses at most by lying off that guess."""

INDEPENDENT_ROWS = 48
"""Rows over which this loss is spread: the guesses of neighbouring rows are one."""

EDGE_GAIN = 0.4
"""What an edge's score is worth to a path, a row."""

NO_SLEEVE, THIN_SLEEVE, ONE_SLEEVE = 0.8, 1.2, 0.6
"""Score of the outline where a sleeve should be: fainter edges further in don't show that there is one. More
in proportion where it would be thinner about the bone than `THINNEST`, and where the other arm has none."""

SURELY_SLEEVE = 0.2
"""Score of the outline where both arms have a sleeve: there most edges further in are the panel's."""

THINNEST, PERHAPS = 0.1, 0.08
"""Half the thickness of a sleeve, in B, is at least about this; what is thinner than the other is none, by
joints that are some way off."""

UNEVEN = 0.3
"""Sleeves that differ by this share of the arm can't both be sleeves: a panel hides one of the arms."""

ANCHOR_SPREAD_PX, ANCHOR_SPREAD = 2.0, 0.005
"""px, and T: how far a path may leave the outline where that is seen; the larger of the two counts."""

ANCHOR_PULL = 4.0
"""What leaving it costs at most, a row."""

IMPOSSIBLE = -50.0
"""What a path loses, a row, by lying where the panel can't end."""

CORNER = 0.03
"""Rows, in T, beside a sleeve's end in which its corner sticks out."""

HIDDEN_CLOTH = 0.015
"""How much cloth, in B, something that lies against the panel hides at most, unless less of it shows."""


def panel_rows(
    canvas: BodyCanvas, rows: Rows, sides: tuple[Side, Side], scene: Scene
) -> tuple[SideRows, SideRows]:
    """Follow both sides of the panel, right first.

    Args:
        canvas: The garment, its holes filled.
        rows: (R,) consecutive rows; some above and below those that matter steady the path.
        sides: From `sides_of`.
        scene: What else the picture shows.
    """
    front = front_lines(canvas, rows, sides, scene.occluders)
    whole = axis_runs(canvas, front)
    runs = extents(canvas, rows, whole)
    edges = None if scene.photo is None or len(rows) < 2 else edges_of(canvas, scene.photo, rows)
    found = []
    for side, other in zip(sides, sides[::-1], strict=True):
        ends = outward(side, runs), outward(side, whole)
        shown = hand_shows(canvas, side, scene)
        view = _view(canvas, rows, (side, other), ends, front > INSIDE, shown)
        seen = None if edges is None else _seen(view, edges, front > INSIDE)
        found.append(_side_rows(view, canvas, rows, seen, scene))
    return found[0], found[1]


def _view(
    canvas: BodyCanvas,
    rows: Rows,
    side_and_other: tuple[Side, Side],
    ends: tuple[Array, Array],
    front: Mask,
    hand_shown: bool,
) -> SideView:
    """Lay the columns of one side outward."""
    side, other = side_and_other
    axis, num_columns = round(-canvas.b0 / canvas.step), canvas.cover.shape[1]
    axis = min(max(axis, 1), num_columns - 2)
    columns = np.arange(axis, num_columns) if side.arm.side > 0 else np.arange(axis, -1, -1)
    return SideView(
        side=side,
        a=canvas.a_of(rows),
        b=side.arm.side * canvas.b_of(columns),
        columns=columns,
        end=ends[0],
        outer=ends[1],
        front=front[:, columns],
        one_sleeve=side.arm.sleeve_end > other.arm.sleeve_end + UNEVEN and other.arm.bare_below,
        hand_shows=hand_shown,
    )


def _side_rows(
    view: SideView, canvas: BodyCanvas, rows: Rows, seen: "_Seen | None", scene: Scene
) -> SideRows:
    """Follow one side."""
    side = view.side
    sleeve = sleeve_rows(side, view.a, view.end, view.outer)
    against = may_be_hidden(side, view.a, view.end, view.outer) & ~sleeve
    silent = crossed_rows(side, view.a) | _bitten(view, seen)
    tells = view.worn & ~silent
    guess, spread = _guess(view, canvas, rows, scene.densepose)
    slack = np.full(len(rows), max(OUTLINE_SLACK_PX, OUTLINE_SLACK * side.shoulder_px))
    if seen is None:
        ends = _hidden_edge(view, sleeve, against, guess)
    else:
        ends = _outline(view, seen, against, slack)
        if (sleeve & tells).any():
            gains = _gains(view, ends[0], seen.scores, sleeve, tells, guess, spread)
            ends = _under_sleeve(view, ends, gains, sleeve, guess)
        ends = _by_gaps(view, seen.colours, ends, sleeve)
        slack[sleeve] *= PATH_SLACK
    at, low, high = ends
    at, low, high = (np.where(tells, found, np.nan) for found in (at, low - slack, high + slack))
    guessed = (sleeve | against) & (seen is None)
    return SideRows(
        a=view.a, at=at, low=low, high=high, against=against, sleeve=sleeve, silent=silent, guessed=guessed
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Seen:
    """What the photo shows on one side, by the columns of its view."""

    strength: Scores
    """(R, K) of edges: where one is."""
    scores: Scores
    """(R, K) how far edges stand out that have the panel on their inner side."""
    outside: Scores
    """(R, K) how much what lies just outside looks like the panel."""
    colours: SideColours


def _seen(view: SideView, edges: Edges, front: Mask) -> _Seen:
    """Take one side's edges from the photo's.

    A gap between sleeve and panel has two edges as strong; inside of the outer one there is no cloth of it.
    """
    inside, outside = like_the_panel(edges.lines[:, view.columns], view.unit, edges.pixel)
    return _Seen(
        strength=edges.strength[:, view.columns],
        scores=edges.scores[:, view.columns] * (LEAST_ALIKE + (1 - LEAST_ALIKE) * inside),
        outside=outside,
        colours=side_colours(view, edges.lines, front, edges.pixel),
    )


def _outline(view: SideView, seen: _Seen, against: Mask, slack: Array) -> Ends:
    """Take the outline by parse map and photo; what lies against it may hide some of the panel."""
    edge = view.end + _offsets(view, seen.strength)
    at = np.where(against, before_shade(view, seen.colours, edge), edge)
    hidden = np.minimum(view.outer - at, HIDDEN_CLOTH * view.side.shoulder_px)
    return at, at, np.where(against, np.fmax(edge, at + np.fmax(hidden - slack, 0)), at)


def _under_sleeve(view: SideView, ends: Ends, gains: Scores, sleeve: Mask, guess: Array) -> Ends:
    """Follow the strongest path where the garment goes on into a sleeve, and beside its end.

    One that follows the outer side of what may be a sleeve has the guess within its bounds: edges further in
    are what grain and darkness hide first.
    """
    path = strongest_path(gains)
    told = _with_corners(sleeve, view.side, view.step)
    at, low, high = (
        np.where(told, view.b[columns], end)
        for columns, end in zip((path.best, path.first, path.last), ends, strict=True)
    )
    return at, np.where(sleeve & _may_be_sleeved(view, at, PERHAPS), np.fmin(low, guess), low), high


def _by_gaps(view: SideView, colours: SideColours, ends: Ends, sleeve: Mask) -> Ends:
    """End the panel where gaps begin; where none can be told, halfway to where one may."""
    begins, shown = before_gaps(view, colours, ends[0])
    inner = np.fmin(begins, ends[0])
    at, low, high = (np.where(shown, gap, end) for gap, end in zip((inner, inner, begins), ends, strict=True))
    slanted = np.fmax(
        nearest_to(view.a, np.where(shown, at, np.nan), SLANT), INNERMOST * view.side.hull(view.a)
    )
    least = np.where(sleeve, np.fmin(at, slanted), least_by_gaps(view, colours, at))
    return (at + least) / 2, np.fmin(low, least), np.fmax(high, at)


def _hidden_edge(view: SideView, sleeve: Mask, against: Mask, guess: Array) -> Ends:
    """Take the edge without a photo: the bounds are all that sleeve or arm may hide."""
    least = np.fmin(INNERMOST * view.side.hull(view.a), view.end)
    at = np.where(sleeve, np.clip(guess, least, view.end), view.end)
    return at, np.where(sleeve, least, at), np.where(against, np.fmax(view.outer, at), view.end)


def _offsets(view: SideView, strength: Scores) -> Array:
    """(R,) px from the parse map's outline to the photo's strongest edge near it, evened out over rows."""
    reach = max(1, round(OUTLINE_REACH * view.side.shoulder_px / view.step))
    offsets = np.arange(-reach, reach + 1)
    column = np.rint((np.nan_to_num(view.end) - view.b[0]) / view.step).astype(int)
    at = np.clip(column[:, None] + offsets, 0, len(view.b) - 1)
    found = strength[np.arange(len(at))[:, None], at] + FAINTEST
    found *= 1 - OUTLINE_TRUST * np.abs(offsets) / reach
    moved = offsets[found.argmax(axis=1)] * view.step
    return np.asarray(median_filter(moved.astype(np.float64), EVENED, mode="nearest"))


def _bitten(view: SideView, seen: _Seen | None) -> Mask:
    """(R,) rows in which the parse map ends where the body goes on, and so does the cloth in the photo."""
    hull = view.side.hull(view.a)
    with np.errstate(invalid="ignore"):
        narrow: Mask = view.end < BITTEN * hull
        if seen is None:
            return narrow
        column = np.rint((np.nan_to_num(view.end) - view.b[0]) / view.step).astype(int)
        beyond = seen.outside[np.arange(len(column)), np.clip(column, 0, len(view.b) - 1)]
        goes_on = median_filter(beyond, EVENED, mode="nearest") > GOES_ON
        found: Mask = narrow | ((view.end < WITHIN * hull) & goes_on)
    return found


def _with_corners(sleeve: Mask, side: Side, step: float) -> Mask:
    """(R,) rows with a sleeve, and those beside its end."""
    return np.asarray(binary_dilation(sleeve, iterations=max(1, round(CORNER * side.torso_px / step))))


def _guess(view: SideView, canvas: BodyCanvas, rows: Rows, densepose: Parts | None) -> tuple[Array, Array]:
    """(R,) `|b|` px where the panel should end under a sleeve, and (R,) how far that usually is off."""
    shoulders = view.side.shoulder_px
    bone = bones_at(view.side, view.a)[0]
    half = np.clip(view.end - bone, 0.05 * shoulders, SLEEVE_RADIUS * shoulders)
    guess, spread = bone - half + GUESS_OFFSET * shoulders, np.full(len(rows), GUESS_SPREAD * shoulders)
    if densepose is None:
        return guess, spread
    body = outward(view.side, axis_runs(canvas, canvas.resampled(np.isin(densepose, SEEN_TORSO), rows)))
    arms = canvas.resampled(np.isin(densepose, ARM_PARTS), rows)[:, view.columns] > INSIDE
    beyond = arms & (view.b > INNERMOST * np.nan_to_num(body)[:, None])
    inner = np.where(beyond.any(axis=1), view.b[beyond.argmax(axis=1)], np.nan)
    middle = (body + inner) / 2 + BODY_OFFSET * shoulders
    seen = np.isfinite(middle)
    if (densepose == CLOTHED_TORSO).any():  # it has bags and open coats in it: believed where joints agree
        seen &= np.abs(middle - guess) < GUESS_SPREAD * shoulders
    return np.where(seen, middle, guess), np.where(seen, BODY_SPREAD * shoulders, spread)


def _no_sleeve(view: SideView) -> Array:
    """(R,) score of the outline in rows where the garment covers the arm."""
    half = view.end - bones_at(view.side, view.a)[0]
    thin = np.nan_to_num(np.clip(1 - half / (THINNEST * view.side.shoulder_px), 0, 1))
    score: Array = NO_SLEEVE + THIN_SLEEVE * thin + ONE_SLEEVE * view.one_sleeve
    return np.where(_sleeved(view, view.end), SURELY_SLEEVE, score)


def _sleeved(view: SideView, edge: Array) -> Mask:
    """(R,) rows in which an edge, `|b|` px, is a sleeve's outer one, unless the panel hides the arm.

    It is as far outside of the bone as a sleeve's, the other arm has a sleeve too, and this one's wrist is
    found: the arm isn't behind the back.
    """
    return _may_be_sleeved(view, edge, THINNEST) & bool(np.isfinite(view.side.arm.joints[2]).all())


def _may_be_sleeved(view: SideView, edge: Array, thinnest: float) -> Mask:
    """(R,) the same where only a hand need show, for sleeves of half that thickness, in B."""
    half = edge - bones_at(view.side, view.a)[0]
    thick = np.nan_to_num(half) >= thinnest * view.side.shoulder_px
    return np.asarray(thick & (view.hand_shows and not view.one_sleeve))


def _gains(
    view: SideView,
    outline: Array,
    scores: Scores | Array,
    sleeve: Mask,
    tells: Mask,
    guess: Array,
    spread: Array,
) -> Scores:
    """(R, K) what a path through each point gains: on the outline, or on an edge near the guess."""
    away = view.b - outline[:, None]
    spread_px = max(ANCHOR_SPREAD_PX, ANCHOR_SPREAD * view.side.torso_px)
    anchored = np.maximum(-0.5 * (away / spread_px) ** 2, -ANCHOR_PULL)
    inside = np.clip(-away / max(SLEEVE_EDGE * view.side.shoulder_px, SLEEVE_EDGE_PX) - 1, 0, 1)
    doubt = np.minimum(np.nan_to_num(0.5 * ((view.b - guess[:, None]) / spread[:, None]) ** 2), MOST_DOUBT)
    through = EDGE_GAIN * scores * inside - doubt / INDEPENDENT_ROWS
    out = (view.b < INNERMOST * view.side.hull(view.a)[:, None]) | (away > view.step)
    through = np.where(out, IMPOSSIBLE, through)
    corner = _with_corners(sleeve, view.side, view.step) & ~sleeve
    gains = anchored + np.where(sleeve, EDGE_GAIN * _no_sleeve(view), 0)[:, None]
    gains = np.where(sleeve[:, None], np.maximum(through, gains), gains)
    gains = np.where(corner[:, None], np.maximum(anchored, through), gains)
    return np.where(tells[:, None], gains, 0).astype(np.float32)
