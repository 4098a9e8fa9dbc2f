"""Try a garment on at the sizes that are asked for: photo in, pictures and a measured fit report out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model.adapter.adapter import SizeAdapter
from model.bases.base import TryOnBase
from model.composite import composite
from model.judges.segmenter import Segmenter, segment_with
from model.params import DrawingOptions, MemorySwitches
from model.publishing import load_pipeline, trained_pictures
from model.sampling import OnStep, SizedDrawer, TryOnInputs
from pipeline.checkpoints import for_sizes_here, usual_device
from preprocess.body.inpaint_mask import MaskParams
from preprocess.body.mediapipe import POSE_MODEL
from preprocess.layout.possible import possible_on
from preprocess.layout.resized import outline_at
from preprocess.person.fit_report import FitReport, measure_fit
from preprocess.person.prepare import PersonView, PreparedPerson, prepare_person, with_worn_garment
from preprocess.pictures import PictureSource, read_picture
from preprocess.sizes.request import SizeRequest
from preprocess.vocabulary import Category

log = logging.getLogger(__name__)

__all__ = ["DrawingOptions", "PreparedPerson", "SizeAwareTryOn", "SizeRequest", "TryOnResult"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TryOnResult:
    """One entry for every size that was asked for, in that order."""

    pictures: list[Image.Image]
    """At the photo's own resolution; outside the inpainting mask every pixel is the photo's."""

    size_maps: list[NDArray[np.float32]]
    """(H, W) of the photo, 0 to 1: how probable the garment is there, by the adapter's own plan."""

    expected_outlines: list[NDArray[np.float64]]
    """(N, 2) px of the photo: the garment worn there, laid out at the size; (0, 2) where it isn't known."""

    requests: list[SizeRequest]
    """Ratios that were drawn, after counting steps, clamping and what the body allows."""

    fit: list[FitReport]
    """Measured on the pictures; empty where the model has no segmenter."""


