"""Which folder of another system's pictures is a person's."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eval.ladder.people import Scene
from pipeline.evaluation.folder import GeneratedFolder
from preprocess.sources.keys import LONGEST, safe_key
from preprocess.vocabulary import Category

LONG = "a long name " * LONGEST


def scene_with(*names: str) -> Scene:
    num = len(names)
    grey = np.full((num, 64, 48, 3), 128, np.uint8)
    return Scene(
        keys=[safe_key(name) for name in names],
        photos=grey,
        cloths=grey,
        inpaint_masks=np.ones((num, 64, 48), bool),
        garment_covers=np.ones((num, 64, 48), np.float32),
        keypoints=np.zeros((num, 25, 3), np.float32),
        natural=np.ones((num, 4)),
        categories=[Category.UPPER] * num,
        factor=1,
    )


def picture(folder: Path) -> None:
    folder.mkdir(parents=True)
    Image.new("RGB", (48, 64), (250, 0, 0)).save(folder / "natural.png")


@pytest.mark.parametrize("folder", ["with space", "with+20space"])
def test_a_folder_is_named_as_the_photo_or_by_its_key(tmp_path: Path, folder: str) -> None:
    picture(tmp_path / folder)
    pictures = GeneratedFolder(tmp_path, scene_with("with space"))
    assert pictures.read("with+20space", "natural") is not None


def test_a_long_name_has_its_pictures_by_its_key_alone(tmp_path: Path) -> None:
    """No name can be told from a hash."""
    scene = scene_with("nobody", LONG, LONG + "another")
    picture(tmp_path / scene.keys[1])
    pictures = GeneratedFolder(tmp_path, scene)
    assert [pictures.read(key, "natural") is not None for key in scene.keys] == [False, True, False]
