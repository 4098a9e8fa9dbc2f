"""The annotator on polygons in trousers, skirts and dresses, on which no part of it was tuned.

`tests.benchmarks.measure_polygons` draws more.
"""

from collections.abc import Callable

import numpy as np
import pytest

from tests.preprocess.polygon_legs import PolygonWearer, annotate, random_dress, random_lower


@pytest.mark.parametrize(
    ("draw", "seed", "people", "fewest_plain"),
    [
        pytest.param(random_lower, 40_000, 60, 15, id="lower"),
        pytest.param(random_dress, 50_000, 30, 2, id="dress"),
    ],
)
def test_known_axes_are_right_and_clear_ones_known(
    draw: Callable[[int], PolygonWearer], seed: int, people: int, fewest_plain: int
) -> None:
    drawn = [draw(number) for number in range(seed, seed + people)]
    results = [annotate(person) for person in drawn]
    for axis in drawn[0].truth:
        found = [
            (result.bounds[axis], person.truth[axis]) for result, person in zip(results, drawn, strict=True)
        ]
        errors = [abs(bounds.value / truth - 1) for bounds, truth in found if bounds.uncertainty <= 0.1]
        assert len(errors) >= people // 4
        assert np.median(errors) <= 0.005
        assert max(errors) <= 0.03
    plain = [result.status for result, person in zip(results, drawn, strict=True) if person.plain]
    assert len(plain) >= fewest_plain
    assert np.mean([status == "ok" for status in plain]) >= 0.85


def test_whoever_is_not_ok_has_a_reason() -> None:
    results = [annotate(random_lower(seed)) for seed in range(60_000, 60_020)]
    assert any(result.status != "ok" for result in results)
    assert all(result.reason for result in results if result.status != "ok")
