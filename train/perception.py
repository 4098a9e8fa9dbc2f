"""Tasks that train what looks at pictures: autoencoder, text and image encoders, segmenter, size critic.

Shapes: B batch, H and W pixels of the training picture, h and w the latent grid.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.adapter.body_maps import body_maps
from model.bases.autoencoded import AutoencodedBase
from model.bases.sdxl.conditioning import clip_pixels, tokenize
from model.bases.tiny.networks import TinyBase
from model.judges.critic import SizeCritic
from model.judges.segmenter import Segmenter, garment_colours
from model.pixels import from_uint8, sent
from shards.batch import Batch, select
from train.keyed_random import KeyedRandom
from train.loop import total
from train.loss import contrastive_loss, layout_loss, size_loss
from train.processes import totals_per_piece
from train.sample_encoder import SampleEncoder

LARGEST_LATENT_NOISE = 0.15  # added in training, so that the decoder forgives what a denoiser leaves
LATENT_WEIGHT = 1e-4  # keeps latents near standard deviation 1
DECODED_SHARE = 2  # one in so many pictures the segmenter sees is a reconstruction
LARGEST_DECODED_NOISE = 0.3  # of the standard deviation of the latents that it is decoded from
BLURRED_SHARE = 0.5  # of the pictures that the segmenter sees
LARGEST_BLUR, BLUR_REACH = 1.5, 4  # px: standard deviation, and how far the blur is followed
DYED_SHARE = 0.5  # of the pictures that the segmenter sees
DYE_SPREAD = 0.3  # standard deviation of each channel's change of contrast, and of its shift
CAMOUFLAGED_SHARE = 0.5  # of the dyed garments
BESIDE, CAMOUFLAGE_SPREAD = 4, 0.15  # px round the garment; how far its colour stays from what lies there
UNKNOWN_SHARE = 0.1  # of the pictures whose garment the segmenter isn't told
LARGEST_CRITIC_NOISE = 0.7  # of the latents' standard deviation: predicted latents are never quite clean


class AutoencoderTask(nn.Module):
    """Reconstruct every kind of picture that is later encoded, from latents that are not quite exact."""

    def __init__(self, base: AutoencodedBase) -> None:
        super().__init__()
        self.vae = base.vae

    def forward(self, batch: Batch, random: KeyedRandom) -> dict[str, Tensor]:
        """Absolute and squared error of the reconstruction, and the latents' size."""
        pictures = random_pictures(batch, random, self.vae.device)
        latents = self.vae.encode(pictures).latent_dist.mode()
        device, dtype = latents.device, latents.dtype
        noise = sent(random.normal("latents", tuple(latents.shape[1:])), device, dtype)
        share = LARGEST_LATENT_NOISE * sent(random.uniform("share"), device, dtype)[:, None, None, None]
        # relative to the latents' own spread, or the encoder would drown the noise in larger latents
        decoded = self.vae.decode(latents + share * latents.std().detach() * noise).sample
        return total(
            {
                "absolute": (1.0, F.l1_loss(decoded, pictures)),
                "squared": (1.0, F.mse_loss(decoded, pictures)),
                "latents": (LATENT_WEIGHT, latents.square().mean()),
            }
        )


def random_pictures(batch: Batch, random: KeyedRandom, device: torch.device) -> Tensor:
    """(B, 3, H, W): of each sample the photo, the masked photo, the garment or the DensePose picture."""
    kinds = pictures_to_encode(batch, device)
    choice = sent((random.uniform("picture") * len(kinds)).long(), device)
    return kinds[choice, torch.arange(len(choice), device=device)]


def pictures_to_encode(batch: Batch, device: torch.device) -> Tensor:
    """(4, B, 3, H, W): photo, masked photo, garment and DensePose picture of each sample."""
    photo, cloth, densepose = (from_uint8(p, device) for p in (batch.image, batch.cloth, batch.densepose))
    hidden = sent(batch.inpaint_mask, device).to(photo)[:, None]
    return torch.stack([photo, photo * (1 - hidden), cloth, densepose])


