import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image, ImageOps

from pipeline.tables.manifest import write_manifest
from pipeline.write_shards import run, write
from preprocess.body.inpaint_mask import MaskParams
from preprocess.body.keypoints import KeypointError, Keypoints
from preprocess.body.openpose import read_openpose
from preprocess.garment.known import BOUNDS_PARTS
from preprocess.places import StorageError
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.sources.paper_dolls.dataset import PaperDolls, render_dataset
from preprocess.sources.params import PaperDollParams
from preprocess.sources.source import read_manifest
from preprocess.vocabulary import Category
from shards.build import Parts, build_sample, cut_out, grown, labels_of
from shards.params import WriteShardsParams
from shards.plan import sha256_of
from shards.sample import Sample, decode
from shards.stream import SampleStream
from shards.ustar import SampleError
from tests.pipeline.engines import OutOfOrder
from tests.sizes import UPPER

PARAMS = WriteShardsParams(samples_per_shard=4, num_workers=0)
TRAIN, TEST = 9, 4


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Manifest, keypoints and measures of a few dolls; the first of each split failed to be measured."""
    folder = tmp_path_factory.mktemp("inputs")
    root = folder / "raw"
    render_dataset(PaperDollParams(train=TRAIN, test=TEST, image_height=128, image_width=96), root)
    write_manifest(PaperDolls(root), folder / "manifest.parquet")
    truth = {row["key"]: row for row in pq.read_table(root / "truth.parquet").to_pylist()}
    joints, measures = [], []
    for row in read_manifest(folder / "manifest.parquet"):
        failed = row.key in ("00000_00", "90000_00")
        name = {
            "key": row.key,
            "split": row.split,
            "status": "failed" if failed else "ok",
            "reason": "side_view" if failed else None,
        }
        joints.append(name | {"keypoints": read_openpose(row.openpose_json, 96, 128).flat()})
        ratios = {f"{axis}_ratio": truth[row.key][f"{axis}_ratio"] for axis in UPPER}
        lacking = {f"{axis}_{part}": float("nan") for axis in AXIS_NAMES for part in BOUNDS_PARTS}
        bounds = {
            f"{axis}_{end}": factor * ratios[f"{axis}_ratio"]
            for axis, room in (("shoulder", 0.01), ("width", 0.04), ("length", 0.1))
            for end, factor in (("low", 1 - room), ("high", 1 + room))
        }
        measures.append(lacking | name | ratios | bounds | {"fit_label": "loose"})
    pq.write_table(pa.Table.from_pylist(joints), folder / "keypoints.parquet")
    pq.write_table(pa.Table.from_pylist(measures), folder / "size_annotations.parquet")
    return {name: folder / f"{name}.parquet" for name in ("manifest", "keypoints", "size_annotations")}


@pytest.fixture(scope="module")
def shards(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "shards"
    run(PARAMS, **inputs, out=out)
    return out


def tars(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_of(path) for path in folder.rglob("*.*") if path.is_file()}


def test_every_usable_sample_is_written_and_the_others_are_counted(shards: Path) -> None:
    for split, count in (("train", TRAIN), ("test", TEST)):
        index = json.loads((shards / split / "index.json").read_text())
        assert index["num_samples"] == count - 1
        assert (index["split"], index["left_out"]) == (split, {"keypoints: side_view": 1})
        assert index["known"] == {"shoulder": count - 1, "width": count - 1, "length": 0, "waist": 0}


def test_a_sample_holds_the_original_photos_and_its_measures(shards: Path, inputs: dict[str, Path]) -> None:
    row = next(row for row in read_manifest(inputs["manifest"]) if row.key == "00003_00")
    truth = {row["key"]: row for row in pq.read_table(row.image.parents[2] / "truth.parquet").to_pylist()}
    paths = [str(path) for path in (shards / "train").glob("*.tar")]
    found = {one["__key__"]: one for one in webdataset.WebDataset(paths, shardshuffle=False)}["00003_00"]
    sample = decode("00003_00", {k: v for k, v in found.items() if not k.startswith("__")})
    assert sample.image == row.image.read_bytes()
    assert sample.densepose == row.densepose.read_bytes()
    expected = [truth[row.key][f"{r}_ratio"] for r in ("shoulder", "width")]
    np.testing.assert_allclose(sample.record.ratios[:2], expected, rtol=1e-6)
    assert sample.record.ratios[2] is None, "its bounds are too wide to be known"
    bounds = np.array(sample.record.bounds[:3])
    np.testing.assert_allclose(
        bounds[:2] / np.array(expected)[:, None], [[0.99, 1.01], [0.96, 1.04]], rtol=1e-5
    )
    np.testing.assert_allclose(bounds[2] / truth[row.key]["length_ratio"], [0.9, 1.1], rtol=1e-5)
    assert sample.record.caption == row.caption
    assert (sample.record.image_height, sample.record.image_width) == sample.inpaint_mask.shape == (128, 96)
    joints = read_openpose(row.openpose_json, 96, 128)
    np.testing.assert_allclose(sample.record.keypoint_array()[:, :2], joints.xy, atol=0.006)


def test_the_worn_garment_is_inside_the_inpainting_mask(shards: Path) -> None:
    stream = SampleStream(shards / "train", batch_size=8, image_height=128, image_width=96, seed=0)
    for batch in stream.epoch_batches():
        hidden = (batch.garment_mask & batch.inpaint_mask).sum() / batch.garment_mask.sum()
        assert hidden >= 0.999


def test_a_mask_that_follows_the_garment_needs_a_parse_map(inputs: dict[str, Path]) -> None:
    row = next(row for row in read_manifest(inputs["manifest"]) if row.key == "00003_00")
    joints = read_openpose(row.openpose_json, 96, 128).flat()
    measures = {"status": "ok", "fit_label": None}
    measures |= dict.fromkeys(f"{name}_{part}" for name in AXIS_NAMES for part in BOUNDS_PARTS)
    parts = Parts(files=row, keypoints=tuple(joints), measures=measures)
    follows = dataclasses.replace(PARAMS, mask=MaskParams(follows="garment"))
    body, garment = (build_sample(parts, params) for params in (PARAMS, follows))
    assert garment.garment_mask.sum() < garment.inpaint_mask.sum() < body.inpaint_mask.sum()
    assert not (garment.garment_mask & ~garment.inpaint_mask).any()
    unparsed = dataclasses.replace(parts, files=dataclasses.replace(row, parse=None))
    assert build_sample(unparsed, PARAMS).garment_mask is None
    with pytest.raises(SampleError, match=r"00003_00: mask\.follows: garment needs a parse map"):
        build_sample(unparsed, follows)
    unseen = dataclasses.replace(parts, files=dataclasses.replace(row, image=row.image.with_name("gone.jpg")))
    with pytest.raises(StorageError, match=r"gone\.jpg.*do all machines see it\?"):
        build_sample(unseen, PARAMS)


def test_a_mask_that_follows_trousers_needs_no_shoulders() -> None:
    legs = Keypoints.missing()
    legs.xy[[9, 12, 10, 13]] = (40, 30), (60, 30), (40, 80), (60, 80)  # H = 20 px
    garment = np.zeros((100, 100), bool)
    garment[50, 50] = True
    around = grown(garment, legs, Category.LOWER)
    assert around[50].sum() == around[:, 50].sum() == 9  # 4 px each way
    with pytest.raises(KeypointError, match="missing_shoulders"):
        grown(garment, legs, Category.UPPER)


def test_smaller_shards_hold_smaller_pictures_masks_and_joints(
    inputs: dict[str, Path], shards: Path, tmp_path: Path
) -> None:
    run(dataclasses.replace(PARAMS, image_height=64, image_width=48), **inputs, out=tmp_path)
    options = {"batch_size": 3, "image_height": 64, "image_width": 48, "seed": 0}
    small = next(SampleStream(tmp_path / "test", **options).epoch_batches())
    whole = next(SampleStream(shards / "test", **options).epoch_batches())
    assert small.keys == whole.keys
    np.testing.assert_allclose(small.keypoints, whole.keypoints, atol=0.02)
    assert np.abs(small.image.astype(int) - whole.image).mean() < 2
    assert (small.inpaint_mask != whole.inpaint_mask).mean() < 0.01


@pytest.mark.slow  # starts processes
def test_a_second_run_with_workers_changes_nothing(
    shards: Path, inputs: dict[str, Path], tmp_path: Path
) -> None:
    run(dataclasses.replace(PARAMS, num_workers=2), **inputs, out=tmp_path)
    assert tars(tmp_path) == tars(shards)
    before = tars(shards)
    run(PARAMS, **inputs, out=shards)
    assert tars(shards) == before


def test_shards_made_elsewhere_are_the_same(shards: Path, inputs: dict[str, Path], tmp_path: Path) -> None:
    run(PARAMS, **inputs, out=tmp_path, engine=OutOfOrder())
    assert tars(tmp_path) == tars(shards)


def test_a_changed_measure_rewrites_one_shard(inputs: dict[str, Path], tmp_path: Path) -> None:
    run(PARAMS, **inputs, out=tmp_path / "out")
    before = tars(tmp_path / "out")
    rows = pq.read_table(inputs["size_annotations"]).to_pylist()
    next(row for row in rows if row["key"] == "00005_00")["fit_label"] = "tight"
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "size_annotations.parquet")
    run(PARAMS, **inputs | {"size_annotations": tmp_path / "size_annotations.parquet"}, out=tmp_path / "out")
    changed = [name for name, digest in tars(tmp_path / "out").items() if before[name] != digest]
    assert len([name for name in changed if name.endswith(".tar")]) == 1


def test_who_else_has_a_photo_is_no_part_of_a_sample(
    shards: Path, inputs: dict[str, Path], tmp_path: Path
) -> None:
    table = pq.read_table(inputs["size_annotations"])
    copies = pa.array(["train/00005_00"] * len(table))
    pq.write_table(table.append_column("same_photo_as", copies), tmp_path / "sizes.parquet")
    run(PARAMS, **inputs | {"size_annotations": tmp_path / "sizes.parquet"}, out=tmp_path / "out")
    assert tars(tmp_path / "out") == tars(shards)


def test_a_split_that_left_the_manifest_leaves_the_shards(
    inputs: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, table = tmp_path / "out", pq.read_table(inputs["manifest"])
    run(PARAMS, **inputs, out=out)
    (out / "notes").mkdir()
    (out / "notes" / "index.json").write_text("not ours")
    before = tars(out / "test")
    rows = [row for row in table.to_pylist() if row["split"] == "test"]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), tmp_path / "manifest.parquet")
    fewer = inputs | {"manifest": tmp_path / "manifest.parquet"}
    write(PARAMS, **fewer, out=out, only="test")
    assert (out / "train" / "index.json").is_file(), "one split was asked for: the others are left alone"
    run(PARAMS, **fewer, out=out)
    assert sorted(path.name for path in out.iterdir()) == ["notes", "test"]
    assert tars(out / "test") == before
    assert "out/train: removed, as the manifest has no usable sample of this split" in caplog.text


def test_other_code_writes_every_shard_again(
    inputs: dict[str, Path], tmp_path: Path, edit: Callable[[str, str, str], None]
) -> None:
    def written() -> dict[Path, int]:
        run(PARAMS, **inputs, out=tmp_path)
        return {tar: tar.stat().st_mtime_ns for tar in tmp_path.rglob("*.tar")}

    before = written()
    edit("shards/stream.py", "import", "import heapq\nimport")
    assert written() == before
    edit("preprocess/body/inpaint_mask.py", "import", "import heapq\nimport")
    assert all(before[tar] != when for tar, when in written().items())


def test_a_missing_table_is_named(inputs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere.parquet not found: run the stage before"):
        run(PARAMS, **inputs | {"keypoints": tmp_path / "nowhere.parquet"}, out=tmp_path)


def test_a_manifest_without_a_usable_sample_says_why(inputs: dict[str, Path], tmp_path: Path) -> None:
    rows = [
        row | {"status": "failed", "reason": "blurred"}
        for row in pq.read_table(inputs["keypoints"]).to_pylist()
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "keypoints.parquet")
    with pytest.raises(ValueError, match=r"no usable sample: .*keypoints: blurred.*: 9"):
        run(PARAMS, **inputs | {"keypoints": tmp_path / "keypoints.parquet"}, out=tmp_path)


def test_a_split_that_has_nobody_is_named(inputs: dict[str, Path], tmp_path: Path) -> None:
    table = pq.read_table(inputs["manifest"], filters=[("split", "=", "train")])
    pq.write_table(table, tmp_path / "manifest.parquet")
    with pytest.raises(ValueError, match="no usable sample of the split test: it lists none"):
        write(PARAMS, **inputs | {"manifest": tmp_path / "manifest.parquet"}, out=tmp_path, only="test")


def test_a_split_without_a_usable_sample_beside_one_that_has_some_says_why(
    inputs: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = pq.read_table(inputs["keypoints"]).to_pylist()
    bad = [
        {**row, "status": "failed", "reason": "blurred"} if row["split"] == "train" else row for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(bad), tmp_path / "keypoints.parquet")
    run(PARAMS, **inputs | {"keypoints": tmp_path / "keypoints.parquet"}, out=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["test"]
    count = sum(row["split"] == "train" for row in rows)
    assert f"train: left out {{'keypoints: blurred': {count}}}" in caplog.text


@pytest.mark.parametrize("height", [None, 64])
def test_a_garments_mask_is_stored_at_the_size_of_its_photo(
    inputs: dict[str, Path], tmp_path: Path, height: int | None
) -> None:
    """People keep masks at the size of the tool that made them; one of another shape is another photo's."""
    row = read_manifest(inputs["manifest"])[1]
    joints = {one["key"]: one["keypoints"] for one in pq.read_table(inputs["keypoints"]).to_pylist()}
    measures = {one["key"]: one for one in pq.read_table(inputs["size_annotations"]).to_pylist()}
    params = dataclasses.replace(PARAMS, image_height=height, image_width=height and 48)
    assert row.cloth_mask is not None
    whole = Image.open(row.cloth_mask)

    def stored(size: tuple[int, int], *, inverted: bool = False) -> Sample:
        path = tmp_path / "mask.png"
        mask = whole.convert("L").resize(size, Image.Resampling.NEAREST)
        (ImageOps.invert(mask) if inverted else mask).save(path)
        files = dataclasses.replace(row, cloth_mask=path)
        return build_sample(
            Parts(files=files, keypoints=tuple(joints[row.key]), measures=measures[row.key]), params
        )

    expected, found = stored((96, 128)).cloth_mask, stored((48, 64)).cloth_mask
    assert found.shape == expected.shape == (height or 128, 48 if height else 96)
    assert (found == expected).mean() > 0.97
    with pytest.raises(SampleError, match=r"must have the proportions of its photo, 96x128, got 48x48"):
        stored((48, 48))
    with pytest.raises(SampleError, match=r"\d% of the photo's border but \d+% of its middle: is it inv"):
        stored((96, 128), inverted=True)


