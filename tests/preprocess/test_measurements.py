from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.body.densepose import nearest_parts
from preprocess.body.keypoints import BodyFrame, KeypointError, Keypoints
from preprocess.body.openpose import read_openpose
from preprocess.garment.measurements import WornMeasures, garment_panel, measure_worn
from preprocess.garment.parse import garment_mask, load_parse, scene_of
from preprocess.garment.scene import Scene
from preprocess.garment.size_ratios import SizeRatioParams, SizeRatios, size_ratios
from preprocess.garment.worn import measure_parsed, parse_flags
from preprocess.sources.paper_dolls.sample import doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import ARM_PARTS, CLOTHED_TORSO, TORSO_PARTS, Category, Joint, Lip
from tests.preprocess.people import HEIGHT, WIDTH, person, shifted, tunic, with_sleeves
from tests.shared_data import shared_data
from tests.sizes import TOP_PLACES, UPPER


def ratios(worn: WornMeasures) -> np.ndarray:
    return np.array(
        [
            worn.lengths["shoulder"].value / worn.body["shoulder"],
            worn.lengths["width"].value / worn.body["shoulder"],
            worn.lengths["length"].value / worn.body["torso"],
        ]
    )


def test_rectangles_measure_as_they_were_drawn() -> None:
    worn = measure_worn(tunic(shoulder=260, width=240, hem=700), person())
    np.testing.assert_allclose(ratios(worn), [260 / 200, 240 / 200, 400 / 320], rtol=0.002)
    assert worn.flags == ()
    unsure = [round(worn.lengths[name].uncertainty, 2) for name in ("shoulder", "width", "length")]
    assert unsure == [0.01, 0.03, 0.02]
    assert worn.sleeve_ratio < 0.15


@pytest.mark.parametrize("width", [160, 200, 300, 400])
def test_width_follows_the_panel_alone(width: int) -> None:
    worn = measure_worn(tunic(width=width), person())
    np.testing.assert_allclose(ratios(worn), [1.3, width / 200, 1.25], rtol=0.003)


def test_free_long_sleeves_change_neither_width_nor_length() -> None:
    bare, sleeved = tunic(), with_sleeves(tunic(), person())
    worn = measure_worn(sleeved, person())
    np.testing.assert_allclose(ratios(worn)[1:], ratios(measure_worn(bare, person()))[1:], rtol=0.003)
    assert worn.sleeve_ratio == pytest.approx(1, abs=0.02)
    assert "sleeve_touches_panel" not in worn.flags


def test_a_bare_shoulder_does_not_end_the_sleeve_below_it() -> None:
    bared = with_sleeves(tunic(shoulder=200), person())
    bared[:420, 228:268] = bared[:420, 500:540] = False  # from 5 to 20 % of the arms
    assert measure_worn(bared, person()).sleeve_ratio == pytest.approx(1, abs=0.02)


def test_a_long_sleeve_that_touches_the_panel_is_named() -> None:
    hanging = person()
    hanging.xy[[Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST]] = (255, 460), (250, 600)
    worn = measure_worn(with_sleeves(tunic(), hanging), hanging)
    assert "sleeve_touches_panel" in worn.flags


def test_a_bare_arm_at_the_side_is_named_and_cloth_behind_it_is_measured() -> None:
    hanging = person()
    hanging.xy[[Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST]] = (260, 460), (255, 600)
    arm = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.polylines(arm, [hanging.xy[[2, 3, 4]].astype(np.int32)], False, 1, 44)
    narrow = tunic(width=240) & ~((arm > 0) & (np.arange(HEIGHT)[:, None] > 355))
    wide = tunic(width=340) & ~((arm > 0) & (np.arange(HEIGHT)[:, None] > 355))
    assert "arm_touches_panel" in measure_worn(narrow, hanging).flags
    behind = measure_worn(wide, hanging)
    assert "arm_touches_panel" not in behind.flags
    assert behind.lengths["width"].value == pytest.approx(340, rel=0.003)


