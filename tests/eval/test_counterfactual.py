"""Pictures of ladders beside dolls that are drawn again at the requested size."""

from dataclasses import replace

import numpy as np
import pytest

from eval.images.counterfactual import NO_DOLLS, Counterfactual
from eval.images.meter import FIDELITY, NO_PICTURES
from eval.ladder.scoring import Scorer, ladder_cells
from preprocess.sizes.axes import AXIS_NAMES, FIT_PLACE
from preprocess.sources.paper_dolls.sample import render_sample
from tests.eval.dolls import DollStudio
from tests.sizes import TOP_PLACES, of_tops

STUDIO = DollStudio(3)
SCENE = STUDIO.scene
VALUES = of_tops(np.transpose([[0.95, 1.35], [0.95, 1.55], [0.6, 1.1]])).T
REQUESTS = ladder_cells(SCENE.natural, VALUES)
SCORER = Scorer(SCENE, STUDIO.segment, batch_size=4, num_points=64)
OTHERS = [SCENE.keys[1], SCENE.keys[2], SCENE.keys[0]]
WIDTHS = len(SCENE.keys) * VALUES.shape[1]


def test_what_the_doll_looks_like_at_the_requested_size_is_perfect() -> None:
    truth = Counterfactual(SCENE, REQUESTS, STUDIO.params, SCENE.keys)
    SCORER.score("truth", STUDIO.draw, REQUESTS, truth)
    found = truth.section()
    assert found["ssim_inside_mask"] == pytest.approx(1.0, abs=1e-4)
    assert found["garment_delta_e"] == 0.0
    assert found["psnr_inside_mask"] == {"absent": "a picture equals its photo, so its PSNR is infinite"}
    assert found["pictures"] == found["garments"] == WIDTHS, "the ladders of shoulder and length don't count"
    printed = sum(sample.design.pattern != "plain" for sample in STUDIO.samples)
    assert found["prints"] == printed * VALUES.shape[1]
    assert found["print_kept"] == 1.0


def test_the_photo_is_held_against_the_doll_in_another_size() -> None:
    """By hand: the squared error of each photo to the doll at each width, over all of the picture."""
    truth = Counterfactual(SCENE, REQUESTS, STUDIO.params, SCENE.keys)
    SCORER.score("natural", lambda person, asked: SCENE.photos[[person] * len(asked)], REQUESTS, truth)
    expected = []
    for person, sample in enumerate(STUDIO.samples):
        for rung in range(VALUES.shape[1]):
            ratios = REQUESTS[person, FIT_PLACE, rung][TOP_PLACES]
            drawn = render_sample(STUDIO.params, sample, ratios).image.astype(float)
            expected.append(10 * np.log10(255**2 / np.mean((drawn - SCENE.photos[person]) ** 2)))
    assert truth.section()["psnr_inside_mask"] == pytest.approx(np.mean(expected), abs=1e-3)


def test_another_garment_is_drawn_on_the_same_body() -> None:
    """Whoever draws the own garment is far off; whoever draws the other one is right to the pixel."""
    told = {}
    for name, garments in (("own", SCENE.keys), ("others", OTHERS)):
        truth = Counterfactual(SCENE, REQUESTS, STUDIO.params, OTHERS)
        wearing = [next(s for s in STUDIO.samples if s.key == key) for key in garments]
        dressed = DollStudio(3)
        dressed.samples = [
            replace(sample, design=worn.design, sleeve_end=worn.sleeve_end)
            for sample, worn in zip(STUDIO.samples, wearing, strict=True)
        ]
        Scorer(SCENE, dressed.segment, batch_size=4, num_points=64).score(name, dressed.draw, REQUESTS, truth)
        told[name] = truth.section()["garment_delta_e"]
    assert told["others"] == 0.0
    assert told["own"] > 5


@pytest.mark.parametrize("change", ["photographs", "another seed", "another name"])
def test_nobody_can_draw_a_stranger_again(change: str) -> None:
    drawing = None if change == "photographs" else replace(STUDIO.params, seed=5 * (change == "another seed"))
    keys = ["me", "you", "us"] if change == "another name" else SCENE.keys
    truth = Counterfactual(replace(SCENE, keys=keys), REQUESTS, drawing, keys)
    SCORER.score("truth", STUDIO.draw, REQUESTS, truth)
    assert truth.section() == {"absent": NO_DOLLS}


def test_dolls_without_pictures_are_no_strangers() -> None:
    """Another system may have no pictures of people in another's garment, or none at any other width."""
    truth = Counterfactual(SCENE, REQUESTS, STUDIO.params, SCENE.keys)
    assert truth.section() == {"absent": NO_PICTURES}
    SCORER.score(
        "lengths", STUDIO.draw, ladder_cells(SCENE.natural, VALUES, [AXIS_NAMES.index("length")]), truth
    )
    assert truth.section() == {"absent": NO_PICTURES}


def test_every_figure_of_fidelity_is_there() -> None:
    truth = Counterfactual(SCENE, REQUESTS, STUDIO.params, SCENE.keys)
    SCORER.score("natural", lambda person, asked: SCENE.photos[[person] * len(asked)], REQUESTS, truth)
    assert set(truth.section()) == {*FIDELITY, "pictures", "garments", "prints"}
