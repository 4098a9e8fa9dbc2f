"""A folder of photos of people, with whatever maps lie beside them; MediaPipe finds the joints.

`photo.jpg` may have `photo.parse.png` (LIP labels), `photo.densepose.jpg`, and `photo.json` or
`photo_keypoints.json` (OpenPose); where there is a `photo.png` too, `photo.jpg.parse.png` and so on.
Without a parse map the garment is told by its colours (`preprocess/garment/grabcut.py`), and the row says so.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from preprocess.masks import ARRAYS
from preprocess.sources.finding import PassedOver, composed
from preprocess.sources.keys import safe_key
from preprocess.sources.source import SourceSample
from preprocess.vocabulary import Category

log = logging.getLogger(__name__)

PARSE = (".parse.png", ".parse.tif", ".parse.tiff", ".parse.bmp", ".parse.webp", ".parse.npy", ".parse.npz")
DENSEPOSE = (".densepose.jpg", ".densepose.jpeg", ".densepose.png", ".densepose.npy", ".densepose.npz")
JOINTS = (".json", "_keypoints.json")
MAPS = (".parse", ".densepose")

Filed = tuple[Path, str]


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
        for photo, name in names.items():
            own = name.with_suffix("")
            yield self.sample(photo, own if stems[own.as_posix()] == 1 else name, maps)

    def sample(self, photo: Path, name: Path, maps: Mapping[Filed, Path]) -> SourceSample:
        """Collect the files of one photo.

        Args:
            photo: The file.
            name: Below the root; with its suffix where that tells it from another photo.
            maps: What lies beside photos.
        """

        def beside(ends: Sequence[str]) -> Path | None:
            names = dict.fromkeys((composed(name.name), composed(photo.name)))
            found = (maps.get((photo.parent, one + end)) for one in names for end in ends)
            return next((path for path in found if path is not None and path.is_file()), None)

        return SourceSample(
            key=safe_key(name.as_posix()),
            split=self.split or "test",
            category=Category.UPPER,
            image=photo,
            parse=beside(PARSE),
            densepose=beside(DENSEPOSE),
            openpose_json=beside(JOINTS),
        )


def is_map(path: Path) -> bool:
    """Tell whether a path is named as what lies beside a photo."""
    return path.suffix.lower() in (".json", *ARRAYS) or Path(path.stem).suffix.lower() in MAPS


def filed(path: Path) -> Filed:
    """Return the folder and name that a map is looked up by: accents composed, its suffix in lower case."""
    return path.parent, composed(path.stem) + path.suffix.lower()
