"""Augment batches on their way from the stream: keyed by the sample's place, like every other choice."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shards.augment import mirrored, recoloured, resized, zoomed
from shards.batch import Batch
from train.keyed_random import KeyedRandom
from train.params import AugmentationParams
from train.state import Stream

RESIZED_SHARE = 0.5
"""Of samples: the others keep the photographed size, so that nothing is learned of resized photos alone."""


class AugmentedStream:
    """A stream whose batches are augmented; its cursor is that of the stream behind it."""

    def __init__(self, stream: Stream, params: AugmentationParams, seed: int) -> None:
        self.stream, self.params, self.seed = stream, params, seed

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.stream:
            yield augmented(batch, self.params, KeyedRandom(self.seed, batch.position))

    def state_dict(self) -> dict[str, Any]:
        """Return the cursor of the stream behind."""
        return self.stream.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put the cursor of the stream behind where it was."""
        self.stream.load_state_dict(state)


def augmented(batch: Batch, params: AugmentationParams, random: KeyedRandom) -> Batch:
    """Resize, zoom, recolour and mirror the samples of a batch, as far as `params` allow."""
    if params.size > 0:
        batch = resized(batch, random_growth(params.size, random, batch.ratios.shape[1]))
    if params.zoom > 0:
        place = together(random, "zoom_x", "zoom_y")
        batch = zoomed(batch, np.float32(params.zoom) * together(random, "zoom")[:, 0], place)
    if params.colour > 0:
        channels = together(random, "red", "green", "blue")
        batch = recoloured(batch, 1 + params.colour * (2 * channels - 1))
    if params.mirror > 0:
        batch = mirrored(batch, together(random, "mirror")[:, 0] < params.mirror)
    return batch


def random_growth(largest: float, random: KeyedRandom, num_axes: int) -> NDArray[np.float32]:
    """(B, A) what each ratio is multiplied by, 1 +- `largest` at most; NaN for samples that stay."""
    shares = together(random, *(f"size_{place}" for place in range(num_axes)))
    chosen = together(random, "size") < RESIZED_SHARE
    return np.where(chosen, 1 + np.float32(largest) * (2 * shares - 1), np.float32(np.nan))


def together(random: KeyedRandom, *names: str) -> NDArray[np.float32]:
    """(B, names) uniform numbers, none of which the task draws too: it has the same seed and places."""
    return np.stack([random.uniform(f"augmentation_{name}").numpy() for name in names], axis=1)
