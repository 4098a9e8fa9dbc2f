"""The manifest takes over what it said of files that their file system says are unchanged."""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.engine.local import Processes
from pipeline.tables.incremental import PART_ROWS
from pipeline.tables.manifest import facts_beside, write_manifest
from preprocess.pictures import Limits
from preprocess.sources.source import SourceSample, read_manifest
from preprocess.vocabulary import Category
from tests.pipeline.engines import OutOfOrder, stop_after

NUM_SAMPLES = 6


@dataclass(frozen=True)
class Album:
    """A photo and joints for each of some people."""

    root: Path
    count: int = NUM_SAMPLES
    caption: str = ""
    num_test: int | None = None
    """None: all are of the test split; else the others are of train."""
    name: str = "album"

    def samples(self) -> Iterator[SourceSample]:
        for number in range(self.count):
            yield SourceSample(
                key=f"{number:03d}",
                split="test" if self.num_test is None or number < self.num_test else "train",
                category=Category.UPPER,
                caption=self.caption,
                image=self.photo(number),
                openpose_json=self.joints(number),
            )

    def photo(self, number: int) -> Path:
        return self.root / f"{number:03d}.bmp"

    def joints(self, number: int) -> Path:
        return self.root / f"{number:03d}.json"


def draw(path: Path, level: int) -> None:
    """Write a photo; all have the same number of bytes."""
    Image.new("RGB", (16, 16), (level % 256, 0, 0)).save(path)


def filled(album: Album) -> Album:
    album.root.mkdir()
    for number in range(album.count):
        draw(album.photo(number), number)
        album.joints(number).write_text("{}")
    return album


@pytest.fixture
def album(tmp_path: Path, later: None) -> Album:  # noqa: ARG001 - it sets the clock
    """Photos that were put there an hour ago."""
    return filled(Album(tmp_path / "album"))


@pytest.fixture
def manifest(album: Album, tmp_path: Path) -> Path:
    """What an earlier run made of them."""
    out = tmp_path / "manifest.parquet"
    assert judged_by_run(album, out) == NUM_SAMPLES
    assert facts_beside(out).is_file()
    return out


def judged_by_run(album: Album, out: Path) -> int:
    """Bring a manifest up to date, hold it to one that is made anew, and return whom that took reading."""
    engine = OutOfOrder()
    write_manifest(album, out, engine=engine)
    fresh = out.with_name("fresh.parquet")
    write_manifest(album, fresh)
    assert out.read_bytes() == fresh.read_bytes()
    fresh.unlink()
    facts_beside(fresh).unlink()
    return sum(engine.made)


def test_unchanged_files_are_not_read(album: Album, manifest: Path) -> None:
    before = manifest.read_bytes()
    album.photo(0).chmod(0o640)  # which changes its inode's time, and so is a change
    assert judged_by_run(album, manifest) == 1
    assert judged_by_run(album, manifest) == 0
    assert manifest.read_bytes() == before


def test_only_facts_make_it_quick(album: Album, manifest: Path) -> None:
    facts_beside(manifest).unlink()
    assert judged_by_run(album, manifest) == NUM_SAMPLES
    assert judged_by_run(album, manifest) == 0
    manifest.unlink()
    assert judged_by_run(album, manifest) == NUM_SAMPLES


def test_the_same_size_and_time_with_other_bytes_is_seen(album: Album, manifest: Path) -> None:
    hashes = {row.key: row.input_hash for row in read_manifest(manifest)}
    photo = album.photo(2)
    old = photo.stat()
    draw(photo, 99)
    os.utime(photo, ns=(old.st_atime_ns, old.st_mtime_ns))
    new = photo.stat()
    assert (new.st_size, new.st_mtime_ns, new.st_ino) == (old.st_size, old.st_mtime_ns, old.st_ino)
    assert judged_by_run(album, manifest) == 1
    changed = {row.key for row in read_manifest(manifest) if row.input_hash != hashes[row.key]}
    assert changed == {"002"}


def test_files_that_swap_names_are_seen(album: Album, manifest: Path) -> None:
    one, other = album.photo(1), album.photo(3)
    for photo in (one, other):
        os.utime(photo, ns=(10**18, 10**18))
    judged_by_run(album, manifest)
    spare = one.rename(one.with_suffix(".tmp"))
    other.rename(one)
    spare.rename(other)
    assert judged_by_run(album, manifest) == 2


