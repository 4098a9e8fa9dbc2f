"""What a change costs: nothing that is made up here has a line in the product."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.testing import assert_close

from model.adapter.adapter import SizeAdapter
from model.bases import BASES, BaseEntry
from model.bases.base import TryOnBase
from model.params import DrawingOptions
from model.sampling import SizedDrawer, TryOnInputs
from pipeline import (
    train_base,
    train_size,
)
from pipeline.checkpoints import load_size_aware
from pipeline.cli.without_dvc import DataChain
from preprocess.sources.params import PrepareDatasetParams
from preprocess.sources.registry import SOURCES
from preprocess.sources.source import SourceSample
from preprocess.vocabulary import AXES_VARIABLE, Category, Lip
from shards.stream import SampleStream
from tests.data_stages import run_data_stages
from tests.made_up_base import MadeUpBase
from tests.pipeline.folders import blank_photo
from tests.preprocess.people import HEIGHT, WIDTH, body_25_numbers, openpose, person, tunic
from tests.shards.making import write_people
from tests.sizes import of_tops
from train.params import OptimisationParams, RuntimeParams, TrainBaseParams, TrainSizeParams, ValidationParams

ROOT = Path(__file__).parents[1]
THREE = OptimisationParams(steps=3, batch_size=4, learning_rate=1e-2, warmup_steps=0, ema_decay=0)
NAMES = ("ann", "bob")
AXIS = """    Axis(
        name="{name}",
        category=Category.{category},
        garment="{garment}",
        body="{body}",
        meaning="{garment} over {body}",
        asked=(0.2, 2.0),
        credible=(0.1, 3.0),
        step=0.05,
        usual=0.7,
        growth=2,
        region="waist",
        words=("straight", "wide"),
        colour=(0, 0, 0),
    ),
