"""From noise to pictures: the one place where people are drawn in garments at sizes.

Shapes: P people, N requests, A ratios, B batch, h x w the latent grid, H x W the networks' picture.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from inspect import signature
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import body_maps, shares_of_cells
from model.bases.base import TryOnBase
from model.bases.conditions import Conditioning, SizeCondition
from model.composite import composite
from model.params import DrawingOptions, MemorySwitches
from model.pixels import to_uint8

Floats = NDArray[np.float64]
Pictures = NDArray[np.uint8]
OnStep = Callable[[int, int], None]
"""Told after each step how many are done, and of how many; it may raise to stop."""

Rows = TypeVar("Rows", Conditioning, SizeCondition)


@dataclass(frozen=True, kw_only=True, slots=True)
class TryOnInputs:
    """P people with a garment each, as the networks see them."""

    keys: list[str]
    """Names of the people: with the seed they make the noise."""

    image: Pictures
    """(P, H, W, 3) RGB, the person."""

    cloth: Pictures
    """(P, H, W, 3) RGB, the garment alone."""

    densepose: Pictures
    """(P, H, W, 3) RGB."""

    inpaint_mask: NDArray[Any]
    """(P, H, W), not 0 where the picture is to be made."""

    captions: list[str]
    """Descriptions of the garments."""

    keypoints: NDArray[np.float32]
    """(P, 25, 3) x, y in px of `image`, confidence; NaN where missing."""

    categories: list[str]
    """What kinds of garments they are."""

    @classmethod
    def of(cls, batch: Any) -> Self:
        """Take what belongs here from a batch of the stream."""
        return cls(**{field.name: getattr(batch, field.name) for field in fields(cls)})

    def one(self, person: int) -> Self:
        """Return a person alone: P is 1."""
        rows = slice(person, person + 1)
        return replace(self, **{field.name: getattr(self, field.name)[rows] for field in fields(self)})


class Drawn(NamedTuple):
    """Pictures of N requests, as the networks make them."""

    pictures: Pictures
    """(N, H, W, 3) RGB, not yet put into a photo."""

    size_maps: NDArray[np.float32]
    """(N, h, w) how probable the garment is, 0 to 1; (N, 0, 0) of an adapter that plans no map."""


def where_loaded(switches: MemorySwitches, device: str) -> tuple[str, torch.dtype | None]:
    """Where weights that shall run on a device are loaded, and in what type; None: as stored."""
    half = switches.half and torch.device(device).type != "cpu"
    return "cpu" if switches.offload else device, torch.float16 if half else None


class SizedDrawer:
    """Draws people at requested sizes; what belongs to a person is encoded once.

    Args:
        base: Try-on networks.
        adapter: Turns ratios into conditions; without one the request has no way into the picture.
        people: Their photos, garments and masks.
        options: Of the sampler.
        batch_size: Pictures of a person that are drawn together.
    """

    def __init__(
        self,
        base: TryOnBase,
        adapter: SizeAdapter | None,
        people: TryOnInputs,
        options: DrawingOptions,
        *,
        batch_size: int,
    ) -> None:
        self.base = base
        self.adapter = adapter
        self.people = people
        self.options = options
        self.batch_size = batch_size
        self._known: dict[int, Conditioning] = {}

    def __call__(self, person: int, requested: Floats) -> Pictures:
        """Draw a person at (N, A) requested ratios from one noise, (N, H, W, 3) uint8.

        Outside the inpainting mask every pixel is the photo's own.
        """
        return self._in_photos([person] * len(requested), self.draw(person, requested).pictures)

    def each(self, requested: Floats) -> Pictures:
        """Draw everybody once in the photo, at (P, A) ratios, NaN where unknown: (P, H, W, 3) uint8."""
        rows = list(range(len(self.people.keys)))
        with torch.no_grad():
            conditioning = self.base.told(self.people)
        return self._in_photos(rows, self._draw(rows, requested, conditioning).pictures)

    def draw(self, person: int, requested: Floats, on_step: OnStep | None = None) -> Drawn:
        """Draw a person at (N, A) requested ratios, NaN where open, from one noise."""
        parts = []
        for start in range(0, len(requested), self.batch_size):
            some = requested[start : start + self.batch_size]
            told = whole_work(on_step, start, len(some), len(requested))
            parts.append(self._draw([person] * len(some), some, self.conditioning(person), told))
        return Drawn(*map(np.concatenate, zip(*parts, strict=True)))

    @torch.no_grad()
    def condition(
        self, rows: list[int], requested: Floats, conditioning: Conditioning
    ) -> SizeCondition | None:
        """Return the adapter's condition for people `rows` at (N, A) ratios.

        `conditioning` has one row for all, or N.
        """
        if self.adapter is None:
            return None
        image_hw = (self.people.image.shape[1], self.people.image.shape[2])
        grid_hw = (conditioning.mask.shape[2], conditioning.mask.shape[3])
        categories = [self.people.categories[row] for row in rows]
        maps = body_maps(torch.from_numpy(self.people.keypoints[rows]), image_hw, grid_hw, categories)
        garment = conditioning.garment_features.expand(len(requested), -1)
        device = conditioning.mask.device  # not its type: half precision would round ratios and places
        ratios = torch.from_numpy(requested).float().to(device)
        return self.adapter(
            ratios,
            maps.to(device),
            categories=categories,
            garment_features=garment,
            repainted=shares_of_cells(torch.from_numpy(self.people.inpaint_mask[rows]), grid_hw).to(device),
        )

    def conditioning(self, person: int) -> Conditioning:
        """What the networks are told of a person, remembered; a batch of one."""
        if person not in self._known:
            with torch.no_grad():
                self._known[person] = self.base.told(self.people.one(person))
        return self._known[person]

    @torch.no_grad()
    def _draw(
        self,
        rows: list[int],
        requested: Floats,
        conditioning: Conditioning,
        on_step: OnStep | None = None,
    ) -> Drawn:
        """Sample people `rows` at (N, A) ratios; the conditioning has one row for all, or N."""
        size = self.condition(rows, requested, conditioning)
        unknown = None
        if self.options.size_guidance != 1:
            unknown = self.condition(rows, np.full_like(requested, np.nan), conditioning)
        latents = sample_tryon(
            self.base,
            widen(conditioning, len(rows)) if size is None else conditioning,
            self.options,
            size=size,
            size_unknown=unknown,
            noise=self._noise(rows, conditioning),
            fresh=lambda step: self._noise(rows, conditioning, step),
            on_step=on_step,
        )
        pictures = to_uint8(self.base.to_images(latents)).cpu().numpy()
        return Drawn(pictures, size_maps(size, len(rows)))

    def _in_photos(self, rows: list[int], drawn: Pictures) -> Pictures:
        """Put (N, H, W, 3) pictures of people `rows` into their photos."""
        seam = self.options.seam_px(drawn.shape[1])
        return composite(self.people.image[rows], drawn, self.people.inpaint_mask[rows], seam)

    def _noise(self, rows: list[int], conditioning: Conditioning, step: int = 0) -> Tensor:
        """(N, C, h, w) noise of people, that of each the same in whatever company."""
        shape = (1, *conditioning.canvas.shape[1:])
        return torch.cat([noise_of(self.people.keys[row], self.options.seed, shape, step) for row in rows])


def noise_of(key: str, seed: int, shape: tuple[int, ...], step: int = 0) -> Tensor:
    """Noise of a person, a function of key, seed and step alone, of shape (1, C, h, w); 0 is the start.

    All sizes of a person share it, so that nothing but the size differs between their pictures; and a person
    who is drawn again, alone or after an interruption, is drawn the same.
    """
    named = f"{seed} {key}\n{step}" if step else f"{seed} {key}"
    digest = hashlib.sha256(named.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.randn(shape, generator=generator)


def size_maps(size: SizeCondition | None, num: int) -> NDArray[np.float32]:
    """Return (N, h, w) probabilities of the garment; (N, 0, 0) of an adapter that draws no map."""
    if size is None or size.layout_logits is None:
        return np.zeros((num, 0, 0), np.float32)
    return size.layout_logits[:, 0].float().sigmoid().cpu().numpy()


def whole_work(on_step: OnStep | None, start: int, batch: int, num_sizes: int) -> OnStep | None:
    """Turn progress within a batch of sizes into progress of all of them."""
    if on_step is None:
        return None
    return lambda step, steps: on_step(start * steps + step * batch, num_sizes * steps)


@torch.no_grad()
def sample_tryon(
    base: TryOnBase,
    conditioning: Conditioning,
    options: DrawingOptions,
    *,
    noise: Tensor,
    fresh: Callable[[int], Tensor] | None = None,
    size: SizeCondition | None = None,
    size_unknown: SizeCondition | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Sample latents of the person in the garment.

    Args:
        base: The networks.
        conditioning: Of B rows; one row is shared by all sizes, and so is its garment pass.
        options: Steps, sampler and guidance; its seed and seam are not read.
        noise: (B or 1, C, h, w). One row gives every size the same start.
        fresh: Noise of that shape which enters at a step, counted from 1; only `eta` needs it.
        size: Of B rows, from the adapter; without it the base samples alone.
        size_unknown: The adapter's answer to unknown ratios, of one row or B; only size guidance needs it.
        on_step: Told how far the sampling is.

    Returns:
        (B, C, h, w) latents.

    Raises:
        ValueError: Size guidance is asked for without `size_unknown`, `eta` without `fresh`, or the rows
            don't go together.
    """
    if size is None or options.size_guidance == 1:
        size_unknown = None
    elif size_unknown is None:
        raise ValueError("size_guidance other than 1 needs size_unknown, from the adapter")
    scheduler = base.noising.sampler(options.sampler, steps_of(base, options), conditioning.canvas)
    batch = len(conditioning.mask) if size is None else max(len(conditioning.mask), len(size.embedding))
    size, size_unknown = (
        None if one is None else widen(one, batch).scaled(options.size_scale) for one in (size, size_unknown)
    )
    canvas = widen(conditioning, batch).canvas
    if options.eta and "eta" not in signature(scheduler.step).parameters:
        raise ValueError(f"eta must be 0 for this base, whose steps take no fresh noise, got {options.eta:g}")
    latents = noise = noise.to(canvas).expand(canvas.shape)
    times = scheduler.timesteps
    refresh = garment_refresh(base, options)
    stretch = refresh or len(times)
    for start in range(0, len(times), stretch):
        at = times[start] if refresh else torch.zeros_like(times[start])
        seen = base.with_garment(conditioning, at)  # before the denoiser's turn: two UNets may not fit
        with base.resident(base.denoiser):
            rows = widen(base.readied(seen), batch)
            for step, timestep in enumerate(times[start : start + stretch], start + 1):
                prediction = guided(base, latents, timestep, rows, size, size_unknown, options)
                entering = {} if not options.eta else fresh_noise(options.eta, fresh, step, latents)
                latents = scheduler.step(prediction, timestep, latents, **entering).prev_sample
                latents = base.put_back(latents, noise, next(iter(times[step:]), None), rows)
                if on_step is not None:
                    on_step(step, steps_of(base, options))
    return base.person_of(latents)


