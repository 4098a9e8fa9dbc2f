"""A base as different from IDM-VTON's as the protocol allows, for a test to register.

One network without attention; person above garment on one canvas, as in CatVTON; flow matching, as in FLUX;
no garment network, and no layer for size tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.bases.base import Encodings, Residual, Sites, TryOnBase
from model.bases.conditions import Conditioning, Photos, SizeCondition
from model.pixels import from_uint8
from model.weights import seeded

CELL, WIDTH, TIME = 4, 8, 6
NUM_TIMES = 1000


@dataclass(frozen=True, kw_only=True)
class MadeUpConditioning(Conditioning):
    """Person above garment."""

    known: Tensor
    """(B, 3, 2h, w) latents: the person with the mask's region grey, the garment."""

    @property
    def canvas(self) -> Tensor:
        return self.known

    @property
    def garment_features(self) -> Tensor:
        return self.known.chunk(2, dim=2)[1].mean(dim=(2, 3))

    def unconditional(self, rows: Tensor | None = None) -> Self:
        person, garment = self.known.chunk(2, dim=2)
        kept = torch.zeros(len(garment)) if rows is None else (~rows).to(garment)
        return replace(self, known=torch.cat([person, garment * kept[:, None, None, None]], dim=2))


class Flow:
    """Latents on straight lines to noise."""

    def timesteps(self, share: Tensor) -> Tensor:
        return share * NUM_TIMES

    def signal_to_noise(self, timesteps: Tensor) -> Tensor:
        return ((NUM_TIMES - timesteps) / timesteps).square()

    def add_noise(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return clean + sigma_of(timesteps) * (noise - clean)

    def loss_target(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:  # noqa: ARG002
        return noise - clean

    def loss_weight(self, timesteps: Tensor, gamma: float) -> Tensor:  # noqa: ARG002
        return torch.ones_like(timesteps)

    def clean_from(self, prediction: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
        return noisy - sigma_of(timesteps) * prediction

    def sampler(self, name: str, num_steps: int, canvas: Tensor) -> Any:  # noqa: ARG002
        scheduler = FlowMatchEulerDiscreteScheduler()
        scheduler.set_timesteps(num_steps, device=canvas.device)
        return scheduler


def sigma_of(timesteps: Tensor) -> Tensor:
    return (timesteps / NUM_TIMES)[:, None, None, None]


class MadeUpBase(TryOnBase):
    """Two convolutions."""

    name: ClassVar[str] = "made_up"
    picture_hw: ClassVar[tuple[int, int]] = (32, 24)
    lora_targets: ClassVar[Sequence[str]] = ("0",)
    attention_layers: ClassVar[tuple[str, ...]] = ("0",)
    licence = "mit"

    def __init__(self) -> None:
        super().__init__()
        with seeded(5):
            self.network = nn.ModuleList(
                [nn.Conv2d(7, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, 3, 3, padding=1)]
            )
            self.time = nn.Linear(TIME, WIDTH)

    @classmethod
    def from_pretrained(cls, folder: str | Path, torch_dtype: torch.dtype | None = None) -> Self:
        base = cls()
        base.load_state_dict(load_file(Path(folder) / "weights.safetensors"))
        return base.to(torch_dtype)

    def save_networks(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.state_dict(), folder / "weights.safetensors")

    def to_latents(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images, CELL)

    def to_images(self, latents: Tensor) -> Tensor:
        return F.interpolate(latents, scale_factor=CELL).clamp(-1, 1)

    @property
    def latent_channels(self) -> int:
        return 3

    def encoders(self) -> Sequence[nn.Module]:
        return ()

    def encode(self, photos: Photos) -> Encodings:
        image, cloth = (from_uint8(pixels) for pixels in (photos.image, photos.cloth))
        hole = torch.as_tensor(photos.inpaint_mask).float()[:, None]
        person = self.to_latents(image * (1 - hole))
        return {"mask": F.max_pool2d(hole, CELL), "person": person, "garment_latents": self.to_latents(cloth)}

    def condition(self, encodings: Encodings) -> MadeUpConditioning:
        known = torch.cat([encodings["person"], encodings["garment_latents"]], dim=2)
        return MadeUpConditioning(mask=encodings["mask"], known=known)

    def denoised(self, encodings: Encodings) -> Tensor:
        return torch.cat([encodings["latents"], encodings["garment_latents"]], dim=2)

    def person_of(self, canvas: Tensor) -> Tensor:
        return canvas.chunk(2, dim=2)[0]

    @property
    def noising(self) -> Flow:
        return Flow()

    def predict(
        self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning, size: SizeCondition | None = None
    ) -> Tensor:
        assert isinstance(conditioning, MadeUpConditioning)
        mask = F.pad(conditioning.mask, (0, 0, 0, conditioning.mask.shape[2]))
        waves = timesteps.float().expand(len(noisy))[:, None] / NUM_TIMES * torch.arange(TIME)
        time = waves.cos()
        hidden = self.network[0](torch.cat([noisy, mask, conditioning.known], dim=1))
        if size is not None and size.time is not None:
            time = time + size.time
        if size is not None and size.residuals is not None:
            (residual,) = size.residuals
            hidden = hidden + F.pad(residual, (0, 0, 0, residual.shape[2]))
        return self.network[1](F.silu(hidden + self.time(time)[:, :, None, None]))

    def sites(self) -> Sites:
        places = (Residual(0, WIDTH),)
        return Sites(time_dim=TIME, residuals=places, tokens={}, garment_dim=3, width=WIDTH)

    @property
    def denoiser(self) -> nn.Module:
        return self.network

    def blocks(self) -> Sequence[nn.Module]:
        return list(self.network)
