"""What is written appears when it is whole, or not at all."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from preprocess.whole import require_replaceable, whole_file, whole_folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_appears_when_it_is_whole_and_takes_the_place_of_another(tmp_path: Path) -> None:
    out = tmp_path / "new" / "a.txt"
    for text in ("first", "second"):
        with whole_file(out) as partial:
            partial.write_text(text)
            assert not out.exists() or out.read_text() == "first"
        assert out.read_text() == text
        assert names(out.parent) == {"a.txt"}


def half_written(path: Path) -> None:
    path.write_text("half")
    raise OSError("no space left")


def test_a_file_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(OSError, match="no space"), whole_file(tmp_path / "a.txt") as partial:
        half_written(partial)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


def test_two_writers_do_not_write_into_one_another(tmp_path: Path) -> None:
    out = tmp_path / "a.txt"
    with whole_file(out, "1") as one, whole_file(out, "2") as other:
        one.write_text("one")
        other.write_text("other")
        assert one.read_text() == "one"
    assert out.read_text() == "one"
    assert names(tmp_path) == {"a.txt"}


def test_a_folder_appears_when_it_is_whole_without_what_a_killed_run_left(tmp_path: Path) -> None:
    out = tmp_path / "a"
    (tmp_path / ".a.partial").mkdir()
    (tmp_path / ".a.partial" / "half").touch()
    out.mkdir()
    (out / "old").touch()
    with whole_folder(out, "old") as partial:
        (partial / "new").touch()
        assert names(out) == {"old"}
    assert names(out) == {"new"}
    assert names(tmp_path) == {"a"}


def test_a_folder_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "a"
    out.mkdir()
    (out / "old").touch()
    with pytest.raises(OSError, match="no space"), whole_folder(out, "old") as partial:
        half_written(partial / "new")
    assert names(out) == {"old"}
    assert names(tmp_path) == {"a"}


@pytest.mark.parametrize("marker", [None, "metrics.json"])
def test_what_is_no_earlier_result_stays(tmp_path: Path, marker: str | None) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    require_replaceable(out, marker)
    (out / "photo.png").touch()
    with pytest.raises(FileExistsError, match=r"mine .*: name another folder"), whole_folder(out, marker):
        pytest.fail("nothing must be done that is lost afterwards")
    assert names(out) == {"photo.png"}
    with pytest.raises(FileExistsError, match=r"photo.png exists already: name another folder"):
        require_replaceable(out / "photo.png", marker)


def test_an_input_stays(tmp_path: Path) -> None:
    base = tmp_path / "artifacts" / "base"
    base.mkdir(parents=True)
    for folder in (base, base.parent):
        (folder / "record.json").touch()
        with pytest.raises(ValueError, match=r"would take the place of .*base, which is read"):
            require_replaceable(folder, "record.json", tmp_path / "shards", base)
    require_replaceable(base, "record.json", base.parent, base.parent / "size")


def test_a_link_to_a_folder_stays_one(tmp_path: Path) -> None:
    out = tmp_path / "link"
    out.symlink_to(tmp_path / "big" / "report")
    for number in range(2):
        with whole_folder(out, "metrics.json") as partial:
            (partial / "metrics.json").write_text(str(number))
        assert out.is_symlink()
        assert (tmp_path / "big" / "report" / "metrics.json").read_text() == str(number)
    assert names(tmp_path / "big") == {"report"}


def test_a_finished_folder_outlives_what_stands_in_its_way(tmp_path: Path) -> None:
    out = tmp_path / "a"
    writing = whole_folder(out)
    (writing.__enter__() / "new").touch()
    out.touch()
    with pytest.raises(OSError, match=r"a exists already: .* is in .*\.a\.partial"):
        writing.__exit__(None, None, None)
    assert names(tmp_path / ".a.partial") == {"new"}


@pytest.fixture
def group_reads() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("group_reads")
def test_weights_are_as_readable_as_other_files(tmp_path: Path) -> None:
    weights = {"w": torch.zeros(1)}
    with whole_file(tmp_path / "kept.safetensors") as file:
        save_file(weights, file)
    with whole_folder(tmp_path / "published") as folder:
        (folder / "unet").mkdir()
        save_file(weights, folder / "unet" / "w.safetensors")
    for path in (tmp_path / "kept.safetensors", tmp_path / "published" / "unet" / "w.safetensors"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
