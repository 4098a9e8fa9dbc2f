"""The noising of diffusion models: variance-preserving, in discrete steps, by one of diffusers' schedulers.

Shapes: B batch, C latent channels, h x w what is denoised.
"""

from typing import Any

from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from torch import Tensor

VELOCITY = "v_prediction"
"""diffusers' name for networks that predict velocity; the others here predict the noise."""

SAMPLERS = {"ddim": DDIMScheduler, "unipc": UniPCMultistepScheduler, "dpmpp": DPMSolverMultistepScheduler}
"""Samplers by the name a user gives."""


class DiffusionNoising:
    """How a base's scheduler noises latents; implements `model.bases.base.Noising`."""

    def __init__(self, scheduler: DDIMScheduler) -> None:
        self.scheduler = scheduler
        self.predicts_velocity = scheduler.config.prediction_type == VELOCITY

    def timesteps(self, share: Tensor) -> Tensor:
        """(B,) int64 at (B,) shares from 0 to 1."""
        return (share * self.scheduler.config.num_train_timesteps).long()

    def signal_to_noise(self, timesteps: Tensor) -> Tensor:
        """(B,) alpha / (1 - alpha); 0 at pure noise."""
        return signal_to_noise(self.scheduler.alphas_cumprod, timesteps)

    def add_noise(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return (B, C, h, w) `clean` latents as they are at `timesteps`."""
        return self.scheduler.add_noise(clean, noise, timesteps)

    def loss_target(self, clean: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return velocity or noise, (B, C, h, w)."""
        return self.scheduler.get_velocity(clean, noise, timesteps) if self.predicts_velocity else noise

    def loss_weight(self, timesteps: Tensor, gamma: float) -> Tensor:
        """(B,) weight of each sample's squared error; see `min_snr_weight`."""
        return min_snr_weight(self.signal_to_noise(timesteps), gamma, velocity=self.predicts_velocity)

    def clean_from(self, prediction: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """(B, C, h, w) clean latents that a prediction implies.

        Source:
            Salimans & Ho 2022, appendix D: x = alpha z - sigma v; for noise, x = (z - sigma noise) / alpha.
        """
        alpha = self.scheduler.alphas_cumprod.to(noisy)[timesteps][:, None, None, None]
        if self.predicts_velocity:
            return alpha.sqrt() * noisy - (1 - alpha).sqrt() * prediction
        return (noisy - (1 - alpha).sqrt() * prediction) / alpha.sqrt().clamp(min=1e-3)

    def sampler(self, name: str, num_steps: int, canvas: Tensor) -> Any:
        """Return the sampler called `name` with this noise schedule, set to `num_steps`.

        Raises:
            ValueError: There is no such sampler.
        """
        if name not in SAMPLERS:
            raise ValueError(f"sampler must be one of {sorted(SAMPLERS)}, got {name!r}")
        scheduler = SAMPLERS[name].from_config(self.scheduler.config)
        scheduler.set_timesteps(num_steps, device=canvas.device)
        return scheduler


def signal_to_noise(alphas_cumprod: Tensor, timesteps: Tensor) -> Tensor:
    """(B,) signal-to-noise ratio alpha / (1 - alpha) at (B,) `timesteps`; 0 at pure noise."""
    alpha = alphas_cumprod.to(timesteps.device)[timesteps]
    return alpha / (1 - alpha)


def min_snr_weight(snr: Tensor, gamma: float, *, velocity: bool) -> Tensor:
    """(B,) weight of each sample's squared error.

    Source:
        Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", eq. 5: the loss on
        the clean sample has weight min(SNR, gamma). In terms of noise that is divided by SNR, in terms of
        velocity by SNR + 1, because |v error|^2 = (SNR + 1) |x0 error|^2. At SNR = 0 a velocity network
        predicts the clean sample itself, and weight 0 would leave it untaught there (Lin et al. 2024, zero
        terminal SNR), so the velocity weight has min(SNR, gamma) + 1 in place of min(SNR, gamma).
    """
    if velocity:
        return (snr.clamp(max=gamma) + 1) / (snr + 1)
    return snr.clamp(max=gamma) / snr.clamp(min=1e-8)
