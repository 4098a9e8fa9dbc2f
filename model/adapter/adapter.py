"""The adapter: everything that size adds to a frozen base, in a module of its own.

B batch, K body maps, h x w the latent grid.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.adapter.controller import MapResiduals, ResidualSpec, SimpleSizeController, SizeController
from model.adapter.encoder import SIZE_EMBEDDING_DIM, HybridSizeEncoder, SizeEncoder, SizeTokenProjection
from model.bases.base import SizeCondition
from model.bases.sdxl.image_tokens import cross_attention_layers
from model.card import model_card, versions
from model.weights import local_folder, require_same_weights

PARTS = ("tokens", "time", "map")
"""The ways by which a size acts on the try-on UNet."""

WIDEST_CONTROLLER = 64
"""Features of the controller beside a full-size UNet; a narrower UNet gets as many as its first level has."""

WEIGHTS_FILE = "size_adapter.safetensors"
CONFIG_FILE = "size_adapter.json"


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """What an adapter is made of, and the shapes of the UNet that it fits."""

    encoder: Literal["simple", "hybrid"] = "simple"
    """`simple` reads the ratios; `hybrid` also the fit label and the garment."""

    controller: Literal["full", "simple"] = "full"
    """`full` draws the layout on the body; `simple` knows no body."""

    parts: tuple[str, ...] = PARTS
    """Which of `PARTS` there are."""

    width: int
    """Features of the controller."""

    num_tokens: int = 4
    """Size tokens in cross-attention."""

    rank: int = 32
    """Channels of a size token before each layer's projection."""

    layers: Mapping[str, int]
    """Channels of the UNet's cross-attention layers by name."""

    time_dim: int
    """Channels of the UNet's time embedding."""

    residuals: tuple[tuple[int, int], ...]
    """Level and channels of the UNet's additional residuals."""

    skips: tuple[tuple[int, int], ...]
    """Level and channels of what its first level hands over."""

    garment_dim: int
    """Channels of the garment features that the `hybrid` encoder reads."""

    def __post_init__(self) -> None:
        unknown = set(self.parts) - set(PARTS)
        if unknown:
            raise ValueError(f"parts must be among {PARTS}, got {sorted(unknown)}")

    @classmethod
    def for_unet(cls, unet: UNet2DConditionModel, **choices: Any) -> Self:
        """Read the shapes from `unet`; `choices` are the other fields."""
        narrowest = unet.config.block_out_channels[0]
        return cls(
            width=choices.pop("width", min(WIDEST_CONTROLLER, narrowest)),
            layers=cross_attention_layers(unet),
            time_dim=unet.time_embedding.linear_2.out_features,
            residuals=tuple((spec.level, spec.channels) for spec in residual_specs(unet)),
            skips=((0, narrowest),) * (1 + len(unet.down_blocks[0].resnets)),
            garment_dim=unet.config.cross_attention_dim,
            **choices,
        )


def read_config(file: Path) -> AdapterConfig:
    """Read what `SizeAdapter.save_pretrained` wrote beside the weights."""
    saved = json.loads(file.read_text())
    saved.pop("provenance", None)
    try:
        saved |= {"parts": tuple(saved["parts"])}
        saved |= {places: tuple(map(tuple, saved[places])) for places in ("residuals", "skips")}
        return AdapterConfig(**saved)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} is not the config of a size adapter of this version: {error}") from error


def residual_specs(unet: UNet2DConditionModel) -> list[ResidualSpec]:
    """Return where `unet` adds its `down_intrablock_additional_residuals`.

    A block with cross-attention adds before its downsampling, one without adds behind it; the middle block
    takes one more of its own shape (diffusers, UNet2DConditionModel.forward).
    """
    specs, level = [], 0
    for block, channels in zip(unet.down_blocks, unet.config.block_out_channels, strict=True):
        halves = int(block.downsamplers is not None)
        attends = getattr(block, "has_cross_attention", False)
        specs.append(ResidualSpec(level if attends else level + halves, channels))
        level += halves
    return [*specs, ResidualSpec(level, unet.config.block_out_channels[-1])]


