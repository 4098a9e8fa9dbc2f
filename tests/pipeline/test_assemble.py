from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from model.bases import open_base
from model.bases.sdxl.networks import SdxlBase
from model.bases.tiny.networks import build_tiny_base
from pipeline.cli.evaluation import assemble
from tests.model.conftest import PRESET


def test_a_base_put_together_loads_as_one(tmp_path: Path) -> None:
    base = build_tiny_base(PRESET, seed=0)
    base.save_pretrained(tmp_path / "parts")
    vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4)
    vae.save_pretrained(tmp_path / "parts" / "vae")
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
    parts = {
        "inpainting": str(tmp_path / "parts"),
        "garment": str(tmp_path / "sdxl"),
        "ip_adapter": tmp_path / "ip_adapter.bin",
        "image_encoder": str(tmp_path / "parts" / "image_encoder"),
        "out": tmp_path / "out",
    }
    assemble(**parts, half=True)
    loaded = open_base(tmp_path / "out")
    assert loaded.tryon_unet.conv_in.weight.shape[1] == 13
    assert not loaded.tryon_unet.conv_in.weight[:, 9:].any()
    assert {weight.dtype for weight in loaded.tryon_unet.parameters()} == {torch.float16}
    (tmp_path / "out" / "base.json").unlink()
    assert type(loaded) is type(open_base(tmp_path / "out")) is SdxlBase, "as released, it says nothing"

    with pytest.raises(FileExistsError, match="exists already: name another folder"):
        assemble(**parts, half=True)