def test_a_link_that_points_elsewhere_is_seen(album: Album, manifest: Path) -> None:
    photo = album.photo(4)
    photo.unlink()
    photo.symlink_to(album.photo(5))
    assert judged_by_run(album, manifest) == 1
    photo.unlink()
    photo.symlink_to(album.photo(0))
    assert judged_by_run(album, manifest) == 1


def test_a_copy_of_the_tree_is_read(album: Album, manifest: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(album.root, tmp_path / "copy"))
    hashes = [row.input_hash for row in read_manifest(manifest)]
    assert judged_by_run(Album(copy), manifest) == NUM_SAMPLES
    assert [row.input_hash for row in read_manifest(manifest)] == hashes


def test_a_folder_that_was_moved_is_not(album: Album, manifest: Path, tmp_path: Path) -> None:
    assert judged_by_run(Album(album.root.rename(tmp_path / "moved")), manifest) == 0


@pytest.mark.parametrize(("seconds", "read"), [(-10, 0), (-1, 1), (1000, 1)])
def test_a_time_of_just_now_or_to_come_tells_nothing(
    seconds: int, read: int, album: Album, manifest: Path
) -> None:
    moment = time.time_ns() + seconds * 10**9
    os.utime(album.photo(0), ns=(moment, moment))
    assert [judged_by_run(album, manifest) for _ in range(3)] == [1, read, read]


def test_nothing_is_known_of_a_tree_that_was_just_written(tmp_path: Path) -> None:
    """Its file system's clock may not have gone on when a file changes once more."""
    album, out = filled(Album(tmp_path / "album")), tmp_path / "manifest.parquet"
    assert [judged_by_run(album, out) for _ in range(2)] == [NUM_SAMPLES, NUM_SAMPLES]


def test_a_file_that_could_not_be_read_is_tried_again(album: Album, manifest: Path) -> None:
    """It has no bytes to the hash, which says nothing about those that it has."""
    joints = album.joints(3)
    joints.unlink()
    joints.mkdir()
    assert [judged_by_run(album, manifest) for _ in range(2)] == [1, 1]
    joints.rmdir()
    assert [judged_by_run(album, manifest) for _ in range(2)] == [1, 1]
    joints.write_text("{}")
    assert [judged_by_run(album, manifest) for _ in range(2)] == [1, 0]


def test_a_photo_that_is_broken_stays_failed_unread(album: Album, manifest: Path) -> None:
    album.photo(1).write_bytes(b"BM, or not")
    assert [judged_by_run(album, manifest) for _ in range(2)] == [1, 0]
    row = read_manifest(manifest)[1]
    assert row.reason is not None
    assert row.reason.startswith("image unreadable: must be a whole picture")


def test_samples_come_go_and_are_told_otherwise(album: Album, manifest: Path) -> None:
    assert judged_by_run(replace(album, count=NUM_SAMPLES - 2), manifest) == 0
    assert judged_by_run(replace(album, caption="a red top"), manifest) == 2
    assert {row.caption for row in read_manifest(manifest)} == {"a red top"}
    assert len(read_manifest(manifest)) == NUM_SAMPLES


