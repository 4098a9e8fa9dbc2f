"""What a base is: pretrained try-on networks that know nothing of size, behind one interface.

A base is a folder beside this file and a line in `model.bases.BASES`. Everything else (training, sampling,
the adapter, publishing) knows a base by what stands here alone.

Shapes: B batch, H x W the picture, h x w the latent grid, C latent channels.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

import torch
from torch import Tensor, nn

from model.bases.conditions import Conditioning, Photos, SizeCondition

if TYPE_CHECKING:
    from model.params import MemorySwitches  # options of drawing make no result that a base is part of

BASE_FILE = "base.json"
"""In a base's folder: which of `BASES` wrote it."""

Encodings = dict[str, Tensor]
"""By name, B first: what the frozen encoders make of samples. Training makes them once and keeps them."""


class Residual(NamedTuple):
    """A feature map to which a residual can be added."""

    level: int
    """How often the latent grid has been halved there."""

    channels: int


@dataclass(frozen=True, kw_only=True)
class Sites:
    """Where an adapter can enter a base. To add zeros there must leave every bit of the output as it was."""

    time_dim: int
    """Channels of the time embedding, to which a shift is added."""

    residuals: tuple[Residual, ...]
    """Feature maps of the person, to each of which a residual is added."""

    tokens: Mapping[str, int]
    """Channels of the layers that attend to size tokens apart from all others, by name. Empty where tokens
    would enter a softmax that others share: there even zeros change the numbers."""

    garment_dim: int
    """Channels of `Conditioning.garment_features`."""

    width: int
    """Channels at the base's finest level: the adapter's own features are no wider."""


