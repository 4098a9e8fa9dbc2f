"""IDM-VTON's arithmetic written down plainly, to make golden folders of any shape.

It shares no code with `model/`: attention is two matrix products and a softmax, garment features are a list
in the order in which the layers run, text and image tokens are one sequence that a layer splits by length.
"""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from safetensors.torch import save_file
from torch import Tensor, nn

WEIGHT_STD = 0.08


def plain_attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Attend head by head, (B, N, C) over (B, M, C)."""
    outputs = []
    for q, k, v in zip(*(x.chunk(heads, dim=2) for x in (query, key, value)), strict=True):
        scores = q @ k.transpose(1, 2) / q.shape[2] ** 0.5
        outputs.append(scores.softmax(dim=-1) @ v)
    return torch.cat(outputs, dim=2)


class KeepFeatures:
    """Self-attention of the garment UNet: what enters it is kept in a list."""

    def __init__(self, features: list[Tensor]) -> None:
        self.features = features

    def __call__(self, attn: Attention, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        self.features.append(hidden_states)
        return self_attention(attn, hidden_states)


class UseFeatures:
    """Self-attention of the try-on UNet: concatenate, attend over everything, keep the person's half."""

    def __init__(self, features: list[Tensor]) -> None:
        self.features = features

    def __call__(self, attn: Attention, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        both = torch.cat([hidden_states, self.features.pop(0)], dim=1)
        return self_attention(attn, both)[:, : hidden_states.shape[1]]


def self_attention(attn: Attention, tokens: Tensor) -> Tensor:
    """Attend from all tokens to all."""
    attended = plain_attention(attn.to_q(tokens), attn.to_k(tokens), attn.to_v(tokens), attn.heads)
    return attn.to_out[0](attended)


class TextAttention:
    """Cross-attention of the garment UNet."""

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor, *_: Any, **__: Any
    ) -> Tensor:
        text, query = encoder_hidden_states, attn.to_q(hidden_states)
        return attn.to_out[0](plain_attention(query, attn.to_k(text), attn.to_v(text), attn.heads))


class TextAndImageAttention(nn.Module):
    """Cross-attention of the try-on UNet to one sequence whose last tokens are the image's."""

    def __init__(self, channels: int, context: int, num_image_tokens: int) -> None:
        super().__init__()
        self.num_image_tokens = num_image_tokens
        self.to_k_ip = nn.Linear(context, channels, bias=False)
        self.to_v_ip = nn.Linear(context, channels, bias=False)

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor, *_: Any, **__: Any
    ) -> Tensor:
        text, image = encoder_hidden_states.tensor_split([-self.num_image_tokens], dim=1)
        query = attn.to_q(hidden_states)
        attended = plain_attention(query, attn.to_k(text), attn.to_v(text), attn.heads)
        seen = plain_attention(query, self.to_k_ip(image), self.to_v_ip(image), attn.heads)
        return attn.to_out[0](attended + seen)


class PlainResampler(nn.Module):
    """The Perceiver resampler, one statement a line of its description."""

    def __init__(self, config: dict[str, int]) -> None:
        super().__init__()
        dim, inner = config["dim"], config["dim_head"] * config["heads"]
        self.heads = config["heads"]
        self.latents = nn.Parameter(torch.empty(1, config["num_queries"], dim))
        self.proj_in = nn.Linear(config["embedding_dim"], dim)
        self.proj_out = nn.Linear(dim, config["output_dim"])
        self.norm_out = nn.LayerNorm(config["output_dim"])
        self.layers = nn.ModuleList()
        for _ in range(config["depth"]):
            attention = nn.ModuleDict(
                {
                    "norm1": nn.LayerNorm(dim),
                    "norm2": nn.LayerNorm(dim),
                    "to_q": nn.Linear(dim, inner, bias=False),
                    "to_kv": nn.Linear(dim, 2 * inner, bias=False),
                    "to_out": nn.Linear(inner, dim, bias=False),
                }
            )
            wide = dim * config["ff_mult"]
            feed = [nn.LayerNorm(dim), nn.Linear(dim, wide, bias=False), nn.GELU()]
            feed.append(nn.Linear(wide, dim, bias=False))
            self.layers.append(nn.ModuleList([attention, nn.Sequential(*feed)]))

    def forward(self, features: Tensor) -> Tensor:
        latents, features = self.latents.repeat(len(features), 1, 1), self.proj_in(features)
        for attention, feed in self.layers:
            normed = attention["norm2"](latents)
            seen = torch.cat([attention["norm1"](features), normed], dim=1)
            key, value = attention["to_kv"](seen).chunk(2, dim=2)
            latents = latents + attention["to_out"](
                plain_attention(attention["to_q"](normed), key, value, self.heads)
            )
            latents = latents + feed(latents)
        return self.norm_out(self.proj_out(latents))


