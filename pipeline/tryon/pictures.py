"""Try one garment on one person at several sizes, and write pictures, a strip and fit.json."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eval.ladder.figures import order_accuracy
from model.params import DrawingOptions
from pipeline.tryon.size_aware import PreparedPerson, SizeAwareTryOn, TryOnResult
from pipeline.tryon.size_list import NamedSize
from preprocess.body.inpaint_mask import MaskParams
from preprocess.pictures import PictureSource, read_picture
from preprocess.sizes.request import Range, SizeRequest
from preprocess.whole import whole_file

FIT_FILE, STRIP_FILE = "fit.json", "strip.png"

Picture = NDArray[np.uint8]

HEIGHT, GAP, FONT_PX = 320, 8, 12
"""Of the strip: px of a picture, between pictures, and of the letters."""

LINES = 5
"""Lines below each picture."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.+=-]+")
_PICTURE_NAME = re.compile(r"\d+_[A-Za-z0-9.+=_-]*\.png")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A picture with words below it."""

    picture: Picture
    """(H, W, 3) RGB."""

    title: str
    """First line."""

    lines: Sequence[str] = ()
    """The others."""


def write_fitting(
    tryon: SizeAwareTryOn,
    person: PreparedPerson,
    garment: PictureSource,
    sizes: Sequence[NamedSize],
    options: DrawingOptions,
    out: Path,
    *,
    clamp: bool = False,
    caption: str = "",
    facts: Mapping[str, Any] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Draw a person in a garment at every size and write what came out.

    Args:
        tryon: Loaded networks.
        person: Prepared.
        garment: Photo of the garment alone.
        sizes: What is asked for.
        options: How it is drawn.
        out: Folder; made where there is none. `fit.json` is written last: where it is, the rest is whole.
        clamp: Move sizes out of range to the nearest one, with a warning, instead of refusing them.
        caption: Describes the garment.
        facts: What else `fit.json` should say.
        on_step: Told how far the drawing is.

    Returns:
        `fit.json`.

    Raises:
        ValueError: A size is out of range, or something given is not what it should be.
    """
    photo = read_picture(garment, "garment photo")
    result = tryon(
        person,
        photo,
        [size.request for size in sizes],
        options,
        clamp=clamp,
        caption=caption,
        on_step=on_step,
    )
    names = write_pictures(person.photo, photo, sizes, result, out)
    report = fit_report(person, sizes, names, result, options, tryon.mask) | dict(facts or {})
    write_json(report, out / FIT_FILE)
    return report


def write_pictures(
    photo: Picture, garment: Picture | None, sizes: Sequence[NamedSize], result: TryOnResult, out: Path
) -> list[str]:
    """Write a picture a size and a strip, in place of earlier ones; return the names of the pictures' files.

    An earlier run's go first, and its `fit.json`, so that one is there only where all that it tells of is.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in told_pictures(out / FIT_FILE):
        (out / name).unlink(missing_ok=True)
    (out / FIT_FILE).unlink(missing_ok=True)
    names = [f"{number:02d}_{file_name(size.name)}.png" for number, size in enumerate(sizes)]
    for name, picture in zip(names, result.pictures, strict=True):
        write_picture(picture, out / name)
    write_picture(draw_strip(photo, garment, cells_of(sizes, result)), out / STRIP_FILE)
    return names


def told_pictures(fit: Path) -> list[str]:
    """Return the names of the pictures that a `fit.json` tells of; none where it is no such file."""
    try:
        names = [str(entry["picture"]) for entry in json.loads(fit.read_text())["sizes"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [name for name in names if _PICTURE_NAME.fullmatch(name)]


def fit_report(
    person: PreparedPerson,
    sizes: Sequence[NamedSize],
    files: Sequence[str],
    result: TryOnResult,
    options: DrawingOptions,
    mask: MaskParams,
) -> dict[str, Any]:
    """Return `fit.json`: what was asked for, what was measured, what to think of it."""
    outside = ~person.inpaint_mask
    entries = []
    for number, (size, file) in enumerate(zip(sizes, files, strict=True)):
        asked = size.request.resolved(person.natural_size)
        changed = np.asarray(result.pictures[number])[outside] != person.photo[outside]
        entry = {
            "size": size.name,
            "picture": file,
            "clamped": clamped(asked, result.requests[number], mask.asked(asked.category)),
            "pixels_changed_outside_mask": int(changed.sum()),
        }
        measured = result.fit[number].to_dict() if result.fit else {"summary": "no segmenter: not measured"}
        entries.append(entry | measured)
    natural = None if person.natural_size is None else person.natural_size.ratios()
    return {
        "natural": natural,
        "notes": person.notes,
        "keypoint_source": person.keypoints.source,
        "options": asdict(options),
        "sizes": entries,
    }


def ladder_order(report: Mapping[str, Any], ratio: str) -> str:
    """Say of a ladder's `fit.json` how often the pictures stand in the requested order."""
    entries = [entry["regions"][ratio] for entry in report["sizes"] if "regions" in entry]
    requested, measured = (
        np.array([[np.nan if e[name] is None else e[name] for e in entries]], dtype=np.float64)
        for name in ("requested", "measured")
    )
    share = float(order_accuracy(requested, measured)[0]) if entries else math.nan
    if math.isnan(share):
        return "fewer than two pictures could be measured"
    return f"{share:.0%} of the pairs of pictures stand in the requested order".replace("%", " %")


