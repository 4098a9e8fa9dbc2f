"""The section `evaluate_tryon` of params.yaml. Imports no torch: every stage checks the whole file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

from model.params import DrawingOptions, switches_of


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateParams(DrawingOptions):
    """Section `evaluate_tryon` of params.yaml: how pictures are drawn, and how they are judged.

    The seed is that of the noise, of the bootstrap and of the shuffled control.
    """

    num_people: Annotated[int, Gt(0)] = 24
    """Held-out people on every fit ladder: the first of the test split whose ratios are known."""

    num_rungs: Annotated[int, Ge(2)] = 7
    """Requests along each ratio, evenly spaced."""

    lowest_quantile: Annotated[float, Ge(0), Lt(1)] = 0.05
    """Quantile of the train split's ratios where a ladder starts."""

    highest_quantile: Annotated[float, Gt(0), Le(1)] = 0.95
    """Quantile of the train split's ratios where a ladder ends."""

    out_of_range: Annotated[float, Ge(0)] = 0.15
    """How far beyond both ends one more request is tried, as a share of the ladder's span; 0: none is."""

    batch_size: Annotated[int, Gt(0)] = 32
    """Pictures of a person that are drawn and measured together."""

    low_memory: str = "off"
    """`24`, `16` or `8`, the GB of the GPU: what try-on's option of this name does, but for how many pictures
    are drawn together, which `batch_size` says. Half precision changes pictures a little."""

    measured_height: Annotated[int, Gt(0)] = 256
    """Soft masks are enlarged by a whole factor to at least so many rows, to measure below a pixel."""

    num_boundary_points: Annotated[int, Ge(8)] = 256
    """Points on each boundary for the geometric fit deviation."""

    num_bootstrap: Annotated[int, Gt(0)] = 2000
    """Resamples of the people behind each 95 % interval."""

    num_shuffles: Annotated[int, Gt(0)] = 20
    """Permutations of the requests that the shuffled control averages."""

    num_strip_people: Annotated[int, Gt(0)] = 5
    """Rows of the picture strip."""

    num_worst: Annotated[int, Ge(0)] = 8
    """Pictures with the largest deviation that the report shows."""

    num_image_people: Annotated[int, Gt(0)] | None = None
    """People of the test split in the image metrics, paired and unpaired; null: all of them."""

    image_sizes: tuple[tuple[int, int], ...] = ((1024, 768), (512, 384))
    """Heights and widths (px) that image metrics are taken at, beside the pictures' own."""

    lpips_alex: str | None = None
    """File with torchvision's AlexNet weights; without it this LPIPS is absent."""

    lpips_vgg: str | None = None
    """File with torchvision's VGG-16 weights; without it this LPIPS is absent."""

    lpips_squeeze: str | None = None
    """File with torchvision's SqueezeNet 1.1 weights; without it this LPIPS is absent."""

    inception: str | None = None
    """TorchScript file inception-2015-12-05.pt of FID and KID; without it both are absent."""

    def __post_init__(self) -> None:
        DrawingOptions.__post_init__(self)  # super() doesn't know a class with slots that dataclass made anew
        switches_of(self.low_memory)
        if self.lowest_quantile >= self.highest_quantile:
            raise ValueError(
                f"lowest_quantile ({self.lowest_quantile}) must be below "
                f"highest_quantile ({self.highest_quantile})"
            )

    def weights_of_metrics(self) -> dict[str, Path]:
        """Files of weights that are given, by their keys here."""
        keys = "lpips_alex", "lpips_vgg", "lpips_squeeze", "inception"
        files = {key: getattr(self, key) for key in keys}
        return {key: Path(file) for key, file in files.items() if file is not None}
