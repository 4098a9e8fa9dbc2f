"""A base from SDXL inpainting and IP-Adapter computes at first what those compute."""

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.testing import assert_close

from model.bases.sdxl.networks import SdxlBase
from model.bases.sdxl.starting import start_from_inpainting
from tests.model.conftest import PRESET

CAPTIONED = {"text_embeds": torch.ones(1, 32), "time_ids": torch.ones(1, 6)}


def stock_unet(in_channels: int) -> UNet2DConditionModel:
    torch.manual_seed(in_channels)
    return UNet2DConditionModel(**PRESET.unet_config(in_channels)).eval()


def ip_adapter_weights(base: SdxlBase) -> dict[str, dict[str, Tensor]]:
    """Random weights in the form of the released file, nested and numbered."""
    unet = base.tryon_unet
    generator = torch.Generator().manual_seed(4)
    layers = enumerate(unet.attn_processors)
    shapes = {
        f"{number}.to_{kind}_ip.weight": (unet.get_submodule(name.removesuffix(".processor")).inner_dim, 64)
        for number, name in layers
        if "attn2" in name
        for kind in "kv"
    }
    projections = {name: 0.1 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return {"image_proj": base.resampler.state_dict(), "ip_adapter": projections}


@pytest.fixture(params=[4, 9])
def in_channels(request: pytest.FixtureRequest) -> int:
    """Of the UNet that is started from: a plain SDXL, or one for inpainting."""
    return request.param


@pytest.fixture
def folders(base: SdxlBase, tmp_path: Path, in_channels: int) -> dict[str, Path]:
    inpainting, garment, encoder = (tmp_path / name for name in ("inpainting", "sdxl", "clip"))
    base.save_pretrained(inpainting)
    stock_unet(in_channels).save_pretrained(inpainting / "unet")
    stock_unet(4).save_pretrained(garment / "unet")
    base.image_encoder.save_pretrained(encoder)
    torch.save(ip_adapter_weights(base), tmp_path / "ip_adapter.bin")
    return {
        "inpainting": inpainting,
        "garment": garment,
        "ip_adapter": tmp_path / "ip_adapter.bin",
        "image_encoder": encoder,
    }


def stock_ip_adapter(weights: dict[str, dict[str, Tensor]], in_channels: int) -> UNet2DConditionModel:
    """The UNet that is started from with diffusers' own IP-Adapter processors."""
    unet = stock_unet(in_channels)
    processors = dict(unet.attn_processors)
    for number, name in enumerate(list(processors)):
        if "attn2" in name:
            attn = unet.get_submodule(name.removesuffix(".processor"))
            processor = IPAdapterAttnProcessor2_0(attn.inner_dim, attn.cross_attention_dim, num_tokens=(16,))
            for kind in ("to_k_ip", "to_v_ip"):
                projection: nn.ModuleList = getattr(processor, kind)
                projection[0].weight.data = weights["ip_adapter"][f"{number}.{kind}.weight"]
            processors[name] = processor
    unet.set_attn_processor(processors)
    return unet


@torch.no_grad()
def test_starts_at_the_numbers_of_inpainting_with_ip_adapter(
    base: SdxlBase, folders: dict[str, Path], in_channels: int
) -> None:
    weights = ip_adapter_weights(base)
    started = start_from_inpainting(**folders)
    sample, text, tokens = torch.randn(1, 13, 16, 12), torch.randn(1, 8, 64), torch.randn(1, 16, 64)
    reference = stock_ip_adapter(weights, in_channels)
    known, image = sample[:, :in_channels], (text, [tokens[:, None]])
    expected = reference(known, 500, image, added_cond_kwargs=CAPTIONED).sample
    actual = started.tryon_unet(
        sample,
        500,
        text,
        class_labels=torch.zeros(1, 1),
        added_cond_kwargs=CAPTIONED,
        cross_attention_kwargs={"image_tokens": tokens},
    ).sample
    assert_close(actual, expected, rtol=0, atol=1e-5)
    assert_close(started.resampler.state_dict(), weights["image_proj"])
    assert started.tryon_unet.config.in_channels == 13


@pytest.mark.parametrize("in_channels", [9], indirect=True)
def test_safetensors_and_bin_are_the_same(base: SdxlBase, folders: dict[str, Path]) -> None:
    weights = ip_adapter_weights(base)
    flat = {
        f"{part}.{name}": x.contiguous() for part, tensors in weights.items() for name, x in tensors.items()
    }
    file = folders["ip_adapter"].with_suffix(".safetensors")
    save_file(flat, file)
    first, second = (
        start_from_inpainting(**folders | {"ip_adapter": f}) for f in (file, folders["ip_adapter"])
    )
    assert_close(first.tryon_unet.state_dict(), second.tryon_unet.state_dict())


@pytest.mark.parametrize("in_channels", [9], indirect=True)
def test_an_ip_adapter_of_another_network_is_refused(base: SdxlBase, folders: dict[str, Path]) -> None:
    weights = ip_adapter_weights(base)
    weights["ip_adapter"]["99.to_k_ip.weight"] = weights["ip_adapter"].pop("1.to_k_ip.weight")
    torch.save(weights, folders["ip_adapter"])
    with pytest.raises(ValueError, match=r"1 missing:\n  1\.to_k_ip\.weight\n1 not expected:\n  99\.to_k_ip"):
        start_from_inpainting(**folders)
