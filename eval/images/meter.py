"""Image metrics over pictures that come in batches; memory doesn't grow with their number.

Each is taken of the whole picture and inside the inpainting mask, of paired pictures (each has its own photo)
and of unpaired ones. A metric without its weights is absent with a reason, never approximated under its name.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eval.images.backbones import NO_EFFNET, NO_INCEPTION, Backbone, efficientnet_lite0, inception
from eval.images.distances import FeatureSet, frechet_distance, kernel_distance
from eval.images.lpips import TRUNKS, Lpips
from eval.images.similarity import psnr, ssim_map
from eval.params import EvaluateParams

Pictures = NDArray[np.uint8]
Masks = NDArray[np.bool_]

INSIDE = "_inside_mask"
"""Ends the name of a figure that only counts the pixels that were painted anew."""

WHERE = ("", INSIDE)

SET_FIGURES = ("fid", "kid", "fd_effnet_lite0")
"""Figures of two sets of pictures."""

GREY = 128
"""What features inside the mask see elsewhere, in pictures and photos alike."""

KERNEL_SUBSETS, LARGEST_SUBSET = 100, 1000  # as clean-fid and torchmetrics draw them

TRUNK_NAMES = {"alex": "AlexNet", "vgg": "VGG-16", "squeeze": "SqueezeNet 1.1"}

ABSENT: Mapping[str, str] = {
    **{
        f"lpips_{trunk}": f"needs {name}'s ImageNet weights: set evaluate_tryon.lpips_{trunk} to their file"
        for trunk, name in TRUNK_NAMES.items()
    },
    "fid": NO_INCEPTION,
    "kid": NO_INCEPTION,
    "fd_effnet_lite0": NO_EFFNET,
}
"""Why a metric can't be had without a file or package from the user."""


@dataclass(frozen=True, kw_only=True)
class Judges:
    """The networks that image metrics need."""

    lpips: Mapping[str, Lpips] = field(default_factory=dict)
    """By trunk."""

    backbones: Sequence[Backbone] = ()
    """Of Frechet and kernel distances."""

    hashes: Mapping[str, str] = field(default_factory=dict)
    """Of their weights, by figure."""

    @classmethod
    def load(cls, params: EvaluateParams) -> Self:
        """Load what the parameters name and the installation brings."""
        files = {name: getattr(params, f"lpips_{name}") for name in TRUNKS}
        given = {name: Path(file) for name, file in files.items() if file is not None}
        original = None if params.inception is None else inception(Path(params.inception))
        backbones = [found for found in (original, efficientnet_lite0()) if found is not None]
        lpips = {name: Lpips(name, file) for name, file in given.items()}
        hashes = {f"lpips_{name}": judge.weights_hash for name, judge in lpips.items()}
        hashes |= {backbone.figures[0]: backbone.weights_hash for backbone in backbones}
        return cls(lpips=lpips, backbones=backbones, hashes=hashes)


class ImageMeter:
    """Collects pictures at one resolution and compares them with photos.

    Args:
        judges: Networks.
        paired: Whether each picture has its own photo.
        seed: Of the kernel distance's subsets.
    """

    def __init__(self, judges: Judges, *, paired: bool, seed: int) -> None:
        self.judges, self.paired, self.seed = judges, paired, seed
        self.count = 0
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._sets = {
            (backbone.figures, where): tuple(
                FeatureSet(backbone.dim, keep=len(backbone.figures) > 1) for _ in ("pictures", "photos")
            )
            for backbone in judges.backbones
            for where in WHERE
        }

    def update(self, pictures: Pictures, photos: Pictures, masks: Masks) -> None:
        """Take in (N, H, W, 3) pictures, the photos of the same people and (N, H, W) inpainting masks."""
        self.count += len(pictures)
        if self.paired:
            for picture, photo, mask in zip(pictures, photos, masks, strict=True):
                self._compare(picture, photo, mask)
        for backbone in self.judges.backbones:
            for where in WHERE:
                both = pictures, photos
                for features, seen in zip(self._sets[backbone.figures, where], both, strict=True):
                    shown = np.where(masks[..., None], seen, np.uint8(GREY)) if where else seen
                    features.update(backbone.features(shown))

    def section(self) -> dict[str, Any]:
        """Figures by name: numbers, or `{"absent": reason}`."""
        section: dict[str, Any] = {
            f"{name}{where}": self._absent(name) for name in self._names() for where in WHERE
        }
        if not self.count:
            return section
        section |= {name: finite(total / self.count) for name, total in self._sums.items()}
        for (names, where), sets in self._sets.items():
            distances = zip(names, self._distances(*sets), strict=False)
            section |= {f"{name}{where}": distance for name, distance in distances}
        return section | {"pictures": self.count}

    def _names(self) -> tuple[str, ...]:
        """What is measured; without a photo of the same there are only distances between sets."""
        return ("ssim", "psnr", *ABSENT) if self.paired else SET_FIGURES

    def _absent(self, name: str) -> dict[str, str]:
        """Why a figure is absent, unless it replaces this."""
        return {"absent": ABSENT[name] if self.count and name in ABSENT else "there are no such pictures"}

    def _compare(self, picture: Pictures, photo: Pictures, mask: Masks) -> None:
        """Add one pair's similarities."""
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
        for name, value in values.items():
            self._sums[name] += value

    def _distances(self, pictures: FeatureSet, photos: FeatureSet) -> list[Any]:
        """Frechet distance, and the kernel distance where features were kept."""
        if self.count < 2:
            return [{"absent": "needs at least 2 pictures"}] * 2
        distances: list[Any] = [frechet_distance(pictures.moments, photos.moments)]
        if pictures.keep:
            size = min(self.count, LARGEST_SUBSET)
            options = {"num_subsets": KERNEL_SUBSETS, "subset_size": size, "seed": self.seed}
            distances.append(kernel_distance(pictures.rows(), photos.rows(), **options)[0])
        return distances


def to_tensor(pictures: Pictures) -> Tensor:
    """(N, H, W, 3) uint8 to (N, 3, H, W) float in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255


def finite(value: float) -> float | dict[str, str]:
    """Keep a number; an infinite PSNR is absent with the reason."""
    return value if np.isfinite(value) else {"absent": "a picture equals its photo, so its PSNR is infinite"}
