"""A folder of pictures that another system made: how they are named, read and counted.

{folder}/{key}/natural.png                 the person in the garment as it was worn
{folder}/{key}/unpaired.png                the person in another's garment, at the ratios of the worn one
{folder}/{key}/{ratio}-{rung}.png          rung 0, 1, ... of the ladder along that ratio
{folder}/{key}/unpaired-{ratio}-{rung}.png the same in another's garment
"""

import logging
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from eval.ladder.people import Scene
from eval.ladder.scoring import Cell
from eval.report.card import text_hash
from preprocess.pictures import Picture, PictureError, photo_suffixes, read_picture
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.sources.keys import SHORTENED, name_of
from shards.batch import Batch
from shards.codec import resized

log = logging.getLogger(__name__)

SUFFIXES = tuple(dict.fromkeys((".png", *photo_suffixes())))
"""Of pictures, in any case, best first."""

SAME_PROPORTIONS = 0.01
"""How far width over height may be off: what rounding to whole pixels does."""

NATURAL, UNPAIRED, LADDER, UNPAIRED_LADDER = "natural", "unpaired", "ladder", "unpaired_ladder"
GROUPS = (LADDER, UNPAIRED_LADDER, NATURAL, UNPAIRED)
"""What is counted apart: systems are ranked by a figure when they have the same pictures behind it."""


def rung_name(cell: Cell, *, unpaired: bool = False) -> str:
    """What the picture of a rung is called, without folder and suffix."""
    return f"{UNPAIRED}-" * unpaired + f"{AXIS_NAMES[cell[1]]}-{cell[2]}"


class GeneratedFolder:
    """A folder of pictures by the names above, of any suffix; a picture that isn't there can't be measured.

    Pictures of another resolution are resized to that of the scene's people.

    Raises:
        FileNotFoundError: There is no folder, or it has a picture of nobody.
    """

    def __init__(self, folder: Path, scene: Scene) -> None:
        self.folder = folder
        self.scene = scene
        self.asked: dict[str, bool] = {}
        """Pictures that were asked for, as {key}/{name}, and whether they were there."""
        self._listed: dict[str, dict[str, Path]] = {}
        if not any(self._files(key) for key in scene.keys):
            raise FileNotFoundError(
                f"{folder} must have a folder for each person with pictures such as "
                f"{scene.keys[0]}/{NATURAL}.png, but has {', '.join(some_files(folder)) or 'none'}"
            )

    def rung(self, cell: Cell, *, unpaired: bool = False) -> Picture | None:
        """The (H, W, 3) picture of [person, ratio, rung]."""
        return self.read(self.scene.keys[cell[0]], rung_name(cell, unpaired=unpaired))

    def of(self, people: Batch, unpaired: bool) -> list[Picture | None]:
        """The (H, W, 3) picture of each person at the natural size."""
        return [self.read(key, UNPAIRED if unpaired else NATURAL) for key in people.keys]

    def read(self, key: str, name: str) -> Picture | None:
        """A person's picture by its name without suffix, None where there is none that can be decoded.

        Raises:
            ValueError: It has other proportions than the person's photo.
        """
        path = self._files(key).get(name)
        picture = None if path is None else decoded(path)
        self.asked[f"{key}/{name}"] = picture is not None
        if path is None or picture is None:
            return None
        return of_size(picture, path, *self.scene.photos.shape[1:3])

    def census(self) -> dict[str, dict[str, Any]]:
        """How many of the pictures that were asked for are there, by `GROUPS`, and which are missing."""
        return {group: counted(self.asked, group) for group in GROUPS}

    def _files(self, key: str) -> dict[str, Path]:
        """A person's pictures by name without suffix; a folder may be named as the photo was."""
        if key not in self._listed:
            folder = self.folder / key
            if not folder.is_dir() and SHORTENED not in key:
                folder = self.folder / name_of(key)
            self._listed[key] = pictures_in(folder) if folder.is_dir() else {}
        return self._listed[key]


def pictures_in(folder: Path) -> dict[str, Path]:
    """The pictures of one person by name without suffix; of two that differ in it, the better suffix's."""
    ranks = {path: rank_of(path) for path in sorted(folder.iterdir()) if is_wanted(path.stem)}
    found = [path for path, rank in ranks.items() if rank < len(SUFFIXES)]
    return {path.stem: path for path in sorted(found, key=lambda path: -ranks[path])}


def rank_of(path: Path) -> int:
    """Return the place of a path's suffix in `SUFFIXES`; their number where it isn't one."""
    suffix = path.suffix.lower()
    return SUFFIXES.index(suffix) if suffix in SUFFIXES else len(SUFFIXES)


def is_wanted(name: str) -> bool:
    """Tell whether a picture is named as one that may be asked for."""
    rung = name.removeprefix(f"{UNPAIRED}-").rpartition("-")
    return name in (NATURAL, UNPAIRED) or (rung[0] in AXIS_NAMES and rung[2].isdecimal())


def some_files(folder: Path) -> list[str]:
    """A few of the files below a folder, to show what is there."""
    return [path.relative_to(folder).as_posix() for path in islice(sorted(folder.rglob("*.*")), 3)]


def decoded(path: Path) -> Picture | None:
    """Read a picture, on white where it is transparent; None, and a warning, where that can't be done."""
    try:
        return read_picture(path, "generated picture")
    except PictureError as error:
        log.warning("%s: it counts as missing", error)
        return None


def of_size(picture: Picture, path: Path, image_height: int, image_width: int) -> Picture:
    """Resize by area to (image_height, image_width, 3).

    Raises:
        ValueError: The picture has other proportions.
    """
    height, width = picture.shape[:2]
    if abs(width / height * image_height / image_width - 1) > SAME_PROPORTIONS:
        raise ValueError(
            f"{path} must have the proportions of {image_width}x{image_height}, got {width}x{height}: "
            "squashed, its figures would be wrong; crop it as the photos in the shards are"
        )
    return resized(picture, image_height, image_width)


def counted(asked: Mapping[str, bool], group: str) -> dict[str, Any]:
    """Count the pictures of a group: wanted, found, and a hash of the names of those that are missing."""
    own = {name: there for name, there in asked.items() if group_of(name) == group}
    missing = sorted(name for name, there in own.items() if not there)
    named = text_hash(missing) if missing else None
    return {"wanted": len(own), "found": len(own) - len(missing), "missing": named}


def group_of(name: str) -> str:
    """Return which of `GROUPS` a picture {key}/{name} belongs to."""
    name = name.rpartition("/")[2]
    if name in (NATURAL, UNPAIRED):
        return name
    return UNPAIRED_LADDER if name.startswith(UNPAIRED) else LADDER