"""
AXES_END = ')\n"""Every axis of every category'


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
    with monkeypatch.context() as registered:
        registered.setitem(SOURCES, "wardrobes", Wardrobes)
        run_data_stages(tmp_path, PrepareDatasetParams(source="wardrobes", root=str(wardrobes)))
        by_command = DataChain(source="wardrobes", root=wardrobes).shard(
            "train", tmp_path, tmp_path / "again"
        )

    for folder in (tmp_path / "shards/train", by_command):
        stream = SampleStream(folder, batch_size=2, image_height=HEIGHT // 4, image_width=WIDTH // 4, seed=0)
        (batch,) = stream.epoch_batches()
        widths = dict(zip(batch.keys, batch.ratios[:, 1], strict=True))
        assert widths == pytest.approx({"ann": 1.2, "bob": 1.4}, abs=0.01)
        assert batch.categories == ["upper", "upper"]


def test_an_axis_is_a_row_of_the_table(tmp_path: Path) -> None:
    """In a copy of the project that differs in that row alone, every stage runs and knows the axis."""
    row = AXIS.format(name="taper", category="UPPER", garment="width", body="torso")
    copy_with(tmp_path, {"preprocess/sizes/axes.py": {AXES_END: row + AXES_END}})
    run_all_stages(tmp_path, "upper", "shoulder", "width", "length", "taper")


def test_a_category_is_a_line_in_each_of_its_tables(tmp_path: Path) -> None:
    """A garment that is measured as others are costs its name, its axes, what it covers and its source."""
    lengths = {"width": ("width", "shoulder"), "length": ("length", "torso"), "taper": ("width", "torso")}
    rows = "".join(
        AXIS.format(name=name, category="TUNIC", garment=garment, body=body)
        for name, (garment, body) in lengths.items()
    )
    labels, covered = "] = {\n    Category.UPPER: (Lip.", "COVERED = {"
    two = "TWO_GARMENTS: dict[Category, tuple[tuple[Lip, ...], tuple[Lip, ...]]] = {\n"
    edits = {
        "preprocess/vocabulary.py": {
            '    UPPER = "upper"\n': '    UPPER = "upper"\n    TUNIC = "tunic"\n',
            labels: labels.replace("    ", "    Category.TUNIC: (Lip.UPPER_CLOTHES,),\n    "),
            "TRIED_ON = (Category.UPPER, ": "TRIED_ON = (Category.UPPER, Category.TUNIC, ",
        },
        "preprocess/sizes/axes.py": {AXES_END: rows + AXES_END},
        "preprocess/garment/worn.py": {
            two: f"{two}    Category.TUNIC: ((Lip.UPPER_CLOTHES,), (Lip.COAT,)),\n"
        },
        "preprocess/body/inpaint_mask.py": {covered: f"{covered}Category.TUNIC: cover_upper, "},
        "preprocess/sources/viton_hd.py": {"y: Category = Category.UPPER": "y: Category = Category.TUNIC"},
    }
    copy_with(tmp_path, edits)
    run_all_stages(tmp_path, "tunic", *lengths)


def copy_with(folder: Path, edits: dict[str, dict[str, str]]) -> None:
    """Copy the product and replace text in its files, each once."""
    for package in ("preprocess", "shards", "model", "train", "eval", "pipeline"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, replaced in edits.items():
        text = (folder / name).read_text()
        for old, new in replaced.items():
            assert text.count(old) == 1
            text = text.replace(old, new)
        (folder / name).write_text(text)


def test_an_axis_that_is_switched_on_runs_through_every_stage(tmp_path: Path) -> None:
    run_all_stages(tmp_path, "upper", "shoulder", "width", "length", "sleeve", product=ROOT, on="sleeve")


def run_all_stages(
    folder: Path, category: str, *axes: str, product: Path | None = None, on: str = ""
) -> None:
    """Run `all_stages.py` in a folder, on the product there or on another one."""
    shutil.copy(ROOT / "tests" / "all_stages.py", folder)
    command = [sys.executable, "all_stages.py", category, *axes]
    environment = {**os.environ, AXES_VARIABLE: on, "PYTHONPATH": str(product or folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


QUIET = RuntimeParams(tracker="none", num_threads=1)


def test_a_made_up_base_learns_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged, trained, validated, loaded and drawn with by code that has never heard of it."""
    monkeypatch.setitem(BASES, MadeUpBase.name, BaseEntry(lambda: MadeUpBase, pretrained=True))
    released = tmp_path / "released"
    weights = MadeUpBase()
    with torch.no_grad():
        weights.time.bias.add_(1)  # as no fresh one has it
    weights.save_pretrained(released)
    shards = write_people(tmp_path / "shards")
    base, size = tmp_path / "base", tmp_path / "size"
    preset = TrainBaseParams(
        preset=MadeUpBase.name, pretrained=str(released), segmenter=THREE, critic=THREE, runtime=QUIET
    )
    train_base.run(preset, shards=shards, out=base)
    validation = ValidationParams(every=3, num_people=1, num_rungs=2, num_steps=2)
    learning = TrainSizeParams(optimisation=THREE, validation=validation, runtime=QUIET)
    train_size.run(learning, shards=shards, base=base, out=size)

    rows = list(csv.DictReader((size / "losses" / "adapter.csv").open()))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert all(np.isfinite(float(row["diffusion"])) for row in rows)
    assert (size / "validation" / "step-000003.png").is_file()
    networks, adapter = load_size_aware(base, size)
    assert_close(networks.state_dict(), weights.state_dict(), rtol=0, atol=0)
    assert not adapter.has_tokens
    assert_that_size_is_drawn(networks, adapter, shards)


def assert_that_size_is_drawn(networks: TryOnBase, adapter: SizeAdapter, shards: Path) -> None:
    """A request moves the picture; at scale 0 every bit is that of the base alone."""
    test = SampleStream(shards / "test", batch_size=2, image_height=32, image_width=24, seed=0)
    people = TryOnInputs.of(next(iter(test.epoch_batches())))

    def drawn(given: SizeAdapter | None, scale: float) -> NDArray[np.uint8]:
        options = DrawingOptions(num_steps=2, size_guidance=1, size_scale=scale)
        return SizedDrawer(networks, given, people, options, batch_size=1)(0, of_tops([[1.0, 2.0, 1.0]]))

    alone = drawn(None, 1.0)
    assert np.array_equal(drawn(adapter, 0.0), alone)
    assert not np.array_equal(drawn(adapter, 1.0), alone)
