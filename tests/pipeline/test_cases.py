"""What people really bring: every folder of the shared cases gives what its `CASES.md` says is right."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from pipeline.cli.without_dvc import DataChain
from pipeline.tryon.outfits import TableFitting, table_fittings
from preprocess.body.inpaint_mask import MaskParams
from preprocess.body.keypoints import ExtractKeypointsParams, Keypoints
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.masks import read_mask
from preprocess.person.prepare import prepare_person
from preprocess.pictures import can_read_heic, read_picture
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.sources.keys import name_of
from shards.codec import decode_photo
from shards.params import WriteShardsParams
from shards.reader import ShardReader
from shards.sample import Sample, decode
from shards.storage import LocalFolder
from shards.stream import SampleStream
from shards.ustar import unpack
from tests.shared_data import shared_data

Rows = dict[str, dict[str, Any]]
Check = Callable[[Path, Path], None]

GOOD = ("00006_00", "00034_00")


def cases() -> Path:
    folder = shared_data() / "cases"
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}")
    return folder


def chain(root: Path, *, size: tuple[int, int] | None = None, mediapipe: bool = False) -> DataChain:
    """Measure in this process; photos without joints by MediaPipe."""
    layout = "viton_hd" if (root / "test_pairs.txt").is_file() else "folder"
    model = str(shared_data() / "models/pose_landmarker_full.task") if mediapipe else None
    return DataChain(
        source=layout,
        root=root,
        split="test",
        keypoints=ExtractKeypointsParams(workers=1, mediapipe_model=model),
        sizes=SizeRatioParams(workers=1, segmenter="grabcut" if mediapipe else "none"),
        shards=WriteShardsParams(num_workers=0, image_height=size and size[0], image_width=size and size[1]),
    )


def measured(root: Path, out: Path, *, mediapipe: bool = False) -> Rows:
    tables = chain(root, mediapipe=mediapipe).annotate(out)
    return {row["key"]: row for row in pq.read_table(tables["size_annotations"]).to_pylist()}


def sharded(root: Path, out: Path, size: tuple[int, int] | None = None) -> dict[str, Sample]:
    folder = chain(root, size=size).shard("test", out / "work", out)
    reader = ShardReader(LocalFolder(folder), 1, 1)
    samples = {}
    for shard, entry in enumerate(reader.index.entries()):
        for row in range(entry.num_samples):
            key, packed = reader.packed(shard, row)
            samples[key] = decode(key, unpack(key, packed))
    names = {name.split(".")[0] for tar in folder.glob("*.tar") for name in names_in(tar)}
    assert names == set(samples), "tar and WebDataset agree on keys"
    return samples


def names_in(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return tar.getnames()


def ratios(row: dict[str, Any]) -> NDArray[np.float64]:
    return np.array([row[f"{name}_ratio"] for name in AXIS_NAMES if row.get(f"{name}_ratio")], np.float64)


def reference(out: Path) -> Rows:
    return measured(cases() / "ok_small", out / "reference")


def reads_as_reference(root: Path, out: Path) -> None:
    found, expected = measured(root, out / "rows"), reference(out)
    for (key, row), name in zip(sorted(found.items()), GOOD, strict=False):
        assert row["status"] == expected[name]["status"], (key, row["reason"])
        np.testing.assert_allclose(ratios(row), ratios(expected[name]), rtol=0.005)


def same_rows(root: Path, other: Path, out: Path) -> None:
    found, expected = measured(root, out / "rows"), measured(other, out / "other")
    assert found.keys() == expected.keys()
    for key, row in found.items():
        np.testing.assert_array_equal(ratios(row), ratios(expected[key]))


def turned_photos_read_alike(root: Path, out: Path) -> None:
    rows = measured(root, out, mediapipe=True)
    np.testing.assert_allclose(ratios(rows["phone"]), ratios(rows["upright"]), rtol=0.01)
    assert rows["phone"]["tilt_deg"] == pytest.approx(rows["upright"]["tilt_deg"], abs=1)
    assert [rows["phone"][f"image_{side}"] for side in ("height", "width")] == [512, 384]


def stored_upright(root: Path, out: Path) -> None:
    reads_as_reference(root, out)
    expected = sharded(cases() / "ok_small", out / "good")
    for key, sample in sharded(root, out / "shards").items():
        picture, own = decode_photo(sample.image), decode_photo(expected[key].image)
        assert picture.shape == (512, 384, 3) == (*sample.inpaint_mask.shape, 3)
        assert np.abs(picture.astype(int) - own).mean() < 3


def masks_are_read_alike(root: Path, _out: Path) -> None:
    good = read_mask(root / "m8.png")
    for name in ("alpha_white", "m01", "m1bit", "m16", "m16_half", "palette_voc"):
        np.testing.assert_array_equal(read_mask(root / f"{name}.png"), good, name)
    for name in ("alpha_black", "m_black_alpha"):
        with pytest.raises(ValueError, match=r"two ways: what is drawn .* or what is dark .*"):
            read_mask(root / f"{name}.png")
    np.testing.assert_array_equal(read_mask(root / "m_layer.png"), read_mask(root / "m_ok.png"))
    photo, joints = cases() / "table_case/me.jpg", cases() / "table_case/kp.json"
    for name in ("m_ok", "m_layer"):
        person = prepare_person(photo, keypoints=joints, inpaint_mask=root / f"{name}.png", mask=MaskParams())
        assert person.inpaint_mask.mean() == pytest.approx(0.46, abs=0.005)
    deep, shallow = (read_picture(root / f"cloth{bits}.png").astype(int) for bits in (16, 8))
    assert np.abs(deep - shallow).max() <= 1


def a_mask_of_0_and_1_is_a_mask(root: Path, out: Path) -> None:
    (sample,) = sharded(root, out / "shards").values()
    own = sharded(cases() / "ok_small", out / "good")[sample.key]
    assert sample.cloth_mask is not None
    assert own.cloth_mask is not None
    assert (sample.cloth_mask == own.cloth_mask).mean() > 0.99


def every_format_is_read(root: Path, out: Path) -> None:
    rows = measured(root, out, mediapipe=True)
    assert len(rows) == 10
    assert {row["status"] for row in rows.values()} <= {"ok", "suspect"}
    for same in (("rgba", "rgb16", "cmyk", "anim"), ("gray16", "la")):
        for name in same[1:]:
            np.testing.assert_allclose(ratios(rows[name]), ratios(rows[same[0]]), rtol=0.02, err_msg=name)


def content_tells_and_not_the_suffix(root: Path, out: Path) -> None:
    reads_as_reference(root, out)
    (sample,) = sharded(root, out / "shards").values()
    assert (decode_photo(sample.cloth)[:3, :3] > 245).all(), "transparent is white"


def wide_photos_keep_proportions(root: Path, out: Path) -> None:
    folder = chain(root).shard("test", out / "work", out / "own") / "index.json"
    (batch,) = SampleStream(folder, batch_size=2, image_height=96, image_width=72, seed=0).epoch_batches()
    streamed = dict(zip(batch.keys, batch.keypoints, strict=True))
    stored = sharded(root, out / "small", (96, 72))
    good = sharded(cases() / "ok_small", out / "good")
    assert body_shape(good[GOOD[0]].record.keypoint_array()) == pytest.approx(0.61, abs=0.01)
    for key, sample in stored.items():
        for joints in (sample.record.keypoint_array(), streamed[key]):
            assert body_shape(joints) == pytest.approx(
                body_shape(good[key].record.keypoint_array()), rel=0.02
            )
        assert decode_photo(sample.image).shape == (96, 72, 3) == (*sample.inpaint_mask.shape, 3)
        row = batch.keys.index(key)
        assert np.abs(batch.image[row].astype(int) - decode_photo(sample.image)).mean() < 4
        assert (batch.garment_mask[row] == sample.garment_mask).mean() > 0.99


def body_shape(joints: NDArray[np.float32]) -> float:
    right, left, hips = joints[2, :2], joints[5, :2], joints[[9, 12], :2].mean(axis=0)
    return float(np.hypot(*(left - right)) / np.hypot(*(hips - (left + right) / 2)))


def huge_pictures_are_failed_rows(root: Path, out: Path) -> None:
    mediapipe = not (root / "test_pairs.txt").is_file()
    rows = measured(root, out, mediapipe=mediapipe)
    (bad,) = (row for row in rows.values() if row["status"] == "failed")
    assert len(rows) == 2
    assert "196000000 pixels" in bad["reason"]


def only_the_person_is_measured(root: Path, out: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert set(measured(root, out, mediapipe=True)) == {"me"}
    assert "4 hidden files and folders" in caplog.text


def heic_is_read_or_counted(root: Path, out: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = measured(root, out, mediapipe=True)
    readable = {"IMG_0002", "IMG_0003"} if root.name == "folder_some_heic" else {"IMG_0003"}
    assert {key for key, row in rows.items() if row["status"] != "failed"} == readable
    if can_read_heic():
        assert rows["IMG_0001"]["status"] == "failed"  # the case has a header without a picture
    else:
        assert "1 .heic (HEIC needs the extra `heic`: pip install" in caplog.text


def names_come_back(root: Path, out: Path) -> None:
    rows = measured(root, out, mediapipe=True)
    assert sorted(map(name_of, rows)) == sorted(path.stem for path in root.iterdir())
    assert all(row["status"] != "failed" for row in rows.values())


def shards_hold_every_name(root: Path, out: Path) -> None:
    reads_as_reference_by_name(root, out)
    names = {name_of(key) for key in sharded(root, out / "shards")}
    assert names == {path.stem for path in (root / "test/image").iterdir()}


def reads_as_reference_by_name(root: Path, out: Path) -> None:
    found = sorted(tuple(ratios(row)) for row in measured(root, out / "rows").values())
    np.testing.assert_allclose(
        found, sorted(tuple(ratios(row)) for row in reference(out).values()), rtol=1e-6
    )


def garments_have_names_of_their_own(root: Path, out: Path) -> None:
    reads_as_reference(root, out)
    samples, expected = sharded(root, out / "shards"), sharded(cases() / "ok_small", out / "good")
    assert {key: sample.cloth for key, sample in samples.items()} == {
        key: sample.cloth for key, sample in expected.items()
    }


def is_refused_as(text: str) -> Check:
    def check(root: Path, out: Path) -> None:
        (row,) = measured(root, out).values()
        assert row["status"] == "failed"
        assert text in row["reason"]
        with pytest.raises(ValueError, match="no usable sample"):
            sharded(root, out / "shards")

    return check


def densepose_tells_the_ease(root: Path, out: Path) -> None:
    found, expected = measured(root, out / "rows"), reference(out)
    for key, row in found.items():
        assert row["ease_ratio"] == pytest.approx(expected[key]["ease_ratio"], rel=0.02)
    for key, sample in sharded(root, out / "shards").items():
        own = sharded(cases() / "ok_small", out / "good")[key]
        assert sample.densepose is not None
        assert own.densepose is not None
        difference = np.abs(decode_photo(sample.densepose).astype(int) - decode_photo(own.densepose))
        assert np.median(difference.max(axis=2)) <= 8


def tables_are_read(root: Path, _out: Path) -> None:
    for name in ("bom_crlf", "semicolon", "spaces"):
        (row,) = table_fittings(root / f"{name}.csv")
        files = row.files()
        assert (files.key, files.person, files.garment) == ("a", root / "me.jpg", root / "shirt.jpg")
        assert files.given == {"keypoints": root / "kp.json"}
    (row,) = table_fittings(root / "backslash.csv")
    assert isinstance(row, TableFitting)
    with pytest.raises(ValueError, match=r"parted by /, got .*me\.jpg"):
        row.files()


def openpose_beside_a_photo(root: Path, out: Path) -> None:
    same_rows(root, cases() / "folder_openpose_ref", out)
    assert measured(root, out / "again")["me"]["keypoint_source"] == "openpose"


def missing_joints_are_missing(root: Path, out: Path) -> None:
    same_rows(root, cases() / "kp_minus1_ref", out)
    expected = sharded(cases() / "kp_minus1_ref", out / "good")
    for key, sample in sharded(root, out / "shards").items():
        np.testing.assert_array_equal(sample.inpaint_mask, expected[key].inpaint_mask)
        assert not Keypoints.from_flat(sample.record.keypoint_array()).has(7) or key != GOOD[0]


def dolls_are_people(root: Path, out: Path) -> None:
    (out / "root").mkdir()
    (out / "root/test").symlink_to(root / "test")
    keys = [path.stem for path in (root / "test/image").iterdir()]
    (out / "root/test_pairs.txt").write_text("".join(f"{key}.jpg {key}.jpg\n" for key in keys))
    rows = measured(out / "root", out / "rows")
    assert {row["status"] for row in rows.values()} <= {"ok", "suspect"}


CHECKS: dict[str, Check | Callable[..., None]] = {
    "cloth_mask_01": a_mask_of_0_and_1_is_a_mask,
    "densepose_png": densepose_tells_the_ease,
    "doll": dolls_are_people,
    "dp_gray_png": densepose_tells_the_ease,
    "exif_folder": turned_photos_read_alike,
    "exif_rotated": stored_upright,
    "exif_stale": stored_upright,
    "folder_formats": every_format_is_read,
    "folder_junk": only_the_person_is_measured,
    "folder_names": names_come_back,
    "folder_only_heic": heic_is_read_or_counted,
    "folder_openpose_names": openpose_beside_a_photo,
    "folder_openpose_ref": openpose_beside_a_photo,
    "folder_some_heic": heic_is_read_or_counted,
    "huge_folder": huge_pictures_are_failed_rows,
    "huge_scan": huge_pictures_are_failed_rows,
    "kp_minus1": missing_joints_are_missing,
    "kp_minus1_ref": missing_joints_are_missing,
    "kp_other_res_up": is_refused_as("other_image_size: the joints lie on the parse map at 1.28 times"),
    "masks": masks_are_read_alike,
    "names_dot": shards_hold_every_name,
    "names_space": shards_hold_every_name,
    "names_unicode": shards_hold_every_name,
    "ok_small": reads_as_reference,
    "openpose_dash": reads_as_reference,
    "other_cloth_name": garments_have_names_of_their_own,
    "pairs_bom": reads_as_reference,
    "pairs_jpeg_ext": reads_as_reference,
    "pairs_png_ext": reads_as_reference,
    "parse_atr": is_refused_as("are these ATR labels?"),
    "parse_i16": reads_as_reference,
    "parse_requant_adaptive": reads_as_reference,
    "parse_rgb_equal": reads_as_reference,
    "parse_rgb_preview": reads_as_reference,
    "rgba_named_jpg": content_tells_and_not_the_suffix,
    "table_case": tables_are_read,
    "wide_photo": wide_photos_keep_proportions,
}

LOGGED = (only_the_person_is_measured, heic_is_read_or_counted)


@pytest.mark.parametrize("name", CHECKS)
def test_a_case_gives_what_is_right(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    check, root = CHECKS[name], cases() / name
    if check in LOGGED:
        check(root, tmp_path, caplog)
    else:
        check(root, tmp_path)


def test_every_case_is_checked() -> None:
    assert {path.name for path in cases().iterdir() if path.is_dir()} == set(CHECKS)


@pytest.fixture(autouse=True)
def one_pose_detector() -> Iterator[None]:
    """MediaPipe can't be closed late."""
    yield
    from pipeline.extract_keypoints import pose_detector

    assert not pose_detector.cache_info().currsize
