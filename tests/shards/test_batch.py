from dataclasses import replace

import numpy as np

from shards.batch import empty_batch, joined, select


def test_batches_that_are_joined_can_be_taken_apart_again() -> None:
    parts = [empty_batch([0, 1], 4, 3), empty_batch([2], 4, 3)]
    parts = [replace(part, keys=[str(n) for n in part.position]) for part in parts]
    encoded = [replace(part, encodings={"latents": part.position[:, None] * 10}) for part in parts]
    for batches in (parts, encoded):
        last = select(joined(batches), [2])
        assert last.keys == ["2"]
        assert last.position.tolist() == [2]
    np.testing.assert_array_equal(last.encodings["latents"], [[20]])
