"""How pictures are drawn. Imports no torch: params.yaml and the command line take defaults from here."""

from dataclasses import dataclass
from typing import Literal, get_args

Sampler = Literal["ddim", "unipc", "dpmpp"]

LIMITS = {
    "num_steps": (1, 1000),
    "text_guidance": (0, 20),
    "size_guidance": (0, 20),
    "size_scale": (0, 20),
    "garment_refresh": (0, 1000),
    "seam": (0, 64),
    "seed": (0, 2**63 - 1),
}
"""The smallest and the largest value of each option that is a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawingOptions:
    """How pictures are drawn: in evaluation, validation, command line, demo and Python the same."""

    num_steps: int = 8
    """Denoising steps."""

    seed: int = 0
    """Of the noise. A picture's noise depends on this and on the person's key, never on the others drawn."""

    text_guidance: float = 1.0
    """Weight of the difference that caption and garment make; 1 is off."""

    size_guidance: float = 1.5
    """Weight of the difference that the size makes, against an unknown one; 1 is off."""

    size_scale: float = 1.0
    """Strength of the size; at 0 the base draws alone."""

    sampler: Sampler = "ddim"
    """Who walks from noise to picture."""

    garment_refresh: int = 0
    """Run the garment UNet at every n-th step's own time, as IDM-VTON's weights expect with 1; 0 runs it
    once, at time 0, as the networks trained here expect."""

    seam: float = 4.0
    """Width of the blend of photo and drawing just inside the inpainting mask (px of the networks'
    picture)."""

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be {low} to {high}, got {getattr(self, name)}")
        if self.sampler not in get_args(Sampler):
            raise ValueError(f"sampler must be one of {', '.join(get_args(Sampler))}, got {self.sampler!r}")
