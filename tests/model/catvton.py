"""CatVTON's folders for tests: golden ones made by its own code, and whole ones to load."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.bases.catvton.loading import make_unet
from model.bases.catvton.networks import CatvtonBase
from model.weights import seeded
from tests.model.golden import SHARED

GOLDEN = sorted(path.parent for path in (SHARED / "golden" / "catvton").glob("*/config.json"))

SCHEDULER = {
    "_class_name": "PNDMScheduler",  # as Stable Diffusion's is
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "clip_sample": False,
}


def unet_config(
    channels: tuple[int, ...] = (16, 24, 32, 32), layers: int = 1, heads: int = 4, groups: int = 8
) -> dict[str, Any]:
    """Return a UNet's configuration with the blocks of Stable Diffusion 1.5."""
    attends = len(channels) - 1
    return {
        "in_channels": 9,
        "out_channels": 4,
        "sample_size": 16,
        "block_out_channels": channels,
        "down_block_types": (*["CrossAttnDownBlock2D"] * attends, "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *["CrossAttnUpBlock2D"] * attends),
        "layers_per_block": layers,
        "attention_head_dim": heads,
        "cross_attention_dim": 32,
        "norm_num_groups": groups,
    }


def small_autoencoder() -> AutoencoderKL:
    """Return an autoencoder with Stable Diffusion's blocks: a cell of the grid is 8 px wide."""
    with seeded(4):
        return AutoencoderKL(
            block_out_channels=(8, 8, 8, 8),
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
        ).eval()


def write_released(
    root: Path,
    config: Mapping[str, Any],
    unet: Mapping[str, Tensor],
    attention: Mapping[str, Tensor] | None = None,
    scheduler: Mapping[str, Any] = SCHEDULER,
) -> Path:
    """Write Stable Diffusion inpainting's folder, and CatVTON's `attention/` in it."""
    for part in ("unet", "scheduler"):
        (root / part).mkdir(parents=True, exist_ok=True)
    (root / "unet" / "config.json").write_text(json.dumps(dict(config)))
    save_file(dict(unet), root / "unet" / "diffusion_pytorch_model.safetensors")
    (root / "scheduler" / "scheduler_config.json").write_text(json.dumps(dict(scheduler)))
    small_autoencoder().save_pretrained(root / "vae")
    if attention is not None:
        (root / "attention").mkdir()
        save_file(dict(attention), root / "attention" / "model.safetensors")
    return root


def small_base(config: Mapping[str, Any] | None = None) -> CatvtonBase:
    """Return a base with random weights."""
    with seeded(0):
        unet = make_unet(config or unet_config())
    scheduler = DDIMScheduler.from_config(SCHEDULER)
    return CatvtonBase(
        unet=unet, vae=small_autoencoder(), scheduler=scheduler, released_attention=True
    ).eval()


class Golden:
    """One golden folder: its tensors, and the base that loads from its weights in the released layout."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.config = json.loads((folder / "config.json").read_text())
        self.inputs = load_file(folder / "inputs.safetensors")
        self.outputs = load_file(folder / "outputs.safetensors")
        self.unet = load_file(folder / "unet.safetensors")
        self.attention = load_file(folder / "attention.safetensors")
        self.root = write_released(
            root, self.config["unet"], self.unet, self.attention, self.config["scheduler"]
        )
        self.base = CatvtonBase.from_pretrained(root, torch.float32).requires_grad_(False)

    def encodings(self) -> dict[str, Tensor]:
        """What the autoencoder would have made of the pictures."""
        return {
            "mask": self.inputs["mask_latents"],
            "masked_latents": self.inputs["masked_person_latents"],
            "garment_latents": self.inputs["garment_latents"],
            "latents": self.inputs["person_latents"],
        }