def test_a_cropped_garment_is_measured_in_its_own_rows() -> None:
    worn = measure_worn(tunic(width=240, hem=420), person())
    np.testing.assert_allclose(ratios(worn)[[0, 2]], [1.3, 120 / 320], rtol=0.003)
    assert worn.width_rows[0] == pytest.approx(0.15 * 320, abs=2)
    assert np.isfinite(worn.lengths["width"].value)


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        pytest.param({Joint.RIGHT_ELBOW: (150, 250)}, "raised_arm", id="elbow above the shoulders"),
        pytest.param({Joint.LEFT_WRIST: (380, 500)}, "crossed_arm", id="hand before the belly"),
        pytest.param({Joint.LEFT_ELBOW: (np.nan, np.nan)}, "missing_elbow", id="no elbow"),
        pytest.param(
            {Joint.LEFT_SHOULDER: (284, 300), Joint.RIGHT_SHOULDER: (484, 300)}, "back_view", id="from behind"
        ),
        pytest.param(
            {Joint.LEFT_SHOULDER: (430, 300), Joint.RIGHT_SHOULDER: (338, 300)},
            "side_view",
            id="from the side",
        ),
    ],
)
def test_poses_that_spoil_a_measure_are_named(change: dict[Joint, tuple[float, float]], flag: str) -> None:
    posed = person()
    for joint, xy in change.items():
        posed.xy[joint] = xy
    assert flag in measure_worn(tunic(), posed).flags


def test_a_garment_cut_by_the_picture_has_no_length() -> None:
    worn = measure_worn(tunic(hem=HEIGHT), person())
    assert np.isnan(worn.lengths["length"].value)
    assert "hem_out_of_frame" in worn.flags


@pytest.mark.parametrize(
    ("moved", "cut"),
    [
        pytest.param(250, False, id="4 px from the edge"),
        pytest.param(260, True, id="6 px of the shoulder are beyond it"),
        pytest.param(-260, True, id="the same at the right edge"),
    ],
)
def test_a_shoulder_cut_by_the_picture_is_not_known(moved: int, cut: bool) -> None:
    """The panel, 200 px wide, ends 30 px further in and is whole."""
    one_side = np.zeros((HEIGHT, WIDTH), bool)
    source, target = (slice(max(0, shift), WIDTH + min(0, shift)) for shift in (moved, -moved))
    one_side[:, target] = tunic(shoulder=260, width=200)[:, source]
    result = size_ratios(measure_worn(one_side, shifted(person(), -moved, 0)), SizeRatioParams())
    assert ("garment_out_of_frame" in (result.reason or "")) == cut
    assert result.known[TOP_PLACES].tolist() == [not cut, not cut, True]


@pytest.mark.parametrize(("rows", "cut"), [(2, False), (6, True)])
def test_a_frill_that_is_cut_in_many_rows_of_a_shoulder_leaves_it_unknown(rows: int, cut: bool) -> None:
    """So many of its 15 rows reach the edge of the picture; the others end 4 px from it."""
    mask, wearer = tunic(shoulder=260, width=200)[:, 250:], shifted(person(), -250, 0)
    mask[300 : 300 + rows, :4] = True
    assert ("garment_out_of_frame" in measure_worn(mask, wearer).flags) == cut


@pytest.mark.parametrize("quarters", range(4))
def test_a_hem_cut_by_the_picture_is_so_whichever_way_up_that_is(quarters: int) -> None:
    mask, wearer = tunic(hem=HEIGHT), person()
    for _ in range(quarters):
        turned = np.column_stack([wearer.xy[:, 1], mask.shape[1] - wearer.xy[:, 0]])
        mask, wearer = np.ascontiguousarray(np.rot90(mask)), replace(wearer, xy=turned)
    assert "hem_out_of_frame" in measure_worn(mask, wearer).flags


@pytest.mark.parametrize(
    ("hem", "top", "bottom", "known"),
    [
        pytest.param(588, 380, 588, False, id="open from 0.25 T down to a hem at 0.9 T"),
        pytest.param(700, 380, 700, False, id="open down to a hem at 1.25 T"),
        pytest.param(HEIGHT, 380, HEIGHT, False, id="open down to where the picture cuts it off"),
        pytest.param(700, 380, 600, True, id="a stripe that the parse map left out is no opening"),
        pytest.param(700, 380, 660, True, id="nor is one that goes on below the hips"),
    ],
)
def test_an_open_front_is_no_hole(hem: int, top: int, bottom: int, known: bool) -> None:
    opened = tunic(width=200, hem=hem)
    opened[top:bottom, 384 - 12 : 384 + 12] = False
    worn = measure_worn(opened, person())
    assert np.isfinite(worn.lengths["width"].low) == known
    assert ("axis_hidden" in worn.flags) == (not known)


def test_a_garment_on_somebody_else_is_named() -> None:
    assert "garment_off_body" in measure_worn(np.roll(tunic(), 420, axis=0), person()).flags


