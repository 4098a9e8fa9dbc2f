"""What a change costs: nothing that is made up here has a line in the product, or leaves a trace in it."""

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from torch.testing import assert_close

from model.adapter.adapter import SizeAdapter
from model.bases import BASES, BaseEntry
from model.bases.base import TryOnBase
from model.params import DrawingOptions
from model.sampling import SizedDrawer, TryOnInputs
from pipeline import train_base, train_size
from pipeline.checkpoints import load_size_aware
from shards.stream import SampleStream
from tests.made_up_base import MadeUpBase
from tests.shards.making import write_people
from train.params import OptimisationParams, RuntimeParams, TrainBaseParams, TrainSizeParams, ValidationParams

THREE = OptimisationParams(steps=3, batch_size=4, learning_rate=1e-2, warmup_steps=0, ema_decay=0)
QUIET = RuntimeParams(tracker="none", num_threads=1)


def test_a_made_up_base_learns_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged, trained, validated, loaded and drawn with by code that has never heard of it."""
    monkeypatch.setitem(BASES, MadeUpBase.name, BaseEntry(lambda: MadeUpBase, pretrained=True))
    released = tmp_path / "released"
    MadeUpBase().save_pretrained(released)
    shards = write_people(tmp_path / "shards")
    base, size = tmp_path / "base", tmp_path / "size"
    preset = TrainBaseParams(
        preset=MadeUpBase.name, pretrained=str(released), segmenter=THREE, critic=THREE, runtime=QUIET
    )
    train_base.run(preset, shards=shards, out=base)
    validation = ValidationParams(every=3, num_people=1, num_rungs=2, num_steps=2)
    learning = TrainSizeParams(optimisation=THREE, validation=validation, runtime=QUIET)
    train_size.run(learning, shards=shards, base=base, out=size)

    rows = list(csv.DictReader((size / "losses" / "adapter.csv").open()))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert all(np.isfinite(float(row["diffusion"])) for row in rows)
    assert (size / "validation" / "step-000003.png").is_file()
    networks, adapter = load_size_aware(base, size)
    assert_close(networks.state_dict(), MadeUpBase().state_dict(), rtol=0, atol=0)
    assert isinstance(adapter, SizeAdapter)
    assert not adapter.has_tokens
    assert_that_size_is_drawn(networks, adapter, shards)


def assert_that_size_is_drawn(networks: TryOnBase, adapter: SizeAdapter, shards: Path) -> None:
    """A request moves the picture; at scale 0 every bit is that of the base alone."""
    test = SampleStream(shards / "test", batch_size=2, image_height=32, image_width=24, seed=0)
    people = TryOnInputs.of(next(iter(test.epoch_batches())))

    def drawn(given: SizeAdapter | None, scale: float) -> NDArray[np.uint8]:
        options = DrawingOptions(num_steps=2, size_guidance=1, size_scale=scale)
        return SizedDrawer(networks, given, people, options, batch_size=1)(0, np.array([[1.0, 2.0, 1.0]]))

    alone = drawn(None, 1.0)
    assert np.array_equal(drawn(adapter, 0.0), alone)
    assert not np.array_equal(drawn(adapter, 1.0), alone)
