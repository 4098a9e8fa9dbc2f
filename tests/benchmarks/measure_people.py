"""How many photographs of people are known on each axis, and a sheet of some at random to look at.

    python -m tests.benchmarks.measure_people [SEED] [SHEET.png] [FOLDER]

FOLDER is laid out like VITON-HD, with a test split; the 307 people of the original VITON test set among the
shared data (CINDERELLA_SHARED) when left out. Sixty are drawn by SEED onto the sheet, known measures alone.
"""

import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.cli.inspection import samples_of, sidecars
from pipeline.cli.overlay import draw_sample, save_png
from pipeline.cli.without_dvc import DataChain
from preprocess.garment.known import known_ratios
from tests.shared_data import shared_data
from tests.sizes import UPPER

ON_THE_SHEET, COLUMNS, HEIGHT = 60, 10, 320


def sheet(annotations: Path, keys: set[str]) -> NDArray[np.uint8]:
    """Draw some people side by side."""
    pictures = []
    for sample, found in samples_of(*sidecars(annotations, None, None), keys):
        picture = draw_sample(sample, found)
        width = round(picture.shape[1] * HEIGHT / picture.shape[0])
        picture = cv2.resize(picture, (width, HEIGHT), interpolation=cv2.INTER_CUBIC)
        cv2.putText(picture, sample.key, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (200, 0, 0), 1)
        pictures.append(picture)
    blank = np.full_like(pictures[0], 255)
    pictures += [blank] * (-len(pictures) % COLUMNS)
    rows = [np.hstack(pictures[start : start + COLUMNS]) for start in range(0, len(pictures), COLUMNS)]
    return np.vstack(rows)


def main(seed: int, picture: Path | None, folder: Path) -> None:
    """Print the shares; draw the sheet."""
    with TemporaryDirectory() as work:
        chain = DataChain(source="viton_hd", root=folder, split="test")
        out = chain.annotate(Path(work))["size_annotations"]
        table = pq.read_table(out)
        known = np.isfinite([known_ratios(table, name) for name in UPPER])
        shares = [f"{name} {share:.1%}" for name, share in zip(UPPER, known.mean(axis=1), strict=True)]
        print(f"{len(table)} people known: {', '.join(shares)}; on all axes {known.all(axis=0).mean():.1%}")  # noqa: T201
        reasons = (why for reason in table["reason"].to_pylist() if reason for why in reason.split("; "))
        for reason, count in Counter(reasons).most_common():
            print(f"{count:6d} {reason}")  # noqa: T201
        if picture is not None:
            keys = np.random.default_rng(seed).choice(table["key"].to_pylist(), ON_THE_SHEET, replace=False)
            save_png(sheet(out, set(keys.tolist())), picture)


if __name__ == "__main__":
    given = dict(enumerate(sys.argv[1:]))
    main(
        int(given.get(0, "0")),
        Path(given[1]) if 1 in given else None,
        Path(given[2]) if 2 in given else shared_data() / "data/viton192",
    )
