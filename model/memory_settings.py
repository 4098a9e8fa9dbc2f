"""Which `--low-memory` setting to use for a device: an estimate for each, on the meta device.

With `offload` the networks take turns, so the largest turn counts; without, all weights lie there at once.
"""

import torch
from diffusers import AutoencoderKL

from model.garment_attention import garment_keys, garment_tokens_of
from model.low_memory import SWITCHES, TILE_PX, MemorySwitches
from model.memory import (
    AUTOENCODER,
    ENCODER_WEIGHTS,
    GIB,
    FullSizeNetworks,
    meta,
    num_elements,
    num_weights,
    peak_elements,
)
from model.presets import LATENT_CHANNELS

PX_OF_LATENT = 8


@torch.no_grad()
def drawing_bytes(networks: FullSizeNetworks, switches: MemorySwitches) -> int:
    """Return the bytes on the device that drawing `switches.batch_size` sizes of a person takes at most."""
    adapter = num_weights(networks.adapter)
    decoder, latents = decoding(networks, switches)
    decoded = 1 if switches.vae_slicing else switches.batch_size
    kept = num_elements(garment_keys(networks.tryon_unet, networks.tokens))
    garment_latents = meta(1, LATENT_CHANNELS, *networks.latent_hw)

    def garment_turn() -> object:
        return garment_tokens_of(networks.garment_unet, garment_latents, meta(), networks.text)

    turns = {
        "encoders": (sum(ENCODER_WEIGHTS.values()), peak_elements(lambda: decoder.decode(latents))),
        "garment": (num_weights(networks.garment_unet), peak_elements(garment_turn)),
        "steps": (
            num_weights(networks.tryon_unet),
            switches.batch_size * peak_elements(networks.step) + kept,
        ),
        "decoder": (ENCODER_WEIGHTS["vae"], decoded * peak_elements(lambda: decoder.decode(latents))),
    }
    if switches.offload:
        elements = max(weights + activations for weights, activations in turns.values())
    else:
        weights = sum(weights for name, (weights, _) in turns.items() if name != "decoder")  # an encoder too
        elements = weights + max(activations for _, activations in turns.values())
    return (elements + adapter) * networks.bytes_per_weight


def decoding(networks: FullSizeNetworks, switches: MemorySwitches) -> tuple[AutoencoderKL, torch.Tensor]:
    """Return the autoencoder on the meta device, and the latents that it decodes at a time."""
    with torch.device("meta"):
        decoder = AutoencoderKL(**AUTOENCODER)
    tile = TILE_PX // PX_OF_LATENT
    height, width = (min(side, tile) if switches.vae_tiling else side for side in networks.latent_hw)
    return decoder, meta(1, LATENT_CHANNELS, height, width)


def setting_lines(networks: FullSizeNetworks) -> list[str]:
    """Return a line for every setting: for which memory it is, what it does, and what it takes."""
    lines = []
    for name, switches in SWITCHES.items():
        needed = drawing_bytes(networks, switches) / GIB
        memory = "without a limit" if name == "off" else f"for {name} GB"
        lines.append(f"try-on {memory}: --low-memory {name}: {needed:.1f} GiB ({switches})")
    return lines