def test_nothing_is_made_up_for_an_empty_row_of_shoulders() -> None:
    strapless = tunic()
    strapless[:340] = False
    worn = measure_worn(strapless, person())
    assert np.isnan(worn.lengths["shoulder"].value)
    assert worn.lengths["width"].value == pytest.approx(240, rel=0.003)


def test_specks_of_the_segmentation_do_not_count() -> None:
    speckled = tunic()
    speckled[302:306, 40:44] = speckled[900:905, 380:385] = True
    clean = ratios(measure_worn(tunic(), person()))
    np.testing.assert_allclose(ratios(measure_worn(speckled, person())), clean, rtol=1e-4)


def test_a_stray_piece_below_the_hem_is_named_and_not_measured() -> None:
    """It begins 80 px, a quarter of T, below a hem that lies one T below the shoulders."""
    mask = tunic(hem=620)
    assert measure_worn(mask, person()).flags == ()
    mask[700:760, 364:404] = True
    worn = measure_worn(mask, person())
    assert worn.flags == ("stray_pieces",)
    assert worn.lengths["length"].value == pytest.approx(320, abs=1)
    mask[:, 324:444] = False
    off_axis = measure_worn(mask, person())
    assert np.isnan(off_axis.lengths["length"].value)
    assert "stray_pieces" not in off_axis.flags, "near the axis nothing is left"


def test_no_measure_without_a_trunk() -> None:
    with pytest.raises(KeypointError, match="missing_shoulders"):
        measure_worn(tunic(), Keypoints.missing())


def test_an_empty_mask_measures_nothing() -> None:
    assert np.isnan(ratios(measure_worn(np.zeros((HEIGHT, WIDTH), bool), person()))).all()


def test_ease_is_over_the_body_at_any_scale_of_the_body() -> None:
    body = np.zeros((HEIGHT, WIDTH), bool)
    body[280:700, 284:484] = True
    for torso in (body, body[::2, ::2]):
        scene = Scene(densepose=torso.astype(np.uint8))
        assert measure_worn(tunic(width=240), person(), scene).ease_ratio == pytest.approx(1.2, rel=0.01)


def test_a_torso_with_its_garment_tells_where_sleeves_end_but_no_ease() -> None:
    xy = person().xy.copy()
    xy[[Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST]] = (254, 430), (244, 580)
    xy[[Joint.LEFT_ELBOW, Joint.LEFT_WRIST]] = (514, 430), (524, 580)
    wearer = replace(person(), xy=xy)
    sleeved = with_sleeves(tunic(width=240), wearer)
    parts = np.zeros((HEIGHT, WIDTH), np.uint8)
    parts[280:700, 200:262] = parts[280:700, 506:568] = ARM_PARTS[0]

    def seen(torso: int, half: int = 98) -> WornMeasures:
        parts[280:700, 262:506] = 0
        parts[280:700, 384 - half : 384 + half] = torso
        return measure_worn(sleeved, wearer, Scene(densepose=parts))

    body, clothed, nothing = (seen(torso) for torso in (TORSO_PARTS[0], CLOTHED_TORSO, 0))
    assert all(clothed.lengths[name] == body.lengths[name] for name in ("shoulder", "width", "length"))
    assert clothed.lengths["width"] != nothing.lengths["width"]
    assert body.ease_ratio == pytest.approx(body.lengths["width"].value / 196, rel=0.001)
    assert np.isnan(clothed.ease_ratio)
    bag = [seen(torso, half=122).lengths["width"].value for torso in (TORSO_PARTS[0], CLOTHED_TORSO)]
    assert bag[1] < bag[0] - 10, "clothes that the joints don't agree with are believed less than a body"


def test_the_panel_is_the_garment_without_sleeves() -> None:
    sleeved = with_sleeves(tunic(), person())
    panel = garment_panel(sleeved, person())
    assert not (panel & ~sleeved).any()
    assert panel[460:690, 270:498].all()
    assert not panel[:, :200].any()


