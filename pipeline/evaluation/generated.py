"""Score pictures that any system made against the protocol of `evaluate_tryon`.

Which pictures are wanted, and how they are named:

{folder}/{key}/natural.png                 the person in the garment as it was worn
{folder}/{key}/unpaired.png                the person in another's garment, at the ratios of the worn one
{folder}/{key}/{ratio}-{rung}.png          rung 0, 1, ... of the ladder along that ratio
{folder}/{key}/unpaired-{ratio}-{rung}.png the same in another's garment
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from eval.images.everybody import first_rows
from eval.ladder.people import Scene
from eval.ladder.scoring import Cell, asked_cells
from eval.params import EvaluateParams
from eval.report.card import file_hash, text_hash
from eval.report.summary import ADAPTER
from pipeline.evaluation.evaluation import Evaluation
from preprocess.sizes.axes import AXIS_NAMES, FIT_PLACE
from shards.batch import Batch

Floats = NDArray[np.float64]
Picture = NDArray[np.uint8]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

NATURAL, UNPAIRED = "natural", "unpaired"


def evaluate_generated(
    params: EvaluateParams,
    *,
    shards: Path,
    size_annotations: Path,
    base: Path,
    generated: Path,
    out: Path,
) -> dict[str, Any]:
    """Measure a folder of generated pictures and write its report.

    Args:
        params: The protocol; sampler and guidance are not read.
        shards: Has `test/index.json`.
        size_annotations: size_annotations.parquet.
        base: Has the segmenter that measures.
        generated: Pictures, named as above.
        out: The reports folder.

    Returns:
        metrics.json; the judged system stands where the adapter does.
    """
    evaluation = Evaluation.prepare(params, shards=shards, size_annotations=size_annotations, base=base)
    pictures = GeneratedFolder(generated, evaluation.scene)
    score = evaluation.scorer.score_found
    trials = {ADAPTER: score("generated", pictures.rung, evaluation.requests, evaluation.collector)}
    rows, _ = evaluation.wardrobe.swapped(evaluation.people)
    dressed = score(UNPAIRED, partial(pictures.rung, unpaired=True), evaluation.unpaired_requests(rows))
    if np.isfinite(dressed.measured).any():
        trials[UNPAIRED] = dressed.of_another_garment(rows)
    trials |= evaluation.baselines()
    return evaluation.finish(trials, pictures.of, {"generated": pictures_hash(generated)}, out)


def request_pictures(
    params: EvaluateParams, *, shards: Path, size_annotations: Path, base: Path, out: Path
) -> None:
    """Write as CSV which pictures `evaluate_generated` wants, in whose garment, and at which ratios."""
    evaluation = Evaluation.prepare(params, shards=shards, size_annotations=size_annotations, base=base)
    write_requests(wanted_pictures(evaluation), out)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """One picture that is asked for."""

    file: str
    """Where it is looked for, as PNG."""

    garment_key: str
    """Whose garment is tried on."""

    ratios: Floats
    """(3,) requested, NaN where anything will do."""


def wanted_pictures(evaluation: Evaluation) -> Iterator[Wanted]:
    """Everybody at the natural size, paired and unpaired, then every rung of the ladders."""
    wardrobe, count = evaluation.wardrobe, evaluation.params.num_image_people
    for people in first_rows(evaluation.stream.epoch_batches(), count):
        for key, ratios in zip(people.keys, people.ratios.astype(np.float64), strict=True):
            yield Wanted(file=f"{key}/{NATURAL}.png", garment_key=key, ratios=ratios)
            other = wardrobe.unpaired_key(key)
            if other is not None:
                yield Wanted(file=f"{key}/{UNPAIRED}.png", garment_key=other, ratios=ratios)
    keys = evaluation.scene.keys
    for cell in asked_cells(evaluation.requests):
        key, ratios = keys[cell[0]], evaluation.requests[cell]
        yield Wanted(file=f"{key}/{rung_name(cell)}.png", garment_key=key, ratios=ratios)
        other = wardrobe.unpaired_key(key) if cell[1] == FIT_PLACE else None
        if other is not None:
            name = rung_name(cell, unpaired=True)
            yield Wanted(file=f"{key}/{name}.png", garment_key=other, ratios=ratios)


def write_requests(wanted: Iterable[Wanted], path: Path) -> None:
    """Write which pictures are wanted, as CSV: file, whose garment, and the three requested ratios."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "garment", *(f"{name}_ratio" for name in AXIS_NAMES)])
        for picture in wanted:
            ratios = ("" if np.isnan(ratio) else f"{ratio:.6f}" for ratio in picture.ratios)
            writer.writerow([picture.file, picture.garment_key, *ratios])


def rung_name(cell: Cell, *, unpaired: bool = False) -> str:
    """What the picture of a rung is called, without folder and suffix."""
    return f"{UNPAIRED}-" * unpaired + f"{AXIS_NAMES[cell[1]]}-{cell[2]}"


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

    def rung(self, cell: Cell, *, unpaired: bool = False) -> Picture | None:
        """The (H, W, 3) picture of [person, ratio, rung]."""
        return self.read(self.scene.keys[cell[0]], rung_name(cell, unpaired=unpaired))

    def of(self, people: Batch, unpaired: bool) -> list[Picture | None]:
        """The (H, W, 3) picture of each person at the natural size."""
        return [self.read(key, UNPAIRED if unpaired else NATURAL) for key in people.keys]

    def read(self, key: str, name: str) -> Picture | None:
        """A person's picture by its name without suffix, None where there is none."""
        paths = (self.folder / key / f"{name}{suffix}" for suffix in SUFFIXES)
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


def pictures_hash(folder: Path) -> str:
    """Hash names and contents of all files of a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return text_hash(f"{path.relative_to(folder).as_posix()} {file_hash(path)}" for path in files)
