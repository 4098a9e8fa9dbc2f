"""Hand-made people whose measures can be worked out on paper."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocess.body.keypoints import COCO_18_TO_BODY_25, Keypoints
from preprocess.vocabulary import NUM_JOINTS, Joint, Lip

WIDTH, HEIGHT = 768, 1024
SKIN = (200, 150, 120)

JOINTS = {
    Joint.NOSE: (384, 170),
    Joint.NECK: (384, 300),
    Joint.RIGHT_SHOULDER: (284, 300),
    Joint.LEFT_SHOULDER: (484, 300),
    Joint.RIGHT_ELBOW: (130, 430),
    Joint.LEFT_ELBOW: (638, 430),
    Joint.RIGHT_WRIST: (60, 580),
    Joint.LEFT_WRIST: (708, 580),
    Joint.MID_HIP: (384, 620),
    Joint.RIGHT_HIP: (320, 620),
    Joint.LEFT_HIP: (448, 620),
    Joint.RIGHT_EYE: (364, 155),
    Joint.LEFT_EYE: (404, 155),
    Joint.RIGHT_EAR: (340, 170),
    Joint.LEFT_EAR: (428, 170),
}
"""B = 200 px, T = 320 px, arms well away from the body."""


def person() -> Keypoints:
    """The person of `JOINTS`, seen from the front."""
    keypoints = Keypoints.missing()
    for joint, xy in JOINTS.items():
        keypoints.xy[joint], keypoints.confidence[joint] = xy, 0.9
    return keypoints


def shifted(keypoints: Keypoints, dx: float, dy: float) -> Keypoints:
    """The same person in a picture moved by (dx, dy) px."""
    return replace(keypoints, xy=keypoints.xy + np.array([dx, dy]))


def tunic(shoulder: int = 260, width: int = 240, hem: int = 700) -> NDArray[np.bool_]:
    """A garment of upright rectangles: `shoulder` px wide down to row 350, `width` px from there to `hem`."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[270:350, 384 - shoulder // 2 : 384 + shoulder // 2] = True
    mask[350:hem, 384 - width // 2 : 384 + width // 2] = True
    return mask


def with_sleeves(mask: NDArray[np.bool_], keypoints: Keypoints, thickness: int = 70) -> NDArray[np.bool_]:
    """Add long sleeves along the arms."""
    painted = mask.astype(np.uint8)
    for arm in ((2, 3, 4), (5, 6, 7)):
        cv2.polylines(painted, [keypoints.xy[list(arm)].astype(np.int32)], False, 1, thickness)
    return painted > 0


def body_25_numbers(keypoints: Keypoints) -> list[float]:
    """75 numbers as OpenPose writes them: zeros where a joint is missing."""
    return np.nan_to_num(np.column_stack([keypoints.xy, keypoints.confidence])).ravel().tolist()


def coco_18_numbers(keypoints: Keypoints) -> list[float]:
    """54 numbers of the same person."""
    return (
        np.array(body_25_numbers(keypoints)).reshape(NUM_JOINTS, 3)[list(COCO_18_TO_BODY_25)].ravel().tolist()
    )


def write_json(path: Path, document: object) -> Path:
    """Write a JSON file and return its path."""
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def openpose(*people: list[float], name: str = "pose_keypoints_2d", **fields: object) -> dict[str, object]:
    """OpenPose's document for people."""
    return {"version": 1.3, "people": [{"person_id": [-1], name: numbers} for numbers in people], **fields}


def paint_photo(
    mask: NDArray[np.bool_], keypoints: Keypoints, colour: tuple[int, int, int] = (40, 90, 160)
) -> NDArray[np.uint8]:
    """(HEIGHT, WIDTH, 3) RGB: someone with bare arms and grey trousers in a garment of one colour."""
    photo = np.full((HEIGHT, WIDTH, 3), 225, np.uint8)
    skin = (200, 150, 120)
    cv2.rectangle(photo, (310, 560), (458, HEIGHT), (90, 85, 80), cv2.FILLED)
    for bones in ((1, 0), (2, 3, 4), (5, 6, 7)):
        cv2.polylines(photo, [keypoints.xy[list(bones)].astype(np.int32)], False, skin, 60)
    cv2.circle(photo, (384, 170), 80, skin, cv2.FILLED)
    photo[mask] = colour
    return photo


LEG_JOINTS = {
    Joint.RIGHT_HIP: (334, 400),
    Joint.LEFT_HIP: (434, 400),
    Joint.RIGHT_KNEE: (334, 600),
    Joint.LEFT_KNEE: (434, 600),
    Joint.RIGHT_ANKLE: (334, 800),
    Joint.LEFT_ANKLE: (434, 800),
}
"""H = 100 px, thighs of 200 px, L = 400 px, and nothing above the hips."""


def legs(**moved: tuple[float, float]) -> Keypoints:
    """The person of `LEG_JOINTS`, with some joints elsewhere; (NaN, NaN): not found."""
    keypoints = Keypoints.missing()
    for joint, xy in LEG_JOINTS.items():
        place = moved.get(joint.name.lower(), xy)
        keypoints.xy[joint] = place
        keypoints.confidence[joint] = 0.0 if np.isnan(place).any() else 0.9
    return keypoints


def trousers(
    *, waist: int = 180, leg: int = 70, hem: int = 780, skirt: bool = False, tucked: bool = True
) -> tuple[NDArray[np.bool_], Keypoints, NDArray[np.uint8]]:
    """Trousers of rectangles: `waist` px wide from row 340 to 420, legs of `leg` px from there to `hem`.

    Returns:
        The garment, its wearer, and LIP labels with a narrower top that ends at the waistband, unless that is
        bare; bare legs and shoes.
    """
    parse = np.zeros((HEIGHT, WIDTH), np.uint8)
    if tucked:
        parse[100:340, 300:468] = Lip.UPPER_CLOTHES
    for middle, bare, shoe in ((334, Lip.RIGHT_LEG, Lip.RIGHT_SHOE), (434, Lip.LEFT_LEG, Lip.LEFT_SHOE)):
        parse[340:810, middle - 25 : middle + 25] = bare
        parse[810:840, middle - 30 : middle + 30] = shoe
    cloth = Lip.SKIRT if skirt else Lip.PANTS
    parse[340:420, 384 - waist // 2 : 384 + waist // 2] = cloth
    for middle in (334, 434):
        parse[420:hem, middle - leg // 2 : middle + leg // 2] = cloth
    if skirt:
        parse[420:hem, 334:434] = cloth
    return parse == cloth, legs(), parse


def hanging(elbow: int, wrist: int) -> Keypoints:
    """The person with arms that hang: `|b|` px of elbows and wrists, in rows 460 and 600."""
    wearer = person()
    for side, arm in ((-1, (3, 4)), (1, (6, 7))):
        wearer.xy[list(arm)] = (384 + side * elbow, 460), (384 + side * wrist, 600)
    return wearer


def beside(first: int, last: int, top: int = 350) -> NDArray[np.bool_]:
    """Two upright strips, from `first` to `last` px off the body axis: arms."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:700, 384 - last : 384 - first] = mask[top:700, 384 + first : 384 + last] = True
    return mask
