"""Of paper dolls the true picture at any size is known: each is drawn again as it was asked for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.images.fidelity import Pictures, Redrawn, Truth, doll_of, drawn_again
from eval.images.judges import Judges
from eval.images.meter import FIDELITY, NO_PICTURES, ImageMeter
from eval.ladder.people import Scene
from eval.ladder.remeasure import Reading
from eval.ladder.scoring import Cell
from eval.ladder.trials import FitError
from preprocess.sizes.axes import AXIS_NAMES, FIT_PLACE
from preprocess.sources.paper_dolls.sample import DRAWN, DollSample, plain_sample, sample_of_key
from preprocess.sources.params import PaperDollParams

Floats = NDArray[np.float64]

NO_DOLLS = "needs people who can be drawn again at another size: paper dolls"


class Counterfactual:
    """Sees the pictures of ladders, and compares those of the width's with what they should be.

    Args:
        scene: The people.
        requests: (P, A, R, A) what is asked for.
        drawing: How the people were drawn; None of photographs, whose other sizes nobody photographed.
        garments: P keys of those whose garment each person is in.
    """

    def __init__(
        self, scene: Scene, requests: Floats, drawing: PaperDollParams | None, garments: Sequence[str]
    ) -> None:
        self.scene, self.requests, self.drawing, self.garments = scene, requests, drawing, garments
        self._dolls: dict[int, DollSample | None] = {}
        self._meter = ImageMeter(Judges(), paired=True, seed=0)

    def __call__(self, cell: Cell, picture: Pictures, reading: Reading, error: FitError) -> None:  # noqa: ARG002
        """Compare one (H, W, 3) picture."""
        person, axis, _ = cell
        doll = self.doll(person) if axis == FIT_PLACE else None
        if doll is not None:
            self._meter.update(picture[None], self.truth(person, doll, self.requests[cell]))

    def section(self) -> dict[str, Any]:
        """The figures of `FIDELITY`, and how many pictures, garments and prints are behind them."""
        section = self._meter.section()
        if "pictures" not in section:
            return {"absent": NO_DOLLS if self._dolls else NO_PICTURES}
        return {name: section[name] for name in (*FIDELITY, "pictures", "garments", "prints")}

    def doll(self, person: int) -> DollSample | None:
        """Who a person is, in the garment that is tried on; None where it is no doll, or isn't known."""
        if person not in self._dolls:
            own = doll_of(self.drawing, self.scene.keys[person], self.scene.photos[person])
            self._dolls[person] = own and self.dressed(own, self.garments[person])
        return self._dolls[person]

    def dressed(self, doll: DollSample, key: str) -> DollSample:
        """Dress a doll in the garment of another, or its own."""
        assert self.drawing is not None
        other = sample_of_key(self.drawing, key)
        return replace(doll, design=other.design, sleeve_end=other.sleeve_end)

    def truth(self, person: int, doll: DollSample, requested: Floats) -> Truth:
        """What a picture at (A,) requested ratios is held against; one that isn't known is the doll's own."""
        assert self.drawing is not None
        asked = requested[[AXIS_NAMES.index(name) for name in DRAWN[doll.category]]]
        ratios = np.where(np.isfinite(asked), asked, doll.ratios)
        shape = self.scene.photos.shape[1:]
        photo, garment = drawn_again(self.drawing, doll, shape, ratios)
        plain = plain_sample(doll)
        without = None if plain is None else drawn_again(self.drawing, plain, shape, ratios)[0]
        return Truth(
            photos=photo[None],
            masks=self.scene.inpaint_masks[[person]],
            garments=garment[None],
            prints=[None if without is None else Redrawn(photo, without)],
        )