def test_a_garment_without_a_photo_is_cut_out_as_large_as_fits() -> None:
    photo, garment = np.full((400, 320, 3), 30, np.uint8), np.zeros((400, 320), np.bool_)
    photo[320:, 40:120], garment[320:, 40:120] = (200, 20, 40), True  # 80 x 80 px at the lower edge
    photo[340:348, 60:68], garment[340:348, 60:68] = (0, 255, 0), False  # something lies in front
    picture, mask = cut_out(photo, garment, 88, 66)
    assert picture.shape == (88, 66, 3)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    assert (columns[0], columns[-1]) == (3, 62), "5 % of its width stays free on either side: 60 of 66 px"
    assert abs(rows[0] + rows[-1] - 87) <= 1, "in the middle"
    assert (picture[[0, -1]] == 255).all(), "white, beyond the photo's edge too"
    assert (picture[44, 33] == (200, 20, 40)).all()
    assert not mask[31:34, 20:23].any(), "20 px down and along, at three quarters: 15 px from its corner"
    assert (picture[31:34, 20:23] == 255).all()
    again, _ = cut_out(photo[::2, ::2], garment[::2, ::2], 88, 66)
    assert np.abs(again.astype(int) - picture).mean() < 8, "how large it is in its photo doesn't show"
    with pytest.raises(ValueError, match="no garment to cut out"):
        cut_out(photo, np.zeros_like(garment), 88, 66)


