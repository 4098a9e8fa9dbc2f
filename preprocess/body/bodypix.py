"""Find the parts of a body in a photo with BodyPix, for pictures without DensePose.

BodyPix sees people with their clothes on: its torso ends where the garment does, not where the body does.
So it tells where an arm ends and the panel begins, but not how wide the body is.

Source: BodyPix 2.0 of TensorFlow.js (Apache-2.0), MobileNet; the order of its parts is that of its README.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.keypoints import Keypoints
from preprocess.vocabulary import CLOTHED_TORSO, require_shape

Parts = NDArray[np.uint8]
Picture = NDArray[np.uint8]

BODYPIX_AT = "https://github.com/keijiro/BodyPixSentis (stride 8, .onnx; Apache-2.0)"
"""Where its network can be had; it is not in any package."""

STRIDE = 8
"""Pixels of the network's picture between two of its cells; cell (i, j) is that of pixel (8 i, 8 j)."""

LONG_SIDE = 512
"""px. The photo is reduced to about this, and a pixel more."""

NUM_PARTS = 24

FACE, HANDS, FEET = (24, 23), (4, 3), (5, 6)
UPPER_ARMS, FOREARMS, THIGHS, LOWER_LEGS = (17, 15, 18, 16), (21, 19, 22, 20), (10, 8, 9, 7), (14, 12, 13, 11)
TORSO = (CLOTHED_TORSO, CLOTHED_TORSO)
"""DensePose's numbers of BodyPix's parts: left, then right, of limbs the front before the back."""

PART_NUMBERS = np.array(
    [0, *FACE, *UPPER_ARMS, *FOREARMS, *HANDS, *TORSO, *THIGHS, *LOWER_LEGS, *FEET], np.uint8
)
"""(25,) DensePose's number of nobody and of each of BodyPix's parts."""


class PartDetector:
    """BodyPix in onnxruntime, on one thread: the stages spread photos over processes."""

    def __init__(self, model: Path) -> None:
        """Load the `.onnx` file `model`.

        Raises:
            FileNotFoundError: There is no such file.
            ModuleNotFoundError: onnxruntime isn't installed.
            ValueError: It is no BodyPix.
        """
        if not model.is_file():
            raise FileNotFoundError(
                f"{model} not found: set extract_keypoints.bodypix_model to BodyPix as ONNX (`cinderella "
                "fetch-models` says where it is), or to null"
            )
        try:
            import onnx  # an extra, as is
            import onnxruntime
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("BodyPix needs the extra: pip install -e '.[bodypix]'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # each weight of an older export is a warning
        try:
            network = with_explicit_padding(onnx.load(model)).SerializeToString()
            self._session: Any = onnxruntime.InferenceSession(
                network, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of many kinds, by what is wrong with the file
            raise ValueError(f"{model} must be an ONNX network that onnxruntime reads: {error}") from error
        self._input = self._session.get_inputs()[0].name
        require_outputs(model, {one.name: one.shape for one in self._session.get_outputs()})

    def detect(self, photo: Picture) -> Parts:
        """Find the parts of everybody in an (H, W, 3) RGB photo.

        Returns:
            (h, w) DensePose's numbers, and `CLOTHED_TORSO`; the long side is about `LONG_SIDE`.
        """
        require_shape("photo", photo, ("H", "W", 3))
        height, width = seen_size(*photo.shape[:2])
        seen = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
        pixels = seen[None].astype(np.float32) / np.float32(127.5) - 1
        person, parts = self._session.run(["segments", "part_heatmaps"], {self._input: pixels})
        return decoded(person[0, :, :, 0], parts[0], height, width)


def with_explicit_padding(network: Any) -> Any:
    """Write out the padding of dilated convolutions, an ONNX network's, which onnxruntime can't work out.

    `SAME` padding of a k x k kernel that moves by single cells is d (k - 1) / 2 on every side.
    """
    for node in network.graph.node:
        named = {attribute.name: attribute for attribute in node.attribute}
        dilations = list(named["dilations"].ints) if "dilations" in named else []
        if node.op_type == "Conv" and max(dilations, default=1) > 1 and "auto_pad" in named:
            kernel = list(named["kernel_shape"].ints)
            pads = [step * (size - 1) // 2 for step, size in zip(dilations, kernel, strict=True)]
            node.attribute.remove(named["auto_pad"])
            node.attribute.add(name="pads", type=7, ints=[*pads, *pads])  # 7: INTS
    return network


def of_wearer(parts: Parts, person: Keypoints, image_width: int) -> Parts:
    """Keep the pieces on which joints of one person lie: BodyPix sees passers-by as well.

    Args:
        parts: (h, w) numbers.
        person: Joints in px of the photo.
        image_width: Columns of the photo.
    """
    scale = parts.shape[1] / image_width
    _, pieces = cv2.connectedComponents((parts > 0).view(np.uint8))
    xy = np.floor(scale * person.xy[np.isfinite(person.xy).all(axis=1)]).astype(int)
    x, y = xy[((xy >= 0) & (xy < parts.shape[::-1])).all(axis=1)].T
    kept = np.zeros(pieces.max() + 1, np.bool_)
    kept[pieces[y, x]] = True
    return np.asarray(np.where(kept[pieces], parts, np.uint8(0)))


def require_outputs(model: Path, shapes: Mapping[str, Any]) -> None:
    """Raise ValueError unless a network's outputs, shapes by name, are BodyPix's."""
    last = {name: shape[-1] for name, shape in shapes.items() if len(shape) == 4}
    if (last.get("segments"), last.get("part_heatmaps")) != (1, NUM_PARTS):
        raise ValueError(
            f"{model} must be BodyPix, with the outputs `segments` (1, h, w, 1) and `part_heatmaps` "
            f"(1, h, w, {NUM_PARTS}), got {dict(shapes)}"
        )


def seen_size(height: int, width: int) -> tuple[int, int]:
    """Return the rows and columns that the network sees of a photo: whole cells and a pixel."""
    scale = min(1.0, LONG_SIDE / max(height, width))
    rows, columns = (max(1, round(side * scale / STRIDE)) for side in (height, width))
    return rows * STRIDE + 1, columns * STRIDE + 1


def decoded(
    person: NDArray[np.float32], parts: NDArray[np.float32], image_height: int, image_width: int
) -> Parts:
    """Turn the network's cells into parts.

    Args:
        person: (h, w) logits: above 0 there is somebody.
        parts: (h, w, 24) logits of the parts.
        image_height: Rows of the picture that was seen.
        image_width: Columns of it.

    Returns:
        (image_height, image_width) DensePose's numbers, and `CLOTHED_TORSO`.
    """
    size = image_width, image_height
    grows = np.array([[STRIDE, 0, 0], [0, STRIDE, 0]], np.float32)
    border = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
    inside = cv2.warpAffine(person, grows, size, **border) > 0
    best = cv2.warpAffine(parts, grows, size, **border).argmax(axis=2) + 1
    return np.asarray(PART_NUMBERS[np.where(inside, best, 0)])
