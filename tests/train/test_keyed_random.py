import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.keyed_random import KeyedRandom


def positions(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@given(place=st.integers(0, 10**12), seed=st.integers(0, 10**6))
def test_a_sample_draws_the_same_whatever_batch_it_is_in(place: int, seed: int) -> None:
    alone = KeyedRandom(seed, positions(place))
    together = KeyedRandom(seed, positions(7, place))
    assert torch.equal(alone.normal("noise", (2, 3))[0], together.normal("noise", (2, 3))[1])
    assert alone.uniform("drop")[0] == together.uniform("drop")[1]
    assert alone.spread("t")[0] == together.spread("t")[1]


def test_names_seeds_and_positions_draw_apart() -> None:
    base = KeyedRandom(0, positions(1, 2)).normal("noise", (8,))
    assert not torch.equal(base[0], base[1])
    assert not torch.equal(base, KeyedRandom(1, positions(1, 2)).normal("noise", (8,)))
    assert not torch.equal(base, KeyedRandom(0, positions(1, 2)).normal("other", (8,)))


def test_normal_has_mean_zero_and_variance_one() -> None:
    values = KeyedRandom(0, np.arange(200)).normal("noise", (500,))
    assert abs(float(values.mean())) < 0.01
    assert abs(float(values.var()) - 1) < 0.02


def test_spread_fills_the_interval_more_evenly_than_chance() -> None:
    values = KeyedRandom(0, np.arange(100)).spread("timestep").sort().values
    assert float((values[1:] - values[:-1]).max()) < 0.03  # independent draws leave gaps near 0.05
    assert float(values.min()) >= 0
    assert float(values.max()) < 1
