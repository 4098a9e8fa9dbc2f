"""The `tiny_klein` base: FLUX.2 klein's method on networks that a CPU trains in minutes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.configuration_utils import register_to_config
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from torch import nn
from transformers import Qwen2TokenizerFast, Qwen3Config, Qwen3ForCausalLM

from model.bases.flux2_klein.loading import PARTS, make_transformer
from model.bases.flux2_klein.networks import PATCH, KleinBase
from model.bases.tiny.autoencoder import PatchAutoencoder, PatchPreset
from model.bases.tiny.networks import byte_symbols
from model.weights import seeded

START, END, PADDING = "<|im_start|>", "<|im_end|>", "<|endoftext|>"

CHAT_TEMPLATE = "{% for message in messages %}" + START + "{{ message.content }}" + END + "{% endfor %}"
"""Of one message nothing but what it says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TinyKleinPreset(PatchPreset):
    """All networks at a size that a CPU trains in minutes."""

    latent_channels: int = 8
    """Channels of the autoencoder's latents; a token has `PATCH`^2 as many."""

    num_double: int = 2
    """Blocks in which text and pictures have weights of their own."""

    num_single: int = 4
    """Blocks in which they share them."""

    heads: int = 4
    """Attention heads in each block."""

    place_dims: tuple[int, ...] = (4, 12, 12, 4)
    """Channels of a head that tell picture, row, column and place in the text; together they are the head."""

    text_width: int = 16
    """Channels of each layer of the text encoder."""

    def transformer_config(self) -> dict[str, Any]:
        """Return the configuration of the transformer."""
        return {
            "in_channels": self.latent_channels * PATCH**2,
            "num_layers": self.num_double,
            "num_single_layers": self.num_single,
            "attention_head_dim": sum(self.place_dims),
            "num_attention_heads": self.heads,
            "joint_attention_dim": len(TinyKleinBase.text_layers) * self.text_width,
            "timestep_guidance_channels": 64,
            "axes_dims_rope": self.place_dims,
            "guidance_embeds": False,
        }

    def text_config(self, num_words: int) -> Qwen3Config:
        """Return the configuration of the text encoder."""
        return Qwen3Config(
            vocab_size=num_words,
            hidden_size=self.text_width,
            intermediate_size=2 * self.text_width,
            num_hidden_layers=1 + max(TinyKleinBase.text_layers),
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=self.text_width // 2,
        )


PICTURE = TinyKleinPreset()


class NormalisedAutoencoder(PatchAutoencoder):
    """The tiny autoencoder, with the statistics by which FLUX.2's normalises its latents."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self, latent_channels: int = 8, patch: int = 4, width: int = 64, batch_norm_eps: float = 1e-4
    ) -> None:
        super().__init__(latent_channels, patch, width)
        self.bn = nn.BatchNorm2d(latent_channels * PATCH**2, eps=batch_norm_eps, affine=False)


class TinyKleinBase(KleinBase):
    """FLUX.2 klein's method with small parts, and an autoencoder that a CPU hardly notices."""

    name: ClassVar[str] = "tiny_klein"
    picture_hw: ClassVar[tuple[int, int]] = (PICTURE.image_height, PICTURE.image_width)
    autoencoder: ClassVar[Any] = NormalisedAutoencoder
    usual_steps: ClassVar[int] = 4
    usual_guidance: ClassVar[float] = 1.0
    prompt: ClassVar[str] = "{}"
    text_tokens: ClassVar[int] = 48
    text_layers: ClassVar[tuple[int, ...]] = (1, 2)

    def save_networks(self, folder: Path) -> None:
        """Write the parts alone: diffusers' pipeline wants an autoencoder of its own."""
        for part in PARTS:
            getattr(self, part).save_pretrained(folder / part)


def build_tiny_klein(preset: TinyKleinPreset, seed: int) -> TinyKleinBase:
    """Return a base with random weights, the same for a seed; the global random state is left alone."""
    tokenizer = byte_tokenizer()
    with seeded(seed):
        base = TinyKleinBase(
            transformer=make_transformer(preset.transformer_config()),
            vae=NormalisedAutoencoder(preset.latent_channels, preset.vae_patch, preset.vae_width),
            text_encoder=Qwen3ForCausalLM(preset.text_config(len(tokenizer))),
            tokenizer=tokenizer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        )
    return base.eval()


def byte_tokenizer() -> Qwen2TokenizerFast:
    """Return Qwen's tokenizer over single bytes: no merges, nothing to download."""
    words = {symbol: number for number, symbol in enumerate(byte_symbols())}
    tokenizer = Tokenizer(BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in (PADDING, START, END)])
    return Qwen2TokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=None,
        eos_token=END,
        pad_token=PADDING,
        chat_template=CHAT_TEMPLATE,
    )