class EncodersTask(nn.Module):
    """Bring captions and garment photos that belong together close to each other (CLIP)."""

    def __init__(self, base: TinyBase) -> None:
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
        device = self.image_encoder.device
        pixels = clip_pixels(from_uint8(batch.cloth, device), self.image_encoder.config.image_size)
        pictures = F.normalize(self.image_encoder(pixels).image_embeds, dim=-1)
        first, second = (
            encoder(sent(tokenize(tokenizer, batch.captions), device))
            for tokenizer, encoder in self.text_stages
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
    """Tell the worn garment from the rest, in photos and in what the autoencoder makes of them.

    It is to read drawn pictures, which are less sharp than either. Those are no help in training: only the
    request says where their garment should end, and a judge that had learned from it would believe it. So
    true pictures are made worse, whose garment stays where it was.
    """

    def __init__(self, segmenter: Segmenter, encoder: SampleEncoder) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.encoder = encoder

    def forward(self, batch: Batch, random: KeyedRandom) -> dict[str, Tensor]:
        """Cross-entropy and Dice against how much of each pixel the worn garment covers.

        A pixel that is half covered is asked to be read as one half: so an edge is found to a fraction of a
        pixel, as `eval.ladder.remeasure.enlarge` wants it.
        """
        photo, cloths = (from_uint8(p, self.segmenter.device) for p in (batch.image, batch.cloth))
        num_decoded = max(1, len(photo) // DECODED_SHARE)
        with torch.no_grad():
            latents = self.encoder.latents(select(batch, range(num_decoded)))
            latents = unclean(latents, LARGEST_DECODED_NOISE, random)
            decoded = self.encoder.base.to_images(latents)
        pictures = torch.cat([decoded.to(photo), photo[num_decoded:]])
        garment = sent(batch.garment_shares, photo.device)[:, None]
        pictures, cloths = dyed(pictures, garment, cloths, random)
        pictures = blurred(pictures, random)
        gain = 0.8 + 0.4 * sent(random.uniform("gain"), photo.device)[:, None, None, None]
        known = sent(random.uniform("unknown") >= UNKNOWN_SHARE, photo.device)[:, None]
        logits = self.segmenter(pictures * gain, known * garment_colours(cloths * gain))
        return total({"garment": (1.0, layout_loss(logits[:, 1:] - logits[:, :1], garment))})


def unclean(latents: Tensor, largest: float, random: KeyedRandom) -> Tensor:
    """Add noise to the (B, C, h, w) latents of the first samples: of each a random share, up to `largest`."""
    count, device, dtype = len(latents), latents.device, latents.dtype
    share = largest * sent(random.uniform("scale"), device, dtype)[:count, None, None, None]
    return latents + share * sent(random.normal("noise", tuple(latents.shape[1:])), device, dtype)[:count]


def blurred(pictures: Tensor, random: KeyedRandom) -> Tensor:
    """Blur some of (B, 3, H, W) pictures, each by a Gaussian of its own."""
    chosen = sent(random.uniform("blurred") < BLURRED_SHARE, pictures.device)
    deviation = (LARGEST_BLUR * chosen * sent(random.uniform("blur"), pictures.device)).clamp(min=1e-3)
    places = torch.arange(-BLUR_REACH, BLUR_REACH + 1, device=pictures.device).to(pictures)
    weights = (-((places / deviation[:, None]) ** 2) / 2).softmax(dim=1)
    kernels = (weights[:, :, None] * weights[:, None]).repeat_interleave(3, dim=0)[:, None]
    flat = F.pad(pictures.flatten(0, 1)[None], (BLUR_REACH,) * 4, mode="replicate")
    return F.conv2d(flat, kernels, groups=len(kernels))[0].unflatten(0, pictures.shape[:2])


def dyed(pictures: Tensor, garment: Tensor, cloths: Tensor, random: KeyedRandom) -> tuple[Tensor, Tensor]:
    """Dye the garment of some pictures, so that no colour is a garment's and none is skin's alone.

    Some of these get nearly the colour of what lies beside them. Those are the garments that are hard to tell
    from the rest, white before a light wall or beige on skin, and random colours seldom meet them.

    Args:
        pictures: (B, 3, H, W) in -1 .. 1.
        garment: (B, 1, H, W), how much of each pixel it covers; the dye's edge is softened, or it would draw
            the mask.
        cloths: (B, 3, H, W), the garments alone, whose whole photos are dyed alike.
        random: Chooses pictures and colours.

    Returns:
        The pictures and the photos of the garments.
    """
    chosen = sent(random.uniform("dyed") < DYED_SHARE, pictures.device)[:, None, None, None]
    contrast, shift = DYE_SPREAD * sent(random.normal("dye", (2, 3, 1, 1)), pictures.device).movedim(1, 0)
    camouflaged = sent(random.uniform("camouflaged") < CAMOUFLAGED_SHARE, pictures.device)
    area = garment.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    mean = (garment * pictures).sum(dim=(2, 3), keepdim=True) / area
    hiding = colours_beside(pictures, garment, random)[..., None, None] - (1 + contrast) * mean
    shift = torch.where(camouflaged[:, None, None, None], hiding, shift)
    cover = chosen * F.avg_pool2d(garment, 3, stride=1, padding=1)
    worn, alone = (
        share * ((p * (1 + contrast) + shift).clamp(-1, 1) - p)
        for p, share in ((pictures, cover), (cloths, chosen))
    )
    return pictures + worn, cloths + alone


def colours_beside(pictures: Tensor, garment: Tensor, random: KeyedRandom) -> Tensor:
    """(B, 3) colours near that of a random pixel beside each garment: of wall, skin, hair or trousers."""
    reach = F.max_pool2d(garment, 2 * BESIDE + 1, stride=1, padding=BESIDE)
    beside = ((garment == 0) & (reach > 0)).flatten(1)
    place = place_within(beside, sent(random.uniform("beside"), pictures.device))
    found = pictures.flatten(2).take_along_dim(place[:, None, None], dim=2)[..., 0]
    return found + CAMOUFLAGE_SPREAD * sent(random.normal("camouflage", (3,)), pictures.device)


def place_within(mask: Tensor, share: Tensor) -> Tensor:
    """(B,) place in each (B, N) mask that has the (B,) share in [0, 1) of its set places before it.

    Of a uniform share every set place is as likely. Where none is set, it is the last place of all.
    """
    until = mask.cumsum(dim=1)
    before = (share * until[:, -1]).long()
    return torch.searchsorted(until, before[:, None], right=True)[:, 0].clamp(max=mask.shape[1] - 1)


class CriticTask(nn.Module):
    """Read the size ratios from latents that are not quite clean."""

    def __init__(self, critic: SizeCritic, encoder: SampleEncoder) -> None:
        super().__init__()
        self.critic = critic
        self.encoder = encoder

    def counts(self, batch: Batch, random: KeyedRandom) -> dict[str, Tensor]:  # noqa: ARG002
        """Return how many ratios are known."""
        return {"ratios": sent(batch.ratios, self.critic.device).isfinite().sum()}

    def forward(
        self, batch: Batch, random: KeyedRandom, totals: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Huber distance to the annotated ratios; cross-entropy and Dice against what the garment covers."""
        totals = totals or totals_per_piece([self.counts(batch, random)])
        latents = self.encoder.latents(batch).to(self.critic.device).float()  # a base may be in half
        noisy = unclean(latents, LARGEST_CRITIC_NOISE, random)
        grid = (latents.shape[-2], latents.shape[-1])
        keypoints = sent(batch.keypoints, latents.device)
        maps = body_maps(keypoints, batch.image.shape[1:3], grid, batch.categories)
        read = self.critic(noisy, maps.to(latents), batch.categories)
        ratios = sent(batch.ratios, latents.device)
        garment = sent(batch.garment_shares, latents.device)[:, None]
        coverage = F.adaptive_avg_pool2d(garment, read.coverage_logits.shape[2:])
        return total(
            {
                "ratios": (
                    1.0,
                    size_loss(read.ratios, ratios, torch.ones_like(ratios[:, 0]), totals["ratios"]),
                ),
                "coverage": (1.0, layout_loss(read.coverage_logits, coverage)),
            }
        )
