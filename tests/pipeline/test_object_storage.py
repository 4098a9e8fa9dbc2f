"""The data stages on a bucket make what they make on a folder."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipeline import extract_keypoints, write_shards
from pipeline.cli.app import app
from pipeline.cli.without_dvc import DataChain
from pipeline.tables.manifest import write_manifest
from preprocess import places
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.places import Facts, RemotePath, StorageError, place
from preprocess.sources.dress_code import DressCode
from preprocess.sources.manifest import Entry
from preprocess.sources.paper_dolls.dataset import render_dataset
from preprocess.sources.params import PaperDollParams, PrepareDatasetParams
from preprocess.sources.registry import open_source
from preprocess.sources.source import PARTS
from shards.params import WriteShardsParams
from tests.data_stages import run_data_stages
from tests.object_storage import BUCKET, s3_server, upload
from tests.preprocess.flaky import FAILS_ALWAYS, Flaky

DOLLS = PaperDollParams(train=1, test=2, image_height=128, image_width=96)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people in VITON-HD's layout."""
    folder = tmp_path_factory.mktemp("viton_hd")
    render_dataset(DOLLS, folder)
    return folder


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with s3_server(monkeypatch) as files:
        yield files


def measured(root: str, out: Path, *, hash_remote: bool) -> Path:
    """Run the data stages."""
    params = PrepareDatasetParams(source="viton_hd", root=root, hash_remote=hash_remote)
    run_data_stages(out, params, WriteShardsParams(num_workers=0, samples_per_shard=2))
    return out


def contents(out: Path) -> dict[str, bytes]:
    made = [*out.glob("*.parquet"), *out.glob("shards/*/*")]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in made}


def test_three_people_in_a_bucket_give_the_bytes_of_a_folder(root: Path, s3: Any, tmp_path: Path) -> None:
    url = upload(s3, root, "viton_hd")
    near = contents(measured(str(root), tmp_path / "near", hash_remote=False))
    far = contents(measured(url, tmp_path / "far", hash_remote=True))
    assert pq.read_table(tmp_path / "far/manifest.parquet").equals(
        pq.read_table(tmp_path / "near/manifest.parquet")
    )
    assert near.pop("manifest.parquet") != far.pop("manifest.parquet")  # only its metadata name the root
    assert {"size_annotations.parquet", "shards/test/test-000000.tar", "shards/train/index.json"} < far.keys()
    assert far == near
    listed = measured(url, tmp_path / "listed", hash_remote=False)
    one, other = (pq.read_table(out / "size_annotations.parquet") for out in (listed, tmp_path / "near"))
    assert one.drop(["input_hash"]).equals(other.drop(["input_hash"]))
    assert "failed" not in one["status"].to_pylist()
    hashes = pq.read_table(listed / "manifest.parquet")["image_hash"]
    assert hashes.to_pylist() == [None] * 3, "a listing tells no bytes, so no copies of photos either"


def test_dress_code_in_a_bucket_has_the_people_of_a_folder(s3: Any, tmp_path: Path) -> None:
    folder = tmp_path / "upper_body"
    (folder / "images").mkdir(parents=True)
    for name in ("1_0", "1_1", "2_0", "2_1", "3_0"):
        (folder / "images" / f"{name}.jpg").write_bytes(b"photo")
    (folder / "test_pairs_paired.txt").write_text("2_0.jpg 2_1.jpg\n1_0.jpg 1_1.jpg\n2_0.jpg 1_1.jpg\n")
    (folder / "test_pairs_unpaired.txt").write_text("2_0.jpg 1_1.jpg\n2_0.jpg 2_1.jpg\n")
    url = place(upload(s3, tmp_path, "dc"))
    near, far = ([*DressCode(root, "test").samples()] for root in (tmp_path, url))
    assert [(one.key, one.unpaired_key) for one in near] == [("2", "1"), ("1", None)]
    assert [Entry.of(one, tmp_path).row for one in near] == [Entry.of(one, url).row for one in far]


