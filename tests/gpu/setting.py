"""On what the report runs: the device, and networks of full size with random weights, made there."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from model.bases.sdxl.networks import SdxlBase
from model.bases.sdxl.presets import LATENT_CHANNELS, TRYON_CHANNELS, SdxlPreset
from model.bases.sdxl.unet import make_tryon_unet
from model.bases.tiny.networks import TINY, build_tiny_base, byte_tokenizer
from shards.batch import Batch
from shards.codec import WHOLE

PEAK_FLOPS = {
    "NVIDIA H200": 989e12,
    "NVIDIA H100 80GB HBM3": 989e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100 80GB PCIe": 312e12,
    "NVIDIA A100-PCIE-40GB": 312e12,
}
"""Dense bf16 operations a second that a card is sold with, by its whole name: an H100 PCIe has fewer."""

MATMUL = 8192
"""Side of the matrices that tell what a card of another name can do."""


@dataclass(frozen=True)
class Setting:
    """Where the report runs, and how large its networks are."""

    device: torch.device
    tiny: bool
    """Small networks and pictures: a rehearsal of the same code."""
    out: Path
    left: Callable[[], float]
    """Seconds that are left for all rows."""

    @property
    def on_gpu(self) -> bool:
        """Whether there is a CUDA device."""
        return self.device.type == "cuda"

    @property
    def precision(self) -> str:
        """`runtime.mixed_precision` of this device."""
        return "bf16" if self.on_gpu else "no"

    @property
    def dtype(self) -> torch.dtype:
        """Type of frozen weights on this device."""
        return torch.bfloat16 if self.on_gpu else torch.float32

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Heights and widths of pictures (px), largest first."""
        return ((64, 48), (32, 24)) if self.tiny else ((1024, 768), (512, 384))

    @property
    def steps(self) -> int:
        """Denoising steps of a picture."""
        return 2 if self.tiny else 30

    @cached_property
    def base(self) -> SdxlBase:
        """Frozen networks of full size, or the tiny ones, with random weights in this device's type."""
        return self.new_base(self.dtype)

    def new_base(self, dtype: torch.dtype) -> SdxlBase:
        """Make such networks."""
        if self.tiny:
            return build_tiny_base(TINY, 0).requires_grad_(False).to(self.device, dtype)
        return random_sdxl(self.device, dtype).requires_grad_(False)

    @cached_property
    def compiles(self) -> bool:
        """Whether torch can compile for this device: Triton wants a C compiler and Python's headers."""
        try:
            torch.compile(lambda x: x + 1)(torch.ones(1, device=self.device))
        except Exception:
            return False
        return True

    @cached_property
    def peak_flops(self) -> float:
        """Operations a second at most: by the card's name, or of one large product."""
        name = torch.cuda.get_device_name(self.device) if self.on_gpu else ""
        return PEAK_FLOPS.get(name) or self.measured_flops()

    def measured_flops(self) -> float:
        """Operations a second of one large product of matrices."""
        side = 512 if self.tiny else MATMUL
        one = torch.randn(side, side, device=self.device, dtype=self.dtype)
        seconds = self.seconds(lambda: one @ one, repeats=3)
        return 2 * side**3 / seconds

    def seconds(self, work: Callable[[], Any], *, repeats: int = 1, warm_up: int = 1) -> float:
        """Mean seconds of a piece of work, the device's queue emptied before and after."""
        for _ in range(warm_up):
            work()
        self.wait()
        started = time.perf_counter()
        for _ in range(repeats):
            work()
        self.wait()
        return (time.perf_counter() - started) / repeats

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def peak_bytes(self, work: Callable[[], Any]) -> int:
        """Most memory that the device held during a piece of work; 0 where nobody counts."""
        if not self.on_gpu:
            work()
            return 0
        torch.cuda.reset_peak_memory_stats(self.device)
        work()
        return torch.cuda.max_memory_allocated(self.device)


def random_sdxl(device: torch.device, dtype: torch.dtype) -> SdxlBase:
    """Make all of IDM-VTON's networks on a device, with the random weights that their classes start with."""
    preset = SdxlPreset()
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return SdxlBase(
                vae=AutoencoderKL(**sdxl_vae()),
                tryon_unet=make_tryon_unet(preset.unet_config(TRYON_CHANNELS), preset.resampler_config()),
                garment_unet=UNet2DConditionModel(**preset.unet_config(LATENT_CHANNELS)),
                text_encoder=CLIPTextModel(clip_text(768, 12, 12)),
                text_encoder_2=CLIPTextModelWithProjection(clip_text(1280, 32, 20)),
                image_encoder=CLIPVisionModelWithProjection(clip_vision()),
                tokenizer=byte_tokenizer(77),
                tokenizer_2=byte_tokenizer(77),
                scheduler=DDIMScheduler(
                    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
                ),
            ).eval()
    finally:
        torch.set_default_dtype(before)


def sdxl_vae() -> dict[str, Any]:
    """Constructor arguments of SDXL's autoencoder."""
    return {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "latent_channels": LATENT_CHANNELS,
        "layers_per_block": 2,
        "sample_size": 1024,
        "scaling_factor": 0.13025,
    }


def clip_text(width: int, layers: int, heads: int) -> CLIPTextConfig:
    """Config of one of SDXL's text encoders."""
    return CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )


def clip_vision() -> CLIPVisionConfig:
    """Config of CLIP ViT-H's vision tower."""
    return CLIPVisionConfig(
        hidden_size=1280,
        intermediate_size=5120,
        projection_dim=1024,
        num_hidden_layers=32,
        num_attention_heads=16,
        image_size=224,
        patch_size=14,
    )


def people(count: int, hw: tuple[int, int], start: int = 0) -> Batch:
    """A batch of people without any sense: networks with random weights don't mind."""
    rng = np.random.default_rng(start)
    height, width = hw
    mask = np.zeros((count, height, width), np.uint8)
    mask[:, height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = 1
    pictures = {
        name: rng.integers(0, 256, (count, height, width, 3)).astype(np.uint8)
        for name in ("image", "cloth", "densepose")
    }
    keypoints = rng.uniform(0.2, 0.8, (count, 25, 3)) * [width, height, 1]
    return Batch(
        keys=[f"{start + row:05d}_00" for row in range(count)],
        position=np.arange(start, start + count),
        **pictures,
        cloth_mask=mask,
        inpaint_mask=mask,
        garment_mask=mask,
        garment_cover=mask * np.uint8(WHOLE),
        ratios=rng.uniform(0.8, 1.8, (count, 3)).astype(np.float32),
        keypoints=keypoints.astype(np.float32),
        fit_label=[None] * count,
        categories=["upper"] * count,
        captions=["a red top"] * count,
        statuses=["ok"] * count,
    )


class People:
    """A stream of such batches: one batch again and again, or a new one each time."""

    def __init__(self, batch_size: int, hw: tuple[int, int], *, crash_at: int | None = None) -> None:
        self.batch_size, self.hw, self.crash_at = batch_size, hw, crash_at
        self.cursor = 0
        self.resumed_at = 0
        """Position that a checkpoint put it to; 0 without one."""

    def __iter__(self) -> Iterator[Batch]:
        while self.cursor != self.crash_at:
            start, self.cursor = self.cursor, self.cursor + self.batch_size
            yield people(self.batch_size, self.hw, start)

    def state_dict(self) -> dict[str, Any]:
        return {"cursor": self.cursor}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.cursor = self.resumed_at = state["cursor"]
