"""What identifies a training run, how its batches are dealt, and what `train_joint` opens of the base."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model.adapter.adapter import SizeAdapter
from model.bases.tiny.networks import TinyPreset, build_tiny_base
from pipeline.checkpoints import load_layers
from pipeline.training.run import TrainingRun
from pipeline.training.size_task import open_adapter
from preprocess.sizes.axes import MEANINGS
from tests.shards.making import write_people
from train.params import (
    AugmentationParams,
    LossParams,
    OptimisationParams,
    RuntimeParams,
    TrainJointParams,
    TrainSizeParams,
)

PRESET = TinyPreset(
    image_height=32, image_width=32, vae_width=8, latent_channels=4, unet_channels=(16, 32, 32)
)


def begin(params: TrainSizeParams, folder: Path) -> TrainingRun:
    index = folder / "shards" / "train" / "index.json"
    index.parent.mkdir(parents=True, exist_ok=True)
    index.write_text("{}")
    return TrainingRun.begin("train_size", params, folder / "shards", folder / "size", (32, 32))


def test_a_run_with_other_parameters_has_other_checkpoints_and_one_that_runs_otherwise_has_the_same(
    tmp_path: Path,
) -> None:
    plain = begin(TrainSizeParams(), tmp_path)
    assert begin(TrainSizeParams(seed=1), tmp_path).checkpoint_dir != plain.checkpoint_dir
    elsewhere = TrainSizeParams(runtime=RuntimeParams(num_threads=7, gradient_accumulation=2))
    assert begin(elsewhere, tmp_path).checkpoint_dir == plain.checkpoint_dir
    (tmp_path / "shards" / "train" / "index.json").write_text("[]")
    again = TrainingRun.begin(
        "train_size", TrainSizeParams(), tmp_path / "shards", tmp_path / "size", (32, 32)
    )
    assert again.checkpoint_dir != plain.checkpoint_dir


def test_a_run_refuses_at_once_to_replace_what_no_stage_wrote_and_what_it_reads(tmp_path: Path) -> None:
    shards, out = write_people(tmp_path / "shards"), tmp_path / "base"
    out.mkdir()
    (out / "photo.png").touch()
    with pytest.raises(FileExistsError, match=r"base is no earlier result \(it has no record.json\)"):
        TrainingRun.begin("train_size", TrainSizeParams(), shards, out, (32, 32))
    (out / "record.json").touch()
    TrainingRun.begin("train_size", TrainSizeParams(), shards, out, (32, 32))
    with pytest.raises(ValueError, match="base, which is read"):
        TrainingRun.begin("train_size", TrainSizeParams(), shards, out, (32, 32), out)


def test_the_end_of_a_run_leaves_the_checkpoints_of_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shards, out = write_people(tmp_path / "shards"), tmp_path / "size"
    ended, broken = (
        TrainingRun.begin("train_size", TrainSizeParams(seed=seed), shards, out, (32, 32)) for seed in (0, 1)
    )
    for run in (ended, broken):
        run.checkpoint_dir.mkdir(parents=True)
    with caplog.at_level("INFO"), ended.output(out):
        pass
    assert list(broken.checkpoint_dir.parent.iterdir()) == [broken.checkpoint_dir]
    assert "checkpoints of 1 other runs" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO"), broken.output(out):
        pass
    assert list(broken.checkpoint_dir.parent.iterdir()) == []
    assert "other runs" not in caplog.text


@pytest.mark.parametrize("index", ["test/index.json", "train/latents/index.json"])
def test_a_run_that_reads_or_is_judged_by_other_shards_has_other_checkpoints(
    tmp_path: Path, index: str
) -> None:
    without = begin(TrainSizeParams(), tmp_path).fingerprint
    path = tmp_path / "shards" / index
    path.parent.mkdir()
    path.write_text("{}")
    before = begin(TrainSizeParams(), tmp_path).fingerprint
    path.write_text("[]")
    assert len({without, before, begin(TrainSizeParams(), tmp_path).fingerprint}) == 3


@pytest.mark.parametrize(
    "file",
    [
        "eval/ladder/figures.py",
        "model/adapter/adapter.py",
        "pipeline/train_size.py",
        "preprocess/vocabulary.py",
        "shards/stream.py",
        "train/loss.py",
    ],
)
def test_a_run_of_other_code_has_other_checkpoints(
    tmp_path: Path, edit: Callable[[str, str, str], None], file: str
) -> None:
    before = begin(TrainSizeParams(), tmp_path).fingerprint
    edit(file, "import ", "import heapq\nimport ")
    assert begin(TrainSizeParams(), tmp_path).fingerprint != before


@pytest.mark.parametrize(
    "file",
    ["pipeline/demo/page.py", "pipeline/demo/visit.py", "preprocess/sizes/chart.py", "eval/report/page.py"],
)
def test_a_killed_run_goes_on_after_an_edit_of_what_it_does_not_use(
    tmp_path: Path, edit: Callable[[str, str, str], None], file: str
) -> None:
    before = begin(TrainSizeParams(), tmp_path).checkpoint_dir
    edit(file, "import ", "import heapq\nimport ")
    assert begin(TrainSizeParams(), tmp_path).checkpoint_dir == before


def test_a_batch_that_cannot_be_dealt_evenly_is_refused(tmp_path: Path) -> None:
    run = begin(TrainSizeParams(runtime=RuntimeParams(gradient_accumulation=3)), tmp_path)
    with pytest.raises(ValueError, match=r"multiple of processes times gradient_accumulation \(3\), got 16"):
        run.share(OptimisationParams(steps=1, batch_size=16, learning_rate=1e-3))


def test_pictures_that_change_each_time_are_not_encoded_beforehand() -> None:
    colour = AugmentationParams(colour=0.1)
    with pytest.raises(ValueError, match="cache_encodings to false"):
        TrainSizeParams(augmentation=colour)
    TrainSizeParams(augmentation=colour, runtime=RuntimeParams(cache_encodings=False))
    TrainJointParams(augmentation=AugmentationParams(mirror=0.5))


def test_attention_layers_in_full_learn_and_come_back(tmp_path: Path) -> None:
    base = build_tiny_base(PRESET, seed=0).requires_grad_(False)
    unet, opened = base.denoiser, base.trainable("attention", rank=4)
    assert {name.split(".attn")[1][0] for name in opened} == {"1", "2"}
    assert any("to_k_ip" in name for name in opened)
    with torch.no_grad():
        for weight in opened.values():
            weight.add_(1)
    save_file({name: weight.detach() for name, weight in opened.items()}, tmp_path / "layers.safetensors")
    fresh = build_tiny_base(PRESET, seed=0).tryon_unet
    load_layers(fresh, tmp_path / "layers.safetensors")
    weights = dict(fresh.named_parameters())
    assert all(torch.equal(weights[name], weight) for name, weight in unet.named_parameters())
    save_file({"elsewhere.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"another UNet, which has no elsewhere\.weight"):
        load_layers(fresh, tmp_path / "other.safetensors")


def test_all_layers_of_the_denoiser_learn_and_none_of_the_rest() -> None:
    base = build_tiny_base(PRESET, seed=0).requires_grad_(False)
    opened = base.trainable("all", rank=4)
    assert opened.keys() == dict(base.denoiser.named_parameters()).keys()
    learning = [name for name, weight in base.named_parameters() if weight.requires_grad]
    assert all(name.startswith("tryon_unet.") for name in learning)


def test_a_controller_that_does_not_learn_has_no_layout_loss() -> None:
    adapter = SizeAdapter.for_sites(build_tiny_base(PRESET, seed=0).sites(), MEANINGS)
    loss = LossParams()
    assert open_adapter(adapter, loss, train_controller=True) == loss
    assert all(weight.requires_grad for weight in adapter.parameters())
    assert open_adapter(adapter, loss, train_controller=False) == replace(loss, layout=0.0)
    frozen = {name.split(".")[0] for name, weight in adapter.named_parameters() if not weight.requires_grad}
    assert frozen == {"controller"}
