"""Read and write the base's folder: IDM-VTON's released layout.

The stock UNet class refuses the released `encoder_hid_dim_type: ip_image_proj`, and has no resampler and no
image projections, so the UNet is built from its config on the meta device and given its weights by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from huggingface_hub import snapshot_download
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from model.image_tokens import Resampler, install_tryon_attention
from model.patch_autoencoder import PatchAutoencoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model.base import TryOnBase

IMAGE_PROJECTION = "ip_image_proj"
"""The released UNet's `encoder_hid_dim_type`."""

WEIGHT_PATTERNS = tuple(
    f"diffusion_pytorch_model{part}.{kind}"
    for kind in ("safetensors", "bin")
    for part in ("", "-*", ".fp16", ".fp16-*")
)
"""Names of weight files, the first that exists being read: whole, in parts, in half precision."""

RESAMPLER_PREFIX = "encoder_hid_proj."

DIM_HEAD = 64
"""Channels of a head of the resampler: no weight's shape tells it, and IP-Adapter Plus has no other."""


def load_parts(folder: str | Path, torch_dtype: torch.dtype | None = None) -> dict[str, Any]:
    """Return the constructor arguments of a `TryOnBase` from a local folder or a repository of the hub."""
    root = local_folder(folder)
    return load_shared_parts(root, torch_dtype) | {
        "tryon_unet": load_tryon_unet(root / "unet", torch_dtype),
        "garment_unet": load_garment_unet(root / "unet_encoder", torch_dtype),
        "image_encoder": load_encoder(CLIPVisionModelWithProjection, root / "image_encoder", torch_dtype),
    }


def local_folder(folder: str | Path) -> Path:
    """Return a folder of this machine; the name of a repository of the hub is fetched."""
    return Path(folder) if Path(folder).is_dir() else Path(snapshot_download(str(folder)))


def load_shared_parts(root: Path, torch_dtype: torch.dtype | None) -> dict[str, Any]:
    """Load what every SDXL pipeline's folder has beside its UNet."""
    return {
        "vae": load_autoencoder(root / "vae", torch_dtype),
        "text_encoder": load_encoder(CLIPTextModel, root / "text_encoder", torch_dtype),
        "text_encoder_2": load_encoder(CLIPTextModelWithProjection, root / "text_encoder_2", torch_dtype),
        "tokenizer": CLIPTokenizer.from_pretrained(root / "tokenizer"),
        "tokenizer_2": CLIPTokenizer.from_pretrained(root / "tokenizer_2"),
        # latents have no range to be clipped to, but clipping is the class's default
        "scheduler": DDIMScheduler.from_pretrained(root / "scheduler", clip_sample=False),
    }


def load_autoencoder(folder: Path, torch_dtype: torch.dtype | None = None) -> Any:
    """Load the autoencoder of an SDXL folder, or that of a tiny base, by the class its config names."""
    config = json.loads((folder / "config.json").read_text())
    kind = PatchAutoencoder if config.get("_class_name") == PatchAutoencoder.__name__ else AutoencoderKL
    return kind.from_pretrained(folder, torch_dtype=torch_dtype)


def load_encoder(kind: Any, folder: Path, torch_dtype: torch.dtype | None) -> Any:
    """Load one of transformers' CLIP encoders; without a type, in the type it was stored in."""
    return kind.from_pretrained(folder, dtype=torch_dtype or "auto")


def load_tryon_unet(folder: Path, torch_dtype: torch.dtype | None = None) -> UNet2DConditionModel:
    """Load the try-on UNet with its resampler and image projections."""
    weights = load_weights(folder)
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(stock_config(folder))
        install_tryon_attention(unet)
        unet.encoder_hid_proj = Resampler(**resampler_config(weights))
    return assign_weights(unet, weights, folder, torch_dtype)


def load_garment_unet(folder: Path, torch_dtype: torch.dtype | None = None) -> UNet2DConditionModel:
    """Load the garment UNet, a stock one."""
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(stock_config(folder))
    return assign_weights(unet, load_weights(folder), folder, torch_dtype)


def stock_config(folder: Path) -> dict[str, Any]:
    """Read `config.json` without the fields that a stock constructor refuses."""
    config = json.loads((folder / "config.json").read_text())
    if config.get("encoder_hid_dim_type") == IMAGE_PROJECTION:
        config |= {"encoder_hid_dim_type": None, "encoder_hid_dim": None}
    return config


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Read the weights of a model's folder."""
    weights: dict[str, Tensor] = {}
    for file in weight_files(folder):
        weights |= load_weight_file(file)
    return weights


def weight_files(folder: Path) -> list[Path]:
    """Return the files of a model's weights: safetensors before PyTorch's own, full precision before half."""
    for pattern in WEIGHT_PATTERNS:
        files = sorted(folder.glob(pattern))
        if files:
            return files
    raise FileNotFoundError(f"no weights in {folder}: it has none of {', '.join(WEIGHT_PATTERNS)}")


def load_weight_file(file: Path) -> dict[str, Any]:
    """Read one file of weights, in either format."""
    if file.suffix == ".safetensors":
        return load_file(file)
    return torch.load(file, map_location="cpu", weights_only=True, mmap=True)


def resampler_config(weights: Mapping[str, Tensor], prefix: str = RESAMPLER_PREFIX) -> dict[str, int]:
    """Return the resampler's constructor arguments, read from the shapes of its weights."""
    own = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
    if "latents" not in own:
        raise ValueError(
            f"the try-on UNet's weights have no {prefix}latents: they hold no image-token resampler"
        )
    dim = own["latents"].shape[2]
    inner = own["layers.0.0.to_q.weight"].shape[0]
    return {
        "dim": dim,
        "depth": len({name.split(".")[1] for name in own if name.startswith("layers.")}),
        "dim_head": min(DIM_HEAD, inner),
        "heads": max(1, inner // DIM_HEAD),
        "num_queries": own["latents"].shape[1],
        "embedding_dim": own["proj_in.weight"].shape[1],
        "output_dim": own["proj_out.weight"].shape[0],
        "ff_mult": own["layers.0.1.1.weight"].shape[0] // dim,
    }


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


def save_parts(base: TryOnBase, folder: Path) -> None:
    """Write every part of `base` below `folder`."""
    with released_configs(base):
        base.tryon_unet.save_pretrained(folder / "unet")
        base.garment_unet.save_pretrained(folder / "unet_encoder")
    for name in (
        "vae",
        "text_encoder",
        "text_encoder_2",
        "image_encoder",
        "tokenizer",
        "tokenizer_2",
        "scheduler",
    ):
        getattr(base, name).save_pretrained(folder / name)


@contextmanager
def released_configs(base: TryOnBase) -> Iterator[None]:
    """Within the block the UNets' configs say what the released ones say."""
    base.tryon_unet.register_to_config(
        encoder_hid_dim_type=IMAGE_PROJECTION, encoder_hid_dim=base.resampler.proj_in.in_features
    )
    base.garment_unet.register_to_config(addition_embed_type="text_time")
    try:
        yield
    finally:
        base.tryon_unet.register_to_config(encoder_hid_dim_type=None, encoder_hid_dim=None)
        base.garment_unet.register_to_config(addition_embed_type=None)
