"""What `garment_refresh` costs and changes on a trained base, on held-out people.

Run: `python -m tests.benchmarks.measure_refresh artifacts/base artifacts/shards`. The first row is the
reference: the garment UNet runs at every step. PSNR is over the inpainting mask.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from eval.params import EvaluateParams
from model.params import DrawingOptions
from model.pixels import to_uint8
from model.sampling import sample_tryon
from pipeline.checkpoints import image_size, load_base
from pipeline.evaluation.evaluation import held_out, open_test_split
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import Category

STEPS = 20
EVERY = (1, 2, 5, 10, 0)
PARAMS = EvaluateParams(num_people=24)


def psnr(first: NDArray[np.uint8], second: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """Return the peak signal-to-noise ratio (dB) of (B, H, W, 3) pictures where (B, H, W) `mask` is true."""
    error = (first.astype(np.float64) - second)[mask]
    return float(10 * np.log10(255**2 / max(np.square(error).mean(), 1e-12)))


@torch.no_grad()
def main(base_folder: Path, shards: Path) -> None:
    """Print a row for each interval."""
    base = load_base(base_folder)
    stream = open_test_split(shards / "test" / "index.json", image_size(base_folder), PARAMS)
    people = held_out(stream, PARAMS, {Category.UPPER: np.ones(len(AXIS_NAMES), bool)})
    conditioning = base.told(people)
    start = torch.Generator(device=base.device).manual_seed(0)
    noise = torch.randn(conditioning.canvas.shape, generator=start, device=base.device)
    mask = people.inpaint_mask != 0
    reference = None
    print(f"{'every':>8} {'process s':>10} {'PSNR to every step':>20} {'PSNR to the photo':>20}")  # noqa: T201
    for every in EVERY:
        began = time.process_time()
        options = DrawingOptions(num_steps=STEPS, garment_refresh=every)
        latents = sample_tryon(base, conditioning, options, noise=noise)
        seconds = time.process_time() - began
        pictures = to_uint8(base.to_images(latents)).cpu().numpy()
        reference = pictures if reference is None else reference
        figures = (psnr(pictures, reference, mask), psnr(pictures, people.image, mask))
        print(f"{every:8} {seconds:10.2f} {figures[0]:20.2f} {figures[1]:20.2f}")  # noqa: T201


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
