"""How much of the arms cloth covers: on arms of 400 px whose sleeves end where it can be worked out."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from preprocess.body.keypoints import BodyFrame, Keypoints
from preprocess.garment.bounds import Bounds
from preprocess.garment.measurements import measure_worn
from preprocess.garment.parse import garment_mask, scene_of
from preprocess.sources.paper_dolls.sample import doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Category, Joint, Lip
from tests.preprocess.people import HEIGHT, WIDTH, person, tunic
from tests.preprocess.polygon_people import random_person

ELBOWS = {Joint.RIGHT_ELBOW: (104, 390), Joint.LEFT_ELBOW: (664, 390)}
WRISTS = {Joint.RIGHT_WRIST: (104, 590), Joint.LEFT_WRIST: (664, 590)}
"""Upper arms of 201 px, 63 degrees from straight down, and forearms of 200 px that hang."""


def wide_armed(**moved: tuple[float, float]) -> Keypoints:
    """Somebody whose arms are well away from the body; some joints elsewhere."""
    keypoints = person()
    for joint, xy in (ELBOWS | WRISTS).items():
        keypoints.xy[joint] = xy
    for name, xy in moved.items():
        keypoints.xy[Joint[name.upper()]] = xy
    return keypoints


def parse_with(
    keypoints: Keypoints, right: float, left: float, beyond: Lip | None = None, shoulder: int = 260
) -> NDArray[np.uint8]:
    """LIP labels of a tunic whose sleeves end square at shares of the arms, and of what follows on them."""
    parse = np.where(tunic(shoulder), Lip.UPPER_CLOTHES, Lip.BACKGROUND).astype(np.uint8)
    xy = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1) + 0.5
    for side, end in (("RIGHT", right), ("LEFT", left)):
        joints = keypoints.xy[[Joint[f"{side}_{part}"] for part in ("SHOULDER", "ELBOW", "WRIST")]]
        lengths = np.hypot(*np.diff(joints, axis=0).T)
        for start, stop, length, walked in zip(joints, joints[1:], lengths, (0, lengths[0]), strict=False):
            u = (stop - start) / length
            along, away = (xy - start) @ u, np.abs((xy - start) @ (u[1], -u[0]))
            on_bone = (along > -20) & (along <= length) & (away < 28) & (parse != Lip.UPPER_CLOTHES)
            covered = (walked + along) / lengths.sum() <= end
            parse[on_bone] = np.where(covered, Lip.UPPER_CLOTHES, beyond or Lip[f"{side}_ARM"])[on_bone]
    return parse


def sleeve_of(parse: NDArray[np.uint8], keypoints: Keypoints) -> Bounds:
    """The measured sleeve as a share of the arm."""
    worn = measure_worn(garment_mask(parse, Category.UPPER), keypoints, scene_of(parse))
    return worn.lengths["sleeve"].over(worn.body["arm"])


@pytest.mark.parametrize("end", [0.2, 0.35, 0.7, 0.95])
def test_a_sleeve_ends_where_its_cuff_is(end: float) -> None:
    found = sleeve_of(parse_with(wide_armed(), end, end), wide_armed())
    assert found.value == pytest.approx(end, abs=0.005)
    assert found.low <= end <= found.high
    assert found.uncertainty_at(1.0) < 0.03


def test_both_arms_count_and_the_body_has_their_mean_length() -> None:
    found = sleeve_of(parse_with(wide_armed(), 0.30, 0.36), wide_armed())
    assert found.value == pytest.approx(0.33, abs=0.005)
    frame = BodyFrame.from_keypoints(wide_armed())
    assert frame.lengths["arm"] == pytest.approx(np.hypot(180, 90) + 200)


def test_no_sleeve_is_next_to_nothing_and_a_whole_one_is_all() -> None:
    assert sleeve_of(parse_with(wide_armed(), 0, 0), wide_armed()).value < 0.1  # the tunic's own shoulders
    keypoints = wide_armed()
    assert sleeve_of(parse_with(keypoints, 0, 0, shoulder=190), keypoints).value == pytest.approx(0.01)
    assert sleeve_of(parse_with(keypoints, 1.1, 1.1), keypoints).value == pytest.approx(1, abs=0.003)


def test_an_arm_that_tells_nothing_leaves_it_to_the_other() -> None:
    parse = parse_with(wide_armed(), 0.3, 0.6)
    missing = person_without(Joint.LEFT_WRIST)
    assert sleeve_of(parse, missing).value == pytest.approx(0.3, abs=0.005)
    outside = wide_armed(left_wrist=(780, 590))
    assert sleeve_of(parse, outside).value == pytest.approx(0.3, abs=0.02)


def person_without(joint: Joint) -> Keypoints:
    """The same person, of whom a joint wasn't found."""
    found = wide_armed()
    return found.without(np.arange(len(found.confidence)) == joint)


