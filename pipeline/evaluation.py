"""What every evaluation shares, whoever made the pictures: people, requests, baselines, protocol, report."""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from eval.baselines import baseline_draws
from eval.card import SYSTEM, file_hash, folder_hash, text_hash
from eval.collect import Collector
from eval.data_summary import DataSummary, summarize_data
from eval.drawing import segment_with
from eval.image_metrics import image_section
from eval.params import EvaluateParams
from eval.people import first_people, scene_of
from eval.report import Report
from eval.scene import Scene
from eval.scoring import Scorer, annotator_section, ladder_cells
from eval.summary import ADAPTER, summarize, without_nan
from eval.trials import Trials, ladder_values
from eval.write import write_report
from model.segmenter import Segmenter
from pipeline.checkpoints import image_size
from preprocess.vocabulary import SIZE_RATIOS
from shards.batch import Batch
from shards.stream import SampleStream

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """People, what is asked of them, and how it is measured."""

    params: EvaluateParams
    people: Batch
    scene: Scene
    scorer: Scorer
    data: DataSummary
    values: NDArray[np.float64]
    """(3, R) what each ratio is asked to be."""
    requests: NDArray[np.float64]
    """(P, 3, R, 3) all ratios that are asked for."""
    collector: Collector
    protocol: dict[str, Any]

    @classmethod
    def prepare(cls, params: EvaluateParams, *, shards: Path, size_annotations: Path, base: Path) -> Self:
        """Choose people and requests; measure with the segmenter of `base`."""
        data = summarize_data(size_annotations)
        people = held_out(shards / "test" / "index.json", image_size(base), params)
        scene = scene_of(people, params.measured_height)
        scorer = scorer_of(scene, base / "segmenter", params)
        values = ladder_values(
            data.trusted, params.lowest_quantile, params.highest_quantile, params.num_rungs
        )
        requests = ladder_cells(scene.natural, values)
        return cls(
            params=params,
            people=people,
            scene=scene,
            scorer=scorer,
            data=data,
            values=values,
            requests=requests,
            collector=Collector(scorer, requests, params.num_strip_people, params.num_worst),
            protocol=how_measured(params, shards, people, values, data, base / "segmenter"),
        )

    def baselines(self) -> dict[str, Trials]:
        """Score the three cheap baselines."""
        trials = {"natural": self.scorer.score_fixed(self.scene.photos, self.requests)}
        for name, draw in baseline_draws(self.scene).items():
            trials[name] = self.scorer.score(name, draw, self.requests)
        return trials

    def finish(
        self,
        trials: dict[str, Trials],
        natural: NDArray[np.uint8] | None,
        system: dict[str, Any],
        out: Path,
    ) -> dict[str, Any]:
        """Write the report.

        Args:
            trials: By method, `ADAPTER` among them: the system that is judged.
            natural: (P, H, W, 3) its pictures at the natural size; None where there are none.
            system: What was judged.
            out: The reports folder.

        Returns:
            metrics.json.
        """
        scene, params = self.scene, self.params
        metrics: dict[str, Any] = without_nan(
            {
                **summarize(trials, self.data.thresholds, params),
                "image": self.image(natural),
                "annotator": annotator_section(self.scorer.read(scene.photos), self.scorer.worn),
                "protocol": self.protocol | {SYSTEM: system},
            }
        )
        report = Report(
            metrics=metrics,
            trials=trials,
            strip=self.collector.strip(scene, trials[ADAPTER]),
            worst=self.collector.worst(scene),
            data=self.data,
        )
        write_report(report, scene.keys, out)
        for name in SIZE_RATIOS:
            log.info("%s: order accuracy %s", name, metrics["ladder"][name]["order_accuracy"])
        return metrics

    def image(self, natural: NDArray[np.uint8] | None) -> dict[str, Any]:
        """`image` of metrics.json."""
        outside = {"outside_mask_mean_abs_difference": self.collector.outside_difference()}
        if natural is None:
            reason = {"absent": "the folder has no picture of every person at the natural size"}
            return {"ssim": reason, "psnr": reason} | outside
        weights = {"alex": self.params.lpips_alex, "vgg": self.params.lpips_vgg}
        return image_section(natural, self.scene.photos, self.scene.inpaint_masks, weights) | outside


def held_out(index: Path, image_hw: tuple[int, int], params: EvaluateParams) -> Batch:
    """Read the people of the test split that ladders are drawn on."""
    stream = SampleStream(
        index,
        batch_size=params.batch_size,
        image_height=image_hw[0],
        image_width=image_hw[1],
        seed=params.seed,
    )
    people = first_people(stream.epoch_batches(), params.num_people)
    if len(people) < params.num_people:
        log.warning("%s has %d usable people, not the %d asked for", index, len(people), params.num_people)
    return people


def scorer_of(scene: Scene, folder: Path, params: EvaluateParams) -> Scorer:
    """Measure with the frozen segmenter in `folder`."""
    segmenter = Segmenter.from_pretrained(folder).eval().requires_grad_(False)
    return Scorer(
        scene,
        partial(segment_with, segmenter),
        batch_size=params.batch_size,
        num_points=params.num_boundary_points,
    )


def how_measured(
    params: EvaluateParams,
    shards: Path,
    people: Batch,
    values: NDArray[np.float64],
    data: DataSummary,
    segmenter: Path,
) -> dict[str, Any]:
    """What must agree before figures of two systems may be compared."""
    return {
        "data": data.source or "unknown",
        "split": "test",
        "pairing": "paired: each person in the garment of the photo",
        "people": len(people),
        "people_hash": text_hash(people.keys),
        "index_hash": file_hash(shards / "test" / "index.json"),
        "image_height": people.image.shape[1],
        "image_width": people.image.shape[2],
        "resize": "JPEG decoded at a DCT scale, then area",
        "repaint": "photo outside the inpainting mask, seam inside",
        "ladder_from": dict(zip(SIZE_RATIOS, values[:, 0].tolist(), strict=True)),
        "ladder_to": dict(zip(SIZE_RATIOS, values[:, -1].tolist(), strict=True)),
        "rungs": params.num_rungs,
        "segmenter_hash": folder_hash(segmenter),
        "measured_height": params.measured_height,
        "boundary_points": params.num_boundary_points,
        "ssim": "torchmetrics, Gaussian 11x11, sigma 1.5",
        "bootstrap": params.num_bootstrap,
        "seed": params.seed,
    }
