"""The adapter: everything that size adds to a frozen base, in a module of its own.

B batch, K body maps, h x w the latent grid.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from model.adapter.body_maps import NUM_BODY_MAPS
from model.adapter.controller import MapResiduals, SimpleSizeController, SizeController
from model.adapter.encoder import SIZE_EMBEDDING_DIM, HybridSizeEncoder, SizeEncoder, SizeTokenProjection
from model.bases.base import Residual, Sites
from model.bases.conditions import SizeCondition
from model.model_card import model_card, versions
from model.pixels import sent
from model.weights import load_weight_file, local_folder, read_json, require_same_weights

log = logging.getLogger(__name__)

PARTS = ("tokens", "time", "map")
"""The ways by which a size acts on a base: tokens only where the base has layers for them alone."""

WIDEST_CONTROLLER = 64
"""Features of the controller beside a full-size base; a narrower one gets as many as its finest level has."""

ONLY_CATEGORY = "upper"
"""What an adapter is for whose config doesn't say: there was nothing else when it was saved."""

WEIGHTS_FILE = "size_adapter.safetensors"
CONFIG_FILE = "size_adapter.json"


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """What an adapter is made of, and where it enters the base that it fits."""

    encoder: Literal["simple", "hybrid"]
    """`simple` reads the ratios; `hybrid` also the fit label and the garment."""

    controller: Literal["full", "simple"]
    """`full` draws the layout on the body; `simple` knows no body."""

    parts: tuple[str, ...]
    """Which of `PARTS` there are."""

    axes: tuple[tuple[str, str], ...]
    """Name and meaning of each size ratio that it reads, in their order."""

    categories: tuple[str, ...]
    """What kinds of garments it knows; a ratio that one lacks is unknown to it."""

    width: int
    """Features of the controller."""

    num_tokens: int
    """Size tokens in cross-attention."""

    rank: int
    """Channels of a size token before each layer's projection."""

    sites: Sites
    """Of the base."""

    reads_mask: bool = False
    """Whether the controller is told what is painted anew: masks of trousers tell where these begin."""

    def __post_init__(self) -> None:
        unknown = set(self.parts) - set(PARTS)
        if unknown:
            raise ValueError(f"parts must be among {PARTS}, got {sorted(unknown)}")

    @property
    def axis_names(self) -> tuple[str, ...]:
        """Of the size ratios that it reads, in their order."""
        return tuple(name for name, _ in self.axes)


def read_config(file: Path) -> AdapterConfig:
    """Read what `SizeAdapter.save_pretrained` wrote beside the weights."""
    saved = read_json(file)
    saved.pop("provenance", None)
    saved.setdefault("categories", [ONLY_CATEGORY])
    try:
        residuals = tuple(Residual(*place) for place in saved["sites"]["residuals"])
        sites = Sites(**saved["sites"] | {"residuals": residuals})
        axes = tuple((name, meaning) for name, meaning in saved["axes"])
        tuples = {name: tuple(saved[name]) for name in ("parts", "categories")}
        return AdapterConfig(**saved | tuples | {"sites": sites, "axes": axes})
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} is not the config of a size adapter of this version: {error}") from error


