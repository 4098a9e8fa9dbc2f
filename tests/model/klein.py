"""FLUX.2 klein at a size for tests: every part of diffusers' own class, with random weights."""

from diffusers import AutoencoderKLFlux2, FlowMatchEulerDiscreteScheduler
from transformers import Qwen3Config, Qwen3ForCausalLM

from model.bases.flux2_klein.loading import make_transformer
from model.bases.flux2_klein.networks import KleinBase
from model.bases.flux2_klein.tiny import byte_tokenizer
from model.weights import seeded

TRANSFORMER = {
    "in_channels": 16,
    "num_layers": 2,
    "num_single_layers": 2,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 48,
    "timestep_guidance_channels": 32,
    "axes_dims_rope": (4, 4, 4, 4),
    "guidance_embeds": False,
}


class SmallKleinBase(KleinBase):
    """With a text encoder of fewer layers, whose states are taken elsewhere."""

    text_tokens = 64
    text_layers = (1, 2, 3)


def small_autoencoder() -> AutoencoderKLFlux2:
    """Return an autoencoder with FLUX.2's blocks, whose statistics are not those of a fresh one."""
    with seeded(4):
        vae = AutoencoderKLFlux2(
            block_out_channels=(8, 8, 8, 8), layers_per_block=1, latent_channels=4, norm_num_groups=4
        )
        vae.bn.running_mean.uniform_(-0.5, 0.5)
        vae.bn.running_var.uniform_(0.2, 2.0)
    return vae.eval()


def small_klein(kind: type[KleinBase] = SmallKleinBase) -> KleinBase:
    """Return a base with random weights, and as many layers of text as it reads."""
    tokenizer = byte_tokenizer()
    with seeded(0):
        text = Qwen3Config(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1 + max(kind.text_layers),
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            vocab_size=len(tokenizer),
        )
        base = kind(
            transformer=make_transformer(TRANSFORMER),
            vae=small_autoencoder(),
            text_encoder=Qwen3ForCausalLM(text),
            tokenizer=tokenizer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        )
    return base.eval()
