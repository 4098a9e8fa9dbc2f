"""The `tiny` base: real networks of every kind, small enough for a CPU, made from scratch."""

from dataclasses import dataclass
from typing import Any, ClassVar

from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from model.bases.autoencoded import encode_images
from model.bases.base import Encodings
from model.bases.conditions import Conditioning, Photos, SizeCondition
from model.bases.sdxl.conditioning import SdxlConditioning
from model.bases.sdxl.networks import SdxlBase
from model.bases.sdxl.presets import (
    NUM_IMAGE_TOKENS,
    NUM_TIME_IDS,
    sdxl_unet_config,
)
from model.bases.sdxl.unet import make_tryon_unet
from model.bases.tiny.autoencoder import PatchAutoencoder, PatchPreset
from model.bases.tiny.laid_garment import lay_on_body
from model.pixels import from_uint8, sent
from model.weights import seeded

START, END = "<|startoftext|>", "<|endoftext|>"


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyPreset(PatchPreset):
    """Every part of the sdxl networks at a size that a CPU trains in minutes."""

    latent_channels: int = 16
    """Channels of the autoencoder's latents: what four lose are prints, buttons and edges."""

    unet_channels: tuple[int, ...] = (64, 64, 64)
    """Channels of the UNets' levels; as in SDXL the first level has no attention."""

    transformer_layers: tuple[int, ...] = (1, 1, 1)
    """Transformer blocks in each attention of a level."""

    layers_per_block: int = 1
    """Residual blocks in each level of the UNets."""

    head_dim: int = 32
    """Channels of one attention head of the UNets."""

    text_width: int = 32
    """Channels of each of the two text encoders; the UNets see both, one behind the other."""

    text_tokens: int = 77
    """Length of a tokenised caption."""

    vision_width: int = 48
    """Channels of the garment photo's CLIP features."""

    vision_image_size: int = 48
    """Height and width of the garment photo that the vision encoder sees (px)."""

    vision_patch: int = 8
    """Height and width of a patch of the vision encoder (px)."""

    @property
    def tryon_channels(self) -> int:
        """Inputs of the try-on UNet: the mask; noisy, masked-person, DensePose and laid-garment latents."""
        return 1 + 4 * self.latent_channels

    def unet_config(self, in_channels: int) -> dict[str, Any]:
        """Return the constructor arguments of a UNet of this preset."""
        levels = len(self.unet_channels)
        return sdxl_unet_config(in_channels) | {
            "out_channels": self.latent_channels + 1,  # the last says where the laid garment shows
            "sample_size": self.image_height // self.vae_patch,
            "block_out_channels": self.unet_channels,
            "layers_per_block": self.layers_per_block,
            "down_block_types": ("DownBlock2D", *["CrossAttnDownBlock2D"] * (levels - 1)),
            "up_block_types": (*["CrossAttnUpBlock2D"] * (levels - 1), "UpBlock2D"),
            "transformer_layers_per_block": self.transformer_layers,
            "attention_head_dim": tuple(max(1, c // self.head_dim) for c in self.unet_channels),
            "cross_attention_dim": 2 * self.text_width,
            "norm_num_groups": 8,
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": self.text_width + NUM_TIME_IDS * 8,
        }

    def resampler_config(self) -> dict[str, int]:
        """Return the constructor arguments of the image-token resampler."""
        width = 2 * self.text_width
        return {
            "dim": width,
            "depth": 1,
            "dim_head": 64,
            "heads": width // 64,
            "num_queries": NUM_IMAGE_TOKENS,
            "embedding_dim": self.vision_width,
            "output_dim": width,
            "ff_mult": 2,
        }


TINY = TinyPreset()

SMALL = TinyPreset(
    image_height=256,
    image_width=192,
    vae_width=128,
    unet_channels=(96, 192, 384),
    transformer_layers=(1, 1, 2),
    layers_per_block=2,
    text_width=64,
    vision_width=96,
    vision_image_size=96,
    vision_patch=12,
)
"""The same networks for one GPU: pictures with seven times the pixels."""


class TinyBase(SdxlBase):
    """IDM-VTON's architecture with small parts, and an autoencoder that a CPU hardly notices."""

    name: ClassVar[str] = "tiny"
    preset: ClassVar[TinyPreset] = TINY
    """What it is made with."""

    picture_hw: ClassVar[tuple[int, int]] = (TINY.image_height, TINY.image_width)
    licence = "apache-2.0"
    usual_steps: ClassVar[int] = 1
    usual_guidance: ClassVar[float] = 1.0
    garment_follows_time: ClassVar[bool] = False
    as_released: ClassVar[bool] = False
    autoencoder: ClassVar[Any] = PatchAutoencoder

    def encode_parts(self, photos: Photos) -> Encodings:
        """Encode also the garment laid over the body, zero where that is unknown."""
        encodings = super().encode_parts(photos)
        cloths = from_uint8(photos.cloth, self.device)
        joints = sent(photos.keypoints, self.device)
        laid, known = lay_on_body(cloths, joints, photos.categories)
        latents = encode_images(self.vae, laid)
        return encodings | {"laid_garment": latents * known[:, None, None, None]}

    def predict(
        self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning, size: SizeCondition | None = None
    ) -> Tensor:
        """Predict velocity, of which a share is the laid garment's, cell by cell as the UNet says.

        A network of few steps would blur what it has to carry through all its layers.
        """
        assert isinstance(conditioning, SdxlConditioning)
        assert conditioning.laid_garment is not None
        answer = super().predict(noisy, timesteps, conditioning, size)
        sigma = (1 - self.scheduler.alphas_cumprod.to(noisy)[timesteps]).sqrt()
        shown = answer[:, -1:].sigmoid() * conditioning.laid_garment
        return answer[:, :-1] - sigma.reshape(-1, 1, 1, 1) * shown


class SmallBase(TinyBase):
    """The tiny base at a size that one GPU trains in minutes to an hour."""

    name: ClassVar[str] = "small"
    preset: ClassVar[TinyPreset] = SMALL
    picture_hw: ClassVar[tuple[int, int]] = (SMALL.image_height, SMALL.image_width)


def build_tiny_base(preset: TinyPreset, seed: int, kind: type[TinyBase] = TinyBase) -> TinyBase:
    """Return a base with random weights, the same for a seed; the global random state is left alone."""
    with seeded(seed):
        base = kind(
            tryon_unet=make_tryon_unet(preset.unet_config(preset.tryon_channels), preset.resampler_config()),
            vae=PatchAutoencoder(preset.latent_channels, preset.vae_patch, preset.vae_width),
            garment_unet=UNet2DConditionModel(**preset.unet_config(preset.latent_channels)),
            text_encoder=CLIPTextModel(text_config(preset)),
            text_encoder_2=CLIPTextModelWithProjection(text_config(preset)),
            image_encoder=CLIPVisionModelWithProjection(vision_config(preset)),
            tokenizer=byte_tokenizer(preset.text_tokens),
            tokenizer_2=byte_tokenizer(preset.text_tokens),
            scheduler=tiny_scheduler(),
        )
    return base.eval()


def tiny_scheduler() -> DDIMScheduler:
    """Return a velocity-predicting scheduler whose last step is pure noise (Lin et al. 2024)."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )


def byte_tokenizer(max_tokens: int) -> CLIPTokenizer:
    """Return CLIP's tokenizer over single bytes: no merges, nothing to download."""
    symbols = byte_symbols()
    words = [*symbols, *(f"{symbol}</w>" for symbol in symbols), START, END]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=max_tokens)


def byte_symbols() -> list[str]:
    """Return the character that stands for each byte in a byte-level vocabulary (Radford et al. 2019)."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    rest = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(rest)) for byte in range(256)]


def text_config(preset: TinyPreset) -> CLIPTextConfig:
    """Return the config of both text encoders."""
    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=preset.text_width,
        intermediate_size=2 * preset.text_width,
        projection_dim=preset.text_width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=preset.text_tokens,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )


def vision_config(preset: TinyPreset) -> CLIPVisionConfig:
    """Return the config of the garment photo's encoder."""
    return CLIPVisionConfig(
        hidden_size=preset.vision_width,
        intermediate_size=2 * preset.vision_width,
        projection_dim=preset.text_width,
        num_hidden_layers=3,
        num_attention_heads=3,
        image_size=preset.vision_image_size,
        patch_size=preset.vision_patch,
    )
