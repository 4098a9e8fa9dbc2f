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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path

import xxhash

from preprocess.masks import ARRAYS
from preprocess.places import RemotePath
from preprocess.shelf import Shelf
from preprocess.sources.dress_code import CATEGORY_FOLDERS
from preprocess.sources.finding import PassedOver, composed, plain
from preprocess.sources.keys import safe_key
from preprocess.sources.source import SourceSample
from preprocess.vocabulary import SPLITS, Category

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

TEST_SHARE, FEWEST_TEST = 0.2, 6
"""Photos that are dealt to the test split: this share of them, but some where that is few; at most half."""


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
            PermissionError: It may not be read.
            ValueError: It has no photo that can be read.
        """
        if not self.root.is_dir():
            raise FileNotFoundError(f"{self.root} is not a folder: name the one with the photos")
        passed = PassedOver()
        photos, maps = self.listed(passed)
        if not len(photos):
            raise ValueError(
                f"{self.root} has no photo that can be read, but {str(passed) or 'nothing at all'}"
            )
        if passed.counts:
            log.warning("%s: passed over %s", self.root, passed)
        shared = shared_names(photo.relative_to(self.root) for photo in photos.values())
        split_of = self.splits(photos)
        spare = len(maps)
        for photo in photos.values():
            name = photo.relative_to(self.root)
            split, own = split_of(name), name.with_suffix("")
            sample = self.sample(photo, name if own.as_posix() in shared else own, split, maps)
            spare -= len([*sample.parts()]) - 1
            if self.split in (None, split):
                yield sample
        if spare:
            words = "%s: %d maps or joints are no photo's: those of photo.jpg are photo%s, photo%s and so on"
            log.warning(words, self.root, spare, PARSE[0], JOINTS[0])

    def listed(self, passed: PassedOver) -> tuple[Shelf[Path], Shelf[Path]]:
        """Return the photos by their paths, and what lies beside photos by `filed`."""
        photos: Shelf[Path] = Shelf()
        maps: Shelf[Path] = Shelf()
        for path in everything_below(self.root, passed):
            if is_map(path):
                name = filed(path.parent, *parted(path.name))
                if (other := maps.get(name)) is None or other < path:
                    maps.put(name, path)
            elif passed.is_photo(path, self.root):
                photos.add(str(path), path)
        return photos, maps

    def splits(self, photos: Shelf[Path]) -> Callable[[Path], str]:
        """Return what tells the split of a photo by its path below the root."""
        names = (photo.relative_to(self.root) for photo in photos.values())
        below = Counter(split_below(name) for name in names)
        if below.keys() & set(SPLITS):
            if below[None]:
                log.warning(
                    "%s: %d photos that lie in none of %s are of test", self.root, below[None], SPLITS
                )
            return lambda name: split_below(name) or "test"
        if (only := self.split) is not None:
            words = "%s has neither %s/ nor %s/: all %d photos are of %s, and would be of the other split"
            log.warning(words, self.root, *SPLITS, len(photos), only)
            return lambda _: only
        names = (photo.relative_to(self.root) for photo in photos.values())
        few = {*nsmallest(min(FEWEST_TEST, (len(photos) + 1) // 2), names, key=drawn)}
        names = (photo.relative_to(self.root) for photo in photos.values())
        tested = sum(drawn(name) < TEST_SHARE or name in few for name in names)
        log.info("%s: %d of %d photos are dealt to the test split", self.root, tested, len(photos))
        return lambda name: "test" if drawn(name) < TEST_SHARE or name in few else "train"

    def sample(self, photo: Path, name: Path, split: str, maps: Shelf[Path]) -> SourceSample:
        """Collect the files of one photo; its name has a suffix where that tells it from another photo."""

        def beside(ends: Sequence[str]) -> Path | None:
            names = dict.fromkeys((composed(name.name), composed(photo.name)))
            found = (maps.get(filed(photo.parent, one, end)) for one in names for end in ends)
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


def parted(name: str) -> tuple[str, str]:
    """Cut the name of a map into the photo's and the end that makes it a map."""
    ends = (*PARSE, *DENSEPOSE, *CLOTH, *CLOTH_MASK, *reversed(JOINTS))
    end = next((end for end in ends if name.lower().endswith(end)), Path(name).suffix)
    return name[: len(name) - len(end)], name[len(name) - len(end) :]


def filed(folder: Path, stem: str, end: str) -> str:
    """Return the name that a map is looked up by: accents composed, its end in lower case."""
    return f"{folder}/{composed(stem)}{end.lower()}"


def split_below(name: Path) -> str | None:
    """Return the split whose folder a path below the root begins with; None where that is another folder."""
    first = plain(name.parts[0])
    return first if first in SPLITS else None


def drawn(name: Path) -> float:
    """Return a photo's place between 0 and 1, by its path below the root: the first are of the test split."""
    return xxhash.xxh3_64_intdigest(os.fsencode(str(name))) / 2**64


def shared_names(photos: Iterable[Path]) -> set[str]:
    """Return the names without suffix, of paths below the root, that are those of other photos too."""
    seen: Shelf[bool] = Shelf()
    names = (one.as_posix() for name in photos for one in (name.with_suffix(""), name))
    return {name for name in names if not seen.add(name, True)}


def everything_below(folder: Path, passed: PassedOver) -> Iterator[Path]:
    """Yield the files and folders below one, however deep, as they come; links aren't followed.

    Raises:
        PermissionError: The folder itself may not be read; others are counted.
    """
    if isinstance(folder, RemotePath):
        yield from folder.rglob("*")
        return
    todo = [folder]
    while todo:
        below = todo.pop()
        try:
            found = os.scandir(below)
        except PermissionError:
            if below == folder:
                raise
            passed.counts["folders that you have no permission for"] += 1
            continue
        with found:
            for entry in found:
                path = below / entry.name
                yield path
                if entry.is_dir(follow_symlinks=False):
                    todo.append(path)
