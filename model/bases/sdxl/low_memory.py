"""Switches that let the full-size networks draw in little memory, and what each setting takes.

Networks take turns on the device (`TryOnBase.resident`): encoders, garment UNet, try-on UNet, decoder.
"""

from dataclasses import dataclass
from typing import Any

from model.bases.sdxl.garment_attention import TryOnSelfAttention
from model.bases.sdxl.networks import TryOnBase


@dataclass(frozen=True, kw_only=True, slots=True)
class MemorySwitches:
    """What is done to take less memory. All but tiling give the same pictures; everything costs time."""

    offload: bool = False
    """Networks wait in the computer's memory and come to the device only for their turn."""

    vae_tiling: bool = False
    """Pictures are encoded and decoded in overlapping tiles; seams are blended."""

    vae_slicing: bool = False
    """Pictures of a batch are encoded and decoded one by one."""

    attention_chunk: int | None = None
    """So many queries attend at a time; None: all at once."""

    batch_size: int = 8
    """Sizes drawn together."""

    def __str__(self) -> str:
        said = {
            "networks take turns on the device": self.offload,
            "pictures in tiles": self.vae_tiling,
            "pictures one by one": self.vae_slicing,
            f"attention {self.attention_chunk} queries at a time": self.attention_chunk is not None,
            f"{self.batch_size} size{'s' * (self.batch_size > 1)} at a time": True,
        }
        return ", ".join(words for words, on in said.items() if on)


TILE_PX = 512
"""Side of a tile of the picture: SDXL's autoencoder would take 1024, which is the whole picture."""

SWITCHES = {
    "off": MemorySwitches(),
    "24": MemorySwitches(vae_tiling=True, vae_slicing=True, batch_size=2),
    "16": MemorySwitches(offload=True, vae_tiling=True, vae_slicing=True, batch_size=2),
    "8": MemorySwitches(offload=True, vae_tiling=True, vae_slicing=True, attention_chunk=1024, batch_size=1),
}
"""By the GB of the device; `off` changes nothing."""


def switches_of(name: str) -> MemorySwitches:
    """Return the switches of a setting.

    Raises:
        ValueError: There is no such setting.
    """
    if name not in SWITCHES:
        raise ValueError(f"low_memory must be one of {', '.join(SWITCHES)}, got {name[:40]!r}")
    return SWITCHES[name]


def save_memory(base: TryOnBase, switches: MemorySwitches, device: Any) -> None:
    """Set the switches on the networks.

    Args:
        base: The networks; with `offload` they must be in the computer's memory.
        switches: What to do.
        device: Where networks come for their turn.
    """
    base.run_on = device if switches.offload else None
    for name, wanted in (("tiling", switches.vae_tiling), ("slicing", switches.vae_slicing)):
        change = getattr(base.vae, f"{'enable' if wanted else 'disable'}_{name}", None)
        if change is not None:  # a tiny autoencoder has nothing to cut
            change()
    if switches.vae_tiling and hasattr(base.vae, "tile_sample_min_size"):
        base.vae.tile_sample_min_size = TILE_PX
        base.vae.tile_latent_min_size = TILE_PX // 2 ** (len(base.vae.config.block_out_channels) - 1)
    base.garment_unet.set_attention_slice("max" if switches.attention_chunk else None)
    for processor in base.tryon_unet.attn_processors.values():
        if isinstance(processor, TryOnSelfAttention):
            processor.chunk = switches.attention_chunk
