import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from eval.image_metrics import ABSENT, image_section, psnr, ssim, ssim_inside, to_tensor

RNG = np.random.default_rng(0)
PHOTOS = RNG.integers(0, 256, (3, 48, 40, 3), dtype=np.uint8)
NOISY = np.clip(PHOTOS + RNG.normal(0, 12, PHOTOS.shape), 0, 255).astype(np.uint8)
MASKS = np.zeros((3, 48, 40), bool)
MASKS[:, 10:30, 8:32] = True


def test_equal_the_reference_library() -> None:
    a, b = to_tensor(NOISY), to_tensor(PHOTOS)
    expected = [
        float(structural_similarity_index_measure(a[i : i + 1], b[i : i + 1], data_range=1.0))
        for i in range(3)
    ]
    np.testing.assert_allclose(ssim(NOISY, PHOTOS), expected, atol=1e-4)
    ratios = [float(peak_signal_noise_ratio(a[i], b[i], data_range=1.0)) for i in range(3)]
    np.testing.assert_allclose(psnr(NOISY, PHOTOS), ratios, atol=1e-4)


def test_a_picture_is_most_similar_to_itself() -> None:
    np.testing.assert_allclose(ssim(PHOTOS, PHOTOS), 1.0, atol=1e-6)
    assert np.isinf(psnr(PHOTOS, PHOTOS)).all()


def test_inside_the_mask_only_the_mask_counts() -> None:
    outside_noise = np.where(MASKS[..., None], PHOTOS, NOISY)
    assert np.isinf(psnr(outside_noise, PHOTOS, MASKS)).all()
    far_inside = np.zeros_like(MASKS)
    far_inside[:, 18:22, 18:22] = True  # out of the reach of SSIM's window
    np.testing.assert_allclose(ssim_inside(outside_noise, PHOTOS, far_inside), 1.0, atol=1e-5)
    whole = np.ones_like(MASKS)
    np.testing.assert_allclose(ssim_inside(NOISY, PHOTOS, whole), ssim(NOISY, PHOTOS), atol=0.02)


def test_psnr_of_a_known_error() -> None:
    pictures = np.full((1, 8, 8, 3), 100, np.uint8)
    assert psnr(pictures, pictures + 10)[0] == pytest.approx(20 * np.log10(25.5))


def test_what_is_absent_says_why() -> None:
    section = image_section(NOISY, PHOTOS, MASKS, {"alex": None})
    assert section["fid"] == {"absent": ABSENT["fid"]}
    assert "AlexNet" in section["lpips_alex"]["absent"]
    assert image_section(PHOTOS, PHOTOS, MASKS, {})["psnr"]["absent"].startswith("a picture equals its photo")
    assert torch.is_tensor(to_tensor(PHOTOS))
