"""How far garments told by their colours are from those of parse maps, on photos and on paper dolls.

    python -m tests.benchmarks.measure_segmenter [DOLLS] [SEED] [MODEL.task]

Both masks are measured with the same joints: MediaPipe's in photos, the renderer's for dolls. The photos are
the shared VITON-HD ones with parse maps (CINDERELLA_SHARED).
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from preprocess.body.keypoints import MIN_CONFIDENCE, BodyFrame, KeypointError, Keypoints
from preprocess.body.mediapipe import PoseDetector, detect_person
from preprocess.garment.grabcut import segment_garment
from preprocess.garment.measurements import measure_worn
from preprocess.garment.parse import garment_mask, load_parse, scene_of
from preprocess.garment.size_ratios import SizeRatioParams, size_ratios
from preprocess.pictures import read_picture
from preprocess.sources.paper_dolls.sample import doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Category
from tests.shared_data import shared_data
from tests.sizes import TOP_PLACES, UPPER

Case = tuple[np.ndarray, np.ndarray, Keypoints]


def photos(model: Path) -> Iterator[Case]:
    """Photo, parse map and joints of every shared photo that has a parse map."""
    with PoseDetector(model) as detector:
        for parse in sorted((shared_data() / "data/vitonhd").glob("*/image-parse-v3/*.png")):
            photo = read_picture(parse.parents[1] / "image" / f"{parse.stem}.jpg")
            yield photo, load_parse(parse), detect_person(detector, photo, MIN_CONFIDENCE)


def dolls(people: int, seed: int) -> Iterator[Case]:
    """The same of paper dolls, but for those without a trunk."""
    params = PaperDollParams(train=people, test=2, image_height=512, image_width=384, seed=seed)
    for index in range(people):
        picture = render_sample(params, doll_sample(params, "train", index))
        missing = picture.keypoints[:, 2] <= 0
        person = Keypoints.from_flat(np.where(missing[:, None], (np.nan, np.nan, 0), picture.keypoints))
        try:
            BodyFrame.from_keypoints(person)
        except KeypointError:
            continue
        yield picture.image, picture.parse, person


def outcome(photo: np.ndarray, parse: np.ndarray, person: Keypoints) -> list[float]:
    """Seconds, overlap with the parse map's garment, relative difference of each ratio; NaN: unmeasured."""
    start = time.process_time()
    found = segment_garment(photo, person)
    seconds = time.process_time() - start
    truth = garment_mask(parse, Category.UPPER)
    overlap = (found & truth).sum() / (found | truth).sum()
    if not found.any():
        return [seconds, overlap, np.nan, np.nan, np.nan]
    wanted = measure_worn(truth, person, scene_of(parse))
    pair = [size_ratios(worn, SizeRatioParams()).ratios for worn in (measure_worn(found, person), wanted)]
    return [seconds, overlap, *(pair[0] / pair[1] - 1)[TOP_PLACES]]


def report(name: str, cases: Iterator[Case]) -> str:
    """Figures of one kind of people."""
    table = np.array([outcome(*case) for case in cases])
    seconds, overlap, differences = table[:, 0], table[:, 1], table[:, 2:]
    lines = [
        f"{len(table)} {name}: {1000 * np.median(seconds):.0f} ms; overlap: median {np.median(overlap):.3f}, "
        f"lowest tenth below {np.quantile(overlap, 0.1):.3f}, lowest {overlap.min():.3f}, "
        f"{(overlap > 0.8).mean():.0%} above 0.8"
    ]
    for ratio, column in zip(UPPER, differences.T, strict=True):
        measured = column[np.isfinite(column)]
        lines.append(
            f"  {ratio:8s} {len(measured)} measured, median {np.median(measured):+.1%}, median absolute "
            f"{np.median(np.abs(measured)):.1%}, {(np.abs(column) <= 0.05).mean():.0%} of all within 5 %"
        )
    return "\n".join(lines) + "\n"


def main(people: int, seed: int, model: Path) -> None:
    """Print the figures of both."""
    sys.stdout.write(report("photos", photos(model)))
    sys.stdout.write(report("dolls", dolls(people, seed)))


if __name__ == "__main__":
    given = sys.argv[1:]
    main(
        int(given[0]) if given else 300,
        int(given[1]) if len(given) > 1 else 20261125,
        Path(given[2]) if len(given) > 2 else shared_data() / "models/pose_landmarker_full.task",
    )
