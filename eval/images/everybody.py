"""The image metrics' own test: everybody of the split at the natural size, paired and unpaired."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from eval.images.fidelity import Pictures, Truth, flat_colour, shrunk
from eval.images.judges import Judges
from eval.images.meter import FIDELITY, ImageMeter
from eval.ladder.people import Wardrobe
from eval.params import EvaluateParams
from preprocess.sources.params import PaperDollParams
from shards.batch import Batch, select

Make = Callable[[Batch, bool], Sequence[Pictures | None]]
"""People, and whether they wear another's garment -> a (H, W, 3) picture each, None where there is none."""

FLAT_COLOUR = "flat_colour"
"""The baseline that knows where the garment is, and its mean colour."""


class ImageTest:
    """Image metrics at the pictures' own size and at every standard size that is smaller.

    `paired`: each picture has its own photo. Sizes are height and width (px).
    """

    def __init__(
        self,
        judges: Judges,
        image_hw: tuple[int, int],
        standard: Sequence[tuple[int, int]],
        *,
        paired: bool,
        seed: int,
    ) -> None:
        self.image_hw, self.standard = image_hw, standard
        sizes = {image_hw, *(size for size in standard if size[0] < image_hw[0] and size[1] < image_hw[1])}
        self._meters = {size: ImageMeter(judges, paired=paired, seed=seed) for size in sorted(sizes)}

    def update(self, pictures: Pictures, truth: Truth) -> None:
        """Take in (N, H, W, 3) pictures and what they are held against, of their own size."""
        for size, meter in self._meters.items():
            meter.update(shrunk(pictures, size), truth.at(size))

    def section(self) -> dict[str, Any]:
        """Figures at the own size, and a section `at_{height}x{width}` for every standard size."""
        standard = {f"at_{height}x{width}": self._at((height, width)) for height, width in self.standard}
        return self._meters[self.image_hw].section() | standard

    def _at(self, size: tuple[int, int]) -> dict[str, Any]:
        if size in self._meters:
            return self._meters[size].section()
        height, width = self.image_hw
        return {"absent": f"the pictures have {height}x{width} px: enlarged, the resizing would be measured"}


def image_section(
    batches: Iterable[Batch],
    wardrobe: Wardrobe,
    make: Make,
    judges: Judges,
    params: EvaluateParams,
    *,
    drawing: PaperDollParams | None = None,
    beside: Mapping[str, Make] = MappingProxyType({}),
) -> dict[str, Any]:
    """Compare a picture of everybody with their photos.

    Args:
        batches: The test split, all of one picture size.
        wardrobe: Knows whose garment each person tries on.
        make: The system.
        judges: Networks.
        params: How many people, and the sizes to compare at.
        drawing: How the people were drawn, None of photographs.
        beside: Baselines by name, compared in their own garments at the pictures' own size.

    Returns:
        `image` of metrics.json; in `unpaired` each person wears another's garment, so that there is no photo
        of that, and only the distances between sets of pictures can be taken.
    """
    tests: dict[bool, ImageTest] = {}
    rivals = {FLAT_COLOUR: flat_coloured} | dict(beside)
    meters = {name: ImageMeter(Judges(), paired=True, seed=params.seed) for name in rivals}
    asked = {True: 0, False: 0}
    for people in first_rows(batches, params.num_image_people):
        truth = Truth.of(people, drawing)
        for name, rival in rivals.items():
            take_in(meters[name], rival(people, False), truth)
        for unpaired, dressed in ((False, people), (True, wardrobe.swapped(people)[1])):
            image_hw = (people.image.shape[1], people.image.shape[2])
            test = tests.setdefault(
                unpaired,
                ImageTest(judges, image_hw, params.image_sizes, paired=not unpaired, seed=params.seed),
            )
            asked[unpaired] += len(dressed)
            made = make(dressed, unpaired) if len(dressed) else []
            take_in(test, made, Truth.of(dressed, None) if unpaired else truth)
    sections = {unpaired: test.section() | {"asked": asked[unpaired]} for unpaired, test in tests.items()}
    baselines = {name: fidelity_of(meter) for name, meter in meters.items()}
    return sections[False] | {"unpaired": sections[True], "baselines": baselines}


def take_in(test: ImageTest | ImageMeter, made: Sequence[Pictures | None], truth: Truth) -> None:
    """Compare the pictures that are there with the truth of everybody."""
    found = {row: picture for row, picture in enumerate(made) if picture is not None}
    if found:
        test.update(np.stack(list(found.values())), truth.rows(list(found)))


def fidelity_of(meter: ImageMeter) -> dict[str, Any]:
    """The figures of a baseline that stand beside the system's."""
    section = meter.section()
    return {name: section[name] for name in FIDELITY}


def flat_coloured(people: Batch, unpaired: bool) -> list[Pictures | None]:  # noqa: ARG001 - own garments alone
    """Draw everybody in a garment of one colour."""
    return [flat_colour(people, row) for row in range(len(people))]


def first_rows(batches: Iterable[Batch], count: int | None) -> Iterable[Batch]:
    """Yield batches with the first `count` samples, or all."""
    left = count
    for batch in batches:
        part = batch if left is None or left >= len(batch) else select(batch, range(left))
        yield part
        left = None if left is None else left - len(part)
        if left == 0:
            return
