"""Files of weights: finding and reading them, and giving them to a network that must want just these."""

import pickle
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

WEIGHT_PATTERNS = tuple(
    f"diffusion_pytorch_model{part}.{kind}"
    for kind in ("safetensors", "bin")
    for part in ("", "-*", ".fp16", ".fp16-*")
)
"""Names of weight files, the first that exists being read: whole, in parts, in half precision."""

ENCODER_PATTERNS = ("model.safetensors", "model-*.safetensors", "pytorch_model.bin", "pytorch_model-*.bin")
"""The same for transformers' encoders."""


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Read the weights of a model's folder."""
    weights: dict[str, Tensor] = {}
    for file in weight_files(folder):
        weights |= load_weight_file(file)
    return weights


def weight_files(folder: Path, patterns: Sequence[str] = WEIGHT_PATTERNS) -> list[Path]:
    """Return the files of a model's weights: safetensors before PyTorch's own, full precision before half."""
    for pattern in patterns:
        files = sorted(folder.glob(pattern))
        if files:
            return files
    raise FileNotFoundError(f"no weights in {folder}: it has none of {', '.join(patterns)}")


def load_weight_file(file: Path) -> dict[str, Any]:
    """Read one file of weights, in either format.

    Raises:
        ValueError: A pickle holds more than tensors. It could run code, so it is not opened any further.
    """
    if file.suffix == ".safetensors":
        return load_file(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{file} holds more than weights and is not loaded: use safetensors") from error


def assign_weights(
    module: nn.Module, weights: Mapping[str, Tensor], source: Path, torch_dtype: torch.dtype | None = None
) -> Any:
    """Give a module on the meta device its weights; every name and shape must match."""
    require_same_weights(module.state_dict(), weights, source)
    typed = {name: tensor.to(torch_dtype or tensor.dtype) for name, tensor in weights.items()}
    module.load_state_dict(typed, assign=True)
    return module.eval()


def require_same_weights(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor], source: Path | str
) -> None:
    """Raise ValueError, listing them all, unless names and shapes of `found` are those `expected`."""
    problems = describe("missing", expected.keys() - found.keys())
    problems += describe("not expected", found.keys() - expected.keys())
    wrong = {
        f"{name}: {tuple(found[name].shape)} for {tuple(expected[name].shape)}"
        for name in expected.keys() & found.keys()
        if tuple(found[name].shape) != tuple(expected[name].shape)
    }
    problems += describe("of another shape", wrong)
    if problems:
        raise ValueError(f"the weights in {source} are not those of this network:\n" + "\n".join(problems))


def describe(what: str, names: Iterable[str]) -> list[str]:
    """Return one indented line a name under a heading, or nothing."""
    ordered = sorted(names)
    return [f"{len(ordered)} {what}:", *(f"  {name}" for name in ordered)] if ordered else []
