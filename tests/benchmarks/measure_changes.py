"""Which known ratios of photographs move when a change is made that leaves the garment as it is.

    python -m tests.benchmarks.measure_changes viton_hd FOLDER [CHANGE ...]
    python -m tests.benchmarks.measure_changes dress_code ~/data/DressCode mirrored "noise of 8 levels"

FOLDER is a data set with joints and parse maps, of which the test split is read; all changes when none is
named. A ratio counts where it is known before and after, and has moved where it is more than `MOVED` off.
Before is the photo with its maps written anew, without loss, DensePose at its full size.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.cli.without_dvc import DataChain
from pipeline.compute_size_ratios import annotation_row, keypoint_rows
from pipeline.tables.incremental import iter_manifest
from pipeline.tables.measure_sample import MeasureJob, parse_of, photo_of
from preprocess.body.densepose import IN_A_MIRROR, load_densepose
from preprocess.body.keypoints import Keypoints
from preprocess.garment.bounds import Bounds
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.sizes.axes import JUDGED_AT, MEASURED_NAMES
from preprocess.vocabulary import Lip, ParseLabels
from preprocess.workers import WorkerPool

MOVED = 0.03
TELEPHONE = 12e6
"""Pixels of a photo that is taken with one, about."""

SIDES = [(Lip[name], Lip[name.replace("LEFT", "RIGHT")]) for name in Lip.__members__ if "LEFT" in name]
Levels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Photo:
    """A photo of (H, W) px and what is known of it."""

    image: Levels
    parse: Levels
    parts: Levels | None
    joints: Keypoints


def recoloured(change: Callable[[Levels], NDArray[Any]], photo: Photo) -> Photo:
    """Change the levels of the photo alone."""
    return replace(photo, image=np.rint(change(photo.image)).clip(0, 255).astype(np.uint8))


def in_file(quality: int, image: Levels) -> Levels:
    """Save as JPEG."""
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1))


def grainy(sigma: float, image: Levels) -> NDArray[Any]:
    """Add noise, the same in every run."""
    return image + np.random.default_rng(0).normal(0, sigma, image.shape)


def gamma(exponent: float, image: Levels) -> NDArray[Any]:
    """Brighten (below 1) or darken."""
    return np.asarray(255 * (image / 255) ** exponent)


def grey(image: Levels) -> Levels:
    """Take the colours away."""
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def laid_out(matrix: NDArray[np.float64], height: int, width: int, photo: Photo) -> Photo:
    """Lay the picture out anew: (2, 3) `matrix` from its px to those of a picture of that size."""
    centred = matrix.copy()
    centred[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    edge = {"borderMode": cv2.BORDER_REPLICATE}
    smaller = abs(np.linalg.det(matrix[:, :2])) < 0.9
    image = cv2.resize(photo.image, (width, height), interpolation=cv2.INTER_AREA) if smaller else None
    if image is None:
        image = cv2.warpAffine(photo.image, centred, (width, height), flags=cv2.INTER_CUBIC, **edge)
    labels = partial(cv2.warpAffine, M=centred, dsize=(width, height), flags=cv2.INTER_NEAREST)
    return Photo(
        image=image,
        parse=labels(photo.parse),
        parts=None if photo.parts is None else labels(photo.parts),
        joints=replace(photo.joints, xy=photo.joints.xy @ matrix[:, :2].T + matrix[:, 2]),
    )


def scaled(factor: float, photo: Photo) -> Photo:
    """Resize."""
    height, width = np.rint(factor * np.array(photo.parse.shape)).astype(int)
    across, down = width / photo.parse.shape[1], height / photo.parse.shape[0]
    return laid_out(np.array([[across, 0, 0], [0, down, 0]], np.float64), height, width, photo)


def of_telephone(photo: Photo) -> Photo:
    """Resize to as many pixels."""
    return scaled((TELEPHONE / photo.parse.size) ** 0.5, photo)


def moved(across: float, down: float, photo: Photo) -> Photo:
    """Shift."""
    height, width = photo.parse.shape
    return laid_out(np.array([[1, 0, across], [0, 1, down]], np.float64), height, width, photo)


def turned(degrees: float, photo: Photo) -> Photo:
    """Turn on a canvas that holds all of it."""
    height, width = photo.parse.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    size = np.ceil(np.round(np.abs(matrix[:, :2]) @ (width, height), 6)).astype(int)
    matrix[:, 2] += size / 2 - np.array([width, height]) / 2
    return laid_out(matrix, size[1], size[0], photo)


def mirrored(photo: Photo) -> Photo:
    """Flip left to right: sides swap their names."""
    names = np.arange(len(Lip), dtype=np.uint8)
    for left, right in SIDES:
        names[[left, right]] = right, left
    return Photo(
        image=photo.image[:, ::-1],
        parse=names[photo.parse[:, ::-1]],
        parts=None if photo.parts is None else IN_A_MIRROR.astype(np.uint8)[photo.parts[:, ::-1]],
        joints=photo.joints.mirrored(photo.parse.shape[1]),
    )


def cut(side: str, share: float, photo: Photo) -> Photo:
    """Cut off a share of the picture at one side, and the joints in it."""
    height, width = photo.parse.shape
    down, across = round(share * height), round(share * width)
    top, left = down * (side == "top"), across * (side == "left")
    rows = slice(top, height - down * (side == "bottom"))
    columns = slice(left, width - across * (side == "right"))
    xy = photo.joints.xy - (left, top)
    outside = (xy < 0).any(axis=1) | (xy >= (columns.stop - left, rows.stop - top)).any(axis=1)
    return Photo(
        image=photo.image[rows, columns],
        parse=photo.parse[rows, columns],
        parts=None if photo.parts is None else photo.parts[rows, columns],
        joints=replace(photo.joints, xy=xy).without(outside),
    )


def coarse_map(photo: Photo) -> Photo:
    """Give the parse map half the photo's size."""
    height, width = photo.parse.shape
    return replace(
        photo, parse=cv2.resize(photo.parse, (width // 2, height // 2), interpolation=cv2.INTER_NEAREST_EXACT)
    )


def jittered(share: float, photo: Photo) -> Photo:
    """Move every joint at random, each way by that share of the picture's height, everybody's differently."""
    seed = int(1000 * np.nansum(np.abs(photo.joints.xy)))
    noise = np.random.default_rng(seed).normal(0, share * photo.parse.shape[0], photo.joints.xy.shape)
    return replace(photo, joints=replace(photo.joints, xy=photo.joints.xy + noise))


CHANGES: dict[str, Callable[[Photo], Photo]] = {
    "mirrored": mirrored,
    "moved by 1 px across": partial(moved, 1, 0),
    "moved by 1 px down": partial(moved, 0, 1),
    "turned by 10 degrees": partial(turned, 10),
    "turned by 90 degrees": partial(turned, 90),
    "at 0.75 of the size": partial(scaled, 0.75),
    "as large as a telephone's": of_telephone,
    **{f"cut by 20 % at the {side}": partial(cut, side, 0.2) for side in ("top", "bottom", "left", "right")},
    "parse map of half the size": coarse_map,
    "without DensePose": lambda photo: replace(photo, parts=None),
    "joints off by 0.2 % of the height": partial(jittered, 0.002),
    "half as light": partial(recoloured, lambda image: image / 2),
    "gamma 0.6": partial(recoloured, partial(gamma, 0.6)),
    "gamma 1.6": partial(recoloured, partial(gamma, 1.6)),
    "grey": partial(recoloured, grey),
    "warmer": partial(recoloured, lambda image: image * (1.1, 1, 0.8)),
    "JPEG, quality 90": partial(recoloured, partial(in_file, 90)),
    "JPEG, quality 50": partial(recoloured, partial(in_file, 50)),
    "JPEG, quality 25": partial(recoloured, partial(in_file, 25)),
    "noise of 8 levels": partial(recoloured, partial(grainy, 8)),
    "blurred by 1 px": partial(recoloured, lambda image: cv2.GaussianBlur(image, (0, 0), 1)),
}


def known_of(job: MeasureJob) -> dict[str, Bounds]:
    """Measure a sample: what is known of it."""
    row = annotation_row(job)
    found = {
        name: Bounds(value=row[f"{name}_ratio"], low=row[f"{name}_low"], high=row[f"{name}_high"])
        for name in MEASURED_NAMES
        if row[f"{name}_low"] is not None
    }
    limit = job.params.max_uncertainty
    return {name: told for name, told in found.items() if told.uncertainty_at(JUDGED_AT[name]) <= limit}


def written(job: MeasureJob, photo: Photo, folder: Path) -> MeasureJob:
    """Write a photo and its maps to files of a sample's job."""
    parts: dict[str, Any] = {"image": photo.image[:, :, ::-1], "parse": photo.parse, "densepose": photo.parts}
    for name, levels in parts.items():
        if levels is not None:
            parts[name] = folder / f"{name}.png"
            cv2.imwrite(str(parts[name]), levels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    height, width = photo.image.shape[:2]
    found = job.found | {
        "keypoints": photo.joints.flat(),
        "image_width": width,
        "image_height": height,
        "body_parts": None,
    }
    return replace(
        job,
        sample=replace(job.sample, **parts, parse_labels=ParseLabels.LIP, agnostic_mask=None),
        found=found,
    )


def compared(names: list[str], job: MeasureJob) -> list[tuple[dict[str, Bounds], dict[str, Bounds]]]:
    """Return what is known of a sample before and after each change."""
    if job.found["image_width"] is None or job.sample.parse is None:
        return [({}, {})] * len(names)
    photo = Photo(
        image=photo_of(job.sample),
        parse=parse_of(job.sample),
        parts=None if job.sample.densepose is None else load_densepose(job.sample.densepose),
        joints=Keypoints.from_flat(job.found["keypoints"]),
    )
    with TemporaryDirectory() as folder:
        before = known_of(written(job, photo, Path(folder)))
        return [(before, known_of(written(job, CHANGES[name](photo), Path(folder)))) for name in names]


def line(pairs: list[tuple[dict[str, Bounds], dict[str, Bounds]]]) -> str:
    """Say how many ratios moved, how many are known no more or only now, and how far they went."""
    both = [(old[name], new[name]) for old, new in pairs for name in old.keys() & new.keys()]
    if not both:
        return "nothing is known before and after"
    off = np.array([abs(new.value / old.value - 1) for old, new in both])
    held = np.mean([new.low <= old.value <= new.high for old, new in both])
    gone, come = (
        sum(len(a.keys() - b.keys()) for a, b in some) for some in (pairs, [p[::-1] for p in pairs])
    )
    return (
        f"{(off > MOVED).sum():4d} of {len(off):5d} moved, {gone:3d} no more known, {come:3d} only now; "
        f"median {np.median(off):.2%}, 99th percentile {np.quantile(off, 0.99):.1%}, most {off.max():.1%}; "
        f"{held:.1%} within the new bounds"
    )


def main(source: str, folder: Path, names: list[str]) -> None:
    """Print a line for each change."""
    with TemporaryDirectory() as work, WorkerPool() as pool:
        tables = DataChain(source=source, root=folder, split="test").annotate(Path(work))
        jobs = [
            MeasureJob(sample=sample, found=found, params=SizeRatioParams())
            for sample, found in zip(
                iter_manifest(tables["manifest"]), keypoint_rows(tables["keypoints"]), strict=True
            )
        ]
        rows = list(pool.map(partial(compared, names), jobs, chunksize=4))
    for name, pairs in zip(names, zip(*rows, strict=True), strict=True):
        sys.stdout.write(f"{name:34s}{line(list(pairs))}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:] or list(CHANGES))
