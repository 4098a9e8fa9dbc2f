from pathlib import Path

import numpy as np
import pytest

from shards.inspection import contact_sheet, statistics, stream_keys
from tests.shards.making import record, sample, samples, write_shards
from tests.sizes import listed

COUNT = 11


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards")
    write_shards(samples(COUNT), out, "train", 4)
    return out


@pytest.mark.parametrize("workers", [0, 2])
def test_the_ranks_keys_interleave_to_the_order_of_one(folder: Path, workers: int) -> None:
    alone = list(stream_keys(folder, seed=5, epoch=2))
    ranks = [
        list(stream_keys(folder, seed=5, epoch=2, world_size=3, rank=rank, num_workers=workers))
        for rank in range(3)
    ]
    assert [ranks[place % 3][place // 3] for place in range(COUNT)] == alone
    assert sorted(alone) == [one.key for one in samples(COUNT)]


def test_skipped_keys_are_those_seen_before(folder: Path) -> None:
    whole = list(stream_keys(folder, seed=0, world_size=2, rank=1))
    assert list(stream_keys(folder, seed=0, world_size=2, rank=1, skip=2)) == whole[2:]
    assert list(stream_keys(folder, seed=0, skip=COUNT + 1)) == []
    for negative in ({"skip": -1}, {"epoch": -1}):
        with pytest.raises(ValueError, match="epoch and skip must be at least 0, got "):
            list(stream_keys(folder, seed=0, **negative))


def test_statistics_count_what_was_written(tmp_path: Path) -> None:
    tight = sample("b", record=record("b", fit_label="tight", ratios=listed((None, None, 1.1), None)))
    write_shards([sample("a"), tight], tmp_path, "t", 4)
    found = statistics(tmp_path)
    assert (found["samples"], found["shards"]) == (2, 1)
    assert found["fit_label"] == {"loose": 1, "tight": 1}
    assert found["ratios"]["shoulder"] == {"measured": 1, "q05": 1.25, "q50": 1.25, "q95": 1.25}
    assert found["ratios"]["length"]["q50"] == 1.0
    assert found["ratios"]["waist"] == {"measured": 0, "q05": None, "q50": None, "q95": None}, (
        "JSON has no NaN"
    )


def test_a_contact_sheet_has_a_tile_for_each_sample(folder: Path) -> None:
    sheet = contact_sheet(folder)  # 11 samples, 4 in a row, 3 pictures of 256 x 192 each
    assert sheet.shape == (3 * 256, 4 * 3 * 192, 3)
    assert (sheet[2 * 256 :, 3 * 3 * 192 :] == 255).all()
    assert len(np.unique(sheet)) > 50
