"""A base from SDXL inpainting and IP-Adapter computes at first what those compute."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.testing import assert_close

from model.bases.autoencoded import decode_latents, encode_images, load_autoencoder
from model.bases.sdxl.conditioning import NEGATIVE_PROMPT, encode_text
from model.bases.sdxl.networks import SdxlBase
from model.bases.sdxl.starting import start_from_inpainting
from tests.model.catvton import small_autoencoder
from tests.model.conftest import PRESET, photos

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
    small_autoencoder().save_pretrained(inpainting / "vae")
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


@pytest.mark.parametrize("in_channels", [9], indirect=True)
@torch.no_grad()
def test_guidance_leads_away_from_what_idm_vton_leads_away_from(folders: dict[str, Path]) -> None:
    started = start_from_inpainting(**folders)
    told = started.told(photos())
    told = started.with_garment(told, torch.tensor(0))
    other = told.unconditional()
    text, pooled = encode_text(started.text_stages(), [NEGATIVE_PROMPT])
    assert_close(other.text, text.expand_as(told.text))
    assert_close(other.pooled_text, pooled.expand_as(told.pooled_text))
    side = started.image_encoder.config.image_size
    seen = started.image_encoder(torch.zeros(1, 3, side, side), output_hidden_states=True).hidden_states[-2]
    assert_close(other.image_tokens, started.resampler(seen).expand_as(told.image_tokens))
    assert not any(tokens.any() for tokens in other.garment.values())
    assert torch.equal(other.masked_latents, told.masked_latents)
    some = told.unconditional(torch.tensor([True, False]))
    for name in ("text", "pooled_text", "image_tokens"):
        hidden, kept = getattr(some, name)
        assert torch.equal(hidden, getattr(other, name)[0])
        assert torch.equal(kept, getattr(told, name)[1])
    assert torch.equal(told.repeat(1).unconditional().text, other.text)


@pytest.mark.parametrize("in_channels", [9], indirect=True)
@pytest.mark.parametrize(
    ("part", "lost"),
    [
        ("vae", "decoder.conv_in.bias"),
        ("text_encoder", "final_layer_norm.bias"),
        ("text_encoder_2", "text_projection.weight"),
        ("clip", "visual_projection.weight"),
    ],
)
def test_what_a_part_lacks_is_not_drawn_at_random(
    folders: dict[str, Path], tmp_path: Path, part: str, lost: str
) -> None:
    folder = tmp_path / part if part == "clip" else folders["inpainting"] / part
    (file,) = folder.glob("*.safetensors")
    weights = load_file(file)
    del weights[lost]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"not those of its configuration: .*{lost}"):
        start_from_inpainting(**folders)


def test_an_autoencoder_that_overflows_in_fp16_runs_in_full_precision(tmp_path: Path) -> None:
    """As SDXL's original one says of itself; where it says nothing it is left in fp16."""
    picture = torch.rand(1, 3, 32, 24, generator=torch.Generator().manual_seed(0))
    for says in (True, False):
        vae = small_autoencoder()
        vae.register_to_config(force_upcast=says)
        with torch.no_grad():
            vae.encoder.conv_in.weight.mul_(1e6)
            vae.decoder.conv_in.weight.mul_(1e6)
        vae.save_pretrained(tmp_path)
        loaded = load_autoencoder(AutoencoderKL, tmp_path, torch.float16)
        assert loaded.dtype == (torch.float32 if says else torch.float16)
        for kind in (torch.float16, torch.bfloat16):
            with torch.no_grad(), torch.autocast("cpu", kind):
                latents = encode_images(vae, picture)
                decoded = decode_latents(vae, latents)
            assert bool(latents.isfinite().all() and decoded.isfinite().all()) == (
                says or kind == torch.bfloat16
            )
