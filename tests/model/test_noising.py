"""How diffusion models' latents are noised, in numbers that one can check by hand."""

import pytest
import torch
from diffusers import DDIMScheduler
from torch.testing import assert_close

from model.bases.noising import DiffusionNoising, min_snr_weight, signal_to_noise


def test_signal_to_noise_of_half_signal_is_one_and_of_none_is_zero() -> None:
    assert_close(
        signal_to_noise(torch.tensor([0.8, 0.5, 0.0]), torch.tensor([0, 1, 2])), torch.tensor([4.0, 1, 0])
    )


@pytest.mark.parametrize(
    ("velocity", "expected"),
    [
        pytest.param(False, [5 / 20, 1.0, 0.0], id="noise: min(snr, 5) / snr"),
        pytest.param(True, [6 / 21, 1.0, 1.0], id="velocity: (min(snr, 5) + 1) / (snr + 1)"),
    ],
)
def test_min_snr_weight(velocity: bool, expected: list[float]) -> None:
    assert_close(
        min_snr_weight(torch.tensor([20.0, 2.0, 0.0]), 5.0, velocity=velocity), torch.tensor(expected)
    )


@pytest.mark.parametrize("kind", ["v_prediction", "epsilon"])
def test_the_clean_latents_follow_from_what_is_to_be_predicted(kind: str) -> None:
    noising = DiffusionNoising(DDIMScheduler(prediction_type=kind))
    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(2, 4, 3, 3, generator=generator) for _ in range(2))
    steps = noising.timesteps(torch.tensor([0.0, 0.5]))
    assert steps.tolist() == [0, 500]
    noisy, target = (act(clean, noise, steps) for act in (noising.add_noise, noising.loss_target))
    assert_close(noising.clean_from(target, noisy, steps), clean, rtol=0, atol=1e-4)
    assert_close(noising.signal_to_noise(steps), signal_to_noise(noising.scheduler.alphas_cumprod, steps))


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one of \['ddim', 'dpmpp', 'unipc'\], got 'euler'"):
        DiffusionNoising(DDIMScheduler()).sampler("euler", 2, torch.zeros(1))
