"""How much memory the full-size networks need, found on the meta device: shapes without numbers.

Estimates are for batch 1 and leave out what the allocator and the libraries take for themselves.
"""

import os
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import NUM_BODY_MAPS
from model.bases.sdxl.checks import garment_unet_of, tryon_unet_of
from model.bases.sdxl.garment_attention import garment_keys, garment_tokens_of
from model.bases.sdxl.presets import (
    LATENT_CHANNELS,
    NUM_IMAGE_TOKENS,
    NUM_TIME_IDS,
    TRYON_CHANNELS,
    SdxlPreset,
)

GIB = 2**30

ENCODER_WEIGHTS = {
    "vae": 83_653_863,
    "text_encoder": 123_060_480,
    "text_encoder_2": 694_659_840,
    "image_encoder": 632_076_800,
}
"""Numbers of weights beside the UNets: SDXL's autoencoder and text encoders, CLIP ViT-H's vision tower."""

FULL_PRECISION = 4
"""Bytes of a trained weight, of its gradient, and of each of the optimiser's two states."""

TEXT_TOKENS = 77

AUTOENCODER: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": LATENT_CHANNELS,
}
"""SDXL's autoencoder."""


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """Memory of one stage on the device that runs it (bytes)."""

    stage: str
    """`inference`, `train_size` or `train_joint`."""

    weights: int
    """Weights of all networks that the stage needs."""

    training: int
    """Gradients and optimiser states."""

    activations: int
    """Garment tokens, and the most that a pass holds (inference) or keeps to go backward (training)."""

    @property
    def total(self) -> int:
        """The sum (bytes)."""
        return self.weights + self.training + self.activations

    def __str__(self) -> str:
        parts = [f"{name} {getattr(self, name) / GIB:.1f}" for name in ("weights", "training", "activations")]
        return f"{self.stage}: {self.total / GIB:.1f} GiB ({', '.join(parts)})"


