"""Pictures as bytes and as the networks have them, and how numbers come to where those run.

Shapes: B batch, H x W the picture.
"""

from typing import Any

import torch
from torch import Tensor

PINNING = ("cuda",)
"""Devices that fetch from pinned memory by themselves, while whoever sent it goes on."""


def from_uint8(pixels: Any, device: torch.device | str | None = None) -> Tensor:
    """Return (B, H, W, 3) uint8 as (B, 3, H, W) float32 in -1 .. 1, made on `device` of the bytes."""
    given = torch.as_tensor(pixels) if device is None else sent(pixels, device)
    return given.movedim(-1, 1).float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Return (B, 3, H, W) floats in -1 .. 1 as (B, H, W, 3) uint8; the inverse of `from_uint8`."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).movedim(1, -1)


def sent(numbers: Any, device: torch.device | str, dtype: torch.dtype | None = None) -> Tensor:
    """Return numbers as a tensor on a device, without waiting until the device has done what it was given.

    A GPU fetches them later, from a copy that nobody else writes to: torch gives its memory to no one before
    it was fetched. On a CPU the tensor may share the numbers' own memory.

    Args:
        numbers: An array, a list or a tensor.
        device: Where they are wanted; what is there already stays.
        dtype: Of the tensor; the numbers' own when None.
    """
    tensor = torch.as_tensor(numbers, dtype=dtype)
    if torch.device(device).type in PINNING and tensor.device.type == "cpu":
        return tensor.contiguous().pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