@pytest.mark.parametrize(
    "wrists",
    [
        pytest.param({"right_wrist": (400, 450), "left_wrist": (370, 450)}, id="arms cross the body"),
        pytest.param({"right_wrist": (260, 290), "left_wrist": (508, 290)}, id="forearms over upper arms"),
    ],
)
def test_arms_over_the_body_or_over_themselves_tell_nothing(wrists: dict[str, tuple[float, float]]) -> None:
    keypoints = wide_armed(**wrists)
    assert np.isnan(sleeve_of(parse_with(keypoints, 0.3, 0.3), keypoints).value)


@pytest.mark.parametrize("over", [Lip.HAIR, Lip.PANTS, Lip.BACKGROUND])
def test_a_sleeve_that_ends_at_something_else_than_the_arm_is_hidden(over: Lip) -> None:
    keypoints = wide_armed()
    parse = parse_with(keypoints, 0.3, 0.3, beyond=over) if over else parse_with(keypoints, 0.3, 0.3)
    if over is Lip.BACKGROUND:
        parse[np.isin(parse, (Lip.LEFT_ARM, Lip.RIGHT_ARM))] = over
    assert np.isnan(sleeve_of(parse, keypoints).value)


def test_the_side_of_a_wide_panel_over_the_arm_is_no_cuff() -> None:
    """Arms at 45 degrees come out from under a panel of 1.9 B, whose side runs straight down."""
    keypoints = wide_armed(
        right_elbow=(143, 441), left_elbow=(625, 441), right_wrist=(43, 590), left_wrist=(725, 590)
    )
    parse = parse_with(keypoints, 0.0, 0.0)
    parse[350:700, 384 - 190 : 384 + 190] = Lip.UPPER_CLOTHES
    assert np.isnan(sleeve_of(parse, keypoints).value)
    parse = parse_with(keypoints, 0.6, 0.6)
    parse[350:700, 384 - 190 : 384 + 190] = Lip.UPPER_CLOTHES
    assert sleeve_of(parse, keypoints).value == pytest.approx(0.6, abs=0.005)


def test_tilt_scale_and_mirror_change_no_sleeve() -> None:
    keypoints = wide_armed()
    parse = parse_with(keypoints, 0.3, 0.4)
    expected = sleeve_of(parse, keypoints).value
    assert sleeve_of(parse[::2, ::2], keypoints.scaled(0.5, 0.5)).value == pytest.approx(expected, abs=0.005)
    swap = np.arange(256, dtype=np.uint8)
    swap[[Lip.LEFT_ARM, Lip.RIGHT_ARM]] = Lip.RIGHT_ARM, Lip.LEFT_ARM
    mirrored = sleeve_of(swap[parse[:, ::-1]], keypoints.mirrored(WIDTH))
    assert mirrored.value == pytest.approx(expected, abs=0.003)


def drawn(category: Category, count: int) -> Iterator[tuple[float, Bounds]]:
    """True and measured sleeves of dolls whose sleeves end anywhere on the arm."""
    params = PaperDollParams(train=count, test=2, image_height=256, image_width=192, categories=(category,))
    ends = np.random.default_rng(19).uniform(0.14, 0.97, count)
    for index, end in enumerate(ends):
        sample = doll_sample(params, "train", index)
        if sample.design.sleeves != "none":
            sample = replace(sample, sleeve_end=float(end))
        picture = render_sample(params, sample)
        missing = picture.keypoints[:, 2] <= 0
        joints = Keypoints.from_flat(np.where(missing[:, None], (np.nan, np.nan, 0), picture.keypoints))
        if joints.has(Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER, Joint.MID_HIP):
            worn = measure_worn(garment_mask(picture.parse, category), joints, scene_of(picture.parse))
            yield picture.truth["sleeve_ratio"], worn.lengths["sleeve"].over(worn.body["arm"])


@pytest.mark.parametrize("category", [Category.UPPER, Category.DRESS])
def test_dolls_measure_as_drawn_at_any_length(category: Category) -> None:
    found = list(drawn(category, 40))
    errors = [abs(sleeve.value - true) for true, sleeve in found if np.isfinite(sleeve.value)]
    assert len(errors) > 0.75 * len(found)
    middle, high = np.quantile(errors, [0.5, 0.95])
    assert middle < 0.005
    assert high < 0.03


def test_polygon_people_measure_as_drawn() -> None:
    people = [random_person(seed) for seed in range(500_000, 500_050)]
    found = [sleeve_of(person.parse, person.keypoints) for person in people]
    errors = [abs(sleeve.value - true.sleeve) for sleeve, true in zip(found, people, strict=True)]
    known = np.array(errors)[np.isfinite(errors)]
    assert len(known) > 30
    middle, high = np.quantile(known, [0.5, 0.95])
    assert middle < 0.01
    assert high < 0.03
