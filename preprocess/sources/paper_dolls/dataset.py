"""Paper dolls: drawn people in garments of known size, laid out as VITON-HD is.

A doll is a pure function of (seed, split, index): more training people change nobody who was there before,
and test people are never training people. `truth.parquet` has the true ratios of every picture.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm import tqdm

from preprocess.sources.paper_dolls.fabric import flat_cloth
from preprocess.sources.paper_dolls.garment import DRAWN, GarmentDesign, Ratios, caption, sample_design
from preprocess.sources.paper_dolls.person import Doll, sample_doll
from preprocess.sources.paper_dolls.render import DollPicture, render
from preprocess.sources.params import LARGEST_SPLIT, PaperDollParams
from preprocess.sources.source import SourceSample
from preprocess.sources.viton_hd import SPLITS, VitonHd
from preprocess.vocabulary import DRAWING_KEY

TRUTH_FILE = "truth.parquet"
JPEG_QUALITY = 92
FEW_ENTRIES = 32

LIP_PALETTE = [
    (0, 0, 0), (128, 0, 0), (254, 0, 0), (0, 85, 0), (169, 0, 51),
    (254, 85, 0), (0, 0, 85), (0, 119, 220), (85, 85, 0), (0, 85, 85),
    (85, 51, 0), (52, 86, 128), (0, 128, 0), (0, 0, 254), (51, 169, 220),
    (0, 254, 254), (85, 254, 169), (169, 254, 85), (254, 254, 0), (254, 169, 0),
]  # fmt: skip
"""RGB of the LIP labels in VITON-HD's parse maps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DollSample:
    """One entry of the data set, before it is drawn."""

    key: str
    """Five digits and `_00`, as VITON-HD's."""

    split: str
    """`train` or `test`."""

    doll: Doll
    """The person."""

    design: GarmentDesign
    """The garment."""

    ratios: Ratios
    """(3,) its size."""


def doll_key(split: str, index: int) -> str:
    """Return the key of a split's person."""
    return f"{index + LARGEST_SPLIT * SPLITS.index(split):05d}_00"


def doll_sample(params: PaperDollParams, split: str, index: int) -> DollSample:
    """Draw the person, the garment and the size of one entry, each from a stream of its own."""
    streams = np.random.default_rng([params.seed, SPLITS.index(split), index]).spawn(3)
    return DollSample(
        key=doll_key(split, index),
        split=split,
        doll=sample_doll(streams[0]),
        design=sample_design(streams[1]),
        ratios=streams[2].uniform(*np.array([*DRAWN.values()]).T),
    )


def sample_of_key(params: PaperDollParams, key: str) -> DollSample:
    """Return the entry that `doll_key` named.

    Raises:
        ValueError: The key isn't one of a doll.
    """
    digits, split = key.removesuffix("_00"), SPLITS[0]
    if not digits.isdecimal() or doll_key(split, int(digits)) != key:
        raise ValueError(f"a doll's key must be five digits and _00, got {key!r}")
    place, index = divmod(int(digits), LARGEST_SPLIT)
    return doll_sample(params, SPLITS[place], index)


def plain_sample(sample: DollSample) -> DollSample | None:
    """The same doll in the same garment without its print; None where it has none."""
    if sample.design.pattern == "plain":
        return None
    return replace(sample, design=replace(sample.design, pattern="plain"))


def render_sample(params: PaperDollParams, sample: DollSample, ratios: Ratios | None = None) -> DollPicture:
    """Draw an entry at its own size, or at another."""
    ratios = sample.ratios if ratios is None else ratios
    return render(sample.doll, sample.design, ratios, params.image_height, params.image_width)


def write_sample(root: Path, params: PaperDollParams, entry: tuple[str, int]) -> dict[str, Any]:
    """Draw one entry, write its files and return its row of `truth.parquet`."""
    cv2.setNumThreads(1)
    sample = doll_sample(params, *entry)
    picture = render_sample(params, sample)
    cloth, cloth_mask = flat_cloth(sample.design, params.image_height, params.image_width)
    folder, key = root / sample.split, sample.key
    write_jpeg(folder / "image" / f"{key}.jpg", picture.image)
    write_jpeg(folder / "cloth" / f"{key}.jpg", cloth)
    write_jpeg(folder / "cloth-mask" / f"{key}.jpg", cloth_mask)
    write_jpeg(folder / "image-densepose" / f"{key}.jpg", picture.densepose)
    write_parse(folder / "image-parse-v3" / f"{key}.png", picture.parse)
    write_openpose(folder / "openpose_json" / f"{key}_keypoints.json", picture.keypoints)
    words = {"neckline": sample.design.neckline, "sleeves": sample.design.sleeves, "cut": sample.design.cut}
    return {"key": key, "split": sample.split, "caption": caption(sample.design), **words, **picture.truth}


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
    context = get_context("spawn")  # forking a process in which OpenCV has threads can hang
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        yield partial(pool.map, chunksize=8)


def render_dataset(params: PaperDollParams, root: Path) -> None:
    """Draw a whole data set below `root`, which must be empty or new."""
    for split in SPLITS:
        for part in ("image", "cloth", "cloth-mask", "image-parse-v3", "image-densepose", "openpose_json"):
            (root / split / part).mkdir(parents=True, exist_ok=True)
    entries = [(split, index) for split in SPLITS for index in range(getattr(params, split))]
    with worker_map(len(entries)) as run:
        work = run(partial(write_sample, root, params), entries)
        rows = list(tqdm(work, total=len(entries), desc="paper dolls", unit="doll", disable=None))
    table = pa.Table.from_pylist(rows).replace_schema_metadata({DRAWING_KEY: json.dumps(asdict(params))})
    pq.write_table(table, root / TRUTH_FILE, compression="zstd")
    write_pairs(root, params)


def write_pairs(root: Path, params: PaperDollParams) -> None:
    """Write the lists of who wears what: their own, and in the unpaired test the next person's garment."""
    for split in SPLITS:
        keys = [doll_key(split, index) for index in range(getattr(params, split))]
        others = keys[1:] + keys[:1]
        paired = [f"{key}.jpg {key}.jpg\n" for key in keys]
        unpaired = [f"{key}.jpg {other}.jpg\n" for key, other in zip(keys, others, strict=True)]
        (root / f"{split}_pairs.txt").write_text("".join(unpaired if split == "test" else paired))
    (root / "test_pairs_paired.txt").write_text("".join(paired))


@dataclass(frozen=True)
class PaperDolls:
    """A rendered data set: VITON-HD's layout, with captions from `truth.parquet`."""

    root: Path
    split: str | None = None
    """The only split to read; None: both."""
    name: str = "paper_dolls"

    def samples(self) -> Iterator[SourceSample]:
        """Yield every person with the garment's description."""
        truth = pq.read_table(self.root / TRUTH_FILE, columns=["key", "caption"]).to_pydict()
        captions = dict(zip(truth["key"], truth["caption"], strict=True))
        yield from VitonHd(self.root, self.split, captions).samples()

    def drawing(self) -> str:
        """Return the parameters that draw every doll again, as JSON; empty where nobody wrote them down."""
        metadata: dict[bytes, bytes] = pq.read_schema(self.root / TRUTH_FILE).metadata or {}
        return metadata.get(DRAWING_KEY, b"").decode()
