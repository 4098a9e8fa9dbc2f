"""How well evaluation measures widths on true pictures, with their masks: what no drawn picture can better.

    python -m tests.benchmarks.measure_ruler SPLIT [HEIGHT PEOPLE]

SPLIT is a folder of shards (artifacts/shards/train), of photographs or dolls; pictures are read HEIGHT px
tall (96), three by four, of the first PEOPLE (all). Each garment is read as a drawn one is, by its mask alone
and by mask and picture, and held against the width that the data has: that was measured on the photo of full
size, with its parse map.
"""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.ladder.people import scene_of
from eval.ladder.remeasure import enlarge, enlarge_keypoints, read_garment
from eval.params import EvaluateParams
from preprocess.sizes.axes import FIT_PLACE
from preprocess.vocabulary import Category
from shards.stream import SampleStream

Floats = NDArray[np.float64]


def widths(split: Path, height: int) -> Iterator[Floats]:
    """Yield (3,) widths of people in tops and dresses: the data's, by the mask, by mask and picture."""
    width = height * 3 // 4
    stream = SampleStream(split / "index.json", batch_size=16, image_height=height, image_width=width, seed=0)
    for batch in stream.epoch_batches():
        scene = scene_of(batch, EvaluateParams().measured_height)
        for person, category in enumerate(scene.categories):
            if category is not Category.LOWER:
                mask = enlarge(scene.garment_covers[person], scene.factor)
                joints = enlarge_keypoints(scene.keypoints[person], scene.factor)
                found = read_garment(mask, joints, category), scene.worn(person)
                yield np.array([scene.natural[person, FIT_PLACE], *(one.ratios[FIT_PLACE] for one in found)])


def told(name: str, found: Floats, data: Floats) -> str:
    """How many widths are known, and how far they are from the data's."""
    off = np.abs(found / data - 1)[np.isfinite(found) & np.isfinite(data)]
    far = f", off by {np.median(off):.1%} in the median, {np.quantile(off, 0.95):.1%} at the 95th percentile"
    return f"{name}: {np.isfinite(found).mean():.1%} known{far if len(off) else ''}\n"


if __name__ == "__main__":
    folder, rows, people = (*sys.argv[1:], "96", "1000000")[:3] if len(sys.argv) == 2 else sys.argv[1:]
    data, alone, seen = np.array(list(islice(widths(Path(folder), int(rows)), int(people)))).T
    sys.stdout.write(f"{len(data)} people, of whom the data knows {np.isfinite(data).mean():.1%}\n")
    sys.stdout.write(told("by the mask", alone, data) + told("by mask and picture", seen, data))
