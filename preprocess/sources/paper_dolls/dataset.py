"""Paper dolls: drawn people in garments of known size, laid out as VITON-HD or Dress Code is.

`truth.parquet` has the true ratios of every picture.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm import tqdm

from preprocess.sizes.axes import LENGTH_COLUMNS, MEASURED_NAMES
from preprocess.sources.dress_code import CATEGORY_FOLDERS, DressCode
from preprocess.sources.paper_dolls.sample import (
    DollSample,
    described,
    doll_key,
    doll_sample,
    flat_sample,
    render_sample,
)
from preprocess.sources.params import PaperDollParams
from preprocess.sources.source import SourceSample
from preprocess.sources.viton_hd import VitonHd
from preprocess.vocabulary import DRAWING_KEY, SPLITS, Category, ParseLabels
from preprocess.workers import WorkerPool

TRUTH_FILE = "truth.parquet"
JPEG_QUALITY = 92
FEW_ENTRIES = 32

ENDS = {
    "image": ".jpg",
    "cloth": ".jpg",
    "cloth-mask": ".jpg",
    "image-parse-v3": ".png",
    "image-densepose": ".jpg",
    "openpose_json": "_keypoints.json",
}
"""How the files of a part end, by its folder in VITON-HD's layout."""

DRESS_CODE_PARTS = {
    "image": ("images", "_0.jpg"),
    "cloth": ("images", "_1.jpg"),
    "cloth-mask": ("cloth_masks", "_1.jpg"),
    "image-parse-v3": ("label_maps", "_4.png"),
    "image-densepose": ("dense", "_5.jpg"),
    "openpose_json": ("keypoints", "_2.json"),
}
"""The same parts' folder and ends in Dress Code's layout. What the files hold is that of VITON-HD's: LIP's
labels, of which ATR's have none for bare torsos, joints of BODY_25, DensePose in its colours."""

WORDS = ("key", "split", "category", "caption", "neckline", "sleeves", "cut")
TRUTH = tuple(
    dict.fromkeys(
        (
            *WORDS,
            *(f"{name}_ratio" for name in MEASURED_NAMES),
            *LENGTH_COLUMNS,
            *("ease_ratio", "sleeve_ratio", "tilt_deg"),
            *("sleeve_touches_panel", "arm_touches_panel", "hand_raised"),
            *("waist_covered", "arm_hangs", "hem_in_frame"),
        )
    )
)
"""Columns of `truth.parquet`; null where a garment has none of it."""

LIP_PALETTE = [
    (0, 0, 0), (128, 0, 0), (254, 0, 0), (0, 85, 0), (169, 0, 51),
    (254, 85, 0), (0, 0, 85), (0, 119, 220), (85, 85, 0), (0, 85, 85),
    (85, 51, 0), (52, 86, 128), (0, 128, 0), (0, 0, 254), (51, 169, 220),
    (0, 254, 254), (85, 254, 169), (169, 254, 85), (254, 254, 0), (254, 169, 0),
]  # fmt: skip
"""RGB of the LIP labels in VITON-HD's parse maps."""


def write_sample(root: Path, params: PaperDollParams, entry: tuple[str, int]) -> dict[str, Any]:
    """Draw one entry, write its files and return its row of `truth.parquet`."""
    cv2.setNumThreads(1)
    sample = doll_sample(params, *entry)
    picture = render_sample(params, sample)
    cloth, cloth_mask = flat_sample(params, sample)
    place = partial(path_of, root, params, sample)
    write_jpeg(place("image"), picture.image)
    write_jpeg(place("cloth"), cloth)
    write_jpeg(place("cloth-mask"), cloth_mask)
    write_jpeg(place("image-densepose"), picture.densepose)
    write_parse(place("image-parse-v3"), picture.parse)
    write_openpose(place("openpose_json"), picture.keypoints)
    own = {"key": sample.key, "split": sample.split, "category": str(sample.category)}
    return dict.fromkeys(TRUTH) | own | described(sample) | picture.truth


def path_of(root: Path, params: PaperDollParams, sample: DollSample, part: str) -> Path:
    """Return where a part of an entry lies, by its name in VITON-HD's layout."""
    if as_viton_hd(params):
        return root / sample.split / part / f"{sample.key}{ENDS[part]}"
    folder, end = DRESS_CODE_PARTS[part]
    return root / CATEGORY_FOLDERS[sample.category] / folder / f"{sample.key}{end}"


def as_viton_hd(params: PaperDollParams) -> bool:
    """Whether the data set is laid out as VITON-HD is, which has no place for a category."""
    return set(params.categories) == {Category.UPPER}


def write_jpeg(path: Path, image: np.ndarray) -> None:
    """Write an RGB or grey picture."""
    bgr = image[..., ::-1] if image.ndim == 3 else image
    _, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    path.write_bytes(content.tobytes())


