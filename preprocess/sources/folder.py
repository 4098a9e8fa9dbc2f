"""A folder of photos of people, with whatever lies beside them; MediaPipe finds the joints.

`photo.jpg` may have `photo.parse.png` (LIP labels), `photo.densepose.jpg`, `photo.json` or
`photo_keypoints.json` (OpenPose), and `photo.cloth.jpg` with `photo.cloth_mask.png`, its garment alone; where
there is a `photo.png` too, `photo.jpg.parse.png` and so on. Without a parse map the garment is told by its
colours (`preprocess/garment/grabcut.py`), and the row says so.

Photos below `train/` and `test/` are of those splits. Where there are no such folders, some photos are dealt
to the test split by their names, so that of twelve photos or more none that was of `train` ever comes to
`test`, whatever is added.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from preprocess.masks import ARRAYS
from preprocess.sources.dress_code import CATEGORY_FOLDERS
from preprocess.sources.finding import PassedOver, composed, plain
from preprocess.sources.keys import safe_key
from preprocess.sources.source import SourceSample
from preprocess.vocabulary import Category

log = logging.getLogger(__name__)

PARSE = (".parse.png", ".parse.tif", ".parse.tiff", ".parse.bmp", ".parse.webp", ".parse.npy", ".parse.npz")
DENSEPOSE = (".densepose.jpg", ".densepose.jpeg", ".densepose.png", ".densepose.npy", ".densepose.npz")
JOINTS = (".json", "_keypoints.json")
CLOTH = tuple(f".cloth{suffix}" for suffix in (".jpg", ".jpeg", ".png", ".webp"))
CLOTH_MASK = (".cloth_mask.png", ".cloth_mask.jpg")
NO_PERSON = (".parse", ".densepose", ".cloth", ".cloth_mask")

CATEGORIES = {str(category): category for category in Category} | {
    folder: category for category, folder in CATEGORY_FOLDERS.items()
}
"""Names of folders whose photos are of a category, as ours and as Dress Code's."""

SPLITS = ("train", "test")
TEST_SHARE, FEWEST_TEST = 0.2, 6
"""Photos that are dealt to the test split: this share of them, but some where that is few; at most half."""

Filed = tuple[Path, str]


@dataclass(frozen=True)
class Folder:
    """A folder of photos; folders below it are read too."""

    root: Path
    split: str | None = None
    """The only split to read, where there are `train/` and `test/`, else that of every photo; None: both."""
    name: str = "folder"
    category: Category = Category.UPPER
    """What is worn in photos that aren't below a folder named by a category."""

    def samples(self) -> Iterator[SourceSample]:
        """Yield every photo, and say what was passed over.

        Raises:
            FileNotFoundError: The root is no folder.
            ValueError: It has no photo that can be read.
        """
        if not self.root.is_dir():
            raise FileNotFoundError(f"{self.root} is not a folder: name the one with the photos")
        passed, paths = PassedOver(), sorted(self.root.rglob("*"))
        photos = [path for path in paths if not is_map(path) and passed.is_photo(path, self.root)]
        maps = {filed(path): path for path in paths if is_map(path)}
        if not photos:
            raise ValueError(f"{self.root} has no photo that can be read, but {passed or 'nothing at all'}")
        if passed.counts:
            log.warning("%s: passed over %s", self.root, passed)
        names = {photo: photo.relative_to(self.root) for photo in photos}
        stems = Counter(name.with_suffix("").as_posix() for name in names.values())
        stems.update(name.as_posix() for name in names.values())
        splits = self.splits(list(names.values()))
        for photo, name in names.items():
            if self.split in (None, splits[name]):
                own = name.with_suffix("")
                called = own if stems[own.as_posix()] == 1 else name
                yield self.sample(photo, called, splits[name], maps)

    def splits(self, names: Sequence[Path]) -> dict[Path, str]:
        """Tell the split of each photo, given by its path below the root."""
        below = {name: plain(name.parts[0]) for name in names}
        if set(below.values()) & set(SPLITS):
            if others := sum(first not in SPLITS for first in below.values()):
                log.warning("%s: %d photos that lie in none of %s are of test", self.root, others, SPLITS)
            return {name: first if first in SPLITS else "test" for name, first in below.items()}
        if self.split is not None:
            return dict.fromkeys(names, self.split)
        drawn = {name: xxhash.xxh3_64_intdigest(os.fsencode(str(name))) / 2**64 for name in names}
        fewest = set(sorted(names, key=drawn.__getitem__)[: min(FEWEST_TEST, (len(names) + 1) // 2)])
        tested = {name for name in names if drawn[name] < TEST_SHARE or name in fewest}
        log.info("%s: %d of %d photos are dealt to the test split", self.root, len(tested), len(names))
        return {name: "test" if name in tested else "train" for name in names}

    def sample(self, photo: Path, name: Path, split: str, maps: Mapping[Filed, Path]) -> SourceSample:
        """Collect the files of one photo.

        Args:
            photo: The file.
            name: Below the root; with its suffix where that tells it from another photo.
            split: Which it is of.
            maps: What lies beside photos.
        """

        def beside(ends: Sequence[str]) -> Path | None:
            names = dict.fromkeys((composed(name.name), composed(photo.name)))
            found = (maps.get((photo.parent, one + end)) for one in names for end in ends)
            return next((path for path in found if path is not None and path.is_file()), None)

        return SourceSample(
            key=safe_key(name.as_posix()),
            split=split,
            category=next(
                (CATEGORIES[one] for one in map(plain, name.parts[:-1]) if one in CATEGORIES), self.category
            ),
            image=photo,
            cloth=beside(CLOTH),
            cloth_mask=beside(CLOTH_MASK),
            parse=beside(PARSE),
            densepose=beside(DENSEPOSE),
            openpose_json=beside(JOINTS),
        )


def is_map(path: Path) -> bool:
    """Tell whether a path is named as what lies beside a photo."""
    return path.suffix.lower() in (".json", *ARRAYS) or Path(path.stem).suffix.lower() in NO_PERSON


def filed(path: Path) -> Filed:
    """Return the folder and name that a map is looked up by: accents composed, its suffix in lower case."""
    return path.parent, composed(path.stem) + path.suffix.lower()
