"""Image metrics over pictures that come in batches; memory doesn't grow with their number.

Each is taken of the whole picture and inside the inpainting mask, of paired pictures (each has its own photo)
and of unpaired ones. A metric without its weights is absent with a reason, never approximated under its name.
"""

import warnings
from collections import Counter, defaultdict
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from eval.images.fidelity import KEPT, Pictures, Truth, garment_delta_e, print_correlation
from eval.images.judges import ABSENT, Backbone, Judges
from eval.report.card import SET_FIGURES

INSIDE = "_inside_mask"
"""Ends the name of a figure that only counts the pixels that were painted anew."""

WHERE = ("", INSIDE)

NO_PICTURES = "there are no such pictures"
NO_GARMENT = "needs the mask of a worn garment, which no sample has"
NO_PRINT = "needs people who can be drawn again without their print: paper dolls alone, and some wear none"
INSIDE_GARMENT = {
    "psnr_garment": NO_GARMENT,
    "garment_delta_e": NO_GARMENT,
    "print_correlation": NO_PRINT,
    "print_kept": NO_PRINT,
}
"""Figures of paired pictures inside the worn garment, and why one is absent."""

FIDELITY = (f"ssim{INSIDE}", f"psnr{INSIDE}", *INSIDE_GARMENT)
"""Figures that tell whether the garment is the same one."""

GREY = 128
"""What features inside the mask see elsewhere, in pictures and photos alike."""

KERNEL_SUBSETS, LARGEST_SUBSET = 100, 1000  # as clean-fid and torchmetrics draw them

WINDOW, SIGMA = 11, 1.5  # of SSIM's Gaussian
C1, C2 = 0.01**2, 0.03**2


class ImageMeter:
    """Collects pictures at one resolution and compares them with photos, `paired` with each its own.

    The seed is that of the kernel distance's subsets.
    """

    def __init__(self, judges: Judges, *, paired: bool, seed: int) -> None:
        self.judges, self.paired, self.seed = judges, paired, seed
        self.count = 0
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._counts: Counter[str] = Counter()
        self._sets = {
            (backbone.figures, where): SetDistances(backbone, seed)
            for backbone in judges.backbones
            for where in WHERE
        }

    def update(self, pictures: Pictures, truth: Truth) -> None:
        """Take in (N, H, W, 3) pictures and what they are held against."""
        self.count += len(pictures)
        if self.paired:
            for row, picture in enumerate(pictures):
                self._compare(picture, truth, row)
        photos, masks = truth.photos, truth.masks
        for backbone in self.judges.backbones:
            for where in WHERE:
                for real, seen in ((False, pictures), (True, photos)):
                    shown = np.where(masks[..., None], seen, np.uint8(GREY)) if where else seen
                    self._sets[backbone.figures, where].update(backbone.features(shown), real=real)

    def section(self) -> dict[str, Any]:
        """Figures by name: numbers, or `{"absent": reason}`."""
        section: dict[str, Any] = {
            f"{name}{where}": self._absent(name) for name in self._names() for where in WHERE
        }
        section |= {name: self._absent(name) for name in INSIDE_GARMENT if self.paired}
        if not self.count:
            return section
        section |= {name: finite(total / self._counts[name]) for name, total in self._sums.items()}
        for (names, where), sets in self._sets.items():
            few = {"absent": "needs at least 2 pictures"}
            found = dict.fromkeys(names, few) if self.count < 2 else sets.by_name(self.count)
            section |= {f"{name}{where}": distance for name, distance in found.items()}
        return section | {"pictures": self.count} | self._behind()

    def _names(self) -> tuple[str, ...]:
        """What is measured; without a photo of the same there are only distances between sets."""
        return ("ssim", "psnr", *ABSENT) if self.paired else SET_FIGURES

    def _absent(self, name: str) -> dict[str, str]:
        """Why a figure is absent, unless it replaces this."""
        reasons = {**ABSENT, **INSIDE_GARMENT} if self.count else {}
        return {"absent": reasons.get(name, NO_PICTURES)}

    def _behind(self) -> dict[str, int]:
        """How many pictures are behind the figures that not everybody has."""
        counts = {"garments": "garment_delta_e", "prints": "print_correlation"} if self.paired else {}
        return {name: self._counts[figure] for name, figure in counts.items()}

    def _compare(self, picture: Pictures, truth: Truth, row: int) -> None:
        """Add one pair's similarities."""
        photo, mask = truth.photos[row], truth.masks[row]
        similarity = ssim_map(picture, photo)
        values = {
            "ssim": float(similarity.mean(dtype=np.float64)),
            f"ssim{INSIDE}": float(similarity[mask].mean(dtype=np.float64)),
            "psnr": psnr(picture, photo),
            f"psnr{INSIDE}": psnr(picture, photo, mask),
        }
        one, other = to_tensor(picture[None]), to_tensor(photo[None])
        weights = torch.from_numpy(mask)[None, None].float()
        for name, judge in self.judges.lpips.items():
            whole, inside = judge.distances(one, other, [None, weights])
            values |= {f"lpips_{name}": float(whole), f"lpips_{name}{INSIDE}": float(inside)}
        for name, value in (values | inside_garment(picture, truth, row)).items():
            self._sums[name] += value
            self._counts[name] += 1


