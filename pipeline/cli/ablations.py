"""`cinderella ablate`: what each way for size into the network is worth, by training every combination.

Each variant is one run of `train_size` on the same frozen base, judged on the same held-out people. A variant
that was trained with the same parameters, data and code is not trained again.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, get_args

from eval.ladder.drawing import SizedDrawer
from eval.ladder.figures import summarize_ladder
from eval.params import EvaluateParams
from pipeline import train_size
from pipeline.checkpoints import RECORD, image_size, load_size_aware
from pipeline.evaluation.evaluation import Evaluation
from pipeline.training.run import TrainingRun
from preprocess.vocabulary import SIZE_RATIOS
from train.params import TrainSizeParams

log = logging.getLogger(__name__)

Part = Literal["tokens", "time", "map"]
COLUMNS = ("order_accuracy", "slope")


@dataclass(frozen=True)
class Variant:
    """One way of letting size in."""

    parts: tuple[Part, ...]
    controller: Literal["full", "simple"]

    @property
    def name(self) -> str:
        """As the table has it; without a map there is no controller to name."""
        joined = "+".join(self.parts)
        return f"{joined} ({self.controller})" if "map" in self.parts else joined


def variants() -> Iterator[Variant]:
    """Every non-empty set of parts, those with a map once with each controller."""
    parts: tuple[Part, ...] = get_args(Part)
    for size in range(1, len(parts) + 1):
        for chosen in combinations(parts, size):
            yield Variant(chosen, "full")
            if "map" in chosen:
                yield Variant(chosen, "simple")


def chosen_variants(names: Sequence[str]) -> list[Variant]:
    """Return the variants called `names`, or all of them when there are none.

    Raises:
        ValueError: A name is none of a variant; the message lists those there are.
    """
    known = {variant.name: variant for variant in variants()}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"a variant is one of {', '.join(map(repr, known))}; got {', '.join(unknown)}")
    return [known[name] for name in names or known]


def ablate(
    train: TrainSizeParams,
    evaluate: EvaluateParams,
    names: Sequence[str] = (),
    *,
    shards: Path,
    size_annotations: Path,
    base: Path,
    out: Path,
) -> str:
    """Train and judge every variant; write `ablation.json` and `ablation.md` into `out`.

    Args:
        train: The schedule; its `parts` and `controller` are replaced.
        evaluate: People and rungs of the ladders.
        names: Variants to run; all when empty.
        shards: Folder with train/ and test/ shards.
        size_annotations: size_annotations.parquet of the same data.
        base: Folder of `train_base`.
        out: A folder a variant, and the table.

    Returns:
        The table as Markdown.
    """
    chosen = chosen_variants(names)
    evaluation = Evaluation.prepare(evaluate, shards=shards, size_annotations=size_annotations, base=base)
    figures: dict[str, Any] = {}
    table = ""
    for variant in chosen:
        folder = out / variant.name.replace(" ", "_").replace("(", "").replace(")", "")
        params = replace(train, parts=variant.parts, controller=variant.controller)
        if not is_trained(params, shards=shards, base=base, folder=folder):
            log.info("training %s", variant.name)
            train_size.run(params, shards=shards, base=base, out=folder)
        figures[variant.name] = judge(evaluation, base, folder)
        log.info("%s: %s", variant.name, {r: f["order_accuracy"] for r, f in figures[variant.name].items()})
        table = markdown(figures, len(evaluation.people), train.optimisation.steps)
        (out / "ablation.json").write_text(json.dumps(figures, indent=2) + "\n")
        (out / "ablation.md").write_text(table)
    return table


def is_trained(params: TrainSizeParams, *, shards: Path, base: Path, folder: Path) -> bool:
    """Whether `folder` holds the outcome of this very run."""
    record = folder / RECORD
    if not record.is_file():
        return False
    run = TrainingRun.begin("train_size", params, shards, folder, image_size(base), base)
    return bool(json.loads(record.read_text())["fingerprint"] == run.fingerprint)


def judge(evaluation: Evaluation, base: Path, checkpoint: Path) -> dict[str, Any]:
    """Ladder figures by ratio."""
    draw = SizedDrawer(*load_size_aware(base, checkpoint), evaluation.people, evaluation.params)
    trials = evaluation.scorer.score(checkpoint.name, draw, evaluation.requests)
    params = evaluation.params
    return {
        name: summarize_ladder(*trials.along(i), num_bootstrap=params.num_bootstrap, seed=params.seed)
        for i, name in enumerate(SIZE_RATIOS)
    }


def markdown(figures: dict[str, Any], num_people: int, steps: int) -> str:
    """One row a variant: order accuracy and slope of each ratio's ladder, with their intervals."""
    heads = [f"{name} {column.replace('_', ' ')}" for name in SIZE_RATIOS for column in COLUMNS]
    lines = ["| parts (controller) | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    for variant, ladders in figures.items():
        cells = [with_interval(ladders[name], column) for name in SIZE_RATIOS for column in COLUMNS]
        lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    protocol = f"{num_people} held-out people, {steps} steps of `train_size`, one seed."
    return "\n".join([*lines, "", f"{protocol} In brackets the 95 % bootstrap interval over people.", ""])


def with_interval(ladder: dict[str, Any], column: str) -> str:
    """A figure and its interval; a dash where nobody could be measured."""
    if ladder[column] is None:
        return "-"
    low, high = ladder[f"{column}_ci95"]
    return f"{ladder[column]:.3f} ({low:.3f} to {high:.3f})"
