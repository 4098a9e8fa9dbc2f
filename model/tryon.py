"""Try a garment on at the sizes that are asked for: photo in, pictures and a measured fit report out.

The one module of `model` that knows `preprocess`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model.base import TryOnBase
from model.conditioning import from_uint8
from model.publishing import load_pipeline, picture_size
from model.sampling import composite
from model.segmenter import Segmenter
from model.size_conditioning import SizeAdapter
from model.sized_drawing import DrawingOptions, OnePerson, draw_sizes
from preprocess.fit_report import FitReport, measure_fit
from preprocess.framing import Window
from preprocess.person import POSE_MODEL, PreparedPerson, prepare_person, with_worn_garment
from preprocess.pictures import PictureSource, read_picture
from preprocess.size_request import SizeRequest
from preprocess.worn_outline import expected_outline

__all__ = ["PreparedPerson", "SizeAwareTryOn", "SizeRequest", "TryOnBase", "TryOnResult"]

SEAM = 1.0
"""Width of the seam inside the mask's edge, in px of the model's picture."""


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
    """Ratios that were drawn, after counting steps and clamping."""

    fit: list[FitReport]
    """Measured on the pictures; empty where the model has no segmenter."""


class SizeAwareTryOn:
    """Networks ready to try garments on.

    Args:
        base: Try-on networks.
        adapter: Their size conditioning.
        image_height: Rows of the pictures that they were trained on.
        image_width: Columns of them.
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
        segmenter: Segmenter | None = None,
        pose_model: Path = POSE_MODEL,
    ) -> None:
        adapter.attach(base.tryon_unet)
        self.base = base.requires_grad_(False).eval()
        self.adapter = adapter.requires_grad_(False).eval()
        self.image_height = image_height
        self.image_width = image_width
        self.segmenter = segmenter and segmenter.requires_grad_(False).eval()
        self.pose_model = pose_model
        self.batch_size = 8
        """Sizes drawn together: fewer take less memory."""

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
            ValueError: Its weights are not those that its configs promise.
        """
        base, adapter, segmenter = load_pipeline(folder, torch_dtype)
        height, width = picture_size(folder)
        tryon = cls(base, adapter, image_height=height, image_width=width, segmenter=segmenter)
        return tryon.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def to(self, device: str | torch.device) -> Self:
        """Move the networks to a device."""
        for networks in (self.base, self.adapter, self.segmenter):
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
    ) -> PreparedPerson:
        """Prepare a person once for many garments and sizes; see `preprocess.person.prepare_person`.

        Where no parse map is given, the model's segmenter looks for the garment worn in the photo.
        """
        person = prepare_person(
            photo,
            keypoints=keypoints,
            parse=parse,
            densepose=densepose,
            inpaint_mask=inpaint_mask,
            pose_model=self.pose_model,
        )
        if parse is not None or self.segmenter is None:
            return person
        window = self.window(person)
        return with_worn_garment(person, self.garment_in(person.photo, window), "model's segmenter")

    def __call__(
        self,
        person: PreparedPerson | PictureSource,
        garment: PictureSource,
        size: SizeRequest | Sequence[SizeRequest] = SizeRequest.natural(),  # noqa: B008 - it is frozen
        *,
        caption: str = "",
        num_steps: int = 20,
        seed: int = 0,
        text_guidance: float = 1.0,
        size_guidance: float = 1.0,
        size_scale: float = 1.0,
        clamp: bool = False,
        on_step: Callable[[int, int], None] | None = None,
        **given: Any,
    ) -> TryOnResult:
        """Draw a person in a garment at one size or several, all from the same noise, and measure them.

        Args:
            person: From `prepare`, or a photo.
            garment: Photo of the garment alone.
            size: What is asked for.
            caption: Describes the garment, such as `a red t-shirt`.
            num_steps: Denoising steps.
            seed: Of the noise.
            text_guidance: Classifier-free guidance on caption and garment; 1 is off.
            size_guidance: Guidance from an unknown size to the requested one; 1 is off.
            size_scale: Strength of the size; at 0 the base draws alone.
            clamp: Move a size out of range to the nearest one in it, with a warning, instead of refusing it.
            on_step: Told after each step how many are done, and of how many; it may raise to stop.
            **given: `keypoints`, `parse`, `densepose`, `inpaint_mask` of a photo that isn't prepared.

        Raises:
            ValueError: A size is out of range, or something given is not what it should be.
        """
        if not isinstance(person, PreparedPerson):
            person = self.prepare(person, **given)
        elif given:
            raise ValueError(
                f"a prepared person has its own {', '.join(given)}: give a photo, or leave them out"
            )
        asked = [size] if isinstance(size, SizeRequest) else list(size)
        requests = [request.resolved(person.natural_size) for request in asked]
        requests = [r.clamped() if clamp else r.required_in_range() for r in requests]
        options = DrawingOptions(
            num_steps=num_steps,
            seed=seed,
            text_guidance=text_guidance,
            size_guidance=size_guidance,
            size_scale=size_scale,
            batch_size=self.batch_size,
        )
        window = self.window(person)
        drawn, maps = draw_sizes(
            self.base,
            self.adapter,
            self.seen(person, window, read_picture(garment, "garment photo"), caption),
            np.array([request.as_array() for request in requests]).reshape(-1, 3),
            options,
            on_step,
        )
        pictures = [self.in_photo(person, window, picture) for picture in drawn]
        return TryOnResult(
            pictures=[Image.fromarray(picture) for picture in pictures],
            size_maps=[in_place(grid, window, person) for grid in maps],
            expected_outlines=[expected_outline(person, request) for request in requests],
            requests=requests,
            fit=[
                self.fit(person, window, picture, request)
                for picture, request in zip(pictures, requests, strict=True)
                if self.segmenter is not None
            ],
        )

    def window(self, person: PreparedPerson) -> Window:
        """Return the part of the photo that the networks see."""
        return Window.around(person.inpaint_mask, self.image_height, self.image_width)

    def seen(
        self, person: PreparedPerson, window: Window, garment: NDArray[np.uint8], caption: str
    ) -> OnePerson:
        """Return person and garment as the networks see them."""
        whole = np.ones(garment.shape[:2], np.bool_)
        joints = np.column_stack([window.seen_points(person.keypoints.xy), person.keypoints.confidence])
        return OnePerson(
            image=window.seen(person.photo)[None],
            cloth=Window.around(whole, self.image_height, self.image_width).seen(garment)[None],
            densepose=window.seen(person.densepose)[None],
            inpaint_mask=window.seen_mask(person.inpaint_mask)[None],
            captions=[caption],
            keypoints=joints.astype(np.float32)[None],
        )

    def in_photo(self, person: PreparedPerson, window: Window, drawn: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Enlarge what was drawn and put it into the photo, inside the inpainting mask."""
        enlarged = window.put_back(drawn, *person.photo.shape[:2])
        seam = SEAM * window.height / self.image_height
        return composite(person.photo, enlarged, person.inpaint_mask, max(seam, 1.0))

    def garment_in(self, picture: NDArray[np.uint8], window: Window) -> NDArray[np.bool_]:
        """Return where the segmenter sees the garment in an (H, W, 3) picture of the photo's size."""
        assert self.segmenter is not None
        seen = from_uint8(window.seen(picture)[None]).to(self.segmenter.device, self.segmenter.dtype)
        probability = self.segmenter.garment_probability(seen)[0].float().cpu().numpy()
        found: NDArray[np.bool_] = window.put_back(probability, *picture.shape[:2]) > 0.5
        return found

    def fit(
        self, person: PreparedPerson, window: Window, picture: NDArray[np.uint8], request: SizeRequest
    ) -> FitReport:
        """Measure the garment in a picture."""
        return measure_fit(self.garment_in(picture, window), person.keypoints, request, person.natural_size)


def in_place(grid: NDArray[np.float32], window: Window, person: PreparedPerson) -> NDArray[np.float32]:
    """Enlarge an (h, w) map to the photo; zeros where the adapter drew none."""
    height, width = person.photo.shape[:2]
    if not grid.size:
        return np.zeros((height, width), np.float32)
    return np.clip(window.put_back(grid, height, width), 0, 1)
