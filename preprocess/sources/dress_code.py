"""Dress Code: `upper_body/images/{id}_0.jpg` with its garment `{id}_1.jpg` and parts in folders beside it.

`{split}_pairs_paired.txt` and `{split}_pairs_unpaired.txt` (train has `train_pairs.txt`) list
"person_0.jpg garment_1.jpg" in each category's folder. Keypoints are COCO-18 for a picture of 384 x 512,
whatever the size of the photo; `preprocess.body.openpose` scales them. Parse maps have ATR's labels, not
LIP's, and DensePose is a grey map of part numbers.

Source: the layout of Dress Code's release (Morelli et al., ECCV 2022). Only upper body is read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from preprocess.sources.source import SourceSample
from preprocess.vocabulary import Category, ParseLabels

CATEGORY_FOLDER = "upper_body"


@dataclass(frozen=True)
class DressCode:
    """A Dress Code root."""

    root: Path
    splits: tuple[str, ...] = ("train", "test")
    """Which splits to read."""
    name: str = "dress_code"

    def samples(self) -> Iterator[SourceSample]:
        """Yield every person of the pairs files.

        Raises:
            FileNotFoundError: The root, a pairs file, or a photo that a pairs file names is missing.
            ValueError: A line of a pairs file can't be understood.
        """
        folder = self.root / CATEGORY_FOLDER
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder} is not a folder: the root must be Dress Code's, with {CATEGORY_FOLDER}/"
            )
        for split in self.splits:
            unpaired = dict(read_pairs(folder / f"{split}_pairs_unpaired.txt"))
            for person in read_people(folder, split):
                yield self.sample(folder, split, person, unpaired.get(person))

    def sample(self, folder: Path, split: str, person: str, other: str | None) -> SourceSample:
        """Collect the files of one person, who tries on the garment of `other`."""
        image = folder / "images" / f"{person}_0.jpg"
        if not image.is_file():
            raise FileNotFoundError(
                f"{image} not found, but {split}'s pairs name it: add it or delete the line"
            )
        return SourceSample(
            key=person,
            split=split,
            category=Category.UPPER,
            image=image,
            cloth=existing(folder / "images" / f"{person}_1.jpg"),
            parse=existing(folder / "label_maps" / f"{person}_4.png"),
            parse_labels=ParseLabels.ATR,
            densepose=existing(folder / "dense" / f"{person}_5.png"),
            openpose_json=existing(folder / "keypoints" / f"{person}_2.json"),
            unpaired_key=other,
            unpaired_cloth=existing(folder / "images" / f"{other}_1.jpg") if other else None,
        )


def read_people(folder: Path, split: str) -> Iterator[str]:
    """Yield each person of a split once, from whichever list of pairs there is.

    Raises:
        FileNotFoundError: There is no list.
    """
    for name in (f"{split}_pairs_paired.txt", f"{split}_pairs.txt"):
        if (folder / name).is_file():
            yield from dict(read_pairs(folder / name))
            return
    raise FileNotFoundError(
        f"{folder}/{split}_pairs_paired.txt not found: it must list the people of {split}"
    )


def read_pairs(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (person, garment) ids; nothing where there is no file.

    Raises:
        ValueError: A line isn't two names.
    """
    if not path.is_file():
        return
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        names = line.split()
        if len(names) < 2 and names:
            raise ValueError(f"{path}, line {number}: must be 'person_0.jpg garment_1.jpg', got {line!r}")
        if names:
            yield names[0].rsplit("_", 1)[0], names[1].rsplit("_", 1)[0]


def existing(path: Path) -> Path | None:
    """Return the path if there is such a file."""
    return path if path.is_file() else None
