from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.prepare_dataset import run
from pipeline.tables.incremental import PART_ROWS
from pipeline.tables.manifest import write_manifest
from preprocess.sources.manifest import COLUMNS, Entry
from preprocess.sources.paper_dolls.dataset import PaperDolls, render_dataset
from preprocess.sources.params import PaperDollParams, PrepareDatasetParams
from preprocess.sources.registry import SOURCES, open_source
from preprocess.sources.source import MANIFEST_SCHEMA, read_manifest
from tests.pipeline.engines import Counting, OutOfOrder, stop_after
from tests.pipeline.folders import blank_photo

DOLLS = PaperDollParams(train=2, test=2, image_height=96, image_width=72)


def test_draws_paper_dolls_and_lists_them(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "manifest.parquet"
    run(PrepareDatasetParams(paper_dolls=DOLLS), raw=raw, out=out)
    assert pq.read_schema(out).equals(COLUMNS)
    assert pq.read_schema(out).names[: len(MANIFEST_SCHEMA)] == MANIFEST_SCHEMA.names
    rows = read_manifest(out)
    assert [(row.split, row.key) for row in rows] == [
        ("test", "90000_00"),
        ("test", "90001_00"),
        ("train", "00000_00"),
        ("train", "00001_00"),
    ]
    assert {row.status for row in rows} == {"ok"}
    assert pq.read_table(raw / "truth.parquet").num_rows == 4
    assert [path.name for path in tmp_path.glob(".*")] == [".manifest.parquet.facts"]


def test_a_second_run_replaces_what_the_first_left(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "manifest.parquet"
    raw.mkdir()
    (raw / "stale.txt").write_text("from another run")
    (raw / "truth.parquet").touch()
    (tmp_path / ".raw.partial").mkdir()
    (tmp_path / ".raw.partial" / "half.txt").write_text("from an interrupted run")
    run(PrepareDatasetParams(paper_dolls=DOLLS), raw=raw, out=out)
    first = out.read_bytes()
    run(PrepareDatasetParams(paper_dolls=DOLLS), raw=raw, out=out)
    assert out.read_bytes() == first
    assert not (raw / "stale.txt").exists()
    assert not (raw / "half.txt").exists()


def test_a_real_data_set_stays_where_it_is(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run(PrepareDatasetParams(paper_dolls=DOLLS), raw=data, out=tmp_path / "drawn.parquet")
    params = PrepareDatasetParams(source="viton_hd", root=str(data))
    run(params, raw=tmp_path / "raw", out=tmp_path / "manifest.parquet")
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["read_elsewhere.txt"]
    drawn, read = (read_manifest(tmp_path / f"{name}.parquet") for name in ("drawn", "manifest"))
    assert [row.input_hash for row in read] == [row.input_hash for row in drawn]
    with pytest.raises(ValueError, match=r"data would take the place of .*data, which is read"):
        run(params, raw=data, out=tmp_path / "manifest.parquet")
    with pytest.raises(FileExistsError, match=r"is no earlier result \(it has no truth.parquet\)"):
        run(PrepareDatasetParams(paper_dolls=DOLLS), raw=data / "test", out=tmp_path / "manifest.parquet")
    assert len(list(data.rglob("*.jpg"))) == 4 * len(drawn)


@pytest.mark.usefixtures("later")
def test_a_stopped_run_hashes_no_file_twice_but_those_that_changed(tmp_path: Path) -> None:
    dolls = PaperDollParams(train=2 * PART_ROWS, test=PART_ROWS + 9, image_height=64, image_width=48)
    root, out, whole = tmp_path / "dolls", tmp_path / "manifest.parquet", tmp_path / "whole.parquet"
    render_dataset(dolls, root)
    with pytest.raises(OSError, match="switched off"):
        write_manifest(PaperDolls(root), out, engine=stop_after(3))
    assert not out.exists()
    photo = root / "test/image/90000_00.jpg"
    photo.write_bytes(photo.read_bytes() + b"\0")
    engine = OutOfOrder()
    write_manifest(PaperDolls(root), out, engine=engine)
    assert sorted(engine.made) == [9, PART_ROWS], "the part of the photo, and the last one"
    assert write_manifest(PaperDolls(root), whole) == {"ok": 3 * PART_ROWS + 9}
    assert out.read_bytes() == whole.read_bytes()
    tables = {"manifest.parquet", "whole.parquet"}
    facts = {f".{name}.facts" for name in tables}
    assert {path.name for path in tmp_path.iterdir()} == {"dolls", *tables, *facts}


@pytest.mark.parametrize("source", ["viton_hd", "folder"])
def test_samples_are_in_memory_a_part_at_a_time(source: str, tmp_path: Path) -> None:
    photo, names = blank_photo(), [f"{number:05d}.jpg" for number in range(6 * PART_ROWS)]
    folder = tmp_path / "data/train/image"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(photo)
    (tmp_path / "data/train_pairs.txt").write_text("".join(f"{name} {name}\n" for name in names))
    engine = Counting(Entry)
    counts = write_manifest(open_source(source, tmp_path / "data"), tmp_path / "out.parquet", engine=engine)
    assert counts == {"ok": len(names)}
    assert PART_ROWS <= engine.most <= 2 * PART_ROWS + 1


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    params = PrepareDatasetParams(source="viton_hd", root=str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError, match=r"absent is not a folder: set prepare_dataset\.root"):
        run(params, raw=tmp_path / "raw", out=tmp_path / "manifest.parquet")


def test_an_unknown_source_is_refused_by_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"one of {', '.join(SOURCES)}, got 'viton-hd'"):
        run(PrepareDatasetParams(source="viton-hd"), raw=tmp_path / "raw", out=tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_every_source_says_the_name_that_it_is_registered_by() -> None:
    assert {name: open_source(name, Path()).name for name in SOURCES} == {name: name for name in SOURCES}
