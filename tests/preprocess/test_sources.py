import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.tables.manifest import write_manifest
from preprocess.pictures import Limits
from preprocess.sources.pairs import read_pairs
from preprocess.sources.params import PrepareDatasetParams
from preprocess.sources.source import SourceSample, read_manifest
from preprocess.sources.viton_hd import VitonHd
from preprocess.vocabulary import Category, ParseLabels, RowStatus

SHARED = Path(os.environ.get("CINDERELLA_SHARED", Path(__file__).parents[2].parent / "shared"))
REAL_ROOT = SHARED / "data" / "vitonhd"


@dataclass(frozen=True)
class ListedSource:
    root: Path
    listed: tuple[SourceSample, ...]
    name: str = "listed"

    def samples(self) -> Iterator[SourceSample]:
        yield from self.listed


def photo(path: Path, level: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 40), (level, 100, 200)).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A VITON-HD root: one person to train on, two to test on, of whom one lacks all but the photo."""
    for split, key in (("train", "1"), ("test", "2"), ("test", "3")):
        photo(tmp_path / split / "image" / f"{key}.jpg", int(key))
    for split, key in (("train", "1"), ("test", "2"), ("test", "9")):
        photo(tmp_path / split / "cloth" / f"{key}.jpg")
    photo(tmp_path / "test" / "cloth-mask" / "9.jpg")
    photo(tmp_path / "train" / "image-parse-v3" / "1.png")
    (tmp_path / "train_pairs.txt").write_text("1.jpg 1.jpg\n")
    (tmp_path / "test_pairs.txt").write_text("2.jpg 9.jpg\n3.jpg 2.jpg\n\n2.jpg 2.jpg\n")
    return tmp_path


def test_a_manifest_gives_back_the_samples_with_absolute_paths(root: Path) -> None:
    source = VitonHd(root, captions={"2": "a red top"})
    counts = write_manifest(source, root / "out" / "manifest.parquet")
    rows = read_manifest(root / "out" / "manifest.parquet")
    assert counts == {"ok": 3}
    assert [(row.split, row.key) for row in rows] == [("test", "2"), ("test", "3"), ("train", "1")]
    by_key = {sample.key: sample for sample in source.samples()}
    for row in rows:
        assert dict(row.parts()) == dict(by_key[row.key].parts())
        assert all(path.is_absolute() for _, path in row.parts())
        assert (row.status, row.reason, row.category) == (RowStatus.OK, None, Category.UPPER)
    assert rows[0].caption == "a red top"


def test_a_third_column_of_a_list_says_what_is_worn(root: Path) -> None:
    (root / "test_pairs.txt").write_text("2.jpg 2.jpg Lower\n3.jpg\t3.jpg\tdress\n")
    worn = {sample.key: sample.category for sample in VitonHd(root).samples()}
    assert worn == {"1": Category.UPPER, "2": Category.LOWER, "3": Category.DRESS}
    (root / "test_pairs.txt").write_text("2.jpg 9.jpg sock\n")
    with pytest.raises(ValueError, match=r"test_pairs\.txt:1 must be 'person\.jpg cloth\.jpg', got"):
        list(VitonHd(root).samples())


def test_what_is_tried_on_does_not_say_what_is_worn(root: Path) -> None:
    """Person 2 tries dresses on. Person 3 wears 9, which is nobody else's, unless the list of pairs knows."""
    (root / "test_pairs.txt").write_text("2.jpg 3.jpg dress\n3.jpg 9.jpg dress\n2.jpg 9.jpg dress\n")
    worn = {sample.key: sample.category for sample in VitonHd(root).samples()}
    assert worn == {"1": Category.UPPER, "2": Category.UPPER, "3": Category.DRESS}
    (root / "test_pairs_paired.txt").write_text("3.jpg 3.jpg lower\n")
    worn = {sample.key: sample.category for sample in VitonHd(root).samples()}
    assert worn == {"1": Category.UPPER, "2": Category.UPPER, "3": Category.LOWER}


def test_a_garment_without_a_person_can_be_tried_on(root: Path) -> None:
    rows = {sample.key: sample for sample in VitonHd(root).samples()}
    assert rows["2"].unpaired_key == "9"
    assert rows["2"].unpaired_cloth == root / "test" / "cloth" / "9.jpg"
    assert rows["2"].unpaired_cloth_mask == root / "test" / "cloth-mask" / "9.jpg"
    assert rows["1"].unpaired_key is None


