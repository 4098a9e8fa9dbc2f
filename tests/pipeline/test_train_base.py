"""The base that is made from scratch, and what is refused before anything is made."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.bases import BASES, open_base
from pipeline import train_base
from preprocess import places
from preprocess.identity import files_below
from preprocess.places import place
from shards.plan import sha256_of
from tests.object_storage import upload
from tests.preprocess.flaky import Flaky
from tests.shards.making import sample, write_people, write_shards
from train.params import OptimisationParams, RuntimeParams, TrainBaseParams

FEW = OptimisationParams(steps=2, batch_size=2, learning_rate=1e-3, warmup_steps=0)
QUICK = TrainBaseParams(
    autoencoder=FEW,
    encoders=FEW,
    unets=FEW,
    segmenter=FEW,
    critic=FEW,
    runtime=RuntimeParams(tracker="none"),
)


def told(shards: Path, split: str, name: str = "known", /, **counts: int) -> None:
    """Write counts into the index of a split: how many people are known, by axis, or another `name`."""
    index = shards / split / "index.json"
    index.write_text(index.read_text().replace("{", f'{{"{name}": {json.dumps(counts)}, ', 1))


def test_data_on_which_a_later_stage_would_stop_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    shards, out = write_people(tmp_path / "shards"), tmp_path / "base"
    told(shards, "test", shoulder=0, width=0)
    with pytest.raises(ValueError, match="test split has nobody whose size is known, so nobody can be"):
        train_base.run(QUICK, shards=shards, out=out)
    told(shards, "train", shoulder=0, width=0)
    with pytest.raises(ValueError, match="train split has nobody whose size is known"):
        train_base.run(QUICK, shards=shards, out=out)
    with pytest.raises(FileNotFoundError, match="the data has no train split"):
        train_base.run(QUICK, shards=shards / "test", out=out)
    alone = write_people(tmp_path / "alone")
    (alone / "test" / "index.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"the data has no test split, .* so nobody can be judged"):
        train_base.run(QUICK, shards=alone, out=out)
    assert not out.exists()


def test_garments_that_are_only_tested_and_people_who_are_all_alike_are_refused_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    shards, out = write_people(tmp_path / "shards"), tmp_path / "base"
    told(shards, "train", "categories", upper=6)
    told(shards, "test", "categories", upper=4, dress=2)
    with pytest.raises(ValueError, match="garments of upper alone, but the test split also of dress"):
        train_base.run(QUICK, shards=shards, out=out)
    shutil.rmtree(shards / "train")
    write_shards([sample("00000_00"), sample("00001_00")], shards / "train", "train", samples_per_shard=1)
    told(shards, "train", "categories", upper=2, dress=1)
    with pytest.raises(ValueError, match="of the train split whose size is known are all alike"):
        train_base.run(QUICK, shards=shards, out=out)
    one = write_people(tmp_path / "one", 1)
    with pytest.raises(ValueError, match="of the train split whose size is known are all alike"):
        train_base.run(QUICK, shards=one, out=out)
    assert not out.exists()


@pytest.mark.parametrize("preset", train_base.RECIPES)
def test_two_runs_of_one_seed_make_the_same_networks_bit_for_bit(tmp_path: Path, preset: str) -> None:
    """Whatever random numbers were drawn before: a layer that nobody seeds would differ."""
    shards = write_people(tmp_path / "shards")
    made = []
    for drawn_before in (1, 2):
        torch.manual_seed(drawn_before)
        out = tmp_path / str(drawn_before) / "base"
        train_base.run(replace(QUICK, preset=preset), shards=shards, out=out)
        made.append({file.relative_to(out).as_posix(): sha256_of(file) for file in files_below(out)})
    assert {f"losses/{name}.csv" for name in ("autoencoder", "unets", "segmenter", "critic")} < made[0].keys()
    assert made[0] == made[1]
    assert open_base(out).name == preset


def test_shards_in_object_storage_make_the_networks_of_those_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # where copies are kept
    monkeypatch.setattr(places, "FIRST_WAIT_S", 0.0)
    Flaky.restart()
    near = write_people(tmp_path / "shards")
    upload(Flaky(), near, "shards")
    Flaky.break_down(3)
    made = []
    for shards in (near, place("flaky://bucket/shards")):
        out = tmp_path / str(len(made)) / "base"
        train_base.run(QUICK, shards=shards, out=out)
        made.append({file.relative_to(out).as_posix(): sha256_of(file) for file in files_below(out)})
    assert made[0] == made[1]


def test_every_base_without_weights_of_its_own_has_a_recipe_and_every_name_is_its_own() -> None:
    assert train_base.RECIPES.keys() == {name for name, entry in BASES.items() if not entry.pretrained}
    assert {name: entry.load().name for name, entry in BASES.items()} == {name: name for name in BASES}


def test_an_unknown_base_and_missing_weights_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="there is no base 'huge': known are"):
        TrainBaseParams(preset="huge")
    with pytest.raises(ValueError, match="preset sdxl needs `pretrained`"):
        TrainBaseParams(preset="sdxl")