def clamped(asked: SizeRequest, drawn: SizeRequest, within: Range) -> list[str]:
    """Return a line for every ratio that was moved, into a range or to what goes with the others.

    None is for those that were left out.
    """
    return [
        f"{name}: {ratio:.3g} asked for, {shown:.3g} drawn "
        + ("(with the other sizes)" if smallest <= ratio <= largest else f"({smallest} to {largest})")
        for name, ratio in asked.asked
        for smallest, largest in [within[name]]
        if (shown := drawn[name]) is not None and ratio != shown
    ]


def cells_of(sizes: Sequence[NamedSize], result: TryOnResult) -> list[Cell]:
    """Return what the strip shows of every size."""
    captions = [fit.summary.split(", ") for fit in result.fit] or [[]] * len(sizes)
    return [
        Cell(picture=np.asarray(picture), title=size.name, lines=[str(request), *lines])
        for size, picture, request, lines in zip(
            sizes, result.pictures, result.requests, captions, strict=True
        )
    ]


def draw_strip(photo: Picture, garment: Picture | None, cells: Sequence[Cell]) -> Image.Image:
    """Lay out photo, garment, if there is one of its own, and every size in one row."""
    row = [Cell(picture=photo, title="photo")]
    row += [] if garment is None else [Cell(picture=garment, title="garment")]
    row += cells
    thumbnails = [at_height(cell.picture) for cell in row]
    widths = [max(thumbnail.shape[1], 150) for thumbnail in thumbnails]
    line_px = FONT_PX + 4
    size = (sum(widths) + GAP * (len(row) + 1), HEIGHT + GAP * 2 + LINES * line_px)
    page = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(FONT_PX)
    left = GAP
    for cell, thumbnail, width in zip(row, thumbnails, widths, strict=True):
        page.paste(Image.fromarray(thumbnail), (left + (width - thumbnail.shape[1]) // 2, GAP))
        for number, line in enumerate([cell.title, *cell.lines][:LINES]):
            place = (left + width / 2, GAP + HEIGHT + 4 + number * line_px)
            pen.text(place, line[:40], fill="#334155", font=font, anchor="ma")
        left += width + GAP
    return page


def at_height(picture: Picture) -> Picture:
    """Resize a picture to the strip's height, no wider than twice that."""
    width = min(max(1, round(picture.shape[1] * HEIGHT / picture.shape[0])), 2 * HEIGHT)
    method = cv2.INTER_AREA if picture.shape[0] > HEIGHT else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, HEIGHT), interpolation=method))


def file_name(name: str) -> str:
    """Return a part of a file name that says `name`: letters, digits and .+=- only, and not long."""
    return _NOT_IN_NAMES.sub("_", name)[:60]


def write_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    with whole_file(path) as partial:
        picture.save(partial, "PNG")


def write_json(value: Mapping[str, Any], path: Path) -> None:
    """Write JSON, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(value, indent=2) + "\n")
