import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.local import Processes
from pipeline.tables.sharding import build_shards
from shards.index import ShardEntry, ShardIndex
from shards.plan import Stored, sha256_of, shard_number
from shards.sample import encode
from shards.ustar import SampleError
from shards.writer import replace_shards
from tests.pipeline.engines import Counting, OutOfOrder, stop_after
from tests.shards.making import build, rows_of, sample, samples, write_shards
from tests.sizes import listed


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in folder.iterdir() if path.is_file()}


def fail_on_multiples_of_7(what: tuple[int, int]) -> bytes:
    if what[0] % 7 == 0:
        raise SampleError("no inpainting mask")
    return build(what)


def test_the_index_says_what_the_tars_hold(tmp_path: Path) -> None:
    index = write_shards(samples(10), tmp_path, "train", 4)
    assert index["schema_version"] == 1
    assert index["num_samples"] == 10
    assert [shard["name"] for shard in index["shards"]] == [f"train-00000{n}.tar" for n in range(3)]
    for shard in index["shards"]:
        tar = tmp_path / shard["name"]
        assert (tar.stat().st_size, sha256_of(tar)) == (shard["num_bytes"], shard["sha256"])
    assert sorted(key for shard in index["shards"] for key in shard["keys"]) == [
        f"{n:05d}_00" for n in range(10)
    ]


def test_webdataset_reads_the_samples_back(tmp_path: Path) -> None:
    written = samples(10)
    write_shards(written, tmp_path, "train", 4)
    tars = [str(path) for path in sorted(tmp_path.glob("*.tar"))]
    found = {one["__key__"]: one for one in webdataset.WebDataset(tars, shardshuffle=False)}
    assert found.keys() == {one.key for one in written}
    for one in written:
        assert {suffix: found[one.key][suffix] for suffix in encode(one)} == encode(one)


def test_datasets_reads_the_samples_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="needs `pip install datasets`")
    write_shards(samples(10), tmp_path / "shards", "train", 4)
    options = {
        "data_files": {"train": str(tmp_path / "shards" / "*.tar")},
        "cache_dir": str(tmp_path / "cache"),
    }
    rows = list(datasets.load_dataset("webdataset", split="train", streaming=True, **options))
    assert sorted(row["__key__"] for row in rows) == [f"{n:05d}_00" for n in range(10)]
    one = next(row for row in rows if row["__key__"] == "00007_00")
    assert one["size.json"]["ratios"] == list(listed([1.25, None, 0.9], None))
    np.testing.assert_array_equal(np.asarray(one["inpaint_mask.png"]), sample("00007_00").inpaint_mask)


def test_nothing_but_tars_and_the_index_is_left(tmp_path: Path) -> None:
    write_shards(samples(10), tmp_path, "train", 4)
    assert sorted(hashes(tmp_path)) == ["index.json", *(f"train-00000{n}.tar" for n in range(3))]


@pytest.mark.slow  # starts processes
def test_workers_do_not_change_a_byte(tmp_path: Path) -> None:
    build_shards(rows_of(200), build, tmp_path / "0", "train", 16)
    for workers in (1, 3):
        engine = Processes(workers)
        build_shards(rows_of(200), build, tmp_path / str(workers), "train", 16, engine=engine)
    assert hashes(tmp_path / "0") == hashes(tmp_path / "1") == hashes(tmp_path / "3")


def test_the_order_of_the_rows_does_not_change_a_byte(tmp_path: Path) -> None:
    build_shards(rows_of(50), build, tmp_path / "a", "train", 16)
    build_shards(rows_of(50)[::-1], build, tmp_path / "b", "train", 16)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_writing_again_writes_no_tar(tmp_path: Path) -> None:
    build_shards(rows_of(50), build, tmp_path, "train", 16)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.tar")}
    counts = build_shards(rows_of(50), build, tmp_path, "train", 16)
    assert counts == {"built": 0, "copied": 0, "kept": 50, "skipped": 0, "shards_written": 0}
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.tar")}


