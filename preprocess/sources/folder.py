"""A folder of photos of people, with whatever maps lie beside them; MediaPipe finds the joints.

`photo.jpg` may have `photo.parse.png` (LIP labels), `photo.densepose.jpg`, `photo.json` (OpenPose). Without
a parse map the garment is told by its colours (`preprocess/garment/grabcut.py`), and the row says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from preprocess.sources.source import SourceSample
from preprocess.vocabulary import Category

PHOTOS = (".jpg", ".jpeg", ".png", ".webp")
MAPS = (".parse", ".densepose")


@dataclass(frozen=True)
class Folder:
    """A folder of photos; folders below it are read too."""

    root: Path
    split: str = "test"
    """Split that every photo belongs to."""
    name: str = "folder"

    def samples(self) -> Iterator[SourceSample]:
        """Yield every photo.

        Raises:
            FileNotFoundError: The root is no folder.
        """
        if not self.root.is_dir():
            raise FileNotFoundError(f"{self.root} is not a folder: name the one with the photos")
        for photo in sorted(self.root.rglob("*")):
            if photo.suffix.lower() in PHOTOS and Path(photo.stem).suffix not in MAPS:
                yield self.sample(photo)

    def sample(self, photo: Path) -> SourceSample:
        """Collect the files of one photo; its key is its path below the root, with `__` for each `/`."""
        key = "__".join(photo.relative_to(self.root).with_suffix("").parts)
        return SourceSample(
            key=key,
            split=self.split,
            category=Category.UPPER,
            image=photo,
            parse=beside(photo, ".parse.png"),
            densepose=beside(photo, ".densepose.jpg"),
            openpose_json=beside(photo, ".json"),
        )


def beside(photo: Path, end: str) -> Path | None:
    """Return the file next to a photo whose name ends in `end` instead, if there is one."""
    path = photo.with_name(photo.stem + end)
    return path if path.is_file() else None
