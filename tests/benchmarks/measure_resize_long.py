"""How true trousers, skirts and dresses are that were resized in the photo itself.

    python -m tests.benchmarks.measure_resize_long dolls lower|dress [NUM]
    python -m tests.benchmarks.measure_resize_long photos lower|dress [FOLDER] [SHEETS]

*dolls*: held-out dolls brought to the rungs of a ladder along each ratio, against the doll that is drawn at
that rung, as `measure_resize` does with tops: PSNR within 4 px of either garment at 512 x 384, beside that of
the photo as it is, and the ratio in the new mask.

*photos*: every person of a Dress Code folder (the shared one by default), at whole steps of all axes that are
known and at changes of one; measured again as the pipeline measures. SHEETS names a folder for pictures to
look at. The last line is the time a size takes.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.cli.overlay import save_png
from preprocess.body.densepose import load_densepose, nearest_parts
from preprocess.body.drawing import draw_body
from preprocess.body.keypoints import KeypointError, Keypoints
from preprocess.body.openpose import read_openpose
from preprocess.garment.parse import garment_mask, load_parse
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.garment.worn import measure_parsed
from preprocess.layout.worn_photo import WornPhoto, resize_worn, shows
from preprocess.pictures import read_picture
from preprocess.sizes.axes import AXIS_NAMES, axes_of
from preprocess.sources.dress_code import DressCode
from preprocess.sources.paper_dolls.lower import LENGTHS, LowerDesign
from preprocess.sources.paper_dolls.sample import DRAWN, DollSample, doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.sources.source import SourceSample
from preprocess.vocabulary import Category, Lip
from tests.benchmarks.measure_resize import NEAR_PX, RUNGS, psnr
from tests.preprocess.test_inpaint_mask import keypoints_of
from tests.preprocess.test_layouts_of_legs import ratios_of
from tests.shared_data import shared_data

STEPS = (-2, 2, 4)
SHARES = (-0.15, 0.2)

Floats = NDArray[np.float64]


def of_category(category: Category, ratios: Floats) -> Floats:
    """(A,) in the order of `AXIS_NAMES`, of (3,) in that of the category's axes."""
    known = dict(zip(axes_of(category), ratios, strict=True))
    return np.array([known.get(name, np.nan) for name in AXIS_NAMES])


def rungs_of(sample: DollSample) -> dict[str, tuple[float, float]]:
    """Ends of a doll's ladders by axis: a skirt is drawn longer than shorts are."""
    bounds = dict(DRAWN[sample.category])
    if isinstance(sample.design, LowerDesign):
        bounds["length"] = LENGTHS[sample.design.kind]
    return bounds


def doll_rows(params: PaperDollParams, index: int) -> Iterator[tuple[float, ...]]:
    """Yield (axis, change, PSNR, that of the photo as it is, error of the ratio, shown) for every rung."""
    sample = doll_sample(params, "test", index)
    category, picture = sample.category, render_sample(params, sample)
    person, worn = keypoints_of(picture), garment_mask(picture.parse, category)
    try:
        natural, clean = ratios_of(worn, person, category)
    except KeypointError:
        return
    body = nearest_parts(picture.densepose)
    for axis, ends in enumerate(rungs_of(sample).values()):
        for rung in np.linspace(*ends, RUNGS):
            truth = render_sample(params, sample, np.where(np.arange(3) == axis, rung, sample.ratios))
            asked = of_category(category, np.where(np.arange(3) == axis, rung, natural))
            old = WornPhoto(picture.image, worn)
            new = resize_worn(old, person, of_category(category, natural), asked, body, category)
            if new is None:
                continue
            either = garment_mask(truth.parse, category) | new.garment_mask
            near = cv2.dilate(either.view(np.uint8), np.ones((2 * NEAR_PX + 1,) * 2, np.uint8)) > 0
            measured, still_clean = ratios_of(new.garment_mask, person, category)
            yield (
                axis,
                float(np.exp(abs(np.log(rung / sample.ratios[axis])))) - 1,
                psnr(new.photo, truth.image, near),
                psnr(picture.image, truth.image, near),
                measured[axis] / rung - 1 if clean and still_clean else np.nan,
                shows(new, person, asked, body, category),
            )


def dolls(category: Category, num: int) -> None:
    """Print how near resized dolls come to dolls drawn at the size."""
    params = PaperDollParams(train=2000, test=2000, categories=(category,))
    rows = np.array([row for index in range(num) for row in doll_rows(params, index)], np.float64)
    axes, changes, found, before, errors, told = rows.T
    groups = {"all": axes >= 0} | {name: axes == axis for axis, name in enumerate(axes_of(category))}
    groups |= {
        f"changes of {low:.0%} to {high:.0%}": (changes >= low) & (changes < high)
        for low, high in ((0, 0.15), (0.15, 0.4), (0.4, 9.0))
    }
    for name, which in (groups | {"shown": told > 0}).items():
        off = np.abs(errors[which & np.isfinite(errors)])
        print(  # noqa: T201
            f"{name:22s} n={which.sum():5d} PSNR mean {found[which].mean():.1f} median "
            f"{np.median(found[which]):.1f} dB, {np.mean(found[which] >= 26):.0%} from 26 dB (photo as it is "
            f"{before[which].mean():.1f}); ratio within 2 %: {np.mean(off <= 0.02):.1%} of {len(off)}"
        )


