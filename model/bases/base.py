"""What a requested size adds to the try-on UNet's inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SizeCondition:
    """The adapter's answer for a batch of sizes; None for a part that is off. B batch, S size tokens."""

    embedding: Tensor
    """(B, 768) from the size encoder."""

    layout_logits: Tensor | None = None
    """(B, 1, h, w): the size map, above 0 where the garment will be."""

    tokens: dict[str, tuple[Tensor, Tensor]] | None = None
    """Keys and values, (B, S, C) each, for every cross-attention layer by its name."""

    time: Tensor | None = None
    """(B, T), added to the time embedding."""

    residuals: tuple[Tensor, ...] | None = None
    """Added within the UNet's down blocks and behind its middle block, in the order it takes them."""

    skips: tuple[Tensor, ...] | None = None
    """Added to what the UNet's first level hands over to its last: they alone have the whole latent grid."""

    def scaled(self, size_scale: float | Tensor) -> SizeCondition:
        """Return the condition with its effect on the UNet times `size_scale`; at 0 the base is left alone.

        The embedding and the size map, which do not act on the UNet, stay as they are.
        """
        return SizeCondition(
            embedding=self.embedding,
            layout_logits=self.layout_logits,
            tokens=self.tokens and {layer: (k, v * size_scale) for layer, (k, v) in self.tokens.items()},
            time=None if self.time is None else self.time * size_scale,
            residuals=self.residuals and tuple(residual * size_scale for residual in self.residuals),
            skips=self.skips and tuple(skip * size_scale for skip in self.skips),
        )

    def map(self, change: Callable[[Tensor], Tensor]) -> SizeCondition:
        """Return a copy with `change` applied to every tensor."""
        return SizeCondition(
            embedding=change(self.embedding),
            layout_logits=None if self.layout_logits is None else change(self.layout_logits),
            tokens=self.tokens and {layer: (change(k), change(v)) for layer, (k, v) in self.tokens.items()},
            time=None if self.time is None else change(self.time),
            residuals=self.residuals and tuple(change(residual) for residual in self.residuals),
            skips=self.skips and tuple(change(skip) for skip in self.skips),
        )

    def to(self, *args: Any) -> SizeCondition:
        """Return a copy on another device or in another floating-point type."""
        return self.map(lambda x: x.to(*args))

    def select(self, index: Any) -> SizeCondition:
        """Return the rows at `index`: a slice, a list or an index tensor."""
        return self.map(lambda x: x[index])

    def repeat(self, num: int) -> SizeCondition:
        """Return every row `num` times, the copies of a row behind one another."""
        return self.map(lambda x: x.repeat_interleave(num, dim=0))
