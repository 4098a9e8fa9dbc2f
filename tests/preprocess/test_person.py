"""A photo made ready for trying on: what is missing is found or drawn, and said."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preprocess.body.densepose import DENSEPOSE_COLOURS, nearest_parts
from preprocess.body.drawing import draw_body
from preprocess.body.inpaint_mask import MaskParams
from preprocess.layout.resized import outline_at
from preprocess.person.prepare import prepare_person, with_worn_garment
from preprocess.pictures import read_picture
from preprocess.vocabulary import TORSO_PARTS, Joint, Lip
from tests.preprocess.people import HEIGHT, WIDTH, body_25_numbers, openpose, person, tunic, write_json
from tests.shared_data import shared_data
from tests.sizes import of_tops

PHOTO = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)


BODY = draw_body(person(), HEIGHT, WIDTH)

ready = partial(prepare_person, mask=MaskParams())


def parse(garment: np.ndarray) -> np.ndarray:
    return np.where(garment, Lip.UPPER_CLOTHES, Lip.BACKGROUND).astype(np.uint8)


def test_everything_given_leaves_nothing_to_say() -> None:
    prepared = ready(PHOTO, keypoints=person(), parse=parse(tunic()), densepose=BODY)
    assert prepared.notes == []
    assert prepared.natural_size is not None
    # B = 200 px, T = 320 px: 260 / 200, 240 / 200, (700 - 300) / 320
    np.testing.assert_allclose(prepared.natural_size.as_array(), of_tops([1.3, 1.2, 1.25]), atol=0.01)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    path = write_json(tmp_path / "person.json", openpose(body_25_numbers(person())))
    prepared = ready(PHOTO, keypoints=path)
    assert len(prepared.notes) == 2
    assert "no parse map" in prepared.notes[0]
    assert "drawn from the joints" in prepared.notes[1]
    assert prepared.natural_size is None
    assert prepared.garment_mask is None


@pytest.mark.parametrize(("content", "problem"), [("no", "not_json"), ("5", "no_people")])
def test_a_file_that_holds_no_joints_is_named(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "joints.json").write_text(content)
    with pytest.raises(ValueError, match=f"joints.json must be OpenPose's JSON of the photo: {problem}"):
        ready(PHOTO, keypoints=tmp_path / "joints.json")


def test_densepose_of_another_photo_is_refused() -> None:
    half = ready(PHOTO, keypoints=person(), densepose=BODY[::2, ::2])
    assert half.densepose.shape == PHOTO.shape
    with pytest.raises(ValueError, match="must have the photo's proportions, 768x1024, got 768x768"):
        ready(PHOTO, keypoints=person(), densepose=BODY[128:-128])


def test_without_keypoints_mediapipe_is_needed(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"none\.task, which finds some, isn't there: run .*--keypoints"
    ):
        ready(PHOTO, pose_model=tmp_path / "none.task")


def test_mediapipe_finds_the_joints_of_ones_own_photo() -> None:
    model = shared_data() / "models/pose_landmarker_full.task"
    prepared = ready(shared_data() / "data/mediapipe_pose/pose.jpg", pose_model=model)
    assert prepared.keypoints.source == "mediapipe"
    assert "no keypoints: MediaPipe finds the joints" in prepared.notes
    assert 0.1 < prepared.inpaint_mask.mean() < 0.9


def test_a_photo_without_a_person_is_refused() -> None:
    with pytest.raises(ValueError, match="both shoulders and the hips: missing_shoulders"):
        ready(PHOTO, keypoints=np.zeros((25, 3)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"keypoints": np.zeros((18, 3))}, r"keypoints must have shape \(25, 3\)"),
        ({"parse": np.zeros((10, 10), np.uint8)}, "parse map must have the photo's shape"),
        ({"inpaint_mask": np.zeros((10, 10), np.uint8)}, "inpainting mask must have the photo's shape"),
    ],
)
def test_what_doesnt_belong_to_the_photo_is_refused(given: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ready(PHOTO, **({"keypoints": person()} | given))


def test_no_garment_in_the_parse_map_is_said() -> None:
    nothing = np.zeros((HEIGHT, WIDTH), bool)
    found = with_worn_garment(ready(PHOTO, keypoints=person(), densepose=BODY), nothing, "segmenter")
    parsed = ready(PHOTO, keypoints=person(), densepose=BODY, parse=parse(nothing))
    for prepared, source in ((found, "segmenter"), (parsed, "parse map")):
        assert prepared.natural_size is None
        assert f"the {source} shows no garment" in prepared.notes[-1]


def test_the_drawn_body_has_densepose_colours_where_the_body_is() -> None:
    drawn = draw_body(person(), HEIGHT, WIDTH)
    assert set(map(tuple, drawn.reshape(-1, 3))) <= set(map(tuple, DENSEPOSE_COLOURS))
    torso = np.isin(nearest_parts(drawn), TORSO_PARTS)
    assert torso[460, 384]
    widths = torso[300 + int(0.35 * 320) : 300 + int(0.55 * 320)].sum(axis=1)
    assert 0.85 < widths.mean() / 200 < 1.05, "about as wide as the shoulder joints are apart"
    for joint, part in ((Joint.RIGHT_ELBOW, (18, 22)), (Joint.LEFT_WRIST, (21, 4)), (Joint.NOSE, (23,))):
        x, y = person().xy[joint].astype(int)
        assert any((drawn[y, x] == DENSEPOSE_COLOURS[p]).all() for p in part)


def test_the_expected_outline_is_the_garment_at_the_size() -> None:
    natural = of_tops([1.3, 1.2, 1.25])
    worn = outline_at(tunic(), person(), natural, natural)
    wide = outline_at(tunic(), person(), natural, of_tops([np.nan, 1.8, np.nan]))
    assert np.ptp(worn[worn[:, 1] > 500][:, 0]) == pytest.approx(240, abs=6)
    assert np.ptp(wide[wide[:, 1] > 500][:, 0]) == pytest.approx(360, abs=8)
    for outline in (worn, wide):  # person and tunic are the same in a mirror
        assert outline[:, 0].min() + outline[:, 0].max() == pytest.approx(WIDTH, abs=0.1)
    assert outline_at(np.zeros_like(tunic()), person(), natural, natural).shape == (0, 2)


def test_pictures_are_turned_upright_and_laid_on_white(tmp_path: Path) -> None:
    turned = Image.new("RGB", (40, 20), "red")
    exif = turned.getexif()
    exif[0x0112] = 6  # the camera was held upright
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert read_picture(tmp_path / "turned.jpg").shape == (40, 20, 3)
    Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_picture(tmp_path / "clear.png") == 255).all()
    assert read_picture(np.zeros((20, 30), np.uint8)).shape == (20, 30, 3)


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nno")
    with pytest.raises(ValueError, match="must be a whole picture"):
        read_picture(broken)
    Image.new("RGB", (200, 200), "red").save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:700])
    with pytest.raises(ValueError, match="must be a whole picture"):
        read_picture(tmp_path / "cut.jpg")
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "nowhere.jpg")
    Image.new("1", (10_000, 10_000)).save(tmp_path / "huge.png")
    with pytest.raises(ValueError, match="at most 50,000,000 pixels"):
        read_picture(tmp_path / "huge.png")
    for array in (np.zeros((20, 20, 5), np.uint8), np.zeros((20, 20, 3)), np.zeros((4, 20), np.uint8)):
        with pytest.raises(ValueError, match="must be"):
            read_picture(array)
