"""What is handed on computes what was trained, and a base put together can be started from."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig
from torch import Tensor
from torch.testing import assert_close

from model.publishing import load_pipeline
from model.size_conditioning import SizeAdapter
from model.tiny import build_tiny_base
from model.tryon import TryOnBase
from pipeline.checkpoints import RECORD
from pipeline.publish import assemble, publish
from tests.model.conftest import LATENT_HW, PRESET, jolt

PROVENANCE = {"stage": "train_joint", "data_hash": "abc"}


@torch.no_grad()
def predict(unet: UNet2DConditionModel) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(1, 13, *LATENT_HW, generator=generator)
    added = {"text_embeds": torch.ones(1, 32), "time_ids": torch.ones(1, 6)}
    labels = torch.zeros(1, 1)
    return unet(sample, 500, torch.ones(1, 8, 64), class_labels=labels, added_cond_kwargs=added).sample


def save_base(base: TryOnBase, folder: Path) -> Path:
    base.save_pretrained(folder)
    (folder / RECORD).write_text(json.dumps({"params": {"preset": "tiny"}}))
    return folder


def save_joint(base: TryOnBase, folder: Path) -> Path:
    """Write an adapter and low-rank updates that are not zero."""
    jolt(SizeAdapter.for_unet(base.tryon_unet)).save_pretrained(folder / "adapter", PROVENANCE)
    base.tryon_unet.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_out.0", "conv1"]))
    with torch.no_grad():
        for name, weight in base.tryon_unet.named_parameters():
            if "lora_" in name:
                weight.fill_(0.05)
    base.tryon_unet.save_lora_adapter(folder / "lora")
    (folder / RECORD).write_text("{}")
    return folder


def test_low_rank_updates_become_part_of_what_is_published(tmp_path: Path) -> None:
    base = build_tiny_base(PRESET, seed=0)
    plain = predict(base.tryon_unet)
    folders = {"base": save_base(base, tmp_path / "base"), "checkpoint": save_joint(base, tmp_path / "joint")}
    trained = predict(base.tryon_unet)
    assert not torch.allclose(trained, plain, atol=1e-2)

    publish(**folders, out=tmp_path / "out")
    published, adapter = load_pipeline(tmp_path / "out")
    assert_close(predict(published.tryon_unet), trained, rtol=0, atol=1e-5)
    assert_close(adapter.state_dict(), SizeAdapter.from_pretrained(tmp_path / "joint/adapter").state_dict())
    assert DiffusionPipeline.load_config(tmp_path / "out")["_class_name"] == "SizeTryOnPipeline"
    assert '"data_hash": "abc"' in (tmp_path / "out" / "README.md").read_text()
    assert [path.name for path in tmp_path.glob(".*")] == []

    with pytest.raises(FileExistsError, match="exists already: name another folder"):
        publish(**folders, out=tmp_path / "out")


def test_a_base_put_together_loads_as_one(tmp_path: Path) -> None:
    base = build_tiny_base(PRESET, seed=0)
    base.save_pretrained(tmp_path / "parts")
    for part, seed, channels in (("inpainting", 1, 9), ("sdxl", 2, 4)):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(**PRESET.unet_config(channels))
        if part == "inpainting":
            unet.save_pretrained(tmp_path / "parts" / "unet")
        unet.save_pretrained(tmp_path / part / "unet")
    names = list(base.tryon_unet.attn_processors)
    attention = {
        f"{number}.{kind}.weight": base.tryon_unet.state_dict()[f"{name}.{kind}.weight"]
        for number, name in enumerate(names)
        for kind in ("to_k_ip", "to_v_ip")
        if "attn2" in name
    }
    weights = {"image_proj": base.resampler.state_dict(), "ip_adapter": attention}
    torch.save(weights, tmp_path / "ip_adapter.bin")
    assemble(
        inpainting=str(tmp_path / "parts"),
        garment=str(tmp_path / "sdxl"),
        ip_adapter=tmp_path / "ip_adapter.bin",
        image_encoder=str(tmp_path / "parts" / "image_encoder"),
        out=tmp_path / "out",
        half=True,
    )
    loaded = TryOnBase.from_pretrained(tmp_path / "out")
    assert loaded.tryon_unet.conv_in.weight.shape[1] == 13
    assert not loaded.tryon_unet.conv_in.weight[:, 9:].any()
    assert {weight.dtype for weight in loaded.tryon_unet.parameters()} == {torch.float16}
