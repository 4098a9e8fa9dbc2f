"""The task of the try-on networks: denoise the photo of a person in a garment, at a size or ignorant of it.

Shapes: B batch, C latent channels, h and w the latent grid, D the number of size ratios.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import body_maps, shares_of_cells
from model.bases.base import TryOnBase
from model.bases.conditions import Conditioning, SizeCondition
from model.judges.critic import SizeCritic
from model.pixels import sent
from shards.batch import Batch
from train.keyed_random import KeyedRandom
from train.loop import total
from train.loss import diffusion_loss, layout_loss, picture_loss, size_loss
from train.params import LossParams
from train.processes import totals_per_piece
from train.sample_encoder import SampleEncoder

LABEL_DROPOUT = 0.5
"""Share of samples whose fit label is hidden: a request of ratios alone has none."""


BELOW_ONE = 1 - 2**-24
"""The largest share of all timesteps that a float32 tells from 1, which would be behind the last one."""


class TryOnTask(nn.Module):
    """Diffusion loss of the try-on UNet; with an adapter also the losses of its size map and of the critic.

    What is trained is what requires a gradient: set that before `fit`.

    Args:
        base: Try-on and garment UNet, encoders, scheduler.
        encoder: Makes latents and embeddings of a batch.
        adapter: The size modules; without one the networks stay ignorant of size.
        critic: Reads ratios from latents. Needed with an adapter whose size or coverage loss has a
            weight.
        loss: Weights of the loss's parts.
        text_dropout: Share of samples without text and garment image tokens, for text guidance.
        size_dropout: Share of samples whose size is hidden.
    """

    def __init__(
        self,
        base: TryOnBase,
        encoder: SampleEncoder,
        *,
        loss: LossParams,
        adapter: SizeAdapter | None = None,
        critic: SizeCritic | None = None,
        text_dropout: float = 0.0,
        size_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.base, self.adapter, self.critic = base, adapter, critic
        self.encoder = encoder
        self.loss = loss
        self.text_dropout = text_dropout
        self.size_dropout = size_dropout

    def blocks(self) -> Sequence[nn.Module]:
        """Return the blocks that hold nearly all weights of the base."""
        return self.base.blocks()

    def compile_networks(self) -> None:
        """Let the base's networks run compiled."""
        self.base.compile_networks()

    def counts(self, batch: Batch, random: KeyedRandom) -> dict[str, Tensor]:
        """Return how many ratios the size loss counts, and how many samples that of coverage."""
        weight = self.size_weight(self.timesteps(random))
        known = ~sent(batch.ratios, weight.device).isnan()
        return {"size": (known * weight[:, None]).sum(), "coverage": weight.sum()}

    def timesteps(self, random: KeyedRandom) -> Tensor:
        """(B,) noise levels of the samples."""
        share = 1 - (1 - random.spread("timestep")) ** self.loss.noise_bias
        return sent(self.base.noising.timesteps(share.clamp(max=BELOW_ONE)), self.base.device)

    def size_weight(self, timesteps: Tensor) -> Tensor:
        """(B,) float32, 1 where the critic looks at the predicted latents."""
        return (self.base.noising.signal_to_noise(timesteps) >= self.loss.size_min_snr).float()

    def forward(
        self, batch: Batch, random: KeyedRandom, totals: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Return the weighted sum under `loss`, and its parts; `totals` are of the step, or of this batch."""
        base, noising = self.base, self.base.noising
        encoded = self.encoder(batch)
        clean = base.denoised(encoded).float()  # ratios and losses keep full precision beside a half base
        dropped = sent(random.uniform("text") < self.text_dropout, clean.device)
        timesteps = self.timesteps(random)
        conditioning = base.condition(encoded)
        if conditioning.garment is None:
            seen_at = timesteps if base.garment_follows_time else torch.zeros_like(timesteps)
            conditioning = base.with_garment(conditioning, seen_at)
        conditioning = conditioning.unconditional(dropped)
        noise = sent(random.normal("noise", tuple(clean.shape[1:])), clean.device)
        noisy = noising.add_noise(clean, noise, timesteps)
        maps = None if self.adapter is None else self.body_maps(batch, conditioning.mask)
        size = None if maps is None else self.size(batch, random, conditioning, maps)
        prediction = base.predict(noisy, timesteps, conditioning, size)

        target = noising.loss_target(clean, noise, timesteps)
        weight = noising.loss_weight(timesteps, self.loss.min_snr_gamma)
        parts = {"diffusion": (1.0, diffusion_loss(prediction, target, weight))}
        predicted = base.person_of(noising.clean_from(prediction, noisy, timesteps))
        if self.loss.pixels > 0:
            error = self.picture_error(batch, conditioning.mask, predicted, base.person_of(clean))
            parts["pixels"] = (self.loss.pixels, error)
        if size is not None and maps is not None:
            totals = totals or totals_per_piece([self.counts(batch, random)])
            weight = self.size_weight(timesteps).to(predicted)
            parts |= self.size_parts(batch, size, predicted, maps, weight, totals)
        return total(parts)

    def size(
        self, batch: Batch, random: KeyedRandom, conditioning: Conditioning, maps: Tensor
    ) -> SizeCondition:
        """What the adapter makes of each sample's own ratios, hidden from some, on its body maps."""
        assert self.adapter is not None
        ratios = sent(batch.ratios, maps.device)
        labels = sent(batch.fit_label_numbers(), maps.device)
        hidden = sent(random.uniform("size") < self.size_dropout, maps.device)
        unlabelled = hidden | sent(random.uniform("label") < LABEL_DROPOUT, maps.device)
        return self.adapter(
            ratios.masked_fill(hidden[:, None], torch.nan),
            maps,
            categories=batch.categories,
            fit_labels=labels.masked_fill(unlabelled, -1),
            garment_features=conditioning.garment_features,
            repainted=self.repainted(batch, conditioning.mask),
        )

    def picture_error(self, batch: Batch, mask: Tensor, predicted: Tensor, clean: Tensor) -> Tensor:
        """Scalar: difference of what (B, C, h, w) latents are decoded to, where the mask hides the photo."""
        with torch.no_grad():
            picture = self.base.to_images(clean)
        drawn = torch.where(hidden_by(batch, mask), self.base.to_images(predicted), picture)
        return picture_loss(drawn, picture)

    def size_parts(
        self,
        batch: Batch,
        size: SizeCondition,
        predicted: Tensor,
        maps: Tensor,
        weight: Tensor,
        totals: Mapping[str, Tensor],
    ) -> dict[str, tuple[float, Tensor]]:
        """Losses of the size map, and of what the critic reads from the predicted clean latents."""
        garment = sent(batch.garment_shares, predicted.device, predicted.dtype)[:, None]
        layout = F.adaptive_avg_pool2d(garment, grid_of(predicted))
        parts: dict[str, tuple[float, Tensor]] = {}
        if size.layout_logits is not None:
            parts["layout"] = (self.loss.layout, layout_loss(size.layout_logits, layout))
        if self.critic is not None and max(self.loss.size, self.loss.coverage) > 0:
            read = self.critic(predicted, maps, batch.categories)
            ratios = sent(batch.ratios, predicted.device, predicted.dtype)
            coverage = F.adaptive_avg_pool2d(garment, read.coverage_logits.shape[2:])
            parts["size"] = (self.loss.size, size_loss(read.ratios, ratios, weight, totals["size"]))
            parts["coverage"] = (
                self.loss.coverage,
                layout_loss(read.coverage_logits, coverage, weight, totals["coverage"]),
            )
        return parts

    @staticmethod
    def repainted(batch: Batch, mask: Tensor) -> Tensor:
        """(B, 1, h, w) float32 shares of cells that are painted anew."""
        return shares_of_cells(hidden_by(batch, mask)[:, 0], grid_of(mask))

    @staticmethod
    def body_maps(batch: Batch, mask: Tensor) -> Tensor:
        """(B, K, h, w) float32 maps of the person's keypoints: half precision would round places."""
        keypoints = sent(batch.keypoints, mask.device)
        return body_maps(keypoints, batch.image.shape[1:3], grid_of(mask), batch.categories)


def hidden_by(batch: Batch, mask: Tensor) -> Tensor:
    """(B, 1, H, W) where the inpainting mask hides the photo.

    Beside stored encodings there is no photo, and its mask is told by their own, (B, 1, h, w) cells.
    """
    if batch.encodings:
        return F.interpolate(mask, batch.image.shape[1:3]) > 0
    return sent(batch.inpaint_mask, mask.device)[:, None] > 0


def grid_of(latents: Tensor) -> tuple[int, int]:
    """Height and width of the latent grid."""
    return latents.shape[-2], latents.shape[-1]
