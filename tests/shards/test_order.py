import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.order import SampleOrder, permutation

counts_lists = st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any)


def order_of(counts, **options) -> SampleOrder:
    return SampleOrder(counts, **{"seed": 0} | options)


@settings(deadline=None)
@given(counts_lists, st.integers(-5, 5), st.integers(0, 3), st.integers(1, 9), st.integers(1, 20))
def test_every_epoch_has_every_sample_once(counts, seed, epoch, num_streams, block) -> None:
    order = order_of(counts, seed=seed, num_streams=num_streams, block=block)
    positions = np.arange(epoch * order.num_samples, (epoch + 1) * order.num_samples)
    found = sorted(map(tuple, order.at(positions).tolist()))
    assert found == [(shard, row) for shard, count in enumerate(counts) for row in range(count)]


@settings(deadline=None)
@given(counts_lists, st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_a_sample_does_not_depend_on_what_was_asked_before(counts, positions) -> None:
    used = order_of(counts, num_streams=3, block=4)
    alone = [order_of(counts, num_streams=3, block=4).at([position])[0].tolist() for position in positions]
    assert used.at(positions).tolist() == alone
    assert used.at(positions[::-1]).tolist() == alone[::-1]


def test_samples_are_stored_by_shard_and_row() -> None:
    assert order_of([2, 0, 1]).stored(np.arange(3)).tolist() == [[0, 0], [0, 1], [2, 0]]


def test_epochs_and_seeds_have_different_orders() -> None:
    order, other = order_of([50, 50]), order_of([50, 50], seed=1)
    first, second = order.at(np.arange(100)), order.at(np.arange(100, 200))
    assert (first != second).any()
    assert (first != other.at(np.arange(100))).any()


def test_the_order_is_the_one_it_always_was() -> None:
    """A change here makes every saved cursor point elsewhere: raise STATE_VERSION in shards/stream.py."""
    assert permutation(8, 1, 2, 1).tolist() == GOLDEN_PERMUTATION
    assert order_of([4, 3, 5], seed=7, num_streams=2, block=3).at(np.arange(6)).tolist() == GOLDEN_ORDER


GOLDEN_PERMUTATION = [4, 5, 6, 7, 1, 0, 2, 3]
GOLDEN_ORDER = [[2, 2], [1, 2], [2, 1], [1, 1], [2, 0], [0, 0]]


@pytest.mark.parametrize("shards", [46, 400])
def test_64_neighbours_come_from_most_of_the_shards_they_could(shards: int) -> None:
    order = order_of([256] * shards)
    windows = order.at(np.arange(64 * 64))[:, 0].reshape(64, 64)
    distinct = np.mean([len(set(window.tolist())) for window in windows])
    possible = shards * (1 - (1 - 1 / shards) ** 64)  # of a shuffle of the whole
    assert distinct >= 0.9 * possible


def test_an_order_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        order_of([0, 0])
    with pytest.raises(ValueError, match="num_streams and block must be positive, got -1 and 4"):
        order_of([3], num_streams=-1, block=4)


def test_a_hundred_million_samples_need_16_mib() -> None:
    counts = np.full(100_000, 1000)
    tracemalloc.start()
    order = SampleOrder(counts, seed=0)
    order.at(np.arange(90_000_000, 90_000_256))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 16 * 2**20
