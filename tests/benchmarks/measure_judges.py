"""How the judges of a base read true pictures: paper dolls drawn at five sizes along each axis.

    python -m tests.benchmarks.measure_judges FOLDER [PEOPLE] [SEED]

FOLDER is what `train_base` wrote. Printed are slope and mean absolute error, means over the people of a
category, of the garment as one bit a pixel and as the share of each pixel that it covers (what a perfect
segmenter could tell), of the segmenter, and of the critic, which looks at latents of the pictures.
"""

import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from eval.ladder.figures import mae, slope
from eval.ladder.people import enlargement
from eval.ladder.remeasure import enlarge, enlarge_keypoints, enlarge_picture, read_garment
from eval.params import EvaluateParams
from model.adapter.body_maps import body_maps
from model.bases import open_base
from model.judges.critic import SizeCritic
from model.judges.segmenter import Segmenter, segment_with
from model.pixels import from_uint8
from pipeline.checkpoints import image_size
from preprocess.body.needs import needs_of
from preprocess.garment.parse import garment_mask
from preprocess.sizes.axes import AXIS_NAMES, axes_of
from preprocess.sources.paper_dolls.lower import LENGTHS, LowerDesign
from preprocess.sources.paper_dolls.sample import DRAWN, DollSample, doll_sample, flat_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import TRIED_ON, Category
from shards.codec import WHOLE, decide, resized

RUNGS = 5


class Seen(NamedTuple):
    """A doll at one size, as networks see it."""

    picture: NDArray[np.uint8]
    cover: NDArray[np.uint8]
    joints: NDArray[np.float32]
    true: float
    """NaN where a top hangs over what is measured."""


def seen(params: PaperDollParams, doll: DollSample, axis: str, ratio: float, hw: tuple[int, int]) -> Seen:
    """Draw a doll whose garment has one ratio changed."""
    ratios = doll.ratios.copy()
    ratios[list(DRAWN[doll.category]).index(axis)] = ratio
    drawn = render_sample(params, doll, ratios)
    garment = garment_mask(drawn.parse, doll.category).view(np.uint8) * np.uint8(WHOLE)
    joints = drawn.keypoints * [hw[1] / params.image_width, hw[0] / params.image_height, 1]
    joints = np.where(drawn.keypoints[:, 2:] > 0, joints, (np.nan, np.nan, 0)).astype(np.float32)
    hidden = axis == "waist" and drawn.truth["waist_covered"]
    true = np.nan if hidden else drawn.truth[f"{axis}_ratio"]
    return Seen(resized(drawn.image, *hw), resized(garment, *hw), joints, true)


def can_be_measured(ladder: list[Seen], category: Category) -> bool:
    """Whether a doll has the joints that its garment is measured against, and no top over it."""
    found = ladder[0].joints[list(needs_of(category).trusted), 2].all()
    return bool(found) and not np.isnan([one.true for one in ladder]).any()


def drawn_at(doll: DollSample, axis: str) -> tuple[float, float]:
    """Ratios between which a doll's garment is drawn."""
    if axis == "length" and isinstance(doll.design, LowerDesign):
        return LENGTHS[doll.design.kind]
    return DRAWN[doll.category][axis]


def read(covers: NDArray[np.floating], ladder: list[Seen], category: Category, axis: str) -> list[float]:
    """Measure a ladder's garments."""
    factor, place = enlargement(covers.shape[1], EvaluateParams().measured_height), AXIS_NAMES.index(axis)
    return [
        read_garment(
            enlarge(cover, factor),
            enlarge_keypoints(seen.joints, factor),
            category,
            enlarge_picture(seen.picture, factor),
        ).ratios[place]
        for cover, seen in zip(covers, ladder, strict=True)
    ]


class Judges:
    """Segmenter and critic of a base."""

    def __init__(self, folder: Path) -> None:
        self.hw = image_size(folder)
        self.base = open_base(folder).eval()
        self.segmenter = Segmenter.from_pretrained(folder / "segmenter").eval()
        self.critic = SizeCritic.from_pretrained(folder / "size_critic").eval()

    @torch.no_grad()
    def readings(
        self, ladder: list[Seen], cloth: NDArray[np.uint8], category: Category, axis: str
    ) -> dict[str, list[float]]:
        """By who reads, the ratios of a ladder."""
        pictures, covers = (np.stack([getattr(one, name) for one in ladder]) for name in ("picture", "cover"))
        found = segment_with(self.segmenter, pictures, np.repeat(cloth[None], len(ladder), axis=0))
        latents = self.base.to_latents(from_uint8(pictures))
        joints, worn = (
            torch.from_numpy(np.stack([one.joints for one in ladder])),
            [str(category)] * len(ladder),
        )
        maps = body_maps(joints, self.hw, (latents.shape[2], latents.shape[3]), worn)
        ratios = self.critic(latents, maps.to(latents), worn).ratios[:, AXIS_NAMES.index(axis)]
        seen_as = {"one bit": decide(covers) * 1.0, "shares": covers / WHOLE, "segmenter": found}
        return {name: read(c, ladder, category, axis) for name, c in seen_as.items()} | {
            "critic": ratios.tolist()
        }


def main(folder: Path, people: int, seed: int) -> None:
    """Print slopes and errors."""
    judges = Judges(folder)
    params = PaperDollParams(
        train=len(TRIED_ON),
        test=people * len(TRIED_ON),
        image_height=512,
        image_width=384,
        seed=seed,
        categories=TRIED_ON,
    )
    told = defaultdict(lambda: defaultdict(list))  # type: ignore[var-annotated]
    for index in range(params.test):
        doll = doll_sample(params, "test", index)
        cloth = resized(flat_sample(params, doll)[0], *judges.hw)
        for axis in (name for name in axes_of(doll.category) if name in DRAWN[doll.category]):
            low, high = drawn_at(doll, axis)
            rungs = np.linspace(low, high, 2 * RUNGS + 1)[1::2]
            ladder = [seen(params, doll, axis, ratio, judges.hw) for ratio in rungs]
            if can_be_measured(ladder, doll.category):
                for name, ratios in judges.readings(ladder, cloth, doll.category, axis).items():
                    told[doll.category, axis][name].append(([one.true for one in ladder], ratios))
    lines = []
    for (category, axis), by_name in sorted(told.items()):
        lines.append(f"{category} {axis}, {len(by_name['shares'])} people")
        for name, ladders in by_name.items():
            true, found = np.array(ladders).swapaxes(0, 1)
            rise, error = np.nanmean(slope(true, found)), np.nanmean(mae(true, found))
            lines.append(f"  {name:10s} slope {rise:.3f} MAE {error:.3f}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    numbers = [int(word) for word in sys.argv[2:]] + [20, 101][len(sys.argv) - 2 :]
    main(Path(sys.argv[1]), *numbers)