class SizeAwareTryOn:
    """Networks ready to try garments on.

    Args:
        base: Try-on networks.
        adapter: Their size conditioning.
        image_height: Rows of the pictures that they were trained on.
        image_width: Columns of them.
        mask: How their inpainting masks were drawn: people are prepared with such masks, and no larger size
            than they leave room for may be asked for.
        categories: Of the garments that they were trained on, others are refused; None where an earlier
            version trained them, which didn't record it.
        segmenter: Finds the garment in a picture; without it nothing is measured.
        pose_model: MediaPipe's pose landmarker, for photos without keypoints.
    """

    def __init__(
        self,
        base: TryOnBase,
        adapter: SizeAdapter,
        *,
        image_height: int,
        image_width: int,
        mask: MaskParams,
        categories: Sequence[str] | None = None,
        segmenter: Segmenter | None = None,
        pose_model: Path = POSE_MODEL,
    ) -> None:
        if mask.follows != "body":
            raise ValueError(
                "these networks were trained with masks that follow the worn garment (an ablation): such a "
                "mask leaves no room for another size, so they can be evaluated, but not tried on with"
            )
        adapter.attach(base.sites())
        self.base = base.requires_grad_(False).eval()
        self.adapter = adapter.requires_grad_(False).eval()
        self.image_height = image_height
        self.image_width = image_width
        self.mask = mask
        self.categories = None if categories is None else list(categories)
        self.segmenter = segmenter and segmenter.requires_grad_(False).eval()
        self.pose_model = pose_model
        self.memory = MemorySwitches()
        """How much is held at a time."""

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        device: str | torch.device | None = None,
        torch_dtype: torch.dtype | None = None,
    ) -> Self:
        """Load a folder that `model.publishing.save_pipeline` wrote.

        Args:
            folder: The folder, or the name of a repository of the hub.
            device: Where the networks run; the GPU where there is one when None.
            torch_dtype: Type of the weights in memory; as stored when None.

        Raises:
            FileNotFoundError: The folder holds no such pipeline.
            ValueError: Its weights are not those that its configs promise, or an earlier version wrote it,
                which didn't say with which masks the networks were trained.
        """
        base, adapter, segmenter = load_pipeline(folder, torch_dtype)
        pictures = trained_pictures(folder)
        tryon = cls(
            base,
            for_sizes_here(adapter, folder),
            image_height=pictures["image_height"],
            image_width=pictures["image_width"],
            mask=MaskParams.recorded(pictures.get("mask"), folder),
            categories=pictures.get("categories"),
            segmenter=segmenter,
        )
        return tryon.to(device or usual_device())

    def to(self, device: str | torch.device) -> Self:
        """Move the networks to a device."""
        for networks in (self.base, self.adapter, self.segmenter):
            if networks is not None:
                networks.to(device)
        return self

    def save_memory(self, switches: MemorySwitches, device: str | torch.device) -> Self:
        """Draw in less memory; see `TryOnBase.save_memory`. Half precision is for whoever loads."""
        self.memory = switches
        self.base.save_memory(switches, device)
        for networks in (self.adapter, self.segmenter):
            if networks is not None:
                networks.to(device)
        return self

    def prepare(
        self,
        photo: PictureSource,
        keypoints: Any = None,
        parse: Any = None,
        densepose: Any = None,
        inpaint_mask: Any = None,
        key: str = "",
        category: Category = Category.UPPER,
    ) -> PreparedPerson:
        """Prepare a person once for many garments and sizes; see `preprocess.person.prepare.prepare_person`.

        Where no parse map is given, the model's segmenter looks for the garment worn in the photo, unless
        that was trained on several categories: then it finds one or another of a whole figure's garments.

        Raises:
            ValueError: The networks were never trained on such garments, or see there.
        """
        self.require_trained(category)
        person = prepare_person(
            photo,
            keypoints=keypoints,
            parse=parse,
            densepose=densepose,
            inpaint_mask=inpaint_mask,
            mask=self.mask,
            pose_model=self.pose_model,
            key=key,
            category=category,
        )
        if parse is not None or self.segmenter is None:
            return person
        if self.categories != [category]:
            note = "no parse map, which alone tells garments apart here: the natural size is not known"
            return replace(person, notes=[*person.notes, note])
        view = PersonView.of(person, self.image_height, self.image_width)
        worn = self.garment_in(view, person.photo)
        return with_worn_garment(person, worn, "model's segmenter", densepose)

    def __call__(
        self,
        person: PreparedPerson | PictureSource,
        garment: PictureSource,
        size: SizeRequest | Sequence[SizeRequest] | None = None,
        options: DrawingOptions = DrawingOptions(),  # noqa: B008 - it is frozen
        *,
        caption: str = "",
        clamp: bool = False,
        on_step: OnStep | None = None,
        **given: Any,
    ) -> TryOnResult:
        """Draw a person in a garment at one size or several, all from the same noise, and measure them.

        Args:
            person: From `prepare`, or a photo.
            garment: Photo of the garment alone.
            size: What is asked for; the natural size when None.
            options: How it is drawn.
            caption: Describes the garment, such as `a red t-shirt`.
            clamp: Move a size out of range to the nearest one in it, with a warning, instead of refusing it.
            on_step: Told after each step how many are done, and of how many; it may raise to stop.
            **given: `keypoints`, `parse`, `densepose`, `inpaint_mask`, `key` and `category` of a photo that
                isn't prepared.

        Raises:
            ValueError: No size is asked for, or one is out of range or of another category than the person is
                prepared for, or something given is not what it should be. What is natural is clamped instead.
        """
        if not isinstance(person, PreparedPerson):
            person = self.prepare(person, **given)
        elif given:
            raise ValueError(
                f"a prepared person has its own {', '.join(given)}: give a photo, or leave them out"
            )
        self.require_trained(person.category)
        size = SizeRequest.natural(category=person.category) if size is None else size
        asked = [size] if isinstance(size, SizeRequest) else list(size)
        require_sizes(person, asked)
        requests = [request.resolved(person.natural_size) for request in asked]
        requests = [
            one.clamped(within) if clamp else one.required_in_range(within, person.natural_size)
            for one in requests
            for within in [self.mask.asked(one.category)]
        ]
        requests = [possible(person, request) for request in requests]
        view = PersonView.of(person, self.image_height, self.image_width)
        inputs = view.inputs(read_picture(garment, "garment photo"))
        drawer = SizedDrawer(
            self.base,
            self.adapter,
            TryOnInputs(**inputs, keys=[person.key], captions=[caption], categories=[str(person.category)]),
            options,
            batch_size=self.memory.batch_size,
        )
        ratios = np.array([request.as_array() for request in requests]).reshape(len(requests), -1)
        drawn = drawer.draw(0, ratios, on_step)
        seam = options.seam_px(self.image_height) * view.photo_px
        pictures = [
            composite(person.photo, view.over_photo(picture), person.inpaint_mask, seam)
            for picture in drawn.pictures
        ]
        return TryOnResult(
            pictures=[Image.fromarray(picture) for picture in pictures],
            size_maps=[size_map_in_photo(view, grid) for grid in drawn.size_maps],
            expected_outlines=[expected_outline(person, request) for request in requests],
            requests=requests,
            fit=[
                measure_fit(
                    self.garment_in(view, picture, inputs["cloth"][0]),
                    person.keypoints,
                    request,
                    person.natural_size,
                    person.tops_mask,
                    picture,
                )
                for picture, request in zip(pictures, requests, strict=True)
                if self.segmenter is not None
            ],
        )

    def knows(self, category: Category) -> bool:
        """Whether the networks were trained on such garments, as far as they tell."""
        return self.categories is None or category in self.categories

    def require_trained(self, category: Category) -> None:
        """Raise ValueError where the networks were never trained on garments of a category."""
        if not self.knows(category):
            known = ", ".join(self.categories or ())
            raise ValueError(
                f"these networks were trained on garments of {known} alone and draw {category} as such: "
                f"train on data that has {category}, as `cinderella recipes --run categories` does"
            )

    def garment_in(
        self, view: PersonView, picture: NDArray[np.uint8], garment: NDArray[np.uint8] | None = None
    ) -> NDArray[np.bool_]:
        """Return where the segmenter sees the garment in an (H, W, 3) picture of the photo's size.

        It is told what to look for by the (h, w, 3) photo of the garment alone, where that is known.
        """
        assert self.segmenter is not None
        cloths = None if garment is None else garment[None]
        (probability,) = segment_with(self.segmenter, view.seen(picture)[None], cloths)
        found: NDArray[np.bool_] = view.in_photo(probability) > 0.5
        return found