def set_processors(unet: UNet2DConditionModel, self_attention: object, num_image_tokens: int = 0) -> None:
    """Give `unet` plain attention; with image tokens the cross-attention has weights for them."""
    processors: dict[str, object] = {}
    for name in unet.attn_processors:
        attn = unet.get_submodule(name.removesuffix(".processor"))
        if name.endswith("attn1.processor"):
            processors[name] = self_attention
        elif num_image_tokens:
            sizes = (attn.to_q.out_features, attn.to_k.in_features, num_image_tokens)
            processors[name] = TextAndImageAttention(*sizes)
        else:
            processors[name] = TextAttention()
    unet.set_attn_processor(processors)


@torch.no_grad()
def draw_weights(module: nn.Module) -> None:
    """Give every weight random numbers that bfloat16 holds exactly."""
    for weight in module.parameters():
        noise = WEIGHT_STD * torch.randn(weight.shape) + (weight.ndim == 1 and bool((weight == 1).all()))
        weight.copy_(noise.bfloat16().float())


class PlainNetworks:
    """Both UNets of the shapes in `config` (as a golden folder's `config.json` has them)."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.features: list[Tensor] = []
        self.garment_unet = UNet2DConditionModel(**config["unet"], in_channels=config["garment_in_channels"])
        self.tryon_unet = UNet2DConditionModel(**config["unet"], in_channels=config["tryon_in_channels"])
        set_processors(self.garment_unet, KeepFeatures(self.features))
        set_processors(self.tryon_unet, UseFeatures(self.features), config["resampler"]["num_queries"])
        self.garment_unet.register_to_config(addition_embed_type=None)
        self.resampler = PlainResampler(config["resampler"])

    def state_dicts(self) -> dict[str, dict[str, Tensor]]:
        """Return the weights of both UNets under the released names."""
        resampler = self.resampler.state_dict(prefix="encoder_hid_proj.")
        return {
            "garment_unet": self.garment_unet.state_dict(),
            "tryon_unet": self.tryon_unet.state_dict() | resampler,
        }

    @torch.no_grad()
    def outputs(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run the whole garment UNet, then the try-on UNet, as IDM-VTON does in every step."""
        tokens = self.resampler(inputs["image_features"])
        names = ("garment_latents", "timestep", "garment_encoder_hidden_states")
        self.garment_unet(*(inputs[name] for name in names))
        seen = {f"garment_features.{number}": feature for number, feature in enumerate(self.features)}
        prediction = self.tryon_unet(
            inputs["sample"],
            inputs["timestep"],
            torch.cat([inputs["encoder_hidden_states"], tokens], dim=1),
            added_cond_kwargs={name: inputs[name] for name in ("text_embeds", "time_ids")},
        ).sample
        assert not self.features  # every feature found its layer
        return seen | {"ip_tokens": tokens, "noise_pred": prediction}


def write_golden(folder: Path, config: dict[str, Any]) -> Path:
    """Write weights, inputs and outputs of networks of the shapes in `config`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = PlainNetworks(config)
        for module in (networks.garment_unet, networks.tryon_unet, networks.resampler):
            draw_weights(module)
        inputs = draw_inputs(config)
    folder.mkdir(parents=True)
    for name, weights in networks.state_dicts().items():
        stored = {key: weight.bfloat16().contiguous() for key, weight in weights.items()}
        save_file(stored, folder / f"{name}.safetensors")
    save_file(inputs, folder / "inputs.safetensors")
    outputs = {name: tensor.contiguous() for name, tensor in networks.outputs(inputs).items()}
    save_file(outputs, folder / "outputs.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def draw_inputs(config: dict[str, Any]) -> dict[str, Tensor]:
    """Return random inputs of the shapes in `config`."""
    batch, latent_hw, unet = config["batch"], config["latent"], config["unet"]
    text = (batch, 7, unet["cross_attention_dim"])
    pooled = unet["projection_class_embeddings_input_dim"] - 6 * unet["addition_time_embed_dim"]
    return {
        "sample": torch.randn(batch, config["tryon_in_channels"], *latent_hw),
        "timestep": torch.arange(batch) * 300 + 41,
        "encoder_hidden_states": torch.randn(text),
        "garment_latents": torch.randn(batch, config["garment_in_channels"], *latent_hw),
        "garment_encoder_hidden_states": torch.randn(text),
        "image_features": torch.randn(batch, 9, config["resampler"]["embedding_dim"]),
        "text_embeds": torch.randn(batch, pooled),
        "time_ids": torch.tensor([[1024.0, 768, 0, 0, 1024, 768]]).repeat(batch, 1),
    }