def test_one_changed_sample_of_2000_rewrites_one_shard_and_builds_one_sample(tmp_path: Path) -> None:
    build_shards(rows_of(2000), build, tmp_path / "a", "train", 100)
    before = hashes(tmp_path / "a")
    counts = build_shards(rows_of(2000, changed=(77,)), build, tmp_path / "a", "train", 100)
    after = hashes(tmp_path / "a")
    assert (counts["built"], counts["shards_written"]) == (1, 1)
    assert len([name for name in after if name.endswith(".tar") and after[name] != before[name]]) == 1
    build_shards(rows_of(2000, changed=(77,)), build, tmp_path / "b", "train", 100)
    assert after == hashes(tmp_path / "b")


def test_an_added_sample_rewrites_at_most_two_shards(tmp_path: Path) -> None:
    for count in range(60, 70):
        build_shards(rows_of(count), build, tmp_path / "a", "train", 8)
        counts = build_shards(rows_of(count + 1), build, tmp_path / "a", "train", 8)
        assert counts["shards_written"] <= 3  # its own, and one that is split in two
    build_shards(rows_of(70), build, tmp_path / "b", "train", 8)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_fewer_samples_leave_no_stale_tar(tmp_path: Path) -> None:
    build_shards(rows_of(50), build, tmp_path / "a", "train", 8)
    build_shards(rows_of(20), build, tmp_path / "a", "train", 8)
    build_shards(rows_of(20), build, tmp_path / "b", "train", 8)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_a_sample_that_cannot_be_built_is_named_in_the_index(tmp_path: Path) -> None:
    for _ in range(2):  # the second run keeps the shards
        counts = build_shards(rows_of(20), fail_on_multiples_of_7, tmp_path, "train", 8)
        assert counts["skipped"] == 3
        skipped = {k: v for e in ShardIndex(tmp_path).entries() for k, v in e.skipped.items()}
        assert skipped == {f"{n:05d}_00": "no inpainting mask" for n in (0, 7, 14)}


def test_a_damaged_old_sample_is_built_again_not_copied(tmp_path: Path) -> None:
    build_shards(rows_of(20), build, tmp_path / "a", "train", 100)
    tar = tmp_path / "a" / "train-000000.tar"
    tar.write_bytes(tar.read_bytes().replace(b"00003_00", b"00x03_00"))
    counts = build_shards(rows_of(20, changed=(5,)), build, tmp_path / "a", "train", 100)
    assert (counts["built"], counts["copied"]) == (2, 18)
    build_shards(rows_of(20, changed=(5,)), build, tmp_path / "b", "train", 100)
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_foreign_tars_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "train-000000.tar").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"got train-000000.tar without an index"):
        build_shards(rows_of(5), build, tmp_path, "train", 8)
    assert (tmp_path / "train-000000.tar").read_bytes() == b"mine"


