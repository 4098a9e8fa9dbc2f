"""Read and write the base's folder: IDM-VTON's released layout.

The stock UNet class refuses the released `encoder_hid_dim_type: ip_image_proj`, and has no resampler and no
image projections, so the UNet is built from its config on the meta device and given its weights by name.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from model.bases.autoencoded import load_autoencoder
from model.bases.sdxl.unet import make_tryon_unet
from model.weights import assign_weights, files_of, load_encoder, load_weights, local_folder, read_json

SHARED_PARTS = (
    "image_encoder",
    "vae",
    "text_encoder",
    "text_encoder_2",
    "tokenizer",
    "tokenizer_2",
    "scheduler",
)
"""Sub-folders of a base whose names are those of its attributes."""

PARTS = ("unet", "unet_encoder", *SHARED_PARTS)
"""Sub-folders of a base."""

IMAGE_PROJECTION = "ip_image_proj"
"""The released UNet's `encoder_hid_dim_type`."""

RESAMPLER_PREFIX = "encoder_hid_proj."

RESAMPLER_DIM_HEAD = "resampler_dim_head"
"""Key of the try-on UNet's config: channels of a head of the resampler, which no weight's shape tells."""

RELEASED_DIM_HEAD = 64
"""Its value where the config has none, as the released one: IP-Adapter Plus has no other."""


class SizeTryOnPipeline(DiffusionPipeline):
    """The parts of a base under the names of IDM-VTON's folder."""

    def __init__(
        self,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        unet_encoder: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        text_encoder_2: CLIPTextModelWithProjection,
        image_encoder: CLIPVisionModelWithProjection,
        tokenizer: CLIPTokenizer,
        tokenizer_2: CLIPTokenizer,
        scheduler: DDIMScheduler,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae,
            unet=unet,
            unet_encoder=unet_encoder,
            text_encoder=text_encoder,
            text_encoder_2=text_encoder_2,
            image_encoder=image_encoder,
            tokenizer=tokenizer,
            tokenizer_2=tokenizer_2,
            scheduler=scheduler,
        )


def load_parts(
    folder: str | Path, autoencoder: Any = AutoencoderKL, torch_dtype: torch.dtype | None = None
) -> dict[str, Any]:
    """Return the constructor arguments of an `SdxlBase` from a local folder or a repository of the hub."""
    root = local_folder(folder, files_of(*PARTS))
    return load_shared_parts(root, autoencoder, torch_dtype) | {
        "tryon_unet": load_tryon_unet(root / "unet", torch_dtype),
        "garment_unet": load_garment_unet(root / "unet_encoder", torch_dtype),
        "image_encoder": load_encoder(CLIPVisionModelWithProjection, root / "image_encoder", torch_dtype),
    }


def load_shared_parts(root: Path, autoencoder: Any, torch_dtype: torch.dtype | None) -> dict[str, Any]:
    """Load what every SDXL pipeline's folder has beside its UNet."""
    return {
        "vae": load_autoencoder(autoencoder, root / "vae", torch_dtype),
        "text_encoder": load_encoder(CLIPTextModel, root / "text_encoder", torch_dtype),
        "text_encoder_2": load_encoder(CLIPTextModelWithProjection, root / "text_encoder_2", torch_dtype),
        "tokenizer": CLIPTokenizer.from_pretrained(root / "tokenizer"),
        "tokenizer_2": CLIPTokenizer.from_pretrained(root / "tokenizer_2"),
        # latents have no range to be clipped to, but clipping is the class's default
        "scheduler": DDIMScheduler.from_pretrained(root / "scheduler", clip_sample=False),
    }


def load_tryon_unet(folder: Path, torch_dtype: torch.dtype | None = None) -> UNet2DConditionModel:
    """Load the try-on UNet with its resampler and image projections."""
    weights = load_weights(folder)
    with torch.device("meta"):
        unet = make_tryon_unet(stock_config(folder), resampler_config(weights, dim_head=dim_head_in(folder)))
    return assign_weights(unet, weights, folder, torch_dtype)


def load_garment_unet(folder: Path, torch_dtype: torch.dtype | None = None) -> UNet2DConditionModel:
    """Load the garment UNet, a stock one."""
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(stock_config(folder))
    return assign_weights(unet, load_weights(folder), folder, torch_dtype)


def stock_config(folder: Path) -> dict[str, Any]:
    """Read `config.json` without the fields that a stock constructor refuses."""
    return without_image_projection(read_json(folder / "config.json"))


def without_image_projection(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a released UNet's config without what says of it that it has a resampler."""
    kept = {name: value for name, value in config.items() if name != RESAMPLER_DIM_HEAD}
    if kept.get("encoder_hid_dim_type") == IMAGE_PROJECTION:
        kept |= {"encoder_hid_dim_type": None, "encoder_hid_dim": None}
    return kept


def dim_head_in(folder: Path) -> int:
    """Read the channels of a head of the resampler from a try-on UNet's folder."""
    config = read_json(folder / "config.json")
    return int(config.get(RESAMPLER_DIM_HEAD) or RELEASED_DIM_HEAD)


def resampler_config(
    weights: Mapping[str, Tensor], prefix: str = RESAMPLER_PREFIX, dim_head: int = RELEASED_DIM_HEAD
) -> dict[str, int]:
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
        "dim_head": dim_head,
        "heads": inner // dim_head,
        "num_queries": own["latents"].shape[1],
        "embedding_dim": own["proj_in.weight"].shape[1],
        "output_dim": own["proj_out.weight"].shape[0],
        "ff_mult": own["layers.0.1.1.weight"].shape[0] // dim,
    }


@contextmanager
def released_configs(tryon_unet: UNet2DConditionModel, garment_unet: UNet2DConditionModel) -> Iterator[None]:
    """Within the block the UNets' configs say what the released ones say."""
    resampler = tryon_unet.encoder_hid_proj
    tryon_unet.register_to_config(
        encoder_hid_dim_type=IMAGE_PROJECTION,
        encoder_hid_dim=resampler.proj_in.in_features,
        **{RESAMPLER_DIM_HEAD: resampler.dim_head},
    )
    garment_unet.register_to_config(addition_embed_type="text_time")
    try:
        yield
    finally:
        tryon_unet.register_to_config(
            encoder_hid_dim_type=None, encoder_hid_dim=None, **{RESAMPLER_DIM_HEAD: None}
        )
        garment_unet.register_to_config(addition_embed_type=None)
