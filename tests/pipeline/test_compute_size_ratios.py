import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline import compute_size_ratios, extract_keypoints
from pipeline.tables.manifest import write_manifest
from preprocess.body.drawing import draw_body
from preprocess.body.inpaint_mask import MaskParams
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.identity import ROOT
from preprocess.person.prepare import prepare_person
from preprocess.places import StorageError
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.sizes.request import SizeRequest
from preprocess.sources.paper_dolls.dataset import render_dataset
from preprocess.sources.params import PaperDollParams
from preprocess.sources.source import read_manifest
from preprocess.sources.viton_hd import VitonHd
from preprocess.vocabulary import Lip
from tests.pipeline.folders import add_sample, new_root
from tests.preprocess.people import HEIGHT, WIDTH, body_25_numbers, openpose, paint_photo, person, tunic
from tests.sizes import UPPER

PARAMS = SizeRatioParams(workers=1)
DESIGN_COLUMNS = [
    *("key", "split", "category", "status", "reason", "keypoint_source", "keypoint_format"),
    *(
        *("shoulder_ratio", "shoulder_low", "shoulder_high"),
        *("width_ratio", "width_low", "width_high"),
        *("length_ratio", "length_low", "length_high"),
        *("waist_ratio", "waist_low", "waist_high"),
        "ease_ratio",
        "sleeve_ratio",
        "fit_label",
        "confidence",
    ),
    *("body_shoulder_px", "body_torso_px", "body_hip_px", "body_leg_px"),
    *("garment_shoulder_px", "garment_width_px", "garment_length_px", "garment_waist_px"),
    *("tilt_deg", "image_width", "image_height", "input_hash", "same_photo_as"),
]


def annotate(root: Path, params: SizeRatioParams = PARAMS, workers: int = 1) -> Path:
    folder = root.parent
    manifest, keypoints, out = (folder / f"{name}.parquet" for name in ("manifest", "keypoints", "sizes"))
    write_manifest(VitonHd(root), manifest)
    extract_keypoints.run(ExtractKeypointsParams(workers=workers), manifest=manifest, out=keypoints)
    compute_size_ratios.run(params, manifest=manifest, keypoints=keypoints, out=out)
    return out


@pytest.mark.parametrize("lost", ["image/00000_00.jpg", "image-parse-v3/00000_00.png"])
def test_a_file_that_this_machine_does_not_see_ends_the_run(tmp_path: Path, lost: str) -> None:
    root = new_root(tmp_path)
    add_sample(root, "00000_00", openpose(body_25_numbers(person())), labels(tunic()))
    out = annotate(root)
    out.unlink()
    (root / "test" / lost).unlink()
    tables = {name: tmp_path / f"{name}.parquet" for name in ("manifest", "keypoints")}
    with pytest.raises(StorageError, match=rf"{lost}.*do all machines see it\?"):
        compute_size_ratios.run(PARAMS, **tables, out=out)
    assert not out.exists()


def rows(out: Path) -> dict[str, dict[str, object]]:
    return {row["key"]: row for row in pq.read_table(out).to_pylist()}


def labels(mask: np.ndarray) -> np.ndarray:
    return np.where(mask, Lip.UPPER_CLOTHES, Lip.BACKGROUND).astype(np.uint8)


def add_people(root: Path, widths: dict[str, int]) -> None:
    for key, width in widths.items():
        add_sample(root, key, openpose(body_25_numbers(person())), labels(tunic(width=width)))


