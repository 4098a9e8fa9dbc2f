"""Every stage on real photos of each source, with a handful of training steps: from files to a report."""

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from eval.params import EvaluateParams
from model.adapter.adapter import SizeAdapter
from pipeline import (
    evaluate_tryon,
    train_base,
    train_joint,
    train_size,
)
from pipeline.checkpoints import load_size_aware, read_record
from preprocess.identity import files_below
from preprocess.sources.params import PrepareDatasetParams
from preprocess.vocabulary import Category
from tests.data_stages import run_data_stages
from tests.shared_data import shared_data
from train.params import (
    AugmentationParams,
    OptimisationParams,
    RuntimeParams,
    TrainBaseParams,
    TrainJointParams,
    TrainSizeParams,
    ValidationParams,
)

SHORT = ValidationParams(every=1, num_people=2, num_rungs=2, num_steps=1)
FEW = OptimisationParams(steps=2, batch_size=4, learning_rate=1e-3, warmup_steps=0)


def viton_hd(_: Path) -> PrepareDatasetParams:
    """Eleven people in VITON-HD's layout, of whom those of the train split have no JSON."""
    return PrepareDatasetParams(source="viton_hd", root=str(shared_data() / "data/vitonhd"))


def dress_code_uppers(_: Path) -> PrepareDatasetParams:
    """Six tops of Dress Code."""
    root = str(shared_data() / "data/dress_code")
    return PrepareDatasetParams(source="dress_code", root=root, category=Category.UPPER)


def dress_code(_: Path) -> PrepareDatasetParams:
    """Six tops, six trousers and skirts, six dresses."""
    return PrepareDatasetParams(source="dress_code", root=str(shared_data() / "data/dress_code"))


def photos_with_parse_maps(folder: Path) -> PrepareDatasetParams:
    """The same eleven photos in a folder of their own, with nothing but parse maps beside them."""
    root = folder / "photos"
    root.mkdir()
    for parse in (shared_data() / "data/vitonhd").glob("*/image-parse-v3/*.png"):
        photo = parse.parents[1] / "image" / f"{parse.stem}.jpg"
        (root / photo.name).symlink_to(photo)
        (root / f"{parse.stem}.parse.png").symlink_to(parse)
    return PrepareDatasetParams(source="folder", root=str(root))


@pytest.fixture(
    scope="module",
    params=[viton_hd, dress_code_uppers, dress_code, photos_with_parse_maps],
    ids=lambda source: source.__name__,
)
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data stages' files of a source, all by default; photos without JSON go through MediaPipe."""
    folder = tmp_path_factory.mktemp("photos")
    model = shared_data() / "models" / "pose_landmarker_full.task"
    run_data_stages(folder, request.param(folder), mediapipe_model=str(model))
    return folder


@pytest.fixture(scope="module")
def trained(data: Path) -> Path:
    """The three training stages after a handful of steps."""
    train_base.run(
        TrainBaseParams(autoencoder=FEW, encoders=FEW, unets=FEW, segmenter=FEW, critic=FEW),
        shards=data / "shards",
        out=data / "base",
    )
    before = {file: file.read_bytes() for file in files_below(data / "base")}
    shards, base, size, joint = (data / name for name in ("shards", "base", "size", "joint"))
    train_size.run(TrainSizeParams(optimisation=FEW, validation=SHORT), shards=shards, base=base, out=size)
    assert all(file.read_bytes() == content for file, content in before.items())
    joint_params = TrainJointParams(
        optimisation=FEW,
        validation=SHORT,
        augmentation=AugmentationParams(mirror=0.5),
        runtime=RuntimeParams(channels_last=True),
    )
    train_joint.run(joint_params, shards=shards, base=base, size=size, out=joint)
    return data


@pytest.mark.parametrize("data", [viton_hd], indirect=True, ids=["viton_hd"])
def test_every_photo_has_a_row_and_ratios_are_plausible(data: Path) -> None:
    rows = pq.read_table(data / "size_annotations.parquet").to_pylist()
    assert [row["split"] for row in rows] == 6 * ["test"] + 5 * ["train"]
    assert {row["status"] for row in rows} <= {"ok", "suspect"}
    assert {row["keypoint_source"] for row in rows} == {"openpose", "mediapipe"}
    known = [row["width_ratio"] for row in rows if "width_unknown" not in row["reason"]]
    assert len(known) == 9  # an arm is crossed before one panel, a joint of another is out of the frame
    assert all(0.7 < ratio < 2.2 for ratio in known)
    assert all(0.5 < row["length_ratio"] < 1.5 for row in rows)


def test_training_leaves_whole_outputs_and_no_checkpoints(trained: Path) -> None:
    assert read_record(trained / "base")["image_height"] == 96
    assert not [path for path in (trained / "work" / "checkpoints").rglob("*") if path.is_file()]
    for stage in ("size", "joint"):
        assert read_record(trained / stage)["base"] == read_record(trained / "base")["fingerprint"]
        found = sorted(path.name for path in (trained / stage / "validation").iterdir())
        assert found == ["step-000001.json", "step-000001.png", "step-000002.json", "step-000002.png"]
        figures = json.loads((trained / stage / "validation" / "step-000002.json").read_text())
        assert figures["score"] == pytest.approx(
            sum(figures[f"{name}_order_accuracy"] for name in ("shoulder", "width", "length")) / 3
        )
    _, size_only = load_size_aware(trained / "base", trained / "size")
    networks, joint = load_size_aware(trained / "base", trained / "joint")
    assert isinstance(size_only, SizeAdapter)
    assert isinstance(joint, SizeAdapter)
    changed = zip(size_only.parameters(), joint.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in changed)
    assert any("lora" in name for name, _ in networks.tryon_unet.named_parameters())


def test_the_report_is_written(trained: Path) -> None:
    evaluate_tryon.run(
        EvaluateParams(num_people=4, num_rungs=2, num_steps=1, num_bootstrap=20, num_strip_people=2),
        shards=trained / "shards",
        size_annotations=trained / "size_annotations.parquet",
        base=trained / "base",
        size=trained / "size",
        joint=trained / "joint",
        headline=trained / "headline.json",
        out=trained / "reports",
    )
    assert (trained / "headline.json").read_text() == (trained / "reports" / "headline.json").read_text()
    metrics = json.loads((trained / "reports" / "metrics.json").read_text())
    assert metrics["image"]["outside_mask_mean_abs_difference"] <= 1
    assert set(metrics["ladder"]) >= {"shoulder", "width", "length"}
    page = (trained / "reports" / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