class SizeAdapter(nn.Module):
    """Size encoder, size controller and the injection into a frozen try-on UNet.

    Fresh, it changes no bit of the UNet's output: value and time projections and residual heads are zero.
    """

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = HybridSizeEncoder(config.garment_dim) if config.encoder == "hybrid" else SizeEncoder()
        if "tokens" in config.parts:
            self.tokens = SizeTokenProjection(
                SIZE_EMBEDDING_DIM, config.layers, config.num_tokens, config.rank
            )
        if "time" in config.parts:
            self.time = nn.Linear(SIZE_EMBEDDING_DIM, config.time_dim)
            nn.init.zeros_(self.time.weight)
            nn.init.zeros_(self.time.bias)
        if "map" in config.parts:
            full = config.controller == "full"
            self.controller = (SizeController if full else SimpleSizeController)(width=config.width)
            places = [ResidualSpec(*spec) for spec in (*config.residuals, *config.skips)]
            self.residuals = MapResiduals(config.width, places)

    @classmethod
    def for_unet(
        cls,
        unet: UNet2DConditionModel,
        encoder: Literal["simple", "hybrid"] = "simple",
        controller: Literal["full", "simple"] = "full",
        parts: Iterable[str] = PARTS,
        **sizes: int,
    ) -> Self:
        """Return a fresh adapter for `unet`; `sizes` are `width`, `num_tokens`, `rank` of `AdapterConfig`."""
        choices = {"encoder": encoder, "controller": controller, "parts": tuple(parts)}
        return cls(AdapterConfig.for_unet(unet, **choices, **sizes))

    def attach(self, unet: UNet2DConditionModel) -> None:
        """Check that `unet` is one for which this adapter was made. The size reaches it as arguments alone.

        Raises:
            ValueError: Its layers, time embedding or residuals have other names or shapes.
        """
        found = AdapterConfig.for_unet(unet)
        wrong = [
            f"{name}: the adapter wants {getattr(self.config, name)}, the UNet has {getattr(found, name)}"
            for name in ("layers", "time_dim", "residuals", "skips")
            if getattr(self.config, name) != getattr(found, name)
        ]
        if wrong:
            raise ValueError(
                "this adapter was made for another UNet (SizeAdapter.for_unet makes one): " + "; ".join(wrong)
            )

    def forward(
        self,
        ratios: Tensor,
        body_maps: Tensor,
        latent_hw: tuple[int, int] | None = None,
        *,
        fit_labels: Tensor | None = None,
        garment_features: Tensor | None = None,
    ) -> SizeCondition:
        """Turn requested sizes into what the UNet is given.

        Args:
            ratios: (B, 3) shoulder, width and length over the body's, NaN where unknown.
            body_maps: (B, K, h, w) from `model.adapter.body_maps.body_maps`.
            latent_hw: The latent grid; that of `body_maps` when None.
            fit_labels: (B,) numbers of the fit labels, negative where unknown; for the `hybrid` encoder.
            garment_features: (B, C), the mean of the image tokens; for the `hybrid` encoder.
        """
        embedding = self.encoder(ratios, fit_labels, garment_features)
        parts: dict[str, Any] = {}
        if "tokens" in self.config.parts:
            parts["tokens"] = self.tokens(embedding)
        if "time" in self.config.parts:
            parts["time"] = self.time(embedding)
        if "map" in self.config.parts:
            size_map = self.controller(embedding, body_maps, tuple(latent_hw or body_maps.shape[2:]))
            added = self.residuals(size_map)
            num = len(self.config.residuals)
            parts |= {
                "layout_logits": size_map.layout_logits,
                "residuals": added[:num],
                "skips": added[num:],
            }
        return SizeCondition(embedding=embedding, **parts)

    def save_pretrained(self, folder: str | Path, provenance: Mapping[str, Any] | None = None) -> None:
        """Write weights, config and a model card.

        Args:
            folder: Where to.
            provenance: Parameters and hash of the data, kept in the config's file; versions are added.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        save_file(weights, target / WEIGHTS_FILE, metadata={"format": "pt"})
        facts = dict(provenance or {}) | {"versions": versions()}
        saved = asdict(self.config) | {"provenance": facts}
        (target / CONFIG_FILE).write_text(json.dumps(saved, indent=2, sort_keys=True) + "\n")
        card = model_card("Size adapter", self.parts(), facts, base="path/to/the/base", adapter=".")
        (target / "README.md").write_text(card)

    def parts(self) -> dict[str, object]:
        """Return what the adapter is made of, for people to read."""
        names = ("encoder", "controller", "parts", "width", "num_tokens", "rank")
        weights = sum(weight.numel() for weight in self.parameters())
        return {name: getattr(self.config, name) for name in names} | {"weights": weights}

    @classmethod
    def from_pretrained(cls, folder: str | Path, torch_dtype: torch.dtype | None = None) -> Self:
        """Load an adapter that `save_pretrained` wrote, from a folder or a repository of the hub.

        Raises:
            FileNotFoundError: There is no such folder or repository, or it holds no adapter.
            ValueError: The config is none of an adapter, or the weights are not those of the config; the
                message lists the differences.
        """
        source = local_folder(folder, [CONFIG_FILE, WEIGHTS_FILE])
        if not (source / CONFIG_FILE).is_file():
            raise FileNotFoundError(f"no {CONFIG_FILE} in {source}: not a saved size adapter")
        adapter = cls(read_config(source / CONFIG_FILE))
        weights = load_file(source / WEIGHTS_FILE)
        require_same_weights(adapter.state_dict(), weights, source)
        adapter.load_state_dict(weights)
        return adapter.to(torch_dtype) if torch_dtype else adapter
