"""Are IDM-VTON's networks ready to run from a folder, and how much memory will they take. Nothing is loaded.

Files, and the shapes in their headers, are held against the networks that are wanted. Weights are counted on
the meta device. What a pass holds beside them is a table: every tensor of a pass was counted once on the meta
device, for one picture of 1024 x 768; no GPU has confirmed it. The allocator and the libraries take something
for themselves.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple

import torch
from diffusers import UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor, nn

from model.bases.sdxl.loading import PARTS
from model.bases.sdxl.presets import NUM_TIME_IDS, Preset, SdxlPreset
from model.bases.sdxl.unet import make_tryon_unet, open_time_embedding
from model.params import SWITCHES, MemorySwitches
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

GIB = 2**30

ENCODER_WEIGHTS = {
    "vae": 83_653_863,
    "text_encoder": 123_060_480,
    "text_encoder_2": 694_659_840,
    "image_encoder": 632_076_800,
}
"""Numbers of weights beside the UNets: SDXL's autoencoder and text encoders, CLIP ViT-H's vision tower."""

ADAPTER_WEIGHTS = 8_557_060
"""Numbers of weights of an adapter with all its parts."""

GARMENT, STEP, KEYS = 297_862_721, 437_346_375, 157_286_400
"""Numbers held: while the garment UNet runs, while the try-on UNet runs, and as the garment's keys."""

PICTURE, TILE = 604_028_928, 201_342_976
"""Numbers held while a picture or a tile of it is decoded; encoding takes about as much."""

BACKWARD = 303_110_478
"""Numbers kept to go backward, under gradient checkpointing, the garment's tokens among them."""

HALF, FULL = 2, 4
"""Bytes of a number; a trained weight, its gradient and each of its two moments take `FULL`."""

ATTENTION = ("attn1", "attn2")
"""What `train_joint` may train in full."""

MEASURED = (
    "measured: train_size on a CPU in full precision, the try-on UNet alone, latents 16 x 12: 12.0 GiB "
    "(tests.benchmarks.smoke_sdxl)"
)


class Memory(NamedTuple):
    """What something takes on a device (bytes)."""

    counted: int
    """Weights, with gradients and moments of those that learn."""

    estimated: int
    """What a pass holds beside them."""

    def __str__(self) -> str:
        counted, estimated = (f"{part / GIB:.1f}" for part in self)
        return f"{sum(self) / GIB:.1f} GiB ({counted} of weights counted, {estimated} beside them estimated)"


def examine(folder: Path) -> tuple[list[str], list[str]]:
    """Check the folder of a base, and estimate memory; `cinderella doctor` calls it.

    Args:
        folder: In IDM-VTON's layout; nothing of it is loaded.

    Returns:
        A line for everything that is missing or has the wrong shape, and one for each setting of
        `--low-memory` and for each stage on each device.
    """
    preset = SdxlPreset()
    tryon_unet, garment_unet = tryon_unet_of(preset), garment_unet_of(preset)
    stored = stored_bytes(folder)
    return find_problems(preset, folder), [
        f"weights are stored in {stored} bytes each",
        *drawing_lines(num_weights(tryon_unet), num_weights(garment_unet), stored),
        *training_lines(tryon_unet, num_weights(garment_unet), stored),
        MEASURED,
    ]


def stored_bytes(folder: Path) -> int:
    """Return how many bytes a weight takes as it is stored; full precision where no header tells it."""
    try:
        file = weight_files(folder / "unet")[0]
    except FileNotFoundError:
        return FULL
    if file.suffix != ".safetensors":
        return FULL
    with safe_open(file, framework="pt") as opened:
        kinds = {opened.get_slice(name).get_dtype() for name in opened.keys()}  # noqa: SIM118
    return HALF if kinds <= {"F16", "BF16"} else FULL


