"""How true a worn garment is that was resized in the photo itself.

    python -m tests.benchmarks.measure_resize dolls [NUM]
    python -m tests.benchmarks.measure_resize people [FOLDER] [EVERY] [FIRST] [SHEETS]

*dolls*: each held-out doll's photo brought to the rungs of a ladder along each ratio, against the doll that
is drawn at that rung: PSNR within 4 px of either garment at 512 x 384, beside that of the photo as it is; and
the ratio measured in the new mask against the rung, where nothing makes either doubtful.

*people*: every EVERY-th person from FIRST on of a VITON-HD folder (the shared viton192 by default) who is
known on all axes, at sizes around the natural one; measured again as the pipeline measures, on the new photo
and the parse map that goes with it; and how many of these the photo shows. Arms give way, as in a preview;
nothing was tuned on every second from 1 on of viton192. SHEETS names a folder for pictures to look at. The
last line is the time a size takes.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.cli.inspection import samples_of, sidecars
from pipeline.cli.overlay import save_png
from pipeline.cli.without_dvc import DataChain
from preprocess.body.densepose import load_densepose, nearest_parts
from preprocess.body.drawing import draw_body
from preprocess.body.keypoints import KeypointError, Keypoints
from preprocess.garment.known import known_ratios
from preprocess.garment.parse import garment_mask, load_parse
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.garment.worn import measure_parsed
from preprocess.layout.worn_photo import ResizedPhoto, WornPhoto, resize_worn, shows
from preprocess.pictures import read_picture
from preprocess.sizes.axes import axes_of
from preprocess.sources.paper_dolls.garment import DRAWN
from preprocess.sources.paper_dolls.sample import doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.sources.source import ManifestRow
from preprocess.vocabulary import ARM_PARTS, Category, Lip
from tests.preprocess.test_inpaint_mask import keypoints_of
from tests.preprocess.test_layout import ratios_of
from tests.shared_data import shared_data
from tests.sizes import TOP_PLACES, UPPER, of_tops

DOLLS = PaperDollParams(train=2000, test=2000)
RUNGS, NEAR_PX = 6, 4
STEPS = (-2, -1, 1, 2, 3)
"""Of all axes together, as `try-on --steps` has them; then each axis alone by these shares."""
SHARES = (-0.12, 0.15)

Floats = NDArray[np.float64]


def doll_rows(index: int) -> Iterator[tuple[int, float, float, float, float]]:
    """Yield (axis, change, PSNR, PSNR of the photo as it is, relative error of the ratio) for every rung."""
    sample = doll_sample(DOLLS, "test", index)
    picture = render_sample(DOLLS, sample)
    person, worn = keypoints_of(picture), garment_mask(picture.parse, Category.UPPER)
    try:
        natural, clean = ratios_of(worn, person)
    except KeypointError:
        return
    for axis, ends in enumerate(DRAWN.values()):
        for rung in np.linspace(*ends, RUNGS):
            truth = render_sample(DOLLS, sample, np.where(np.arange(3) == axis, rung, sample.ratios))
            asked = np.where(np.arange(3) == axis, rung, natural)
            body = nearest_parts(picture.densepose)
            doll, sizes = WornPhoto(picture.image, worn), (of_tops(natural), of_tops(asked))
            new = resize_worn(doll, person, *sizes, body, arms_stay=True)  # as one at a rung is drawn
            if new is None:
                continue
            either = garment_mask(truth.parse, Category.UPPER) | new.garment_mask
            near = cv2.dilate(either.view(np.uint8), np.ones((2 * NEAR_PX + 1,) * 2, np.uint8)) > 0
            measured, still_clean = ratios_of(new.garment_mask, person)
            error = measured[axis] / rung - 1 if clean and still_clean else np.nan
            change = abs(np.log(rung / sample.ratios[axis]))
            yield (
                axis,
                change,
                psnr(new.photo, truth.image, near),
                psnr(picture.image, truth.image, near),
                error,
            )


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    """Peak signal to noise inside a mask, dB."""
    return float(10 * np.log10(255**2 / max(np.mean((one.astype(float) - other)[where] ** 2), 1e-3)))


def dolls(num: int) -> None:
    """Print how near resized dolls come to dolls drawn at the size."""
    rows = np.array([row for index in range(num) for row in doll_rows(index)])
    axes, changes, found, before, errors = rows.T
    groups = {name: axes == axis for axis, name in enumerate(DRAWN)}
    groups |= {
        f"changes of {low:.0%} to {high:.0%}": (np.exp(changes) - 1 >= low) & (np.exp(changes) - 1 < high)
        for low, high in ((0, 0.15), (0.15, 0.4), (0.4, 2.0))
    }
    for name, rows_of in {"all": np.ones(len(rows), bool), **groups}.items():
        off = np.abs(errors[rows_of & np.isfinite(errors)])
        near, photo = found[rows_of], before[rows_of].mean()
        print(  # noqa: T201
            f"{name:22s} n={len(near):5d} PSNR mean {near.mean():.1f} median {np.median(near):.1f} dB, "
            f"{np.mean(near >= 26):.0%} from 26 dB (photo as it is {photo:.1f}); "
            f"ratio within 2 %: {np.mean(off <= 0.02):.1%} of {len(off)}"
        )


def asked_sizes(natural: Floats) -> Iterator[Floats]:
    """Yield (3,) ratios: whole steps, then single axes."""
    axes = axes_of(Category.UPPER)
    steps = np.array([axes[name].step for name in axes])
    yield from (natural + count * steps for count in STEPS)
    for place in range(len(UPPER)):
        yield from (natural * (1 + share * (np.arange(len(UPPER)) == place)) for share in SHARES)


def measured_again(
    new: ResizedPhoto, old: NDArray[np.bool_], parse: NDArray[np.uint8], body: NDArray[np.uint8]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return (A,) ratios, and which are known, of a resized photo with the parse map that goes with it."""
    labels, bare = parse.copy(), old & ~new.garment_mask
    labels[bare] = Lip.BACKGROUND
    labels[bare & (body > 0)] = Lip.TORSO_SKIN
    labels[bare & np.isin(body, ARM_PARTS)] = Lip.LEFT_ARM
    labels[new.garment_mask] = Lip.UPPER_CLOTHES
    garment, params = garment_mask(labels, Category.UPPER), SizeRatioParams()
    _, found = measure_parsed(
        garment, labels, new.keypoints, params, category=Category.UPPER, photo=new.photo, densepose=None
    )
    return found.ratios[TOP_PLACES], found.known[TOP_PLACES]


