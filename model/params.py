"""How pictures are drawn, and in how much memory: defaults for params.yaml and commands. Imports no torch."""

from dataclasses import dataclass
from typing import Literal, get_args

Sampler = Literal["ddim", "unipc", "dpmpp"]

LIMITS = {
    "num_steps": (1, 1000),
    "text_guidance": (0, 20),
    "size_guidance": (0, 20),
    "size_scale": (0, 20),
    "eta": (0, 1),
    "garment_refresh": (0, 1000),
    "seam": (0, 64),
    "seed": (0, 2**63 - 1),
}
"""The smallest and the largest value of each option that is a number."""

SEAM_ROWS = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawingOptions:
    """How pictures are drawn: in evaluation, validation, command line, demo and Python the same."""

    num_steps: int | None = None
    """Denoising steps. None: as many as the base is drawn in (`TryOnBase.usual_steps`): 1 of `tiny`, 30 of
    `sdxl`, 50 of `catvton` and `flux2_klein`."""

    seed: int = 0
    """Of the noise. A picture's noise depends on this and on the person's key, never on the others drawn."""

    text_guidance: float | None = None
    """Weight of the difference that caption and garment make; 1 is off. None: as the base is drawn
    (`TryOnBase.usual_guidance`): 1 of the tiny ones, 2 of `sdxl`, 2.5 of `catvton`, 4 of `flux2_klein`."""

    size_guidance: float = 1.0
    """Weight of the difference that the size makes, against an unknown one; 1 is off."""

    size_scale: float = 1.0
    """Strength of the size; at 0 the base draws alone."""

    sampler: Sampler = "ddim"
    """Who walks from noise to picture."""

    eta: float = 0.0
    """Share of each step's noise that is drawn anew, for `ddim` alone; 1 as CatVTON's own code does."""

    garment_refresh: int | None = None
    """Run the garment UNet at every n-th step's own time; 0 runs it once, at time 0. None: as the base was
    trained (`TryOnBase.garment_follows_time`), which is 1 for `sdxl` and 0 for `tiny`."""

    seam: float = 4.0
    """How far inside the inpainting mask the drawing is brought to the photo's colours outside: px of a
    picture of `SEAM_ROWS` rows, less in a smaller one, where so many would reach across a narrow strap."""

    def seam_px(self, rows: int) -> float:
        """Return the seam's width in a picture of so many rows (px)."""
        return self.seam * rows / SEAM_ROWS

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} must be {low} to {high}, got {value}")
        if self.sampler not in get_args(Sampler):
            raise ValueError(f"sampler must be one of {', '.join(get_args(Sampler))}, got {self.sampler!r}")
        if self.eta > 0 and self.sampler != "ddim":
            raise ValueError(
                f"eta must be 0 for the sampler {self.sampler}, got {self.eta}: only ddim has it"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class MemorySwitches:
    """What is done to take less memory. All but half precision and tiling give the same pictures."""

    half: bool = False
    """Weights are loaded in half precision, unless they run on a CPU; else as they are stored."""

    offload: bool = False
    """Networks wait in the computer's memory and come to the device only for their turn."""

    vae_tiling: bool = False
    """Pictures are encoded and decoded in overlapping tiles; seams are blended."""

    vae_slicing: bool = False
    """Pictures of a batch are encoded and decoded one by one."""

    by_piece: bool = False
    """Of FLUX.2's networks, each of which would fill the device alone, a block comes at a time."""

    attention_chunk: int | None = None
    """So many queries attend at a time; None: all at once."""

    batch_size: int = 8
    """Sizes drawn together."""

    def __str__(self) -> str:
        said = {
            "half precision": self.half,
            "networks take turns on the device": self.offload,
            "those of FLUX.2 block by block": self.by_piece,
            "pictures in tiles": self.vae_tiling,
            "pictures one by one": self.vae_slicing,
            f"attention {self.attention_chunk} queries at a time": self.attention_chunk is not None,
            f"{self.batch_size} size{'s' * (self.batch_size > 1)} at a time": True,
        }
        return ", ".join(words for words, on in said.items() if on)


SWITCHES = {
    "off": MemorySwitches(),
    "24": MemorySwitches(half=True, vae_tiling=True, vae_slicing=True, batch_size=2),
    "16": MemorySwitches(half=True, offload=True, vae_tiling=True, vae_slicing=True, batch_size=2),
    "8": MemorySwitches(
        half=True,
        offload=True,
        by_piece=True,
        vae_tiling=True,
        vae_slicing=True,
        attention_chunk=1024,
        batch_size=1,
    ),
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
