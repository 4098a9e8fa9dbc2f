"""The annotator on people that no part of it was tuned on; `tests.benchmarks.measure_polygons` draws more."""

import numpy as np
import pytest

from preprocess.garment.size_ratios import SizeRatios
from preprocess.vocabulary import RowStatus
from tests.preprocess.polygon_people import PolygonPerson, annotate, random_person
from tests.sizes import TOP_PLACES

Annotated = list[tuple[PolygonPerson, SizeRatios]]


@pytest.fixture(scope="module")
def people() -> Annotated:
    drawn = [random_person(seed) for seed in range(90_000, 90_060)]
    return [(person, annotate(person)) for person in drawn]


def test_no_ok_row_is_wrong(people: Annotated) -> None:
    ok = [(person, result) for person, result in people if result.status is RowStatus.OK]
    errors = np.abs([result.ratios[TOP_PLACES] / person.truth - 1 for person, result in ok])
    assert len(ok) > 15
    assert np.median(errors, axis=0).max() < 0.01
    assert errors.max() < 0.03


def test_people_without_ambiguity_are_ok(people: Annotated) -> None:
    plain = [result for person, result in people if person.plain]
    assert len(plain) >= 6
    assert np.mean([result.status is RowStatus.OK for result in plain]) >= 0.85


def test_whoever_is_not_ok_has_a_reason(people: Annotated) -> None:
    assert all(result.reason for _, result in people if result.status is not RowStatus.OK)
