"""CatVTON's network, put together and run: one UNet that paints the person while the garment lies below.

Shapes: B batch, H x W the picture, h x w the latent grid of the person; the canvas is 2h x w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from model.bases.autoencoded import AutoencodedBase, encode_images, load_autoencoder
from model.bases.base import Encodings, Sites, as_read
from model.bases.catvton.loading import ATTENTION_FOLDER, PARTS, load_unet, save_attention
from model.bases.conditions import Conditioning, Photos, SizeCondition
from model.bases.noising import DiffusionNoising
from model.bases.sdxl.garment_attention import TryOnSelfAttention
from model.bases.sdxl.unet import sites_of, size_inputs
from model.pixels import from_uint8, sent
from model.weights import files_of, local_folder

if TYPE_CHECKING:
    from model.params import MemorySwitches

RELEASED_LICENCE = "cc-by-nc-sa-4.0"
"""Of CatVTON's own weights."""

CROSS_ATTENTION = ".attn2."
"""In the names of the weights of the text's attention."""

POOLED = 4
"""Cells along each side of the grid to which a garment's latents are pooled for the size encoder."""


@dataclass(frozen=True, kw_only=True)
class CatvtonConditioning(Conditioning):
    """What the UNet reads beside noise, time and size."""

    masked_latents: Tensor
    """(B, 4, h, w), the person with the mask's region grey."""

    garment_latents: Tensor
    """(B, 4, h, w); zeros where the garment is hidden."""

    @property
    def known(self) -> Tensor:
        """(B, 4, 2h, w), the person above the garment."""
        return torch.cat([self.masked_latents, self.garment_latents], dim=2)

    @property
    def canvas(self) -> Tensor:
        """(B, 4, 2h, w): both halves are denoised."""
        return self.known

    @property
    def garment_features(self) -> Tensor:
        """(B, 4 * `POOLED`^2) the garment's latents on a coarse grid."""
        return F.adaptive_avg_pool2d(self.garment_latents, POOLED).flatten(1)

    def unconditional(self, rows: Tensor | None = None) -> Self:
        """Return the branch whose garment is zeros in latent space; what is denoised below stays."""
        hidden = self.garment_latents.new_ones(len(self.mask)).bool() if rows is None else rows
        return replace(self, garment_latents=self.garment_latents.masked_fill(hidden[:, None, None, None], 0))