def find_problems(preset: SdxlPreset, folder: Path) -> list[str]:
    """Return a line for everything that is missing; where nothing is, what differs from `preset`."""
    return missing_parts(folder) or [*wrong_widths(folder, preset), *wrong_shapes(folder, preset)]


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
    unet, resampler = preset.unet_config(preset.tryon_channels), preset.resampler_config()
    pooled = unet["projection_class_embeddings_input_dim"] - NUM_TIME_IDS * unet["addition_time_embed_dim"]
    text = [read[part].get("hidden_size") for part in ("text_encoder", "text_encoder_2")]
    found = {
        "image_encoder: hidden_size": (read["image_encoder"].get("hidden_size"), resampler["embedding_dim"]),
        "text_encoder_2: projection_dim": (read["text_encoder_2"].get("projection_dim"), pooled),
        "vae: latent_channels": (read["vae"].get("latent_channels"), preset.latent_channels),
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
            shapes |= header_of(file)
        else:
            shapes |= {name: tensor.to("meta") for name, tensor in load_weight_file(file).items()}
    return shapes


def header_of(file: Path) -> dict[str, Tensor]:
    """Return what a safetensors file holds as tensors on the meta device."""
    with safe_open(file, framework="pt") as opened:
        sizes = {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
    return {name: torch.empty(size, device="meta") for name, size in sizes.items()}


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


def drawing_lines(tryon_weights: int, garment_weights: int, stored: int) -> list[str]:
    """Return a line for every setting: for which memory it is, what it takes, and what it does."""
    lines = []
    for name, switches in SWITCHES.items():
        needed = drawing_memory(tryon_weights, garment_weights, switches, stored)
        memory = "without a limit" if name == "off" else f"for {name} GB"
        lines.append(f"try-on {memory}: --low-memory {name}: {needed}; {switches}")
    return lines


def drawing_memory(tryon_weights: int, garment_weights: int, switches: MemorySwitches, stored: int) -> Memory:
    """Return what drawing `switches.batch_size` sizes of a person takes on the device at most.

    With `offload` the networks take turns, so the largest turn counts; else all weights lie there at once.
    Numbers take `stored` bytes where they aren't loaded in half precision.
    """
    width = HALF if switches.half else stored
    picture = TILE if switches.vae_tiling else PICTURE
    together = 1 if switches.vae_slicing else switches.batch_size
    turns = [
        (sum(ENCODER_WEIGHTS.values()), picture),
        (garment_weights, GARMENT),
        (tryon_weights, switches.batch_size * STEP + KEYS),
        (ENCODER_WEIGHTS["vae"], together * picture),
    ]
    weights, held = max(turns, key=sum)
    if not switches.offload:
        weights = sum(weights for weights, _ in turns[:-1])  # the decoder's are among the encoders'
        held = max(held for _, held in turns)
    return Memory((weights + ADAPTER_WEIGHTS) * width, held * width)


def training_lines(tryon_unet: nn.Module, garment_weights: int, stored: int) -> list[str]:
    """Return a line for each device and training stage: what it needs, and whether the device has it."""
    attention = [layer for name, layer in tryon_unet.named_modules() if name.endswith(ATTENTION)]
    frozen = num_weights(tryon_unet) + garment_weights + sum(ENCODER_WEIGHTS.values())
    needed = {
        "train_size": training_memory(frozen, 0, stored),
        "train_joint with attention in full": training_memory(
            frozen, sum(map(num_weights, attention)), stored
        ),
    }
    return [
        f"{device} ({held / GIB:.1f} GiB): {stage}: {memory}: "
        f"{'fits' if sum(memory) < held else 'does not fit'}"
        for device, held in device_memory().items()
        for stage, memory in needed.items()
    ]


def training_memory(base_weights: int, trained: int, stored: int) -> Memory:
    """Return what training the adapter and so many of the base's weights takes, one sample at a time.

    Frozen weights stay in the `stored` bytes; activations are halved by `runtime.mixed_precision`.
    """
    learning = ADAPTER_WEIGHTS + trained
    return Memory((base_weights - trained) * stored + learning * 4 * FULL, BACKWARD * HALF)


def device_memory() -> dict[str, int]:
    """Return the memory of this machine and of each of its GPUs (bytes)."""
    devices = {"cpu": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")}
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        devices[f"cuda:{number} {properties.name}"] = properties.total_memory
    return devices


def num_weights(module: nn.Module) -> int:
    """Return how many weights a module has."""
    return sum(weight.numel() for weight in module.parameters())
