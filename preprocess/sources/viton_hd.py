"""VITON-HD: `{split}/image/{id}.jpg` with its parts in folders beside it, and lists of pairs at the root.

`train_pairs.txt` and `test_pairs.txt` say "person.jpg cloth.jpg" per line; a line whose two names differ is
unpaired, unless the person has no garment of their own name and nobody else has: then it is what they wear.
`test_pairs_paired.txt`, where it exists, says what is worn, and may add people. Every part but the photo may
be missing. Of people, or garments, whose names differ by the suffix alone (a.jpg, a.png) parts are found by
the whole name, as a.jpg.png and a.jpg_keypoints.json are.

Source: the layout of VITON-HD's release (Choi et al., CVPR 2021).
"""

import logging
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from preprocess.places import kept
from preprocess.shelf import Shelf
from preprocess.sources.finding import Found, Part, file_counts
from preprocess.sources.keys import safe_key
from preprocess.sources.pairs import Pair, read_pairs, stem_of
from preprocess.sources.source import SourceSample
from preprocess.vocabulary import SPLITS, Category

log = logging.getLogger(__name__)

NAMED = 12
"""Names of a root without a list of pairs that are told: enough to see which folder it is."""

PARTS = {
    "image": Part(folders=("image", "images")),
    "cloth": Part(folders=("cloth", "clothes")),
    "cloth_mask": Part(folders=("cloth-mask", "cloth-masks"), ends=("", "_mask"), arrays=True),
    "parse": Part(folders=("image-parse-v3", "image-parse"), arrays=True),
    "densepose": Part(folders=("image-densepose", "densepose"), ends=("", "_densepose"), arrays=True),
    "openpose_json": Part(
        folders=("openpose_json", "pose"), ends=("_keypoints", "", "_pose"), suffixes=(".json",)
    ),
    "agnostic_mask": Part(folders=("agnostic-mask",), ends=("_mask", "")),
}
"""What lies in a split's folder, and how people call it."""


@dataclass(frozen=True)
class VitonHd:
    """A VITON-HD root."""

    root: Path
    split: str | None = None
    """The only split to read; None: all that have a list of pairs."""
    captions: Mapping[str, str] = field(default_factory=dict)
    """Descriptions of garments by key."""
    name: str = "viton_hd"
    category: Category = Category.UPPER
    """What is worn where a list has no third column that says it: the layout doesn't tell."""

    def samples(self) -> Iterator[SourceSample]:
        """Yield every person of the pairs files.

        Raises:
            FileNotFoundError: The root, a pairs file, or a photo that a pairs file names is missing.
            ValueError: A line of a pairs file can't be understood.
        """
        if not self.root.is_dir():
            raise FileNotFoundError(
                f"{self.root} is not a folder: set prepare_dataset.root in params.yaml, or --root, to "
                f"VITON-HD's folder, the one with {self.split or SPLITS[0]}_pairs.txt"
            )
        for split in (self.split,) if self.split else self.listed() or SPLITS:
            paired = self.paired(split)
            lists = Lists(tried_by=kept(self.pairs(split)), worn_by=paired and kept(paired))
            if any(True for _ in chain(lists.tried(), lists.worn())):
                listed = Split.listed(self.root / split, self.category)
                yield from samples_of(listed, lists, self.captions)

    def listed(self) -> list[str]:
        """Return the splits that have a list of pairs, and say which have none."""
        listed = [split for split in SPLITS if (self.root / f"{split}_pairs.txt").is_file()]
        for split in SPLITS if listed else ():
            if split not in listed:
                log.warning("%s has no %s_pairs.txt, so no split %s", self.root, split, split)
        return listed

    def pairs(self, split: str) -> Path:
        """Return a split's list of who tries on what."""
        path = self.root / f"{split}_pairs.txt"
        if not path.is_file():
            there = sorted(found.name for found in self.root.iterdir() if not found.name.startswith("."))
            raise FileNotFoundError(
                f"{path} not found: it must list 'person.jpg cloth.jpg' per line, and the root be the folder "
                f"that has it beside {split}/; {self.root} has {', '.join(there[:NAMED]) or 'nothing'}"
                f"{' and more' if len(there) > NAMED else ''}"
            )
        return path

    def paired(self, split: str) -> Path | None:
        """Return a split's list of what is worn; None where it has no such list."""
        path = self.root / f"{split}_pairs_paired.txt"
        return path if path.is_file() else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Lists:
    """The lists of a split, read every time anew, but fetched once."""

    tried_by: Path
    worn_by: Path | None

    def tried(self) -> Iterator[Pair]:
        """Yield who tries on what."""
        yield from read_pairs(self.tried_by)

    def worn(self) -> Iterator[Pair]:
        """Yield who wears what, as far as a list says so."""
        if self.worn_by is not None:
            yield from read_pairs(self.worn_by)


