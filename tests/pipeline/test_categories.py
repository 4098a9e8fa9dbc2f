"""Several kinds of garments in one data set, from Dress Code's folders to the table and the shards."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline import prepare_dataset, write_shards
from pipeline.cli.inspection import inspect
from pipeline.cli.without_dvc import DataChain
from preprocess.body.keypoints import COCO_18_TO_BODY_25, Keypoints
from preprocess.sizes.axes import MEASURED_NAMES, axes_of
from preprocess.sources.dress_code import CATEGORY_FOLDERS, DressCode
from preprocess.sources.params import PaperDollParams, PrepareDatasetParams
from preprocess.sources.registry import open_source
from preprocess.sources.source import read_manifest
from preprocess.vocabulary import ATR_TO_LIP, Category, Lip
from shards.params import WriteShardsParams
from shards.stream import SampleStream
from tests.pipeline.folders import add_sample, blank_photo, new_root
from tests.preprocess.people import body_25_numbers, openpose, person, trousers, tunic


def write_dress_code(
    root: Path, category: Category, key: str, parse: NDArray[np.uint8], who: Keypoints
) -> None:
    """Add a person to a Dress Code root: their (1024, 768) LIP labels as ATR's, joints for 384 x 512."""
    folder = root / CATEGORY_FOLDERS[category]
    for part in ("images", "label_maps", "keypoints"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for end in ("0", "1"):
        (folder / "images" / f"{key}_{end}.jpg").write_bytes(blank_photo())
    to_atr = np.zeros(len(Lip), np.uint8)
    for number, label in reversed(list(enumerate(ATR_TO_LIP))):
        to_atr[label] = number
    Image.fromarray(to_atr[parse]).save(folder / "label_maps" / f"{key}_4.png")
    joints = np.array(body_25_numbers(who)).reshape(25, 3)[list(COCO_18_TO_BODY_25)]
    rows = [[x / 2, y / 2, c, float(n)] for n, (x, y, c) in enumerate(joints.tolist())]
    (folder / "keypoints" / f"{key}_2.json").write_text(json.dumps({"keypoints": rows}))
    with (folder / "train_pairs.txt").open("a") as pairs:
        pairs.write(f"{key}_0.jpg {key}_1.jpg\n")


@pytest.fixture(scope="module")
def wardrobe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tops, two pairs of trousers whose wearers have no head, two dresses to 2.0 T."""
    root = tmp_path_factory.mktemp("dress_code")
    for number, width in enumerate((220, 260)):
        top = np.where(tunic(width=width), np.uint8(Lip.UPPER_CLOTHES), np.uint8(0))
        dress = np.where(tunic(width=width, hem=940), np.uint8(Lip.DRESS), np.uint8(0))
        _, wearer, parse = trousers(leg=60 + 20 * number)
        write_dress_code(root, Category.UPPER, f"00000{number}", top, person())
        write_dress_code(root, Category.LOWER, f"01000{number}", parse, wearer)
        write_dress_code(root, Category.DRESS, f"02000{number}", dress, person())
    return root


@pytest.fixture(scope="module")
def tables(wardrobe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    chain = DataChain(source="dress_code", root=wardrobe, split="train")
    return chain.annotate(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def rows(tables: dict[str, Path]) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in pq.read_table(tables["size_annotations"]).to_pylist()}


def test_each_category_is_measured_on_its_own_axes(rows: dict[str, dict[str, Any]]) -> None:
    expected = {
        "000001": ("upper", {"shoulder": 1.3, "waist": None, "width": 1.3, "length": 1.25}),
        "010001": ("lower", {"shoulder": None, "waist": 1.8, "width": 1.6, "length": 0.95}),
        "020001": ("dress", {"shoulder": 1.3, "waist": None, "width": 1.3, "length": 2.0}),
    }
    for key, (category, ratios) in expected.items():
        found = {name: rows[key][f"{name}_ratio"] for name in ratios}
        assert (rows[key]["category"], rows[key]["status"]) == (category, "ok")
        assert found == {
            name: None if value is None else pytest.approx(value, abs=0.015) for name, value in ratios.items()
        }


def test_lengths_are_those_that_were_divided(rows: dict[str, dict[str, Any]]) -> None:
    trousered = rows["010000"]
    assert trousered["body_hip_px"] == pytest.approx(100)
    assert trousered["body_leg_px"] == pytest.approx(400)
    assert trousered["garment_waist_px"] == pytest.approx(180, abs=1)
    assert trousered["body_shoulder_px"] is None
    assert rows["020000"]["body_hip_px"] is None


def test_fit_labels_are_cut_category_by_category(
    rows: dict[str, dict[str, Any]], tables: dict[str, Path]
) -> None:
    """Trousers are 1.2 and 1.6 hips wide, tops 1.1 and 1.3 shoulders: each has its own tight and wide."""
    labels = {key: row["fit_label"] for key, row in rows.items()}
    assert labels == {key: "tight" if key.endswith("0") else "oversized" for key in rows}
    metadata = pq.read_schema(tables["size_annotations"]).metadata
    keys = [f"fit_label_thresholds{name}".encode() for name in ("", "_lower", "_dress")]
    cuts = [json.loads(metadata[key])[1] for key in keys]
    assert cuts == pytest.approx([1.2, 1.4, 1.2], abs=0.01)


def test_shards_say_what_everybody_wears(tables: dict[str, Path], tmp_path: Path) -> None:
    write_shards.write(WriteShardsParams(num_workers=0), **tables, out=tmp_path)
    index = json.loads((tmp_path / "train/index.json").read_text())
    assert index["left_out"] == {}
    assert index["known"] == {"shoulder": 4, "width": 6, "length": 6, "waist": 2}
    assert index["categories"] == {"upper": 2, "lower": 2, "dress": 2}
    stream = SampleStream(tmp_path / "train", batch_size=6, image_height=96, image_width=72, seed=0)
    (batch,) = stream.epoch_batches()
    assert batch.categories == ["upper"] * 2 + ["lower"] * 2 + ["dress"] * 2
    known = np.isfinite(batch.ratios)
    assert known[0].tolist() == known[4].tolist() == [True, True, True, False]
    assert known[2].tolist() == [False, True, True, True]
    assert (batch.garment_mask & batch.inpaint_mask).sum() > 0.99 * batch.garment_mask.sum()


@pytest.fixture
def tops_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was while other categories had no mask."""
    monkeypatch.setattr(write_shards, "TRIED_ON", (Category.UPPER,))


@pytest.mark.usefixtures("tops_alone")
def test_shards_take_what_is_tried_on_and_count_the_rest(tables: dict[str, Path], tmp_path: Path) -> None:
    write_shards.write(WriteShardsParams(num_workers=0), **tables, out=tmp_path)
    index = json.loads((tmp_path / "train/index.json").read_text())
    assert index["left_out"] == {
        "manifest: dress is measured, but not tried on yet": 2,
        "manifest: lower is measured, but not tried on yet": 2,
    }
    assert index["known"] == {"shoulder": 2, "width": 2, "length": 2, "waist": 0}


@pytest.mark.usefixtures("tops_alone")
def test_a_data_set_of_what_is_not_tried_on_has_nothing_to_shard(wardrobe: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "lower_body").symlink_to(wardrobe / "lower_body")
    chain = DataChain(source="dress_code", root=root, split="train", shards=WriteShardsParams(num_workers=0))
    with pytest.raises(ValueError, match=r"no usable sample.*lower is measured, but not tried on yet': 2"):
        chain.shard("train", tmp_path / "work", tmp_path / "out")


def test_a_category_is_said_where_a_data_set_does_not_tell(tmp_path: Path) -> None:
    """By the name of a folder, else by the parameter; paper dolls have their own."""
    for place in ("lower/me.jpg", "paris/dresses/me.jpg", "me.jpg"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(blank_photo())

    def told(category: Category | None) -> dict[str, str]:
        source = open_source("folder", tmp_path, "test", category)
        return {sample.key: str(sample.category) for sample in source.samples()}

    assert told(None) == {"lower__me": "lower", "paris__dresses__me": "dress", "me": "upper"}
    assert told(Category.LOWER)["me"] == "lower"
    with pytest.raises(ValueError, match="category must be left out for paper_dolls"):
        open_source("paper_dolls", tmp_path, category=Category.LOWER)


def test_trousers_are_measured_where_densepose_is_of_another_picture_and_tops_are_not(
    wardrobe: Path, tmp_path: Path
) -> None:
    """Nothing of the legs' measures looks at it."""
    root = tmp_path / "root"
    shutil.copytree(wardrobe, root)
    for folder, key in (("lower_body", "010000"), ("upper_body", "000000")):
        (root / folder / "dense").mkdir()
        Image.fromarray(np.eye(200, dtype=np.uint8) * 2).save(root / folder / "dense" / f"{key}_5.png")
    chain = DataChain(source="dress_code", root=root, split="train")
    found = pq.read_table(chain.annotate(tmp_path / "work")["size_annotations"]).to_pylist()
    reasons = {row["key"]: (row["status"], row["reason"]) for row in found}
    assert reasons["010000"] == ("ok", None)
    assert reasons["000000"] == ("failed", "densepose_of_other_shape")


def test_a_viton_hd_root_of_trousers_is_measured_as_such(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    _, wearer, parse = trousers()
    add_sample(root, "00000_00", openpose(body_25_numbers(wearer)), parse)
    chain = DataChain(source="viton_hd", root=root, split="test", category=Category.LOWER)
    (row,) = pq.read_table(chain.annotate(tmp_path / "work")["size_annotations"]).to_pylist()
    assert (row["category"], row["status"]) == ("lower", "ok")
    assert row["waist_ratio"] == pytest.approx(1.8, abs=0.01)


def test_paper_dolls_of_every_category_are_measured_as_drawn(tmp_path: Path) -> None:
    """Of 54 axes three are hidden: by tops over waistbands, and where legs end below the picture."""
    dolls = PaperDollParams(
        train=12, test=6, image_height=384, image_width=288, seed=5, categories=tuple(Category)
    )
    raw, out = tmp_path / "raw", tmp_path / "manifest.parquet"
    prepare_dataset.run(PrepareDatasetParams(paper_dolls=dolls), raw=raw, out=out)
    told = {row.key: row.category for row in read_manifest(out)}
    assert [*map(told.get, ("00000_00", "00001_00", "90002_00"))] == [*Category]
    tables = DataChain(source="paper_dolls", root=raw).annotate(tmp_path / "work")
    truth = {row["key"]: row for row in pq.read_table(raw / "truth.parquet").to_pylist()}
    unknown = 0
    for row in pq.read_table(tables["size_annotations"]).to_pylist():
        own = axes_of(told[row["key"]])
        assert [name for name in MEASURED_NAMES if name not in own and row[f"{name}_ratio"] is not None] == []
        for name in own:
            value, low, high = (row[f"{name}_{part}"] for part in ("ratio", "low", "high"))
            if low is None or high - low > 0.1 * value:
                unknown += 1
                continue
            assert value == pytest.approx(truth[row["key"]][f"{name}_ratio"], rel=0.02)
    assert unknown == 3


def test_inspect_tells_categories_apart_and_draws_each(tables: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "gallery.html"
    text = inspect(tables["size_annotations"], html=page)
    assert [line.strip() for line in text.splitlines() if line.strip() in list(Category)] == list(Category)
    assert sum(line.startswith("cut at width ratios of ") for line in text.splitlines()) == 3
    assert page.read_text().count("data:image/jpeg;base64,") == 6
    assert "lower waist_ratio" in page.read_text()


def test_dress_code_reads_the_folders_that_there_are_or_one(wardrobe: Path, tmp_path: Path) -> None:
    assert [str(sample.category) for sample in DressCode(wardrobe, "train").samples()] == (
        ["upper"] * 2 + ["lower"] * 2 + ["dress"] * 2
    )
    lower = DressCode(wardrobe, "train", Category.LOWER)
    assert [sample.key for sample in lower.samples()] == ["010000", "010001"]
    with pytest.raises(FileNotFoundError, match="with upper_body/ or lower_body/ or dresses/"):
        list(DressCode(tmp_path).samples())
