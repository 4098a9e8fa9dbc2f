"""Draw people at requested sizes with the try-on networks."""

import hashlib
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from eval.params import EvaluateParams
from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import body_maps
from model.bases.base import SizeCondition
from model.bases.sdxl.conditioning import (
    Conditioning,
    Photos,
    decode_latents,
    encode_conditioning,
    from_uint8,
    to_uint8,
)
from model.bases.sdxl.networks import TryOnBase
from model.judges.segmenter import Segmenter
from model.sampling import composite, sample_tryon, widen
from shards.batch import Batch, select

Floats = NDArray[np.float64]
Pictures = NDArray[np.uint8]


class SizedDrawer:
    """Draws the people of a batch; what belongs to a person is encoded once.

    Args:
        base: Try-on networks.
        adapter: Turns ratios into conditions; without one the request has no way into the picture.
        people: Their photos, garments and masks.
        params: Sampler and seed.
    """

    def __init__(
        self, base: TryOnBase, adapter: SizeAdapter | None, people: Batch, params: EvaluateParams
    ) -> None:
        self.base = base
        self.adapter = adapter
        self.people = people
        self.params = params
        self._known: dict[int, Conditioning] = {}

    def __call__(self, person: int, requested: Floats) -> Pictures:
        """Draw a person at (N, 3) requested ratios from one noise, (N, H, W, 3) uint8.

        Outside the inpainting mask every pixel is the photo's own.
        """
        rows = [person] * len(requested)
        return self._draw(rows, requested, self.conditioning(person))

    def each(self, requested: Floats) -> Pictures:
        """Draw everybody once, at (P, 3) ratios, NaN where unknown: (P, H, W, 3) uint8."""
        rows = list(range(len(self.people)))
        with torch.no_grad():
            conditioning = encode_conditioning(self.base, cast("Photos", self.people))
        return self._draw(rows, requested, conditioning)

    @torch.no_grad()
    def _draw(self, rows: list[int], requested: Floats, conditioning: Conditioning) -> Pictures:
        """Sample people `rows` at (N, 3) ratios; the conditioning has one row for all, or N."""
        size = self._size(rows, requested, conditioning)
        guided = size is not None and self.params.size_guidance != 1
        unknown = self._size(rows, np.full_like(requested, np.nan), conditioning) if guided else None
        latents = sample_tryon(
            self.base,
            widen(conditioning, len(rows)) if size is None else conditioning,
            size=size,
            size_unknown=unknown,
            num_steps=self.params.num_steps,
            text_guidance=self.params.text_guidance,
            size_guidance=self.params.size_guidance if guided else 1.0,
            noise=self._noise(rows, conditioning),
        )
        drawn = to_uint8(decode_latents(self.base.vae, latents)).cpu().numpy()
        return composite(self.people.image[rows], drawn, self.people.inpaint_mask[rows])

    def _noise(self, rows: list[int], conditioning: Conditioning) -> torch.Tensor:
        """(N, 4, h, w) noise of people, that of each the same in whatever company."""
        shape = (1, *conditioning.masked_latents.shape[1:])
        return torch.cat([noise_of(self.people.keys[row], self.params.seed, shape) for row in rows])

    def conditioning(self, person: int) -> Conditioning:
        """What the networks are told of a person, remembered; a batch of one."""
        if person not in self._known:
            with torch.no_grad():
                photos = cast("Photos", select(self.people, [person]))
                self._known[person] = encode_conditioning(self.base, photos)
        return self._known[person]

    def _size(self, rows: list[int], requested: Floats, conditioning: Conditioning) -> SizeCondition | None:
        """The adapter's condition for people `rows` at (N, 3) ratios, NaN where unknown."""
        if self.adapter is None:
            return None
        image_hw = (self.people.image.shape[1], self.people.image.shape[2])
        latent_hw = (conditioning.mask.shape[2], conditioning.mask.shape[3])
        maps = body_maps(torch.from_numpy(self.people.keypoints[rows]), image_hw, latent_hw)
        ratios = torch.from_numpy(requested).to(conditioning.mask)
        garment = conditioning.image_tokens.mean(dim=1).expand(len(ratios), -1)
        return self.adapter(ratios, maps.to(conditioning.mask), garment_features=garment)


def noise_of(key: str, seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Noise of a person, a function of its key and the seed alone, of shape (1, C, h, w)."""
    digest = hashlib.sha256(f"{seed} {key}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.randn(shape, generator=generator)


def segment_with(segmenter: Segmenter, pictures: Pictures, cloths: Pictures) -> NDArray[np.float32]:
    """(N, H, W) probability of the garment in (N, H, W, 3) uint8 pictures, each with the garment's photo."""
    images, garments = (from_uint8(p).to(segmenter.device, segmenter.dtype) for p in (pictures, cloths))
    return segmenter.garment_probability(images, garments).float().cpu().numpy()
