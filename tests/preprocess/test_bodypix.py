from pathlib import Path

import numpy as np
import pytest

from preprocess.body.bodypix import PartDetector, decoded, of_wearer, seen_size
from preprocess.body.keypoints import BodyFrame, Keypoints
from preprocess.body.openpose import read_openpose
from preprocess.garment.parse import load_parse
from preprocess.pictures import read_picture
from preprocess.vocabulary import ARM_PARTS, CLOTHED_TORSO, Joint, Lip
from tests.preprocess.tiny_bodypix import write_tiny_bodypix
from tests.shared_data import shared_data

HAND = 3
"""DensePose's number of the right one."""


def model() -> Path:
    pytest.importorskip("onnxruntime", reason="needs the extra bodypix")
    return shared_data() / "models/bodypix_mobilenet_v1_050_stride8.onnx"


def test_cells_lie_on_every_eighth_pixel() -> None:
    person = np.array([[1, 1, -1]], np.float32)  # at columns 0, 8, 16
    parts = np.full((1, 3, 24), -9, np.float32)
    parts[0, 0, 12], parts[0, 1:, 11] = 1, 1  # torso's front, then the right hand
    (row,) = decoded(person, parts, 1, 17)
    expected = 4 * [CLOTHED_TORSO] + 8 * [HAND] + 5 * [0]
    assert row.tolist() == expected, "they meet half way, at columns 4 and 12"


def test_both_sides_of_the_torso_are_the_clothed_one_and_every_part_has_a_number() -> None:
    person, parts = np.ones((3, 10), np.float32), np.zeros((3, 10, 24), np.float32)
    for part in range(24):
        parts[part // 10, part % 10, part] = 1
    found = decoded(person, parts, 17, 73)[::8, ::8].ravel()[:24].tolist()
    assert found[12:14] == [CLOTHED_TORSO, CLOTHED_TORSO]
    assert sorted(found[:12] + found[14:]) == list(range(3, 25)), "DensePose's other parts, each once"


@pytest.mark.parametrize(
    ("photo", "seen"), [((1024, 768), (513, 385)), ((104, 60), (105, 65)), ((512, 3), (513, 9))]
)
def test_the_network_sees_whole_cells_and_a_pixel(photo: tuple[int, int], seen: tuple[int, int]) -> None:
    assert seen_size(*photo) == seen


def test_a_network_of_the_published_kind_runs(tmp_path: Path) -> None:
    photo = np.zeros((64, 96, 3), np.uint8)
    photo[:, :48] = (255, 255, 0)  # somebody's torso
    photo[:32, 48:] = (255, 0, 255)  # a hand above nobody
    found = PartDetector(write_tiny_bodypix(tmp_path / "tiny.onnx")).detect(photo)
    assert found.shape == (65, 97)
    assert (found[:, :40] == CLOTHED_TORSO).all()
    assert (found[:24, 56:] == HAND).all()
    assert (found[40:, 56:] == 0).all()


def test_passers_by_are_left_out() -> None:
    parts = np.zeros((20, 40), np.uint8)
    parts[:, 2:9], parts[:, 12:20], parts[:, 30:] = CLOTHED_TORSO, HAND, CLOTHED_TORSO
    joints = Keypoints.missing()
    joints.xy[Joint.NECK], joints.xy[Joint.LEFT_WRIST], joints.xy[Joint.NOSE] = (9, 20), (30, 20), (90, 20)
    found = of_wearer(parts, joints, 80)  # the photo is twice as wide: columns 4 and 15, and beyond
    np.testing.assert_array_equal(found[:, :25], parts[:, :25])
    assert (found[:, 25:] == 0).all()


def test_what_is_no_bodypix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"set extract_keypoints\.bodypix_model"):
        PartDetector(tmp_path / "nowhere.onnx")
    other = write_tiny_bodypix(tmp_path / "other.onnx", num_parts=20)
    with pytest.raises(ValueError, match=r"`part_heatmaps` \(1, h, w, 24\), got .*20"):
        PartDetector(other)
    other.write_bytes(b"no network")
    with pytest.raises(ValueError, match="must be an ONNX network"):
        PartDetector(other)


def test_real_people_are_found_with_their_sides() -> None:
    root = shared_data() / "data/vitonhd/test"
    detector = PartDetector(model())
    for key in ("00034_00", "14274_00"):
        photo = read_picture(root / "image" / f"{key}.jpg")
        found, parse = detector.detect(photo), load_parse(root / "image-parse-v3" / f"{key}.png")
        rows, columns = (np.arange(side) * 2 for side in found.shape)  # 513 x 385 of 1024 x 768
        worn = parse[np.minimum(rows, 1023)[:, None], np.minimum(columns, 767)] != Lip.BACKGROUND
        assert ((found > 0) & worn).sum() / ((found > 0) | worn).sum() > 0.9
        person = read_openpose(root / "openpose_json" / f"{key}_keypoints.json", 768, 1024).scaled(0.5, 0.5)
        frame = BodyFrame.from_keypoints(person)
        assert part_at(found, (frame.shoulder_mid + frame.hip_mid) / 2) == CLOTHED_TORSO
        for upper, lower, odd in (
            (Joint.LEFT_SHOULDER, Joint.LEFT_ELBOW, 1),
            (Joint.RIGHT_SHOULDER, Joint.RIGHT_ELBOW, 0),
        ):
            arm = part_at(found, (person.xy[upper] + person.xy[lower]) / 2)
            assert arm in ARM_PARTS
            assert arm % 2 == odd, "DensePose's left arms are odd"


def part_at(parts: np.ndarray, xy: np.ndarray) -> int:
    return int(parts[int(xy[1]), int(xy[0])])
