"""Is CatVTON's network ready to run from a folder, and how much memory will it take. Nothing is loaded.

As for `sdxl`: headers are held against the network, weights counted, and what a pass holds beside them was
counted once on the meta device, for one picture of 512 x 384; no GPU has confirmed it. The largest are the
scores of the attention over both halves, which a GPU's fused attention never holds.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from model.bases.catvton.loading import (
    ATTENTION_FILE,
    ATTENTION_FOLDER,
    IN_CHANNELS,
    LATENT_CHANNELS,
    PARTS,
    make_unet,
    named_attention,
)
from model.bases.catvton.networks import CatvtonBase
from model.bases.folders import header_of, missing_parts, stored_bytes, wrong_shapes
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
from model.params import MemorySwitches

AUTOENCODER_WEIGHTS = 83_653_863
"""Number of weights of Stable Diffusion's autoencoder."""

ADAPTER_WEIGHTS = 4_509_316
"""Number of weights of an adapter with all its parts."""

STEP, SCORES = 627_654_209, 603_979_776
"""Numbers held while the UNet runs, and how many of them are scores: two maps of 6144 x 6144 in 8 heads."""

QUERIES = 6144
"""Tokens of the canvas on the finest level."""

PICTURE = 151_007_232
"""Numbers held while a picture is decoded; encoding takes less."""

BACKWARD = 115_878_336
"""Numbers kept to go backward, under gradient checkpointing."""


def full_size_config() -> dict[str, Any]:
    """Return the configuration of Stable Diffusion 1.5's UNet for inpainting.

    Source: `unet/config.json` of stable-diffusion-v1-5/stable-diffusion-inpainting.
    """
    return {
        "sample_size": 64,
        "in_channels": IN_CHANNELS,
        "out_channels": LATENT_CHANNELS,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "down_block_types": (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
        "attention_head_dim": 8,
        "cross_attention_dim": 768,
        "norm_num_groups": 32,
    }


def unet_of(config: dict[str, Any]) -> UNet2DConditionModel:
    """Return the UNet of a configuration on the meta device."""
    with torch.device("meta"):
        return make_unet(config)


def examine(folder: Path) -> tuple[list[str], list[str]]:
    """Check a folder that `CatvtonBase.from_pretrained` reads, and estimate memory; nothing is loaded.

    Returns:
        A line for everything that is missing or has the wrong shape, and one for each setting of
        `--low-memory` and for each stage on each device.
    """
    unet = unet_of(full_size_config())
    weights, stored = num_weights(unet), stored_bytes(folder / "unet")
    return find_problems(unet, folder), [
        *without_attention(folder),
        f"weights are stored in {stored} bytes each",
        *drawing_lines(lambda switches: to_draw(weights, switches, stored)),
        *training_lines(stages(unet, HALF)),
    ]


def without_attention(folder: Path) -> list[str]:
    """Return a line where nothing of CatVTON's is in the folder, which may be meant so."""
    if not folder.is_dir() or (folder / ATTENTION_FOLDER).is_dir():
        return []
    return [
        f"{folder}: without {ATTENTION_FOLDER}/{ATTENTION_FILE} of CatVTON this knows inpainting alone: "
        "train_joint.base_layers: attention teaches it try-on"
    ]


def find_problems(unet: UNet2DConditionModel, folder: Path) -> list[str]:
    """Return a line for everything that is missing; where nothing is, what has another shape than `unet`."""
    missing = missing_parts(folder, PARTS)
    attention = folder / ATTENTION_FOLDER / ATTENTION_FILE
    if attention.parent.is_dir() and not attention.is_file():
        missing.append(f"no {ATTENTION_FILE} in {attention.parent}")
    if missing:
        return missing
    problems = wrong_shapes(folder, {"unet": unet})
    if attention.is_file():
        try:
            named_attention(unet, header_of(attention), attention)
        except ValueError as error:
            problems.append(str(error))
    return problems


def to_draw(unet_weights: int, switches: MemorySwitches, stored: int) -> Memory:
    """Return what drawing `switches.batch_size` sizes of a person takes; see `drawing_memory`."""
    share = min(1.0, (switches.attention_chunk or QUERIES) / QUERIES)
    step = STEP - SCORES + int(share * SCORES)
    turns = [
        Turn(unet_weights, switches.batch_size * step),
        Turn(AUTOENCODER_WEIGHTS, (1 if switches.vae_slicing else switches.batch_size) * PICTURE),
    ]
    weights = sum(turn.weights for turn in turns)
    return drawing_memory(turns, weights, ADAPTER_WEIGHTS, switches, stored)


def stages(unet: UNet2DConditionModel, stored: int) -> dict[str, Memory]:
    """Return what each training stage takes, by its name."""
    weights, updates = num_weights(unet), num_updates(unet, CatvtonBase.lora_targets)
    return {
        "train_size": to_train(weights, stored),
        f"train_joint with LoRA of rank {USUAL_RANK}": to_train(weights, stored, updates),
    }


def to_train(unet_weights: int, stored: int, updates: int = 0) -> Memory:
    """Return what training the adapter, and updates of so many weights, takes; see `training_memory`.

    Under gradient checkpointing a block runs again on the way back, which takes no more than a step.
    """
    frozen = unet_weights + AUTOENCODER_WEIGHTS
    return training_memory(frozen, ADAPTER_WEIGHTS + updates, BACKWARD + STEP, stored)