class Noising(Protocol):
    """How pictures turn into noise, and what the network is asked for on the way back."""

    def timesteps(self, share: Tensor) -> Tensor:
        """(B,) times at (B,) shares, 0 to 1, of all of them."""

    def signal_to_noise(self, timesteps: Tensor) -> Tensor:
        """(B,) variance of the signal over that of the noise; 0 at pure noise."""

    def add_noise(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return `clean` latents as they are at `timesteps`."""

    def loss_target(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return what the network should predict."""

    def loss_weight(self, timesteps: Tensor, gamma: float) -> Tensor:
        """(B,) weight of a sample's squared error; `gamma` caps the signal-to-noise ratio, if that counts."""

    def clean_from(self, prediction: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """Return the clean latents that a prediction implies."""

    def sampler(self, name: str, num_steps: int, canvas: Tensor) -> Any:
        """Return one of diffusers' schedulers, set to so many steps for latents like `canvas`."""


def as_read(tensor: Tensor, network: Any) -> Tensor:
    """Return a tensor in the type of the weights that read it, as autocast would by itself.

    diffusers loads an autoencoder that was stored in half precision in full, and a loss wants full precision
    too, while the denoiser beside them lies as it was stored.
    """
    return tensor if autocast_type(tensor.device.type) else tensor.to(network.dtype)


def autocast_type(kind: str) -> torch.dtype | None:
    """Return in what type autocast computes on a kind of device now; None where it is off."""
    on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if on else None


class TryOnBase(nn.Module, ABC):
    """Try-on networks without size."""

    name: ClassVar[str]
    """Its key in `BASES`."""

    picture_hw: ClassVar[tuple[int, int]]
    """Height and width of the pictures that it makes (px)."""

    lora_targets: ClassVar[Sequence[str]]
    """Ends of the names of the layers that get low-rank updates."""

    attention_layers: ClassVar[tuple[str, ...]]
    """Ends of the names of the layers that learn where attention is trained in full."""

    licence: str
    """Of its weights, by the hub's name: what is published with them says so on its card."""

    usual_steps: ClassVar[int] = 30
    """Denoising steps that its pictures are drawn in, unless told."""

    usual_guidance: ClassVar[float] = 1.0
    """Weight of caption and garment that its pictures are drawn with, unless told; 1 is off."""

    garment_follows_time: ClassVar[bool] = False
    """Whether the garment is seen at the step's own time, in training and so in drawing; else at time 0."""

    run_on: torch.device | str | None = None
    """Where networks come for their turn (`resident`); None: they all run where they are."""

    # files

    @classmethod
    @abstractmethod
    def from_pretrained(cls, folder: str | Path, torch_dtype: torch.dtype | None = None) -> Self:
        """Load from a folder, or from the hub by a repository's name; without a type, as weights are stored.

        Raises:
            ValueError: Weights are missing or not expected; the message lists them.
        """

    @abstractmethod
    def save_networks(self, folder: Path) -> None:
        """Write what `from_pretrained` reads."""

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the networks, and which base they are."""
        self.save_networks(Path(folder))
        (Path(folder) / BASE_FILE).write_text(json.dumps({"base": self.name}) + "\n")

    # pictures

    @abstractmethod
    def to_latents(self, images: Tensor) -> Tensor:
        """Encode (B, 3, H, W) images in -1 .. 1 as (B, C, h, w)."""

    @abstractmethod
    def to_images(self, latents: Tensor) -> Tensor:
        """Decode (B, C, h, w) latents to (B, 3, H, W) images in -1 .. 1."""

    @property
    @abstractmethod
    def latent_channels(self) -> int:
        """Return C."""

    @property
    def latent_scale(self) -> float:
        """Return what latents were multiplied by, where that is no weight."""
        return 1.0

    # what the networks are told

    @abstractmethod
    def encode(self, photos: Photos) -> Encodings:
        """Return what frozen encoders make of everything but the person's own latents."""

    @abstractmethod
    def condition(self, encodings: Encodings) -> Conditioning:
        """Return what the networks are told, made anew each step of what may learn."""

    def told(self, photos: Photos) -> Conditioning:
        """Return what the networks are told of a batch."""
        return self.condition(self.encode(photos))

    @abstractmethod
    def encoders(self) -> Sequence[nn.Module]:
        """Return the networks on whose weights `to_latents` and `encode` depend."""

    def with_garment(self, conditioning: Conditioning, timesteps: Tensor) -> Conditioning:  # noqa: ARG002
        """Return the conditioning with what a garment network, where there is one, shows at `timesteps`."""
        return conditioning

    def readied(self, conditioning: Conditioning) -> Conditioning:
        """Return the conditioning with all that many predictions from it have in common."""
        return conditioning

    def lasting(self, encodings: Encodings) -> Encodings:  # noqa: ARG002
        """Return more encodings, which `condition` uses: they last while the whole base is frozen."""
        return {}

    def compile_networks(self) -> None:
        """Let what a step of training runs be compiled, batches of one size assumed."""
        self.denoiser.compile(dynamic=False)

    # prediction

    @property
    @abstractmethod
    def noising(self) -> Noising:
        """How its latents are noised."""

    @abstractmethod
    def predict(
        self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning, size: SizeCondition | None = None
    ) -> Tensor:
        """Predict `Noising.loss_target` from what is denoised; without `size` this is the base alone."""

    def denoised(self, encodings: Encodings) -> Tensor:
        """Return the clean original of what is denoised: the person's latents, or a canvas that has them."""
        return encodings["latents"]

    def person_of(self, canvas: Tensor) -> Tensor:
        """Return the person's (B, C, h, w) latents of what is denoised."""
        return canvas

    def put_back(
        self,
        latents: Tensor,
        noise: Tensor,  # noqa: ARG002
        timestep: Tensor | None,  # noqa: ARG002
        conditioning: Conditioning,  # noqa: ARG002
    ) -> Tensor:
        """Return what a step of drawing came to, what is known of the photo put back where it is kept.

        Args:
            latents: What is denoised.
            noise: What the drawing began with, of the same shape.
            timestep: The next one; None after the last step.
            conditioning: What the networks are told.
        """
        return latents

    # the adapter, and what learns beside it

    @abstractmethod
    def sites(self) -> Sites:
        """Return where an adapter can enter."""

    @property
    @abstractmethod
    def denoiser(self) -> Any:
        """The network that predicts, one of diffusers' models: the one that `train_joint` opens."""

    @abstractmethod
    def blocks(self) -> Sequence[nn.Module]:
        """Return the blocks that hold nearly all weights of what may learn, to be shared among processes."""

    def trainable(self, layers: str, rank: int) -> dict[str, nn.Parameter]:
        """Let part of the frozen denoiser learn; return its weights by name.

        Args:
            layers: `lora`, low-rank updates of `lora_targets`; in full `attention_layers`, for `attention`,
                or `all`.
            rank: Of the updates.
        """
        if layers == "lora":
            from peft import LoraConfig  # whoever only draws needn't wait for it

            targets = list(self.lora_targets)
            self.denoiser.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets))
        else:
            for name, layer in self.denoiser.named_modules():
                if layers == "all" or name.endswith(self.attention_layers):
                    layer.requires_grad_(True)
        return {name: weight for name, weight in self.denoiser.named_parameters() if weight.requires_grad}

    # where it runs

    @property
    def device(self) -> torch.device:
        """Where the networks run: where their weights are, or where they come for their turn."""
        return next(self.parameters()).device if self.run_on is None else torch.device(self.run_on)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the denoiser's weights; the autoencoder's may be another."""
        kind: torch.dtype = next(self.denoiser.parameters()).dtype
        return kind

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

    def save_memory(self, switches: MemorySwitches, device: torch.device | str) -> None:
        """Draw in less memory.

        Args:
            switches: What to do; with `offload` the networks wait in the computer's memory for their turn.
            device: Where they run.
        """
        self.run_on = device if switches.offload else None
        self.to("cpu" if switches.offload else device)
