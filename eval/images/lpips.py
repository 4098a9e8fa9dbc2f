"""LPIPS without torchvision: a trunk from the user's file, the learned weights from torchmetrics' package."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
import torchmetrics.functional.image as torchmetrics_image
from torch import Tensor, nn

from eval.report.card import file_hash

SHIFT, SCALE = (
    (-0.030, -0.088, -0.188),
    (0.458, 0.448, 0.450),
)  # of pictures in -1..1, to ImageNet's statistics
EPSILON = 1e-8


class Trunk(NamedTuple):
    """A classifier's convolutions, and where its activations are compared."""

    layers: nn.Sequential
    """Numbered as torchvision's `features`."""

    taps: tuple[int, ...]
    """Activations behind these many layers."""


def alex() -> Trunk:
    """Build AlexNet's convolutions (Krizhevsky 2014, as torchvision has them)."""
    relu = nn.ReLU
    layers = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        relu(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        relu(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        relu(),
        nn.Conv2d(384, 256, 3, padding=1),
        relu(),
        nn.Conv2d(256, 256, 3, padding=1),
        relu(),
    )
    return Trunk(layers, (2, 5, 8, 10, 12))


def vgg() -> Trunk:
    """Build VGG-16's convolutions (Simonyan & Zisserman 2015, configuration D)."""
    layers: list[nn.Module] = []
    taps: list[int] = []
    channels = 3
    for width, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers += [nn.MaxPool2d(2)] if taps else []
        for _ in range(repeats):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        taps.append(len(layers))
    return Trunk(nn.Sequential(*layers), tuple(taps))


class Fire(nn.Module):
    """SqueezeNet's block: 1x1 convolutions to few channels, then 1x1 and 3x3 ones side by side."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, 2 expanded, H, W)."""
        few = self.squeeze(hidden).relu()
        return torch.cat([self.expand1x1(few), self.expand3x3(few)], dim=1).relu()


def squeeze() -> Trunk:
    """Build SqueezeNet 1.1's convolutions (Iandola et al. 2016, as torchvision has them)."""
    halve = partial(nn.MaxPool2d, 3, 2, ceil_mode=True)
    layers = nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2),
        nn.ReLU(),
        halve(),
        *(Fire(64, 16, 64), Fire(128, 16, 64)),
        halve(),
        *(Fire(128, 32, 128), Fire(256, 32, 128)),
        halve(),
        *(Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)),
    )
    return Trunk(layers, (2, 5, 8, 10, 11, 12, 13))


TRUNKS = {"alex": alex, "vgg": vgg, "squeeze": squeeze}


class Lpips(nn.Module):
    """Learned perceptual distance of two pictures.

    Args:
        name: One of `TRUNKS`.
        weights: File with torchvision's state dict of that classifier; its `features.*` are read.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file's weights are not those of the trunk.

    Source:
        Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", 2018.
    """

    def __init__(self, name: str, weights: Path) -> None:
        super().__init__()
        trunk = TRUNKS[name]()
        self.layers, self.taps = trunk.layers, trunk.taps
        self.layers.load_state_dict(read_trunk(weights, self.layers))
        heads = Path(torchmetrics_image.__file__).parent / "lpips_models" / f"{name}.pth"
        learned = torch.load(heads, map_location="cpu", weights_only=True)
        self.weights_hash = file_hash(weights)
        self.heads = [learned[f"lin{index}.model.1.weight"] for index in range(len(self.taps))]
        self.requires_grad_(False).eval()

    def forward(self, one: Tensor, other: Tensor, masks: Tensor | None = None) -> Tensor:
        """Return (N,) distances of (N, 3, H, W) pictures in 0..1.

        Masks are (N, 1, H, W) weights of the pixels; a coarser grid takes their means. All count if None.
        """
        return self.distances(one, other, [masks])[0]

    def distances(self, one: Tensor, other: Tensor, masks: Sequence[Tensor | None]) -> list[Tensor]:
        """Distances under each of several masks, from one pass through the trunk; see `forward`."""
        pairs = zip(self.activations(one), self.activations(other), self.heads, strict=True)
        maps = [nn.functional.conv2d((unit(a) - unit(b)) ** 2, head.to(a)) for a, b, head in pairs]
        return [torch.stack([weighted(m, weights) for m in maps]).sum(dim=0) for weights in masks]

    def activations(self, pictures: Tensor) -> list[Tensor]:
        """Activations of pictures in 0..1 at every tap."""
        shift, scale = (pictures.new_tensor(values).view(1, 3, 1, 1) for values in (SHIFT, SCALE))
        hidden = (pictures * 2 - 1 - shift) / scale
        found = []
        for start, stop in pairwise((0, *self.taps)):
            hidden = self.layers[start:stop](hidden)
            found.append(hidden)
        return found


def weighted(maps: Tensor, masks: Tensor | None) -> Tensor:
    """Mean of (N, 1, h, w) maps, weighted by (N, 1, H, W) masks, (N,)."""
    if masks is None:
        return maps.mean(dim=(1, 2, 3))
    weights = nn.functional.adaptive_avg_pool2d(masks, (maps.shape[2], maps.shape[3]))
    return (maps * weights).sum(dim=(1, 2, 3)) / weights.sum(dim=(1, 2, 3))


def unit(activations: Tensor) -> Tensor:
    """Scale (N, C, H, W) activations to unit length along C."""
    return activations / torch.sqrt(EPSILON + activations.square().sum(dim=1, keepdim=True))


def read_trunk(weights: Path, layers: nn.Sequential) -> dict[str, Tensor]:
    """Read the `features.*` of a torchvision state dict, checked against `layers`."""
    if not weights.is_file():
        raise FileNotFoundError(f"LPIPS weights {weights} not found: give torchvision's file, or null")
    state = torch.load(weights, map_location="cpu", weights_only=True)
    found = {
        key.removeprefix("features."): value for key, value in state.items() if key.startswith("features.")
    }
    wanted = {key: value.shape for key, value in layers.state_dict().items()}
    if {key: value.shape for key, value in found.items()} != wanted:
        raise ValueError(
            f"{weights} must hold torchvision's `features.*` weights for LPIPS, which are {sorted(wanted)}, "
            f"got {sorted(found)}"
        )
    return found
