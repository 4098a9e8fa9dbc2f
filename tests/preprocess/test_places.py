"""Places in object storage: what pathlib does with files, over a connection that breaks."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preprocess import places
from preprocess.body.densepose import DENSEPOSE_COLOURS, load_densepose
from preprocess.body.openpose import read_openpose
from preprocess.masks import read_levels, read_mask
from preprocess.pictures import Limits, PictureError, look_at, read_picture
from preprocess.places import ATTEMPTS, RemotePath, StorageError, place
from preprocess.whole import folder_for, whole_file
from tests.preprocess.flaky import FAILS_ALWAYS, Flaky
from tests.preprocess.people import body_25_numbers, openpose, person, write_json

ROOT = "flaky://bucket/data"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "FIRST_WAIT_S", 0.0)
    Flaky.restart()
    return place(ROOT)


def put(name: str, content: bytes) -> Path:
    Flaky().pipe_file(f"/bucket/data/{name}", content)
    return place(f"{ROOT}/{name}")


def test_a_place_is_a_path_that_says_its_url() -> None:
    found = place("s3://bucket/data") / "train" / "a.parse.png"
    assert (str(found), found.as_posix(), found.name, found.suffix) == (
        *2 * ("s3://bucket/data/train/a.parse.png",),
        "a.parse.png",
        ".png",
    )
    below = found.relative_to(place("s3://bucket/data/"))
    assert (str(below), str(below.with_suffix(""))) == ("train/a.parse.png", "train/a.parse")
    assert pickle.loads(pickle.dumps(found)) == found.absolute() == found
    assert isinstance(found.parent, RemotePath)
    assert str(found.parent) == "s3://bucket/data/train"
    assert (type(place("file:///a/b")), place("file:///a/b")) == (type(Path()), Path("/a/b"))
    with pytest.raises(TypeError, match=r"s3://bucket/data/train lies in object storage"):
        open(found.parent, "rb")  # noqa: PTH123, SIM115


@pytest.mark.parametrize("url", ["ftp://host/data", "https://host/data"])
def test_a_url_of_a_host_is_refused(url: str) -> None:
    pytest.importorskip("aiohttp", reason="fsspec's client of https needs it")
    with pytest.raises(StorageError, match=rf"{url} failed once .*names a host: must be {{protocol}}"):
        list(place(url).iterdir())


def test_listing_tells_files_and_folders_and_is_not_asked_twice(bucket: Path) -> None:
    put("a.txt", b"one")
    put("train/image/b.jpg", b"picture")
    put("train/image/c.png", b"other")
    assert bucket.is_dir()
    assert not (bucket / "nothing").exists()
    Flaky.break_down(0)
    found = {path.name: (path.is_file(), path.stat().st_size) for path in bucket.iterdir()}
    assert found == {"a.txt": (True, 3), "train": (False, 0)}
    assert [path.name for path in bucket.glob("*.txt")] == ["a.txt"]
    assert sorted(map(str, bucket.rglob("*.*g"))) == [
        f"{ROOT}/train/image/{name}" for name in ("b.jpg", "c.png")
    ]
    assert not [asked for asked in Flaky.asked if asked.startswith("info")]


def test_three_failures_are_none_and_endless_ones_name_the_object(bucket: Path, tmp_path: Path) -> None:
    text = put("a.txt", b"text")
    made = tmp_path / "made"
    made.write_bytes(b"new")
    for attempt in (text.read_bytes, text.stat, lambda: [*bucket.iterdir()], lambda: text.put(made)):
        Flaky.break_down(3)
        attempt()
    assert text.read_bytes() == b"new"
    for attempt in (text.read_bytes, text.is_file, lambda: text.put(tmp_path / "made")):
        Flaky.break_down(FAILS_ALWAYS)
        with pytest.raises(StorageError, match=rf"{text} failed {ATTEMPTS} times, .*reset by peer"):
            attempt()
        assert len(Flaky.asked) == ATTEMPTS
    Flaky.break_down(0)
    with pytest.raises(FileNotFoundError, match=r"flaky://bucket/data/b.txt"):
        (bucket / "b.txt").read_bytes()
    assert len(Flaky.asked) == 1


def test_an_object_is_listed_whole_or_not_at_all(bucket: Path) -> None:
    out = bucket / "tables" / "a.parquet"
    with whole_file(out) as partial:
        partial.write_bytes(b"whole")
        assert not out.exists()
    assert out.read_bytes() == b"whole"

    def broken() -> None:
        with whole_file(out) as partial:
            partial.write_bytes(b"ha")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        broken()
    Flaky.break_down(FAILS_ALWAYS)
    with pytest.raises(StorageError, match=str(out)), whole_file(out) as partial:
        partial.write_bytes(b"other")
    Flaky.break_down(0)
    assert out.read_bytes() == b"whole"
    assert [str(path) for path in bucket.rglob("*")] == [str(out)]


def test_a_folder_is_not_there_before_all_of_it_is(bucket: Path, tmp_path: Path) -> None:
    with folder_for(tmp_path, "index.json") as folder:
        assert folder == tmp_path
    index = bucket / "shards" / "index.json"
    index.put(written(tmp_path / "old"))

    def write(folder: Path) -> None:
        for name in ("index.json", "a.tar", "z.tar"):
            written(folder / "shards" / name)

    Flaky.break_down(0)
    with folder_for(bucket, "index.json") as folder:
        write(folder)
    puts = [asked.rpartition("/")[2] for asked in Flaky.asked if asked.startswith("put")]
    assert puts == ["a.tar", "z.tar", "index.json"]
    Flaky.break_down(FAILS_ALWAYS)
    failed = pytest.raises(StorageError, match=r"shards/a.tar failed 5 times")
    with failed, folder_for(bucket, "index.json") as folder:
        write(folder)
    Flaky.break_down(0)
    assert not index.exists()


def written(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(path.name)
    return path


def files_of_a_person(folder: Path) -> dict[str, Path]:
    """Write what a person's files are, in every form that is opened in a way of its own."""
    rng = np.random.default_rng(0)
    parts = np.kron(rng.integers(0, 25, (8, 6)), np.ones((16, 16), np.uint8)).astype(np.uint8)
    Image.fromarray(rng.integers(0, 256, (128, 96, 3)).astype(np.uint8)).save(folder / "photo.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rng.integers(0, 256, (96, 128, 3)).astype(np.uint8)).save(
        folder / "turned.jpg", exif=exif
    )
    Image.fromarray(parts).save(folder / "parse.png")
    Image.fromarray(DENSEPOSE_COLOURS[parts]).save(folder / "densepose.jpg", quality=95)
    np.save(folder / "mask.npy", parts > 12)
    np.savez(folder / "labels.npz", labels=parts)
    Image.fromarray(np.where(parts > 12, 255, 0).astype(np.uint8)).save(folder / "mask.webp", lossless=True)
    write_json(folder / "joints.json", openpose(body_25_numbers(person())))
    return {path.name: put(path.name, path.read_bytes()) for path in sorted(folder.iterdir())}


