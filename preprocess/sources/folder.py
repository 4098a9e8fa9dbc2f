"""A folder of photos of people, with whatever maps lie beside them; MediaPipe finds the joints.

`photo.jpg` may have `photo.parse.png` (LIP labels), `photo.densepose.jpg`, and `photo.json` or
`photo_keypoints.json` (OpenPose). Without a parse map the garment is told by its colours
(`preprocess/garment/grabcut.py`), and the row says so.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from preprocess.masks import ARRAYS
from preprocess.sources.finding import PassedOver
from preprocess.sources.keys import safe_key
from preprocess.sources.source import SourceSample
from preprocess.vocabulary import Category

log = logging.getLogger(__name__)

PARSE = (".parse.png", ".parse.tif", ".parse.tiff", ".parse.bmp", ".parse.webp", ".parse.npy", ".parse.npz")
DENSEPOSE = (".densepose.jpg", ".densepose.jpeg", ".densepose.png", ".densepose.npy", ".densepose.npz")
JOINTS = (".json", "_keypoints.json")
MAPS = (".parse", ".densepose")


@dataclass(frozen=True)
class Folder:
    """A folder of photos; folders below it are read too."""

    root: Path
    split: str | None = None
    """Split that every photo belongs to; None: `test`."""
    name: str = "folder"

    def samples(self) -> Iterator[SourceSample]:
        """Yield every photo, and say what was passed over.

        Raises:
            FileNotFoundError: The root is no folder.
            ValueError: It has no photo that can be read.
        """
        if not self.root.is_dir():
            raise FileNotFoundError(f"{self.root} is not a folder: name the one with the photos")
        passed = PassedOver()
        photos = [
            path
            for path in sorted(self.root.rglob("*"))
            if not is_map(path) and passed.is_photo(path, self.root)
        ]
        if not photos:
            raise ValueError(f"{self.root} has no photo that can be read, but {passed or 'nothing at all'}")
        if passed.counts:
            log.warning("%s: passed over %s", self.root, passed)
        names = {photo: photo.relative_to(self.root) for photo in photos}
        stems = Counter(name.with_suffix("").as_posix() for name in names.values())
        stems.update(name.as_posix() for name in names.values())
        for photo, name in names.items():
            stem = name.with_suffix("").as_posix()
            yield self.sample(photo, safe_key(stem if stems[stem] == 1 else name.as_posix()))

    def sample(self, photo: Path, key: str) -> SourceSample:
        """Collect the files of one photo."""
        return SourceSample(
            key=key,
            split=self.split or "test",
            category=Category.UPPER,
            image=photo,
            parse=beside(photo, PARSE),
            densepose=beside(photo, DENSEPOSE),
            openpose_json=beside(photo, JOINTS),
        )


def is_map(path: Path) -> bool:
    """Tell whether a path is named as what lies beside a photo."""
    return path.suffix.lower() in (".json", *ARRAYS) or Path(path.stem).suffix.lower() in MAPS


def beside(photo: Path, ends: Sequence[str]) -> Path | None:
    """Return the first file next to a photo whose name ends in one of `ends` instead, if there is one."""
    paths = (photo.with_name(photo.stem + end) for end in ends)
    return next((path for path in paths if path.is_file()), None)