@settings(max_examples=40, deadline=None)
@given(
    angle=st.floats(-15, 15),
    scale=st.floats(0.35, 1.1),
    dx=st.floats(-20, 20),
    mirror=st.booleans(),
)
def test_tilt_scale_shift_and_mirror_change_no_ratio(
    angle: float, scale: float, dx: float, mirror: bool
) -> None:
    matrix = cv2.getRotationMatrix2D((384, 460), angle, scale)
    matrix[0, 2] += dx
    samples = matrix.copy()  # OpenCV puts samples at whole numbers, we put them half a pixel in
    samples[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    sleeved = with_sleeves(tunic(), person())
    grey = cv2.warpAffine(sleeved.astype(np.uint8) * 255, samples, (WIDTH, HEIGHT))
    moved = person()
    moved.xy[:] = moved.xy @ matrix[:, :2].T + matrix[:, 2]
    mask = grey > 127
    if mirror:
        mask, moved = mask[:, ::-1].copy(), moved.mirrored(WIDTH)
    worn = measure_worn(mask, moved)
    tolerance = max(0.005, 1.6 / (240 * scale))  # px: the moved mask has two edges of whole pixels, tilted
    np.testing.assert_allclose(ratios(worn), ratios(measure_worn(sleeved, person())), rtol=tolerance)


@pytest.mark.parametrize(
    ("image_height", "image_width", "tolerance"),
    [
        pytest.param(512, 384, 0.02, id="512 x 384"),
        pytest.param(128, 96, 0.06, id="as small as the tiny model's pictures"),
    ],
)
def test_fresh_paper_dolls_measure_as_drawn(image_height: int, image_width: int, tolerance: float) -> None:
    params = PaperDollParams(train=40, test=2, image_height=image_height, image_width=image_width, seed=90210)
    errors = []
    for index in range(params.train):
        picture = render_sample(params, doll_sample(params, "train", index))
        missing = picture.keypoints[:, 2] <= 0
        keypoints = Keypoints.from_flat(np.where(missing[:, None], (np.nan, np.nan, 0), picture.keypoints))
        try:
            worn = measure_worn(garment_mask(picture.parse, Category.UPPER), keypoints)
        except KeypointError:
            continue
        if not worn.flags:
            errors.append(ratios(worn) / [picture.truth[f"{name}_ratio"] for name in UPPER] - 1)
    assert len(errors) > 0.7 * params.train
    assert np.median(np.abs(errors), axis=0).max() < tolerance / 4
    assert np.quantile(np.abs(errors), 0.95, axis=0).max() < tolerance


def doll_ratios(index: int, image_height: int) -> tuple[SizeRatios, float]:
    """What is measured of a doll whose photo is read at 512 rows, and its true shoulder ratio."""
    params = PaperDollParams(
        train=32, test=2, image_height=image_height, image_width=image_height * 3 // 4, seed=11
    )
    picture = render_sample(params, doll_sample(params, "train", index))
    missing = picture.keypoints[:, 2] <= 0
    _, measured = measure_parsed(
        garment_mask(picture.parse, Category.UPPER),
        picture.parse,
        Keypoints.from_flat(np.where(missing[:, None], (np.nan, np.nan, 0), picture.keypoints)),
        SizeRatioParams(),
        category=Category.UPPER,
        photo=cv2.resize(picture.image, (384, 512), interpolation=cv2.INTER_AREA),
        densepose=None,
    )
    return measured, picture.truth["shoulder_ratio"]


def test_twelve_megapixels_are_measured_as_one_is() -> None:
    num_known = 0
    for index in range(16, 24):
        (small, _), (large, truth) = doll_ratios(index, 1024), doll_ratios(index, 4096)
        known = [name for name in UPPER if small.is_known(name)]
        assert [name for name in UPPER if large.is_known(name)] == known
        for name in known:
            assert large.bounds[name].value == pytest.approx(small.bounds[name].value, rel=0.01), (
                index,
                name,
            )
        shoulder = large.bounds["shoulder"]
        assert not large.is_known("shoulder") or shoulder.low <= truth <= shoulder.high, index
        num_known += len(known)
    assert num_known >= 22  # of 24


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_the_joints_and_labels_a_person_is_measured_or_refused(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parse = cv2.resize(
        rng.choice([0, 5, 5, 7, 14, 15, 2], (6, 5)).astype(np.uint8), (90, 120), interpolation=0
    )
    fuzzed = Keypoints.missing()
    found = rng.random(25) < 0.9
    fuzzed.xy[found] = rng.normal((45, 60), rng.choice([0.5, 20, 200]), (25, 2))[found]
    fuzzed.confidence[found] = rng.random(found.sum())
    try:
        photo = rng.integers(0, 256, (120, 90, 3), np.uint8) if seed % 2 else None
        worn = measure_worn(garment_mask(parse, Category.UPPER), fuzzed, scene_of(parse, photo=photo))
    except KeypointError:
        return
    parse_flags(parse, worn, BodyFrame.from_keypoints(fuzzed), Category.UPPER)
    assert not (ratios(worn) <= 0).any()
    for length in worn.lengths.values():
        assert not length.low > length.value
        assert not length.high < length.value


def labels(mask: np.ndarray) -> np.ndarray:
    parse = np.zeros(mask.shape, np.uint8)
    parse[mask] = Lip.UPPER_CLOTHES
    return parse


def flags_of(parse: np.ndarray) -> list[str]:
    worn = measure_worn(garment_mask(parse, Category.UPPER), person())
    return parse_flags(parse, worn, BodyFrame.from_keypoints(person()), Category.UPPER)


def test_a_plain_garment_has_no_flags() -> None:
    assert flags_of(labels(tunic())) == []


def test_hair_over_a_shoulder_is_named() -> None:
    parse = labels(tunic())
    parse[200:380, 480:560] = Lip.HAIR
    assert flags_of(parse) == ["hair_over_shoulder"]


@pytest.mark.parametrize("below", [Lip.UPPER_CLOTHES, Lip.DRESS])
def test_an_open_jacket_is_named(below: Lip) -> None:
    parse = labels(tunic())
    parse[parse > 0] = below
    parse[:, :340][parse[:, :340] > 0] = Lip.COAT
    assert flags_of(parse) == ["open_jacket"]


def test_a_tucked_hem_is_named_and_an_untucked_one_is_not() -> None:
    tucked, loose = labels(tunic(width=220, hem=560)), labels(tunic(width=280, hem=560))
    low = labels(tunic(width=220, hem=600))  # 0.94 T below the shoulders: no waistband is there
    for parse, hem in ((tucked, 560), (loose, 560), (low, 600)):
        parse[hem:900, 274:494] = Lip.PANTS
    assert flags_of(tucked) == ["tucked_hem"]
    assert flags_of(loose) == flags_of(low) == []


def test_an_arm_across_the_chest_leaves_the_garment_on_the_body() -> None:
    """Of the rows from 0.15 to 0.3 T, 348 to 396 px, all but 12 lie behind an arm."""
    arm = np.zeros((HEIGHT, WIDTH), bool)
    arm[340:384, 200:600] = True
    mask = tunic() & ~arm
    assert "garment_off_body" not in measure_worn(mask, person(), Scene(occluders=arm)).flags
    assert "garment_off_body" in measure_worn(mask, person(), Scene()).flags


@pytest.mark.parametrize(
    ("down_to", "known"), [(316, True), (420, False)], ids=["shows again below", "hidden below too"]
)
def test_a_shoulder_behind_hair_slopes_as_the_other_one_does(down_to: int, known: bool) -> None:
    """Each half is 120 px wide at row 290 and 160 at row 390: 127 in the middle of the shoulders' rows."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for row in range(280, 700):
        half = round(120 + 0.4 * (min(row, 390) - 290))
        mask[row, 384 - half : 384 + half] = True
    hair = np.zeros((HEIGHT, WIDTH), bool)
    hair[250:down_to, 440:540] = True
    shoulder = measure_worn(mask & ~hair, person(), Scene(occluders=hair, overlays=hair)).lengths["shoulder"]
    assert (shoulder.uncertainty <= 0.1) == known
    assert shoulder.low <= 254 <= shoulder.high
    if known:
        assert shoulder.value == pytest.approx(254, abs=3)


def test_densepose_colours_survive_noise() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[16:48, 16:48] = (20, 80, 194)  # front of the torso
    picture[16:48, 48:56] = (4, 97, 223)  # a hand's blue, close to it
    noisy = np.clip(picture.astype(int) + np.random.default_rng(0).integers(-6, 7, picture.shape), 0, 255)
    torso = np.isin(nearest_parts(noisy.astype(np.uint8)), TORSO_PARTS)
    assert torso[16:48, 16:48].all()
    assert torso.sum() == 32 * 32


def test_a_second_run_of_openpose_measures_the_same_shirt() -> None:
    folder = shared_data() / "data"
    parse = load_parse(folder / "vitonhd/test/image-parse-v3/00006_00.png")
    mask = garment_mask(parse, Category.UPPER)
    runs = [
        folder / "vitonhd/test/openpose_json/00006_00_keypoints.json",
        folder / "openpose_variants/aalaa_openpose_openpose_json_00006_00_keypoints.json",
    ]
    first, second = (ratios(measure_worn(mask, read_openpose(path, WIDTH, HEIGHT))) for path in runs)
    np.testing.assert_allclose(second, first, rtol=0.03)
