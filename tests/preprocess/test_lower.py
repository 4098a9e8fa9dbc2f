"""Trousers and skirts of rectangles, whose ratios one can work out: H = 100, thighs 200, L = 400 px."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from preprocess.body.keypoints import KeypointError, Keypoints
from preprocess.body.legs import LegFrame
from preprocess.garment.size_ratios import SizeRatioParams, SizeRatios, size_ratios
from preprocess.lower.measures import measure_lower
from preprocess.vocabulary import Category, Lip, RowStatus
from tests.preprocess.people import legs, trousers

MISSING = (float("nan"), float("nan"))


def ratios(parse: NDArray[np.uint8], wearer: Keypoints) -> SizeRatios:
    worn = measure_lower(np.isin(parse, (Lip.PANTS, Lip.SKIRT)), wearer, parse)
    return size_ratios(worn, SizeRatioParams(), category=Category.LOWER, keypoints=wearer)


def values(result: SizeRatios) -> dict[str, float]:
    return {name: round(bounds.value, 3) for name, bounds in result.bounds.items()}


def known(result: SizeRatios) -> list[str]:
    return [name for name, bounds in result.bounds.items() if bounds.uncertainty <= result.max_uncertainty]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        pytest.param(trousers(), {"waist": 1.8, "width": 1.4, "length": 0.95}, id="trousers"),
        pytest.param(trousers(waist=240), {"waist": 2.4, "width": 1.4, "length": 0.95}, id="a wide waist"),
        pytest.param(trousers(leg=90), {"waist": 1.8, "width": 1.8, "length": 0.95}, id="wide legs"),
        pytest.param(trousers(hem=560), {"waist": 1.8, "width": 1.4, "length": 0.4}, id="shorts"),
        pytest.param(trousers(skirt=True), {"waist": 1.8, "width": 1.7, "length": 0.95}, id="a skirt"),
        pytest.param(trousers(tucked=False), {"waist": 1.8, "width": 1.4, "length": 0.95}, id="bare above"),
    ],
)
def test_divides_by_hips_and_legs(
    made: tuple[NDArray[np.bool_], Keypoints, NDArray[np.uint8]], expected: dict[str, float]
) -> None:
    """The gap between the legs is left out of the width, nothing above the hips is needed."""
    _, wearer, parse = made
    result = ratios(parse, wearer)
    assert values(result) == pytest.approx(expected, abs=0.006)
    assert (result.status, result.reason) == (RowStatus.OK, None)


def test_shorts_that_end_above_the_thighs_rows_use_those_they_have() -> None:
    """A hem at 0.4 of the thighs: 0.15 to 0.37 of them are measured, 20 px of the yoke among them not."""
    _, wearer, parse = trousers(hem=480)
    result = ratios(parse, wearer)
    assert values(result) == pytest.approx({"waist": 1.8, "width": 1.4, "length": 0.2}, abs=0.006)
    parse[440:] = 0
    assert "too_short" in str(ratios(parse, wearer).reason)


@pytest.mark.parametrize("degrees", [-8, 5, 12])
def test_does_not_depend_on_tilt_and_scale(degrees: float) -> None:
    _, wearer, parse = trousers()
    turn = cv2.getRotationMatrix2D((384.0, 500.0), degrees, 0.8)
    turned = cv2.warpAffine(parse, turn, (768, 1024), flags=cv2.INTER_NEAREST)
    xy = wearer.xy @ turn[:, :2].T + turn[:, 2]
    result = ratios(turned, Keypoints(xy=xy, confidence=wearer.confidence))
    assert values(result) == pytest.approx({"waist": 1.8, "width": 1.4, "length": 0.95}, abs=0.02)
    assert result.status is RowStatus.OK


def painted(*patches: tuple[slice, slice, Lip], **options: int) -> NDArray[np.uint8]:
    _, _, parse = trousers(**options)
    for rows, columns, label in patches:
        parse[rows, columns] = label
    return parse


LEFT_OF_THIGH, WAIST_SIDE = slice(469, 500), slice(474, 510)


@pytest.mark.parametrize(
    ("parse", "flag", "lost"),
    [
        pytest.param(
            painted((slice(300, 390), slice(280, 490), Lip.UPPER_CLOTHES)),
            "waist_covered",
            ["waist"],
            id="a top hangs over the waistband",
        ),
        pytest.param(
            painted((slice(100, 410), slice(310, 460), Lip.UPPER_CLOTHES)),
            "waist_covered",
            ["waist"],
            id="a narrow top ends below the hip joints",
        ),
        pytest.param(
            painted((slice(200, 440), slice(440, 520), Lip.COAT)),
            "waist_covered",
            ["waist"],
            id="an open jacket",
        ),
        pytest.param(
            painted((slice(200, 500), slice(440, 520), Lip.COAT)),
            "waist_covered",
            ["waist", "width"],
            id="an open jacket that hides one side of a thigh",
        ),
        pytest.param(
            painted((slice(100, 505), slice(270, 500), Lip.UPPER_CLOTHES)),
            "waist_not_measurable",
            ["waist", "width"],
            id="a top hangs down over the thighs",
        ),
        pytest.param(
            painted((slice(320, 420), WAIST_SIDE, Lip.LEFT_ARM)),
            "waist_hidden",
            ["waist"],
            id="a hand on the hip",
        ),
        pytest.param(
            painted((slice(320, 420), WAIST_SIDE, Lip.SCARF)),
            "waist_hidden",
            ["waist"],
            id="a bag on the hip",
        ),
        pytest.param(
            painted((slice(460, 520), LEFT_OF_THIGH, Lip.LEFT_ARM)),
            "hand_over_garment",
            ["width"],
            id="a hand beside the thigh",
        ),
        pytest.param(
            painted((slice(760, 840), slice(295, 475), Lip.SCARF)),
            "hem_hidden",
            ["length"],
            id="a bag at the hem",
        ),
        pytest.param(
            painted(
                (slice(700, 840), slice(309, 359), Lip.RIGHT_SHOE),
                (slice(700, 840), slice(409, 459), Lip.LEFT_SHOE),
                hem=700,
            ),
            "hem_hidden",
            ["length"],
            id="trousers tucked into boots",
        ),
    ],
)
def test_what_hides_an_axis_leaves_the_others_known(
    parse: NDArray[np.uint8], flag: str, lost: list[str]
) -> None:
    result = ratios(parse, legs())
    assert flag in str(result.reason).split("; ")
    assert known(result) == [name for name in ("waist", "width", "length") if name not in lost]


def test_a_top_over_fewer_than_half_of_the_thighs_rows_leaves_the_width_to_the_others() -> None:
    """Of rows 470 to 510 it hides 17; through the others goes a line. By all of them it would lose these."""
    result = ratios(painted((slice(100, 485), slice(270, 500), Lip.UPPER_CLOTHES)), legs())
    assert values(result)["width"] == pytest.approx(1.4, abs=0.006)
    assert known(result) == ["width", "length"]


def test_a_large_photo_measures_as_a_small_one() -> None:
    """Thighs of 800 px, as telephones take them, have rows that are 4 px apart."""
    _, wearer, parse = trousers()
    large = cv2.resize(parse, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
    result = ratios(large, Keypoints(xy=4 * wearer.xy, confidence=wearer.confidence))
    assert values(result) == pytest.approx({"waist": 1.8, "width": 1.4, "length": 0.95}, abs=0.006)
    assert result.status is RowStatus.OK


def test_a_hand_in_front_of_the_thigh_is_within_the_garment() -> None:
    result = ratios(painted((slice(480, 500), slice(320, 345), Lip.RIGHT_ARM)), legs())
    assert values(result)["width"] == pytest.approx(1.4, abs=0.006)


@pytest.mark.parametrize(
    ("moved", "flag", "lost"),
    [
        pytest.param(
            {"right_knee": (440, 600), "left_knee": (330, 600)}, "crossed_legs", ["width"], id="crossed legs"
        ),
        pytest.param(
            {"right_hip": (364, 400), "left_hip": (404, 400)}, "side_view", ["waist", "width"], id="side view"
        ),
        pytest.param({"left_ankle": (634, 620)}, "bent_leg", ["length"], id="a knee far bent"),
        pytest.param(
            {
                "right_hip": (434, 400),
                "left_hip": (334, 400),
                "right_knee": (434, 600),
                "left_knee": (334, 600),
            },
            "back_view",
            ["waist", "width", "length"],
            id="back view",
        ),
    ],
)
def test_how_somebody_stands_is_named(
    moved: dict[str, tuple[float, float]], flag: str, lost: list[str]
) -> None:
    _, _, parse = trousers()
    result = ratios(parse, legs(**moved))
    assert flag in str(result.reason).split("; ")
    assert not set(lost) & set(known(result))


def test_a_photo_that_ends_at_the_knees_has_a_waist_and_a_width() -> None:
    _, _, parse = trousers()
    result = ratios(parse[:620], legs(right_ankle=MISSING, left_ankle=MISSING))
    assert known(result) == ["waist", "width"]
    assert np.isnan(result.bounds["length"].value)
    assert str(result.reason).split("; ")[0] == "missing_ankles"


def test_a_hem_out_of_the_frame_has_no_length() -> None:
    _, wearer, parse = trousers(hem=805)
    result = ratios(parse[:804], wearer)
    assert known(result) == ["waist", "width"]
    assert "hem_out_of_frame" in str(result.reason)


@pytest.mark.parametrize("rows", [345, 380, 399])
def test_a_waistband_out_of_the_frame_has_no_waist(rows: int) -> None:
    _, wearer, parse = trousers(tucked=False)
    moved = Keypoints(xy=wearer.xy - (0, rows), confidence=wearer.confidence)
    result = ratios(parse[rows:], moved)
    assert "waist_out_of_frame" in str(result.reason).split("; ")
    assert known(result) == ["width", "length"]


def test_a_shorter_leg_does_not_show_a_hem_that_is_hidden() -> None:
    """The right leg ends at 700; a scarf hides where the left one does."""
    scarf = (slice(760, 840), slice(395, 475), Lip.SCARF)
    result = ratios(painted((slice(700, 780), slice(290, 380), Lip.RIGHT_LEG), scarf), legs())
    assert "hem_hidden" in str(result.reason).split("; ")
    assert known(result) == ["waist", "width"]
    shown = ratios(painted(scarf), legs())
    assert values(shown)["length"] == pytest.approx(0.95, abs=0.006), "one that reaches it does"


def test_one_leg_alone_tells_the_length() -> None:
    _, _, parse = trousers()
    assert values(ratios(parse, legs(left_ankle=MISSING)))["length"] == pytest.approx(0.95, abs=0.006)


@pytest.mark.parametrize(
    ("moved", "reason"),
    [({"left_hip": MISSING}, "missing_hips"), ({"right_knee": MISSING}, "missing_knees")],
)
def test_hips_and_knees_are_needed(moved: dict[str, tuple[float, float]], reason: str) -> None:
    with pytest.raises(KeypointError, match=reason):
        LegFrame.from_keypoints(legs(**moved))
