"""Which `--low-memory` setting to use for a device: an estimate for each, on the meta device.

With `offload` the networks take turns, so the largest turn counts; without, all weights lie there at once.
"""

from dataclasses import dataclass
from typing import Self

import torch
from diffusers import AutoencoderKL

from model.bases.sdxl.garment_attention import garment_keys, garment_tokens_of
from model.bases.sdxl.low_memory import SWITCHES, TILE_PX, MemorySwitches
from model.bases.sdxl.memory import (
    AUTOENCODER,
    ENCODER_WEIGHTS,
    GIB,
    FullSizeNetworks,
    meta,
    num_elements,
    num_weights,
    peak_elements,
)
from model.bases.sdxl.presets import LATENT_CHANNELS

PX_OF_LATENT = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Peaks:
    """The most numbers that are held at once, beside weights, for one picture."""

    garment: int
    """While the garment UNet runs."""

    step: int
    """While the try-on UNet runs."""

    kept: int
    """The garment's keys and values, whatever the number of sizes."""

    decoded: int
    """While a picture is decoded; encoding takes about as much."""

    decoded_tile: int
    """While a tile is."""

    @classmethod
    @torch.no_grad()
    def of(cls, networks: FullSizeNetworks) -> Self:
        """Run the networks on the meta device."""
        with torch.device("meta"):
            decoder = AutoencoderKL(**AUTOENCODER)
        latents = meta(1, LATENT_CHANNELS, *networks.latent_hw)
        tile = latents[..., : TILE_PX // PX_OF_LATENT, : TILE_PX // PX_OF_LATENT].clone()
        text = networks.text
        return cls(
            garment=peak_elements(lambda: garment_tokens_of(networks.garment_unet, latents, meta(), text)),
            step=peak_elements(networks.step),
            kept=num_elements(garment_keys(networks.tryon_unet, networks.tokens)),
            decoded=peak_elements(lambda: decoder.decode(latents)),
            decoded_tile=peak_elements(lambda: decoder.decode(tile)),
        )


def drawing_bytes(networks: FullSizeNetworks, peaks: Peaks, switches: MemorySwitches) -> int:
    """Return the bytes on the device that drawing `switches.batch_size` sizes of a person takes at most."""
    picture = peaks.decoded_tile if switches.vae_tiling else peaks.decoded
    together = 1 if switches.vae_slicing else switches.batch_size
    turns = {
        "encoders": (sum(ENCODER_WEIGHTS.values()), picture),
        "garment": (num_weights(networks.garment_unet), peaks.garment),
        "steps": (num_weights(networks.tryon_unet), switches.batch_size * peaks.step + peaks.kept),
        "decoder": (ENCODER_WEIGHTS["vae"], together * picture),
    }
    if switches.offload:
        elements = max(weights + activations for weights, activations in turns.values())
    else:
        # the decoder's weights are among the encoders'
        weights = sum(weights for name, (weights, _) in turns.items() if name != "decoder")
        elements = weights + max(activations for _, activations in turns.values())
    return (elements + num_weights(networks.adapter)) * networks.bytes_per_weight


def setting_lines(networks: FullSizeNetworks) -> list[str]:
    """Return a line for every setting: for which memory it is, what it does, and what it takes."""
    peaks = Peaks.of(networks)
    lines = []
    for name, switches in SWITCHES.items():
        needed = drawing_bytes(networks, peaks, switches) / GIB
        memory = "without a limit" if name == "off" else f"for {name} GB"
        lines.append(f"try-on {memory}: --low-memory {name}: {needed:.1f} GiB ({switches})")
    return lines