class Stems:
    """Names, without suffix, that photos have, on disk."""

    def __init__(self) -> None:
        self.first: Shelf[str] = Shelf()
        self.shared: set[str] = set()
        """Those that several photos have."""

    def add(self, photo: Path) -> None:
        """Take the name of a photo."""
        stem = stem_of(photo.name)
        if not self.first.add(stem, photo.name) and self.first[stem] != photo.name:
            self.shared.add(stem)

    def __contains__(self, stem: str) -> bool:
        return self.first.get(stem) is not None


People: TypeAlias = Shelf[tuple[Path, Pair]]
"""The photo of each person and the first line that names them, by the photo."""

Worn: TypeAlias = Shelf[str]
"""The name of the garment that each person wears, by the photo."""


def samples_of(split: "Split", lists: Lists, captions: Mapping[str, str]) -> Iterator[SourceSample]:
    """Yield the samples of a split and say what is missing; of several lines of a person the first counts."""
    people: People = Shelf()
    stems, cloths = Stems(), Stems()
    for pair in chain(lists.tried(), lists.worn()):
        image, cloth = split.image(pair), split.cloth(pair)
        people.add(str(image), (image, pair))
        stems.add(image)
        if cloth is not None:
            cloths.add(cloth)
    split = replace(split, shared=stems.shared | cloths.shared)
    worn = dressed(split, people, stems, lists)
    categories, wearers = told(split, lists, worn), wearers_of(split, worn)
    used: set[str] = set()
    lacking, first = 0, ""
    for name, (image, pair) in people.items():
        one = sample(split, image, worn[name], pair, wearers, captions)
        category = categories.get(name)
        one = replace(one, category=category) if category else one
        used.update(part for part, _ in one.parts())
        yield one
        if split.cloth(pair) is None:
            lacking, first = lacking + 1, first or pair.place
    split.warn(used, lacking, first)


def dressed(split: "Split", people: People, stems: Stems, lists: Lists) -> Worn:
    """Return what each person wears: of several lines the first counts."""
    worn: Worn = Shelf()
    for pair in lists.worn():
        worn.add(str(split.image(pair)), pair.cloth)
    for name, (image, pair) in people.items():
        worn.add(name, worn_by(split.name_of(image.name), pair, split.parts["cloth"], stems))
    return worn


def told(split: "Split", lists: Lists, worn: Worn) -> Shelf[Category]:
    """Return what kind of garment people wear, of those of whom a line that names that garment says it."""
    said: Shelf[Category] = Shelf()
    for pair in chain(lists.worn(), lists.tried()):
        if pair.category is None:
            continue
        image, cloth = str(split.image(pair)), split.cloth(pair)
        name = worn[image]
        if cloth == split.file("cloth", name) if cloth else stem_of(pair.cloth) == stem_of(name):
            said.add(image, pair.category)
    return said


def wearers_of(split: "Split", worn: Worn) -> Shelf[str]:
    """Return the key of who wears a garment first, by its photo."""
    wearers: Shelf[str] = Shelf()
    for image, name in worn.items():
        if (cloth := split.file("cloth", name)) is not None:
            wearers.add(str(cloth), safe_key(split.name_of(image.rpartition("/")[2])))
    return wearers


