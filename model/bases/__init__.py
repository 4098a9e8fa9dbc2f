"""The bases by name: pretrained try-on networks, each in a folder of its own. Imports no torch.

A base is added by a folder whose class implements `model.bases.base.TryOnBase`, and by its line in `BASES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from model.bases.base import TryOnBase


EULER = "ddim"
"""The one sampler of flow matching, as `flux2_klein.flow` has it."""


@dataclass(frozen=True)
class BaseEntry:
    """What is known of a base before its networks' libraries are loaded."""

    load: Callable[[], type[TryOnBase]]
    """Returns its class; the import is in there, because it takes seconds."""

    pretrained: bool
    """Whether its weights come from a folder of the user's (`train_base.pretrained`); else it is trained here
    from scratch, by a recipe of `pipeline.train_base`."""

    flow_matching: bool = False
    """Whether its latents lie on straight lines to noise: Euler's steps alone, by the name `ddim`, without
    fresh noise."""

    fits_fp16: bool = True
    """Whether what its networks hold stays within fp16's range, so that they may learn in it."""

    def require_drawable(self, sampler: str, eta: float) -> None:
        """Refuse a way of drawing (`model.params.DrawingOptions`) that its latents can't go.

        Raises:
            ValueError: Another sampler than Euler's, or fresh noise, for flow matching.
        """
        if self.flow_matching and (sampler != EULER or eta > 0):
            raise ValueError(
                f"networks of flow matching are drawn in Euler's steps: sampler must be {EULER} and eta 0, "
                f"got {sampler} and {eta:g}"
            )

    def require_trainable(self, precision: str, key: str) -> None:
        """Refuse a precision whose range it leaves: no GradScaler mends that. `key` has it in params.yaml.

        Raises:
            ValueError: It is fp16, and the base one of bf16.
        """
        if precision == "fp16" and not self.fits_fp16:
            raise ValueError(f"{key} must be no or bf16 for this base, got fp16")


def sdxl() -> type[TryOnBase]:
    """IDM-VTON's networks."""
    from model.bases.sdxl.networks import SdxlBase

    return SdxlBase


def catvton() -> type[TryOnBase]:
    """CatVTON's network, or Stable Diffusion 1.5 inpainting to start from."""
    from model.bases.catvton.networks import CatvtonBase

    return CatvtonBase


def tiny() -> type[TryOnBase]:
    """The same architecture at a size that a CPU trains in minutes."""
    from model.bases.tiny.networks import TinyBase

    return TinyBase


def small() -> type[TryOnBase]:
    """The tiny networks at a size for one GPU."""
    from model.bases.tiny.networks import SmallBase

    return SmallBase


def tiny_catvton() -> type[TryOnBase]:
    """CatVTON's method at a size that a CPU trains in minutes."""
    from model.bases.catvton.tiny import TinyCatvtonBase

    return TinyCatvtonBase


def flux2_klein() -> type[TryOnBase]:
    """FLUX.2 klein's networks."""
    from model.bases.flux2_klein.networks import KleinBase

    return KleinBase


def tiny_klein() -> type[TryOnBase]:
    """FLUX.2 klein's method at a size that a CPU trains in minutes."""
    from model.bases.flux2_klein.tiny import TinyKleinBase

    return TinyKleinBase


BASES = {
    "tiny": BaseEntry(tiny, pretrained=False),
    "small": BaseEntry(small, pretrained=False),
    "sdxl": BaseEntry(sdxl, pretrained=True),
    "catvton": BaseEntry(catvton, pretrained=True),
    "tiny_catvton": BaseEntry(tiny_catvton, pretrained=False),
    "flux2_klein": BaseEntry(flux2_klein, pretrained=True, flow_matching=True, fits_fp16=False),
    "tiny_klein": BaseEntry(tiny_klein, pretrained=False, flow_matching=True, fits_fp16=False),
}

RELEASED = "sdxl"
"""The base of a folder that doesn't say which: IDM-VTON's own release."""


def entry_of(name: str) -> BaseEntry:
    """Return what is known of the base called `name`.

    Raises:
        ValueError: There is none.
    """
    if name not in BASES:
        raise ValueError(f"there is no base {name[:40]!r}: known are {', '.join(sorted(BASES))}")
    return BASES[name]


def open_base(folder: str | Path, torch_dtype: torch.dtype | None = None) -> TryOnBase:
    """Load the networks of a folder, or of a repository of the hub, whichever base they are."""
    from model.bases.base import BASE_FILE
    from model.weights import local_folder, read_json

    says = local_folder(folder, [BASE_FILE]) / BASE_FILE
    name = read_json(says)["base"] if says.is_file() else RELEASED
    return entry_of(name).load().from_pretrained(folder, torch_dtype)
