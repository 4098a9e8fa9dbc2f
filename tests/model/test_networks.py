"""A base of stock networks: its parts, its folder and what it predicts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.testing import assert_close
from transformers import CLIPImageProcessorPil

from model.bases import open_base
from model.bases.sdxl.conditioning import SdxlConditioning, clip_pixels
from model.bases.sdxl.networks import SdxlBase, garment_pass, predict_noise
from model.bases.tiny.networks import TinyPreset, build_tiny_base
from model.pixels import from_uint8, to_uint8
from tests.model.conftest import BATCH, LATENT_HW, PRESET, photos

TIMESTEPS = torch.tensor([300, 600])
WEIGHTS = "diffusion_pytorch_model.safetensors"


@torch.no_grad()
def predict(base: SdxlBase, noise: Tensor, conditioning: SdxlConditioning) -> Tensor:
    return predict_noise(
        base.tryon_unet, noise, TIMESTEPS, conditioning, garment_pass(base, conditioning, TIMESTEPS)
    )


def test_the_tiny_preset_is_small_and_the_same_for_a_seed() -> None:
    first, second = (build_tiny_base(TinyPreset(), seed=7) for _ in range(2))
    assert sum(weight.numel() for weight in first.parameters()) <= 5e6
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_unets_know_the_grid_of_the_autoencoders_patches() -> None:
    assert TinyPreset(image_height=96, vae_patch=8).unet_config(4)["sample_size"] == 12


def test_making_a_base_leaves_the_global_random_state() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    build_tiny_base(PRESET, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_saved_base_comes_back_with_the_released_keys(
    base: SdxlBase, tmp_path: Path, noise: Tensor, conditioning: SdxlConditioning
) -> None:
    with torch.no_grad():  # image projections start at zero: give them something to lose
        for name, weight in base.tryon_unet.named_parameters():
            if name.endswith("to_v_ip.weight"):
                weight.normal_(std=0.1)
    base.save_pretrained(tmp_path)
    loaded = open_base(tmp_path)
    assert_close(predict(loaded, noise, conditioning), predict(base, noise, conditioning))
    saved = load_file(tmp_path / "unet" / WEIGHTS).keys()
    assert saved == base.tryon_unet.state_dict().keys()
    block = "mid_block.attentions.0.transformer_blocks.0.attn2.processor"
    assert {f"{block}.to_k_ip.weight", f"{block}.to_v_ip.weight", "encoder_hid_proj.latents"} <= saved
    assert (
        json.loads((tmp_path / "unet" / "config.json").read_text())["encoder_hid_dim_type"] == "ip_image_proj"
    )
    garment = json.loads((tmp_path / "unet_encoder" / "config.json").read_text())
    assert garment["addition_embed_type"] == "text_time"
    assert base.garment_unet.config.addition_embed_type is None


def test_wrong_weights_are_listed(base: SdxlBase, tmp_path: Path) -> None:
    base.save_pretrained(tmp_path)
    file = tmp_path / "unet" / WEIGHTS
    weights = load_file(file)
    weights["stranger"] = weights.pop("conv_out.bias")
    weights["conv_in.weight"] = weights["conv_in.weight"][:, :9].contiguous()
    save_file(weights, file)
    with pytest.raises(ValueError, match=r"not those of this network") as error:
        open_base(tmp_path)
    lines = str(error.value).splitlines()[1:]
    assert lines[:4] == ["1 missing:", "  conv_out.bias", "1 not expected:", "  stranger"]
    assert lines[4:] == ["1 of another shape:", "  conv_in.weight: (16, 9, 3, 3) for (16, 17, 3, 3)"]


def test_weights_can_be_loaded_in_another_type(base: SdxlBase, tmp_path: Path) -> None:
    base.save_pretrained(tmp_path)
    loaded = open_base(tmp_path, torch_dtype=torch.bfloat16)
    assert {weight.dtype for weight in loaded.parameters()} == {torch.bfloat16}


def test_conditioning_has_one_row_a_photo(shared_base: SdxlBase, conditioning: SdxlConditioning) -> None:
    width = 2 * PRESET.text_width
    expected = {
        "mask": (1, *LATENT_HW),
        "masked_latents": (4, *LATENT_HW),
        "densepose_latents": (4, *LATENT_HW),
        "text": (PRESET.text_tokens, width),
        "pooled_text": (PRESET.text_width,),
        "time_ids": (6,),
        "image_tokens": (16, width),
        "garment_latents": (4, *LATENT_HW),
        "garment_text": (PRESET.text_tokens, width),
        "laid_garment": (4, *LATENT_HW),
    }
    assert {name: tuple(x.shape) for name, x in vars(conditioning).items() if isinstance(x, Tensor)} == {
        name: (BATCH, *shape) for name, shape in expected.items()
    }
    assert conditioning.time_ids[0].tolist() == [64, 48, 0, 0, 64, 48]
    assert conditioning.mask.mean() == 0.25
    with torch.no_grad():
        alone = shared_base.told(photos(batch=1))
    assert_close(alone.text, conditioning.text[:1])


def test_what_lies_under_the_mask_is_not_seen(shared_base: SdxlBase, conditioning: SdxlConditioning) -> None:
    changed = photos()
    changed.image = changed.image ^ (255 * changed.inpaint_mask[..., None])
    with torch.no_grad():
        again = shared_base.told(changed)
    assert torch.equal(again.masked_latents, conditioning.masked_latents)


def test_pictures_survive_the_way_to_floats_and_back() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).repeat(1, 1, 1, 3)
    assert torch.equal(to_uint8(from_uint8(pixels)), pixels)


def test_rows_can_be_repeated(conditioning: SdxlConditioning) -> None:
    repeated = conditioning.repeat(3)
    assert torch.equal(repeated.mask[3], conditioning.mask[1])
    assert torch.equal(repeated.text[3], conditioning.text[1])
    assert not conditioning.unconditional().text.any()


@torch.no_grad()
def test_a_shared_garment_is_that_garment_in_every_row(
    shared_base: SdxlBase, noise: Tensor, conditioning: SdxlConditioning
) -> None:
    first = conditioning.map(lambda rows: rows[:1])
    both = first.repeat(2)
    shared = garment_pass(shared_base, first, torch.tensor(0))
    own = garment_pass(shared_base, both, torch.tensor(0))
    assert_close(
        predict_noise(shared_base.tryon_unet, noise, TIMESTEPS, both, shared),
        predict_noise(shared_base.tryon_unet, noise, TIMESTEPS, both, own),
    )


@torch.no_grad()
def test_a_garment_without_a_caption_is_called_what_it_is() -> None:
    base = build_tiny_base(PRESET, seed=0)

    def told(caption: str, category: str) -> Tensor:
        people = photos()
        people.captions, people.categories = [caption] * BATCH, [category] * BATCH
        return base.encode(people)["text"]

    assert torch.equal(told("", "dress"), told("a dress", "upper"))
    assert torch.equal(told("a red gown", "dress"), told("a red gown", "upper"))
    assert not torch.equal(told("", "upper"), told("", "dress"))


@pytest.mark.parametrize("hw", [(64, 48), (48, 65), (40, 40)])
def test_clip_is_shown_a_garment_as_by_its_own_processor(hw: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*hw, 3), dtype=np.uint8)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24})
    wanted = processor(images=photo, return_tensors="pt").pixel_values
    rounded = 3 / 255 / 0.26  # it resizes in whole levels, twice
    assert_close(clip_pixels(from_uint8(photo[None]), 24, whole=False), wanted, rtol=0, atol=rounded)
    squashed = clip_pixels(from_uint8(photo[None]), 24)
    assert torch.allclose(squashed, wanted, rtol=0, atol=rounded) == (hw[0] == hw[1])
