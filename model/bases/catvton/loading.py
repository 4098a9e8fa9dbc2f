"""Read and write CatVTON's weights: a UNet for inpainting, and the self-attention that was trained on.

The released attention file names its layers by a number alone. CatVTON's own loader takes what happens to
fit, and is silent about the rest; here every name and shape must match.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor

from model.bases.catvton.attention import install_catvton_attention
from model.bases.sdxl.garment_attention import SELF_ATTENTION
from model.bases.sdxl.unet import open_time_embedding
from model.weights import assign_weights, load_weight_file, load_weights, read_json, require_same_weights

PARTS = ("unet", "vae", "scheduler")
"""Sub-folders of a base."""

ATTENTION_FOLDER = "attention"
"""Of the trained self-attention; a folder without it is for inpainting, and knows nothing of try-on."""

ATTENTION_FILE = "model.safetensors"

STRIDE = 8
"""From a layer's number to the next: the release counts the attention, its three projections, the output, the
two modules within that, and the processor."""

LATENT_CHANNELS = 4

IN_CHANNELS = LATENT_CHANNELS + 1 + LATENT_CHANNELS
"""Noisy latents 4, mask 1, latents of what is known 4, in this order."""


def load_unet(root: Path, torch_dtype: torch.dtype | None = None) -> tuple[UNet2DConditionModel, bool]:
    """Load `unet/`, and over it `attention/` where there is one.

    Returns:
        The network, and whether its self-attention is the released one.

    Raises:
        ValueError: It is none for inpainting, or weights are missing or not expected; the message lists them.
        FileNotFoundError: There is no weight file where there should be one.
    """
    config = read_json(root / "unet" / "config.json")
    if config["in_channels"] != IN_CHANNELS:
        raise ValueError(
            f"{root / 'unet'} must be a UNet for inpainting, which reads {IN_CHANNELS} channels, got "
            f"{config['in_channels']}: take Stable Diffusion 1.5 inpainting"
        )
    with torch.device("meta"):
        unet = make_unet(config)
    weights = load_weights(root / "unet")
    released = (root / ATTENTION_FOLDER).is_dir()
    if released:
        file = root / ATTENTION_FOLDER / ATTENTION_FILE
        if not file.is_file():
            raise FileNotFoundError(f"{file} not found: it is the attention that CatVTON trained")
        weights |= named_attention(unet, load_weight_file(file), file)
    return assign_weights(unet, weights, root / "unet", torch_dtype), released


def make_unet(config: Mapping[str, object]) -> UNet2DConditionModel:
    """Return a UNet of that configuration which runs without text, with random weights."""
    unet = UNet2DConditionModel.from_config(dict(config))
    install_catvton_attention(unet)
    open_time_embedding(unet)
    return unet


def released_names(unet: UNet2DConditionModel) -> dict[str, str]:
    """Return the UNet's own name of every weight of its self-attention, by the name in the released file.

    The numbers follow the order of `named_modules`: down, up, and the middle last.
    """
    layers = [name for name, _ in unet.named_modules() if name.endswith(SELF_ATTENTION)]
    return {
        f"{STRIDE * place}.{weight}": f"{layer}.{weight}"
        for place, layer in enumerate(layers)
        for weight in unet.get_submodule(layer).state_dict()
    }


def named_attention(
    unet: UNet2DConditionModel, weights: Mapping[str, Tensor], source: Path
) -> dict[str, Tensor]:
    """Return a released attention file's weights by the names of `unet`.

    Raises:
        ValueError: They are not those of its self-attention; the message lists what is missing, not expected
            or of another shape.
    """
    names, own = released_names(unet), unet.state_dict()
    require_same_weights({number: own[name] for number, name in names.items()}, weights, source)
    return {name: weights[number] for number, name in names.items()}


def save_attention(unet: UNet2DConditionModel, root: Path) -> None:
    """Write the self-attention as it is released."""
    own = unet.state_dict()
    (root / ATTENTION_FOLDER).mkdir(parents=True, exist_ok=True)
    weights = {number: own[name].contiguous() for number, name in released_names(unet).items()}
    save_file(weights, root / ATTENTION_FOLDER / ATTENTION_FILE, metadata={"format": "pt"})
