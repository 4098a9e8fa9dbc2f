"""Every stage, as small as it goes, in a process that knows one axis more: `taper` or `sleeve`.

`tests/test_cost_of_change.py` runs this file with the category of the garments and the axes that it has, the
new one last: `taper` in a copy of the project, `sleeve` where it is switched on.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from eval.params import EvaluateParams
from model.judges.critic import SizeCritic
from pipeline import (
    compute_size_ratios,
    evaluate_tryon,
    extract_keypoints,
    prepare_dataset,
    train_base,
    train_size,
    write_shards,
)
from pipeline.checkpoints import load_size_aware
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.sizes.request import SizeRequest
from preprocess.sources.params import PaperDollParams, PrepareDatasetParams
from preprocess.vocabulary import Category
from shards.params import WriteShardsParams
from shards.stream import SampleStream
from train.params import OptimisationParams, TrainBaseParams, TrainSizeParams, ValidationParams

ONCE = OptimisationParams(steps=1, batch_size=2, learning_rate=1e-3, warmup_steps=0)
NEVER = ValidationParams(every=0)


CATEGORY, *OWN = sys.argv[1:]
NEW = OWN[-1]
DIVIDED = {"taper": ("width", "torso"), "sleeve": ("sleeve", "arm")}[NEW]
"""Lengths of garment and body."""


def annotate(folder: Path) -> None:
    """From dolls to Parquet: the new ratio is of the lengths that it is said to be of."""
    dolls = PaperDollParams(train=5, test=3, image_height=256, image_width=192)
    manifest, keypoints = folder / "manifest.parquet", folder / "keypoints.parquet"
    annotations = folder / "size_annotations.parquet"
    prepare_dataset.run(
        PrepareDatasetParams(source="paper_dolls", paper_dolls=dolls), raw=folder / "raw", out=manifest
    )
    extract_keypoints.run(ExtractKeypointsParams(workers=1), manifest=manifest, out=keypoints)
    sizes = SizeRatioParams(workers=1)
    compute_size_ratios.run(sizes, manifest=manifest, keypoints=keypoints, out=annotations)
    write_shards.run(
        WriteShardsParams(num_workers=0, image_height=96, image_width=72),
        manifest=manifest,
        keypoints=keypoints,
        size_annotations=annotations,
        out=folder / "shards",
    )
    rows = [row for row in pq.read_table(annotations).to_pylist() if row[f"{NEW}_ratio"] is not None]
    assert rows
    garment, body = (f"{part}_{name}_px" for part, name in zip(("garment", "body"), DIVIDED, strict=True))
    for row in rows:
        np.testing.assert_allclose(row[f"{NEW}_ratio"], row[garment] / row[body])


def train(folder: Path) -> None:
    """From the stream to weights: batches, encoder and critic have a fourth number."""
    shards, base, size = folder / "shards", folder / "base", folder / "size"
    stream = SampleStream(shards / "train", batch_size=2, image_height=96, image_width=72, seed=0)
    batch = next(iter(stream))
    assert batch.categories == [CATEGORY] * 2
    assert np.isfinite(batch.ratios[:, AXIS_NAMES.index(NEW)]).all()
    networks = TrainBaseParams(autoencoder=ONCE, encoders=ONCE, unets=ONCE, segmenter=ONCE, critic=ONCE)
    train_base.run(networks, shards=shards, out=base)
    train_size.run(TrainSizeParams(optimisation=ONCE, validation=NEVER), shards=shards, base=base, out=size)
    assert SizeCritic.from_pretrained(base / "size_critic").config.axes == list(AXIS_NAMES)
    _, adapter = load_size_aware(base, size)
    assert adapter.config.axis_names == AXIS_NAMES
    assert adapter.encoder.unknown.shape[0] == len(AXIS_NAMES)


def evaluate(folder: Path) -> None:
    """A ladder along the new axis, in the numbers, the plots and the page."""
    evaluate_tryon.run(
        EvaluateParams(
            num_people=1, num_rungs=2, num_steps=1, num_bootstrap=2, num_strip_people=1, image_sizes=()
        ),
        shards=folder / "shards",
        size_annotations=folder / "size_annotations.parquet",
        base=folder / "base",
        size=folder / "size",
        joint=folder / "size",
        out=folder / "reports",
        headline=folder / "headline.json",
    )
    metrics = json.loads((folder / "reports" / "metrics.json").read_text())
    assert [name for name in AXIS_NAMES if name in metrics["ladder"]] == OWN
    assert metrics["ladder"][NEW]["coverage"] is not None
    assert np.shape(metrics["ladder"]["cross_talk"]) == (len(AXIS_NAMES), len(AXIS_NAMES))
    assert (folder / "reports" / "plots" / f"ladder_{NEW}.csv").is_file()
    assert f"{NEW}_ratio" in (folder / "reports" / "report.html").read_text()


if __name__ == "__main__":
    assert AXIS_NAMES == ("shoulder", "width", "length", "waist", NEW)
    assert SizeRequest.parse(f"{NEW}=0.7", Category(CATEGORY))[NEW] == 0.7
    out = Path("made").absolute()
    out.mkdir()
    annotate(out)
    train(out)
    evaluate(out)
