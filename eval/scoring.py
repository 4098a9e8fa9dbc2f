"""Draw every rung of every ladder, re-measure it, and keep numbers, not pictures."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from eval.remeasure import FitError, Reading, fit_error
from eval.scene import Scene
from eval.trials import NUM, Trials

Floats = NDArray[np.float64]
Pictures = NDArray[np.uint8]
Cell = tuple[int, int, int]
"""Person, ratio that changes, rung."""

Draw = Callable[[Sequence[int], Floats], Pictures]
"""N people and (N, 3) requested ratios -> (N, H, W, 3) uint8 pictures, the same noise for a person."""

Segment = Callable[[Pictures], NDArray[np.float32]]
"""(N, H, W, 3) uint8 pictures -> (N, H, W) probability of the worn garment."""

Keep = Callable[[Cell, NDArray[np.uint8], Reading, FitError], None]
"""Sees each picture once, with what was measured on it."""


def ladder_cells(natural: Floats, values: Floats, dimensions: Sequence[int] = range(NUM)) -> Floats:
    """Requests of every person's ladders.

    Args:
        natural: (P, 3) natural ratios.
        values: (3, R) what each ratio is asked to be.
        dimensions: Ratios whose ladders are run.

    Returns:
        (P, 3, R, 3), NaN for ladders that aren't run.
    """
    requests = np.full((len(natural), NUM, values.shape[1], NUM), np.nan)
    for dimension in dimensions:
        requests[:, dimension] = natural[:, None]
        requests[:, dimension, :, dimension] = values[dimension]
    return requests


class Scorer:
    """Measures methods on one scene; what a request should look like is worked out once.

    Args:
        scene: The people.
        segment: Finds the garment in a picture.
        batch_size: Pictures drawn together.
        num_points: Points on each outline.
    """

    def __init__(self, scene: Scene, segment: Segment, *, batch_size: int, num_points: int) -> None:
        self.scene = scene
        self.segment = segment
        self.batch_size = batch_size
        self.num_points = num_points
        self._expected: dict[tuple[int, bytes], Reading] = {}

    def expected(self, person: int, requested: Floats) -> Reading:
        """Reading of the layout at (3,) requested ratios, remembered."""
        key = (person, requested.tobytes())
        if key not in self._expected:
            self._expected[key] = self.scene.expected(person, requested)
        return self._expected[key]

    def score(self, name: str, draw: Draw, requests: Floats, keep: Keep | None = None) -> Trials:
        """Draw and measure (P, 3, R, 3) requests, a picture each."""
        trials = Trials.unmeasured(requests)
        cells = list(asked_cells(requests))
        with tqdm(total=len(cells), desc=name, unit="picture", disable=None) as progress:
            for start in range(0, len(cells), self.batch_size):
                batch = cells[start : start + self.batch_size]
                pictures = draw([person for person, _, _ in batch], np.array([requests[c] for c in batch]))
                for cell, picture, probability in zip(batch, pictures, self.segment(pictures), strict=True):
                    self._record(trials, cell, picture, self.scene.read(cell[0], probability), keep)
                progress.update(len(batch))
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
            probabilities = self.segment(pictures[start : start + self.batch_size])
            readings += [self.scene.read(start + i, p) for i, p in enumerate(probabilities)]
        return readings

    def _record(
        self, trials: Trials, cell: Cell, picture: NDArray[np.uint8], reading: Reading, keep: Keep | None
    ) -> None:
        error = fit_error(reading, self.expected(cell[0], trials.requested[cell]), self.num_points)
        trials.record(cell, reading, error)
        if keep is not None:
            keep(cell, picture, reading, error)


def asked_cells(requests: Floats) -> Iterator[Cell]:
    """Yield the cells of (P, 3, R, 3) requests that ask for something, person by person."""
    for person, dimension, rung in np.ndindex(requests.shape[:3]):
        if np.isfinite(requests[person, dimension, rung]).all():
            yield person, dimension, rung


def annotator_error(readings: Sequence[Reading], worn: Sequence[Reading]) -> Mapping[str, Floats]:
    """Error of the segmenter's readings of the untouched photos against the data's own masks, (P, 3)."""
    difference = np.array([one.ratios - other.ratios for one, other in zip(readings, worn, strict=True)])
    return {"absolute": np.abs(difference), "signed": difference}
