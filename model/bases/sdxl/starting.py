"""Start a base where IDM-VTON's own training starts: SDXL inpainting plus IP-Adapter Plus.

The inpainting UNet reads 9 channels (a plain one 4); the try-on UNet's other inputs begin with zero weight.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from model.bases.sdxl.image_tokens import Resampler, TryOnCrossAttention, install_tryon_attention
from model.bases.sdxl.loading import (
    PARTS,
    load_garment_unet,
    load_shared_parts,
    resampler_config,
)
from model.bases.sdxl.networks import SdxlBase
from model.bases.sdxl.presets import TRYON_CHANNELS
from model.bases.sdxl.unet import widen_conv_in
from model.weights import files_of, load_encoder, load_weight_file, local_folder, require_same_weights


def start_from_inpainting(
    inpainting: str | Path,
    *,
    garment: str | Path,
    ip_adapter: Path,
    image_encoder: str | Path,
    torch_dtype: torch.dtype | None = None,
) -> SdxlBase:
    """Put a base together from weights that know nothing of try-on yet.

    Args:
        inpainting: Folder or repository of an SDXL inpainting pipeline; its UNet becomes the try-on UNet.
        garment: Folder or repository of an SDXL pipeline; its UNet becomes the garment UNet.
        ip_adapter: File of IP-Adapter Plus for SDXL, .bin or .safetensors.
        image_encoder: Folder of the CLIP vision encoder that the IP-Adapter was trained with.
        torch_dtype: Type of the weights in memory; as stored when None.

    Raises:
        ValueError: Weights are missing or not expected; the message lists them.
    """
    root = local_folder(inpainting, files_of(*PARTS))
    encoder = local_folder(image_encoder, ["config.json", "model.safetensors", "pytorch_model.bin"])
    tryon_unet = load_garment_unet(root / "unet", torch_dtype)  # so far a stock one too
    widen_conv_in(tryon_unet, TRYON_CHANNELS)
    install_tryon_attention(tryon_unet)
    add_ip_adapter(tryon_unet, load_weight_file(ip_adapter), ip_adapter)
    return SdxlBase(
        **load_shared_parts(root, SdxlBase.autoencoder, torch_dtype),
        tryon_unet=tryon_unet,
        garment_unet=load_garment_unet(local_folder(garment, files_of("unet")) / "unet", torch_dtype),
        image_encoder=load_encoder(CLIPVisionModelWithProjection, encoder, torch_dtype),
    )


def add_ip_adapter(unet: UNet2DConditionModel, weights: Mapping[str, Any], source: Path) -> None:
    """Give `unet` the resampler and the image projections of an IP-Adapter Plus file.

    The file numbers the projections by their place among all attention processors of the UNet.
    """
    flat = flattened(weights)
    kind = unet.conv_in.weight.dtype
    resampler = Resampler(**resampler_config(flat, "image_proj."))
    found = {
        name.removeprefix("image_proj."): x for name, x in flat.items() if name.startswith("image_proj.")
    }
    require_same_weights(resampler.state_dict(), found, source)
    resampler.load_state_dict(found)
    unet.encoder_hid_proj = resampler.to(kind)

    expected: dict[str, Tensor] = {}
    for number, processor in enumerate(unet.attn_processors.values()):
        if isinstance(processor, TryOnCrossAttention):
            expected |= {f"{number}.{name}": weight for name, weight in processor.state_dict().items()}
    found = {
        name.removeprefix("ip_adapter."): x for name, x in flat.items() if name.startswith("ip_adapter.")
    }
    require_same_weights(expected, found, source)
    with torch.no_grad():
        for name, weight in expected.items():
            weight.copy_(found[name])


def flattened(weights: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of nested dicts under dotted names: .bin files are nested, safetensors are flat."""
    flat: dict[str, Tensor] = {}
    for name, value in weights.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": tensor for inner, tensor in value.items()}
        else:
            flat[name] = value
    return flat
