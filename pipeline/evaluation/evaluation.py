"""What every evaluation shares, whoever made the pictures: people, requests, baselines, report."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from eval.images.counterfactual import Counterfactual
from eval.images.everybody import Make, image_section
from eval.images.judges import Judges
from eval.ladder.baselines import baseline_draws
from eval.ladder.people import Needed, Scene, Wardrobe, first_people, scene_of
from eval.ladder.scoring import (
    Cell,
    Draw,
    Keep,
    Scorer,
    annotator_section,
    cells_by_category,
    shown_to,
    shuffled_requests,
)
from eval.ladder.trials import Trials, has_ladder, ladders_of
from eval.params import EvaluateParams
from eval.report.card import PICTURES, SYSTEM
from eval.report.collect import Collector
from eval.report.data_summary import DataSummary, summarize_data
from eval.report.page import Part, Report
from eval.report.summary import ADAPTER, SHUFFLED, UNPAIRED, summarize, without_nan
from eval.report.write import write_report
from model.judges.segmenter import Segmenter, segment_with
from pipeline.checkpoints import image_size, read_record, usual_device
from pipeline.evaluation.protocol import protocol
from preprocess.sizes.axes import FIT_PLACE
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Category
from shards.batch import Batch
from shards.index import CATEGORIES
from shards.stream import SampleStream

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unpaired:
    """People in another's garment, and the width ladder that is asked of them."""

    rows: list[int]
    """Which people have one."""

    people: Batch
    """These, dressed in it."""

    requests: NDArray[np.float64]
    """(P, A, R, A), NaN for everybody else."""

    scorer: Scorer
    """Looks for what is worn here."""

    collector: Collector
    truth: Counterfactual

    @classmethod
    def of(
        cls,
        people: Batch,
        wardrobe: Wardrobe,
        scorer: Scorer,
        requests: NDArray[np.float64],
        drawing: PaperDollParams | None,
        num_shown: int,
    ) -> Self:
        """Dress people; `requests` are (P, A, R, A), of everybody."""
        rows, dressed = wardrobe.swapped(people)
        cloths, asked = scorer.scene.cloths.copy(), np.full_like(requests, np.nan)
        cloths[rows], asked[rows] = dressed.cloth, requests[rows]
        scorer = scorer.in_garments(cloths)
        garments = [wardrobe.unpaired_key(key) or key for key in people.keys]
        return cls(
            rows=rows,
            people=dressed,
            requests=asked,
            scorer=scorer,
            collector=Collector(scorer, asked, num_shown, num_worst=0),
            truth=Counterfactual(scorer.scene, asked, drawing, garments),
        )

    def score(self, draw: Draw) -> Trials:
        """Draw and measure the people of `rows`, numbered as everybody is."""
        return self.scorer.score(UNPAIRED, draw, self.requests, self._keep).of_another_garment()

    def score_found(self, find: Callable[[Cell], NDArray[np.uint8] | None]) -> Trials:
        """Measure pictures that lie somewhere."""
        return self.scorer.score_found(UNPAIRED, find, self.requests, self._keep).of_another_garment()

    @property
    def _keep(self) -> Keep:
        return shown_to(self.collector, self.truth)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """People, what is asked of them, and how it is measured."""

    params: EvaluateParams
    stream: SampleStream
    people: Batch
    wardrobe: Wardrobe
    judges: Judges
    scene: Scene
    scorer: Scorer
    data: DataSummary
    values: Mapping[Category, NDArray[np.float64]]
    """By category of which somebody is here, (A, R) what each ratio is asked to be."""
    requests: NDArray[np.float64]
    """(P, A, R, A) all ratios that are asked for."""
    collector: Collector
    truth: Counterfactual
    unpaired: Unpaired
    protocol: Mapping[str, Any]
    categories: Sequence[str]
    """Of the test split's garments; none where its shards are an earlier version's and don't tell."""

    @classmethod
    def prepare(cls, params: EvaluateParams, *, shards: Path, size_annotations: Path, base: Path) -> Self:
        """Choose people and requests; measure with the segmenter of `base`.

        Raises:
            ValueError: The base was never trained on garments of a category that the test split has, or
                nobody in it can stand on a ladder.
        """
        stream = open_test_split(shards / "test" / "index.json", image_size(base), params)
        categories = list(stream.reader.index.header.get(CATEGORIES, ()))
        require_trained(base, categories)
        data = summarize_data(size_annotations)
        for category in (category for category in categories if category not in data.sizes):
            words = category, size_annotations
            log.warning("no ladders of %s, which the test split has: nobody's size is in %s", *words)
        ends = params.lowest_quantile, params.highest_quantile
        trusted = {category: sizes.trusted for category, sizes in data.sizes.items()}
        values = ladders_of(trusted, *ends, params.num_rungs)
        people = held_out(stream, params, {category: has_ladder(own) for category, own in values.items()})
        scene = scene_of(people, params.measured_height)
        values = {category: own for category, own in values.items() if scene.wearers(category)}
        scorer = scorer_of(scene, base / "segmenter", params)
        requests = cells_by_category(scene, values)
        judges = Judges.load(params)
        wardrobe, num_shown = Wardrobe(stream.reader), params.num_strip_people
        widths = cells_by_category(scene, values, [FIT_PLACE])
        return cls(
            params=params,
            stream=stream,
            people=people,
            wardrobe=wardrobe,
            judges=judges,
            scene=scene,
            scorer=scorer,
            data=data,
            values=values,
            requests=requests,
            collector=Collector(scorer, requests, num_shown, params.num_worst),
            truth=Counterfactual(scene, requests, data.drawing, people.keys),
            unpaired=Unpaired.of(people, wardrobe, scorer, widths, data.drawing, num_shown),
            categories=categories,
            protocol=protocol(
                params,
                index=stream.reader.index,
                segmenter=base / "segmenter",
                scene=scene,
                values=values,
                data=data,
                judges=judges,
            ),
        )

    @property
    def keep(self) -> Keep:
        """Who sees the system's pictures of people in the garment that they wore."""
        return shown_to(self.collector, self.truth)

    def baselines(self) -> dict[str, Trials]:
        """Score the cheap baselines, which use no network."""
        trials = {"natural": self.scorer.score_fixed(self.scene.photos, self.requests)}
        for name, draw in baseline_draws(self.scene).items():
            trials[name] = self.scorer.score(name, draw, self.requests)
        return trials

    def shuffled(self) -> Trials:
        """Hold what the collector saw against requests that were swapped."""
        requests = shuffled_requests(self.requests, self.params.seed)
        return self.scorer.score_against(self.collector.readings, requests)

    def finish(
        self,
        trials: dict[str, Trials],
        make: Make,
        system: dict[str, Any],
        out: Path,
        census: Callable[[], Mapping[str, Any]] | None = None,
        beside: Mapping[str, Make] = MappingProxyType({}),
    ) -> dict[str, Any]:
        """Write the report.

        Args:
            trials: By method, `ADAPTER` among them: the system that is judged.
            make: Its pictures of everybody at the natural size.
            system: What was judged.
            out: The reports folder.
            census: Counts the system's pictures, where some may be missing.
            beside: Further baselines of the image metrics, by name.

        Returns:
            metrics.json.
        """
        trials = trials | {SHUFFLED: self.shuffled()}
        everybody, drawing = self.stream.epoch_batches(), self.data.drawing
        image = image_section(
            everybody, self.wardrobe, make, self.judges, self.params, drawing=drawing, beside=beside
        )
        if census is not None:
            system = system | {PICTURES: census()}
        image["counterfactual"] = self.truth.section()
        image["unpaired"]["counterfactual"] = self.unpaired.truth.section()
        image["outside_mask_mean_abs_difference"] = self.collector.outside_difference()
        parts = self.parts(trials)
        first, *others = parts
        metrics: dict[str, Any] = without_nan(
            {
                **first.metrics,
                **{str(part.category): part.metrics for part in others},
                "image": image,
                "protocol": dict(self.protocol) | {SYSTEM: system},
            }
        )
        report = Report(
            metrics=metrics,
            parts=parts,
            trials=trials,
            worst=self.collector.worst(),
            data=self.data,
        )
        write_report(report, self.scene.keys, out)
        for part in parts:
            part.log_order()
        return metrics

    def parts(self, trials: Mapping[str, Trials]) -> list[Part]:
        """Sum up each category by itself."""
        readings, scene = self.scorer.read(self.scene.photos), self.scene
        parts = []
        for category in self.values:
            rows = scene.wearers(category)
            own = {method: of.of(rows) for method, of in trials.items()}
            own = {method: of for method, of in own.items() if np.isfinite(of.requested).any()}
            sizes = self.data.sizes[category]
            annotator = annotator_section(
                [readings[row] for row in rows], [self.scorer.worn[row] for row in rows], category
            )
            summary = summarize(own, sizes.thresholds, self.params) | {"annotator": annotator}
            parts.append(
                Part(
                    category=category,
                    metrics=without_nan(summary),
                    trials=own,
                    strip=self.collector.strip(trials[ADAPTER], category),
                    unpaired_strip=self.unpaired.collector.strip(trials[UNPAIRED], category)
                    if UNPAIRED in own
                    else [],
                    sizes=sizes,
                    seed=self.params.seed,
                )
            )
        return parts


