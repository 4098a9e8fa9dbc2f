"""Which people validation draws, whether the evaluation draws them too, and what its pictures show."""

import logging
from dataclasses import replace

import cv2
import numpy as np
import pytest

from eval.params import EvaluateParams
from model.adapter.adapter import SizeAdapter
from model.bases.tiny.networks import build_tiny_base
from model.params import DrawingOptions
from model.sampling import SizedDrawer, TryOnInputs
from pipeline.training.validation import last_people, planned, typical_ratios, warn_of_overlap
from preprocess.vocabulary import Category
from shards.batch import Batch
from tests.model.conftest import jolt
from tests.preprocess.people import person
from tests.sizes import MEANINGS
from tests.train.small_try_on import PRESET, batch


def people_from(start: int) -> Batch:
    """Four who can be measured, but for the first: its shoulder ratio is not known."""
    keypoints = np.tile(np.asarray(person().flat(), np.float32).reshape(1, 25, 3), (4, 1, 1))
    return replace(batch(start), keypoints=keypoints)


def test_the_last_usable_people_are_taken_and_all_are_counted() -> None:
    batches = [people_from(0), people_from(4)]
    people, num_usable = last_people(batches, 4, {Category.UPPER: np.array([True, False, False])})
    assert people.keys == ["00003_00", "00005_00", "00006_00", "00007_00"]
    assert num_usable == {"upper": 6}
    _, num_usable = last_people(batches, 4, {Category.UPPER: np.array([True, True, True])})
    assert num_usable == {"upper": 8}, "who is not known at the shoulders can stand on the other ladders"


def test_ratios_are_read_until_each_category_has_enough() -> None:
    """Dresses come after 256 tops: their ladders need them. Nothing is read once trousers have enough too."""
    top = replace(batch(size=32), ratios=np.full((32, 3), 1.0, np.float32), categories=["upper"] * 32)
    dress = replace(top, ratios=np.full((32, 3), 2.0, np.float32), categories=["dress"] * 32)
    unknown = replace(dress, ratios=np.full((32, 3), np.nan, np.float32))
    batches = [*[top] * 8, unknown, dress]
    found = typical_ratios(batches)
    assert {category: own.shape for category, own in found.items()} == {"upper": (256, 3), "dress": (32, 3)}
    assert (found[Category.DRESS] == 2.0).all()
    trousers = replace(dress, categories=["lower"] * 32)
    more = iter([*batches, *[dress] * 7, *[trousers] * 8, dress])
    assert {len(own) for own in typical_ratios(more).values()} == {256}
    assert len([*more]) == 1


def test_people_that_the_evaluation_takes_too_are_said(caplog: pytest.LogCaptureFixture) -> None:
    enough = EvaluateParams().num_people + 2
    with caplog.at_level(logging.INFO):
        warn_of_overlap(enough, 2, Category.UPPER)
    (told,) = caplog.records
    assert told.levelno == logging.INFO
    assert f"more than {EvaluateParams().num_people} (evaluate_tryon.num_people)" in caplog.text
    caplog.clear()
    warn_of_overlap(enough - 1, 2, Category.UPPER)
    assert caplog.records[0].levelno == logging.WARNING
    assert f"an evaluation of more than {EvaluateParams().num_people - 1} " in caplog.text
    warn_of_overlap(1, 2, Category.UPPER)
    assert "the last 1: an evaluation of more than 0 " in caplog.text


def test_the_size_maps_that_are_shown_are_those_that_draw() -> None:
    base = build_tiny_base(PRESET, seed=0)
    adapter = jolt(SizeAdapter.for_sites(base.sites(), MEANINGS))
    draw = SizedDrawer(
        base, adapter, TryOnInputs.of(people_from(0)), DrawingOptions(num_steps=1), batch_size=4
    )
    requested = np.array([[1.0, 0.9, 1.0], [1.0, 1.6, 1.0]])
    drawn_by = draw.draw(1, requested).size_maps
    assert drawn_by.shape == (2, 8, 8)
    assert np.ptp(drawn_by) > 0.1
    for shown, grid in zip(planned(draw, 1, requested), drawn_by, strict=True):
        assert shown.shape == (32, 32, 3)
        np.testing.assert_allclose(shown[..., 0], 255 * cv2.resize(grid, (32, 32)), atol=0.5001)
