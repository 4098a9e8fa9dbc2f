"""Stock UNets plus our processors give the numbers of IDM-VTON's own code.

Each golden folder holds weights, inputs and outputs of the original implementation at a small size. Folders
of other shapes are made by its arithmetic written down plainly, which is itself held to the golden folders.
"""

import json
from copy import copy
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.testing import assert_close

from model.bases.sdxl.garment_attention import garment_tokens_of
from model.bases.sdxl.image_tokens import Resampler, install_tryon_attention
from model.bases.sdxl.loading import (
    RESAMPLER_DIM_HEAD,
    load_garment_unet,
    load_tryon_unet,
    without_image_projection,
)
from model.bases.sdxl.unet import open_time_embedding
from model.weights import assign_weights
from tests.model.golden import GOLDEN, MADE, SHARED
from tests.model.straightforward import PlainNetworks, write_golden

TOLERANCE = {"rtol": 0, "atol": 1e-4}

needs_golden = pytest.mark.skipif(
    not GOLDEN, reason=f"no golden folders below {SHARED} (set CINDERELLA_SHARED)"
)
FOLDERS = [pytest.param(folder, id=folder.name) for folder in GOLDEN] or [
    pytest.param(SHARED, id="golden", marks=needs_golden)
]


class Golden:
    """One folder: its networks, loaded by our code, and its tensors."""

    def __init__(self, folder: Path) -> None:
        self.config = config = json.loads((folder / "config.json").read_text())
        self.inputs = load_file(folder / "inputs.safetensors")
        self.outputs = load_file(folder / "outputs.safetensors")
        self.tryon_weights = load_file(folder / "tryon_unet.safetensors")
        self.garment_weights = load_file(folder / "garment_unet.safetensors")
        unet = without_image_projection(config["unet"])
        with torch.device("meta"):
            tryon = UNet2DConditionModel(**unet, in_channels=config["tryon_in_channels"])
            install_tryon_attention(tryon)
            tryon.encoder_hid_proj = Resampler(**config["resampler"])
            garment = UNet2DConditionModel(**unet, in_channels=config["garment_in_channels"])
        self.tryon_unet = assign_weights(tryon, self.tryon_weights, folder, torch.float32)
        self.garment_unet = assign_weights(garment, self.garment_weights, folder, torch.float32)
        self.garment_unet.register_to_config(addition_embed_type=None)

    def garment_tokens(self) -> dict[str, Tensor]:
        names = ("garment_latents", "timestep", "garment_encoder_hidden_states")
        return garment_tokens_of(self.garment_unet, *(self.inputs[name] for name in names))

    def prediction(self, garment_tokens: dict[str, Tensor], image_tokens: Tensor, **inputs: Tensor) -> Tensor:
        return self.tryon_unet(
            *(self.inputs[name] for name in ("sample", "timestep", "encoder_hidden_states")),
            added_cond_kwargs={name: self.inputs[name] for name in ("text_embeds", "time_ids")},
            cross_attention_kwargs={"garment_tokens": garment_tokens, "image_tokens": image_tokens},
            **inputs,
        ).sample


@pytest.fixture(scope="module", params=[*FOLDERS, *MADE])
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    if request.param in MADE:
        return Golden(write_golden(tmp_path_factory.mktemp("golden") / "made", MADE[request.param]))
    return Golden(request.param)


@torch.no_grad()
def test_image_tokens(golden: Golden) -> None:
    tokens = golden.tryon_unet.encoder_hid_proj(golden.inputs["image_features"])
    assert_close(tokens, golden.outputs["ip_tokens"], **TOLERANCE)


@torch.no_grad()
def test_every_garment_feature(golden: Golden) -> None:
    expected = {name: x for name, x in golden.outputs.items() if name.startswith("garment_features.")}
    tokens = list(golden.garment_tokens().values())
    assert len(tokens) == len(expected)
    for number, feature in enumerate(tokens):
        assert_close(feature, expected[f"garment_features.{number}"], **TOLERANCE)


@torch.no_grad()
def test_noise_prediction(golden: Golden) -> None:
    image_tokens = golden.tryon_unet.encoder_hid_proj(golden.inputs["image_features"])
    prediction = golden.prediction(golden.garment_tokens(), image_tokens)
    assert_close(prediction, golden.outputs["noise_pred"], **TOLERANCE)


def test_state_dicts_keep_the_released_keys(golden: Golden) -> None:
    assert golden.tryon_unet.state_dict().keys() == golden.tryon_weights.keys()
    assert golden.garment_unet.state_dict().keys() == golden.garment_weights.keys()


def write_released_layout(golden: Golden, root: Path) -> None:
    """Write the folder's networks as IDM-VTON releases its own."""
    released = golden.config["unet"] | {"encoder_hid_dim_type": "ip_image_proj", "encoder_hid_dim": 1280}
    parts = {
        "unet": (golden.tryon_weights, golden.config["tryon_in_channels"]),
        "unet_encoder": (golden.garment_weights, golden.config["garment_in_channels"]),
    }
    for part, (weights, in_channels) in parts.items():
        config = released | {"in_channels": in_channels}
        if part == "unet":
            config |= {RESAMPLER_DIM_HEAD: golden.config["resampler"]["dim_head"]}
        (root / part).mkdir()
        (root / part / "config.json").write_text(json.dumps(config))
        save_file(weights, root / part / "diffusion_pytorch_model.safetensors")


@torch.no_grad()
def test_the_released_layout_gives_the_same_networks(golden: Golden, tmp_path: Path) -> None:
    write_released_layout(golden, tmp_path)
    loaded = copy(golden)
    loaded.tryon_unet = load_tryon_unet(tmp_path / "unet", torch.float32)
    loaded.garment_unet = load_garment_unet(tmp_path / "unet_encoder", torch.float32)
    loaded.garment_unet.register_to_config(addition_embed_type=None)
    image_tokens = loaded.tryon_unet.encoder_hid_proj(golden.inputs["image_features"])
    prediction = loaded.prediction(loaded.garment_tokens(), image_tokens)
    assert_close(prediction, golden.outputs["noise_pred"], **TOLERANCE)


@torch.no_grad()
def test_the_input_for_the_size_changes_no_bit(golden: Golden) -> None:
    tokens = golden.garment_tokens()
    image_tokens = golden.tryon_unet.encoder_hid_proj(golden.inputs["image_features"])
    before = golden.prediction(tokens, image_tokens)
    open_time_embedding(golden.tryon_unet)
    size = torch.zeros(len(before), golden.tryon_unet.time_embedding.linear_2.out_features)
    assert torch.equal(golden.prediction(tokens, image_tokens, class_labels=size), before)


@needs_golden
@pytest.mark.parametrize("folder", FOLDERS)
def test_the_plain_arithmetic_is_that_of_the_original(folder: Path) -> None:
    networks = PlainNetworks(json.loads((folder / "config.json").read_text()))
    tryon_weights = load_file(folder / "tryon_unet.safetensors")
    prefix = "encoder_hid_proj."
    own = {name: x for name, x in tryon_weights.items() if not name.startswith(prefix)}
    resampler = {name.removeprefix(prefix): x for name, x in tryon_weights.items() if name.startswith(prefix)}
    networks.garment_unet.load_state_dict(load_file(folder / "garment_unet.safetensors"))
    networks.tryon_unet.load_state_dict(own)
    networks.resampler.load_state_dict(resampler)
    outputs = networks.outputs(load_file(folder / "inputs.safetensors"))
    assert_close(outputs, load_file(folder / "outputs.safetensors"), **TOLERANCE)
