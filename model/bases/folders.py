"""What the folder of a base has and lacks, from names and headers of its files: no weights are loaded."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from model.bases.memory import FULL, HALF
from model.weights import (
    ENCODER_PATTERNS,
    WEIGHT_PATTERNS,
    load_weight_file,
    require_same_weights,
    weight_files,
    whole,
)

ENCODERS = ("image_encoder", "text_encoder", "text_encoder_2")
"""Parts that transformers loads."""

CONFIGS = {
    "tokenizer": ("vocab.json", "tokenizer.json"),
    "tokenizer_2": ("vocab.json", "tokenizer.json"),
    "scheduler": ("scheduler_config.json",),
}
"""Files that say what a part is, one of which must be there; `config.json` where nothing else is named."""


def missing_parts(folder: Path, parts: Iterable[str]) -> list[str]:
    """Return a line for everything that the folder of a base lacks."""
    if not folder.is_dir():
        return [f"{folder}: no such folder; download the base there, or give its path"]
    there = {part: (folder / part).is_dir() for part in parts}
    missing = [f"{folder / part}: missing" for part, found in there.items() if not found]
    return missing + [line for part, found in there.items() if found for line in missing_files(folder, part)]


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


def wrong_widths(folder: Path, found: Mapping[str, tuple[object, object]]) -> list[str]:
    """Return a line for every width that a folder's configurations have and that isn't the one wanted."""
    return [
        f"{folder}: {name} must be {wanted}, got {got}"
        for name, (got, wanted) in found.items()
        if got != wanted
    ]


def wrong_shapes(folder: Path, networks: Mapping[str, nn.Module]) -> list[str]:
    """Return how the headers of parts' weights differ from the networks that are wanted, by part."""
    problems = []
    for part, network in networks.items():
        try:
            require_same_weights(network.state_dict(), header_shapes(folder / part), folder / part)
        except ValueError as error:
            problems.append(str(error))
    return problems


def stored_bytes(part: Path) -> int:
    """Return how many bytes a weight of a part takes as stored; full precision where no header tells it."""
    try:
        file = weight_files(part)[0]
    except FileNotFoundError:
        return FULL
    if file.suffix != ".safetensors":
        return FULL
    with whole(file), safe_open(file, framework="pt") as opened:
        kinds = {opened.get_slice(name).get_dtype() for name in opened.keys()}  # noqa: SIM118
    return HALF if kinds <= {"F16", "BF16"} else FULL


def header_shapes(part: Path) -> dict[str, Tensor]:
    """Return the weights of a part as tensors on the meta device: names and shapes, no numbers."""
    shapes: dict[str, Tensor] = {}
    for file in weight_files(part):
        if file.suffix == ".safetensors":
            shapes |= header_of(file)
        else:
            shapes |= {name: tensor.to("meta") for name, tensor in load_weight_file(file).items()}
    return shapes


def header_of(file: Path) -> dict[str, Tensor]:
    """Return what a safetensors file holds as tensors on the meta device."""
    with whole(file), safe_open(file, framework="pt") as opened:
        sizes = {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
    return {name: torch.empty(size, device="meta") for name, size in sizes.items()}
