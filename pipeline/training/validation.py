"""Judge a run while it lasts: short fit ladders of a few held-out people, and what they look like."""

import json
import logging
from collections import deque
from collections.abc import Iterable
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eval.ladder.figures import mae, order_accuracy
from eval.ladder.people import Needed, scene_of, usable
from eval.ladder.pictures import StripCell, StripRow, strip
from eval.ladder.scoring import Cell, Scorer, cells_by_category
from eval.ladder.trials import Trials, has_ladder, ladders_of
from eval.params import EvaluateParams
from model.adapter.adapter import SizeAdapter
from model.bases.base import TryOnBase
from model.judges.segmenter import Segmenter, segment_with
from model.sampling import SizedDrawer, TryOnInputs, size_maps
from pipeline.training.run import TrainingRun, processes_of_run
from preprocess.sizes.axes import AXIS_NAMES, FIT_PLACE
from preprocess.vocabulary import TRIED_ON, Category
from shards.batch import Batch, joined, select
from shards.stream import SampleStream
from train.loop import Validation

log = logging.getLogger(__name__)

Pictures = NDArray[np.uint8]

NUM_RANGE_SAMPLES = 256
"""Samples of a category in the train split whose ratios say how far its ladders reach."""
MOST_RANGE_SAMPLES = 4096
"""Samples of the train split that are looked through for these: it may have no garment of a category."""
BATCH = 32
CHANCE = 0.5
ORDER = "_order_accuracy"
"""Ends the name of a ladder's figure."""


class LadderJudge:
    """Draws ladders with the networks and the adapter as they are, measures them and leaves pictures."""

    def __init__(self, run: TrainingRun, networks: TryOnBase, adapter: SizeAdapter, segmenter: Path) -> None:
        wanted = run.params.validation
        params = EvaluateParams(num_people=wanted.num_people, num_steps=wanted.num_steps)
        ratios = typical_ratios(run.stream(BATCH, seed=0).epoch_batches())
        values = ladders_of(ratios, params.lowest_quantile, params.highest_quantile, wanted.num_rungs)
        needed = {category: has_ladder(own) for category, own in values.items()}
        people, num_usable = last_people(held_out_stream(run).epoch_batches(), wanted.num_people, needed)
        for category, count in num_usable.items():
            warn_of_overlap(count, wanted.num_people, category)
        self.draw = SizedDrawer(networks, adapter, TryOnInputs.of(people), params, batch_size=BATCH)
        self.scorer = Scorer(
            scene_of(people, params.measured_height),
            partial(segment_with, Segmenter.from_pretrained(segmenter).eval().to(networks.device)),
            batch_size=BATCH,
            num_points=params.num_boundary_points,
        )
        self.values = {category: own for category, own in values.items() if num_usable[category]}
        self.requests = cells_by_category(self.scorer.scene, values)
        self.folder = run.validation_dir

    def __call__(self, step: int) -> dict[str, float]:
        """Write `step-<step>.{png,json}` and return what the JSON says.

        Returns:
            Order accuracy and error of each ratio's ladder, and their `score`: the mean order accuracy. A
            person without a pair of pictures that can be measured counts as chance. Names of further
            categories' ladders begin with theirs.
        """
        pictures: dict[Cell, Pictures] = {}

        def keep(cell: Cell, picture: Pictures, *_: object) -> None:
            pictures[cell] = picture

        trials = self.scorer.score(f"validation {step}", self.draw, self.requests, keep)
        figures: dict[str, float] = {}
        for place, category in enumerate(self.values):
            own = trials.of(self.scorer.scene.wearers(category))
            figures |= ladder_figures(own, f"{category}_" if place else "")
        score = np.mean([found for name, found in figures.items() if name.endswith(ORDER)])
        figures["score"] = float(score)
        if not processes_of_run().is_main_process:  # the first process writes the same
            return figures
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"step-{step:06d}.json").write_text(json.dumps(figures, indent=2) + "\n")
        if len(trials.climbers(FIT_PLACE)):
            self.picture(trials, pictures).save(self.folder / f"step-{step:06d}.png")
        return figures

    def picture(self, trials: Trials, pictures: dict[Cell, Pictures]) -> Image.Image:
        """Draw each person on the width ladder, and below it the size maps of the same requests."""
        scene = self.scorer.scene
        rows = []
        for person, asked, found in zip(trials.climbers(FIT_PLACE), *trials.along(FIT_PLACE), strict=True):
            key = scene.keys[person]
            drawn = [pictures[int(person), FIT_PLACE, rung] for rung in range(len(asked))]
            maps = planned(self.draw, int(person), self.requests[person, FIT_PLACE])
            for shown, measured in ((drawn, found), (maps, np.full(len(maps), np.nan))):
                cells = [
                    StripCell(picture=picture, requested=float(ratio), measured=float(reading))
                    for picture, ratio, reading in zip(shown, asked, measured, strict=bool(maps))
                ]
                photo, cloth = scene.photos[person], scene.cloths[person]
                natural = float(scene.natural[person, FIT_PLACE])
                rows.append(StripRow(key=key, photo=photo, cloth=cloth, natural=natural, cells=cells))
        return strip([row for row in rows if row.cells])