class CatvtonBase(AutoencodedBase):
    """A UNet for inpainting whose self-attention sees person and garment on one canvas.

    Source: Chong et al. 2025, "CatVTON: Concatenation Is All You Need for Virtual Try-On with Diffusion".

    `released_attention`: the UNet's self-attention is the one that CatVTON released.
    """

    name: ClassVar[str] = "catvton"
    picture_hw: ClassVar[tuple[int, int]] = (512, 384)
    lora_targets: ClassVar[Sequence[str]] = (
        *(
            f"attn1.{layer}" for layer in ("to_q", "to_k", "to_v", "to_out.0")
        ),  # attn2 answers size tokens alone
        *("proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "conv1", "conv2"),
    )
    attention_layers: ClassVar[tuple[str, ...]] = ("attn1",)
    licence_without: ClassVar[str] = "creativeml-openrail-m"
    """Of weights that have nothing of CatVTON's: Stable Diffusion's."""
    usual_steps: ClassVar[int] = 50
    usual_guidance: ClassVar[float] = 2.5

    def __init__(
        self,
        *,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        scheduler: DDIMScheduler,
        released_attention: bool,
    ) -> None:
        super().__init__()
        self.unet, self.vae, self.scheduler = unet, vae, scheduler
        self.released_attention = released_attention
        self.licence = RELEASED_LICENCE if released_attention else self.licence_without
        self._sites = replace(sites_of(unet), garment_dim=vae.config.latent_channels * POOLED**2)

    @classmethod
    def from_pretrained(cls, folder: str | Path, torch_dtype: torch.dtype | None = None) -> Self:
        """Load a base from a folder, or from the hub by its repository's name.

        It has `unet/`, `vae/` and `scheduler/` of Stable Diffusion 1.5 inpainting, and `attention/` of
        CatVTON; without that last one it is a base to train for try-on.

        Raises:
            ValueError: Weights are missing or not expected; the message lists them.
        """
        root = local_folder(folder, files_of(*PARTS, ATTENTION_FOLDER))
        unet, released_attention = load_unet(root, torch_dtype)
        return cls(
            unet=unet,
            vae=load_autoencoder(cls.autoencoder, root / "vae", torch_dtype),
            # latents have no range to be clipped to, but clipping is the class's default
            scheduler=DDIMScheduler.from_pretrained(root / "scheduler", clip_sample=False),
            released_attention=released_attention,
        )

    def save_networks(self, folder: Path) -> None:
        """Write the layout that `from_pretrained` reads; `unet/` has the attention of `attention/` too."""
        for part in PARTS:
            getattr(self, part).save_pretrained(folder / part)
        if self.released_attention:
            save_attention(self.unet, folder)

    def encode(self, photos: Photos) -> Encodings:
        """Return mask and latents of the masked person and of the garment."""
        image, cloth = (from_uint8(pixels, self.device) for pixels in (photos.image, photos.cloth))
        hole = sent(photos.inpaint_mask, self.device).float()[:, None]
        with self.resident(*self.encoders()):
            masked_latents = encode_images(self.vae, image * (1 - hole))
            garment_latents = encode_images(self.vae, cloth)
        return {
            "mask": F.interpolate(hole, masked_latents.shape[2:]).to(masked_latents.dtype),
            "masked_latents": masked_latents,
            "garment_latents": garment_latents,
        }

    def condition(self, encodings: Encodings) -> CatvtonConditioning:
        """Return what the UNet is told: the encodings themselves."""
        return CatvtonConditioning(
            **{name: encodings[name] for name in ("mask", "masked_latents", "garment_latents")}
        )

    def encoders(self) -> Sequence[nn.Module]:
        """Return the autoencoder."""
        return (self.vae,)

    @property
    def noising(self) -> DiffusionNoising:
        """The scheduler's."""
        return DiffusionNoising(self.scheduler)

    def denoised(self, encodings: Encodings) -> Tensor:
        """Return (B, 4, 2h, w) latents of the person above those of the garment."""
        return torch.cat([encodings["latents"], encodings["garment_latents"]], dim=2)

    def person_of(self, canvas: Tensor) -> Tensor:
        """Return the upper half."""
        return canvas.chunk(2, dim=2)[0]

    def predict(
        self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning, size: SizeCondition | None = None
    ) -> Tensor:
        """Predict noise or velocity of both halves, (B, 4, 2h, w), in the type of `noisy`."""
        assert isinstance(conditioning, CatvtonConditioning)
        rows = noisy.shape[2]
        sample = torch.cat([noisy, above_nothing(conditioning.mask, rows), conditioning.known], dim=1)
        sample = as_read(sample, self.unet)
        size = size and for_canvas(size.to(sample.dtype), self.sites(), rows)
        return self.unet(
            sample,
            timesteps,
            encoder_hidden_states=None,
            cross_attention_kwargs={"size_tokens": size and size.tokens},
            **size_inputs(self.unet, size, sample),
        ).sample.to(noisy.dtype)

    def sites(self) -> Sites:
        """Return where an adapter can enter: as in SDXL, tokens where the text's attention would be."""
        return self._sites

    def trainable(self, layers: str, rank: int) -> dict[str, nn.Parameter]:
        """Let part of the frozen UNet learn, not the text's attention, whose queries serve size tokens."""
        weights = super().trainable(layers, rank)
        for name in [name for name in weights if CROSS_ATTENTION in name]:
            weights.pop(name).requires_grad_(False)
        return weights

    @property
    def denoiser(self) -> UNet2DConditionModel:
        """The UNet."""
        return self.unet

    def blocks(self) -> Sequence[nn.Module]:
        """Return transformer and residual blocks: nearly all of the weights."""
        kinds = (BasicTransformerBlock, ResnetBlock2D)
        return [block for block in self.unet.modules() if isinstance(block, kinds)]

    def save_memory(self, switches: MemorySwitches, device: torch.device | str) -> None:
        """Let networks take turns; cut pictures and attention into pieces."""
        super().save_memory(switches, device)
        for processor in self.unet.attn_processors.values():
            if isinstance(processor, TryOnSelfAttention):
                processor.chunk = switches.attention_chunk


def for_canvas(size: SizeCondition, sites: Sites, rows: int) -> SizeCondition:
    """Return the condition with residuals of the whole canvas, `rows` high: zero at the garment."""
    if size.residuals is None:
        return size
    placed = zip(size.residuals, sites.residuals, strict=True)
    # each level has half the rows of the one before, rounded up
    residuals = tuple(above_nothing(residual, -(-rows // 2**site.level)) for residual, site in placed)
    return replace(size, residuals=residuals)


def above_nothing(person: Tensor, rows: int) -> Tensor:
    """Return (B, C, h, w) with zeros below, (B, C, rows, w)."""
    return F.pad(person, (0, 0, 0, rows - person.shape[2]))
