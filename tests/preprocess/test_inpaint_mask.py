from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from preprocess.body.inpaint_mask import MaskParams, inpainting_mask
from preprocess.body.keypoints import BodyFrame, KeypointError, Keypoints
from preprocess.garment.parse import garment_mask
from preprocess.sources.paper_dolls.render import DollPicture, render
from preprocess.sources.paper_dolls.sample import doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Category, Joint, Lip
from tests.preprocess.people import HEIGHT, WIDTH, legs, person

PARAMS = MaskParams()
DOLLS = PaperDollParams(train=2000, test=2000, image_height=256, image_width=192)
GRID = (36, 30)
"""Rows and columns at which a mask is read in body coordinates for the regression."""


def keypoints_of(picture: DollPicture) -> Keypoints:
    xy = np.where(picture.keypoints[:, 2:] > 0, picture.keypoints[:, :2], np.nan)
    return Keypoints(xy=xy, confidence=picture.keypoints[:, 2])


def mask_of(picture: DollPicture, *, parse: bool = True) -> np.ndarray:
    return inpainting_mask(
        keypoints_of(picture),
        *picture.parse.shape,
        Category.UPPER,
        PARAMS,
        parse=picture.parse if parse else None,
    )


def in_body_coordinates(mask: np.ndarray, frame: BodyFrame) -> np.ndarray:
    a = np.linspace(-0.5, 2.2, GRID[0]) * frame.torso_length
    b = np.linspace(-1.6, 1.6, GRID[1]) * frame.shoulder_width
    ab = np.stack(np.meshgrid(a, b, indexing="ij"), axis=-1).reshape(-1, 2)
    xy = (frame.to_image(ab) - 0.5).astype(np.float32).reshape(*GRID, 2)
    return cv2.remap(mask.astype(np.float32), xy[..., 0], xy[..., 1], cv2.INTER_LINEAR).ravel()


@dataclass(frozen=True)
class Seen:
    """What the bars ask about one doll."""

    ours: np.ndarray
    """The mask in body coordinates."""

    tight: np.ndarray
    """The same of a mask that follows the garment, grown by a twentieth of the torso."""

    ratios: np.ndarray
    hidden: float
    """Share of the worn garment inside the mask."""

    iou: float
    """With the mask of the same person in another garment."""


def look_at(split: str, index: int) -> Seen | None:
    sample, other = doll_sample(DOLLS, split, index), doll_sample(DOLLS, split, index + 1000)
    picture = render_sample(DOLLS, sample)
    redressed = render(sample.doll, other.design, other.ratios, DOLLS.image_height, DOLLS.image_width)
    try:
        frame = BodyFrame.from_keypoints(keypoints_of(picture))
    except KeypointError:
        return None  # shoulders out of the picture
    garment, mask, again = garment_mask(picture.parse, Category.UPPER), mask_of(picture), mask_of(redressed)
    kernel = np.ones((1 + int(frame.torso_length / 10),) * 2, np.uint8)
    return Seen(
        ours=in_body_coordinates(mask, frame),
        tight=in_body_coordinates(cv2.dilate(garment.view(np.uint8), kernel), frame),
        ratios=np.append(sample.ratios, sample.worn.sleeve_end),
        hidden=float((garment & mask).sum() / garment.sum()),
        iou=float((mask & again).sum() / (mask | again).sum()),
    )


