from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.cli.inspection import HISTOGRAM_BINS, histogram, inspect
from pipeline.cli.overlay import cuffs
from pipeline.cli.without_dvc import DataChain
from preprocess.body.keypoints import BodyFrame, ExtractKeypointsParams
from preprocess.garment.ends import AXIS_BAND
from preprocess.garment.known import MAX_UNCERTAINTY_KEY
from preprocess.garment.measurements import measure_worn
from preprocess.garment.parse import garment_mask
from preprocess.garment.size_ratios import SizeRatioParams, thresholds_key
from preprocess.sources.dress_code import DressCode
from preprocess.sources.registry import SOURCES
from preprocess.vocabulary import Category
from tests.pipeline.folders import add_sample, blank_photo, new_root
from tests.preprocess.people import (
    body_25_numbers,
    coco_18_numbers,
    openpose,
    paint_photo,
    person,
    tunic,
    write_json,
)
from tests.preprocess.test_sleeves import parse_with, wide_armed

THRESHOLDS = thresholds_key(Category.UPPER)


def annotate(source: str, root: Path, **options) -> Path:
    """Measure a folder, as `cinderella annotate` does."""
    return DataChain(source=source, root=root, **options).annotate(root.parent / "tables")["size_annotations"]


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    root = new_root(tmp_path)
    for index, width in enumerate((200, 240, 360)):
        parse = 5 * tunic(width=width).astype(np.uint8)
        add_sample(root, f"{index:05d}_00", openpose(body_25_numbers(person())), parse)
    add_sample(root, "00009_00", "{")
    return annotate(
        "viton_hd",
        root,
        split="test",
        keypoints=ExtractKeypointsParams(workers=1),
        sizes=SizeRatioParams(workers=1),
    )


def test_summary_counts_rows_reasons_and_labels(annotations: Path) -> None:
    text = inspect(annotations)
    assert text.startswith("4 rows\n       3 ok\n       1 failed   not_json\n")
    assert "1 tight, 0 fitted, 1 loose, 1 oversized" in text


def test_a_photo_that_two_have_is_told(annotations: Path) -> None:
    """All four are before the same grey wall; the first is what the others are."""
    assert "\nphotos that are in their split already: 3, such as test/00001_00 is" in inspect(annotations)
    assert "already" not in inspect(annotations, where="key = '00000_00'")
    table = pq.read_table(annotations)
    pq.write_table(table.drop(["same_photo_as"]), annotations)
    assert "already" not in inspect(annotations)


def test_what_no_row_tells_has_no_figures(annotations: Path, tmp_path: Path) -> None:
    text = inspect(annotations, where="status = 'failed'", html=tmp_path / "gallery.html")
    assert "nan" not in text
    assert "\n  width           0\n" in text
    assert "width: known in no row" in (tmp_path / "gallery.html").read_text()


def test_the_histogram_of_one_value_ranges_over_that_value(annotations: Path, tmp_path: Path) -> None:
    largest = max(ratio for ratio in pq.read_table(annotations)["width_ratio"].to_pylist() if ratio)
    inspect(annotations, where=f"width_ratio >= {largest}", html=tmp_path / "gallery.html")
    said = f"width_ratio, {largest:.2f} to {largest:.2f}, median {largest:.2f}"
    assert said in (tmp_path / "gallery.html").read_text()


def test_a_gallery_of_no_rows_is_empty(annotations: Path, tmp_path: Path) -> None:
    assert inspect(annotations, where="width_ratio > 99", html=tmp_path / "g.html").startswith("0 rows")
    assert "data:image" not in (tmp_path / "g.html").read_text()


def test_where_selects_by_duckdb(annotations: Path) -> None:
    assert inspect(annotations, where="width_ratio > 1.5 and status = 'ok'").startswith("1 rows")
    with pytest.raises(ValueError, match="where must be a DuckDB condition"):
        inspect(annotations, where="no_such_column > 1")
    with pytest.raises(ValueError, match=r"where must be a DuckDB condition .*Could not convert"):
        inspect(annotations, where="reason::int > 1")


def test_a_name_with_signs_of_patterns_is_one_file(annotations: Path) -> None:
    rows = pq.read_table(annotations)
    for number, name in enumerate(("may*", "may[1]", "may?", "it's may", "may1")):
        pq.write_table(rows[: number % 4], annotations.with_name(f"{name}.parquet"))
    for number, name in enumerate(("may*", "may[1]", "may?", "it's may")):
        assert inspect(annotations.with_name(f"{name}.parquet")).startswith(f"{number} rows")


