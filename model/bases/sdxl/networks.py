"""IDM-VTON's networks, put together and run.

Shapes: B batch, H x W the picture, h x w the latent grid.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from model.bases.autoencoded import AutoencodedBase, encode_images
from model.bases.base import Encodings, Sites, as_read
from model.bases.conditions import Conditioning, Photos, SizeCondition, described
from model.bases.noising import DiffusionNoising
from model.bases.sdxl.conditioning import (
    GARMENT_PROMPT,
    GUIDED,
    NEGATIVE_PROMPT,
    PERSON_PROMPT,
    SdxlConditioning,
    clip_features,
    clip_pixels,
    encode_text,
    time_ids_of,
)
from model.bases.sdxl.garment_attention import (
    GarmentKeys,
    GarmentTokens,
    TryOnSelfAttention,
    compiled_garment_tokens,
    garment_keys,
    garment_tokens_of,
)
from model.bases.sdxl.image_tokens import Resampler
from model.bases.sdxl.loading import SHARED_PARTS, SizeTryOnPipeline, load_parts, released_configs
from model.bases.sdxl.presets import SdxlPreset
from model.bases.sdxl.unet import open_time_embedding, sites_of, size_inputs
from model.pixels import from_uint8, sent

if TYPE_CHECKING:
    from model.params import MemorySwitches
from model.weights import without_bars

PICTURE = SdxlPreset()
TRANSFORMER = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2")
CONVOLUTIONS = ("conv1", "conv2")

GARMENT = "garment_tokens/"
"""In encodings, before a layer's name: what the frozen garment UNet shows to that layer."""


