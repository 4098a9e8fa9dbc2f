"""Make a photo of a person ready for trying on: joints, what may be painted, a map of the body.

What is not given is found or drawn where that is possible, and every such thing is said. `PersonView` is what
networks of another size and shape see of a prepared person, and the way back into the photo.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocess.body.densepose import Parts, load_densepose, nearest_parts, read_densepose
from preprocess.body.drawing import draw_body
from preprocess.body.inpaint_mask import MaskParams, inpainting_mask
from preprocess.body.keypoints import MIN_CONFIDENCE, KeypointError, Keypoints
from preprocess.body.mediapipe import POSE_MODEL, PoseDetector, detect_person
from preprocess.body.needs import require_body
from preprocess.body.openpose import TRUNK, read_openpose
from preprocess.body.protected import TOP_LABELS
from preprocess.garment.joint_fit import other_scale
from preprocess.garment.parse import garment_mask, labels_mask, load_parse, other_labels
from preprocess.garment.scene import Scene
from preprocess.garment.size_ratios import SizeRatioParams, SizeRatios, size_ratios
from preprocess.garment.worn import EDGES_WIDTH, measure_parsed, measured_alone
from preprocess.masks import MaskSource, read_mask
from preprocess.person.window import Window
from preprocess.pictures import PictureSource, read_picture, same_shape
from preprocess.sizes.request import SizeRequest
from preprocess.untrusted import STRANGERS
from preprocess.vocabulary import NUM_JOINTS, Category, RowStatus, require_tried_on

Mask = NDArray[np.bool_]

SPARED = 0.1
"""Share of the torso below which a mask is taken to leave it out."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedPerson:
    """A person who can try garments on."""

    photo: NDArray[np.uint8]
    """(H, W, 3) RGB."""

    keypoints: Keypoints
    """px of the photo."""

    inpaint_mask: Mask
    """(H, W) what may be painted anew."""

    densepose: NDArray[np.uint8]
    """(H, W, 3) RGB, parts in DensePose's colours."""

    garment_mask: Mask | None = None
    """(H, W) the garment worn in the photo; None where that isn't known."""

    tops_mask: Mask | None = None
    """(H, W) what is worn on the upper body and stays; None without a parse map."""

    key: str = ""
    """Names the person: the noise of a picture depends on it, so that one who is drawn again is drawn the
    same, and two people under one seed are not drawn from the same noise."""

    category: Category = Category.UPPER
    """Of the garments that are tried on."""

    natural_size: SizeRequest | None = None
    """Its size, measured in the photo; None where nothing could be measured."""

    notes: list[str] = field(default_factory=list)
    """What was not given and had to be found, drawn or left out; and what is doubtful."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PersonView:
    """Who is seen, and through which window."""

    person: PreparedPerson
    window: Window

    @classmethod
    def of(cls, person: PreparedPerson, image_height: int, image_width: int) -> Self:
        """Choose the window for a model whose pictures have this height and width (px)."""
        window = Window.around(person.inpaint_mask, image_height, image_width)
        return cls(person=person, window=window)

    def inputs(self, garment: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return what the model is given, a batch of one.

        Args:
            garment: (h, w, 3) RGB, whole; its edge is repeated where it has other proportions.

        Returns:
            `image`, `cloth`, `densepose` (1, H, W, 3) uint8, `inpaint_mask` (1, H, W) bool, and `keypoints`
            (1, 25, 3) float32 in px of `image`.
        """
        person, window = self.person, self.window
        whole = np.ones(garment.shape[:2], np.bool_)
        joints = np.column_stack([window.seen_points(person.keypoints.xy), person.keypoints.confidence])
        seen = {
            "image": window.seen(person.photo),
            "cloth": Window.around(whole, window.image_height, window.image_width).seen(garment),
            "densepose": window.seen(person.densepose),
            "inpaint_mask": window.seen_mask(person.inpaint_mask),
            "keypoints": joints.astype(np.float32),
        }
        return {name: array[None] for name, array in seen.items()}

    def seen(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what the model sees, (H, W, 3), of a picture of the photo's size."""
        return self.window.seen(picture)

    def in_photo(self, grid: NDArray[Any]) -> NDArray[Any]:
        """Enlarge a picture or map that the model made to the photo's size; 0 where it saw nothing."""
        return self.window.put_back(grid, *self.person.photo.shape[:2])

    def over_photo(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Enlarge a picture that the model made to the photo's size; its edges go on where it saw nothing."""
        height, width = self.person.photo.shape[:2]
        return self.window.put_back(picture, height, width, cv2.BORDER_REPLICATE)

    @property
    def photo_px(self) -> float:
        """How many px of the photo one px of the model's picture covers."""
        return self.window.height / self.window.image_height


def prepare_person(
    photo: PictureSource,
    *,
    keypoints: Keypoints | NDArray[Any] | str | Path | None = None,
    parse: MaskSource | None = None,
    densepose: MaskSource | None = None,
    inpaint_mask: MaskSource | None = None,
    mask: MaskParams,
    pose_model: Path = POSE_MODEL,
    key: str = "",
    category: Category = Category.UPPER,
) -> PreparedPerson:
    """Prepare a photo of one person seen from the front.

    Args:
        photo: The photo.
        keypoints: Joints in px of the photo: (25, 3) BODY_25, or OpenPose's JSON; MediaPipe's when None.
        parse: (H, W) LIP labels, or their file. They protect head and hands, and tell the natural size.
        densepose: DensePose's parts in its colours, or by number; drawn from the joints when None.
        inpaint_mask: (H, W), light where the picture may be painted; made from the joints when None.
        mask: How an inpainting mask that isn't given is drawn: as those the networks were trained with.
        pose_model: MediaPipe's pose landmarker, for photos without keypoints.
        key: Names the person, as the data set does.
        category: Of the garments that will be tried on.

    Raises:
        ValueError: Something given is not what it should be, or nobody is found with the joints that such
            garments are measured by.
        OSError: A file can't be read, `pose_model` among them.
    """
    require_tried_on(category)
    maps = [Path(one) for one in (parse, densepose, inpaint_mask) if isinstance(one, str | Path)]
    picture = read_picture(photo, "person photo", limits=STRANGERS, beside=maps)
    shape = (picture.shape[0], picture.shape[1])
    notes: list[str] = []
    joints = read_joints(keypoints, picture, pose_model, notes)
    # as tables hold them, in single precision: what is measured on them is what training data has
    person = Keypoints.from_flat(joints.flat(), source=joints.source, format=joints.format)
    require_person(person, category)
    labels = None if parse is None else read_labels(parse, shape, person)
    if labels is None:
        notes.append("no parse map: head and hands are protected as the joints show them")
    if densepose is None:
        notes.append("no DensePose: the map of the body is drawn from the joints")
    if inpaint_mask is None:
        inside = inpainting_mask(person, *shape, category, mask, parse=labels)
    else:
        inside = read_inpaint_mask(inpaint_mask, shape, person)
    prepared = PreparedPerson(
        photo=picture,
        key=key,
        keypoints=person,
        inpaint_mask=inside,
        densepose=draw_body(person, *shape) if densepose is None else densepose_of(densepose, shape),
        category=category,
        tops_mask=None if labels is None else labels_mask(labels, TOP_LABELS) & ~inside,
        notes=notes,
    )
    if labels is None:
        return prepared
    edges = picture
    if isinstance(photo, str | Path):
        edges = read_picture(photo, "person photo", limits=STRANGERS, beside=maps, at_least=EDGES_WIDTH)
    garment, result = garment_mask(labels, category), None
    if garment.any():
        _, result = measure_parsed(
            garment,
            labels,
            person,
            SizeRatioParams(),
            category=category,
            photo=edges,
            densepose=parts_of(densepose),
        )
    return with_natural_size(prepared, garment, result, "parse map")


def with_worn_garment(
    person: PreparedPerson, garment: Mask, source: str, densepose: MaskSource | None = None
) -> PreparedPerson:
    """Add the garment that is worn in the photo, where no parse map tells it, and measure its size.

    It is (H, W) bool, found by `source`, who stands in the notes.
    """
    if not garment.any():
        return with_natural_size(person, garment, None, source)
    scene = Scene(photo=person.photo, densepose=parts_of(densepose))
    worn = measured_alone(garment, person.keypoints, person.category, scene)
    result = size_ratios(worn, SizeRatioParams(), category=person.category, keypoints=person.keypoints)
    return with_natural_size(person, garment, result, source)


def with_natural_size(
    person: PreparedPerson, garment: Mask, result: SizeRatios | None, source: str
) -> PreparedPerson:
    """Add the garment that is worn in the photo, and the size that was measured on it, if any."""
    if result is None:
        note = f"the {source} shows no garment: the natural size is not known"
        return replace(person, notes=[*person.notes, note])
    notes = list(person.notes)
    if result.status is not RowStatus.OK:
        notes.append(f"the natural size ({source}) is doubtful: {result.reason}")
    natural = SizeRequest.measured(result.credible, person.category)
    return replace(person, garment_mask=garment, natural_size=natural, notes=notes)


def read_joints(
    given: Keypoints | NDArray[Any] | str | Path | None,
    picture: NDArray[np.uint8],
    pose_model: Path,
    notes: list[str],
) -> Keypoints:
    """Take the joints as they are given, or find them in the picture."""
    height, width = picture.shape[:2]
    if isinstance(given, Keypoints):
        return given
    if isinstance(given, str | Path):
        try:
            return read_openpose(Path(given), width, height)
        except KeypointError as problem:
            raise KeypointError(f"{given} must be OpenPose's JSON of the photo: {problem}") from problem
    if given is not None:
        return from_table(np.asarray(given, dtype=np.float64))
    if not pose_model.is_file():
        raise FileNotFoundError(
            f"the photo has no keypoints, and {pose_model}, which finds some, isn't there: run `cinderella "
            "fetch-models` (its file is `pose_model`, or --pose-model), or give OpenPose's JSON (--keypoints)"
        )
    notes.append("no keypoints: MediaPipe finds the joints")
    with PoseDetector(pose_model) as detector:
        return detect_person(detector, picture, MIN_CONFIDENCE)


def from_table(table: NDArray[np.float64]) -> Keypoints:
    """Take a (25, 3) table of x, y, confidence; a joint of no confidence is missing."""
    if table.shape != (NUM_JOINTS, 3):
        raise ValueError(
            f"keypoints must have shape ({NUM_JOINTS}, 3), x and y in px and confidence of BODY_25's joints, "
            f"got {table.shape}"
        )
    person = Keypoints.from_flat(table, source="openpose", format="body_25")
    return person.without(~np.isfinite(table).all(axis=1) | ~(person.confidence >= MIN_CONFIDENCE))


def require_person(keypoints: Keypoints, category: Category) -> None:
    """Raise ValueError unless the joints span a body that garments of a category are measured by."""
    try:
        require_body(keypoints, category)
    except KeypointError as error:
        joints = "hips and knees" if category is Category.LOWER else "both shoulders and the hips"
        raise ValueError(f"the photo must show one person from the front with {joints}: {error}") from error


def read_labels(parse: MaskSource, shape: tuple[int, int], person: Keypoints) -> NDArray[np.uint8]:
    """Read a parse map of the photo's size, of LIP's labels."""
    labels = same_size("parse map", load_parse(parse, limits=STRANGERS), shape)
    doubt = other_labels(labels, person)
    if doubt is not None:
        raise ValueError(f"the {doubt} Labels must be LIP's")
    factor = other_scale(labels, person)
    if factor is not None:
        raise ValueError(
            f"the keypoints lie on the parse map at {factor:.2f} times their size: they must be in px of "
            "the photo"
        )
    return labels


def read_inpaint_mask(mask: MaskSource, shape: tuple[int, int], person: Keypoints) -> Mask:
    """Read a mask of the photo's size; one that covers all but the torso is taken for inverted."""
    if isinstance(mask, np.ndarray):
        same_size("inpainting mask", mask, shape)
    inside = same_size("inpainting mask", read_mask(mask, "inpainting mask", limits=STRANGERS), shape)
    trunk = np.zeros(shape, np.uint8)
    joints = person.xy[list(TRUNK)]
    cv2.fillConvexPoly(trunk, cv2.convexHull(joints[np.isfinite(joints).all(axis=1)].astype(np.int32)), 1)
    covered = inside[trunk > 0]
    if covered.size and covered.mean() < SPARED and inside.mean() > 1 / 2:
        raise ValueError(
            f"the inpainting mask covers {inside.mean():.0%} of the photo but {covered.mean():.0%} of the "
            "torso: is it inverted? It must be light where the photo may be painted"
        )
    return inside


def densepose_of(densepose: MaskSource, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Read DensePose's picture, resized to the photo where it is smaller or larger."""
    picture = read_densepose(densepose, limits=STRANGERS)
    if not same_shape(picture.shape, shape):
        raise ValueError(
            f"the DensePose must have the photo's proportions, {shape[1]}x{shape[0]}, "
            f"got {picture.shape[1]}x{picture.shape[0]}"
        )
    if picture.shape[:2] == shape:
        return picture
    return np.asarray(Image.fromarray(picture).resize((shape[1], shape[0]), Image.Resampling.BOX))


def parts_of(densepose: MaskSource | None) -> Parts | None:
    """Read which part of the body lies where, as the measures of training data do."""
    if isinstance(densepose, str | Path):
        return load_densepose(Path(densepose), reduce=True)
    return None if densepose is None else nearest_parts(read_densepose(densepose, limits=STRANGERS))


def same_size(what: str, array: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return `array`, or raise ValueError unless it has the photo's (H, W)."""
    if array.shape != shape:
        raise ValueError(f"the {what} must have the photo's shape {shape}, got {array.shape}")
    return array