def require_sizes(person: PreparedPerson, asked: Sequence[SizeRequest]) -> None:
    """Raise ValueError where no size is asked for, or one of another category than the person's."""
    if not asked:
        raise ValueError("a size must be asked for, got an empty list: leave `size` out for the natural one")
    others = {request.category for request in asked} - {person.category}
    if others:
        raise ValueError(
            f"the person is prepared for garments of {person.category}, but sizes of {', '.join(others)} are "
            "asked for: name the category of both (--category)"
        )


def possible(person: PreparedPerson, request: SizeRequest) -> SizeRequest:
    """Return what a garment asked for has on a person; a warning is logged for every ratio that had to move.

    Where the worn garment isn't known, nothing moves.
    """
    if person.garment_mask is None or person.natural_size is None:
        return request
    natural, wanted = person.natural_size.as_array(), request.as_array()
    had = possible_on(person.garment_mask, person.keypoints, natural, wanted, person.category)
    moved = SizeRequest.measured(np.where(had == wanted, np.nan, had), request.category)
    if not moved.asked:
        return request
    for name, ratio in moved.asked:
        log.warning("%s %.2f can't be had with the other sizes: drawn at %.2f", name, request[name], ratio)
    return SizeRequest.of(dict(request.asked) | dict(moved.asked), category=request.category)


def expected_outline(person: PreparedPerson, request: SizeRequest) -> NDArray[np.float64]:
    """Return the edge of the garment worn in the photo, resized; (0, 2) where that garment isn't known."""
    if person.garment_mask is None or person.natural_size is None:
        return np.empty((0, 2))
    natural, wanted = person.natural_size.as_array(), request.as_array()
    return outline_at(person.garment_mask, person.keypoints, natural, wanted, person.category)


def size_map_in_photo(view: PersonView, grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """Enlarge an (h, w) size map to the photo; zeros where the adapter drew none."""
    if not grid.size:
        return np.zeros(view.person.photo.shape[:2], np.float32)
    return np.clip(view.in_photo(grid), 0, 1)