def write_parse(path: Path, labels: np.ndarray) -> None:
    """Write labels as a palette PNG."""
    image = Image.fromarray(labels, mode="P")
    image.putpalette([level for colour in LIP_PALETTE for level in colour])
    image.save(path, compress_level=3)


def write_openpose(path: Path, keypoints: np.ndarray) -> None:
    """Write one person's (25, 3) keypoints as OpenPose 1.3 does."""
    person: dict[str, Any] = {"person_id": [-1], "pose_keypoints_2d": keypoints.ravel().tolist()}
    for part in ("face", "hand_left", "hand_right"):
        person[f"{part}_keypoints_2d"] = []
    path.write_text(json.dumps({"version": 1.3, "people": [person]}))


@contextmanager
def worker_map(num_entries: int) -> Iterator[Callable[..., Iterable[dict[str, Any]]]]:
    """Yield a `map` over processes, or over none for a set that is drawn before they would have started."""
    if num_entries <= FEW_ENTRIES:
        yield map
        return
    with WorkerPool() as pool:
        yield partial(pool.map, chunksize=8)


def render_dataset(params: PaperDollParams, root: Path) -> None:
    """Draw a whole data set below `root`, which must be empty or new."""
    entries = [(split, index) for split in SPLITS for index in range(getattr(params, split))]
    for folder in folders_of(params):
        (root / folder).mkdir(parents=True, exist_ok=True)
    with worker_map(len(entries)) as run:
        work = run(partial(write_sample, root, params), entries)
        rows = list(tqdm(work, total=len(entries), desc="paper dolls", unit="doll", disable=None))
    kinds = {name: pa.string() if name in WORDS else pa.float64() for name in TRUTH}
    table = pa.Table.from_pylist(rows, schema=pa.schema(kinds))
    table = table.replace_schema_metadata({DRAWING_KEY: json.dumps(asdict(params))})
    pq.write_table(table, root / TRUTH_FILE, compression="zstd")
    write_pairs(root, params)


def folders_of(params: PaperDollParams) -> Iterator[Path]:
    """Yield the folders of a data set."""
    if as_viton_hd(params):
        yield from (Path(split) / part for split in SPLITS for part in ENDS)
        return
    folders = {folder for folder, _ in DRESS_CODE_PARTS.values()}
    yield from (Path(CATEGORY_FOLDERS[one]) / folder for one in set(params.categories) for folder in folders)


def write_pairs(root: Path, params: PaperDollParams) -> None:
    """Write the lists of who wears what: their own, and in the unpaired test the next person's garment.

    In Dress Code's layout everybody's next is the next of their category.
    """
    plain = as_viton_hd(params)
    ends = (".jpg", ".jpg") if plain else ("_0.jpg", "_1.jpg")
    for category in dict.fromkeys(params.categories):
        folder = root if plain else root / CATEGORY_FOLDERS[category]
        for split in SPLITS:
            people = [i for i in range(getattr(params, split)) if params.category(i) == category]
            paired, unpaired = pairs_of([doll_key(split, index) for index in people], *ends)
            if split == "train":
                (folder / "train_pairs.txt").write_text(paired)
                continue
            (folder / "test_pairs_paired.txt").write_text(paired)
            (folder / ("test_pairs.txt" if plain else "test_pairs_unpaired.txt")).write_text(unpaired)


def pairs_of(keys: list[str], person: str, cloth: str) -> tuple[str, str]:
    """Return the lists of people in their own and in the next one's garment, by how the files' names end."""
    paired, unpaired = (
        "".join(f"{key}{person} {other}{cloth}\n" for key, other in zip(keys, others, strict=True))
        for others in (keys, keys[1:] + keys[:1])
    )
    return paired, unpaired


@dataclass(frozen=True)
class PaperDolls:
    """A rendered data set: VITON-HD's layout or Dress Code's, with captions from `truth.parquet`."""

    root: Path
    split: str | None = None
    """The only split to read; None: both."""
    name: str = "paper_dolls"

    def samples(self) -> Iterator[SourceSample]:
        """Yield every person with the garment's description."""
        truth = pq.read_table(self.root / TRUTH_FILE, columns=["key", "caption"]).to_pydict()
        captions = dict(zip(truth["key"], truth["caption"], strict=True))
        if any((self.root / folder).is_dir() for folder in CATEGORY_FOLDERS.values()):
            drawn = DressCode(self.root, self.split, captions=captions, parse_labels=ParseLabels.LIP)
            yield from drawn.samples()
        else:
            yield from VitonHd(self.root, self.split, captions).samples()

    def drawing(self) -> str:
        """Return the parameters that draw every doll again, as JSON; empty where nobody wrote them down."""
        metadata: dict[bytes, bytes] = pq.read_schema(self.root / TRUTH_FILE).metadata or {}
        return metadata.get(DRAWING_KEY, b"").decode()
