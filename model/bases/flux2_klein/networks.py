"""FLUX.2 klein's networks, put together and run: noise, person and garment are tokens of one sequence.

Shapes: B batch, H x W the picture, h x w the grid of tokens (a 16th), C channels of a token, L text tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLFlux2, FlowMatchEulerDiscreteScheduler, Flux2Transformer2DModel
from diffusers.hooks import HookRegistry, apply_group_offloading
from torch import Tensor, nn
from transformers import Qwen2TokenizerFast, Qwen3ForCausalLM

from model.bases.autoencoded import AutoencodedBase
from model.bases.base import Encodings, Sites, as_read
from model.bases.conditions import Conditioning, Photos, SizeCondition, described
from model.bases.flux2_klein.flow import FlowNoising
from model.bases.flux2_klein.loading import PARTS, load_parts, pipeline_of
from model.bases.flux2_klein.sequence import (
    as_grid,
    as_tokens,
    picture_places,
    sites_of,
    size_inputs,
    text_places,
)
from model.pixels import from_uint8, sent

if TYPE_CHECKING:
    from model.params import MemorySwitches

PATCH = 2
"""Latent cells along each side of a token."""

POOLED = 4
"""Cells along each side of the grid to which a garment's tokens are pooled for the size encoder."""

MOST_FREE_HEADS = 24
"""Attention heads of the 4B network, which is free; the 9B one has more."""


@dataclass(frozen=True, kw_only=True)
class KleinConditioning(Conditioning):
    """What the transformer reads beside noise, time and size."""

    person_latents: Tensor
    """(B, C, h, w), the person with the mask's region grey."""

    garment_latents: Tensor
    """(B, C, h, w)."""

    text: Tensor
    """(B, L, channels) of what is asked for."""

    no_text: Tensor
    """(B, L, channels) of nothing asked for."""

    @property
    def canvas(self) -> Tensor:
        """(B, C, h, w): the person's latents are denoised."""
        return self.person_latents

    @property
    def garment_features(self) -> Tensor:
        """(B, C * `POOLED`^2) the garment's latents on a coarse grid."""
        return F.adaptive_avg_pool2d(self.garment_latents, POOLED).flatten(1)

    def unconditional(self, rows: Tensor | None = None) -> Self:
        """Return the branch without text, as klein is guided; the garment stays."""
        hidden = self.text.new_ones(len(self.text)).bool() if rows is None else rows
        return replace(self, text=torch.where(hidden[:, None, None], self.no_text, self.text))