class FullSizeNetworks:
    """The networks of a preset on the meta device, ready to be run.

    Args:
        preset: The networks and the size of the picture.
        bytes_per_weight: Of frozen weights and of activations, 2 or 4.
    """

    def __init__(self, preset: SdxlPreset, bytes_per_weight: int) -> None:
        self.bytes_per_weight = bytes_per_weight
        self.latent_hw = (preset.image_height // 8, preset.image_width // 8)
        self.text = meta(1, TEXT_TOKENS, preset.resampler_config()["output_dim"])
        self.tryon_unet = tryon_unet_of(preset).requires_grad_(requires_grad=False)
        self.garment_unet = garment_unet_of(preset).requires_grad_(requires_grad=False)
        with torch.device("meta"):
            self.adapter = SizeAdapter.for_unet(self.tryon_unet)
        latents = meta(1, LATENT_CHANNELS, *self.latent_hw)
        self.tokens = garment_tokens_of(self.garment_unet, latents, meta(), self.text)

    def frozen_bytes(self) -> int:
        """Return the bytes of all weights but the adapter's."""
        unets = num_weights(self.tryon_unet) + num_weights(self.garment_unet)
        return (unets + sum(ENCODER_WEIGHTS.values())) * self.bytes_per_weight

    def activation_bytes(self, num_elements: int) -> int:
        """Return the bytes of so many numbers of an activation."""
        return num_elements * self.bytes_per_weight

    def step(self) -> Tensor:
        """Run the adapter and the try-on UNet once."""
        size = self.adapter(meta(1, 3), meta(1, NUM_BODY_MAPS, *self.latent_hw))
        ids = NUM_TIME_IDS * self.tryon_unet.add_time_proj.num_channels
        pooled = self.tryon_unet.add_embedding.linear_1.in_features - ids
        image_tokens = meta(1, NUM_IMAGE_TOKENS, self.text.shape[2])
        attention = {"garment_tokens": self.tokens, "image_tokens": image_tokens, "size_tokens": size.tokens}
        return self.tryon_unet(
            meta(1, TRYON_CHANNELS, *self.latent_hw),
            meta(),
            self.text,
            class_labels=size.time,
            added_cond_kwargs={"text_embeds": meta(1, pooled), "time_ids": meta(1, NUM_TIME_IDS)},
            cross_attention_kwargs=attention,
            down_intrablock_additional_residuals=list(size.residuals),
        ).sample

    def inference(self) -> MemoryEstimate:
        """Estimate sampling, the garment's keys kept for all steps, and the decoding of the picture."""
        with torch.device("meta"):
            decoder = AutoencoderKL(**AUTOENCODER)
        latents = meta(1, LATENT_CHANNELS, *self.latent_hw)
        with torch.no_grad():
            kept = num_elements(garment_keys(self.tryon_unet, self.tokens))
            peak = max(peak_elements(self.step) + kept, peak_elements(lambda: decoder.decode(latents)))
        return MemoryEstimate(
            stage="inference",
            weights=self.frozen_bytes() + num_weights(self.adapter) * self.bytes_per_weight,
            training=0,
            activations=self.activation_bytes(peak),
        )

    def training(self, stage: str, trained: list[nn.Module]) -> MemoryEstimate:
        """Estimate a training stage that trains the adapter and `trained`, with gradient checkpointing."""
        for module in trained:
            module.requires_grad_()
        self.tryon_unet.enable_gradient_checkpointing()
        self.tryon_unet.train()
        kept = saved_elements(self.step, self.tryon_unet) + num_elements(self.tokens)
        num_base = sum(map(num_weights, trained))
        num_trained = num_weights(self.adapter) + num_base
        in_full = num_trained * FULL_PRECISION - num_base * self.bytes_per_weight
        return MemoryEstimate(
            stage=stage,
            weights=self.frozen_bytes() + in_full,
            training=num_trained * 3 * FULL_PRECISION,
            activations=self.activation_bytes(kept),
        )


def memory_estimates(networks: FullSizeNetworks) -> list[MemoryEstimate]:
    """Estimate memory for inference and for both training stages; `train_joint` trains attention layers."""
    attention = [m for name, m in networks.tryon_unet.named_modules() if name.endswith(("attn1", "attn2"))]
    return [
        networks.inference(),
        networks.training("train_size", []),
        networks.training("train_joint", attention),
    ]


def device_memory() -> dict[str, int]:
    """Return the memory of this machine and of each of its GPUs (bytes)."""
    devices = {"cpu": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")}
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        devices[f"cuda:{number} {properties.name}"] = properties.total_memory
    return devices


def memory_report(networks: FullSizeNetworks) -> list[str]:
    """Return a line for each device and stage: what it needs, and whether the device has it."""
    estimates = memory_estimates(networks)
    return [
        f"{device} ({held / GIB:.1f} GiB): {estimate}: {'fits' if estimate.total < held else 'does not fit'}"
        for device, held in device_memory().items()
        for estimate in estimates
    ]


def meta(*shape: int) -> Tensor:
    """Return a tensor without numbers."""
    return torch.empty(shape, device="meta")


def num_weights(module: nn.Module) -> int:
    """Return how many weights a module has."""
    return sum(weight.numel() for weight in module.parameters())


def num_elements(tensors: Mapping[str, Any]) -> int:
    """Return how many numbers a mapping of tensors, or of tuples of tensors, holds."""
    return sum(tensor.numel() for tensor in tree_leaves(dict(tensors)))


def saved_elements(work: Callable[[], object], owner: nn.Module) -> int:
    """Return how many numbers autograd keeps during `work`, weights of `owner` apart."""
    own = {weight.untyped_storage()._cdata for weight in owner.parameters()}
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            storages[storage._cdata] = storage.nbytes() // tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        kept = work()
    del kept
    return sum(storages.values())


def peak_elements(work: Callable[[], object]) -> int:
    """Return the most numbers that tensors made during `work` hold at any moment."""
    with _Live() as live:
        work()
    return live.most


class _Live(TorchDispatchMode):
    """Counts the numbers in living tensors; views share their storage."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[int, int] = {}
        self.held = self.most = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self.count(tensor)
        self.most = max(self.most, self.held)
        return out

    def count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        number, size = storage._cdata, storage.nbytes() // tensor.element_size()
        if number not in self.users:
            self.held += size
        self.users[number] = self.users.get(number, 0) + 1
        weakref.finalize(tensor, self.release, number, size)

    def release(self, number: int, size: int) -> None:
        self.users[number] -= 1
        if not self.users[number]:
            del self.users[number]
            self.held -= size
