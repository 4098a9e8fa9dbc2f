"""What a folder lacks is said without loading it, and memory is counted without holding it."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.bases.folders import missing_parts, stored_bytes
from model.bases.memory import GIB, USUAL_RANK, num_weights
from model.bases.sdxl.doctor import (
    ENCODER_WEIGHTS,
    find_problems,
    garment_unet_of,
    stages,
    to_draw,
    to_train,
    tryon_unet_of,
)
from model.bases.sdxl.loading import PARTS
from model.bases.sdxl.networks import SdxlBase
from model.bases.sdxl.presets import SdxlPreset
from model.bases.tiny.networks import TinyPreset
from model.params import SWITCHES
from tests.model.conftest import PRESET
from train.params import TrainJointParams

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(base: SdxlBase, tmp_path: Path) -> Path:
    base.save_pretrained(tmp_path)
    return tmp_path


def test_a_whole_folder_has_no_problem(folder: Path) -> None:
    assert missing_parts(folder, PARTS) == []
    assert find_problems(PRESET, folder) == []


def test_missing_parts_are_named(folder: Path) -> None:
    shutil.rmtree(folder / "vae")
    (folder / "unet" / WEIGHTS).unlink()
    (folder / "image_encoder" / "model.safetensors").unlink()
    (folder / "scheduler" / "scheduler_config.json").unlink()
    lines = missing_parts(folder, PARTS)
    assert lines[0] == f"{folder / 'vae'}: missing"
    assert lines[1].startswith(
        f"no weights in {folder / 'unet'}: it has none of diffusion_pytorch_model.safe"
    )
    assert lines[2].startswith(f"no weights in {folder / 'image_encoder'}: it has none of model.safetensors")
    assert lines[3] == f"no scheduler_config.json in {folder / 'scheduler'}"
    assert len(lines) == 4
    assert missing_parts(folder / "nowhere", PARTS) == [
        f"{folder / 'nowhere'}: no such folder; download the base there, or give its path"
    ]


def test_an_encoder_that_does_not_fit_is_named(folder: Path) -> None:
    config = folder / "image_encoder" / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 48', '"hidden_size": 1664'))
    assert find_problems(PRESET, folder) == [f"{folder}: image_encoder: hidden_size must be 48, got 1664"]


def test_weights_of_another_shape_are_named_from_their_headers(folder: Path) -> None:
    assert sum("of another shape" in problem for problem in find_problems(TinyPreset(), folder)) == 2
    weights = load_file(folder / "unet" / WEIGHTS)
    weights["conv_in.weight"] = weights["conv_in.weight"][:, :4].contiguous()
    save_file(weights, folder / "unet" / WEIGHTS)
    (problem,) = find_problems(PRESET, folder)
    assert problem.endswith("1 of another shape:\n  conv_in.weight: (16, 4, 3, 3) for (16, 17, 3, 3)")


def test_weights_in_pickles_are_checked_too(folder: Path) -> None:
    weights = load_file(folder / "unet" / WEIGHTS)
    (folder / "unet" / WEIGHTS).unlink()
    torch.save(weights, folder / "unet" / "diffusion_pytorch_model.bin")
    assert missing_parts(folder, PARTS) == []
    assert find_problems(PRESET, folder) == []


def test_how_weights_are_stored_is_read_from_their_header(folder: Path, base: SdxlBase) -> None:
    assert stored_bytes(folder / "unet") == 4
    base.to(torch.float16).save_pretrained(folder)
    assert stored_bytes(folder / "unet") == 2
    assert stored_bytes(folder / "nowhere" / "unet") == 4


def test_the_doctor_looks_at_shapes_once_nothing_is_missing(folder: Path) -> None:
    problems = find_problems(SdxlPreset(), folder)
    assert ["of another shape" in problem for problem in problems] == [False, False, False, True, True]
    assert find_problems(SdxlPreset(), folder / "nowhere") == missing_parts(folder / "nowhere", PARTS)


def test_full_size_memory_is_what_a_walk_through_every_tensor_found() -> None:
    """2 x 2.57 B weights in half precision are 10.3 GB; trained attention layers dominate the joint stage."""
    tryon, garment = num_weights(tryon_unet_of(SdxlPreset())), num_weights(garment_unet_of(SdxlPreset()))
    drawing = {name: to_draw(tryon, garment, switches, 4) for name, switches in SWITCHES.items()}
    assert {name: round(sum(needed) / GIB, 1) for name, needed in drawing.items()} == {
        "off": 44.5,
        "24": 14.0,
        "16": 6.3,
        "8": 6.2,
    }
    frozen = tryon + garment + sum(ENCODER_WEIGHTS.values())
    assert round(sum(to_draw(tryon, garment, SWITCHES["off"], 2)) / GIB, 1) == 22.2
    assert round(sum(to_train(frozen, 0, 2)) / GIB, 1) == 13.9
    assert round(sum(to_train(frozen, 0, 4)) / GIB, 1) == 27.1
    joint = {name: str(memory) for name, memory in stages(tryon_unet_of(SdxlPreset()), garment, 2).items()}
    assert joint["train_joint with attention in full"] == (
        "30.8 GiB (30.2 of weights counted, 0.6 beside them estimated)"
    )
    assert TrainJointParams().lora_rank == USUAL_RANK
    assert joint["train_joint with LoRA of rank 16"].startswith("14.6 GiB"), "48,048,128 of 16 bytes more"
