"""Which samples have a photo that another sample has."""

import random
from collections import defaultdict

import pytest

from preprocess.sources.same_photo import Copies, SamePhotos

HASHES = {name: f"{number:032x}" for number, name in enumerate("abcd")}


def firsts(*samples: tuple[str, str, str | None]) -> list[str | None]:
    same = SamePhotos()
    for split, key, photo in samples:
        same.add(split, key, photo and HASHES[photo])
    return list(same.firsts())


def test_the_first_of_train_comes_before_those_of_test() -> None:
    assert firsts(
        ("test", "1", "a"),
        ("test", "2", "b"),
        ("test", "3", "c"),
        ("test", "4", "c"),
        ("train", "1", "b"),
        ("train", "5", "a"),
        ("train", "6", "a"),
        ("train", "7", "d"),
    ) == ["train/5", "train/1", None, "test/3", None, None, "train/5", None]


def test_photos_that_were_not_read_are_not_the_same() -> None:
    assert firsts(("test", "1", None), ("test", "2", None), ("train", "1", "a")) == [None, None, None]
    assert firsts() == []


def test_many_are_told_as_a_dictionary_tells_them() -> None:
    dealt = random.Random(0)
    samples = [
        (split, f"{number:04d}", dealt.choice("abcd") if dealt.random() < 0.02 else None)
        for split in ("test", "train")
        for number in range(3000)
    ]
    there: dict[str | None, list[str]] = defaultdict(list)
    for split, key, photo in sorted(samples, key=lambda sample: sample[0] != "train"):
        there[photo].append(f"{split}/{key}")
    expected = [
        None if photo is None or there[photo][0] == f"{split}/{key}" else there[photo][0]
        for split, key, photo in samples
    ]
    assert sum(first is not None for first in expected) > 50
    assert firsts(*samples) == expected


@pytest.mark.parametrize(
    ("split", "first", "leaked"),
    [("test", "train/1", True), ("test", "test/1", False), ("train", "train/1", False)],
)
def test_held_out_is_what_train_lacks(split: str, first: str, leaked: bool) -> None:
    copies = Copies()
    copies.note(split, "2", first)
    (line,) = copies.lines()
    assert ("aren't held out" in line) is leaked


def test_a_few_are_named_and_all_are_counted() -> None:
    copies = Copies()
    assert copies.lines() == []
    for number in range(5):
        copies.note("test", str(number), f"train/{number}")
    copies.note("train", "9", "train/8")
    copies.note("train", "7", None)
    leaked, twice = copies.lines()
    assert leaked.startswith("photos outside of train that are in it too, ")
    assert leaked.endswith(": 5, such as test/0 is train/0, test/1 is train/1, test/2 is train/2")
    assert twice == "photos that are in their split already: 1, such as train/9 is train/8"
