"""Are FLUX.2 klein's networks ready to run from a folder, and how much memory will they take.

Nothing is loaded. Configurations say what the networks are, 4B where there is none; headers are held against
them, and weights counted. What a pass holds beside them was counted for the 4B network and one picture of
1024 x 768; no GPU has confirmed it. The largest are the features of a single block, for 9728 tokens; fused
attention holds no scores.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLFlux2
from torch import nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from model.bases.flux2_klein.loading import PARTS, distilled, make_transformer
from model.bases.flux2_klein.networks import PATCH, KleinBase
from model.bases.folders import missing_parts, stored_bytes, wrong_shapes, wrong_widths
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
from model.weights import read_json

CONFIGS: dict[str, dict[str, Any]] = {
    "transformer": {
        "in_channels": 128,
        "num_layers": 5,
        "num_single_layers": 20,
        "attention_head_dim": 128,
        "num_attention_heads": 24,
        "joint_attention_dim": 7680,
        "guidance_embeds": False,
    },
    "vae": {},
    "text_encoder": {
        "vocab_size": 151936,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "tie_word_embeddings": True,
    },
}
"""Of the networks of FLUX.2 klein base 4B, where they differ from their classes' defaults."""

KINDS: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "transformer": make_transformer,
    "vae": AutoencoderKLFlux2.from_config,
    "text_encoder": lambda config: Qwen3ForCausalLM(Qwen3Config.from_dict(config)),
}
"""How they are made of a configuration."""

ADAPTER_WEIGHTS = 5_854_916
"""Number of weights of an adapter with all its parts."""

STEP, TEXT = 686_955_267, 145_000_000
"""Numbers held while the transformer runs, and while the text encoder does."""

PICTURE, TILE = 604_766_208, 201_588_736
"""Numbers held while a picture or a tile of it is decoded; encoding takes less."""

BACKWARD = 1_795_056_652
"""Numbers held at most on the way back, under gradient checkpointing."""


def examine(folder: Path) -> tuple[list[str], list[str]]:
    """Check a folder that `KleinBase.from_pretrained` reads, and estimate memory; nothing is loaded.

    Returns:
        A line for everything that is missing or has the wrong shape, and one for each setting of
        `--low-memory` and for each stage on each device.
    """
    configs = configs_in(folder)
    networks = networks_of(configs)
    stored = stored_bytes(folder / "transformer")
    return find_problems(configs, networks, folder), [
        f"weights are stored in {stored} bytes each",
        *drawing_lines(lambda switches: to_draw(networks, switches, stored)),
        *training_lines(stages(networks, HALF)),
    ]


def configs_in(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the configurations of a folder; where one is missing, that of the 4B network stands for it."""
    files = {part: folder / part / "config.json" for part in CONFIGS}
    return {part: read_json(file) if file.is_file() else CONFIGS[part] for part, file in files.items()}


def networks_of(configs: Mapping[str, dict[str, Any]]) -> dict[str, nn.Module]:
    """Return networks of such configurations on the meta device."""
    with torch.device("meta"):
        return {part: KINDS[part](dict(config)) for part, config in configs.items()}


def find_problems(
    configs: Mapping[str, dict[str, Any]], networks: Mapping[str, nn.Module], folder: Path
) -> list[str]:
    """Return a line for everything that is missing; where nothing is, what does not go together."""
    return missing_parts(folder, PARTS) or [
        *distilled(folder),
        *wrong_widths(folder, widths(configs)),
        *wrong_shapes(folder, {part: networks[part] for part in ("transformer", "vae")}),
    ]


def widths(configs: Mapping[str, dict[str, Any]]) -> dict[str, tuple[object, object]]:
    """Return the widths that the other parts have, and those that fit the transformer's configuration."""
    transformer, vae, text = (configs[part] for part in ("transformer", "vae", "text_encoder"))
    layers = len(KleinBase.text_layers)
    return {
        "vae: latent_channels": (vae.get("latent_channels"), transformer["in_channels"] // PATCH**2),
        "text_encoder: hidden_size": (text.get("hidden_size"), transformer["joint_attention_dim"] // layers),
    }


def to_draw(networks: Mapping[str, nn.Module], switches: MemorySwitches, stored: int) -> Memory:
    """Return what drawing `switches.batch_size` sizes of a person takes; see `drawing_memory`."""
    picture = TILE if switches.vae_tiling else PICTURE
    together = 1 if switches.vae_slicing else switches.batch_size
    weights = {part: num_weights(network) for part, network in networks.items()}
    there = weights | pieces_of(networks) if switches.by_piece else weights
    turns = [
        Turn(there["text_encoder"], TEXT),
        Turn(there["transformer"], switches.batch_size * STEP),
        Turn(there["vae"], together * picture),
    ]
    return drawing_memory(turns, sum(weights.values()), ADAPTER_WEIGHTS, switches, stored)


def pieces_of(networks: Mapping[str, nn.Module]) -> dict[str, int]:
    """Return how many weights are there at once of networks that come in pieces.

    Of the transformer that is a block, and all that belongs to none; of the text encoder a layer.
    """
    transformer = networks["transformer"]
    lists = [module for module in transformer.children() if isinstance(module, nn.ModuleList)]
    blocks = [num_weights(block) for blocks in lists for block in blocks]
    layers = [module for module in networks["text_encoder"].modules() if not list(module.children())]
    return {
        "transformer": num_weights(transformer) - sum(blocks) + max(blocks),
        "text_encoder": max(map(num_weights, layers)),
    }


def stages(networks: Mapping[str, nn.Module], stored: int) -> dict[str, Memory]:
    """Return what each training stage takes, by its name."""
    updates = num_updates(networks["transformer"], KleinBase.lora_targets)
    return {
        "train_size": to_train(networks, stored),
        f"train_joint with LoRA of rank {USUAL_RANK}": to_train(networks, stored, updates),
    }


def to_train(networks: Mapping[str, nn.Module], stored: int, updates: int = 0) -> Memory:
    """Return what training the adapter, and updates of so many weights, takes; see `training_memory`."""
    frozen = sum(map(num_weights, networks.values()))
    return training_memory(frozen, ADAPTER_WEIGHTS + updates, BACKWARD, stored)