def test_the_file_is_what_the_design_says(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    add_people(root, {"00001_00": 240, "00000_00": 200})
    schema = pq.read_schema(annotate(root))
    assert schema.names == DESIGN_COLUMNS
    assert schema.field("width_ratio").metadata == {b"unit": b"1"}
    assert schema.field("garment_length_px").metadata == {b"unit": b"px"}
    assert schema.field("tilt_deg").metadata == {b"unit": b"deg"}
    metadata = pq.read_metadata(tmp_path / "sizes.parquet")
    assert metadata.row_group(0).column(0).compression == "ZSTD"
    assert list(rows(tmp_path / "sizes.parquet")) == ["00000_00", "00001_00"]


def test_measures_what_was_drawn(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    add_people(root, {"00000_00": 240})
    row = rows(annotate(root))["00000_00"]
    assert (row["status"], row["reason"], row["category"]) == ("ok", None, "upper")
    found = [row[f"{name}_ratio"] for name in UPPER]
    assert found == pytest.approx([1.3, 1.2, 1.25], rel=0.003)
    assert row["body_shoulder_px"] == pytest.approx(200)
    assert row["ease_ratio"] is None


def test_bad_samples_are_rows_with_nulls(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    good = openpose(body_25_numbers(person()))
    add_sample(root, "00000_00", good)
    add_sample(root, "00001_00", good, labels(np.zeros_like(tunic())))
    add_sample(root, "00002_00", "{", labels(tunic()))
    add_sample(root, "00003_00", good, labels(tunic())[:512])
    add_sample(root, "00004_00", good, labels(tunic(hem=1024)))
    add_sample(root, "00005_00", good, labels(tunic()))
    (root / "test/image-densepose").mkdir()
    square = Image.fromarray(draw_body(person(), HEIGHT, WIDTH)[128:-128])
    square.save(root / "test/image-densepose/00005_00.png")
    found = rows(annotate(root))
    assert [(row["status"], row["reason"]) for row in found.values()] == [
        ("failed", "no_parse"),
        ("failed", "no_garment"),
        ("failed", "not_json"),
        ("failed", "parse_of_other_shape"),
        ("suspect", "hem_out_of_frame; length_not_measurable; length_unknown"),
        ("failed", "densepose_of_other_shape"),
    ]
    assert all(row["width_ratio"] is None and row["fit_label"] is None for row in list(found.values())[:4])
    assert found["00004_00"]["length_ratio"] is None


def test_a_garment_told_by_its_colours_is_measured_and_known_on_no_axis(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    add_people(root, {"00000_00": 240})
    good = openpose(body_25_numbers(person()))
    for key in ("00001_00", "00002_00"):
        add_sample(root, key, good)
    Image.fromarray(paint_photo(tunic(width=240), person())).save(
        root / "test/image/00001_00.jpg", quality=95
    )
    add_sample(root, "00003_00", good, labels(np.zeros_like(tunic())))
    before = rows(annotate(root))
    found = rows(annotate(root, SizeRatioParams(workers=1, segmenter="grabcut")))
    assert [(row["status"], row["reason"]) for row in found.values()] == [
        ("ok", None),
        ("suspect", "segmented_garment; shoulder_unknown; width_unknown; length_unknown"),
        ("failed", "no_garment"),
        ("failed", "no_garment"),
    ]
    same = ("00000_00", "00003_00")
    assert [found[key] for key in same] == [before[key] for key in same]
    row = found["00001_00"]
    ratios = [row[f"{name}_ratio"] for name in UPPER]
    assert ratios == pytest.approx([1.3, 1.2, 1.25], rel=0.015)
    assert 0 < row["confidence"] < 0.5
    tolerant = SizeRatioParams(workers=1, segmenter="grabcut", max_uncertainty=0.2)
    row = rows(annotate(root, tolerant))["00001_00"]
    assert (row["status"], row["reason"]) == ("ok", "segmented_garment")


def test_every_reason_of_a_failed_row_is_explained_on_the_page() -> None:
    page = (ROOT / "docs" / "annotations.md").read_text()
    code = "".join(
        file.read_text()
        for folder in ("preprocess", "pipeline")
        for file in sorted((ROOT / folder).rglob("*.py"))
    )
    reasons = set(re.findall(r'KeypointError\("([a-z_]+)"\)', code))
    assert {"no_openpose_json", "no_parse", "missing_knees"} <= reasons
    assert {reason for reason in reasons if f"`{reason}`" not in page} == set()


def test_a_parse_at_half_the_size_gives_the_same_ratios(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    add_sample(root, "00000_00", openpose(body_25_numbers(person())), labels(tunic(width=240))[::2, ::2])
    row = rows(annotate(root))["00000_00"]
    assert row["width_ratio"] == pytest.approx(1.2, rel=0.005)
    assert row["garment_width_px"] == pytest.approx(240, rel=0.005)


def test_fit_labels_are_cut_from_known_widths_and_frozen_with_the_data(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    add_people(root, {f"{index:05d}_00": 180 + 4 * index for index in range(20)})
    out = annotate(root)
    thresholds = json.loads(pq.read_schema(out).metadata[b"fit_label_thresholds"])
    assert thresholds == sorted(thresholds)
    found = [row["fit_label"] for row in rows(out).values()]
    assert [found.count(label) for label in ("tight", "fitted", "loose", "oversized")] == [4, 6, 6, 4]


def test_bytes_depend_on_neither_workers_nor_reuse(tmp_path: Path) -> None:
    small, root = PaperDollParams(train=60, test=12, image_height=128, image_width=96), tmp_path / "dolls"
    render_dataset(small, root)
    first = annotate(root).read_bytes()
    assert annotate(root).read_bytes() == first
    (tmp_path / "sizes.parquet").unlink()
    (tmp_path / "keypoints.parquet").unlink()
    assert annotate(root, SizeRatioParams(workers=2), workers=2).read_bytes() == first


def test_only_what_changed_is_measured_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = new_root(tmp_path)
    add_people(root, {f"{index:05d}_00": 200 for index in range(8)})
    before = rows(annotate(root))
    add_people(root, {"00100_00": 200})
    parse = root / "test/image-parse-v3/00003_00.png"
    parse.write_bytes((root / "test/image-parse-v3/00004_00.png").read_bytes() + b"\0")
    pairs = root / "test_pairs.txt"
    pairs.write_text(pairs.read_text().replace("00005_00.jpg 00005_00.jpg\n", ""))
    caplog.set_level("INFO")
    after = rows(annotate(root))
    assert "sizes.parquet: 8 ok, 6 reused" in caplog.text
    assert set(after) == set(before) - {"00005_00"} | {"00100_00"}


def test_whose_photo_a_row_has_is_told_anew_though_the_row_is_reused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = new_root(tmp_path)
    add_people(root, {f"{index:05d}_00": 200 for index in range(3)})
    assert [row["same_photo_as"] for row in rows(annotate(root)).values()] == [None, *["test/00000_00"] * 2]
    pairs = root / "test_pairs.txt"
    pairs.write_text(pairs.read_text().replace("00000_00.jpg 00000_00.jpg\n", ""))
    caplog.set_level("INFO")
    assert [row["same_photo_as"] for row in rows(annotate(root)).values()] == [None, "test/00001_00"]
    assert "sizes.parquet: 2 ok, 2 reused" in caplog.text
    tables = {name: tmp_path / f"{name}.parquet" for name in ("manifest", "keypoints")}
    earlier = pq.read_table(tables["manifest"]).drop(["image_hash", "same_photo_as"])
    pq.write_table(earlier, tables["manifest"])
    compute_size_ratios.run(PARAMS, **tables, out=tmp_path / "sizes.parquet")
    found = [row["same_photo_as"] for row in rows(tmp_path / "sizes.parquet").values()]
    assert found == [None, None], "an earlier version's manifest doesn't tell"


def test_other_parameters_measure_everything_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = new_root(tmp_path)
    add_people(root, {"00000_00": 200, "00001_00": 240})
    annotate(root)
    caplog.set_level("INFO")
    annotate(root, SizeRatioParams(workers=1, credible={"width": (1.1, 2.0)}))
    assert "sizes.parquet: 1 ok, 0 reused, 1 suspect" in caplog.text
    annotate(root, SizeRatioParams(workers=1, credible={"width": (1.1, 2.0)}, fit_quantiles=(0.1, 0.5, 0.9)))
    assert "sizes.parquet: 1 ok, 2 reused, 1 suspect" in caplog.text


def test_another_meaning_of_the_labels_measures_everything_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, edit: Callable[[str, str, str], None]
) -> None:
    root = new_root(tmp_path)
    add_people(root, {"00000_00": 240, "00001_00": 200})
    annotate(root)
    caplog.set_level("INFO")
    edit("preprocess/sizes/chart.py", "import", "import heapq\nimport")
    annotate(root)
    assert "sizes.parquet: 2 ok, 2 reused" in caplog.text
    caplog.clear()
    edit("preprocess/vocabulary.py", "Lip.DRESS, Lip.COAT", "Lip.COAT")
    annotate(root)
    assert "sizes.parquet: 2 ok, 0 reused" in caplog.text


def test_keypoints_of_another_manifest_are_refused(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    add_people(root, {"00000_00": 200})
    annotate(root)
    add_people(root, {"00001_00": 200})
    manifest = tmp_path / "manifest.parquet"
    write_manifest(VitonHd(root), manifest)
    with pytest.raises(ValueError, match="run `dvc repro extract_keypoints` first"):
        compute_size_ratios.run(
            PARAMS,
            manifest=manifest,
            keypoints=tmp_path / "keypoints.parquet",
            out=tmp_path / "sizes.parquet",
        )


def test_training_data_and_try_on_measure_the_natural_size_by_one_recipe(tmp_path: Path) -> None:
    """Photos that are read at half their size for training, arms before the garment among them."""
    render_dataset(PaperDollParams(train=1, test=16, image_height=1024, image_width=768), tmp_path / "raw")
    sizes = rows(annotate(tmp_path / "raw"))
    compared = 0
    for row in read_manifest(tmp_path / "manifest.parquet"):
        if sizes[row.key]["status"] == "failed":
            continue
        given = {"keypoints": row.openpose_json, "parse": row.parse, "densepose": row.densepose}
        natural = prepare_person(row.image, **given, mask=MaskParams()).natural_size
        expected = [sizes[row.key][f"{name}_ratio"] for name in AXIS_NAMES]
        found = (natural or SizeRequest()).as_array()
        np.testing.assert_allclose(found, np.array(expected, np.float64), atol=1e-5, err_msg=row.key)
        compared += 1
    assert compared > 12
