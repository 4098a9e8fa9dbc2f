import os
from pathlib import Path

import pytest

from pipeline.cli.shard_folder import shard_folder
from shards.inspection import contact_sheet, statistics
from shards.params import WriteShardsParams
from shards.stream import SampleStream

ROOT = Path(__file__).parents[2]
VITON_HD = Path(os.environ.get("CINDERELLA_SHARED", ROOT.parent / "shared")) / "data" / "vitonhd"
PARAMS = WriteShardsParams(samples_per_shard=2, num_workers=0)


@pytest.mark.skipif(not VITON_HD.is_dir(), reason="needs photographs in CINDERELLA_SHARED/data/vitonhd")
def test_photographs_become_shards_whose_masks_hide_the_garment(tmp_path: Path) -> None:
    folder = shard_folder("viton-hd", VITON_HD, "test", tmp_path, shards=PARAMS)
    found = statistics(folder)
    assert found["samples"] >= 5
    assert found["picture_sizes"] == {"768x1024": found["samples"]}
    stream = SampleStream(folder, batch_size=2, image_height=512, image_width=384, seed=0)
    for batch in stream.epoch_batches():
        hidden = (batch.garment_mask & batch.inpaint_mask).sum(axis=(1, 2)) / batch.garment_mask.sum(
            axis=(1, 2)
        )
        assert (hidden >= 0.999).all()
    assert contact_sheet(folder, count=4).shape[2] == 3


def test_an_unknown_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="layout must be one of viton-hd, dress-code, folder, got 'viton'"):
        shard_folder("viton", tmp_path, "test", tmp_path)
