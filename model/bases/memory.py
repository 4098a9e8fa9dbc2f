"""Switches that let large networks draw in little memory, by taking turns on the device. Imports no torch."""

from dataclasses import dataclass


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
