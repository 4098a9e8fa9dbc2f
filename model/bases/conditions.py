"""What a base is told: by photos and captions, and by the adapter.

Shapes: B batch, H x W the picture, h x w the latent grid, S size tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, Self

from torch import Tensor
from torch.utils._pytree import tree_map_only


class Photos(Protocol):
    """A batch as the stream gives it: uint8 arrays or tensors."""

    @property
    def image(self) -> Any:
        """(B, H, W, 3) RGB, the person."""

    @property
    def cloth(self) -> Any:
        """(B, H, W, 3) RGB, the garment."""

    @property
    def densepose(self) -> Any:
        """(B, H, W, 3) RGB."""

    @property
    def inpaint_mask(self) -> Any:
        """(B, H, W), 1 where the picture is to be made."""

    @property
    def captions(self) -> list[str]:
        """One description a garment."""

    @property
    def keypoints(self) -> Any:
        """(B, 25, 3) x, y in px of `image`, confidence; NaN where missing."""

    @property
    def categories(self) -> list[str]:
        """B kinds of garments."""


KINDS = {"lower": "trousers or a skirt", "dress": "a dress"}
"""What is said of a garment without a caption, by its category; of a top nothing."""


def described(captions: Sequence[str], categories: Sequence[str]) -> list[str]:
    """Return B captions, with what is known of those that say nothing."""
    return [
        caption or KINDS.get(category, "") for caption, category in zip(captions, categories, strict=True)
    ]


class Rows:
    """A dataclass of tensors, or of mappings and tuples of them, whose rows belong together."""

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Return a copy with `change` applied to every tensor."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return replace(self, **{n: tree_map_only(Tensor, change, v) for n, v in values.items()})  # type: ignore[type-var]

    def to(self, *args: Any) -> Self:
        """Return a copy on another device or in another floating-point type."""
        return self.map(lambda x: x.to(*args))

    def repeat(self, num: int) -> Self:
        """Return every row `num` times, the copies of a row behind one another."""
        return self.map(lambda x: x.repeat_interleave(num, dim=0))


@dataclass(frozen=True, kw_only=True)
class Conditioning(Rows, ABC):
    """Everything but noise, time and size that a base reads; a base adds fields of its own."""

    mask: Tensor
    """(B, 1, h, w), 1 where the picture is to be made."""

    garment: Any = None
    """What the base's garment network shows of the garment (`TryOnBase.with_garment`): tensors of B rows, or
    of one row for all; None: nothing yet, or there is no such network."""

    def repeat(self, num: int) -> Self:
        """Return every row `num` times, the copies of a row behind one another; one garment serves all."""
        if len(self.mask) != 1 or self.garment is None:
            return super().repeat(num)
        return replace(replace(self, garment=None).repeat(num), garment=self.garment)

    @property
    @abstractmethod
    def canvas(self) -> Tensor:
        """A tensor of the shape, type and device of what is denoised; its numbers mean nothing."""

    @property
    @abstractmethod
    def garment_features(self) -> Tensor:
        """(B, `Sites.garment_dim`) what the garment's photo shows, pooled."""

    @abstractmethod
    def unconditional(self, rows: Tensor | None = None) -> Self:
        """Return the other branch of text guidance, of all rows or of those of (B,) bool `rows`."""


@dataclass(frozen=True, kw_only=True)
class SizeCondition(Rows):
    """The adapter's answer for a batch of sizes; None for a part that is off. S size tokens."""

    embedding: Tensor
    """(B, 768) from the size encoder."""

    layout_logits: Tensor | None = None
    """(B, 1, h, w): the size map, above 0 where the garment will be."""

    tokens: dict[str, tuple[Tensor, Tensor]] | None = None
    """Keys and values, (B, S, channels) each, by the name of the site."""

    time: Tensor | None = None
    """(B, `Sites.time_dim`), added to the time embedding."""

    residuals: tuple[Tensor, ...] | None = None
    """Added to feature maps of the person, one for each of `Sites.residuals`."""

    def scaled(self, size_scale: float) -> SizeCondition:
        """Return the condition with its effect on the base times `size_scale`; at 0 the base is left alone.

        The embedding and the size map, which do not act on the base, stay as they are.
        """
        return replace(
            self,
            tokens=self.tokens and {site: (k, v * size_scale) for site, (k, v) in self.tokens.items()},
            time=None if self.time is None else self.time * size_scale,
            residuals=self.residuals and tuple(residual * size_scale for residual in self.residuals),
        )
