"""Pictures as bytes and as the networks have them. B batch, H x W the picture."""

from typing import Any

import torch
from torch import Tensor


def from_uint8(pixels: Any, device: torch.device | str | None = None) -> Tensor:
    """Return (B, H, W, 3) uint8 as (B, 3, H, W) float32 in -1 .. 1, made on `device` of the bytes."""
    return torch.as_tensor(pixels, device=device).movedim(-1, 1).float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Return (B, 3, H, W) floats in -1 .. 1 as (B, H, W, 3) uint8; the inverse of `from_uint8`."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).movedim(1, -1)