class KleinBase(AutoencodedBase):
    """A transformer that paints the masked part of a photo, with the masked photo and a garment to look at.

    diffusers' `Flux2KleinInpaintPipeline` looks at the whole photo, with the garment that is worn in it; here
    the person's picture is grey under the mask.
    """

    name: ClassVar[str] = "flux2_klein"
    picture_hw: ClassVar[tuple[int, int]] = (1024, 768)
    lora_targets: ClassVar[Sequence[str]] = (
        *("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
        *("linear_in", "linear_out", "to_qkv_mlp_proj"),
    )
    attention_layers: ClassVar[tuple[str, ...]] = (".attn",)
    autoencoder: ClassVar[Any] = AutoencoderKLFlux2
    usual_steps: ClassVar[int] = 50
    usual_guidance: ClassVar[float] = 4.0

    prompt: ClassVar[str] = "The person of image 1 wears the garment of image 2: {}"
    """What the networks are asked for, with the garment's caption."""

    text_tokens: ClassVar[int] = 512
    """L: captions are padded and cut to it."""

    text_layers: ClassVar[tuple[int, ...]] = (9, 18, 27)
    """Whose states of the text encoder are read."""

    def __init__(
        self,
        *,
        transformer: Flux2Transformer2DModel,
        vae: AutoencoderKLFlux2,
        text_encoder: Qwen3ForCausalLM,
        tokenizer: Qwen2TokenizerFast,
        scheduler: FlowMatchEulerDiscreteScheduler,
    ) -> None:
        super().__init__()
        self.transformer, self.vae, self.text_encoder = transformer, vae, text_encoder
        self.tokenizer, self.scheduler = tokenizer, scheduler
        free = transformer.config.num_attention_heads <= MOST_FREE_HEADS
        self.licence = "apache-2.0" if free else "other"
        self._no_text: Tensor | None = None
        self._in_pieces: tuple[nn.Module, ...] = ()

    @classmethod
    def from_pretrained(cls, folder: str | Path, torch_dtype: torch.dtype | None = None) -> Self:
        """Load a base from a folder in diffusers' layout, or from the hub by its repository's name.

        It has `transformer/`, `vae/`, `text_encoder/`, `tokenizer/` and `scheduler/`. Where fp16 is
        asked for it is loaded in bf16.

        Raises:
            ValueError: Weights are missing or not expected; the message lists them.
        """
        return cls(**load_parts(folder, cls.autoencoder, torch_dtype))

    def save_networks(self, folder: Path) -> None:
        """Write a folder that diffusers knows as a pipeline."""
        pipeline_of(**{part: getattr(self, part) for part in PARTS}).save_pretrained(folder)

    def to_latents(self, images: Tensor) -> Tensor:
        """Encode (B, 3, H, W) images in -1 .. 1 as (B, C, h, w), the mode of the posterior, normalised."""
        with self.resident(self.vae):
            cells = self.vae.encode(images.to(self.vae.dtype)).latent_dist.mode()
        mean, deviation = self.statistics()
        return (F.pixel_unshuffle(cells, PATCH) - mean.to(cells)) / deviation.to(cells)

    def to_images(self, latents: Tensor) -> Tensor:
        """Decode (B, C, h, w) latents to (B, 3, H, W) images in -1 .. 1."""
        mean, deviation = (x.to(latents.device, self.vae.dtype) for x in self.statistics())
        cells = F.pixel_shuffle(latents.to(self.vae.dtype) * deviation + mean, PATCH)
        with self.resident(self.vae):
            return self.vae.decode(cells).sample.float().clamp(-1, 1)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """(1, C, 1, 1) mean and standard deviation by which the autoencoder normalises latents."""
        mean, variance = (x.view(1, -1, 1, 1) for x in (self.vae.bn.running_mean, self.vae.bn.running_var))
        return mean, (variance + self.vae.config.batch_norm_eps).sqrt()

    @torch.no_grad()
    def normalise_latents(self, images: Tensor) -> None:
        """Set the autoencoder's statistics to those of (B, 3, H, W) images, with one variance for all.

        So an error of the latents is the same error of the picture in whatever channel.
        """
        statistics = self.vae.bn
        statistics.reset_running_stats()
        latents = self.to_latents(images)
        statistics.running_mean.copy_(latents.mean((0, 2, 3)))
        statistics.running_var.copy_((latents - latents.mean((0, 2, 3), keepdim=True)).square().mean())

    @property
    def latent_channels(self) -> int:
        """Channels of a token."""
        return self.vae.config.latent_channels * PATCH**2

    @property
    def latent_scale(self) -> float:
        """1: what latents are normalised by are weights of the autoencoder."""
        return 1.0

    def encode(self, photos: Photos) -> Encodings:
        """Return mask, latents of the masked person and of the garment, and embeddings of the caption.

        A token is made anew where the mask has any of its pixels; diffusers' pipeline asks the two in its
        middle, and leaves grey at the mask's edges.
        """
        image, cloth = (from_uint8(pixels, self.device) for pixels in (photos.image, photos.cloth))
        hole = sent(photos.inpaint_mask, self.device).float()[:, None]
        captions = described(photos.captions, photos.categories)
        person_latents, garment_latents = map(self.to_latents, (image * (1 - hole), cloth))
        return {
            "mask": F.adaptive_max_pool2d(hole, person_latents.shape[2:]).to(person_latents.dtype),
            "person_latents": person_latents,
            "garment_latents": garment_latents,
            "text": self.embeddings([self.prompt.format(caption) for caption in captions]),
        }

    @torch.no_grad()
    def embeddings(self, prompts: list[str]) -> Tensor:
        """Return (B, L, channels) of texts."""
        teller = pipeline_of(text_encoder=self.text_encoder, tokenizer=self.tokenizer)
        with self.resident(self.text_encoder):
            embedded, _ = teller.encode_prompt(
                prompts,
                device=self.device,
                max_sequence_length=self.text_tokens,
                text_encoder_out_layers=self.text_layers,
            )
        return embedded.to(self.dtype)

    def condition(self, encodings: Encodings) -> KleinConditioning:
        """Return what the transformer is told: the encodings, and what it is told without a text."""
        if self._no_text is None:
            self._no_text = self.embeddings([""])
        told = {name: encodings[name] for name in ("mask", "person_latents", "garment_latents", "text")}
        return KleinConditioning(**told, no_text=self._no_text.to(told["text"]).expand_as(told["text"]))

    def encoders(self) -> Sequence[nn.Module]:
        """Return autoencoder and text encoder."""
        return (self.vae, self.text_encoder)

    @property
    def noising(self) -> FlowNoising:
        """Flow matching."""
        return FlowNoising(self.scheduler)

    def predict(
        self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning, size: SizeCondition | None = None
    ) -> Tensor:
        """Predict the velocity, (B, C, h, w), in the type of `noisy`."""
        assert isinstance(conditioning, KleinConditioning)
        pictures = (noisy, conditioning.person_latents, conditioning.garment_latents)
        answer = self.transformer(
            as_read(torch.cat([as_tokens(picture) for picture in pictures], dim=1), self.transformer),
            as_read(conditioning.text, self.transformer),
            timesteps.to(noisy.dtype).expand(len(noisy)) / self.noising.num_times,
            picture_places(*pictures),
            text_places(conditioning.text),
            **size_inputs(size),
        ).sample
        height, width = noisy.shape[2:]
        return as_grid(answer[:, : height * width], height).to(noisy.dtype)

    def put_back(
        self, latents: Tensor, noise: Tensor, timestep: Tensor | None, conditioning: Conditioning
    ) -> Tensor:
        """Return the latents with the person's own outside of the mask, noised as far as `timestep`."""
        known = conditioning.canvas
        if timestep is not None:
            known = self.noising.add_noise(known, noise, timestep)
        return (1 - conditioning.mask) * known + conditioning.mask * latents

    def sites(self) -> Sites:
        """Return where an adapter can enter: the double blocks, and the time."""
        return sites_of(self.transformer, self.latent_channels * POOLED**2)

    @property
    def denoiser(self) -> Flux2Transformer2DModel:
        """The transformer."""
        return self.transformer

    def save_memory(self, switches: MemorySwitches, device: torch.device | str) -> None:
        """Let networks take turns, the two large ones block by block where that is wanted."""
        for network in self._in_pieces:
            HookRegistry.check_if_exists_or_initialize(network).remove_hook("group_offloading")
        super().save_memory(switches, device)
        self._in_pieces = (self.transformer, self.text_encoder) if switches.by_piece else ()
        for network, piece in zip(self._in_pieces, ("block_level", "leaf_level"), strict=False):
            apply_group_offloading(
                network, torch.device(device), torch.device("cpu"), piece, num_blocks_per_group=1
            )

    @contextmanager
    def resident(self, *networks: nn.Module) -> Iterator[None]:
        """Within the block `networks` can run; what comes in pieces comes by itself."""
        with super().resident(*(network for network in networks if network not in self._in_pieces)):
            yield

    def blocks(self) -> Sequence[nn.Module]:
        """Return the blocks of both kinds: nearly all of the weights."""
        return [*self.transformer.transformer_blocks, *self.transformer.single_transformer_blocks]
