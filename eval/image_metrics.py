"""How much a picture looks like the photo, by torchmetrics. A metric without its weights is absent."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from eval.lpips import Lpips

Pictures = NDArray[np.uint8]

NO_INCEPTION = (
    "needs InceptionV3's FID weights, which no package brings; give features to eval.feature_distances"
)

ABSENT: Mapping[str, str] = {
    "lpips_alex": "needs AlexNet's ImageNet weights: set evaluate_tryon.lpips_alex to torchvision's file",
    "lpips_vgg": "needs VGG-16's ImageNet weights: set evaluate_tryon.lpips_vgg to torchvision's file",
    "lpips_squeeze": "needs SqueezeNet's trunk, which is not built here: use lpips_alex or lpips_vgg",
    "fid": NO_INCEPTION,
    "kid": NO_INCEPTION,
}
"""Why a metric can't be had without a file from the user. None is approximated under the same name."""


def to_tensor(pictures: Pictures) -> Tensor:
    """(N, H, W, 3) uint8 to (N, 3, H, W) float in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255


def ssim(pictures: Pictures, photos: Pictures) -> NDArray[np.float64]:
    """Structural similarity of each picture with its photo, 11x11 Gaussian window, sigma 1.5.

    Args:
        pictures: (N, H, W, 3) uint8.
        photos: (N, H, W, 3) uint8.

    Returns:
        (N,), 1 for equal pictures.

    Source:
        Wang et al., "Image quality assessment", 2004; torchmetrics.
    """
    values = structural_similarity_index_measure(
        to_tensor(pictures), to_tensor(photos), data_range=1.0, reduction="none"
    )
    return values.double().reshape(-1).numpy()


def ssim_inside(pictures: Pictures, photos: Pictures, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean of the structural similarity map over the pixels of (N, H, W) masks, (N,)."""
    _, maps = structural_similarity_index_measure(
        to_tensor(pictures), to_tensor(photos), data_range=1.0, reduction="none", return_full_image=True
    )
    inside = torch.from_numpy(masks)
    return np.array([float(m.mean(dim=0)[i].double().mean()) for m, i in zip(maps, inside, strict=True)])


def psnr(pictures: Pictures, photos: Pictures, masks: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio of each picture with its photo.

    Args:
        pictures: (N, H, W, 3) uint8.
        photos: (N, H, W, 3) uint8.
        masks: (N, H, W) bool; only these pixels count. All of them if None.

    Returns:
        (N,) dB, infinite for equal pictures.
    """
    squared = (pictures.astype(np.float64) - photos.astype(np.float64)) ** 2
    weights = np.ones(pictures.shape[:3]) if masks is None else masks.astype(np.float64)
    error = (squared.mean(axis=3) * weights).sum(axis=(1, 2)) / weights.sum(axis=(1, 2))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255.0**2 / error)


def lpips(name: str, weights: Path, pictures: Pictures, photos: Pictures) -> NDArray[np.float64]:
    """LPIPS (N,) of (N, H, W, 3) pictures with their photos, on the trunk `name` from the file `weights`."""
    distance = Lpips(name, weights)
    pairs = zip(to_tensor(pictures).split(1), to_tensor(photos).split(1), strict=True)
    return np.array([float(distance(one, other)) for one, other in pairs])


def image_section(
    pictures: Pictures, photos: Pictures, masks: NDArray[np.bool_], lpips_weights: Mapping[str, str | None]
) -> dict[str, Any]:
    """Compare pictures drawn at the natural size with the photos they were drawn from.

    Args:
        pictures: (N, H, W, 3) uint8.
        photos: (N, H, W, 3) uint8.
        masks: (N, H, W) bool inpainting masks.
        lpips_weights: Name of a trunk to the file with its weights, None where there is none.

    Returns:
        `image` of metrics.json: numbers, or `{"absent": reason}`.
    """
    section: dict[str, Any] = {
        "ssim": float(ssim(pictures, photos).mean()),
        "psnr": finite(float(psnr(pictures, photos).mean())),
        "ssim_inside_mask": float(ssim_inside(pictures, photos, masks).mean()),
        "psnr_inside_mask": finite(float(psnr(pictures, photos, masks).mean())),
    }
    measured = {
        f"lpips_{name}": float(lpips(name, Path(file), pictures, photos).mean())
        for name, file in lpips_weights.items()
        if file is not None
    }
    return section | {name: {"absent": reason} for name, reason in ABSENT.items()} | measured


def finite(value: float) -> float | dict[str, str]:
    """Keep a number; an infinite PSNR is absent with the reason."""
    return value if np.isfinite(value) else {"absent": "a picture equals its photo, so its PSNR is infinite"}
