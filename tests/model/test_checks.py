"""What a folder lacks is said without loading it, and memory is counted without holding it."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from model.bases.sdxl.checks import missing_parts, wrong_shapes, wrong_widths
from model.bases.sdxl.doctor import find_problems
from model.bases.sdxl.memory import (
    FullSizeNetworks,
    MemoryEstimate,
    memory_estimates,
    meta,
    peak_elements,
    saved_elements,
)
from model.bases.sdxl.networks import TryOnBase
from model.bases.sdxl.presets import SdxlPreset, TinyPreset
from tests.model.conftest import PRESET

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(base: TryOnBase, tmp_path: Path) -> Path:
    base.save_pretrained(tmp_path)
    return tmp_path


def test_a_whole_folder_has_no_problem(folder: Path) -> None:
    assert missing_parts(folder) == []
    assert wrong_widths(folder, PRESET) == []
    assert wrong_shapes(folder, PRESET) == []


def test_missing_parts_are_named(folder: Path) -> None:
    shutil.rmtree(folder / "vae")
    (folder / "unet" / WEIGHTS).unlink()
    (folder / "image_encoder" / "model.safetensors").unlink()
    (folder / "scheduler" / "scheduler_config.json").unlink()
    lines = missing_parts(folder)
    assert lines[0] == f"{folder / 'vae'}: missing"
    assert lines[1].startswith(
        f"no weights in {folder / 'unet'}: it has none of diffusion_pytorch_model.safe"
    )
    assert lines[2].startswith(f"no weights in {folder / 'image_encoder'}: it has none of model.safetensors")
    assert lines[3] == f"no scheduler_config.json in {folder / 'scheduler'}"
    assert len(lines) == 4
    assert missing_parts(folder / "nowhere") == [
        f"{folder / 'nowhere'}: no such folder; download the base there, or give its path"
    ]


def test_an_encoder_that_does_not_fit_is_named(folder: Path) -> None:
    config = folder / "image_encoder" / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 48', '"hidden_size": 1664'))
    assert wrong_widths(folder, PRESET) == [f"{folder}: image_encoder: hidden_size must be 48, got 1664"]


def test_weights_of_another_shape_are_named_from_their_headers(folder: Path) -> None:
    assert len(wrong_shapes(folder, TinyPreset())) == 2
    weights = load_file(folder / "unet" / WEIGHTS)
    weights["conv_in.weight"] = weights["conv_in.weight"][:, :4].contiguous()
    save_file(weights, folder / "unet" / WEIGHTS)
    (problem,) = wrong_shapes(folder, PRESET)
    assert problem.endswith("1 of another shape:\n  conv_in.weight: (16, 4, 3, 3) for (16, 13, 3, 3)")


def test_weights_in_pickles_are_checked_too(folder: Path) -> None:
    weights = load_file(folder / "unet" / WEIGHTS)
    (folder / "unet" / WEIGHTS).unlink()
    torch.save(weights, folder / "unet" / "diffusion_pytorch_model.bin")
    assert missing_parts(folder) == []
    assert wrong_shapes(folder, PRESET) == []


def test_peak_counts_what_lives_at_once() -> None:
    def work() -> None:
        first = meta(10) + 1
        second = first.view(2, 5) * 2  # 20 live, the view shares
        del first
        second + 1  # the view's base is gone: 20 again

    assert peak_elements(work) == 20


def test_saved_counts_activations_but_no_weights() -> None:
    with torch.device("meta"):
        layers = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    # the input (2 x 3) and the hidden layer (2 x 5), once
    assert saved_elements(lambda: layers(meta(2, 3)), layers) == 6 + 10


def test_an_estimate_reads_as_a_line() -> None:
    estimate = MemoryEstimate(stage="inference", weights=2**31, training=0, activations=2**30)
    assert str(estimate) == "inference: 3.0 GiB (weights 2.0, training 0.0, activations 1.0)"


def test_the_doctor_looks_at_shapes_once_nothing_is_missing(folder: Path) -> None:
    problems = find_problems(SdxlPreset(), folder)
    assert ["of another shape" in problem for problem in problems] == [False, False, False, True, True]
    assert find_problems(SdxlPreset(), folder / "nowhere") == missing_parts(folder / "nowhere")


@pytest.mark.slow
def test_full_size_estimates_are_in_the_known_range() -> None:
    """2 x 2.57 B weights in half precision are 10.3 GB; trained attention layers dominate the joint stage."""
    inference, size, joint = memory_estimates(FullSizeNetworks(SdxlPreset(), bytes_per_weight=2))
    assert 12e9 < inference.weights < 16e9
    assert inference.total < 24 * 2**30
    assert size.training < 0.2e9
    assert size.total < 24 * 2**30 < joint.total