@pytest.mark.usefixtures("bucket")
def test_what_is_read_there_is_what_is_read_here(tmp_path: Path) -> None:
    far = files_of_a_person(tmp_path)
    for name, path in far.items():
        near = tmp_path / name
        if name.endswith(".json"):
            assert np.array_equal(
                read_openpose(path, 768, 1024).flat(), read_openpose(near, 768, 1024).flat(), equal_nan=True
            )
        elif name.startswith("mask"):
            assert np.array_equal(read_mask(path), read_mask(near))
            assert read_levels(path, "mask").lossy == read_levels(near, "mask").lossy
        elif name.endswith((".png", ".npz")):
            assert np.array_equal(read_levels(path, "map").values, read_levels(near, "map").values)
        elif name == "densepose.jpg":
            assert np.array_equal(load_densepose(path, reduce=True), load_densepose(near, reduce=True))
        else:
            maps = [[], [far["parse.png"]]], [[], [tmp_path / "parse.png"]]
            for beside, own in zip(*maps, strict=True):
                assert look_at(path, beside=beside) == look_at(near, beside=own)
                assert np.array_equal(read_picture(path, beside=beside), read_picture(near, beside=own))


@pytest.mark.usefixtures("bucket")
def test_what_cannot_be_read_there_is_told_from_storage_that_fails() -> None:
    for name, content in (("a.jpg", b"no picture"), ("a.npy", b"no array"), ("b.jpg", b"")):
        path = put(name, content)
        with pytest.raises(PictureError, match=str(path)):
            read_levels(path, "map")
    with pytest.raises(PictureError, match="at most 4 bytes"):
        read_picture(put("c.jpg", b"12345"), limits=Limits(max_bytes=4))
    photo = put("d.jpg", b"")
    Flaky.break_down(FAILS_ALWAYS)
    for read in (read_picture, look_at, read_mask, load_densepose):
        with pytest.raises(StorageError, match=str(photo)):
            read(photo)


def test_what_credentials_do_not_allow_stops_at_once(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> bytes:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(Flaky, "cat_file", refused)
    with pytest.raises(StorageError, match=r"a.jpg failed once by PermissionError\('Access Denied'\)"):
        read_picture(bucket / "a.jpg")
