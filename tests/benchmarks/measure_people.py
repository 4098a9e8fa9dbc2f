"""How many photographs of people are known on each axis, and a sheet of some at random to look at.

    python -m tests.benchmarks.measure_people [SEED] [SHEET.png] [FOLDER]

FOLDER is laid out like VITON-HD, with a test split; the 307 people of the original VITON test set among the
shared data (CINDERELLA_SHARED) when left out. Sixty are drawn by SEED onto the sheet, known measures alone.

Those seen from the front with hanging arms are counted by themselves, with what speaks against the others of
them: no flag says that they are turned or several, and upper arms and forearms, as far as joints are found,
point down the torso, `HANGS` degrees off at most.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.cli.inspection import samples_of, sidecars
from pipeline.cli.overlay import draw_sample, save_png
from pipeline.cli.without_dvc import DataChain
from preprocess.body.keypoints import ARM_JOINTS, BodyFrame, KeypointError, Keypoints
from preprocess.garment.known import known_ratios
from tests.shared_data import shared_data
from tests.sizes import UPPER

ON_THE_SHEET, COLUMNS, HEIGHT = 60, 10, 320

HANGS = 35.0
NOT_FROM_THE_FRONT = {"back_view", "side_view", "several_people"}


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


def arms_hang(keypoints: Keypoints) -> bool:
    """Whether both arms point down, as far as they are seen: the elbows at least."""
    try:
        frame = BodyFrame.from_keypoints(keypoints)
    except KeypointError:
        return False
    arms = np.stack([frame.to_body(keypoints.xy[list(joints)]) for joints in ARM_JOINTS.values()])
    bones = np.diff(arms, axis=1)
    off = np.degrees(np.arctan2(np.abs(bones[..., 1]), bones[..., 0]))
    return bool(np.isfinite(off[:, 0]).all() and (np.nan_to_num(off) <= HANGS).all())


def counted(reasons: Iterable[str | None]) -> str:
    """Say how often each reason is given, a line each, the most frequent first."""
    single = Counter(why for reason in reasons if reason for why in reason.split("; "))
    return "\n".join(f"{count:6d} {why}" for why, count in single.most_common())


def hanging(annotations: Path) -> str:
    """Say how many with hanging arms are known on all axes, and what speaks against the others."""
    keypoints, table = (
        pq.read_table(path) for path in (annotations.with_name("keypoints.parquet"), annotations)
    )
    known = np.isfinite([known_ratios(table, name) for name in UPPER]).all(axis=0)
    joints = dict(zip(keypoints["key"].to_pylist(), keypoints["keypoints"].to_pylist(), strict=True))
    rows = [
        (reason, sure)
        for key, reason, sure in zip(
            table["key"].to_pylist(), table["reason"].to_pylist(), known, strict=True
        )
        if joints[key] is not None
        and arms_hang(Keypoints.from_flat(joints[key]))
        and not NOT_FROM_THE_FRONT & set((reason or "").split("; "))
    ]
    share = np.mean([sure for _, sure in rows])
    return (
        f"{len(rows)} of them from the front with hanging arms: {share:.1%} known on all axes\n"
        f"{counted(reason for reason, sure in rows if not sure)}"
    )


def main(seed: int, picture: Path | None, folder: Path) -> None:
    """Print the shares; draw the sheet."""
    with TemporaryDirectory() as work:
        chain = DataChain(source="viton_hd", root=folder, split="test")
        out = chain.annotate(Path(work))["size_annotations"]
        table = pq.read_table(out)
        known = np.isfinite([known_ratios(table, name) for name in UPPER])
        shares = [f"{name} {share:.1%}" for name, share in zip(UPPER, known.mean(axis=1), strict=True)]
        print(f"{len(table)} people known: {', '.join(shares)}; on all axes {known.all(axis=0).mean():.1%}")  # noqa: T201
        print(counted(table["reason"].to_pylist()))  # noqa: T201
        print(hanging(out))  # noqa: T201
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
