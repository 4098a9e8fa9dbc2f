"""What the frozen encoders make of a sample, computed once per sample where memory allows.

Shapes: B batch, C latent channels, h and w the latent grid, V tokens and E channels of the vision encoder.
"""

import logging
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from model.bases.sdxl.conditioning import (
    Conditioning,
    encode_conditioning,
    encode_garment_image,
    encode_images,
    from_uint8,
)
from model.bases.sdxl.garment_attention import GarmentTokens, garment_tokens_of
from model.bases.sdxl.networks import TryOnBase
from shards.batch import Batch

log = logging.getLogger(__name__)

Encodings = dict[str, Tensor]
"""By name, B first: `latents` (B, C, h, w) of the photo, `image_features` (B, V, E) of the garment, and every
field of `Conditioning` but the image tokens, which a resampler in training makes anew each step."""


GARMENT = "garment_tokens/"
"""Before a layer's name: what the frozen garment UNet shows to that layer."""

GARMENT_BATCH = 16
LARGEST_GARMENT_CACHE = 2**30
"""Bytes. A `tiny` sample needs about 110 kB, an `sdxl` sample hundreds of MB."""


class SampleEncoder:
    """Encodings of a batch's samples: read with it, made when asked for, or all of them once, beforehand.

    Args:
        base: Its autoencoder and its text and image encoders are used; they must not change meanwhile.
        stored: Folder of shards that have them in place of pictures.
    """

    def __init__(self, base: TryOnBase, stored: Path | None = None) -> None:
        self.base, self.stored = base, stored
        self.known: dict[str, Encodings] = {}

    def __call__(self, batch: Batch) -> Encodings:
        """Return the encodings of the batch's samples."""
        if batch.encodings:
            return {name: self.read(batch, name) for name in batch.encodings}
        if not self.known:
            return encode(self.base, batch)
        stacked = stack([self.known[key] for key in batch.keys])
        return {name: encoded.to(self.base.device) for name, encoded in stacked.items()}

    def read(self, batch: Batch, name: str) -> Tensor:
        """Return encodings that came with the batch, as the base would have made them."""
        return torch.from_numpy(batch.encodings[name]).to(self.base.device, self.base.vae.dtype)

    @torch.no_grad()
    def latents(self, batch: Batch) -> Tensor:
        """Return the (B, C, h, w) latents of the photos alone."""
        if batch.encodings:
            return self.read(batch, "latents")
        if not self.known:
            return encode_images(self.base.vae, from_uint8(batch.image).to(self.base.device))
        return torch.cat([self.known[key]["latents"] for key in batch.keys]).to(self.base.device)

    def write(self, batches: Iterable[Batch], num_samples: int, store: Path) -> None:
        """Encode every sample of `batches` and leave the encodings in `store`, for `load`.

        Args:
            batches: One pass over the split, always in the same order: a sample's encoding may differ in its
                last bits with its neighbours, and a resumed run must see the same.
            num_samples: For the progress bar.
            store: A safetensors file.
        """
        keys: list[str] = []
        rows = []
        with tqdm(total=num_samples, desc="encoding samples", unit="sample", disable=None) as progress:
            for batch in batches:
                rows.append(encode(self.base, batch))
                keys += batch.keys
                progress.update(len(batch))
        names = torch.tensor(list("\n".join(keys).encode()), dtype=torch.uint8)
        save_file(stack(rows) | {"keys": names}, store)

    def load(self, store: Path) -> None:
        """Know the encodings that `write` left in `store`, beside those of an earlier call."""
        stacked = load_file(store)
        keys = bytes(stacked.pop("keys").tolist()).decode().split("\n")
        self.known |= {key: {n: v[i : i + 1] for n, v in stacked.items()} for i, key in enumerate(keys)}
        log.info("the encodings of %d samples are in %s", len(keys), store)

    @torch.no_grad()
    def add_garment_tokens(self) -> None:
        """Keep what the garment UNet makes of every encoded sample: it must not change any more.

        Its time is always 0, so its tokens are the same at every step. More than `LARGEST_GARMENT_CACHE` are
        not kept.
        """
        keys = list(self.known)
        if not keys:
            return
        size = len(keys) * sum(seen.nbytes for seen in self._garment_tokens(keys[:1]).values())
        if size > LARGEST_GARMENT_CACHE:
            log.info("garment tokens would take %d MB: they are made anew at each step", size // 2**20)
            return
        for start in range(0, len(keys), GARMENT_BATCH):
            some = keys[start : start + GARMENT_BATCH]
            tokens = {layer: seen.cpu() for layer, seen in self._garment_tokens(some).items()}
            for number, key in enumerate(some):
                self.known[key] |= {
                    GARMENT + layer: seen[number : number + 1] for layer, seen in tokens.items()
                }

    def _garment_tokens(self, keys: list[str]) -> dict[str, Tensor]:
        rows = stack([{n: self.known[key][n] for n in ("garment_latents", "garment_text")} for key in keys])
        rows = {name: row.to(self.base.device) for name, row in rows.items()}
        times = torch.zeros(len(keys), dtype=torch.long, device=self.base.device)
        return garment_tokens_of(self.base.garment_unet, rows["garment_latents"], times, rows["garment_text"])


@torch.no_grad()
def encode(base: TryOnBase, batch: Batch) -> Encodings:
    """Encode a batch from its pixels and captions."""
    conditioning = encode_conditioning(base, batch)
    encoded = {field.name: getattr(conditioning, field.name) for field in fields(Conditioning)}
    del encoded["image_tokens"]
    return encoded | {
        "latents": encode_images(base.vae, from_uint8(batch.image).to(base.device)),
        "image_features": encode_garment_image(base, from_uint8(batch.cloth).to(base.device)),
    }


def stack(rows: list[Encodings]) -> Encodings:
    """Join encodings along B."""
    return {name: torch.cat([row[name] for row in rows]).contiguous() for name in rows[0]}


def known_garment_tokens(encodings: Encodings) -> GarmentTokens:
    """Return the garment tokens that were kept, by layer; none if they weren't."""
    kept = {name: seen for name, seen in encodings.items() if name.startswith(GARMENT)}
    return {name.removeprefix(GARMENT): seen for name, seen in kept.items()}


def conditioning_of(base: TryOnBase, encodings: Encodings, dropped: Tensor) -> Conditioning:
    """Return the conditioning; where `dropped` (B,) text and garment image tokens are zero."""
    kept = (~dropped).to(encodings["text"])
    named = {f.name: encodings[f.name] for f in fields(Conditioning) if f.name != "image_tokens"}
    tokens = base.resampler(encodings["image_features"])
    return Conditioning(
        **named
        | {"image_tokens": tokens * kept[:, None, None]}
        | {"text": named["text"] * kept[:, None, None], "pooled_text": named["pooled_text"] * kept[:, None]}
    )