def test_a_photo_of_both_splits_is_told_by_whatever_run(
    album: Album, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    album, out = replace(album, num_test=3), tmp_path / "manifest.parquet"

    def told() -> list[str | None]:
        return pq.read_table(out)["same_photo_as"].to_pylist()

    judged_by_run(album, out)
    assert told() == [None] * NUM_SAMPLES
    assert "are in it too" not in caplog.text
    shutil.copyfile(album.photo(5), album.photo(0))
    assert judged_by_run(album, out) == 1, "the photo, and not the one that it is"
    assert told() == ["train/005", None, None, None, None, None]
    assert f"{out.name}: photos outside of train that are in it too, " in caplog.text
    assert "aren't held out: 1, such as test/000 is train/005 (column" in caplog.text
    shutil.copyfile(album.photo(5), album.photo(3))
    assert judged_by_run(album, out) == 1
    assert told() == ["train/003", None, None, None, None, "train/003"]
    draw(album.photo(5), 98)
    draw(album.photo(3), 99)
    assert judged_by_run(album, out) == 2
    assert told() == [None] * NUM_SAMPLES


def test_photos_that_are_broken_alike_are_no_copies(album: Album, manifest: Path) -> None:
    """Empty files, say; and of what can't be decoded nobody knows whom it shows."""
    for number in (1, 4):
        album.photo(number).write_bytes(b"BM, or not")
    judged_by_run(album, manifest)
    found = pq.read_table(manifest, columns=["image_hash", "same_photo_as"]).to_pylist()
    assert [row["image_hash"] is None for row in found] == [False, True, False, False, True, False]
    assert {row["same_photo_as"] for row in found} == {None}


def test_other_limits_are_other_judges(album: Album, manifest: Path) -> None:
    engine = OutOfOrder()
    counts = write_manifest(album, manifest, Limits(max_bytes=100), engine=engine)
    assert (counts, engine.made) == ({"failed": NUM_SAMPLES}, [NUM_SAMPLES])
    assert write_manifest(album, manifest) == {"ok": NUM_SAMPLES}


def test_an_older_manifest_beside_newer_facts(album: Album, manifest: Path) -> None:
    """As `dvc checkout` leaves them."""
    older = manifest.read_bytes()
    draw(album.photo(5), 77)
    judged_by_run(album, manifest)
    manifest.write_bytes(older)
    assert judged_by_run(album, manifest) == 1


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "other columns"])
def test_broken_facts_are_told_and_not_believed(
    damage: str, album: Album, manifest: Path, caplog: pytest.LogCaptureFixture
) -> None:
    facts = facts_beside(manifest)
    whole = facts.read_bytes()
    if damage == "other columns":
        metadata = pq.read_schema(facts).metadata
        pq.write_table(pa.table({"facts": [1]}).replace_schema_metadata(metadata), facts)
    else:
        facts.write_bytes({"cut": whole[: len(whole) // 2], "text": b"no table"}.get(damage, b""))
    assert judged_by_run(album, manifest) == NUM_SAMPLES
    told = [message for message in caplog.messages if "is broken, so files are hashed again" in message]
    assert len(told) == 1
    assert judged_by_run(album, manifest) == 0


def test_no_byte_of_the_facts_can_make_a_wrong_row(album: Album, manifest: Path) -> None:
    facts = facts_beside(manifest)
    whole = facts.read_bytes()
    for place in range(0, len(whole), 37):
        broken = bytearray(whole)
        broken[place] ^= 0x55
        facts.write_bytes(broken)
        judged_by_run(album, manifest)  # which holds the manifest to one made anew


@pytest.mark.usefixtures("later")
def test_a_run_that_was_stopped_loses_neither_facts_nor_parts(tmp_path: Path) -> None:
    count = 3 * PART_ROWS
    album, out = filled(Album(tmp_path / "album", count)), tmp_path / "manifest.parquet"
    judged_by_run(album, out)
    for number in range(1, count):
        album.joints(number).write_text("[]")
    with pytest.raises(OSError, match="switched off"):
        write_manifest(album, out, engine=stop_after(2))
    album.joints(1).write_text("{ }")
    assert judged_by_run(album, out) == PART_ROWS + PART_ROWS - 1
    assert judged_by_run(album, out) == 0


def test_a_stopped_run_on_a_tree_that_was_just_written_begins_anew(tmp_path: Path) -> None:
    album, out = filled(Album(tmp_path / "album", PART_ROWS + 1)), tmp_path / "manifest.parquet"
    with pytest.raises(OSError, match="switched off"):
        write_manifest(album, out, engine=stop_after(1))
    assert judged_by_run(album, out) == PART_ROWS + 1


@pytest.mark.usefixtures("later")
def test_processes_tell_the_same_facts(tmp_path: Path) -> None:
    album, out = filled(Album(tmp_path / "album", 2 * PART_ROWS)), tmp_path / "manifest.parquet"
    judged_by_run(album, out)
    alone = facts_beside(out).read_bytes()
    elsewhere = tmp_path / "elsewhere.parquet"
    write_manifest(album, elsewhere, engine=Processes(2))
    assert elsewhere.read_bytes() == out.read_bytes()
    assert facts_beside(elsewhere).read_bytes() == alone
