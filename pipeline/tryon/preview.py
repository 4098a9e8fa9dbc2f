"""Show a person's own garment at other sizes without a network: the photo itself is warped.

A preview is sharp and at once, but knows nothing of how cloth falls; each picture says what it is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.tryon.pictures import FIT_FILE, clamped, write_json, write_pictures
from pipeline.tryon.size_aware import PreparedPerson, TryOnResult, expected_outline
from pipeline.tryon.size_list import NamedSize
from preprocess.body.densepose import nearest_parts
from preprocess.body.inpaint_mask import MaskParams
from preprocess.body.legs import LegFrame
from preprocess.body.mediapipe import POSE_MODEL
from preprocess.garment.grabcut import segment_garment
from preprocess.layout.parts import split
from preprocess.layout.worn_photo import RESIZABLE, ResizedPhoto, WornPhoto, followed, resize_worn
from preprocess.lower.worn_legs import take_apart
from preprocess.person.fit_report import measure_fit
from preprocess.person.prepare import prepare_person, with_worn_garment
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.sizes.request import SizeRequest
from preprocess.vocabulary import Category

MARK = "preview"
"""Stands in the corner of every picture."""

MARK_HEIGHT = 0.03
"""Of its letters, over the picture's height."""


def prepare_for_preview(
    photo: Path,
    given: Mapping[str, Path],
    *,
    pose_model: Path = POSE_MODEL,
    category: Category = Category.UPPER,
) -> PreparedPerson:
    """Prepare a photo whose own garment is to be resized; without a parse map its colours tell the garment.

    `given` has `keypoints`, `parse`, `densepose` and `inpaint_mask`, as far as there are files; without
    keypoints the pose model finds some.

    Raises:
        ValueError: Something given is not what it should be, nobody is found with the joints that such
            garments are measured by, or colours would have to tell a garment that isn't worn on top.
        OSError: A file can't be read.
    """
    files: dict[str, Any] = dict(given)
    person = prepare_person(
        photo, **files, mask=MaskParams(), pose_model=pose_model, key=photo.stem, category=category
    )
    if "parse" in given:
        return person
    if category is not Category.UPPER:
        raise ValueError(f"a preview of {category} needs a parse map (--parse): colours tell tops alone")
    garment = segment_garment(person.photo, person.keypoints)
    return with_worn_garment(person, garment, "garment's colours", given.get("densepose"))


def preview(person: PreparedPerson, sizes: Sequence[SizeRequest], *, clamp: bool = False) -> TryOnResult:
    """Show the garment worn in the photo at every size.

    A ratio that isn't known in the photo stays as it is: nothing says by how much the cloth should change.
    The requests of the result leave it open. `clamp` moves a size out of range to the nearest one in it, with
    a warning, instead of refusing it.

    Raises:
        ValueError: A size is out of range, the garment or its natural size is not known, or nothing of it
            is where such garments are worn.
    """
    if person.garment_mask is None or not person.garment_mask.any() or person.natural_size is None:
        raise ValueError(
            "a preview resizes the garment worn in the photo, which isn't known here: give a parse map of "
            "it (--parse)"
        )
    require_in_place(person, person.garment_mask)
    requests = [on_known_axes(size, person.natural_size) for size in sizes]
    requests = [
        one.clamped() if clamp else one.required_in_range(None, person.natural_size) for one in requests
    ]
    body = nearest_parts(person.densepose)
    shown = [resized(person, person.garment_mask, request, body) for request in requests]
    no_map = np.zeros(person.photo.shape[:2], np.float32)
    return TryOnResult(
        pictures=[marked(one.photo) for one in shown],
        size_maps=[no_map] * len(shown),
        expected_outlines=[expected_outline(person, request) for request in requests],
        requests=requests,
        fit=[
            measure_fit(one.garment_mask, one.keypoints, request, person.natural_size, picture=one.photo)
            for one, request in zip(shown, requests, strict=True)
        ],
    )


def require_in_place(person: PreparedPerson, garment: NDArray[np.bool_]) -> None:
    """Raise ValueError where a worn garment isn't where those of its category are."""
    if person.category is Category.LOWER:
        found = take_apart(garment, LegFrame.from_keypoints(person.keypoints)) is not None
        where = "legs"
    else:
        found = person.category in RESIZABLE and split(garment, person.keypoints) is not None
        where = "shoulders and the chest"
    if not found:
        raise ValueError(
            f"a preview resizes the {person.category} garment that is worn in the photo, but nothing of it "
            f"covers the {where}"
        )


def on_known_axes(size: SizeRequest, natural: SizeRequest) -> SizeRequest:
    """Return the ratios asked for that a photo follows and whose natural ones are known."""
    known = {name for name, _ in natural.asked if name in followed(size.category)}
    asked = {name: ratio for name, ratio in size.resolved(natural).asked if name in known}
    return SizeRequest.of(asked, category=size.category)


def left_open(sizes: Sequence[SizeRequest], shown: Sequence[SizeRequest]) -> list[str]:
    """Return a note for every axis on which ratios were asked for that couldn't be shown."""
    unknown, never = "its ratio in the photo isn't known", "no preview shows it"
    asked = {
        name: unknown if name in followed(size.category) else never
        for size, seen in zip(sizes, shown, strict=True)
        for name, _ in size.asked
        if not seen[name]
    }
    return [
        f"{name} was asked for, but stays as it is: {asked[name]}" for name in AXIS_NAMES if name in asked
    ]


def resized(
    person: PreparedPerson, garment: NDArray[np.bool_], request: SizeRequest, body: NDArray[np.uint8]
) -> ResizedPhoto:
    """Show the garment at a size; the photo as it is where nothing changes."""
    assert person.natural_size is not None
    worn = WornPhoto(person.photo, garment)
    natural, asked = person.natural_size.as_array(), request.as_array()
    unchanged = ResizedPhoto(person.photo, garment, person.keypoints)
    return resize_worn(worn, person.keypoints, natural, asked, body, person.category) or unchanged


def marked(photo: NDArray[np.uint8]) -> Image.Image:
    """Write what it is into the lower left corner of a picture."""
    picture = Image.fromarray(photo)
    px = max(9, round(MARK_HEIGHT * picture.height))
    place = (px // 2, picture.height - px // 2)
    ImageDraw.Draw(picture).text(
        place,
        MARK,
        fill="white",
        font=ImageFont.load_default(px),
        anchor="ls",
        stroke_width=max(1, px // 10),
        stroke_fill="#334155",
    )
    return picture


def write_preview(
    person: PreparedPerson, sizes: Sequence[NamedSize], out: Path, *, clamp: bool = False
) -> dict[str, Any]:
    """Write a picture a size, a strip and `fit.json`, which is returned and written last.

    Raises:
        ValueError: See `preview`.
    """
    asked = [size.request for size in sizes]
    result = preview(person, asked, clamp=clamp)
    names = write_pictures(person.photo, None, sizes, result, out)
    assert person.natural_size is not None
    entries = [
        {
            "size": size.name,
            "picture": name,
            "clamped": clamped(
                size.request.resolved(person.natural_size),
                request,
                {name: axis.asked for name, axis in request.axes.items()},
            ),
            **fit.to_dict(),
        }
        for size, name, request, fit in zip(sizes, names, result.requests, result.fit, strict=True)
    ]
    notes = [*person.notes, *left_open(asked, result.requests)]
    report = {
        "preview": True,
        "natural": person.natural_size.ratios(),
        "notes": [*notes, "a preview: the photo was warped, no network drew it"],
        "keypoint_source": person.keypoints.source,
        "sizes": entries,
    }
    write_json(report, out / FIT_FILE)
    return report