def test_people_without_a_photo_of_the_garment_are_written_if_they_have_a_parse_map(
    inputs: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = pq.read_table(inputs["manifest"])
    rows = table.to_pylist()
    for row in rows:
        row["cloth"] = row["cloth_mask"] = None
    rows[-1]["parse"] = None
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), tmp_path / "manifest.parquet")
    run(PARAMS, **inputs | {"manifest": tmp_path / "manifest.parquet"}, out=tmp_path / "shards")
    header = json.loads((tmp_path / "shards" / rows[-1]["split"] / "index.json").read_text())
    assert header["left_out"]["manifest: no photo of the garment, and no parse map to cut it out by"] == 1
    assert "train: 7 garments are cut out of their wearers' photos" in caplog.text
    (batch,) = SampleStream(
        tmp_path / "shards/train", batch_size=7, image_height=128, image_width=96, seed=0
    ).epoch_batches()
    assert (batch.cloth[:, 0] > 250).all(), "on white"
    assert batch.cloth.reshape(7, -1).std(axis=1).min() > 10


def test_labels_of_another_size_lie_where_they_lay(inputs: dict[str, Path], tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 20, (10, 6)).astype(np.uint8).repeat(4, 0).repeat(5, 1)
    files = read_manifest(inputs["manifest"])[0]
    resized = []
    for name, one in (("plain", labels), ("mirrored", labels[:, ::-1])):
        Image.fromarray(one).save(tmp_path / f"{name}.png")
        resized.append(labels_of(dataclasses.replace(files, parse=tmp_path / f"{name}.png"), 128, 96))
    np.testing.assert_array_equal(resized[0], resized[1][:, ::-1])


@pytest.mark.parametrize("table", ["manifest", "keypoints", "size_annotations"])
def test_a_table_in_another_order_is_refused_where_rows_would_be_lost(
    inputs: dict[str, Path], tmp_path: Path, table: str
) -> None:
    """As DuckDB or pandas may write what a user edits."""
    backwards = tmp_path / f"{table}.parquet"
    pq.write_table(pq.read_table(inputs[table])[::-1], backwards)
    with pytest.raises(ValueError, match=rf"{table}\.parquet must be sorted by split and key"):
        run(PARAMS, **inputs | {table: backwards}, out=tmp_path / "shards")
    assert not (tmp_path / "shards").exists()
