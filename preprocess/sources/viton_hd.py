"""VITON-HD: `{split}/image/{id}.jpg` with its parts in folders beside it, and lists of pairs at the root.

`train_pairs.txt` and `test_pairs.txt` say "person.jpg cloth.jpg" per line; a line whose two names differ is
unpaired, unless the person has no garment of their own name and nobody else has: then it is what they wear.
`test_pairs_paired.txt`, where it exists, may add people. Every part but the photo may be missing.

Source: the layout of VITON-HD's release (Choi et al., CVPR 2021).
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from preprocess.sources.finding import Found, Part, file_counts
from preprocess.sources.keys import safe_key
from preprocess.sources.pairs import Pair, read_pairs, stem_of
from preprocess.sources.source import SourceSample
from preprocess.vocabulary import Category

log = logging.getLogger(__name__)

SPLITS = ("train", "test")

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

    def samples(self) -> Iterator[SourceSample]:
        """Yield every person of the pairs files.

        Raises:
            FileNotFoundError: The root, a pairs file, or a photo that a pairs file names is missing.
            ValueError: A line of a pairs file can't be understood.
        """
        if not self.root.is_dir():
            raise FileNotFoundError(
                f"{self.root} is not a folder: set prepare_dataset.root in params.yaml to VITON-HD's folder, "
                f"the one with {self.split or SPLITS[0]}_pairs.txt"
            )
        for split in (self.split,) if self.split else self.listed() or SPLITS:
            people = self.people(split)
            if people:
                yield from self.samples_of(Split.listed(self.root / split), people)

    def listed(self) -> list[str]:
        """Return the splits that have a list of pairs, and say which have none."""
        listed = [split for split in SPLITS if (self.root / f"{split}_pairs.txt").is_file()]
        for split in SPLITS if listed else ():
            if split not in listed:
                log.warning("%s has no %s_pairs.txt, so no split %s", self.root, split, split)
        return listed

    def pairs(self, split: str) -> list[Pair]:
        """Return the lines of a split's lists; those of the paired one come last."""
        path = self.root / f"{split}_pairs.txt"
        if not path.is_file():
            lists = ", ".join(sorted(found.name for found in self.root.glob("*.txt")))
            raise FileNotFoundError(
                f"{path} not found: it must list 'person.jpg cloth.jpg' per line; "
                f"{self.root} has {lists or 'no list'}"
            )
        also = self.root / f"{split}_pairs_paired.txt"
        return [*read_pairs(path), *(read_pairs(also) if also.is_file() else [])]

    def people(self, split: str) -> dict[str, Pair]:
        """Return for each person of a split, by name, whose garment they try on: their first line counts."""
        people: dict[str, Pair] = {}
        for pair in self.pairs(split):
            people.setdefault(pair.person, pair)
        return people

    def samples_of(self, split: "Split", people: dict[str, Pair]) -> Iterator[SourceSample]:
        """Yield the samples of a split, and say what is missing in it."""
        images: dict[Path, Pair] = {}
        for name, pair in people.items():
            images.setdefault(split.image(name, pair), pair)
        stems = Counter(stem_of(image.name) for image in images)
        for image, pair in images.items():
            worn = worn_by(stem_of(image.name), pair, split.parts["cloth"], stems)
            yield self.sample(split, image, stems[stem_of(image.name)] > 1, worn, pair)
        lacking = [pair.place for pair in images.values() if split.parts["cloth"].of(pair.cloth) is None]
        if lacking:
            log.warning(
                "%s: %d pairs name a garment without a photo in cloth/, such as %s: they can be "
                "measured, not tried on",
                split.folder,
                len(lacking),
                lacking[0],
            )

    def sample(self, split: "Split", image: Path, namesake: bool, worn: str, pair: Pair) -> SourceSample:
        """Collect the files of one person.

        Args:
            split: What there is.
            image: The person's photo.
            namesake: Whether another photo differs by its suffix only.
            worn: Name of the garment they wear.
            pair: Names the garment they try on.
        """
        stem, cloth = stem_of(image.name), stem_of(pair.cloth)
        key = safe_key(image.name if namesake else stem)
        other = split.parts["cloth"].of(pair.cloth) if cloth != worn else None
        return SourceSample(
            key=key,
            split=split.folder.name,
            category=Category.UPPER,
            image=image,
            caption=self.captions.get(key, ""),
            cloth=split.parts["cloth"].of(worn),
            cloth_mask=split.parts["cloth_mask"].of(worn),
            parse=split.parts["parse"].of(stem),
            densepose=split.parts["densepose"].of(stem),
            openpose_json=split.parts["openpose_json"].of(stem),
            agnostic_mask=split.parts["agnostic_mask"].of(stem),
            unpaired_key=None if other is None else safe_key(cloth),
            unpaired_cloth=other,
            unpaired_cloth_mask=None if other is None else split.parts["cloth_mask"].of(cloth),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """What a split's folder has."""

    folder: Path
    parts: Mapping[str, Found]
    """By the names in `PARTS`."""

    @classmethod
    def listed(cls, folder: Path) -> "Split":
        """List a folder, and say what is missing in it and what is there instead.

        Raises:
            FileNotFoundError: There is no such folder.
        """
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder} not found: it must have image/, and may have {', '.join(list(PARTS)[1:])}"
            )
        split = cls(folder=folder, parts={name: Found.below(folder, part) for name, part in PARTS.items()})
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

    def image(self, name: str, pair: Pair) -> Path:
        """Return a person's photo.

        Raises:
            FileNotFoundError: There is none.
        """
        image = self.parts["image"].of(name)
        if image is None:
            missing = self.parts["image"].missing(self.others())
            raise FileNotFoundError(
                f"{self.folder / 'image' / name} not found, but {pair.place} names it: add the photo or "
                f"delete the line{'; ' + missing if missing else ''}"
            )
        return image


def worn_by(person: str, pair: Pair, cloths: Found, people: Mapping[str, int]) -> str:
    """Return the name of the garment that a person wears: their own, unless it has a name of its own."""
    named = stem_of(pair.cloth)
    own_name = named == person or named in people or cloths.of(person) is not None
    return person if own_name or cloths.of(named) is None else named
