"""Stock UNets plus our processors give the numbers of IDM-VTON's own code.

Each golden folder holds weights, inputs and outputs of the original implementation at a small size.
"""

import json
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor
from torch.testing import assert_close

from model.garment_attention import garment_tokens_of
from model.image_tokens import Resampler, install_tryon_attention
from model.loading import assign_weights
from tests.model.golden import GOLDEN, SHARED

TOLERANCE = {"rtol": 0, "atol": 1e-4}

pytestmark = pytest.mark.skipif(
    not GOLDEN, reason=f"no golden folders below {SHARED} (set CINDERELLA_SHARED)"
)


class Golden:
    """One folder: its networks, loaded by our code, and its tensors."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        self.inputs = load_file(folder / "inputs.safetensors")
        self.outputs = load_file(folder / "outputs.safetensors")
        self.tryon_weights = load_file(folder / "tryon_unet.safetensors")
        self.garment_weights = load_file(folder / "garment_unet.safetensors")
        with torch.device("meta"):
            tryon = UNet2DConditionModel(**config["unet"], in_channels=config["tryon_in_channels"])
            install_tryon_attention(tryon)
            tryon.encoder_hid_proj = Resampler(**config["resampler"])
            garment = UNet2DConditionModel(**config["unet"], in_channels=config["garment_in_channels"])
        self.tryon_unet = assign_weights(tryon, self.tryon_weights, folder, torch.float32)
        self.garment_unet = assign_weights(garment, self.garment_weights, folder, torch.float32)
        self.garment_unet.register_to_config(addition_embed_type=None)

    def garment_tokens(self) -> dict[str, Tensor]:
        names = ("garment_latents", "timestep", "garment_encoder_hidden_states")
        return garment_tokens_of(self.garment_unet, *(self.inputs[name] for name in names))

    def prediction(self, garment_tokens: dict[str, Tensor], image_tokens: Tensor) -> Tensor:
        return self.tryon_unet(
            *(self.inputs[name] for name in ("sample", "timestep", "encoder_hidden_states")),
            added_cond_kwargs={name: self.inputs[name] for name in ("text_embeds", "time_ids")},
            cross_attention_kwargs={"garment_tokens": garment_tokens, "image_tokens": image_tokens},
        ).sample


@pytest.fixture(scope="module", params=GOLDEN, ids=lambda folder: folder.name)
def golden(request: pytest.FixtureRequest) -> Golden:
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
