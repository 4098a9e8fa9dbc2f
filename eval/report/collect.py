"""Keep the few pictures that the report shows; the rest is forgotten once it is measured."""

import heapq

import numpy as np
from numpy.typing import NDArray

from eval.ladder.pictures import StripCell, StripRow, WorstCase, overlay
from eval.ladder.remeasure import Reading
from eval.ladder.scoring import Cell, Scorer
from eval.ladder.trials import FitError, Trials
from preprocess.sizes.axes import AXIS_NAMES, FIT_PLACE
from preprocess.vocabulary import Category

BLANK = 235  # grey of a picture that isn't there


class Collector:
    """Called with every picture of a method; keeps the strip's people and the worst cases.

    `requests` is (P, A, R, A), what is asked for. The first people of each category are in its strip.
    """

    def __init__(
        self, scorer: Scorer, requests: NDArray[np.float64], num_people: int, num_worst: int
    ) -> None:
        self.scorer = scorer
        self.requests = requests
        climbing = np.isfinite(requests[:, FIT_PLACE, 0, FIT_PLACE])
        self.shown = {
            category: [row for row in scorer.scene.wearers(category) if climbing[row]][:num_people]
            for category in dict.fromkeys(scorer.scene.categories)
        }
        self.num_worst = num_worst
        self.readings: dict[Cell, Reading] = {}
        """Of every picture."""
        self._outside: list[float] = []
        self._strip: dict[Cell, NDArray[np.uint8]] = {}
        self._worst: list[tuple[float, Cell, NDArray[np.uint8], Reading]] = []

    def __call__(self, cell: Cell, picture: NDArray[np.uint8], reading: Reading, error: FitError) -> None:
        """Look at one picture."""
        person, dimension, _ = cell
        self.readings[cell] = reading
        self._outside.append(self._outside_difference(person, picture))
        if dimension == FIT_PLACE and person in self.shown[self.scorer.scene.categories[person]]:
            self._strip[cell] = picture
        if self.num_worst and np.isfinite(error.outline.gfd):
            heapq.heappush(self._worst, (error.outline.gfd, cell, picture, reading))
            if len(self._worst) > self.num_worst:
                heapq.heappop(self._worst)

    def strip(self, trials: Trials, category: Category) -> list[StripRow]:
        """Rows of people in a category, tight to oversized, with what was measured on `trials`."""
        scene = self.scorer.scene
        asked, found = (ratios[:, FIT_PLACE, :, FIT_PLACE] for ratios in (trials.requested, trials.measured))
        return [
            StripRow(
                key=scene.keys[person],
                photo=scene.photos[person],
                cloth=scene.cloths[person],
                natural=float(scene.natural[person, FIT_PLACE]),
                cells=[
                    StripCell(
                        picture=self._strip.get(
                            (person, FIT_PLACE, rung), np.full_like(scene.photos[person], BLANK)
                        ),
                        requested=float(asked[person, rung]),
                        measured=float(found[person, rung]),
                    )
                    for rung in range(asked.shape[1])
                ],
            )
            for person in self.shown[category]
        ]

    def worst(self) -> list[WorstCase]:
        """The pictures with the largest deviation, worst first."""
        return [
            WorstCase(
                overlay=self._overlay(cell, picture, reading),
                caption=f"{self.scorer.scene.keys[cell[0]]}: {AXIS_NAMES[cell[1]]} "
                f"asked {self.requests[cell][cell[1]]:.2f}, got {reading.ratios[cell[1]]:.2f}",
                gfd=gfd,
            )
            for gfd, cell, picture, reading in sorted(self._worst, key=lambda item: item[:2], reverse=True)
        ]

    def outside_difference(self) -> float:
        """Mean absolute difference to the photos outside the inpainting masks, in units of 1/255."""
        return float(np.mean(self._outside)) if self._outside else np.nan

    def _outside_difference(self, person: int, picture: NDArray[np.uint8]) -> float:
        scene = self.scorer.scene
        outside = ~scene.inpaint_masks[person]
        difference = np.abs(picture.astype(np.int16) - scene.photos[person])[outside]
        return float(difference.mean()) if difference.size else 0.0

    def _overlay(self, cell: Cell, picture: NDArray[np.uint8], reading: Reading) -> NDArray[np.uint8]:
        expected = self.scorer.expected(cell[0], self.requests[cell])
        return overlay(picture, reading, expected, self.scorer.scene.factor)
