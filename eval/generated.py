"""Pictures that another system made: which are wanted, under which names, and how they are read.

{folder}/{key}/natural.png            the person in the garment as it was worn
{folder}/{key}/{ratio}-{rung}.png     rung 0, 1, ... of the ladder along that ratio
"""

import csv
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from eval.scene import Scene
from eval.scoring import Cell, asked_cells
from preprocess.vocabulary import SIZE_RATIOS

Floats = NDArray[np.float64]
Picture = NDArray[np.uint8]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def natural_name(key: str) -> str:
    """Where a person's picture at the natural size lies, without suffix."""
    return f"{key}/natural"


def rung_name(key: str, cell: Cell) -> str:
    """Where the picture of a rung lies, without suffix."""
    return f"{key}/{SIZE_RATIOS[cell[1]]}-{cell[2]}"


def write_requests(scene: Scene, requests: Floats, path: Path) -> None:
    """Write which pictures are wanted, as CSV: file (PNG) and its three requested ratios.

    Args:
        scene: The people.
        requests: (P, 3, R, 3).
        path: The CSV file.
    """
    rows = [(natural_name(key), natural) for key, natural in zip(scene.keys, scene.natural, strict=True)]
    rows += [(rung_name(scene.keys[cell[0]], cell), requests[cell]) for cell in asked_cells(requests)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", *(f"{name}_ratio" for name in SIZE_RATIOS)])
        writer.writerows([f"{name}.png", *(f"{ratio:.6f}" for ratio in ratios)] for name, ratios in rows)


class GeneratedFolder:
    """A folder of pictures by the names above; a picture that isn't there can't be measured.

    Args:
        folder: The folder.
        scene: The people; pictures of another resolution are resized to theirs.

    Raises:
        FileNotFoundError: There is no folder, or it has a picture of nobody.
    """

    def __init__(self, folder: Path, scene: Scene) -> None:
        self.folder = folder
        self.scene = scene
        if not any((folder / key).is_dir() for key in scene.keys):
            raise FileNotFoundError(
                f"{folder} must have a folder for each person, such as {folder / scene.keys[0]}, but has none"
            )

    def rung(self, cell: Cell) -> Picture | None:
        """The (H, W, 3) picture of [person, ratio, rung]."""
        return self._read(rung_name(self.scene.keys[cell[0]], cell))

    def natural(self) -> NDArray[np.uint8] | None:
        """(P, H, W, 3) pictures at the natural size, None unless everyone has one."""
        found = [self._read(natural_name(key)) for key in self.scene.keys]
        pictures = [picture for picture in found if picture is not None]
        return np.stack(pictures) if len(pictures) == len(found) else None

    def _read(self, name: str) -> Picture | None:
        paths = (self.folder / f"{name}{suffix}" for suffix in SUFFIXES)
        path = next((path for path in paths if path.is_file()), None)
        return None if path is None else read_picture(path, *self.scene.photos.shape[1:3])


def read_picture(path: Path, image_height: int, image_width: int) -> Picture:
    """Read an RGB picture, resized by area to (image_height, image_width, 3).

    Raises:
        ValueError: The file is no picture.
    """
    content = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if content is None:
        raise ValueError(f"{path} must be a picture, but can't be decoded")
    picture = cv2.cvtColor(content, cv2.COLOR_BGR2RGB)
    if picture.shape[:2] != (image_height, image_width):
        picture = cv2.resize(picture, (image_width, image_height), interpolation=cv2.INTER_AREA)
    return picture.astype(np.uint8)
