"""Load what the training stages wrote."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from model.adapter.adapter import SizeAdapter
from model.bases import BASES
from model.bases.base import TryOnBase
from model.weights import load_weight_file, read_json
from preprocess.sizes.axes import MEANINGS
from preprocess.vocabulary import AXES_VARIABLE, OPTIONAL_AXES, TRIED_ON

RECORD = "record.json"
"""What a training stage says of itself: parameters, picture size, inpainting masks, versions."""

BASE, FINGERPRINT = "base", "fingerprint"
"""In a record: the fingerprint of the base that was trained on, and that of the run itself."""

LAYERS_FILE = "layers.safetensors"
"""Layers that `train_joint` trained in full, by their names in the network that predicts."""


def read_record(folder: Path) -> dict[str, Any]:
    """What a training stage wrote about itself.

    Raises:
        FileNotFoundError: `folder` is not the output of a training stage.
        ValueError: Its record isn't whole.
    """
    path = folder / RECORD
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} not found: run the stage that writes {folder.name} first (dvc repro)"
        )
    return read_json(path)


def usual_device() -> str:
    """Where networks run that are told nothing else: the GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def load_base(
    folder: Path, device: str | torch.device | None = None, torch_dtype: torch.dtype | None = None
) -> TryOnBase:
    """Load the base that `train_base` made, or the pretrained one that it checked and recorded, frozen.

    It lies on the GPU where there is one and nothing else is said, in the type in which it is stored.
    """
    params = read_record(folder)["params"]
    entry = BASES[params["preset"]]
    base = entry.load().from_pretrained(params["pretrained"] if entry.pretrained else folder, torch_dtype)
    return base.requires_grad_(False).to(device or usual_device())


def image_size(base: Path) -> tuple[int, int]:
    """Height and width (px) of the pictures that the base in this folder makes."""
    record = read_record(base)
    return record["image_height"], record["image_width"]


def load_size_aware(
    base: Path,
    checkpoint: Path,
    device: str | torch.device | None = None,
    torch_dtype: torch.dtype | None = None,
) -> tuple[TryOnBase, SizeAdapter]:
    """Load the base with what `train_size` or `train_joint` added to it.

    Args:
        base: Folder of `train_base`.
        checkpoint: Folder of `train_size` or `train_joint`.
        device: Where they shall lie; the GPU where there is one when None.
        torch_dtype: Type of the weights in memory; as stored when None.

    Returns:
        The networks, frozen, and the adapter.

    Raises:
        FileNotFoundError: A part is missing.
        ValueError: `checkpoint` was trained on another base.
    """
    require_base(checkpoint, base)
    require_layers(checkpoint)
    networks = load_base(base, device, torch_dtype)
    dtype = networks.dtype  # a base may take another half precision than is asked for
    if (checkpoint / "lora").is_dir():
        networks.denoiser.load_lora_adapter(str(checkpoint / "lora"), prefix=None, use_safetensors=True)
        networks.denoiser.to(torch_dtype and dtype).requires_grad_(False)
    if (checkpoint / LAYERS_FILE).is_file():
        load_layers(networks.denoiser, checkpoint / LAYERS_FILE)
    adapter = load_adapter(checkpoint).to(networks.device, torch_dtype)
    return networks, adapter.requires_grad_(False).eval()


def require_base(checkpoint: Path, base: Path) -> None:
    """Raise ValueError where a checkpoint says that it was trained on another base than this one."""
    trained_on, found = read_record(checkpoint).get(BASE), read_record(base).get(FINGERPRINT)
    if trained_on != found and None not in (trained_on, found):  # earlier versions didn't say
        raise ValueError(
            f"{checkpoint} was trained on another base than {base}: name the one it was trained on, whose "
            f"{RECORD} has the {FINGERPRINT} {trained_on}, or train it again"
        )


def require_layers(checkpoint: Path) -> None:
    """Raise FileNotFoundError where the layers that `train_joint` trained in the base are missing."""
    record = read_record(checkpoint)
    if record.get("stage") == "train_joint":
        layers = checkpoint / ("lora" if record["params"]["base_layers"] == "lora" else LAYERS_FILE)
        if not layers.exists():
            raise FileNotFoundError(
                f"{layers} not found: train_joint wrote it beside the adapter, which doesn't do without it: "
                "copy the whole folder"
            )


def load_adapter(checkpoint: Path) -> SizeAdapter:
    """Load the adapter of `train_size` or `train_joint`; see `for_sizes_here`.

    Raises:
        FileNotFoundError: Another stage wrote the folder.
        ValueError: The weights aren't whole, or aren't those of the adapter's configuration.
    """
    if not (checkpoint / "adapter").is_dir():
        raise FileNotFoundError(f"{checkpoint} has no adapter/: name what train_size or train_joint wrote")
    return for_sizes_here(SizeAdapter.from_pretrained(checkpoint / "adapter"), checkpoint)


def for_sizes_here(adapter: SizeAdapter, folder: str | Path) -> SizeAdapter:
    """Return the adapter of a folder for the axes and categories that there are in this process.

    Raises:
        ValueError: It was trained with an axis that isn't switched on here.
    """
    off = {*adapter.config.axis_names} & {*OPTIONAL_AXES} - {*MEANINGS}
    if off:
        names = ",".join(sorted(off))
        raise ValueError(
            f"{folder} was trained with the axis {names}, which is not switched on in this process: list it "
            f"in `axes` of params.yaml, or set {AXES_VARIABLE}={names}"
        )
    return adapter.for_sizes(MEANINGS, TRIED_ON)


def load_layers(unet: nn.Module, file: Path) -> None:
    """Replace layers by those that `train_joint` trained.

    Raises:
        ValueError: The file has layers that the UNet does not have.
    """
    unexpected = unet.load_state_dict(load_weight_file(file), strict=False).unexpected_keys
    if unexpected:
        raise ValueError(f"{file} belongs to another UNet, which has no {', '.join(unexpected[:3])}")
