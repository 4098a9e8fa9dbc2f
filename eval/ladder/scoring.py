"""Draw every rung of every ladder, re-measure it, and keep numbers, not pictures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from itertools import groupby
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from eval.ladder.figures import slope
from eval.ladder.people import Scene
from eval.ladder.remeasure import Reading
from eval.ladder.trials import NUM, FitError, Trials, fit_error, has_ladder
from preprocess.sizes.axes import AXIS_NAMES, axes_of
from preprocess.vocabulary import Category

Floats = NDArray[np.float64]
Pictures = NDArray[np.uint8]
Cell = tuple[int, int, int]
"""Person, ratio that changes, rung."""

Draw = Callable[[int, Floats], Pictures]
"""A person and (N, A) requested ratios -> (N, H, W, 3) uint8 pictures, all from the same noise."""

Segment = Callable[[Pictures, Pictures], NDArray[np.float32]]
"""(N, H, W, 3) uint8 pictures, and photos of their garments alone -> (N, H, W) probability of the garment."""

Keep = Callable[[Cell, NDArray[np.uint8], Reading, FitError], None]
"""Sees each picture once, with what was measured on it."""


def ladder_cells(natural: Floats, values: Floats, dimensions: Sequence[int] = range(NUM)) -> Floats:
    """Requests of every person's ladders.

    Args:
        natural: (P, A) natural ratios, NaN where unknown: these people have no ladder along that axis, and
            are asked for nothing on it along the others.
        values: (A, R) what each ratio is asked to be.
        dimensions: Axes whose ladders are run, where they have rungs.

    Returns:
        (P, A, R, A), NaN for ladders that aren't run.
    """
    requests = np.full((len(natural), NUM, values.shape[1], NUM), np.nan)
    for dimension in np.intersect1d(dimensions, np.flatnonzero(has_ladder(values))):
        known = np.isfinite(natural[:, dimension])
        requests[known, dimension] = natural[known, None]
        requests[known, dimension, :, dimension] = values[dimension]
    return requests


def cells_by_category(
    scene: Scene, values: Mapping[Category, Floats], dimensions: Sequence[int] = range(NUM)
) -> Floats:
    """(P, A, R, A) requests of ladders on which each person climbs the (A, R) values of their category."""
    num_rungs = next(iter(values.values())).shape[1]
    requests = np.full((len(scene.keys), NUM, num_rungs, NUM), np.nan)
    for category, own in values.items():
        rows = scene.wearers(category)
        requests[rows] = ladder_cells(scene.natural[rows], own, dimensions)
    return requests


def shuffled_requests(requests: Floats, seed: int) -> Floats:
    """Permute (P, A, R, A) requests between the rungs of each ladder: the pictures were drawn for others.

    All people climb the same rungs, so this is the same as swapping requests between people.
    """
    rng = np.random.default_rng(seed)
    shuffled = requests.copy()
    for ladder in np.ndindex(requests.shape[:2]):
        shuffled[ladder] = requests[ladder][rng.permutation(requests.shape[2])]
    return shuffled


class Scorer:
    """Measures methods on one scene; what a request should look like is worked out once.

    `batch_size` pictures are drawn together, `num_points` taken on each outline.
    """

    def __init__(self, scene: Scene, segment: Segment, *, batch_size: int, num_points: int) -> None:
        self.scene = scene
        self.segment = segment
        self.batch_size = batch_size
        self.num_points = num_points
        self.worn = [scene.worn(person) for person in range(len(scene.keys))]
        self._expected: dict[tuple[int, bytes], Reading] = {}

    def in_garments(self, cloths: Pictures) -> Self:
        """Measure the same people in (P, H, W, 3) other garments: the segmenter is told what to look for."""
        other = copy(self)
        other.scene = replace(self.scene, cloths=cloths)
        return other

    def expected(self, person: int, requested: Floats) -> Reading:
        """Reading of the layout at (A,) requested ratios, remembered."""
        key = (person, requested.tobytes())
        if key not in self._expected:
            self._expected[key] = self.scene.expected(person, self.worn[person].ratios, requested)
        return self._expected[key]

    def score(self, name: str, draw: Draw, requests: Floats, keep: Keep | None = None) -> Trials:
        """Draw and measure (P, A, R, A) requests, a picture each."""
        trials = Trials.unmeasured(requests)
        cells = list(asked_cells(requests))
        with tqdm(total=len(cells), desc=name, unit="picture", disable=None) as progress:
            for person, batch in batches(cells, self.batch_size):
                pictures = draw(person, np.array([requests[cell] for cell in batch]))
                found = self.segment(pictures, self.scene.cloths[[person] * len(batch)])
                for cell, picture, probability in zip(batch, pictures, found, strict=True):
                    reading = self.scene.read(person, probability, picture)
                    self._record(trials, cell, picture, reading, keep)
                progress.update(len(batch))
        return trials

    def score_found(
        self,
        name: str,
        find: Callable[[Cell], NDArray[np.uint8] | None],
        requests: Floats,
        keep: Keep | None = None,
    ) -> Trials:
        """Measure pictures that lie somewhere; a cell without one stays unknown."""
        trials = Trials.unmeasured(requests)
        for cell in tqdm(list(asked_cells(requests)), desc=name, unit="picture", disable=None):
            picture = find(cell)
            if picture is not None:
                (probability,) = self.segment(picture[None], self.scene.cloths[[cell[0]]])
                reading = self.scene.read(cell[0], probability, picture)
                self._record(trials, cell, picture, reading, keep)
        return trials

    def score_against(self, readings: Mapping[Cell, Reading], requests: Floats) -> Trials:
        """Hold readings against other requests than those they were drawn for."""
        trials = Trials.unmeasured(requests)
        for cell, reading in readings.items():
            requested = requests[cell]
            error = fit_error(reading, self.expected(cell[0], requested), requested, self.num_points)
            trials.record(cell, reading, error)
        return trials

    def score_fixed(self, pictures: Pictures, requests: Floats) -> Trials:
        """Measure one (P, H, W, 3) picture a person against all requests: it ignores them."""
        trials = Trials.unmeasured(requests)
        readings = self.read(pictures)
        for cell in asked_cells(requests):
            self._record(trials, cell, pictures[cell[0]], readings[cell[0]], None)
        return trials

    def read(self, pictures: Pictures) -> list[Reading]:
        """Measure one (P, H, W, 3) picture a person."""
        readings = []
        for start in range(0, len(pictures), self.batch_size):
            some = slice(start, start + self.batch_size)
            probabilities = self.segment(pictures[some], self.scene.cloths[some])
            found = zip(probabilities, pictures[some], strict=True)
            readings += [self.scene.read(start + i, *seen) for i, seen in enumerate(found)]
        return readings

    def _record(
        self, trials: Trials, cell: Cell, picture: NDArray[np.uint8], reading: Reading, keep: Keep | None
    ) -> None:
        requested = trials.requested[cell]
        error = fit_error(reading, self.expected(cell[0], requested), requested, self.num_points)
        trials.record(cell, reading, error)
        if keep is not None:
            keep(cell, picture, reading, error)


def shown_to(*several: Keep) -> Keep:
    """Let several see each picture."""

    def keep(cell: Cell, picture: NDArray[np.uint8], reading: Reading, error: FitError) -> None:
        for one in several:
            one(cell, picture, reading, error)

    return keep


def asked_cells(requests: Floats) -> Iterator[Cell]:
    """Yield the cells of (P, A, R, A) requests that ask for something, person by person."""
    for person, dimension, rung in np.ndindex(requests.shape[:3]):
        if np.isfinite(requests[person, dimension, rung, dimension]):
            yield person, dimension, rung


def batches(cells: Sequence[Cell], batch_size: int) -> Iterator[tuple[int, list[Cell]]]:
    """Yield a person and up to `batch_size` of its cells, so that what belongs to a person is done once."""
    for person, own in groupby(cells, key=lambda cell: cell[0]):
        rest = list(own)
        for start in range(0, len(rest), batch_size):
            yield person, rest[start : start + batch_size]


def annotator_section(
    readings: Sequence[Reading], worn: Sequence[Reading], category: Category
) -> dict[str, Any]:
    """Compare the segmenter's readings of the untouched photos with those of the data's own masks, `worn`.

    Returns:
        `annotator` of metrics.json: for each ratio the mean absolute difference, the mean difference, and the
        slope of the readings on the data over all people: on true pictures, so no ladder is read better.
    """
    read = np.array([one.ratios for one in readings])
    true = np.array([one.ratios for one in worn])
    difference = read - true
    there = np.array([name in axes_of(category) for name in AXIS_NAMES])
    section: dict[str, Any] = {"coverage": float(np.isfinite(difference[:, there]).mean())}
    for place in np.flatnonzero(there):
        name, column = AXIS_NAMES[place], difference[:, place]
        known = column[np.isfinite(column)]
        section[f"{name}_mae"] = float(np.abs(known).mean()) if len(known) else None
        section[f"{name}_bias"] = float(known.mean()) if len(known) else None
        section[f"{name}_slope"] = float(slope(true[None, :, place], read[None, :, place])[0])
    return section
