"""The stages one after another on a folder, as the commands run them."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.cli.without_dvc import DataChain, annotate_to, evaluation_data
from pipeline.params import Params, load_params
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.vocabulary import Category
from shards.inspection import contact_sheet, statistics, stream_keys
from shards.params import WriteShardsParams
from shards.stream import SampleStream
from tests.pipeline.folders import add_sample, new_root
from tests.preprocess.people import body_25_numbers, openpose, person, tunic

ROOT = Path(__file__).parents[2]
VITON_HD = Path(os.environ.get("CINDERELLA_SHARED", ROOT.parent / "shared")) / "data" / "vitonhd"
PARAMS = WriteShardsParams(samples_per_shard=2, num_workers=0)


@pytest.mark.skipif(not VITON_HD.is_dir(), reason="needs photographs in CINDERELLA_SHARED/data/vitonhd")
def test_photographs_become_shards_whose_masks_hide_the_garment(tmp_path: Path) -> None:
    chain = DataChain(source="viton_hd", root=VITON_HD, split="test", shards=PARAMS)
    folder = chain.shard("test", tmp_path / "tables", tmp_path)
    found = statistics(folder)
    assert found["samples"] >= 5
    assert found["picture_sizes"] == {"768x1024": found["samples"]}
    stream = SampleStream(folder, batch_size=2, image_height=512, image_width=384, seed=0)
    for batch in stream.epoch_batches():
        hidden = (batch.garment_mask & batch.inpaint_mask).sum(axis=(1, 2)) / batch.garment_mask.sum(
            axis=(1, 2)
        )
        assert (hidden >= 0.999).all()
    assert contact_sheet(folder).shape[2] == 3


def test_what_cannot_end_well_ends_before_any_work(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    add_sample(root, "00001_00", openpose(body_25_numbers(person())))
    chain, out = DataChain(source="viton_hd", root=root, split="test"), tmp_path / "out"
    with pytest.raises(ValueError, match=r"--out must be a file to write, got the folder .*: try "):
        annotate_to(chain, tmp_path)
    with pytest.raises(ValueError, match=r"so it must end in \.parquet, got .*sizes\.csv"):
        annotate_to(chain, out / "sizes.csv")
    no_model = ExtractKeypointsParams(mediapipe_model=str(tmp_path / "nowhere.task"))
    with pytest.raises(FileNotFoundError, match=r"nowhere\.task not found: `cinderella fetch-models`"):
        replace(chain, keypoints=no_model).annotate(out)
    assert not out.exists()


def quick_params() -> Params:
    sections = {
        "extract_keypoints": ExtractKeypointsParams(workers=1),
        "compute_size_ratios": SizeRatioParams(workers=1),
        "write_shards": PARAMS,
    }
    return load_params(ROOT / "params.yaml").model_copy(update=sections)


def test_of_a_flat_folder_the_same_photos_are_judged_by_whatever_annotations(tmp_path: Path) -> None:
    """Three of six are dealt to the test split; another table sets the range and the labels alone."""
    root = new_root(tmp_path)
    add_sample(root, "0", openpose(body_25_numbers(person())), 5 * tunic().astype("uint8"))
    (tmp_path / "photos").mkdir()
    ends = {
        "image/0.jpg": ".jpg",
        "openpose_json/0_keypoints.json": ".json",
        "image-parse-v3/0.png": ".parse.png",
    }
    for number in range(6):
        for file, end in ends.items():
            shutil.copy(root / "test" / file, tmp_path / "photos" / f"{number}{end}")
    given = {"root": tmp_path / "photos", "source": "folder", "shards": None}
    judged = []
    for work, table in ((tmp_path / "own", None), (tmp_path / "frozen", tmp_path / "others.parquet")):
        shards, _ = evaluation_data(quick_params(), **given, size_annotations=table, work=work)
        judged.append([*stream_keys(shards / "test", seed=0, num_workers=0)])
    assert len(judged[0]) == 3
    assert judged[0] == judged[1]


def test_data_to_evaluate_on_is_measured_whole_and_sharded_in_part(tmp_path: Path) -> None:
    root, parse = new_root(tmp_path), 5 * tunic().astype("uint8")
    add_sample(root, "00001_00", openpose(body_25_numbers(person())), parse)
    (root / "train").symlink_to(root / "test")
    (root / "train_pairs.txt").write_text("00001_00.jpg 00001_00.jpg\n")
    params = quick_params()
    given = {"root": root, "source": "viton_hd", "shards": None, "work": tmp_path / "work"}
    shards, annotations = evaluation_data(params, **given, size_annotations=None)
    assert statistics(shards / "test")["samples"] == 1
    assert not (shards / "train").exists()
    assert annotations == tmp_path / "work/size_annotations.parquet"
    assert statistics(shards / "test")["left_out"] == {}
    _, others = evaluation_data(params, **given, size_annotations=tmp_path / "others.parquet")
    assert others == tmp_path / "others.parquet"


def test_a_category_is_chosen_where_shards_are_written(tmp_path: Path) -> None:
    """Beside shards it chose nothing, and the refusal of the others said to name it."""
    given = {"root": None, "source": "dress_code", "shards": tmp_path, "work": tmp_path / "work"}
    with pytest.raises(ValueError, match=r"--category chooses what is read below --root; shards of one cat"):
        evaluation_data(
            quick_params(), **given, size_annotations=tmp_path / "sizes.parquet", category=Category.UPPER
        )
    root = new_root(tmp_path)
    add_sample(root, "00001_00", openpose(body_25_numbers(person())), 6 * tunic().astype("uint8"))
    arguments = ["shard", "--root", str(root), "--split", "test", "--category", "dress"]
    CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "shards")], catch_exceptions=False)
    index = json.loads((tmp_path / "shards" / "test" / "index.json").read_text())
    assert index["categories"] == {"dress": 1}
