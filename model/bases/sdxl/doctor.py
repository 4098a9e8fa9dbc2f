"""Are IDM-VTON's networks ready to run from a folder, and how much memory will they take. Nothing is loaded.

Files, and the shapes in their headers, are held against the networks that are wanted. Weights are counted on
the meta device. What a pass holds beside them was counted for one picture of 1024 x 768; no GPU has confirmed
it.
"""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from model.bases.folders import ENCODERS, missing_parts, stored_bytes, wrong_shapes, wrong_widths
from model.bases.memory import (
    HALF,
    USUAL_RANK,
    Memory,
    Turn,
    drawing_lines,
    drawing_memory,
    num_updates,
    num_weights,
    training_lines,
    training_memory,
)
from model.bases.sdxl.loading import PARTS
from model.bases.sdxl.networks import SdxlBase
from model.bases.sdxl.presets import NUM_TIME_IDS, Preset, SdxlPreset
from model.bases.sdxl.unet import make_tryon_unet, open_time_embedding
from model.params import MemorySwitches
from model.weights import read_json

ENCODER_WEIGHTS = {
    "vae": 83_653_863,
    "text_encoder": 123_060_480,
    "text_encoder_2": 694_659_840,
    "image_encoder": 632_076_800,
}
"""Numbers of weights beside the UNets: SDXL's autoencoder and text encoders, CLIP ViT-H's vision tower."""

ADAPTER_WEIGHTS = 8_557_060
"""Numbers of weights of an adapter with all its parts."""

GARMENT, STEP, KEYS = 138_659_393, 81_977_415, 235_929_600
"""Numbers held: while the garment UNet runs, while the try-on UNet runs, and as the garment's tokens, keys
and values meanwhile. Fused attention holds no scores, on GPUs and CPUs."""

PICTURE, TILE = 604_028_928, 201_342_976
"""Numbers held while a picture or a tile of it is decoded; encoding takes about as much."""

BACKWARD = 303_110_478
"""Numbers kept to go backward, under gradient checkpointing, the garment's tokens among them."""

MEASURED = (
    "measured: train_size on a CPU in full precision, the try-on UNet alone, latents 16 x 12: 12.0 GiB "
    "(tests.benchmarks.smoke_sdxl)"
)


def examine(folder: Path) -> tuple[list[str], list[str]]:
    """Check the folder of a base, in IDM-VTON's layout, and estimate memory; nothing is loaded.

    Returns:
        A line for everything that is missing or has the wrong shape, and one for each setting of
        `--low-memory` and for each stage on each device.
    """
    preset = SdxlPreset()
    tryon_unet, garment = tryon_unet_of(preset), num_weights(garment_unet_of(preset))
    stored = stored_bytes(folder / "unet")
    return find_problems(preset, folder), [
        f"weights are stored in {stored} bytes each",
        *drawing_lines(lambda switches: to_draw(num_weights(tryon_unet), garment, switches, stored)),
        *training_lines(stages(tryon_unet, garment, HALF)),
        MEASURED,
    ]


def find_problems(preset: Preset, folder: Path) -> list[str]:
    """Return a line for everything that is missing; where nothing is, what differs from `preset`."""
    return missing_parts(folder, PARTS) or [
        *wrong_widths(folder, widths(folder, preset)),
        *wrong_shapes(folder, {"unet": tryon_unet_of(preset), "unet_encoder": garment_unet_of(preset)}),
    ]


def widths(folder: Path, preset: Preset) -> dict[str, tuple[object, object]]:
    """Return the widths that the folder's parts have, and those that fit the UNets of `preset`."""
    read = {part: read_json(folder / part / "config.json") for part in (*ENCODERS, "vae")}
    unet, resampler = preset.unet_config(preset.tryon_channels), preset.resampler_config()
    pooled = unet["projection_class_embeddings_input_dim"] - NUM_TIME_IDS * unet["addition_time_embed_dim"]
    text = [read[part].get("hidden_size") for part in ("text_encoder", "text_encoder_2")]
    return {
        "image_encoder: hidden_size": (read["image_encoder"].get("hidden_size"), resampler["embedding_dim"]),
        "text_encoder_2: projection_dim": (read["text_encoder_2"].get("projection_dim"), pooled),
        "vae: latent_channels": (read["vae"].get("latent_channels"), preset.latent_channels),
        "text_encoder + text_encoder_2: hidden_size": (
            sum(width or 0 for width in text),
            unet["cross_attention_dim"],
        ),
    }


def tryon_unet_of(preset: Preset) -> UNet2DConditionModel:
    """Return the try-on UNet of a preset on the meta device."""
    with torch.device("meta"):
        unet = make_tryon_unet(preset.unet_config(preset.tryon_channels), preset.resampler_config())
    open_time_embedding(unet)
    return unet


def garment_unet_of(preset: Preset) -> UNet2DConditionModel:
    """Return the garment UNet of a preset on the meta device."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**preset.unet_config(preset.latent_channels))
    unet.register_to_config(addition_embed_type=None)
    return unet


def to_draw(tryon_weights: int, garment_weights: int, switches: MemorySwitches, stored: int) -> Memory:
    """Return what drawing `switches.batch_size` sizes of a person takes; see `drawing_memory`."""
    picture = TILE if switches.vae_tiling else PICTURE
    together = 1 if switches.vae_slicing else switches.batch_size
    encoders = sum(ENCODER_WEIGHTS.values())
    turns = [
        Turn(encoders, picture),
        Turn(garment_weights, GARMENT),
        Turn(tryon_weights, switches.batch_size * STEP + KEYS),
        Turn(ENCODER_WEIGHTS["vae"], together * picture),
    ]
    weights = encoders + garment_weights + tryon_weights
    return drawing_memory(turns, weights, ADAPTER_WEIGHTS, switches, stored)


def stages(tryon_unet: nn.Module, garment_weights: int, stored: int) -> dict[str, Memory]:
    """Return what each training stage takes, by its name."""
    attention = [
        layer for name, layer in tryon_unet.named_modules() if name.endswith(SdxlBase.attention_layers)
    ]
    base = num_weights(tryon_unet) + garment_weights + sum(ENCODER_WEIGHTS.values())
    updates = num_updates(tryon_unet, SdxlBase.lora_targets)
    return {
        "train_size": to_train(base, 0, stored),
        f"train_joint with LoRA of rank {USUAL_RANK}": to_train(base + updates, updates, stored),
        "train_joint with attention in full": to_train(base, sum(map(num_weights, attention)), stored),
    }


def to_train(base_weights: int, trained: int, stored: int) -> Memory:
    """Return what training the adapter and so many of the base's weights takes; see `training_memory`."""
    return training_memory(base_weights - trained, ADAPTER_WEIGHTS + trained, BACKWARD, stored)
