"""VITON-HD: `{split}/image/{id}.jpg` with its parts in folders beside it, and lists of pairs at the root.

`train_pairs.txt` and `test_pairs.txt` say "person.jpg cloth.jpg" per line; a line whose two names differ is
unpaired. `test_pairs_paired.txt`, where it exists, may add people. Every part but the photo may be missing.

Source: the layout of VITON-HD's release (Choi et al., CVPR 2021).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from preprocess.sources.source import SourceSample
from preprocess.vocabulary import Category

SPLITS = ("train", "test")


@dataclass(frozen=True)
class VitonHd:
    """A VITON-HD root."""

    root: Path
    splits: tuple[str, ...] = SPLITS
    """Which splits to read."""
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
                f"the one with {self.splits[0]}_pairs.txt"
            )
        for split in self.splits:
            for person, cloth in self.pairs(split).items():
                yield self.sample(split, person, cloth)

    def pairs(self, split: str) -> dict[str, str]:
        """Return for each person of a split whose garment they try on."""
        path = self.root / f"{split}_pairs.txt"
        if not path.is_file():
            raise FileNotFoundError(f"{path} not found: it must list 'person.jpg cloth.jpg' per line")
        pairs = read_pairs(path)
        also = self.root / f"{split}_pairs_paired.txt"
        return read_pairs(also) | pairs if also.is_file() else pairs

    def sample(self, split: str, person: str, cloth: str) -> SourceSample:
        """Collect the files of one person who tries on the garment `cloth`."""
        folder = self.root / split
        unpaired = cloth != person
        for path in (folder / "image" / f"{person}.jpg", folder / "cloth" / f"{cloth}.jpg"):
            if not path.is_file():
                raise FileNotFoundError(
                    f"{path} not found, but {self.root / split}_pairs.txt names '{person}.jpg {cloth}.jpg': "
                    "add the photo or delete the line"
                )
        return SourceSample(
            key=person,
            split=split,
            category=Category.UPPER,
            image=folder / "image" / f"{person}.jpg",
            caption=self.captions.get(person, ""),
            cloth=existing(folder / "cloth" / f"{person}.jpg"),
            cloth_mask=existing(folder / "cloth-mask" / f"{person}.jpg"),
            parse=existing(folder / "image-parse-v3" / f"{person}.png"),
            densepose=existing(folder / "image-densepose" / f"{person}.jpg"),
            openpose_json=existing(folder / "openpose_json" / f"{person}_keypoints.json"),
            agnostic_mask=existing(folder / "agnostic-mask" / f"{person}_mask.png"),
            unpaired_key=cloth if unpaired else None,
            unpaired_cloth=folder / "cloth" / f"{cloth}.jpg" if unpaired else None,
            unpaired_cloth_mask=existing(folder / "cloth-mask" / f"{cloth}.jpg") if unpaired else None,
        )


def existing(path: Path) -> Path | None:
    """Return `path` if there is such a file."""
    return path if path.is_file() else None


def read_pairs(path: Path) -> dict[str, str]:
    """Read a pairs file into {person: cloth}, names without their suffix; a person's first line counts.

    Raises:
        ValueError: A line hasn't two names.
    """
    pairs: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        names = [Path(name).stem for name in line.split()]
        if len(names) != 2:
            raise ValueError(f"{path}:{number} must be 'person.jpg cloth.jpg', got {line!r}")
        pairs.setdefault(names[0], names[1])
    return pairs