def test_another_table_than_annotations_is_refused(annotations: Path) -> None:
    with pytest.raises(ValueError, match=r"keypoints\.parquet must be size annotations, but has no category"):
        inspect(annotations.with_name("keypoints.parquet"))
    cut = annotations.with_name("cut.parquet")
    cut.write_bytes(annotations.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"cut\.parquet must be a whole Parquet file"):
        inspect(cut)


def test_a_folder_of_files_is_summarised_as_one(annotations: Path, tmp_path: Path) -> None:
    folder = tmp_path / "months"
    folder.mkdir()
    rows = pq.read_table(annotations)
    pq.write_table(rows[:1], folder / "may.parquet")
    pq.write_table(rows[1:], folder / "june.parquet")
    assert inspect(folder) == inspect(annotations)
    where = "width_ratio > 1.5 and status = 'ok'"
    assert inspect(folder, where=where) == inspect(annotations, where=where)
    with pytest.raises(ValueError, match="draw from one file, got 2"):
        inspect(folder, key="00001_00", png=tmp_path / "one.png")
    cut_elsewhere = rows.replace_schema_metadata(rows.schema.metadata | {THRESHOLDS: b"[1, 2, 3]"})
    pq.write_table(cut_elsewhere[1:], folder / "june.parquet")
    assert "oversized\ncut at other width ratios in each file\n" in inspect(folder)
    otherwise = rows.replace_schema_metadata(rows.schema.metadata | {MAX_UNCERTAINTY_KEY: b"0.5"})
    pq.write_table(otherwise, folder / "july.parquet")
    with pytest.raises(
        ValueError, match=r"june\.parquet must have the columns and max_uncertainty of .*july"
    ):
        inspect(folder)


def test_what_known_means_is_read_with_the_rows_that_meet_a_condition(annotations: Path) -> None:
    rows = pq.read_table(annotations)
    strict = rows.replace_schema_metadata(rows.schema.metadata | {MAX_UNCERTAINTY_KEY: b"0.0"})
    pq.write_table(strict, annotations)
    assert "width           0" in inspect(annotations)
    assert "width           0" in inspect(annotations, where="true")


def test_a_key_is_drawn_over_its_photo(annotations: Path, tmp_path: Path) -> None:
    inspect(annotations, key="00001_00", png=tmp_path / "one.png")
    drawn = np.asarray(Image.open(tmp_path / "one.png")).astype(int)
    assert drawn.shape == (1024, 768, 3)
    red = (drawn[..., 0] > 180) & (drawn[..., 1] < 90) & (drawn[..., 2] < 90)
    columns = np.flatnonzero(red[295:306].any(axis=0))
    assert (columns.min(), columns.max()) == pytest.approx((384 - 130, 384 + 130), abs=4)
    with pytest.raises(ValueError, match="got 'nobody'"):
        inspect(annotations, key="nobody", png=tmp_path / "none.png")
    with pytest.raises(ValueError, match="name it with --key"):
        inspect(annotations, png=tmp_path / "none.png")


def test_cuffs_are_drawn_across_the_arms() -> None:
    """Arms of 401 px, of which the last 200 hang from row 390: three quarters end 100 px down, in row 490."""
    joints = wide_armed()
    worn = measure_worn(garment_mask(parse_with(joints, 0.75, 0.75), Category.UPPER), joints)
    frame = BodyFrame.from_keypoints(joints)
    for (path, bound), x in zip(cuffs(worn, joints, frame)[2::3], (104, 664), strict=True):
        ends = frame.to_image(path)
        np.testing.assert_allclose(ends[:, 1], 490, atol=2)
        assert ends[:, 0].mean() == pytest.approx(x, abs=0.5)
        assert np.ptp(ends[:, 0]) == pytest.approx(2 * AXIS_BAND * 200, rel=0.01)
        assert not bound


def test_ratios_that_are_equal_but_for_rounding_are_one_bar() -> None:
    values = [1.3, float(np.nextafter(1.3, 2)), 1.3]
    table = pa.table({f"width_{part}": values for part in ("ratio", "low", "high")})
    assert sorted(histogram(table, "width")["heights"])[-2:] == [0, 100]


