"""Garments whose sleeves are asked for at another length: what they cover measures so, and nests."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from preprocess.body.canvas import Mask
from preprocess.body.keypoints import Keypoints
from preprocess.garment.measurements import measure_worn
from preprocess.garment.parse import garment_mask
from preprocess.layout.resized import hanging_layout
from preprocess.sources.paper_dolls.sample import doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Category
from tests.preprocess.people import person
from tests.preprocess.test_inpaint_mask import keypoints_of
from tests.preprocess.test_sleeves import parse_with, wide_armed

RUNGS = (0.22, 0.3, 0.45, 0.6, 0.75, 0.9)


def measured(garment: Mask, keypoints: Keypoints) -> np.ndarray:
    """(4,) ratios of shoulder, width, length and sleeve."""
    worn = measure_worn(garment, keypoints)
    over = {"shoulder": "shoulder", "width": "shoulder", "length": "torso", "sleeve": "arm"}
    return np.array([worn.lengths[name].value / worn.body[body] for name, body in over.items()])


def doll(index: int, end: float, category: Category = Category.UPPER) -> tuple[Mask, Keypoints]:
    """A doll whose sleeves end at a share of the arm."""
    params = PaperDollParams(train=100, test=4, categories=(category,))
    sample = replace(doll_sample(params, "train", index), sleeve_end=end)
    picture = render_sample(params, sample)
    return garment_mask(picture.parse, category), keypoints_of(picture)


def at(garment: Mask, keypoints: Keypoints, sleeve: float, **others: float) -> Mask:
    """The garment with sleeves of another length, and other sizes if given."""
    wanted = np.array([*(others.get(name, np.nan) for name in ("shoulder", "width", "length")), sleeve])
    layout = hanging_layout(garment, keypoints, measured(garment, keypoints), wanted)
    assert layout is not None
    return layout


@pytest.mark.parametrize("worn", [0.25, 0.9])
def test_sleeves_are_cut_and_lengthened_to_what_was_asked_for(worn: float) -> None:
    keypoints = wide_armed()
    garment = garment_mask(parse_with(keypoints, worn, worn), Category.UPPER)
    for wanted in RUNGS:
        layout = at(garment, keypoints, wanted)
        found, before = measured(layout, keypoints), measured(garment, keypoints)
        np.testing.assert_allclose(found[3], wanted, atol=0.01)
        np.testing.assert_allclose(found[:3], before[:3], rtol=0.01)


def test_a_longer_sleeve_covers_a_shorter_and_a_shorter_one_adds_nothing() -> None:
    keypoints = wide_armed()
    garment = garment_mask(parse_with(keypoints, 0.4, 0.4), Category.UPPER)
    ladder = [at(garment, keypoints, wanted) for wanted in RUNGS]
    assert not any((short & ~long).any() for short, long in itertools.pairwise(ladder))
    assert not (ladder[0] & ~garment).any()
    assert (garment & ~ladder[-1]).sum() <= 1  # a corner of its hem is rounded


def test_a_garment_without_sleeves_gets_some() -> None:
    keypoints = wide_armed()
    garment = garment_mask(parse_with(keypoints, 0, 0, shoulder=190), Category.UPPER)
    np.testing.assert_allclose(measured(at(garment, keypoints, 0.5), keypoints)[3], 0.5, atol=0.01)


def test_a_narrower_panel_bares_no_sleeve_that_was_under_it() -> None:
    """At 0.8 B a doll's panel uncovers arms that it hung over: their sleeves go on from the shoulders."""
    params = PaperDollParams(train=1000, test=1000)
    picture = render_sample(params, replace(doll_sample(params, "test", 10), sleeve_end=0.5))
    garment, keypoints = garment_mask(picture.parse, Category.UPPER), keypoints_of(picture)
    for wanted in (0.33, 0.6, 0.84):
        found = measured(at(garment, keypoints, wanted, width=0.8), keypoints)[3]
        np.testing.assert_allclose(found, wanted, atol=0.02)


def test_an_arm_that_was_not_found_keeps_its_sleeve() -> None:
    keypoints = wide_armed()
    garment = garment_mask(parse_with(keypoints, 0.5, 0.5), Category.UPPER)
    missing = keypoints.without(np.arange(25) == 7)
    layout = hanging_layout(garment, missing, measured(garment, keypoints), np.array([np.nan] * 3 + [0.2]))
    assert layout is not None
    left = np.arange(garment.shape[1]) > person().xy[1, 0] + 140
    np.testing.assert_array_equal(layout[:, left], garment[:, left])
    assert (garment & ~layout)[:, ~left].any()


@pytest.mark.parametrize("category", [Category.UPPER, Category.DRESS])
def test_layouts_of_dolls_measure_and_nest_beside_other_sizes(category: Category) -> None:
    errors, shares = [], []
    for index in range(6):
        garment, keypoints = doll(index, 0.35, category)
        if not np.isfinite(measured(garment, keypoints)).all():
            continue
        ladder = [at(garment, keypoints, wanted, width=1.2) for wanted in RUNGS]
        found = [measured(layout, keypoints)[3] for layout in ladder]
        errors += [abs(a - b) for a, b in zip(found, RUNGS, strict=True) if np.isfinite(a)]
        shares += [(one & two).sum() / one.sum() for one, two in itertools.pairwise(ladder)]
    assert len(errors) >= 12
    assert np.mean(np.array(errors) <= 0.02) >= 0.9
    assert min(shares) >= 0.999
