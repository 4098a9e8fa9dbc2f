"""Flow matching: latents on straight lines to noise, and the velocity along them.

Shapes: B batch, C latent channels, h x w the grid of tokens.
"""

from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.flux2.pipeline_flux2_klein_inpaint import compute_empirical_mu
from torch import Tensor

SAMPLER = "ddim"
"""The one there is: without fresh noise, DDIM's step along a straight line is Euler's."""


class FlowNoising:
    """How a flow-matching base's latents are noised; implements `model.bases.base.Noising`."""

    def __init__(self, scheduler: FlowMatchEulerDiscreteScheduler) -> None:
        self.scheduler = scheduler
        self.num_times = scheduler.config.num_train_timesteps

    def timesteps(self, share: Tensor) -> Tensor:
        """(B,) float32 at (B,) shares from 0 to 1, of the times 1, 2, …, the last of which is pure noise.

        Training draws them unshifted; only sampling shifts them, by the number of tokens.
        """
        return (share * self.num_times).floor().clamp(max=self.num_times - 1) + 1

    def sigma(self, timesteps: Tensor) -> Tensor:
        """(B or 1, 1, 1, 1) float32 share of noise at (B,) timesteps, or at one of no dimension."""
        return (timesteps.float() / self.num_times).reshape(-1, 1, 1, 1)

    def signal_to_noise(self, timesteps: Tensor) -> Tensor:
        """(B,) ((1 - sigma) / sigma)^2; 0 at pure noise."""
        sigma = timesteps.float() / self.num_times
        return ((1 - sigma) / sigma).square()

    def add_noise(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return (B, C, h, w) `clean` latents as they are at `timesteps`: (1 - sigma) clean + sigma noise."""
        sigma = self.sigma(timesteps).to(clean)
        return (1 - sigma) * clean + sigma * noise

    def loss_target(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:  # noqa: ARG002
        """Return the velocity, (B, C, h, w): the same at every time."""
        return noise - clean

    def loss_weight(self, timesteps: Tensor, gamma: float) -> Tensor:  # noqa: ARG002 - every time counts alike
        """(B,) ones, as FLUX.2 is trained."""
        return torch.ones_like(timesteps, dtype=torch.float32)

    def clean_from(self, prediction: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """(B, C, h, w) clean latents that a velocity implies: where the line begins."""
        return noisy - self.sigma(timesteps).to(noisy) * prediction

    def sampler(self, name: str, num_steps: int, canvas: Tensor) -> Any:
        """Return Euler's sampler at `num_steps` times, shifted as FLUX.2 shifts them for so many tokens.

        Raises:
            ValueError: There is no such sampler.
        """
        if name != SAMPLER:
            raise ValueError(f"sampler must be {SAMPLER} for FLUX.2, which takes Euler's steps, got {name!r}")
        scheduler = FlowMatchEulerDiscreteScheduler.from_config(self.scheduler.config)
        sigmas = np.linspace(1.0, 1 / num_steps, num_steps)
        shift = compute_empirical_mu(image_seq_len=canvas.shape[2] * canvas.shape[3], num_steps=num_steps)
        scheduler.set_timesteps(sigmas=sigmas, device=canvas.device, mu=shift)
        return scheduler