def test_missing_parts_are_null(root: Path) -> None:
    row = next(sample for sample in VitonHd(root).samples() if sample.key == "3")
    assert [name for name, _ in row.parts()] == ["image", "unpaired_cloth"]


def test_people_of_the_paired_list_are_read_too(root: Path) -> None:
    photo(root / "test" / "image" / "4.jpg")
    photo(root / "test" / "cloth" / "4.jpg")
    (root / "test_pairs_paired.txt").write_text("2.jpg 2.jpg\n4.jpg 4.jpg\n")
    rows = {sample.key: sample.unpaired_key for sample in VitonHd(root, split="test").samples()}
    assert rows == {"2": "9", "3": "2", "4": None}


def test_the_same_files_give_the_same_bytes(root: Path) -> None:
    write_manifest(VitonHd(root), root / "a.parquet")
    write_manifest(VitonHd(root), root / "b.parquet")
    assert (root / "a.parquet").read_bytes() == (root / "b.parquet").read_bytes()


def test_a_changed_photo_changes_one_hash(root: Path) -> None:
    write_manifest(VitonHd(root), root / "manifest.parquet")
    before = {row.key: row.input_hash for row in read_manifest(root / "manifest.parquet")}
    photo(root / "train" / "image" / "1.jpg", 250)
    write_manifest(VitonHd(root), root / "manifest.parquet")
    after = {row.key: row.input_hash for row in read_manifest(root / "manifest.parquet")}
    assert {key for key in before if before[key] != after[key]} == {"1"}


def test_files_that_are_read_otherwise_have_another_hash(root: Path) -> None:
    """A source that says another meaning of the labels has its rows measured again."""
    listed = tuple(VitonHd(root).samples())
    found = []
    for samples in (listed, (*listed[:-1], replace(listed[-1], parse_labels=ParseLabels.ATR))):
        write_manifest(ListedSource(root, samples), root / "manifest.parquet")
        found.append({row.key: row.input_hash for row in read_manifest(root / "manifest.parquet")})
    assert {key for key in found[0] if found[0][key] != found[1][key]} == {listed[-1].key}


def test_other_code_judges_unchanged_files_anew(root: Path, edit: Callable[[str, str, str], None]) -> None:
    manifest = root / "manifest.parquet"

    def judged_badly() -> None:
        table = pq.read_table(manifest)
        column = table.schema.get_field_index("status")
        pq.write_table(table.set_column(column, "status", pa.array(["failed"] * 3)), manifest)

    write_manifest(VitonHd(root), manifest)
    judged_badly()
    assert write_manifest(VitonHd(root), manifest) == {"failed": 3}
    edit("preprocess/pictures.py", "// 8", "// 4")
    assert write_manifest(VitonHd(root), manifest) == {"ok": 3}


def test_other_limits_judge_unchanged_files_anew(root: Path) -> None:
    manifest = root / "manifest.parquet"
    for max_pixels, counts in ((1000, {"failed": 3}), (2000, {"ok": 3}), (1000, {"failed": 3})):
        limits = PrepareDatasetParams(limits=Limits(max_pixels=max_pixels)).limits
        assert write_manifest(VitonHd(root), manifest, limits) == counts
    with pytest.raises(ValueError, match=r"limits\.max_pixels must be at most 50,000,000, got 60,000,000"):
        PrepareDatasetParams(limits=Limits(max_pixels=60_000_000))


@pytest.mark.parametrize("damage", ["truncated", "text", "empty"])
def test_an_unreadable_image_is_a_failed_row(root: Path, damage: str) -> None:
    path = root / "test" / "image" / "2.jpg"
    content = {"truncated": path.read_bytes()[:-200], "text": b"not a picture", "empty": b""}[damage]
    path.write_bytes(content)
    assert write_manifest(VitonHd(root), root / "manifest.parquet") == {"ok": 2, "failed": 1}
    row = next(row for row in read_manifest(root / "manifest.parquet") if row.key == "2")
    assert row.status == RowStatus.FAILED
    assert row.reason is not None
    assert row.reason.startswith("image unreadable: ")