def asked_sizes(natural: Floats, category: Category) -> Iterator[Floats]:
    """Yield (3,) ratios: whole steps, then single axes that are known."""
    steps = np.array([axis.step for axis in axes_of(category).values()])
    yield from (natural + count * steps for count in STEPS)
    for place in np.flatnonzero(np.isfinite(natural)):
        yield from (natural * (1 + share * (np.arange(3) == place)) for share in SHARES)


def labels_of(
    new: WornPhoto, old: NDArray[np.bool_], parse: NDArray[np.uint8], category: Category
) -> NDArray[np.uint8]:
    """Return the (H, W) parse map that goes with a resized photo."""
    labels = parse.copy()
    labels[old & ~new.garment_mask] = Lip.BACKGROUND
    labels[new.garment_mask] = Lip.PANTS if category is Category.LOWER else Lip.DRESS
    return labels


def photo_rows(sample: SourceSample) -> tuple[list[tuple], list[NDArray[np.uint8]]]:
    """Return (axis, changed, error, known, shown, seconds) of every size and known axis, and the photos."""
    assert sample.parse is not None
    assert sample.openpose_json is not None
    category, parse = sample.category, load_parse(sample.parse, sample.parse_labels)
    person: Keypoints = read_openpose(sample.openpose_json, parse.shape[1], parse.shape[0])
    photo = cv2.resize(read_picture(sample.image), parse.shape[::-1], interpolation=cv2.INTER_AREA)
    drawn = sample.densepose is None
    body = nearest_parts(draw_body(person, *parse.shape)) if drawn else load_densepose(sample.densepose)
    body = cv2.resize(body, parse.shape[::-1], interpolation=cv2.INTER_NEAREST)
    worn, params = garment_mask(parse, category), SizeRatioParams()
    given = {"category": category, "densepose": None}
    _, found = measure_parsed(worn, parse, person, params, photo=photo, **given)
    natural = np.where(found.known, found.ratios, np.nan)
    places = [AXIS_NAMES.index(name) for name in axes_of(category)]
    rows, photos = [], [photo]
    for asked in asked_sizes(natural[places], category):
        start = time.process_time()
        wanted = of_category(category, asked)
        new = resize_worn(WornPhoto(photo, worn), person, natural, wanted, body, category)
        seconds = time.process_time() - start
        if new is None:
            continue
        labels = labels_of(new, worn, parse, category)
        _, again = measure_parsed(
            garment_mask(labels, category), labels, person, params, photo=new.photo, **given
        )
        told = shows(new, person, wanted, body, category)
        photos.append(new.photo)
        for axis, place in enumerate(places):
            if np.isfinite(asked[axis]):
                off, moved = again.ratios[place] / asked[axis] - 1, asked[axis] != natural[place]
                rows.append((axis, moved, off, again.known[place], told, seconds))
    return rows, photos


def photos(category: Category, folder: Path, sheets: Path | None) -> None:
    """Print how near the ratios measured again come to what was asked for."""
    samples = {sample.key: sample for sample in DressCode(folder, category=category).samples()}
    rows: list[tuple] = []
    for key, sample in samples.items():
        found, pictures = photo_rows(sample)
        rows += found
        if sheets is not None:
            save_png(np.hstack(pictures), sheets / f"{key}.png")
    axes, moved, errors, known, told, seconds = np.array(rows, np.float64).T
    for axis, name in enumerate(axes_of(category)):
        for what, which in {"changed": moved > 0, "kept": moved == 0}.items():
            own = which & (axes == axis)
            near = np.abs(errors[own]) <= 0.03
            if own.any():
                print(  # noqa: T201
                    f"{name:9s}{what:9s} n={own.sum():4d} within 3 %: {near.mean():.1%}, of shown "
                    f"({told[own].mean():.0%}) {near[told[own] > 0].mean():.1%}; {known[own].mean():.0%}"
                )
    print(f"{len(samples)} people; {seconds.mean():.3f} s a size, largest {seconds.max():.3f} s")  # noqa: T201


if __name__ == "__main__":
    given = dict(enumerate(sys.argv[1:]))
    worn_on = Category(given[1])
    if given[0] == "dolls":
        dolls(worn_on, int(given.get(2, "24")))
    else:
        root = Path(given[2]) if 2 in given else shared_data() / "data/dress_code"
        photos(worn_on, root, Path(given[3]) if 3 in given else None)