class SdxlBase(AutoencodedBase):
    """The networks of IDM-VTON on stock classes.

    Both UNets are stock ones. The try-on UNet has our attention processors (`install_tryon_attention`) and
    the resampler as `encoder_hid_proj`, so that state dicts have the released keys.
    """

    name: ClassVar[str] = "sdxl"
    picture_hw: ClassVar[tuple[int, int]] = (PICTURE.image_height, PICTURE.image_width)
    lora_targets: ClassVar[Sequence[str]] = TRANSFORMER + CONVOLUTIONS
    attention_layers: ClassVar[tuple[str, ...]] = ("attn1", "attn2")
    licence = "cc-by-nc-sa-4.0"
    garment_follows_time: ClassVar[bool] = True
    usual_guidance: ClassVar[float] = 2.0

    as_released: ClassVar[bool] = True
    """Whether the networks were trained as IDM-VTON's. Their image encoder sees the square in the middle of
    the garment's photo, not all of it squashed. No dropout taught them that zeros mean that nothing is said:
    text guidance leads away from what IDM-VTON's own code has in their place."""

    def __init__(
        self,
        *,
        vae: AutoencoderKL,
        tryon_unet: UNet2DConditionModel,
        garment_unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        text_encoder_2: CLIPTextModelWithProjection,
        image_encoder: CLIPVisionModelWithProjection,
        tokenizer: CLIPTokenizer,
        tokenizer_2: CLIPTokenizer,
        scheduler: DDIMScheduler,
    ) -> None:
        super().__init__()
        self.vae = vae
        self.tryon_unet = tryon_unet
        self.garment_unet = garment_unet
        self.text_encoder = text_encoder
        self.text_encoder_2 = text_encoder_2
        self.image_encoder = image_encoder
        self.tokenizer = tokenizer
        self.tokenizer_2 = tokenizer_2
        self.scheduler = scheduler
        self.compiled_garment: Callable[..., dict[str, Tensor]] | None = None
        self._nothing: Encodings = {}
        open_time_embedding(tryon_unet)
        garment_unet.register_to_config(addition_embed_type=None)  # IDM-VTON runs it without added conditions

    @classmethod
    def from_pretrained(cls, folder: str | Path, torch_dtype: torch.dtype | None = None) -> Self:
        """Load a base from a folder in IDM-VTON's layout, or from the hub by its repository's name.

        It has `unet/`, `unet_encoder/`, `image_encoder/`, `vae/`, `text_encoder/`, `tokenizer/`,
        `text_encoder_2/`, `tokenizer_2/` and `scheduler/`.

        Raises:
            ValueError: Weights are missing or not expected; the message lists them.
        """
        return cls(**load_parts(folder, cls.autoencoder, torch_dtype))

    def save_networks(self, folder: Path) -> None:
        """Write the layout that `from_pretrained` and IDM-VTON read, as a pipeline that diffusers knows."""
        with released_configs(self.tryon_unet, self.garment_unet), without_bars():
            self.pipeline().save_pretrained(folder)

    def pipeline(self) -> SizeTryOnPipeline:
        """Return the networks as a pipeline; they are shared, not copied."""
        shared = {name: getattr(self, name) for name in SHARED_PARTS}
        return SizeTryOnPipeline(unet=self.tryon_unet, unet_encoder=self.garment_unet, **shared)

    @property
    def resampler(self) -> Resampler:
        """CLIP features -> image tokens."""
        return self.tryon_unet.encoder_hid_proj

    def text_stages(self) -> list[tuple[CLIPTokenizer, Any]]:
        """Return each tokenizer with its text encoder; the second one's pooled text is used."""
        return [(self.tokenizer, self.text_encoder), (self.tokenizer_2, self.text_encoder_2)]

    def encode(self, photos: Photos) -> Encodings:
        """Return every field of the conditioning but the image tokens, and the features they are made of."""
        with self.resident(*self.encoders()):
            return self.encode_parts(photos)

    def encode_parts(self, photos: Photos) -> Encodings:
        """Encode photos, masks and captions with encoders that are where they run."""
        pictures = (photos.image, photos.cloth, photos.densepose)
        image, cloth, densepose = (from_uint8(pixels, self.device) for pixels in pictures)
        hole = sent(photos.inpaint_mask, self.device).float()[:, None]
        stages, captions = self.text_stages(), described(photos.captions, photos.categories)
        states, pooled = encode_text(stages, [PERSON_PROMPT.format(caption) for caption in captions])
        garment_states, _ = encode_text(stages, [GARMENT_PROMPT.format(caption) for caption in captions])
        masked_latents = encode_images(self.vae, image * (1 - hole))
        image_hw = image.shape[2:]
        return {
            "mask": F.interpolate(hole, masked_latents.shape[2:]).to(masked_latents.dtype),
            "masked_latents": masked_latents,
            "densepose_latents": encode_images(self.vae, densepose),
            "text": states,
            "pooled_text": pooled,
            "time_ids": sent(time_ids_of(image_hw, image_hw, len(image)), self.device),
            "garment_latents": encode_images(self.vae, cloth),
            "garment_text": garment_states,
            "image_features": clip_features(
                self.image_encoder,
                clip_pixels(cloth, self.image_encoder.config.image_size, whole=not self.as_released),
            ),
        }

    def condition(self, encodings: Encodings) -> SdxlConditioning:
        """Return the conditioning, its image tokens made anew: the resampler may be learning."""
        nothing = self.encoded_nothing() if self.as_released else {}
        with self.resident(self.resampler):
            tokens = self.resampler(encodings["image_features"])
            if nothing:
                features = nothing["image_features"].to(encodings["image_features"])
                nothing = nothing | {"image_tokens": self.resampler(features)}
        named = {f.name: encodings[f.name] for f in fields(SdxlConditioning) if f.name in encodings}
        named["image_tokens"] = tokens
        nothing = {name: nothing[name].to(named[name]).expand_as(named[name]) for name in GUIDED if nothing}
        seen = {n.removeprefix(GARMENT): x for n, x in encodings.items() if n.startswith(GARMENT)}
        return SdxlConditioning(**named, garment=seen or None, nothing=nothing)

    @torch.no_grad()
    def encoded_nothing(self) -> Encodings:
        """Return, of one row, what IDM-VTON's own code guides away from: its words, and an empty picture."""
        if not self._nothing:
            side = self.image_encoder.config.image_size
            with self.resident(*self.encoders()):
                text, pooled = encode_text(self.text_stages(), [NEGATIVE_PROMPT])
                empty = torch.zeros(1, 3, side, side, device=self.device)  # normalised: of CLIP's mean colour
                seen = clip_features(self.image_encoder, empty)
            self._nothing = {"text": text, "pooled_text": pooled, "image_features": seen}
        return self._nothing

    def encoders(self) -> Sequence[nn.Module]:
        """Return autoencoder, text encoders and image encoder."""
        return (self.vae, self.text_encoder, self.text_encoder_2, self.image_encoder)

    def with_garment(self, conditioning: Conditioning, timesteps: Tensor) -> SdxlConditioning:
        """Return the conditioning with the garment UNet's tokens at `timesteps`."""
        assert isinstance(conditioning, SdxlConditioning)
        return replace(conditioning, garment=garment_pass(self, conditioning, timesteps))

    def readied(self, conditioning: Conditioning) -> Conditioning:
        """Return the conditioning with the garment's keys and values in place of its tokens."""
        return replace(conditioning, garment=garment_keys(self.tryon_unet, conditioning.garment))

    def seen_of_garment(self, latents: Tensor, timesteps: Tensor, text: Tensor) -> dict[str, Tensor]:
        """Return what the garment UNet's self-attention layers see."""
        latents = as_read(latents, self.garment_unet)
        if self.compiled_garment is not None:
            return self.compiled_garment(latents, timesteps, text)
        return garment_tokens_of(self.garment_unet, latents, timesteps, text)

    def compile_networks(self) -> None:
        """Compile both UNets."""
        super().compile_networks()
        self.compiled_garment = self.compiled_garment or compiled_garment_tokens(self.garment_unet)

    def lasting(self, encodings: Encodings) -> Encodings:
        """Return the garment's tokens where they don't follow the time: they stay what they are at time 0."""
        if self.garment_follows_time:
            return {}
        latents = encodings["garment_latents"]
        times = torch.zeros(len(latents), dtype=torch.long, device=latents.device)
        tokens = self.seen_of_garment(latents, times, encodings["garment_text"])
        return {GARMENT + layer: seen for layer, seen in tokens.items()}

    @property
    def noising(self) -> DiffusionNoising:
        """The scheduler's."""
        return DiffusionNoising(self.scheduler)

    def predict(
        self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning, size: SizeCondition | None = None
    ) -> Tensor:
        """Predict noise or velocity, (B, C, h, w); the conditioning has seen the garment."""
        assert isinstance(conditioning, SdxlConditioning)
        return predict_noise(self.tryon_unet, noisy, timesteps, conditioning, conditioning.garment, size)

    def sites(self) -> Sites:
        """Return where an adapter can enter the try-on UNet."""
        return sites_of(self.tryon_unet)

    @property
    def denoiser(self) -> UNet2DConditionModel:
        """The try-on UNet."""
        return self.tryon_unet

    def blocks(self) -> list[nn.Module]:
        """Return transformer and residual blocks of both UNets: nearly all of their weights."""
        unets, kinds = (self.tryon_unet, self.garment_unet), (BasicTransformerBlock, ResnetBlock2D)
        return [block for unet in unets for block in unet.modules() if isinstance(block, kinds)]

    def save_memory(self, switches: "MemorySwitches", device: torch.device | str) -> None:
        """Let networks take turns; cut pictures and attention into pieces."""
        super().save_memory(switches, device)
        self.garment_unet.set_attention_slice("max" if switches.attention_chunk else None)
        for processor in self.tryon_unet.attn_processors.values():
            if isinstance(processor, TryOnSelfAttention):
                processor.chunk = switches.attention_chunk