def ladder_figures(trials: Trials, prefix: str) -> dict[str, float]:
    """Order accuracy and error along each ratio that somebody is known on."""
    figures: dict[str, float] = {}
    for dimension, name in enumerate(AXIS_NAMES):
        if len(trials.climbers(dimension)):
            asked, found = trials.along(dimension)
            known = np.nan_to_num(order_accuracy(asked, found), nan=CHANCE)
            figures[f"{prefix}{name}{ORDER}"] = float(known.mean())
            figures[f"{prefix}{name}_mae"] = float(np.nan_to_num(mae(asked, found), nan=1.0).mean())
    return figures


def planned(draw: SizedDrawer, person: int, requested: NDArray[np.float64]) -> list[Pictures]:
    """Show the size maps that a person is drawn by at (R, A) requests, (H, W, 3) each; none without a map."""
    height, width = draw.people.image.shape[1:3]
    size = draw.condition([person] * len(requested), requested, draw.conditioning(person))
    grids = [grid for grid in size_maps(size, len(requested)) if grid.size]
    grey = [cv2.resize(255 * grid, (width, height)).round().astype(np.uint8) for grid in grids]
    return [np.repeat(one[..., None], 3, axis=-1) for one in grey]


def ladder_validation(
    run: TrainingRun, networks: TryOnBase, adapter: SizeAdapter, base: Path
) -> Validation | None:
    """Return the validation that the run's parameters ask for, if any."""
    wanted = run.params.validation
    if not wanted.every:
        return None
    return Validation(wanted.every, LadderJudge(run, networks, adapter, base / "segmenter"))


def held_out_stream(run: TrainingRun) -> SampleStream:
    """Return the samples of the test split.

    Raises:
        FileNotFoundError: There is none.
    """
    index = run.shards / "test" / "index.json"
    if not index.is_file():
        raise FileNotFoundError(
            f"{index} not found, and validation draws people of the test split: add one, or set "
            "validation.every to 0"
        )
    height, width = run.image_height, run.image_width
    return SampleStream(index, batch_size=BATCH, image_height=height, image_width=width, seed=0)


def last_people(
    batches: Iterable[Batch], num_people: int, needed: Needed
) -> tuple[Batch, dict[Category, int]]:
    """Take the last usable samples of each category: the evaluation takes its people from the front.

    Returns:
        Them, categories behind one another, and how many usable samples of each there are in all.

    Raises:
        ValueError: There is none.
    """
    kept: dict[Category, deque[Batch]] = {category: deque(maxlen=num_people) for category in needed}
    num_usable = dict.fromkeys(needed, 0)
    for batch in batches:
        for row in (row for row in range(len(batch)) if usable(batch, row, needed)):
            category = Category(batch.categories[row])
            kept[category].append(select(batch, [row]))
            num_usable[category] += 1
    if not any(kept.values()):
        raise ValueError(
            "validation needs a sample of the test split with a known ratio, but there is none: "
            "see `cinderella inspect`, or set validation.every to 0"
        )
    return joined([one for own in kept.values() for one in own]), num_usable


def warn_of_overlap(num_usable: int, num_people: int, category: Category) -> None:
    """Say how many people an evaluation may take; warn where that is fewer than it usually takes."""
    untouched = max(0, num_usable - num_people)
    log.log(
        logging.WARNING if untouched < EvaluateParams().num_people else logging.INFO,
        "the test split has %d usable people in garments of %s, and validation chooses the checkpoint on "
        "the last %d: an evaluation of more than %d (evaluate_tryon.num_people) would overlap with them and "
        "flatter it",
        num_usable,
        category,
        min(num_usable, num_people),
        untouched,
    )


def typical_ratios(batches: Iterable[Batch]) -> dict[Category, NDArray[np.float64]]:
    """By category, (N, A) ratios of the first samples of the train split that are known, NaN where not.

    Read on until each category has enough, or so many samples were read that one of them must be rare.
    """
    known: dict[Category, list[NDArray[np.float64]]] = {category: [] for category in TRIED_ON}
    for batch in islice(batches, MOST_RANGE_SAMPLES // BATCH):
        for name, ratios in zip(batch.categories, batch.ratios.astype(np.float64), strict=True):
            if np.isfinite(ratios).any():
                known[Category(name)].append(ratios)
        if all(len(own) >= NUM_RANGE_SAMPLES for own in known.values()):
            break
    return {category: np.array(own) for category, own in known.items() if own}