def test_a_large_folder_is_listed_a_page_at_a_time(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.s3.models import s3_backends

    store = s3_backends["123456789012"]["aws"]
    for name in (
        "",
        *(f"{number:04d} ü.jpg" for number in range(1001)),
        "below/a.jpg",
        "below/",
        "other/b.jpg",
    ):
        store.put_object(BUCKET, f"root/{name}", b"photo")
    store.put_object(BUCKET, "root2/c.jpg", b"photo")
    root, asked = place(f"s3://{BUCKET}/root"), Counter[str]()
    expected = {name: files_of(s3, name, root) for name in ("ls", "find")}
    call = type(s3).call_s3

    def count(files: Any, method: str, **words: Any) -> Any:
        asked[method] += 1
        return call(files, method, **words)

    monkeypatch.setattr(type(s3), "call_s3", count)
    found = root.iterdir()
    first = next(found)
    assert asked == {"list_objects_v2": 1}
    assert {str(path): path.facts() for path in [first, *found]} == expected["ls"]
    assert asked == {"list_objects_v2": 2}
    assert {str(path): path.facts() for path in root.rglob("*")} == expected["find"]
    assert len(expected["ls"]) == 1003
    assert len(expected["find"]) == 1003
    with pytest.raises(FileNotFoundError, match="nothing"):
        next(place(f"s3://{BUCKET}/nothing").iterdir())


def files_of(s3: Any, how: str, root: Path) -> dict[str, Facts]:
    """What fsspec says is below, but for the empty objects that S3's console makes of folders."""
    found = s3.ls(str(root), detail=True) if how == "ls" else s3.find(str(root), detail=True).values()
    names = {f"s3://{one['name']}": Facts.of(one) for one in found}
    return {name: facts for name, facts in names.items() if not name.endswith("/") and name != str(root)}


def test_a_manifest_by_listing_fetches_nothing_and_sees_what_changed(
    root: Path, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source("viton_hd", place(upload(s3, root, "viton_hd")))
    before = [row["input_hash"] for row in rows(source, tmp_path)]
    s3.pipe_file(f"{BUCKET}/viton_hd/train/image/00000_00.jpg", b"other")
    s3.pipe_file(f"{BUCKET}/viton_hd/test/cloth/90001_00.jpg", b"")
    fetched: list[str] = []
    read_bytes = RemotePath.read_bytes

    def noted(path: RemotePath, most_bytes: int | None = None) -> bytes:
        fetched.append(path.name)
        return read_bytes(path, most_bytes)

    monkeypatch.setattr(RemotePath, "read_bytes", noted)
    after = rows(source, tmp_path)
    assert sorted(set(fetched)) == ["test_pairs.txt", "test_pairs_paired.txt", "train_pairs.txt"]
    assert [row["input_hash"] != old for row, old in zip(after, before, strict=True)] == [True, True, True]
    assert [(row["key"], row["status"]) for row in after] == [
        ("90000_00", "failed"),
        ("90001_00", "failed"),
        ("00000_00", "ok"),
    ]
    assert after[1]["reason"].startswith("cloth unreadable: must have 1 to")
    assert place(f"s3://{BUCKET}/viton_hd/test/cloth/90001_00.jpg").read_bytes(100) == b""
    assert place(f"s3://{BUCKET}/viton_hd/train/image/00000_00.jpg").read_bytes(3) == b"oth"


def rows(source: Any, folder: Path) -> list[dict[str, Any]]:
    write_manifest(source, folder / "manifest.parquet")
    return pq.read_table(folder / "manifest.parquet").to_pylist()


@pytest.mark.parametrize("name", ["viton_hd", "folder"])
def test_a_bad_connection_changes_nothing_and_none_at_all_is_named(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(places, "FIRST_WAIT_S", 0.0)
    Flaky.restart()
    below = root if name == "viton_hd" else root / "test" / "image"
    upload(Flaky(), below, "data")
    near = rows(open_source(name, below), tmp_path)
    Flaky.break_down(3)
    far = open_source(name, place("flaky://bucket/data"))
    write_manifest(far, tmp_path / "far.parquet", hash_remote=True)
    assert pq.read_table(tmp_path / "far.parquet").to_pylist() == near
    assert all(row[part] is None or "://" not in row[part] for row in near for part in PARTS)
    Flaky.break_down(FAILS_ALWAYS)
    with pytest.raises(StorageError, match="flaky://bucket/data"):
        write_manifest(far, tmp_path / "far.parquet", hash_remote=True)


def test_an_empty_file_is_judged_alike_near_far_and_by_listing(root: Path, tmp_path: Path) -> None:
    near = shutil.copytree(root, tmp_path / "data")
    (near / "test/openpose_json/90000_00_keypoints.json").write_bytes(b"")  # judged by who reads it
    (near / "train/cloth/00000_00.jpg").write_bytes(b"")
    Flaky.restart()
    upload(Flaky(), near, "data")
    far = open_source("viton_hd", place("flaky://bucket/data"))
    judged = [rows(open_source("viton_hd", near), tmp_path), rows(far, tmp_path)]
    write_manifest(far, tmp_path / "hashed.parquet", hash_remote=True)
    judged.append(pq.read_table(tmp_path / "hashed.parquet").to_pylist())
    expected = {"90000_00": "ok", "90001_00": "ok", "00000_00": "failed"}
    assert [{row["key"]: row["status"] for row in table} for table in judged] == [expected] * 3


@pytest.mark.usefixtures("s3")
def test_commands_write_into_a_bucket_what_they_write_into_a_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # where copies of shards are kept
    bucket = f"s3://{BUCKET}/made"
    (place(f"{bucket}/shards/test") / "test-000009.tar").put(root / "test_pairs.txt")  # of an earlier run
    for out in (str(tmp_path), bucket):
        given = ["--root", str(root), "--engine", "inline"]
        call(["annotate", *given, "--out", f"{out}/all.parquet"])
        call(["shard", *given, "--split", "test", "--out", f"{out}/shards"])
    written = {
        path.relative_to(place(bucket)).as_posix(): path.read_bytes() for path in place(bucket).rglob("*")
    }
    assert {"all.parquet", ".all/keypoints.parquet", "shards/test/index.json"} < written.keys()
    assert not [name for name in written if name.endswith(".facts")], "what this machine knows"
    assert {name: (tmp_path / name).read_bytes() for name in written} == written
    for command in ("all.parquet", "shards/test"):
        near, far = (call(["inspect", f"{out}/{command}"]) for out in (tmp_path, bucket))
        assert near == far
    drawn = call(["inspect", f"{bucket}/all.parquet", "--key", "90000_00", "--png", str(tmp_path / "a.png")])
    assert f"{tmp_path}/a.png: 90000_00" in drawn


def call(arguments: list[str]) -> str:
    """Run a command; return what it printed."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_stage_stops_when_storage_does_and_goes_on_afterwards(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "FIRST_WAIT_S", 0.0)
    Flaky.restart()
    upload(Flaky(), root, "data")
    manifest, out = tmp_path / "manifest.parquet", tmp_path / "keypoints.parquet"
    write_manifest(open_source("viton_hd", place("flaky://bucket/data")), manifest)
    Flaky.break_down(FAILS_ALWAYS)
    with pytest.raises(StorageError, match=r"flaky://bucket/data/test/image/9000\d_00.jpg failed 5 times"):
        extract_keypoints.run(ExtractKeypointsParams(workers=1), manifest=manifest, out=out)
    assert not out.exists()
    Flaky.break_down(3)
    Flaky().rm("/bucket/data/test/image/90001_00.jpg")
    extract_keypoints.run(ExtractKeypointsParams(workers=1), manifest=manifest, out=out)
    table = pq.read_table(out).to_pylist()
    assert [(row["status"], row["reason"]) for row in table] == [
        ("ok", None),
        ("failed", "image_unreadable"),
        ("ok", None),
    ]


def test_each_stage_fetches_a_file_once_and_asks_nothing_else(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CINDERELLA_ENGINE", "inline")
    Flaky.restart()
    upload(Flaky(), root, "data")
    write_manifest(
        open_source("folder", place("flaky://bucket/data/test/image")),
        tmp_path / "hashed.parquet",
        hash_remote=True,
    )
    asked = Counter(asked for asked in Flaky.asked if asked.startswith("get"))
    assert asked == {f"get /bucket/data/test/image/9000{number}_00.jpg": 1 for number in range(2)}
    chain = DataChain(source="viton_hd", root=place("flaky://bucket/data"), split="test")
    Flaky.break_down(0)
    tables = chain.annotate(tmp_path / "tables")
    asked = Counter(asked.rpartition("/")[0] for asked in Flaky.asked if asked.startswith("get"))
    folder = "get /bucket/data/test"
    assert asked == {
        "get /bucket/data": 2,  # lists of pairs
        f"{folder}/image": 4,  # to see its size, and to measure
        f"{folder}/openpose_json": 2,
        f"{folder}/image-parse-v3": 2,
        f"{folder}/image-densepose": 2,
    }
    Flaky.break_down(0)
    write_shards.write(chain.shards, **tables, out=tmp_path / "shards")
    parts = ("image", "cloth", "cloth-mask", "image-parse-v3", "image-densepose")
    assert Counter(asked.rpartition("/")[0] for asked in Flaky.asked) == {
        f"{folder}/{part}": 2 for part in parts
    }
