"""The strongest path through scores that can be added up by hand, and through photos drawn for it."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from preprocess.garment.edges import (
    BEND,
    NEARLY,
    STRONGEST,
    like_the_panel,
    shadows,
    stands_out,
    steps,
    strongest_path,
)

PANEL, WALL = (40.0, 0.0, 0.0), (90.0, 0.0, 0.0)


def drawn(*stretches: tuple[int, tuple[float, float, float]], rows: int = 24) -> NDArray[np.float32]:
    """(rows, columns, 3) Lab of upright stretches of one colour each."""
    line = np.concatenate([np.tile(colour, (columns, 1)) for columns, colour in stretches])
    return np.tile(line, (rows, 1, 1)).astype(np.float32)


def test_the_strongest_path_follows_the_edge() -> None:
    scores = np.zeros((6, 9), np.float32)
    scores[np.arange(6), [3, 3, 4, 4, 5, 5]] = 2
    assert strongest_path(scores).best.tolist() == [3, 3, 4, 4, 5, 5]


def test_a_long_edge_beats_a_glaring_spot() -> None:
    scores = np.zeros((20, 30), np.float32)
    scores[:, 5], scores[10, 25] = 1, 4
    assert set(strongest_path(scores).best.tolist()) == {5}


def test_two_edges_as_strong_make_wide_bounds_and_a_weak_one_does_not() -> None:
    scores = np.zeros((20, 30), np.float32)
    scores[:, 5] = scores[:, 12] = 1
    path = strongest_path(scores)
    assert (path.first[0], path.last[0]) == (5, 12)
    scores[:, 12] = 0.5
    assert strongest_path(scores).last[0] < 12


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_path_is_the_best_of_all(seed: int) -> None:
    scores = np.random.default_rng(seed).random((4, 5)).astype(np.float32)
    best = max(
        sum(scores[row, column] for row, column in enumerate(path))
        - BEND * sum(abs(a - b) for a, b in itertools.pairwise(path))
        for path in np.ndindex(5, 5, 5, 5)
        if all(abs(a - b) <= 2 for a, b in itertools.pairwise(path))
    )
    found = strongest_path(scores)
    gained = scores[np.arange(4), found.best].sum() - BEND * np.abs(np.diff(found.best)).sum()
    assert gained == pytest.approx(best, abs=1e-5)
    assert (found.first <= found.best).all()
    assert (found.best <= found.last).all()
    assert NEARLY > 0


def test_steps_and_shadows_are_where_they_were_drawn() -> None:
    seam = drawn((20, PANEL), (2, (30.0, 0.0, 0.0)), (20, PANEL))
    assert shadows(seam, 1.0, 4)[12].argmax() in (20, 21)
    assert steps(drawn((20, PANEL), (20, WALL)), 1.0)[12].argmax() in (19, 20)


def test_the_cloths_own_stripes_do_not_stand_out_and_a_seam_does() -> None:
    strength = np.full((30, 40), 5, np.float32)
    strength[:, 33] = 50
    scores = stands_out(strength, strength[:, :20])
    assert scores[:, :33].max() == 0
    np.testing.assert_allclose(scores[:, 33], np.log(10), rtol=1e-5)
    assert stands_out(strength * 1e4, strength[:, :20])[:, 33].max() == STRONGEST


def test_only_the_inner_edge_of_a_gap_has_the_panel_inside() -> None:
    gap = drawn((50, PANEL), (10, WALL), (20, PANEL))
    inside, outside = like_the_panel(gap, unit=100, pixel=1)
    assert inside[12, 50] > 0.9
    assert inside[12, 61] < 0.1
    assert outside[12, 30] > 0.9
    assert outside[12, 50] < 0.1


def test_how_alike_a_strip_is_falls_with_the_square_of_its_mean_distance() -> None:
    """Strips of 4 px that leave 2 px out, inside and outside; 3 times a plain cloth's 4 Lab units are 12."""
    inside, outside = like_the_panel(drawn((60, PANEL), (40, (52.0, 0.0, 0.0))), unit=100, pixel=1)
    none_half_all = np.exp([0.0, -0.25, -1.0])
    np.testing.assert_allclose(inside[12, [62, 64, 66]], none_half_all, rtol=1e-5)
    np.testing.assert_allclose(outside[12, [54, 56, 58]], none_half_all, rtol=1e-5)