def test_keys_must_be_unique(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unique keys, got 00000_00 twice"):
        build_shards(rows_of(1) * 2, build, tmp_path, "train", 8)


@settings(deadline=None)
@given(st.text(), st.integers(1, 1000))
def test_one_more_shard_moves_keys_only_into_it(key: str, num_shards: int) -> None:
    before, after = shard_number(key, num_shards), shard_number(key, num_shards + 1)
    assert before in range(num_shards)
    assert after in (before, num_shards)


KILLED = """
import sys
from pathlib import Path
from tests.shards.making import build, rows_of
from pipeline.tables.sharding import build_shards
build_shards(rows_of(400, changed=(1, 2, 3)), build, Path(sys.argv[1]), "train", 10)
"""


@pytest.mark.slow  # starts 7 processes
def test_a_build_killed_at_6_moments_continues_to_the_same_bytes(tmp_path: Path) -> None:
    before, killed = tmp_path / "before", tmp_path / "killed"
    build_shards(rows_of(400, changed=(1, 2, 3)), build, tmp_path / "whole", "train", 10)
    build_shards(rows_of(300), build, before, "train", 10)
    command = [sys.executable, "-c", KILLED, str(killed)]
    shutil.copytree(before, killed)
    started = time.monotonic()
    subprocess.run(command, check=True)
    whole = time.monotonic() - started
    for moment in np.random.default_rng(0).uniform(0.3 * whole, whole, 6):
        shutil.rmtree(killed)
        shutil.copytree(before, killed)
        process = subprocess.Popen(command)
        time.sleep(moment)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        build_shards(rows_of(400, changed=(1, 2, 3)), build, killed, "train", 10)
        assert hashes(tmp_path / "whole") == hashes(killed)


def test_shards_whose_tars_are_gone_are_work_for_the_engine(tmp_path: Path) -> None:
    """Few samples are made in the process of the stage, whatever there are of others."""
    build_shards(rows_of(40), build, tmp_path, "train", 10)
    tars = sorted(tmp_path.glob("*.tar"))
    entries = [*ShardIndex(tmp_path).entries()]
    tars[0].unlink()
    tars[1].write_bytes(tars[1].read_bytes()[:-1])
    engine = OutOfOrder()
    build_shards(rows_of(40), build, tmp_path, "train", 10, engine=engine)
    assert sorted(engine.made) == sorted(entry.num_samples for entry in entries[:2])


def test_rows_and_entries_are_in_memory_a_shard_at_a_time(tmp_path: Path) -> None:
    rows, entries = Counting(Stored), Counting(ShardEntry)
    build_shards((row for row in rows_of(400)), build, tmp_path, "train", 10, engine=rows)
    longest = max(entry.num_samples for entry in ShardIndex(tmp_path).entries())
    assert 10 <= rows.most <= 2 * longest + 1
    changed = tuple(range(0, 400, 3))
    build_shards((row for row in rows_of(400, changed=changed)), build, tmp_path, "train", 10, engine=entries)
    assert 1 <= entries.most <= 3, "of 40 shards"


@pytest.mark.parametrize("before", [0, 300])
def test_a_build_cut_off_between_two_tars_continues_to_the_same_bytes(tmp_path: Path, before: int) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    build_shards(rows_of(400), build, whole, "train", 10)
    if before:
        build_shards(rows_of(before), build, cut, "train", 10)
    entries = list(ShardIndex(whole).entries())
    cut.mkdir(exist_ok=True)
    old = hashes(cut)

    def put(name: str) -> None:
        if name == entries[7].name:
            raise OSError("switched off")
        shutil.copyfile(whole / name, cut / name)

    with pytest.raises(OSError, match="switched off"):
        replace_shards(cut, "train", entries, {}, [entry.name for entry in entries], put)
    with pytest.raises(FileNotFoundError, match="it is written last"):
        ShardIndex(cut)
    counts = build_shards(rows_of(400), build, cut, "train", 10)
    assert counts["shards_written"] == sum(entry.sha256 != old.get(entry.name) for entry in entries[7:])
    assert hashes(whole) == hashes(cut)


def test_old_shards_stay_whole_until_all_new_ones_are_made(tmp_path: Path) -> None:
    build_shards(rows_of(50), build, tmp_path, "train", 8)
    before = hashes(tmp_path)
    with pytest.raises(OSError, match="switched off"):
        build_shards(rows_of(60), build, tmp_path, "train", 8, engine=stop_after(3))
    assert {name: digest for name, digest in hashes(tmp_path).items() if name in before} == before
    engine = OutOfOrder()
    build_shards(rows_of(60), build, tmp_path, "train", 8, engine=engine)
    assert sum(engine.made) < 60


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"schema_version": 1', '"schema_version": 2', "schema_version must be 1, got 2"),
        ('"width"', '"sock"', "ratios must be of shoulder, width, length, waist, got .*sock"),
        ('"name":"train-000000.tar"', '"name":"../../x.tar"', "must be named like"),
        ('"num_samples":10', '"num_samples":11', "must have 11 rows"),
        ('"offsets":[0,', '"offsets":[512,', "without gaps"),
        ('"keys":["', '"keys":[1,"', "must have 10 rows"),
        ('"num_samples": 10', '"num_samples": 12', "cut short: 12 samples promised"),
        ("]}\n", "", "cut short"),
    ],
)
def test_a_wrong_index_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    write_shards(samples(10), tmp_path, "train", 100)
    path = tmp_path / "index.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=f"index.json isn't a valid index.*{message}"):
        ShardIndex(path)


def test_the_index_is_plain_json(tmp_path: Path) -> None:
    write_shards(samples(10), tmp_path, "train", 4)
    index = json.loads((tmp_path / "index.json").read_text())
    assert [entry.keys for entry in ShardIndex(tmp_path).entries()] == [s["keys"] for s in index["shards"]]


def test_one_sample_makes_one_shard(tmp_path: Path) -> None:
    assert len(write_shards([sample("a")], tmp_path, "t", 4)["shards"]) == 1