def inside_garment(picture: Pictures, truth: Truth, row: int) -> dict[str, float]:
    """The figures of `INSIDE_GARMENT` that person `row` of a truth has, of a (H, W, 3) picture."""
    garment, drawn = truth.garments[row], truth.prints[row]
    if not garment.any():
        return {}
    photo = truth.photos[row]
    values = {
        "psnr_garment": psnr(picture, photo, garment),
        "garment_delta_e": garment_delta_e(picture, photo, garment),
    }
    kept = None if drawn is None else print_correlation(picture, drawn, garment)
    return values if kept is None else values | {"print_correlation": kept, "print_kept": float(kept >= KEPT)}


class Given(nn.Identity):
    """Stands where torchmetrics has its network: a picture's features are taken once for all metrics."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


class SetDistances:
    """Distances between two sets of pictures by one network's features; its figures say which are taken.

    Memory is flat but for a kernel distance, which keeps all features: its subsets are drawn at the end.
    """

    def __init__(self, backbone: Backbone, seed: int) -> None:
        given = Given(backbone.dim)
        frechet, *kernel = backbone.figures
        self._seed = seed
        self._metrics: dict[str, Metric] = {frechet: FrechetInceptionDistance(feature=given)}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save all")
            self._metrics |= {name: KernelInceptionDistance(given, KERNEL_SUBSETS) for name in kernel}

    def update(self, features: NDArray[np.float32], *, real: bool) -> None:
        """Take in (N, dim) features of pictures, or of the real photos beside them."""
        for metric in self._metrics.values():
            metric.update(torch.from_numpy(features).double(), real=real)

    def by_name(self, count: int) -> dict[str, float]:
        """Each figure over the `count` pictures, and as many photos, that were taken in: at least 2."""
        found = {}
        for name, metric in self._metrics.items():
            if isinstance(metric, KernelInceptionDistance):
                metric.subset_size = min(count, LARGEST_SUBSET)
                with torch.random.fork_rng(devices=[]):
                    torch.default_generator.manual_seed(self._seed)
                    found[name] = float(metric.compute()[0])
            else:
                found[name] = max(float(metric.compute()), 0.0)
        return found


def to_tensor(pictures: Pictures) -> Tensor:
    """(N, H, W, 3) uint8 to (N, 3, H, W) float in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255


def finite(value: float) -> float | dict[str, str]:
    """Keep a number; an infinite PSNR is absent with the reason."""
    return value if np.isfinite(value) else {"absent": "a picture equals its photo, so its PSNR is infinite"}


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
    """Peak signal-to-noise ratio of two (H, W, 3) uint8 pictures in dB, infinite for equal ones.

    With an (H, W) mask only its pixels count.
    """
    error = (picture.astype(np.float32) - photo) ** 2
    mean = float((error if mask is None else error[mask]).mean(dtype=np.float64))
    return float(10 * np.log10(255.0**2 / mean)) if mean > 0 else np.inf