def fresh_noise(
    eta: float, fresh: Callable[[int], Tensor] | None, step: int, latents: Tensor
) -> dict[str, Any]:
    """Return the arguments that let noise enter at a step of DDIM."""
    if fresh is None:
        raise ValueError(f"eta {eta} needs fresh, the noise that enters at each step")
    return {"eta": eta, "variance_noise": fresh(step).to(latents).expand(latents.shape)}


def steps_of(base: TryOnBase, options: DrawingOptions) -> int:
    """Return how many denoising steps are taken; by default as many as the base is drawn in."""
    return base.usual_steps if options.num_steps is None else options.num_steps


def text_guidance_of(base: TryOnBase, options: DrawingOptions) -> float:
    """Return the weight of caption and garment; by default that which the base is drawn with."""
    return base.usual_guidance if options.text_guidance is None else options.text_guidance


def garment_refresh(base: TryOnBase, options: DrawingOptions) -> int:
    """Return after how many steps the garment is seen anew, 0 for never; by default as the base learned."""
    wanted = options.garment_refresh
    return int(base.garment_follows_time) if wanted is None else wanted


def guided(
    base: TryOnBase,
    latents: Tensor,
    timestep: Tensor,
    conditioning: Conditioning,
    size: SizeCondition | None,
    size_unknown: SizeCondition | None,
    options: DrawingOptions,
) -> Tensor:
    """Predict p + (t - 1) (p - p without text) + (s - 1) (p - p of unknown size); what is off costs nothing.

    Source: classifier-free guidance (Ho & Salimans 2022) with one weight a condition, as in InstructPix2Pix.
    """
    full = base.predict(latents, timestep, conditioning, size)
    prediction = full
    weight = text_guidance_of(base, options)
    if weight != 1:
        without = base.predict(latents, timestep, conditioning.unconditional(), size)
        prediction = prediction + (weight - 1) * (full - without)
    if size_unknown is not None:
        without = base.predict(latents, timestep, conditioning, size_unknown)
        prediction = prediction + (options.size_guidance - 1) * (full - without)
    return prediction


def widen(rows: Rows, batch: int) -> Rows:
    """Repeat a conditioning of one row `batch` times; one of `batch` rows stays as it is."""
    num = len(rows.mask if isinstance(rows, Conditioning) else rows.embedding)
    if num not in (1, batch):
        raise ValueError(f"a batch of {batch} needs 1 or {batch} rows of conditioning, got {num}")
    return rows.repeat(batch) if num != batch else rows
