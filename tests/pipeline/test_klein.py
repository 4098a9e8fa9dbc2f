"""FLUX.2 klein from a folder in its released layout, at a size for tests, to a published one."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from torch.testing import assert_close

from model.bases.flux2_klein.networks import KleinBase
from model.judges.segmenter import Segmenter
from model.publishing import load_pipeline
from pipeline import train_base, train_joint, train_size
from pipeline.checkpoints import load_size_aware
from pipeline.params import load_params
from pipeline.tryon.loading import publish
from pipeline.tryon.size_aware import SizeAwareTryOn
from preprocess.body.inpaint_mask import MaskParams
from preprocess.identity import ROOT
from tests.model.klein import small_klein
from tests.shards.making import write_people
from train.params import (
    OptimisationParams,
    RuntimeParams,
    TrainBaseParams,
    TrainJointParams,
    TrainSizeParams,
    ValidationParams,
)

TWO = OptimisationParams(steps=2, batch_size=2, learning_rate=1e-3, warmup_steps=0)
RUNTIME = RuntimeParams(tracker="none", num_threads=1, gradient_checkpointing=True, cache_encodings=False)


@pytest.mark.parametrize(
    ("stage", "usual", "changed", "reason"),
    [
        ("evaluate_tryon", "sampler: ddim", "sampler: unipc", "sampler must be ddim and eta 0"),
        ("evaluate_tryon", "eta: 0.0", "eta: 1.0", "sampler must be ddim and eta 0"),
        *(
            (
                stage,
                "mixed_precision: no",
                "mixed_precision: fp16",
                f"{stage}.runtime.mixed_precision must be no or bf16 for this base, got fp16",
            )
            for stage in ("train_base", "train_size", "train_joint")
        ),
    ],
)
def test_what_its_networks_cannot_do_stops_the_first_stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: str, usual: str, changed: str, reason: str
) -> None:
    before, section = (ROOT / "params.yaml").read_text().split(f"\n{stage}:")
    assert usual in section
    text = f"{before}\n{stage}:{section.replace(usual, changed, 1)}"
    file = tmp_path / "params.yaml"
    file.write_text(text)
    assert load_params(file).train_base.preset == "tiny"  # which can
    assert text.count("preset: tiny ") == 1
    file.write_text(text.replace("preset: tiny ", "preset: tiny_klein "))
    with pytest.raises(SystemExit, match="2"):
        load_params(file)
    assert reason in capsys.readouterr().err


def test_judges_learn_beside_a_base_in_half_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KleinBase, "picture_hw", (128, 96))
    small_klein(KleinBase).to(torch.bfloat16).save_pretrained(tmp_path / "released")
    write_people(tmp_path / "shards")
    judged = TrainBaseParams(
        preset="flux2_klein",
        pretrained=str(tmp_path / "released"),
        segmenter=TWO,
        critic=TWO,
        runtime=replace(RUNTIME, mixed_precision="bf16"),  # as the settings for released weights ask
    )
    AcceleratorState._reset_state(reset_partial_state=True)  # a process has one precision, of the test before
    try:
        train_base.run(judged, shards=tmp_path / "shards", out=tmp_path / "base")
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    for name in ("segmenter", "critic"):
        rows = list(csv.DictReader((tmp_path / "base" / "losses" / f"{name}.csv").open()))
        assert rows
        assert all(np.isfinite(float(row["loss"])) for row in rows)


def test_it_learns_sizes_and_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KleinBase, "picture_hw", (128, 96))
    released = tmp_path / "released"
    weights = small_klein(KleinBase).to(torch.bfloat16)  # as it is stored
    weights.save_pretrained(released)
    (released / "base.json").unlink()  # as it is downloaded
    shards, base, size, joint = (tmp_path / name for name in ("shards", "base", "size", "joint"))
    write_people(shards)
    judged = TrainBaseParams(
        preset="flux2_klein", pretrained=str(released), segmenter=TWO, critic=TWO, runtime=RUNTIME
    )
    train_base.run(judged, shards=shards, out=base)
    validation = ValidationParams(every=2, num_people=1, num_rungs=2, num_steps=2)
    learning = TrainSizeParams(optimisation=TWO, validation=validation, runtime=RUNTIME)
    half = replace(learning, runtime=replace(RUNTIME, mixed_precision="fp16"))
    with pytest.raises(ValueError, match=r"train_size\.runtime\.mixed_precision must be no or bf16"):
        train_size.run(half, shards=shards, base=base, out=size)
    train_size.run(learning, shards=shards, base=base, out=size)
    both = TrainJointParams(
        optimisation=TWO, validation=validation, runtime=RUNTIME, base_layers="lora", lora_rank=2
    )
    train_joint.run(both, shards=shards, base=base, size=size, out=joint)

    rows = list(csv.DictReader((joint / "losses" / "joint.csv").open()))
    assert all(np.isfinite(float(row["diffusion"])) for row in rows)
    networks, adapter = load_size_aware(base, size)
    assert_close(networks.state_dict(), weights.state_dict(), rtol=0, atol=0, check_dtype=False)
    assert adapter.residuals.heads[0].weight.any()

    hw = {"image_height": 128, "image_width": 96}
    judge = Segmenter.from_pretrained(base / "segmenter")
    tryon = SizeAwareTryOn(*load_size_aware(base, joint), **hw, mask=MaskParams(), segmenter=judge)
    layer = tryon.base.denoiser.transformer_blocks[0].attn.to_q
    weight = layer.get_base_layer().weight.float()
    update = layer.get_delta_weight(layer.active_adapters[0]).float()
    publish(tryon, tmp_path / "published")
    assert "license: apache-2.0\n" in (tmp_path / "published" / "README.md").read_text()
    opened, _, segmenter = load_pipeline(tmp_path / "published")
    assert type(opened) is KleinBase
    assert segmenter is not None
    learned = opened.transformer.transformer_blocks[0].attn.to_q.weight - weight
    assert 0 < update.abs().max() < 2**-9  # bf16 has 8 bits: most of it would be rounded away
    assert_close(learned, update, rtol=1e-2, atol=1e-8)  # which was multiplied in bf16
