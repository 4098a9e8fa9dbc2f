import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.identity import ROOT
from preprocess.places import Facts, StorageError, remembered
from preprocess.shelf import CACHE_KIB, Shelf

NAMES = st.text(st.characters(exclude_categories=["Cs"]))


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, st.integers())))
def test_a_shelf_is_a_dictionary_whose_names_are_given_once(pairs: list[tuple[str, int]]) -> None:
    shelf, expected = Shelf[int](), {}
    for name, value in pairs:
        assert shelf.add(name, value) == (name not in expected)
        expected.setdefault(name, value)
        assert shelf.get(name) == expected[name]
    assert len(shelf) == len(expected)
    assert list(shelf.items()) == list(expected.items()), "in the order in which they came"
    assert list(shelf.sorted()) == [expected[name] for name in sorted(expected)]
    by_length = sorted(sorted(expected), key=len)
    assert list(shelf.sorted(len)) == [expected[name] for name in by_length]
    assert shelf.get("what nobody called it") is None
    for name in expected:
        shelf.put(name, -1)
    assert dict(shelf.items()) == dict.fromkeys(expected, -1)


def test_a_name_that_is_no_utf_8_comes_back_as_it_was() -> None:
    shelf = Shelf[str]()
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    shelf.add(name, name)
    assert dict(shelf.items()) == {name: name}


def test_an_object_in_storage_keeps_what_a_listing_said_of_it() -> None:
    facts = Facts(is_file=True, num_bytes=3, tag="abc")
    shelf = Shelf[object]()
    shelf.add("photo", path := remembered("s3://bucket/photo.jpg", facts))
    found = shelf.get("photo")
    assert found == path
    assert str(found) == "s3://bucket/photo.jpg"
    assert found.facts() == facts, "no request was made"  # type: ignore[attr-defined]


FILLED = """
import re, sys
from pathlib import Path
from preprocess.shelf import Shelf
def peak_kib():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
shelf = Shelf()
shelf.add("", bytes(4096))
before = peak_kib()
for number in range(16_384):
    shelf.add(f"{number * 7919 % 16_384:05d}", bytes(4096))
found = shelf.sorted() if sys.argv[1] == "sorted" else (value for _, value in shelf.items())
assert sum(len(value) for value in found) == 16_385 * 4096
print(peak_kib() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux's account of memory")
@pytest.mark.parametrize("order", ["sorted", "as they came"])
def test_a_shelf_of_any_size_takes_little_memory(order: str) -> None:
    """64 MiB of values, in no more than what a shelf and its sorting are allowed, and a little air."""
    command = [sys.executable, "-c", FILLED, order]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert int(done.stdout) < 3 * CACHE_KIB


@contextmanager
def room_for(num_bytes: int) -> Iterator[None]:
    """Have this process write no file beyond so many bytes, as on a disk without more room."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def filled() -> Shelf[bytes]:
    """Return a shelf of 16 MiB, four times what it may keep in memory."""
    shelf = Shelf[bytes]()
    for number in range(16_384):
        shelf.add(str(number), bytes(1024))
    return shelf


def test_a_full_disk_is_told_by_where_the_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with room_for(2**20), pytest.raises(StorageError, match=f"Set TMPDIR to .*{tmp_path}"):
        filled()
    shelf = filled()
    with room_for(2**20), pytest.raises(StorageError, match="is its disk full"):
        next(shelf.sorted())