def person_rows(sample: ManifestRow, person: Keypoints, natural: Floats) -> tuple[list[tuple], list]:
    """Return (change, error, known, seconds, shown) of every size, and the photos."""
    photo, parse = read_picture(sample.image), load_parse(sample.parse)
    seen = draw_body(person, *parse.shape) if sample.densepose is None else None
    body = nearest_parts(seen) if seen is not None else load_densepose(sample.densepose)
    worn, rows, photos = garment_mask(parse, Category.UPPER), [], [photo]
    for asked in asked_sizes(natural):
        start = time.process_time()
        new = resize_worn(WornPhoto(photo, worn), person, of_tops(natural), of_tops(asked), body)
        seconds = time.process_time() - start
        if new is not None:
            again = [new.followed(labels) for labels in (worn.view(np.uint8), parse, body)]
            ratios, known = measured_again(new, again[0] > 0, *again[1:])
            told = shows(new, new.keypoints, of_tops(asked), again[2], Category.UPPER)
            rows.append((asked / natural - 1, ratios / asked - 1, known, seconds, told))
            photos.append(new.photo)
    return rows, photos


def people(folder: Path, every: int, first: int, sheets: Path | None) -> None:
    """Print how near the ratios measured again come to what was asked for."""
    rows: list[tuple] = []
    with TemporaryDirectory() as work:
        chain = DataChain(source="viton_hd", root=folder, split="test")
        annotations = chain.annotate(Path(work))["size_annotations"]
        table = pq.read_table(annotations)
        ratios = np.array([known_ratios(table, name) for name in UPPER], dtype=np.float64).T
        known = dict(zip(table["key"].to_pylist(), ratios, strict=True))
        keys = [key for key, row in known.items() if np.isfinite(row).all()][first::every]
        for sample, row in samples_of(*sidecars(annotations, None, None), set(keys)):
            person = Keypoints.from_flat(row["keypoints"])
            found, photos = person_rows(sample, person, known[sample.key])
            rows += found
            if sheets is not None:
                save_png(np.hstack(photos), sheets / f"{sample.key}.png")
    changes, errors, sure, seconds, told = (np.array(column) for column in zip(*rows, strict=True))
    print(f"{len(keys)} of {len(known)} people are known on all axes; {len(rows)} photos")  # noqa: T201
    for place, name in enumerate(UPPER):
        moved = changes[:, place] != 0
        groups = {
            "changed": moved,
            "kept": ~moved,
            "changed, shown": moved & told,
            "kept, shown": ~moved & told,
        }
        for what, which in groups.items():
            near = np.abs(errors[which, place]) <= 0.03
            print(  # noqa: T201
                f"{name:9s}{what:15s} n={which.sum():4d} within 3 %: {near.mean():.1%}, of those still known "
                f"({sure[which, place].mean():.0%}) {near[sure[which, place]].mean():.1%}, median error "
                f"{np.nanmedian(np.abs(errors[which, place])):.2%}"
            )
    for largest in (0.2, 1.0):
        which = np.abs(changes).max(axis=1) <= largest
        print(f"shown of changes up to {largest:.0%}: {told[which].mean():.1%} of {which.sum()}")  # noqa: T201
    print(f"{np.mean(seconds):.3f} s a size, largest {np.max(seconds):.3f} s")  # noqa: T201


if __name__ == "__main__":
    given = dict(enumerate(sys.argv[1:]))
    if given.get(0) == "dolls":
        dolls(int(given.get(1, "40")))
    else:
        root = Path(given[1]) if 1 in given else shared_data() / "data/viton192"
        people(root, int(given.get(2, "4")), int(given.get(3, "0")), Path(given[4]) if 4 in given else None)
