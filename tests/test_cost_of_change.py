"""What is made up here works without a line of the product: one entry in a table, and everything follows."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import compute_size_ratios, extract_keypoints, prepare_dataset, write_shards
from pipeline.cli.without_dvc import DataChain
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.sources.params import PrepareDatasetParams
from preprocess.sources.registry import SOURCES
from preprocess.sources.source import SourceSample
from preprocess.vocabulary import Category, Lip
from shards.params import WriteShardsParams
from shards.stream import SampleStream
from tests.pipeline.folders import blank_photo
from tests.preprocess.people import HEIGHT, WIDTH, body_25_numbers, openpose, person, tunic

NAMES = ("ann", "bob")


@dataclass(frozen=True)
class Wardrobes:
    """A made-up data set, all of it: a folder a person."""

    root: Path
    split: str | None = None
    name: str = "wardrobes"

    def samples(self) -> Iterator[SourceSample]:
        for folder in sorted(self.root.iterdir()):
            yield SourceSample(
                key=folder.name,
                split="train",
                category=Category.UPPER,
                image=folder / "me.jpg",
                cloth=folder / "shirt.jpg",
                parse=folder / "labels.png",
                openpose_json=folder / "joints.json",
            )


@pytest.fixture
def wardrobes(tmp_path: Path) -> Path:
    """Two people in tunics whose width is 1.2 and 1.4 times the distance of their shoulders."""
    for name, width in zip(NAMES, (240, 280), strict=True):
        folder = tmp_path / "wardrobes" / name
        folder.mkdir(parents=True)
        for photo in ("me.jpg", "shirt.jpg"):
            (folder / photo).write_bytes(blank_photo())
        Image.fromarray(np.where(tunic(width=width), Lip.UPPER_CLOTHES, 0).astype(np.uint8)).save(
            folder / "labels.png"
        )
        (folder / "joints.json").write_text(json.dumps(openpose(body_25_numbers(person()))))
    return tmp_path / "wardrobes"


def test_a_data_set_is_a_class_and_a_line(
    wardrobes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dict(SOURCES)
    with monkeypatch.context() as registered:
        registered.setitem(SOURCES, "wardrobes", Wardrobes)
        tables = {
            name: tmp_path / f"{name}.parquet" for name in ("manifest", "keypoints", "size_annotations")
        }
        manifest, keypoints = tables["manifest"], tables["keypoints"]
        params = PrepareDatasetParams(source="wardrobes", root=str(wardrobes))
        prepare_dataset.run(params, raw=tmp_path / "raw", out=manifest)
        extract_keypoints.run(ExtractKeypointsParams(workers=1), manifest=manifest, out=keypoints)
        compute_size_ratios.run(
            SizeRatioParams(workers=1), manifest=manifest, keypoints=keypoints, out=tables["size_annotations"]
        )
        write_shards.run(WriteShardsParams(num_workers=0), **tables, out=tmp_path / "shards")
        by_command = DataChain(source="wardrobes", root=wardrobes).shard(
            "train", tmp_path, tmp_path / "again"
        )
    assert before == SOURCES

    for folder in (tmp_path / "shards/train", by_command):
        stream = SampleStream(folder, batch_size=2, image_height=HEIGHT // 4, image_width=WIDTH // 4, seed=0)
        (batch,) = stream.epoch_batches()
        widths = dict(zip(batch.keys, batch.ratios[:, 1], strict=True))
        assert widths == pytest.approx({"ann": 1.2, "bob": 1.4}, abs=0.01)
        assert batch.categories == ["upper", "upper"]
