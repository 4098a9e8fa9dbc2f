"""What training loses where many widths aren't known, against labels that are wrong instead.

    python -m tests.benchmarks.measure_unknown artifacts OUT [--joint-steps 300] [--share 0.4]

Takes the tables and the base of a finished `make repro`. Of the train split's people a share, drawn by their
keys, have no known width (`unknown`: bounds as wide as half the ratio), or one that is a tenth too small
(`biased`: what a measure does that takes a sleeve's inner edge for the panel's); `known` is the data as it
is. Each is written to shards of its own, taught to the same base by `train_size` and `train_joint` with
params.yaml's settings but fewer joint steps, and put on the same ladders of the same held-out people, whose
annotations nobody touched. One seed. OUT/unknown.json has the figures.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from eval.ladder.figures import summarize_ladder
from eval.report.summary import ADAPTER
from pipeline import train_joint, train_size, write_shards
from pipeline.evaluate_tryon import drawer_of, load_trained
from pipeline.evaluation.evaluation import Evaluation
from pipeline.params import Params, load_params
from pipeline.stage import configure_logging
from preprocess.garment.known import BOUNDS_PARTS
from tests.sizes import TOP_PLACES, UPPER
from train.params import TrainJointParams

BIAS = 0.9
VAGUE = 0.25
"""Of a ratio, to both sides: far from known."""

FIGURES = ("order_accuracy", "slope", "mae")


def chosen(rows: pa.Table, share: float) -> NDArray[np.bool_]:
    """(N,) whether a row is of the train split and among those drawn by key."""
    drawn: list[bool] = [
        split == "train" and xxhash.xxh3_64_intdigest(key.encode()) / 2**64 < share
        for key, split in zip(rows["key"].to_pylist(), rows["split"].to_pylist(), strict=True)
    ]
    return np.array(drawn, np.bool_)


def changed(rows: pa.Table, which: NDArray[np.bool_], variant: str) -> pa.Table:
    """Annotations of one variant: `known` as they are, `unknown` or `biased` widths in the rows `which`."""
    ratio, low, high = (
        rows[f"width_{part}"].to_numpy(zero_copy_only=False).astype(np.float64) for part in BOUNDS_PARTS
    )
    new = {
        "known": (ratio, low, high),
        "unknown": (ratio, ratio * (1 - VAGUE), ratio * (1 + VAGUE)),
        "biased": (BIAS * ratio, BIAS * low, BIAS * high),
    }[variant]
    for part, old, other in zip(BOUNDS_PARTS, (ratio, low, high), new, strict=True):
        place = rows.schema.get_field_index(f"width_{part}")
        column = pa.array(np.where(which, other, old), from_pandas=True)
        rows = rows.set_column(place, rows.schema.field(place), column)
    return rows


def trained(params: Params, joint: TrainJointParams, artifacts: Path, annotations: Path, out: Path) -> Path:
    """Write shards of these annotations and train on them; return the folder of `train_joint`."""
    tables = {"manifest": artifacts / "manifest.parquet", "keypoints": artifacts / "keypoints.parquet"}
    shards = out / "shards"
    write_shards.run(params.write_shards, **tables, size_annotations=annotations, out=shards)
    common = {"shards": shards, "base": artifacts / "base"}
    train_size.run(params.train_size, **common, out=out / "size")
    train_joint.run(joint, **common, size=out / "size", out=out / "joint")
    return out / "joint"


def judged(evaluation: Evaluation, base: Path, joint: Path) -> dict[str, dict[str, Any]]:
    """Figures of a checkpoint's ladders, by axis."""
    draw = drawer_of(*load_trained(evaluation, base, joint), evaluation.people, evaluation.params)
    trials = evaluation.scorer.score(ADAPTER, draw, evaluation.requests)
    found = {}
    for axis, name in zip(TOP_PLACES, UPPER, strict=True):
        summary = summarize_ladder(*trials.along(axis), num_bootstrap=1000, seed=0)
        found[name] = {key: summary[key] for figure in FIGURES for key in (figure, f"{figure}_ci95")}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifacts", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--joint-steps", type=int, default=300)
    parser.add_argument("--share", type=float, default=0.4)
    asked = parser.parse_args()
    configure_logging("measure_unknown")
    params = load_params(Path("params.yaml"))
    schedule = replace(params.train_joint.optimisation, steps=asked.joint_steps)
    joint = replace(
        params.train_joint,
        optimisation=schedule,
        validation=replace(params.train_joint.validation, every=asked.joint_steps),
    )
    base, table = asked.artifacts / "base", asked.artifacts / "size_annotations.parquet"
    evaluation = Evaluation.prepare(
        params.evaluate_tryon, shards=asked.artifacts / "shards", size_annotations=table, base=base
    )
    rows = pq.read_table(table)
    which = chosen(rows, asked.share)
    figures: dict[str, Any] = {"people": int(which.sum()), "joint_steps": asked.joint_steps}
    for variant in ("known", "unknown", "biased"):
        out = asked.out / variant
        out.mkdir(parents=True, exist_ok=True)
        pq.write_table(changed(rows, which, variant), out / "size_annotations.parquet")
        folder = trained(params, joint, asked.artifacts, out / "size_annotations.parquet", out)
        figures[variant] = judged(evaluation, base, folder)
        (asked.out / "unknown.json").write_text(json.dumps(figures, indent=1))
        for name, found in figures[variant].items():
            shown = "".join(f"{key:>16} {found[key]:.3f}" for key in FIGURES)
            sys.stdout.write(f"{variant:8} {name:9}{shown}\n")


if __name__ == "__main__":
    main()