def garment_pass(base: SdxlBase, conditioning: SdxlConditioning, timesteps: Tensor) -> GarmentTokens:
    """Run the garment UNet and return what its self-attention layers see.

    Timesteps are (B,) or (). IDM-VTON gives the try-on UNet's; zeros make the tokens those of every step.
    """
    with base.resident(base.garment_unet):
        return base.seen_of_garment(conditioning.garment_latents, timesteps, conditioning.garment_text)


def predict_noise(
    tryon_unet: UNet2DConditionModel,
    noisy_latents: Tensor,
    timesteps: Tensor,
    conditioning: SdxlConditioning,
    garment_tokens: GarmentTokens | GarmentKeys,
    size: SizeCondition | None = None,
) -> Tensor:
    """Predict what the scheduler's `prediction_type` says (noise or velocity).

    Args:
        tryon_unet: Has our attention, the resampler and an open time embedding.
        noisy_latents: (B, C, h, w).
        timesteps: (B,) or ().
        conditioning: Of the same batch.
        garment_tokens: From `garment_pass` or `garment_keys`; those of batch 1 are shared by the whole batch.
        size: From the adapter; without it this is the base alone.

    Returns:
        (B, C, h, w) in the type of `noisy_latents`.
    """
    person = [conditioning.mask, conditioning.masked_latents, conditioning.densepose_latents]
    laid = [] if conditioning.laid_garment is None else [conditioning.laid_garment]
    sample = as_read(torch.cat([noisy_latents, *person, *laid], dim=1), tryon_unet)
    size = size and size.to(sample.dtype)
    attention: dict[str, Any] = {"garment_tokens": garment_tokens, "image_tokens": conditioning.image_tokens}
    if size is not None:
        attention["size_tokens"] = size.tokens
    return tryon_unet(
        sample,
        timesteps,
        conditioning.text,
        added_cond_kwargs={"text_embeds": conditioning.pooled_text, "time_ids": conditioning.time_ids},
        cross_attention_kwargs=attention,
        **size_inputs(tryon_unet, size, sample),
    ).sample.to(noisy_latents.dtype)