class SizeAdapter(nn.Module):
    """Size encoder, size controller and the injection into a frozen base.

    Fresh, it changes no bit of the base's output: value and time projections and residual heads are zero.
    """

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        self.config = config
        self.provenance: dict[str, Any] = {}
        """Where the weights come from: parameters and hash of the data, versions of what wrote them."""
        sites = config.sites
        read = len(config.axes), len(config.categories)
        hybrid = config.encoder == "hybrid"
        self.encoder = HybridSizeEncoder(sites.garment_dim, *read) if hybrid else SizeEncoder(*read)
        if self.has_tokens:
            self.tokens = SizeTokenProjection(sites.tokens, config.num_tokens, config.rank)
        if "time" in config.parts:
            self.time = nn.Linear(SIZE_EMBEDDING_DIM, sites.time_dim)
            nn.init.zeros_(self.time.weight)
            nn.init.zeros_(self.time.bias)
        if "map" in config.parts:
            self.controller = controller_of(config)
            self.residuals = MapResiduals(config.width, sites.residuals)

    @classmethod
    def for_sites(
        cls,
        sites: Sites,
        axes: Mapping[str, str],
        encoder: Literal["simple", "hybrid"] = "simple",
        controller: Literal["full", "simple"] = "full",
        parts: Iterable[str] = PARTS,
        num_tokens: int = 4,
        rank: int = 32,
        categories: Iterable[str] = (ONLY_CATEGORY,),
        reads_mask: bool = False,
    ) -> Self:
        """Return a fresh adapter for a base, for axes given by name and meaning; see `AdapterConfig`."""
        return cls(
            AdapterConfig(
                encoder=encoder,
                controller=controller,
                parts=tuple(parts),
                axes=tuple(axes.items()),
                categories=tuple(categories),
                width=min(WIDEST_CONTROLLER, sites.width),
                num_tokens=num_tokens,
                rank=rank,
                sites=sites,
                reads_mask=reads_mask,
            )
        )

    def for_sizes(self, axes: Mapping[str, str], categories: Sequence[str]) -> "SizeAdapter":
        """Return the adapter for ratios of other axes, and for other categories, in another order.

        What it answers is the same. An axis that it doesn't know changes nothing, asked for or unknown, until
        it is trained; and a category that it doesn't know is drawn as its first.

        Raises:
            ValueError: It knows an axis or a category that isn't among them.
        """
        own, names = self.config.axis_names, list(axes)
        if list(own) == names and self.config.categories == tuple(categories):
            return self
        require_among("reads", own, "sizes", names)
        require_among("draws", self.config.categories, "categories", categories)
        new = ", ".join(name for name in (*names, *categories) if name not in (*own, *self.config.categories))
        if new:
            log.warning("the adapter knows no %s: asking for it changes nothing until it is trained", new)
        weights = self.state_dict()
        for name, dim in (("encoder.input.weight", 1), ("encoder.unknown", 0)):
            weights[name] = placed(weights[name], dim, own, names)
        if len(categories) > 1:
            others = weights.get("encoder.category", weights["encoder.unknown"][:0])
            rows = placed(F.pad(others, (0, 0, 1, 0)), 0, self.config.categories, categories)
            weights["encoder.category"] = rows[1:] - rows[0]
            weights["encoder.input.bias"] = weights["encoder.input.bias"] + rows[0]
        adapter = SizeAdapter(replace(self.config, axes=tuple(axes.items()), categories=tuple(categories)))
        adapter.load_state_dict(weights)
        adapter.provenance = self.provenance
        return adapter.to(weights["encoder.unknown"])

    @property
    def has_tokens(self) -> bool:
        """Whether size tokens are made: they are wanted, and the base has layers for them."""
        return "tokens" in self.config.parts and bool(self.config.sites.tokens)

    def attach(self, sites: Sites) -> None:
        """Check that a base is one for which this adapter was made. The size reaches it as arguments alone.

        Raises:
            ValueError: Its layers, time embedding or residuals have other names or shapes.
        """
        own = self.config.sites
        wrong = [
            f"{name}: the adapter wants {getattr(own, name)}, the base has {getattr(sites, name)}"
            for name in ("tokens", "time_dim", "residuals")
            if getattr(own, name) != getattr(sites, name)
        ]
        if wrong:
            raise ValueError(
                "this adapter was made for another base, SizeAdapter.for_sites makes one: " + "; ".join(wrong)
            )

    def forward(
        self,
        ratios: Tensor,
        body_maps: Tensor,
        *,
        categories: Sequence[str] | None = None,
        fit_labels: Tensor | None = None,
        garment_features: Tensor | None = None,
        repainted: Tensor | None = None,
    ) -> SizeCondition:
        """Turn requested sizes into what the base is given.

        Args:
            ratios: (B, A) garment over body, in the order of `AdapterConfig.axes`; NaN where unknown.
            body_maps: (B, K, h, w) from `model.adapter.body_maps.body_maps`.
            categories: B kinds of garments among `AdapterConfig.categories`; None: all of the first.
            fit_labels: (B,) numbers of the fit labels, negative where unknown; for the `hybrid` encoder.
            garment_features: (B, C), the mean of the image tokens; for the `hybrid` encoder.
            repainted: (B, 1, h, w) share of each cell that is painted anew, for an adapter that reads the
                mask; None: all of every cell.

        Raises:
            ValueError: A category is none that it knows.
        """
        embedding = self.encoder(ratios, fit_labels, garment_features, self.numbers(categories))
        parts: dict[str, Any] = {}
        if self.has_tokens:
            parts["tokens"] = self.tokens(embedding)
        if "time" in self.config.parts:
            parts["time"] = self.time(embedding)
        if "map" in self.config.parts:
            if self.config.reads_mask:
                everywhere = torch.ones_like(body_maps[:, :1])
                body_maps = torch.cat([body_maps, everywhere if repainted is None else repainted], dim=1)
            size_map = self.controller(embedding, body_maps)
            parts |= {"layout_logits": size_map.layout_logits, "residuals": self.residuals(size_map)}
        return SizeCondition(embedding=embedding, **parts)

    def numbers(self, categories: Sequence[str] | None) -> Tensor | None:
        """Return (B,) the places of categories among those that it knows."""
        if categories is None:
            return None
        require_among("is asked for", categories, "categories it knows", self.config.categories)
        places = [self.config.categories.index(category) for category in categories]
        return sent(places, self.encoder.unknown.device)

    def save_pretrained(self, folder: str | Path, provenance: Mapping[str, Any] | None = None) -> None:
        """Write weights, config and a model card.

        Args:
            folder: Where to.
            provenance: Parameters and hash of the data, kept in the config's file beside versions; what was
                loaded keeps its own when None.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        save_file(weights, target / WEIGHTS_FILE, metadata={"format": "pt"})
        given = self.provenance if provenance is None else provenance
        self.provenance = {"versions": versions()} | dict(given)
        saved = asdict(self.config) | {"provenance": self.provenance}
        (target / CONFIG_FILE).write_text(json.dumps(saved, indent=2, sort_keys=True) + "\n")
        card = model_card(
            "Size adapter",
            dict(self.config.axes),
            self.parts(),
            self.provenance,
            base="path/to/the/base",
            adapter=".",
        )
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
        adapter.provenance = read_json(source / CONFIG_FILE)["provenance"]
        weights = load_weight_file(source / WEIGHTS_FILE)
        require_same_weights(adapter.state_dict(), weights, source)
        adapter.load_state_dict(weights)
        return adapter.to(torch_dtype) if torch_dtype else adapter


def controller_of(config: AdapterConfig) -> SizeController | SimpleSizeController:
    """Return a fresh controller; only one that draws on the body looks at the mask too."""
    if config.controller == "simple":
        return SimpleSizeController(width=config.width)
    return SizeController(width=config.width, num_maps=NUM_BODY_MAPS + config.reads_mask)


def require_among(does: str, own: Iterable[str], what: str, allowed: Sequence[str]) -> None:
    """Raise ValueError where an adapter has to do with something that isn't among what there is."""
    if not set(own) <= set(allowed):
        raise ValueError(
            f"this adapter {does} {', '.join(dict.fromkeys(own))}, but the {what} are {', '.join(allowed)}: "
            "train it again"
        )


def placed(weights: Tensor, dim: int, own: Sequence[str], names: Sequence[str]) -> Tensor:
    """Move what belongs to each of its own names to where the name now stands; zeros belong to new ones."""
    shape = list(weights.shape)
    shape[dim] = len(names)
    places = torch.tensor([names.index(name) for name in own], device=weights.device)
    return weights.new_zeros(shape).index_copy(dim, places, weights)
