"""What the folder of a base lacks: files, and right shapes by the headers of its files. Nothing is loaded."""

import json
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor

from model.bases.sdxl.loading import PARTS
from model.bases.sdxl.presets import LATENT_CHANNELS, NUM_TIME_IDS, TRYON_CHANNELS, Preset
from model.bases.sdxl.unet import make_tryon_unet, open_time_embedding
from model.weights import (
    ENCODER_PATTERNS,
    WEIGHT_PATTERNS,
    load_weight_file,
    require_same_weights,
    weight_files,
)

ENCODERS = ("image_encoder", "text_encoder", "text_encoder_2")
"""Parts that transformers loads."""

CONFIGS = {
    "tokenizer": ("vocab.json", "tokenizer.json"),
    "tokenizer_2": ("vocab.json", "tokenizer.json"),
    "scheduler": ("scheduler_config.json",),
}
"""Files that say what a part is, one of which must be there; `config.json` where nothing else is named."""


def missing_parts(folder: Path) -> list[str]:
    """Return a line for everything that the folder of a base lacks."""
    if not folder.is_dir():
        return [f"{folder}: no such folder; download the base there, or give its path"]
    missing = [f"{folder / part}: missing" for part in PARTS if not (folder / part).is_dir()]
    for part in PARTS:
        if (folder / part).is_dir():
            missing += missing_files(folder, part)
    return missing


def missing_files(folder: Path, part: str) -> list[str]:
    """Return a line for what a part's folder lacks: its configuration, its weights."""
    lines = []
    configs = CONFIGS.get(part, ("config.json",))
    if not any((folder / part / name).is_file() for name in configs):
        lines.append(f"no {' or '.join(configs)} in {folder / part}")
    if part not in CONFIGS:
        try:
            weight_files(folder / part, ENCODER_PATTERNS if part in ENCODERS else WEIGHT_PATTERNS)
        except FileNotFoundError as error:
            lines.append(str(error))
    return lines


def wrong_widths(folder: Path, preset: Preset) -> list[str]:
    """Return a line for every part whose configuration does not fit the UNets of `preset`."""
    read = {part: json.loads((folder / part / "config.json").read_text()) for part in (*ENCODERS, "vae")}
    unet, resampler = preset.unet_config(TRYON_CHANNELS), preset.resampler_config()
    pooled = unet["projection_class_embeddings_input_dim"] - NUM_TIME_IDS * unet["addition_time_embed_dim"]
    text = [read[part].get("hidden_size") for part in ("text_encoder", "text_encoder_2")]
    found = {
        "image_encoder: hidden_size": (read["image_encoder"].get("hidden_size"), resampler["embedding_dim"]),
        "text_encoder_2: projection_dim": (read["text_encoder_2"].get("projection_dim"), pooled),
        "vae: latent_channels": (read["vae"].get("latent_channels"), LATENT_CHANNELS),
        "text_encoder + text_encoder_2: hidden_size": (
            sum(width or 0 for width in text),
            unet["cross_attention_dim"],
        ),
    }
    return [
        f"{folder}: {name} must be {wanted}, got {got}"
        for name, (got, wanted) in found.items()
        if got != wanted
    ]


def wrong_shapes(folder: Path, preset: Preset) -> list[str]:
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


def tryon_unet_of(preset: Preset) -> UNet2DConditionModel:
    """Return the try-on UNet of a preset on the meta device."""
    with torch.device("meta"):
        unet = make_tryon_unet(preset.unet_config(TRYON_CHANNELS), preset.resampler_config())
    open_time_embedding(unet)
    return unet


def garment_unet_of(preset: Preset) -> UNet2DConditionModel:
    """Return the garment UNet of a preset on the meta device."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**preset.unet_config(LATENT_CHANNELS))
    unet.register_to_config(addition_embed_type=None)
    return unet
