"""Dress Code: `upper_body/images/{id}_0.jpg` with its garment `{id}_1.jpg` and parts in folders beside it.

`lower_body` and `dresses` lie beside `upper_body`; a root may lack some of the three.

`{split}_pairs_paired.txt` and `{split}_pairs_unpaired.txt` (train has `train_pairs.txt`) list
"person_0.jpg garment_1.jpg" in each category's folder. Keypoints are COCO-18 for a picture of 384 x 512,
whatever the size of the photo; `preprocess.body.openpose` scales them. Parse maps have ATR's labels, not
LIP's, and DensePose is a grey map of part numbers. `cloth_masks/{id}_1.png`, which the release lacks, says
where the garment is in its photo.

Source: the layout of Dress Code's release (Morelli et al., ECCV 2022).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from preprocess.shelf import Shelf
from preprocess.sources.finding import Found, Part
from preprocess.sources.keys import safe_key
from preprocess.sources.pairs import read_pairs, stem_of
from preprocess.sources.source import SourceSample
from preprocess.vocabulary import SPLITS, Category, ParseLabels

CATEGORY_FOLDERS = {
    Category.UPPER: "upper_body",
    Category.LOWER: "lower_body",
    Category.DRESS: "dresses",
}

PARTS = {
    "image": Part(folders=("images",), ends=("_0",)),
    "cloth": Part(folders=("images",), ends=("_1",)),
    "cloth_mask": Part(folders=("cloth_masks", "cloth-mask"), ends=("_1",), arrays=True),
    "parse": Part(folders=("label_maps",), ends=("_4",), arrays=True),
    "densepose": Part(folders=("dense",), ends=("_5",), arrays=True),
    "openpose_json": Part(folders=("keypoints",), ends=("_2",), suffixes=(".json",)),
}
"""What lies in the category's folder."""


@dataclass(frozen=True)
class DressCode:
    """A Dress Code root."""

    root: Path
    split: str | None = None
    """The only split to read; None: both."""
    category: Category | None = None
    """The only category to read; None: all that there are."""
    captions: Mapping[str, str] = field(default_factory=dict)
    """Descriptions of garments by key."""
    parse_labels: ParseLabels = ParseLabels.ATR
    """What the numbers in the label maps mean."""
    name: str = "dress_code"

    def samples(self) -> Iterator[SourceSample]:
        """Yield every person of the pairs files.

        Raises:
            FileNotFoundError: The root, a pairs file, or a photo that a pairs file names is missing.
            ValueError: A line of a pairs file can't be understood.
        """
        wanted = (
            CATEGORY_FOLDERS if self.category is None else {self.category: CATEGORY_FOLDERS[self.category]}
        )
        there = {category: name for category, name in wanted.items() if (self.root / name).is_dir()}
        if not there:
            raise FileNotFoundError(
                f"{self.root / next(iter(wanted.values()))} is not a folder: the root must be Dress Code's, "
                f"with {' or '.join(f'{name}/' for name in wanted.values())}"
            )
        for category, name in there.items():
            yield from self.samples_of(category, self.root / name)

    def samples_of(self, category: Category, folder: Path) -> Iterator[SourceSample]:
        """Yield every person of one category."""
        parts = {name: Found.below(folder, part) for name, part in PARTS.items()}
        for split in (self.split,) if self.split else SPLITS:
            people, unpaired = people_of(folder, split), ids_of_pairs(folder / f"{split}_pairs_unpaired.txt")
            for person, _ in people.items():  # noqa: PERF102 - a Shelf isn't a dict
                found = sample(folder, parts, (category, split), person, unpaired.get(person))
                caption = self.captions.get(found.key, "")
                yield replace(found, parse_labels=self.parse_labels, caption=caption)


def sample(
    folder: Path, parts: Mapping[str, Found], which: tuple[Category, str], person: str, other: str | None
) -> SourceSample:
    """Collect the files of one person, who tries on the garment of `other`."""
    category, split = which
    image = parts["image"].of(person)
    if image is None:
        raise FileNotFoundError(
            f"{folder / 'images' / f'{person}_0.jpg'} not found, but {split}'s pairs name it: "
            "add it or delete the line"
        )
    return SourceSample(
        key=safe_key(person),
        split=split,
        category=category,
        image=image,
        cloth=parts["cloth"].of(person),
        cloth_mask=parts["cloth_mask"].of(person),
        parse=parts["parse"].of(person),
        densepose=parts["densepose"].of(person),
        openpose_json=parts["openpose_json"].of(person),
        unpaired_key=safe_key(other) if other else None,
        unpaired_cloth=parts["cloth"].of(other) if other else None,
        unpaired_cloth_mask=parts["cloth_mask"].of(other) if other else None,
    )


def people_of(folder: Path, split: str) -> Shelf[str]:
    """Return the people of a split, and what they wear, from whichever list of pairs there is.

    Raises:
        FileNotFoundError: There is no list.
    """
    for name in (f"{split}_pairs_paired.txt", f"{split}_pairs.txt"):
        if (folder / name).is_file():
            return ids_of_pairs(folder / name)
    lists = ", ".join(sorted(found.name for found in folder.glob("*.txt")))
    raise FileNotFoundError(
        f"{folder}/{split}_pairs_paired.txt not found: it must list the people of {split}; "
        f"{folder} has {lists or 'no list'}"
    )


def ids_of_pairs(path: Path) -> Shelf[str]:
    """Return the garment's id by the person's, of several lines the first; nothing where there is no file.

    Raises:
        ValueError: A line isn't two names.
    """
    ids: Shelf[str] = Shelf()
    for pair in read_pairs(path, more_columns=True) if path.is_file() else ():
        ids.add(stem_of(pair.person).rsplit("_", 1)[0], stem_of(pair.cloth).rsplit("_", 1)[0])
    return ids
