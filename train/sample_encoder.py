"""What the frozen encoders make of a sample, computed once per sample where memory allows.

Shapes: B batch, C latent channels, h and w the latent grid, V tokens and E channels of the vision encoder.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from model.bases.base import Encodings, TryOnBase
from model.bases.conditions import Photos
from model.pixels import from_uint8, sent
from shards.batch import Batch

log = logging.getLogger(__name__)

LASTING_BATCH = 16
LARGEST_LASTING = 2**30
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
        return {name: sent(encoded, self.base.device) for name, encoded in stacked.items()}

    def read(self, batch: Batch, name: str) -> Tensor:
        """Return encodings that came with the batch, as the base would have made them."""
        return sent(batch.encodings[name], self.base.device, self.base.dtype)

    @torch.no_grad()
    def latents(self, batch: Batch) -> Tensor:
        """Return the (B, C, h, w) latents of the photos alone."""
        if batch.encodings:
            return self.read(batch, "latents")
        if not self.known:
            return self.base.to_latents(from_uint8(batch.image, self.base.device))
        return sent(torch.cat([self.known[key]["latents"] for key in batch.keys]), self.base.device)

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
                rows.append({name: made.cpu() for name, made in encode(self.base, batch).items()})
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
    def add_lasting(self) -> None:
        """Keep what else a base that is frozen as a whole makes of every encoded sample.

        More than `LARGEST_LASTING` is not kept.
        """
        keys = list(self.known)
        if not keys:
            return
        size = len(keys) * sum(made.nbytes for made in self._lasting(keys[:1]).values())
        if not size:
            return
        if size > LARGEST_LASTING:
            log.info("what lasts would take %d MB: it is made anew at each step", size // 2**20)
            return
        for start in range(0, len(keys), LASTING_BATCH):
            some = keys[start : start + LASTING_BATCH]
            lasting = {name: made.cpu() for name, made in self._lasting(some).items()}
            for number, key in enumerate(some):
                self.known[key] |= {name: made[number : number + 1] for name, made in lasting.items()}

    def _lasting(self, keys: list[str]) -> Encodings:
        stacked = stack([self.known[key] for key in keys])
        return self.base.lasting({name: rows.to(self.base.device) for name, rows in stacked.items()})


@torch.no_grad()
def encode(base: TryOnBase, batch: Batch) -> Encodings:
    """Encode a batch from its pixels and captions."""
    latents = base.to_latents(from_uint8(batch.image, base.device))
    return base.encode(cast("Photos", batch)) | {"latents": latents}


def stack(rows: list[Encodings]) -> Encodings:
    """Join encodings along B."""
    return {name: torch.cat([row[name] for row in rows]).contiguous() for name in rows[0]}
