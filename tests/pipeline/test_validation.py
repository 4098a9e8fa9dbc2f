"""Which people validation draws, and whether the evaluation draws them too."""

from dataclasses import replace

import numpy as np
import pytest

from eval.params import EvaluateParams
from pipeline.training.validation import last_people, warn_of_overlap
from shards.batch import Batch
from tests.preprocess.people import person
from tests.train.small_try_on import batch


def people_from(start: int) -> Batch:
    """Four who can be measured, but for the first: its shoulder ratio is not known."""
    keypoints = np.tile(np.asarray(person().flat(), np.float32).reshape(1, 25, 3), (4, 1, 1))
    return replace(batch(start), keypoints=keypoints)


def test_the_last_usable_people_are_taken_and_all_are_counted() -> None:
    batches = [people_from(0), people_from(4)]
    people, num_usable = last_people(batches, 4, np.array([True, False, False]))
    assert people.keys == ["00003_00", "00005_00", "00006_00", "00007_00"]
    assert num_usable == 6
    _, num_usable = last_people(batches, 4, np.array([True, True, True]))
    assert num_usable == 8, "who is not known at the shoulders can stand on the other ladders"


def test_people_that_the_evaluation_takes_too_are_said(caplog: pytest.LogCaptureFixture) -> None:
    enough = EvaluateParams().num_people + 2
    warn_of_overlap(enough, num_people=2)
    assert not caplog.records
    warn_of_overlap(enough - 1, num_people=2)
    assert f"an evaluation of more than {EvaluateParams().num_people - 1} " in caplog.text
    warn_of_overlap(1, num_people=2)
    assert "the last 1: an evaluation of more than 0 " in caplog.text