def held_out_r2(train: np.ndarray, ratios: np.ndarray, test: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """R² of ridge regression on held-out rows, (R,); its strength is the best of five on the test rows,
    which can only flatter the regression."""
    mean, target = train.mean(axis=0), ratios.mean(axis=0)
    centred = train - mean
    best = np.full(ratios.shape[1], -np.inf)
    for strength in (1.0, 10.0, 100.0, 1e3, 1e4):
        dual = np.linalg.solve(centred @ centred.T + strength * np.eye(len(train)), ratios - target)
        errors = (test - mean) @ (centred.T @ dual) + target - truth
        best = np.maximum(best, 1 - (errors**2).sum(axis=0) / ((truth - truth.mean(axis=0)) ** 2).sum(axis=0))
    return best


@pytest.fixture(scope="module")
def seen() -> tuple[list[Seen], list[Seen]]:
    with ProcessPoolExecutor(2) as pool:
        train = list(pool.map(look_at, ["train"] * 240, range(240), chunksize=16))
        test = list(pool.map(look_at, ["test"] * 160, range(160), chunksize=16))
    return [one for one in train if one], [one for one in test if one]


@pytest.mark.slow  # draws 800 dolls
def test_the_mask_does_not_tell_the_worn_size(seen: tuple[list[Seen], list[Seen]]) -> None:
    train, test = seen
    ratios, truth = np.array([one.ratios for one in train]), np.array([one.ratios for one in test])
    ours = held_out_r2(np.array([x.ours for x in train]), ratios, np.array([x.ours for x in test]), truth)
    tight = held_out_r2(np.array([x.tight for x in train]), ratios, np.array([x.tight for x in test]), truth)
    assert (ours <= 0.05).all()
    assert (tight >= 0.5).all()  # the regression would have noticed


@pytest.mark.slow  # draws 800 dolls
def test_the_same_person_in_two_garments_has_the_same_mask(seen: tuple[list[Seen], list[Seen]]) -> None:
    assert min(one.iou for one in seen[0] + seen[1]) >= 0.98


@pytest.mark.slow  # draws 800 dolls
def test_the_mask_hides_the_old_garment(seen: tuple[list[Seen], list[Seen]]) -> None:
    hidden = np.array([one.hidden for one in seen[0] + seen[1]])
    assert (hidden >= 0.999).mean() >= 0.99


def doll(index: int = 3) -> DollPicture:
    return render_sample(DOLLS, doll_sample(DOLLS, "train", index))


def test_face_and_hair_are_not_painted_over() -> None:
    picture = doll()
    assert not (mask_of(picture) & np.isin(picture.parse, [Lip.FACE, Lip.HAIR])).any()


def test_there_is_room_for_the_largest_garment() -> None:
    sample = doll_sample(DOLLS, "train", 3)
    largest = render_sample(DOLLS, sample, np.array([1.8, 2.2, 1.8]))
    garment = garment_mask(largest.parse, Category.UPPER)
    assert (garment & mask_of(doll())).sum() / garment.sum() >= 0.998  # a sleeve may cover a hand


def test_without_a_parse_map_the_head_is_kept_by_its_joints() -> None:
    picture = doll()
    nose = picture.keypoints[Joint.NOSE, :2].astype(int)
    assert not mask_of(picture, parse=False)[nose[1], nose[0]]


def test_a_missing_arm_leaves_room_for_any_arm() -> None:
    picture = doll()
    keypoints = keypoints_of(picture)
    missing = np.isin(np.arange(25), [Joint.LEFT_ELBOW, Joint.LEFT_WRIST])
    size = picture.parse.shape
    with_arm = inpainting_mask(keypoints, *size, Category.UPPER, PARAMS)
    without = inpainting_mask(keypoints.without(missing), *size, Category.UPPER, PARAMS)
    assert without.sum() > 0.9 * with_arm.sum()


def test_the_mask_moves_and_grows_with_the_person() -> None:
    keypoints = keypoints_of(doll())
    once = inpainting_mask(keypoints, 256, 192, Category.UPPER, PARAMS)
    twice = inpainting_mask(keypoints.scaled(2, 2), 512, 384, Category.UPPER, PARAMS)
    shrunk = cv2.resize(twice.astype(np.float32), (192, 256), interpolation=cv2.INTER_AREA) > 0.5
    assert (once & shrunk).sum() / (once | shrunk).sum() > 0.98


@pytest.mark.parametrize(
    ("lost", "inside", "outside"),
    [
        pytest.param((), (50, 480), (20, 440), id="nothing: 90 px about the bones"),
        pytest.param((Joint.RIGHT_ELBOW,), (31, 328), (16, 315), id="the elbow: from shoulder to wrist"),
        pytest.param((Joint.RIGHT_WRIST,), (1, 570), (1, 590), id="the wrist: about the elbow"),
        pytest.param((Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST), (134, 400), (104, 400), id="both: the shoulder"),
    ],
)
def test_what_is_missing_of_an_arm_leaves_room_for_all_it_could_reach(
    lost: tuple[Joint, ...], inside: tuple[int, int], outside: tuple[int, int]
) -> None:
    """Shoulder (284, 300), elbow (130, 430), wrist (60, 580); 0.6 T is 192 px."""
    wearer = person().without(np.isin(np.arange(25), lost))
    region = inpainting_mask(wearer, HEIGHT, WIDTH, Category.UPPER, PARAMS)
    assert region[inside[::-1]]
    assert not region[outside[::-1]]


@pytest.mark.parametrize(
    ("category", "largest", "wearer", "half_widths", "ends"),
    [
        pytest.param(  # margin 20: 1.4 B / 2 + 20; the hem at 300 + 1.2 T + 20
            Category.UPPER,
            {"shoulder": 1.4, "width": 1.4, "length": 1.2},
            person(),
            {690: 160},
            (None, 704),
            id="a top hangs straight down",
        ),
        pytest.param(  # wider by 1.2 times half of 1.4 B from 0.6 T to 3.2 T; the hem at 300 + 2 T + 20
            Category.DRESS,
            {"width": 1.4, "length": 2.0},
            person(),
            {700: 160 + 168 * 208 / 832, 955: 160 + 168 * 463 / 832},
            (None, 960),
            id="a dress flares",
        ),
        pytest.param(  # 1.8 H / 2 + 20 from 0.22 L + 20 above the hips, 2.0 H / 2 + 20 and more at the hem
            Category.LOWER,
            {"waist": 1.8, "width": 2.0, "length": 0.9},
            legs(),
            {296: 110, 776: 120 + 40 * 266 / 350},
            (292, None),
            id="trousers and skirts begin above the hips and flare",
        ),
    ],
)
def test_a_mask_ends_where_the_largest_garment_would(
    category: Category,
    largest: dict[str, float],
    wearer: Keypoints,
    half_widths: dict[int, float],
    ends: tuple[int | None, int | None],
) -> None:
    """B is 200 px, T 320, H 100, L 400; the axis is column 384, and arms end above row 680."""
    params = MaskParams(largest={category: largest}, margin=0.1)
    region = inpainting_mask(wearer, HEIGHT, WIDTH, category, params)
    for row, half in half_widths.items():
        assert region[row].sum() == pytest.approx(2 * half, abs=2)
        assert not region[row, : round(384 - half) - 1].any()
    rows = np.flatnonzero(region[:, 384])
    for found, expected in zip((rows.min(), rows.max() + 1), ends, strict=True):
        assert expected is None or found == pytest.approx(expected, abs=1)


def test_missing_hips_have_no_mask() -> None:
    missing = np.isin(np.arange(25), [Joint.LEFT_HIP, Joint.RIGHT_HIP, Joint.MID_HIP])
    with pytest.raises(KeypointError, match="missing_hips"):
        inpainting_mask(keypoints_of(doll()).without(missing), 256, 192, Category.UPPER, PARAMS)


def test_a_parse_map_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"parse must have shape \(256, 192\), got \(9, 9\)"):
        inpainting_mask(
            keypoints_of(doll()), 256, 192, Category.UPPER, PARAMS, parse=np.zeros((9, 9), np.uint8)
        )