def sample(
    split: "Split",
    image: Path,
    worn: str,
    pair: Pair,
    wearers: Shelf[str],
    captions: Mapping[str, str],
) -> SourceSample:
    """Collect the files of one person, who wears the garment named `worn` and tries on that of the pair.

    Who wears which garment is said by its photo, captions by key.
    """
    key = safe_key(split.name_of(image.name))
    cloth, other = split.file("cloth", worn), split.cloth(pair)
    other = None if other == cloth else other
    return SourceSample(
        key=key,
        split=split.folder.name,
        category=split.category,
        image=image,
        caption=captions.get(key, ""),
        cloth=cloth,
        cloth_mask=split.map("cloth_mask", worn if cloth is None else cloth.name),
        parse=split.map("parse", image.name),
        densepose=split.map("densepose", image.name),
        openpose_json=split.map("openpose_json", image.name),
        agnostic_mask=split.map("agnostic_mask", image.name),
        unpaired_key=None if other is None else wearers.get(str(other)) or safe_key(stem_of(pair.cloth)),
        unpaired_cloth=other,
        unpaired_cloth_mask=None if other is None else split.map("cloth_mask", other.name),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """What a split's folder has."""

    folder: Path
    category: Category
    parts: Mapping[str, Found]
    """By the names in `PARTS`."""

    shared: Set[str] = frozenset()
    """Names, without suffix, that several people or several garments have."""

    @classmethod
    def listed(cls, folder: Path, category: Category) -> "Split":
        """List a split's folder, and say what is missing in it and what is there instead.

        Raises:
            FileNotFoundError: There is no such folder.
        """
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder} not found: it must have image/, and may have {', '.join(list(PARTS)[1:])}"
            )
        parts = {name: Found.below(folder, part) for name, part in PARTS.items()}
        split = cls(folder=folder, category=category, parts=parts)
        if split.others():
            for found in split.parts.values():
                missing = found.missing(split.others())
                if missing:
                    log.warning("%s: %s", folder, missing)
        return split

    def others(self) -> dict[str, int]:
        """Count the files of folders that no part was found in."""
        claimed = {path for found in self.parts.values() for path in found.folders}
        folders = sorted(path for path in self.folder.iterdir() if path.is_dir())
        return file_counts(path for path in folders if path not in claimed)

    def warn(self, used: Set[str], lacking: int, first: str) -> None:
        """Say what the samples don't use or lack.

        `used` are the parts that a sample has; `lacking` people, of whose lines the first is told, try on a
        garment without a photo.
        """
        for part, found in self.parts.items():
            if part not in used and any(found.files):
                log.warning("%s: %s", self.folder, found.strangers())
        if lacking:
            log.warning(
                "%s: %d pairs name a garment without a photo in cloth/, such as %s: they can be "
                "measured, not tried on",
                self.folder,
                lacking,
                first,
            )
        if self.shared:
            log.warning(
                "%s: several photos are called %s but for their suffix: what belongs to one is found by its "
                "whole name, as a.jpg.png is",
                self.folder,
                ", ".join(sorted(self.shared)[:5]),
            )

    def image(self, pair: Pair) -> Path:
        """Return the photo of a person.

        Raises:
            FileNotFoundError: There is none.
        """
        image = self.parts["image"].of(pair.person)
        if image is None:
            missing = self.parts["image"].missing(self.others())
            raise FileNotFoundError(
                f"{self.folder / 'image' / pair.person} not found, but {pair.place} names it: add the photo "
                f"or delete the line{'; ' + missing if missing else ''}"
            )
        return image

    def cloth(self, pair: Pair) -> Path | None:
        """Return the photo of the garment that a person tries on; None: there is none."""
        return self.file("cloth", pair.cloth)

    def file(self, part: str, name: str) -> Path | None:
        """Return what a list or a person names, with whatever suffix unless that tells it from another."""
        return self.parts[part].of(name, whole=stem_of(name) in self.shared)

    def map(self, part: str, photo: str) -> Path | None:
        """Return what belongs to a photo: by its name, without suffix unless others have that, or with it."""
        return self.file(part, self.name_of(photo)) or self.parts[part].of(photo, whole=True)

    def name_of(self, photo: str) -> str:
        """Return the name of a photo's file: without its suffix, unless that tells it from another."""
        stem = stem_of(photo)
        return photo if stem in self.shared else stem


def worn_by(person: str, pair: Pair, cloths: Found, stems: Stems) -> str:
    """Return the name of the garment that a person wears: their own, unless it has a name of its own."""
    named = stem_of(pair.cloth)
    own_name = named == stem_of(person) or named in stems or cloths.of(person) is not None
    return person if own_name or cloths.of(named) is None else pair.cloth
