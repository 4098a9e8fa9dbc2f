"""The base: the pretrained try-on networks without size, put together and run.

Shapes: B batch, h x w the latent grid.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from model.bases.base import SizeCondition
from model.bases.sdxl.conditioning import Conditioning
from model.bases.sdxl.garment_attention import GarmentKeys, GarmentTokens, garment_tokens_of
from model.bases.sdxl.image_tokens import Resampler
from model.bases.sdxl.loading import load_parts, save_parts
from model.bases.sdxl.unet import add_to_first_skips, open_time_embedding


class TryOnBase(nn.Module):
    """The networks of IDM-VTON on stock classes.

    Both UNets are stock ones. The try-on UNet has our attention processors (`install_tryon_attention`) and
    the resampler as `encoder_hid_proj`, so that state dicts have the released keys.
    """

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
        self.run_on: torch.device | str | None = None
        """Where networks come for their turn (`resident`); None: they all run where they are."""
        open_time_embedding(tryon_unet)
        garment_unet.register_to_config(addition_embed_type=None)  # IDM-VTON runs it without added conditions

    @classmethod
    def from_pretrained(cls, folder: str | Path, torch_dtype: torch.dtype | None = None) -> Self:
        """Load a base from a folder in IDM-VTON's layout, or from the hub by its repository's name.

        Args:
            folder: Has `unet/`, `unet_encoder/`, `image_encoder/`, `vae/`, `text_encoder/`, `tokenizer/`,
                `text_encoder_2/`, `tokenizer_2/` and `scheduler/`.
            torch_dtype: Type of the weights in memory; as stored when None.

        Raises:
            ValueError: Weights are missing or not expected; the message lists them.
        """
        return cls(**load_parts(folder, torch_dtype))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the base in the layout that `from_pretrained` and IDM-VTON read."""
        save_parts(self, Path(folder))

    @property
    def resampler(self) -> Resampler:
        """CLIP features -> image tokens."""
        return self.tryon_unet.encoder_hid_proj

    @property
    def device(self) -> torch.device:
        """Where the networks run: where their weights are, or where they come for their turn."""
        return self.vae.device if self.run_on is None else torch.device(self.run_on)

    @contextmanager
    def resident(self, *networks: nn.Module) -> Iterator[None]:
        """Within the block `networks` can run; where they take turns, they leave the device afterwards."""
        if self.run_on is None:
            yield
            return
        for network in networks:
            network.to(self.run_on)
        try:
            yield
        finally:
            for network in networks:
                network.to("cpu")

    def text_stages(self) -> list[tuple[CLIPTokenizer, Any]]:
        """Return each tokenizer with its text encoder; the second one's pooled text is used."""
        return [(self.tokenizer, self.text_encoder), (self.tokenizer_2, self.text_encoder_2)]


def garment_pass(base: TryOnBase, conditioning: Conditioning, timesteps: Tensor) -> GarmentTokens:
    """Run the garment UNet and return what its self-attention layers see.

    Args:
        base: The networks.
        conditioning: Its `garment_latents` and `garment_text` are read.
        timesteps: (B,) or (). IDM-VTON gives the try-on UNet's; zeros make the tokens those of every step.
    """
    with base.resident(base.garment_unet):
        return garment_tokens_of(
            base.garment_unet, conditioning.garment_latents, timesteps, conditioning.garment_text
        )


def predict_noise(
    base: TryOnBase,
    noisy_latents: Tensor,
    timesteps: Tensor,
    conditioning: Conditioning,
    garment_tokens: GarmentTokens | GarmentKeys,
    size: SizeCondition | None = None,
) -> Tensor:
    """Predict what the scheduler's `prediction_type` says (noise or velocity).

    Args:
        base: The networks.
        noisy_latents: (B, 4, h, w).
        timesteps: (B,) or ().
        conditioning: Of the same batch.
        garment_tokens: From `garment_pass` or `garment_keys`; those of batch 1 are shared by the whole batch.
        size: From the adapter; without it this is the base alone.

    Returns:
        (B, 4, h, w).
    """
    sample = torch.cat(
        [noisy_latents, conditioning.mask, conditioning.masked_latents, conditioning.densepose_latents], dim=1
    )
    inputs: dict[str, Any] = {"class_labels": sample.new_zeros(len(sample), 1)}
    attention: dict[str, Any] = {"garment_tokens": garment_tokens, "image_tokens": conditioning.image_tokens}
    if size is not None:
        size = size.to(sample.dtype)
        attention["size_tokens"] = size.tokens
        if size.time is not None:
            inputs["class_labels"] = size.time
        if size.residuals is not None:
            inputs["down_intrablock_additional_residuals"] = list(size.residuals)  # the UNet empties the list
        if size.skips is not None:
            inputs |= add_to_first_skips(base.tryon_unet, size.skips)
    return base.tryon_unet(
        sample,
        timesteps,
        conditioning.text,
        added_cond_kwargs={"text_embeds": conditioning.pooled_text, "time_ids": conditioning.time_ids},
        cross_attention_kwargs=attention,
        **inputs,
    ).sample
