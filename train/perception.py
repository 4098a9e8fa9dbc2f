"""Tasks that train what looks at pictures: autoencoder, text and image encoders, segmenter, size critic.

Shapes: B batch, H and W pixels of the training picture, h and w the latent grid.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.body_maps import body_maps
from model.conditioning import clip_pixels, encode_images, from_uint8, tokenize
from model.segmenter import Segmenter
from model.size_critic import SizeCritic
from model.tryon import TryOnBase
from shards.batch import Batch
from train.keyed_random import KeyedRandom
from train.loop import total
from train.loss import contrastive_loss, layout_loss, size_loss

CROP = 64  # pixels; the autoencoder has no attention, so crops teach it what whole pictures would, for less
KL_WEIGHT = 1e-6  # of the latents towards a standard normal, as in Rombach et al. 2022 (latent diffusion)
LARGEST_CRITIC_NOISE = 0.7  # of the latents' standard deviation: predicted latents are never quite clean


class AutoencoderTask(nn.Module):
    """Reconstruct crops of every kind of picture that is later encoded."""

    def __init__(self, base: TryOnBase) -> None:
        super().__init__()
        self.vae = base.vae

    def forward(self, batch: Batch, random: KeyedRandom) -> dict[str, Tensor]:
        """Absolute and squared error of the reconstruction, and the latents' KL divergence."""
        pictures = random_crops(random_pictures(batch, random), random)
        posterior = self.vae.encode(pictures).latent_dist
        noise = random.normal("latents", tuple(posterior.mean.shape[1:])).to(pictures.device)
        decoded = self.vae.decode(posterior.mean + posterior.std * noise).sample
        return total(
            {
                "absolute": (1.0, F.l1_loss(decoded, pictures)),
                "squared": (1.0, F.mse_loss(decoded, pictures)),
                "kl": (KL_WEIGHT, posterior.kl().mean()),
            }
        )


def random_pictures(batch: Batch, random: KeyedRandom) -> Tensor:
    """(B, 3, H, W): of each sample the photo, the masked photo, the garment or the DensePose picture."""
    photo = from_uint8(batch.image)
    hidden = torch.from_numpy(batch.inpaint_mask).to(photo)[:, None]
    others = [from_uint8(batch.cloth), from_uint8(batch.densepose)]
    kinds = torch.stack([photo, photo, photo * (1 - hidden), *others])
    choice = (random.uniform("picture") * len(kinds)).long()
    return kinds[choice, torch.arange(len(choice))]


def random_crops(pictures: Tensor, random: KeyedRandom) -> Tensor:
    """(B, 3, CROP, CROP) windows of (B, 3, H, W) `pictures`, or less where a picture is smaller."""
    height, width = (min(CROP, side) for side in pictures.shape[-2:])
    tops = (random.uniform("top") * (pictures.shape[-2] - height + 1)).long()
    lefts = (random.uniform("left") * (pictures.shape[-1] - width + 1)).long()
    return torch.stack(
        [
            p[:, top : top + height, left : left + width]
            for p, top, left in zip(pictures, tops.tolist(), lefts.tolist(), strict=True)
        ]
    )


class EncodersTask(nn.Module):
    """Bring captions and garment photos that belong together close to each other (CLIP)."""

    def __init__(self, base: TryOnBase) -> None:
        super().__init__()
        self.image_encoder = base.image_encoder
        self.text_stages = base.text_stages()
        self.text_encoders = nn.ModuleList(encoder for _, encoder in self.text_stages)
        # The first text encoder has no projection of its own; this one is only needed to train it.
        self.projection = nn.Linear(
            base.text_encoder.config.hidden_size, base.text_encoder_2.config.projection_dim, bias=False
        )
        self.logit_scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, batch: Batch, random: KeyedRandom) -> dict[str, Tensor]:  # noqa: ARG002
        """Contrastive loss of the garment's picture with each text encoder's reading of the caption."""
        pixels = clip_pixels(from_uint8(batch.cloth), self.image_encoder.config.image_size)
        pictures = F.normalize(self.image_encoder(pixels).image_embeds, dim=-1)
        first, second = (
            encoder(tokenize(tokenizer, batch.captions)) for tokenizer, encoder in self.text_stages
        )
        first = F.normalize(self.projection(first.pooler_output), dim=-1)
        second = F.normalize(second.text_embeds, dim=-1)
        return total(
            {
                "text_1": (0.5, contrastive_loss(pictures, first, self.logit_scale)),
                "text_2": (0.5, contrastive_loss(pictures, second, self.logit_scale)),
            }
        )


class SegmenterTask(nn.Module):
    """Tell the worn garment from the rest, in photos and in what the autoencoder makes of them."""

    def __init__(self, segmenter: Segmenter, base: TryOnBase) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.vae = base.vae.requires_grad_(False)

    def forward(self, batch: Batch, random: KeyedRandom) -> dict[str, Tensor]:
        """Cross-entropy and Dice against the worn garment's mask."""
        photo = from_uint8(batch.image)
        half = len(photo) // 2
        with torch.no_grad():
            decoded = self.vae.decode(self.vae.encode(photo[:half]).latent_dist.mode()).sample
        pictures = torch.cat([decoded.clamp(-1, 1), photo[half:]])
        gain = 0.8 + 0.4 * random.uniform("gain").to(photo)[:, None, None, None]
        logits = self.segmenter((pictures * gain).clamp(-1, 1))
        garment = torch.from_numpy(batch.garment_mask).to(photo)[:, None]
        return total({"garment": (1.0, layout_loss(logits[:, 1:] - logits[:, :1], garment))})


class CriticTask(nn.Module):
    """Read the size ratios from latents that are not quite clean."""

    def __init__(self, critic: SizeCritic, base: TryOnBase) -> None:
        super().__init__()
        self.critic = critic
        self.vae = base.vae.requires_grad_(False)

    def forward(self, batch: Batch, random: KeyedRandom) -> dict[str, Tensor]:
        """Huber distance to the annotated ratios."""
        with torch.no_grad():
            latents = encode_images(self.vae, from_uint8(batch.image))
        scale = LARGEST_CRITIC_NOISE * random.uniform("scale").to(latents)[:, None, None, None]
        noisy = latents + scale * random.normal("noise", tuple(latents.shape[1:])).to(latents)
        maps = body_maps(torch.from_numpy(batch.keypoints), batch.image.shape[1:3], latents.shape[-2:])
        read = self.critic(noisy, maps.to(latents))
        ratios = torch.from_numpy(batch.ratios).to(latents)
        return total({"ratios": (1.0, size_loss(read, ratios, torch.ones(len(ratios)).to(latents)))})
