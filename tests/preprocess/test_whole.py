"""What is written appears when it is whole, or not at all."""

from pathlib import Path

import pytest

from preprocess.whole import whole_file, whole_folder


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
    with whole_folder(out) as partial:
        (partial / "new").touch()
        assert names(out) == {"old"}
    assert names(out) == {"new"}
    assert names(tmp_path) == {"a"}


def test_a_folder_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "a"
    out.mkdir()
    (out / "old").touch()
    with pytest.raises(OSError, match="no space"), whole_folder(out) as partial:
        half_written(partial / "new")
    assert names(out) == {"old"}
    assert names(tmp_path) == {"a"}
