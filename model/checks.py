"""What the folder of a base lacks: files, and right shapes by the headers of its files. Nothing is loaded."""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor

from model.image_tokens import Resampler, install_tryon_attention
from model.loading import load_weight_file, require_same_weights, weight_files
from model.presets import LATENT_CHANNELS, TRYON_CHANNELS, SdxlPreset, TinyPreset
from model.unet import open_time_embedding

PARTS = (
    "unet",
    "unet_encoder",
    "image_encoder",
    "vae",
    "text_encoder",
    "text_encoder_2",
    "tokenizer",
    "tokenizer_2",
    "scheduler",
)
"""Sub-folders of a base."""


def missing_parts(folder: Path) -> list[str]:
    """Return a line for everything that the folder of a base lacks."""
    if not folder.is_dir():
        return [f"{folder}: no such folder; download the base there, or give its path"]
    missing = [f"{folder / part}: missing" for part in PARTS if not (folder / part).is_dir()]
    for part in ("unet", "unet_encoder", "vae"):
        if (folder / part).is_dir():
            missing += missing_weights(folder / part)
    return missing


def missing_weights(folder: Path) -> list[str]:
    """Return a line if a network's folder has no file of weights."""
    try:
        weight_files(folder)
    except FileNotFoundError as error:
        return [str(error)]
    return []


def wrong_shapes(folder: Path, preset: SdxlPreset | TinyPreset) -> list[str]:
    """Return how the headers of both UNets' weights differ from the networks of `preset`."""
    networks = {"unet": tryon_unet_of(preset), "unet_encoder": garment_unet_of(preset)}
    problems = []
    for part, network in networks.items():
        try:
            require_same_weights(network.state_dict(), header_shapes(folder / part), folder / part)
        except ValueError as error:
            problems.append(str(error))
    return problems


def header_shapes(folder: Path) -> dict[str, Tensor]:
    """Return the weights of a folder as tensors on the meta device: names and shapes, no numbers."""
    shapes: dict[str, Tensor] = {}
    for file in weight_files(folder):
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as opened:
                sizes = {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
            shapes |= {name: torch.empty(size, device="meta") for name, size in sizes.items()}
        else:
            shapes |= {name: tensor.to("meta") for name, tensor in load_weight_file(file).items()}
    return shapes


def tryon_unet_of(preset: SdxlPreset | TinyPreset) -> UNet2DConditionModel:
    """Return the try-on UNet of a preset on the meta device."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**preset.unet_config(TRYON_CHANNELS))
        install_tryon_attention(unet)
        unet.encoder_hid_proj = Resampler(**preset.resampler_config())
        open_time_embedding(unet)
    return unet


def garment_unet_of(preset: SdxlPreset | TinyPreset) -> UNet2DConditionModel:
    """Return the garment UNet of a preset on the meta device."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**preset.unet_config(LATENT_CHANNELS))
    unet.register_to_config(addition_embed_type=None)
    return unet