def test_a_missing_root_says_which_parameter_to_set(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a folder: set prepare_dataset\.root"):
        list(VitonHd(tmp_path / "nowhere").samples())


def test_a_missing_list_of_pairs_is_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "test_pairs.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"test_pairs\.txt not found: it must list"):
        list(VitonHd(root, "test").samples())
    assert {sample.split for sample in VitonHd(root).samples()} == {"train"}
    assert "has no test_pairs.txt, so no split test" in caplog.text
    (root / "train_pairs.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"train_pairs\.txt not found: it must list"):
        list(VitonHd(root).samples())


def test_a_root_that_is_the_folder_above_or_below_is_told_by_what_lies_there(root: Path) -> None:
    above = root / "above"
    above.mkdir()
    (above / "zalando").symlink_to(root)
    for wrong, there in ((above, "zalando"), (root / "test", "cloth, cloth-mask, image")):
        with pytest.raises(FileNotFoundError, match=rf"beside train/; {wrong} has {there}$"):
            list(VitonHd(wrong).samples())


def test_a_pair_that_names_a_missing_person_is_named(root: Path) -> None:
    (root / "test_pairs.txt").write_text("7.jpg 2.jpg\n")
    with pytest.raises(FileNotFoundError, match=r"image/7\.jpg not found, but .*:1 '7\.jpg 2\.jpg'"):
        list(VitonHd(root).samples())


def test_a_person_can_be_measured_without_the_garment_that_a_pair_names(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "test_pairs.txt").write_text("2.jpg 7.jpg\n")
    (sample,) = VitonHd(root, split="test").samples()
    assert (sample.unpaired_key, sample.unpaired_cloth) == (None, None)
    assert "1 pairs name a garment without a photo in cloth/" in caplog.text


@pytest.mark.parametrize("line", ["2.jpg", "2.jpg 3.jpg 4.jpg"])
def test_a_line_without_two_names_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "pairs.txt").write_text(f"1.jpg 1.jpg\n{line}\n")
    with pytest.raises(ValueError, match=r"pairs\.txt:2 must be 'person\.jpg cloth\.jpg', got"):
        list(read_pairs(tmp_path / "pairs.txt"))


def test_a_source_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no sample"):
        write_manifest(ListedSource(tmp_path, ()), tmp_path / "manifest.parquet")


def test_a_key_twice_in_a_split_is_refused(root: Path) -> None:
    one = next(VitonHd(root).samples())
    other = replace(one, split="test")
    assert write_manifest(ListedSource(root, (one, other)), root / "manifest.parquet") == {"ok": 2}
    with pytest.raises(ValueError, match="unique in its split, got train/1"):
        write_manifest(ListedSource(root, (one, one)), root / "manifest.parquet")


def test_a_manifest_that_is_missing_or_older_is_refused(root: Path) -> None:
    path = root / "manifest.parquet"
    with pytest.raises(FileNotFoundError, match="run `dvc repro prepare_dataset` first"):
        read_manifest(path)
    write_manifest(VitonHd(root), path)
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"root": str(root), "schema_version": "0"}), path)
    with pytest.raises(ValueError, match="must have manifest schema 2, got 0"):
        read_manifest(path)
    pq.write_table(table.replace_schema_metadata({"schema_version": "2"}), path)  # as keypoints.parquet
    with pytest.raises(ValueError, match=r"must be a manifest\.parquet, as prepare_dataset writes it"):
        read_manifest(path)


def test_a_relative_root_is_read_from_the_working_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)
    write_manifest(VitonHd(Path(root.name)), Path("manifest.parquet"))
    moved = root.parent / "elsewhere"
    shutil.copytree(root, moved / root.name)
    shutil.copy("manifest.parquet", moved)
    monkeypatch.chdir(moved)
    rows = read_manifest(Path("manifest.parquet"))
    assert rows[0].image == moved / root.name / "test" / "image" / "2.jpg"


@pytest.mark.skipif(not REAL_ROOT.is_dir(), reason=f"{REAL_ROOT} with VITON-HD's samples is absent")
def test_reads_vitonhd_itself(tmp_path: Path) -> None:
    assert write_manifest(VitonHd(REAL_ROOT), tmp_path / "manifest.parquet") == {"ok": 11}
    rows = {row.key: row for row in read_manifest(tmp_path / "manifest.parquet")}
    assert rows["00006_00"].unpaired_key == "06396_00"
    assert rows["14274_00"].agnostic_mask is None
    assert rows["14274_00"].openpose_json is not None
    assert rows["00005_00"].openpose_json is None
