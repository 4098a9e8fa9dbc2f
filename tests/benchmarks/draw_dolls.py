"""Draw a sheet of paper dolls to look at: a row a category, each with its garment's photo.

python -m tests.benchmarks.draw_dolls SHEET.png [DOLLS_A_ROW] [SEED] [IMAGE_HEIGHT]
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocess.sources.paper_dolls.sample import doll_sample, flat_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Category

CLOTH_SHARE = 3
"""The garment's photo is so many times smaller than the doll's."""


def tile(params: PaperDollParams, index: int) -> NDArray[np.uint8]:
    """Draw one doll with its garment's photo in the upper left corner."""
    sample = doll_sample(params, "train", index)
    picture = render_sample(params, sample).image
    cloth, _ = flat_sample(params, sample)
    small = (params.image_width // CLOTH_SHARE, params.image_height // CLOTH_SHARE)
    picture[: small[1], : small[0]] = cv2.resize(cloth, small, interpolation=cv2.INTER_AREA)
    return picture


def main(out: Path, dolls: int, seed: int, image_height: int) -> None:
    """Write the sheet."""
    size = {"image_height": image_height, "image_width": image_height * 3 // 4}
    rows = []
    for category in Category:
        params = PaperDollParams(**size, seed=seed, categories=(category,))
        rows.append(np.concatenate([tile(params, index) for index in range(dolls)], axis=1))
    Image.fromarray(np.concatenate(rows)).save(out, optimize=True)


if __name__ == "__main__":
    numbers = [int(value) for value in sys.argv[2:]]
    main(Path(sys.argv[1]), *(numbers + [8, 0, 320][len(numbers) :]))
