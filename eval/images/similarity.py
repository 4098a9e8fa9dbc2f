"""How much a picture looks like its own photo, pixel by pixel. Equal to torchmetrics' figures."""

import cv2
import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
Floats = NDArray[np.float64]

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2


def ssim_map(picture: Pictures, photo: Pictures) -> NDArray[np.float32]:
    """Structural similarity of two (H, W, 3) pictures at every pixel, (H, W), the mean of the channels.

    Source:
        Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004. The
        filter is separable: torchmetrics' two-dimensional one gives the same at several times the cost.
    """
    x, y = (np.divide(image, 255, dtype=np.float32) for image in (picture, photo))
    mean_x, mean_y, square_x, square_y, product = (blurred(z) for z in (x, y, x * x, y * y, x * y))
    variances = np.maximum(square_x - mean_x**2, 0) + np.maximum(square_y - mean_y**2, 0)
    covariance = product - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    similarity: NDArray[np.float32] = (luminance * (2 * covariance + C2) / (variances + C2)).mean(axis=2)
    return similarity


def blurred(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Filter (H, W, 3) with SSIM's Gaussian window, mirrored at the edges."""
    return np.asarray(
        cv2.GaussianBlur(image, (WINDOW, WINDOW), SIGMA, borderType=cv2.BORDER_REFLECT_101), np.float32
    )


def psnr(picture: Pictures, photo: Pictures, mask: NDArray[np.bool_] | None = None) -> float:
    """Peak signal-to-noise ratio of two (H, W, 3) pictures in dB, infinite for equal ones.

    Args:
        picture: (H, W, 3) uint8.
        photo: (H, W, 3) uint8.
        mask: (H, W) bool; only these pixels count. All of them if None.
    """
    error = (picture.astype(np.float32) - photo) ** 2
    mean = float((error if mask is None else error[mask]).mean(dtype=np.float64))
    return float(10 * np.log10(255.0**2 / mean)) if mean > 0 else np.inf