def test_the_gallery_needs_nothing_else(annotations: Path, tmp_path: Path) -> None:
    inspect(annotations, html=tmp_path / "gallery.html")
    page = (tmp_path / "gallery.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 4
    assert page.count("<figure data-status=") == 4
    assert page.count("<rect") == 3 * HISTOGRAM_BINS
    assert "http" not in page


def test_dress_code_is_measured_like_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "dress_code/upper_body"
    for part in ("images", "label_maps", "keypoints"):
        (folder / part).mkdir(parents=True)
    (folder / "test_pairs_paired.txt").write_text("000001_0.jpg 000001_1.jpg\n")
    (folder / "test_pairs_unpaired.txt").write_text("000001_0.jpg 000002_1.jpg\n")
    for name in ("000001_0", "000001_1", "000002_1"):
        (folder / "images" / f"{name}.jpg").write_bytes(blank_photo())
    half = np.reshape(coco_18_numbers(person().scaled(0.5, 0.5)), (18, 3))
    rows = [[x, y, 0.0, float(row)] if c else [-1.0] * 4 for row, (x, y, c) in enumerate(half.tolist())]
    write_json(folder / "keypoints/000001_2.json", {"keypoints": rows})
    labels = np.where(tunic(width=240), 4, 0).astype(np.uint8)
    labels[700:] = 5  # a skirt in Dress Code, a top in VITON-HD
    Image.fromarray(labels).save(folder / "label_maps/000001_4.png")
    sample = next(iter(DressCode(tmp_path / "dress_code", "test").samples()))
    assert (sample.key, sample.unpaired_key) == ("000001", "000002")
    out = annotate("dress_code", tmp_path / "dress_code", split="test")
    assert inspect(out, where="abs(width_ratio - 1.2) < 0.005 and keypoint_format = 'coco_18'").startswith(
        "1 rows"
    )


def test_a_folder_of_photos_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "photos/paris").mkdir(parents=True)
    (tmp_path / "photos/paris/me.jpg").write_bytes(blank_photo())
    write_json(tmp_path / "photos/paris/me.json", openpose(body_25_numbers(person())))
    out = annotate("folder", tmp_path / "photos")
    assert "1 failed   no_garment" in inspect(out, where="key = 'paris__me'")
    strict = SizeRatioParams(segmenter="none")
    out = annotate("folder", tmp_path / "photos", sizes=strict)
    assert "1 failed   no_parse" in inspect(out, where="key = 'paris__me'")


def test_a_folder_of_photos_is_measured_by_colours_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.fromarray(paint_photo(tunic(width=240), person())).save(tmp_path / "photos/me.png")
    write_json(tmp_path / "photos/me.json", openpose(body_25_numbers(person())))
    out = annotate("folder", tmp_path / "photos")
    png, html = tmp_path / "me.png", tmp_path / "me.html"
    text = inspect(out, where="abs(width_ratio - 1.2) < 0.02", key="me", png=png, html=html)
    assert text.startswith("1 rows\n       1 suspect  segmented_garment; shoulder_unknown")
    painted = np.asarray(Image.open(png)).astype(int)
    red = (painted[..., 0] > 180) & (painted[..., 1] < 90) & (painted[..., 2] < 90)
    columns = np.flatnonzero(red[295:306].any(axis=0))
    assert (columns.min(), columns.max()) == pytest.approx((384 - 130, 384 + 130), abs=5)
    assert html.read_text().count("data:image/jpeg;base64,") == 1


def test_an_unknown_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"one of {', '.join(SOURCES)}, got 'viton-hd'"):
        annotate("viton-hd", tmp_path)


@pytest.mark.parametrize("option", ["manifest", "keypoints"])
def test_a_table_that_is_none_is_asked_for_by_its_option(
    annotations: Path, tmp_path: Path, option: str
) -> None:
    with pytest.raises(FileNotFoundError, match=f"is no file: name the table of {option} with --{option}"):
        inspect(annotations, key="00000_00", png=tmp_path / "doll.png", **{option: tmp_path})
    (tmp_path / "other").write_text("5\n")
    with pytest.raises(ValueError, match="other must be a whole Parquet file"):
        inspect(annotations, key="00000_00", png=tmp_path / "doll.png", **{option: tmp_path / "other"})