def require_trained(folder: Path, categories: Iterable[str]) -> None:
    """Refuse to judge what a training stage wrote on garments of categories that it was never shown.

    Of `train_base` that is the segmenter, which measures.

    Raises:
        ValueError: The stage's shards lacked one of them; an earlier version's record doesn't tell.
    """
    trained = read_record(folder).get(CATEGORIES)
    unknown = [] if trained is None else [category for category in categories if category not in trained]
    if unknown:
        raise ValueError(
            f"{folder} was trained on garments of {', '.join(trained or ())} alone, but the test split has "
            f"{', '.join(unknown)}: leave these out (prepare_dataset.category, `cinderella evaluate "
            "--category`), or train on data that has them, as `cinderella recipes --run categories` does"
        )


def open_test_split(index: Path, image_hw: tuple[int, int], params: EvaluateParams) -> SampleStream:
    """Open the test split at the size of the base's pictures."""
    return SampleStream(
        index,
        batch_size=params.batch_size,
        image_height=image_hw[0],
        image_width=image_hw[1],
        seed=params.seed,
    )


def held_out(stream: SampleStream, params: EvaluateParams, needed: Needed) -> Batch:
    """Read the people of the test split that each category's ladders along the axes needed are drawn on."""
    people = first_people(stream.epoch_batches(), params.num_people, needed)
    for category in needed:
        count = people.categories.count(category)
        if count < params.num_people:
            words = count, category, params.num_people
            log.warning("the test split has %d usable people in garments of %s, not %d", *words)
    return people


def scorer_of(scene: Scene, folder: Path, params: EvaluateParams) -> Scorer:
    """Measure with the frozen segmenter in `folder`."""
    segmenter = Segmenter.from_pretrained(folder).eval().requires_grad_(False)
    segmenter.to(usual_device())
    return Scorer(
        scene,
        partial(segment_with, segmenter),
        batch_size=params.batch_size,
        num_points=params.num_boundary_points,
    )
