"""Weights: drawn from a seed, or read from files, here or on the hub, and given to the network they fit."""

import json
import pickle
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.utils import logging

WEIGHT_PATTERNS = tuple(
    f"diffusion_pytorch_model{part}.{kind}"
    for kind in ("safetensors", "bin")
    for part in ("", "-*", ".fp16", ".fp16-*")
)
"""Names of weight files, the first that exists being read: whole, in parts, in half precision."""

ENCODER_PATTERNS = ("model.safetensors", "model-*.safetensors", "pytorch_model.bin", "pytorch_model-*.bin")
"""The same for transformers' encoders."""

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
"""What a repository of the hub may be called: owner/name."""

HUB_KINDS = ("json", "txt", "safetensors", "bin")
"""Endings of the files that are fetched; the same weights for other frameworks stay where they are."""

NOT_WHOLE = (
    "must have whole weights, so copy or download it again (save it anew if torch before 1.6 wrote it)"
)


def files_of(*parts: str) -> list[str]:
    """Return patterns of the files of a base's sub-folders, as the hub wants them."""
    return [f"{part}/*.{kind}" for part in parts for kind in HUB_KINDS]


def local_folder(folder: str | Path, patterns: list[str] | None = None) -> Path:
    """Return a folder of this machine; of a repository of the hub, files (of `patterns`) are fetched.

    Raises:
        FileNotFoundError: There is no such folder, and no such repository either.
    """
    if Path(folder).is_dir():
        return Path(folder)
    if not may_be_found(folder):
        raise FileNotFoundError(f"no folder {folder}; a repository of the hub is named owner/name")
    try:
        return Path(snapshot_download(str(folder), allow_patterns=patterns, ignore_patterns="*openvino*"))
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise FileNotFoundError(f"no folder {folder}, and the hub did not give it: {error}") from error


def may_be_found(folder: str | Path) -> bool:
    """Whether a folder is here, or a repository of the hub may have its name."""
    return Path(folder).is_dir() or HUB_NAME.fullmatch(str(folder)) is not None


@contextmanager
def without_bars() -> Iterator[None]:
    """Within the block transformers draws no bars over files that are on this machine already."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block random weights are those of `seed`; the global random state stays what it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


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
        OSError: There is no such file, or it may not be read.
        ValueError: It is not whole. Or a pickle holds more than tensors: it could run code, so it is not
            opened any further.
    """
    if file.suffix == ".safetensors":
        with whole(file):
            return load_file(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{file} holds more than weights and is not loaded: use safetensors") from error
    except (FileNotFoundError, PermissionError):
        raise
    except (RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"{file} {NOT_WHOLE}: {error}") from error


def read_json(file: Path) -> dict[str, Any]:
    """Read what stands beside weights: a config, or what a training stage says of itself.

    Raises:
        OSError: There is no such file, or it may not be read.
        ValueError: It holds no JSON object.
    """
    try:
        return dict(**json.loads(file.read_text()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file} must be a whole JSON object, so copy it again: {error}") from error


@contextmanager
def whole(source: Path) -> Iterator[None]:
    """Within the block safetensors of a file or folder are read; where they were cut, ValueError names it."""
    try:
        yield
    except SafetensorError as error:
        raise ValueError(f"{source} {NOT_WHOLE}: {error}") from error


def load_encoder(kind: Any, folder: Path, torch_dtype: torch.dtype | None) -> Any:
    """Load one of transformers' encoders, of class `kind`; without a type, in the type it was stored in.

    Raises:
        ValueError: Weights are missing or misshapen; transformers would draw them at random.
    """
    with without_bars(), whole(folder):
        encoder, found = kind.from_pretrained(
            folder, dtype=torch_dtype or "auto", output_loading_info=True, ignore_mismatched_sizes=True
        )
    refuse_unlike(folder, {problem: found[problem] for problem in ("missing_keys", "mismatched_keys")})
    return encoder.eval()


def load_network(from_pretrained: Callable[..., Any], folder: str | Path, **options: Any) -> Any:
    """Load one of diffusers' networks by its class's `from_pretrained`.

    Raises:
        ValueError: Weights are missing, not expected or misshapen; diffusers would only warn, and draw them.
    """
    network, found = from_pretrained(folder, output_loading_info=True, **options)
    refuse_unlike(folder, found)
    return network


def refuse_unlike(folder: str | Path, found: Mapping[str, Any]) -> None:
    """Raise ValueError where something is listed under a problem of the weights in a folder."""
    wrong = {problem: names for problem, names in found.items() if names}
    if wrong:
        raise ValueError(f"the weights in {folder} are not those of its configuration: {wrong}")


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
