"""Small VITON-HD folders made by hand."""

import io
import json
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.preprocess.people import HEIGHT, WIDTH


@cache
def blank_photo() -> bytes:
    """A grey wall, as JPEG."""
    buffer = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (200, 200, 200)).save(buffer, "JPEG")
    return buffer.getvalue()


def new_root(folder: Path) -> Path:
    """An empty VITON-HD root in `folder`."""
    root = folder / "viton"
    for part in ("image", "cloth", "openpose_json", "image-parse-v3"):
        (root / "test" / part).mkdir(parents=True)
    for split in ("train", "test"):
        (root / f"{split}_pairs.txt").write_text("")
    return root


def add_sample(root: Path, key: str, document: object, parse: NDArray[np.uint8] | None = None) -> None:
    """Add a person on a grey wall: OpenPose `document` (text, JSON or None), LIP labels."""
    with (root / "test_pairs.txt").open("a") as pairs:
        pairs.write(f"{key}.jpg {key}.jpg\n")
    for part in ("image", "cloth"):
        (root / "test" / part / f"{key}.jpg").write_bytes(blank_photo())
    if document is not None:
        text = document if isinstance(document, str) else json.dumps(document)
        (root / "test/openpose_json" / f"{key}_keypoints.json").write_text(text)
    if parse is not None:
        picture = Image.fromarray(parse, "P")
        picture.putpalette(bytes(range(256)) * 3)
        picture.save(root / "test/image-parse-v3" / f"{key}.png")
