"""Augmentations leave ratios true: what is measured on the changed sample is what was measured before."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from preprocess.body.densepose import DENSEPOSE_COLOURS, with_sides_swapped
from preprocess.body.keypoints import Keypoints
from preprocess.garment.measurements import measure_worn
from preprocess.garment.parse import garment_mask
from preprocess.layout import worn_photo
from preprocess.lower.measures import measure_lower
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.sources.paper_dolls.sample import doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Category, Joint
from shards.augment import asked_for, mirrored, recoloured, resized, zoomed
from shards.batch import Batch, empty_batch
from shards.codec import WHOLE, decide
from tests.preprocess.people import person, trousers, tunic
from tests.sizes import TOP_PLACES, of_tops

DOLLS = PaperDollParams(image_height=256, image_width=192)
NUM = 3


@pytest.fixture(scope="module")
def dolls() -> Batch:
    """Paper dolls as the stream gives them."""
    batch = empty_batch(range(NUM), DOLLS.image_height, DOLLS.image_width)
    for row in range(NUM):
        drawn = render_sample(DOLLS, doll_sample(DOLLS, "train", row))
        batch.keys[row], batch.categories[row] = f"{row:05d}_00", str(Category.UPPER)
        batch.image[row] = batch.cloth[row] = drawn.image
        batch.densepose[row] = drawn.densepose
        batch.garment_mask[row] = garment_mask(drawn.parse, Category.UPPER)
        batch.garment_cover[row] = batch.garment_mask[row] * np.uint8(WHOLE)
        batch.inpaint_mask[row] = batch.cloth_mask[row] = batch.garment_mask[row]
        missing = drawn.keypoints[:, 2:] == 0
        batch.keypoints[row] = np.where(missing, [np.nan, np.nan, 0], drawn.keypoints)
    return batch


def measured(batch: Batch, row: int) -> NDArray[np.float64]:
    """Shoulder, width and length over the body's, as the annotator measures them."""
    worn = measure_worn(batch.garment_mask[row].astype(bool), Keypoints.from_flat(batch.keypoints[row]))
    return np.array(
        [
            worn.lengths["shoulder"].value / worn.body["shoulder"],
            worn.lengths["width"].value / worn.body["shoulder"],
            worn.lengths["length"].value / worn.body["torso"],
        ]
    )


def test_a_mirror_swaps_the_sides_and_leaves_the_ratios(dolls: Batch) -> None:
    mirror = mirrored(dolls, np.array([True, False, True]))
    assert mirror.keys == ["00000_00:mirrored", "00001_00", "00002_00:mirrored"]
    assert np.array_equal(mirror.image[1], dolls.image[1])
    assert np.array_equal(mirror.image[0], dolls.image[0][:, ::-1])
    right, left = dolls.keypoints[0, Joint.RIGHT_SHOULDER], mirror.keypoints[0, Joint.LEFT_SHOULDER]
    assert left[0] == pytest.approx(DOLLS.image_width - right[0])
    assert left[1] == right[1]
    for row in range(NUM):
        np.testing.assert_allclose(measured(mirror, row), measured(dolls, row), atol=0.002)


def spot(row: int, x: float, y: float) -> Batch:
    """A soft light about the neck, a garment that hides it, and shoulders and hips around."""
    batch = empty_batch(range(NUM), DOLLS.image_height, DOLLS.image_width)
    batch.categories[:] = [str(Category.UPPER)] * NUM
    rows, columns = np.ogrid[: DOLLS.image_height, : DOLLS.image_width]
    for name in ("image", "cloth", "densepose", "cloth_mask", "inpaint_mask", "garment_mask"):
        getattr(batch, name)[:] = 0
    distance = np.hypot(columns + 0.5 - x, rows + 0.5 - y)
    batch.image[row] = (255 * np.exp(-((distance / 4) ** 2) / 2)).round()[..., None]
    batch.garment_mask[row] = distance < 14
    batch.keypoints[:] = (np.nan, np.nan, 0)
    trunk = {Joint.NECK: (0, 0)}
    trunk |= {Joint.RIGHT_SHOULDER: (-14, -10), Joint.LEFT_SHOULDER: (14, -10)}
    trunk |= {Joint.RIGHT_HIP: (-9, 30), Joint.LEFT_HIP: (9, 30)}
    for joint, (dx, dy) in trunk.items():
        batch.keypoints[row, joint] = (x + dx, y + dy, 1)
    return batch


def middle(batch: Batch, row: int) -> NDArray[np.float64]:
    """Where the light is: the mean of the pixels' middles, x and y, each as often as it is bright."""
    light = batch.image[row, ..., 0].astype(np.float64)
    y, x = np.indices(light.shape) + 0.5
    return np.array([(x * light).sum(), (y * light).sum()]) / light.sum()


PLACES = {"x": st.floats(40, 150), "y": st.floats(40, 200)}


@settings(max_examples=30, deadline=None)
@given(**PLACES)
def test_a_joint_stays_on_its_spot_of_the_picture_in_a_mirror(x: float, y: float) -> None:
    before = spot(1, x, y)
    after = mirrored(before, np.array([False, True, False]))
    np.testing.assert_allclose(middle(before, 1), before.keypoints[1, Joint.NECK, :2], atol=0.1)
    np.testing.assert_allclose(middle(after, 1), after.keypoints[1, Joint.NECK, :2], atol=0.1)
    assert after.keypoints[1, Joint.NECK, 0] == pytest.approx(DOLLS.image_width - x)


@settings(max_examples=30, deadline=None)
@given(**PLACES, cut=st.floats(0.1, 0.7), place_x=st.floats(0, 1), place_y=st.floats(0, 1))
def test_a_joint_stays_on_its_spot_of_the_picture_in_a_zoom(
    x: float, y: float, cut: float, place_x: float, place_y: float
) -> None:
    place = np.tile(np.array([place_x, place_y], np.float32), (NUM, 1))
    after = zoomed(spot(0, x, y), np.full(NUM, cut, np.float32), place)
    shoulders = after.keypoints[0, [Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER], 0]
    assert np.diff(shoulders) > 28, "nothing was enlarged"
    np.testing.assert_allclose(middle(after, 0), after.keypoints[0, Joint.NECK, :2], atol=0.1)


def test_measures_are_mirrored_with_the_sample(dolls: Batch) -> None:
    mirror = mirrored(dolls, np.ones(NUM, bool))
    for row in range(NUM):
        before, after = (
            measure_worn(batch.garment_mask[row].astype(bool), Keypoints.from_flat(batch.keypoints[row]))
            for batch in (dolls, mirror)
        )
        for name in ("shoulder_span", "width_span"):  # to the person's right and left, which change places
            right, left = getattr(before, name)
            np.testing.assert_allclose(getattr(after, name), (-left, -right), atol=0.1)
        assert after.lengths["length"].value == pytest.approx(before.lengths["length"].value, abs=0.1)


def test_a_mirror_of_a_mirror_is_the_sample(dolls: Batch) -> None:
    every = np.ones(NUM, bool)
    again = mirrored(mirrored(dolls, every), every)
    for name in ("image", "densepose", "garment_mask"):
        assert np.array_equal(getattr(again, name), getattr(dolls, name))
    np.testing.assert_allclose(again.keypoints, dolls.keypoints, atol=1e-4)


def test_what_is_covered_in_part_goes_with_the_garment(dolls: Batch) -> None:
    """Through a mirror, a zoom and another size: the mask is where half of a pixel is covered, or more."""
    batch, every = known(dolls), np.ones(NUM, bool)
    near = zoomed(batch, np.full(NUM, 0.2, np.float32), np.full((NUM, 2), 0.5, np.float32))
    new = resized(batch, np.full((NUM, len(AXIS_NAMES)), 0.95, np.float32))
    assert any(key.endswith(":resized") for key in new.keys)
    for changed in (mirrored(batch, every), near, new):
        assert not np.array_equal(changed.garment_cover, batch.garment_cover)
        np.testing.assert_array_equal(decide(changed.garment_cover), changed.garment_mask)
    assert not np.isin(near.garment_cover, (0, WHOLE)).all()


def test_a_mirror_swaps_right_and_left_parts_of_densepose() -> None:
    shown = with_sides_swapped(DENSEPOSE_COLOURS[None, [0, 1, 2, 3, 4, 23, 24]])
    assert np.array_equal(shown, DENSEPOSE_COLOURS[None, [0, 1, 2, 4, 3, 24, 23]])


@settings(max_examples=6, deadline=None)
@given(cut=st.floats(0, 0.6), x=st.floats(0, 1), y=st.floats(0, 1))
def test_a_zoom_keeps_garment_and_frame_and_leaves_the_ratios(
    dolls: Batch, cut: float, x: float, y: float
) -> None:
    place = np.tile(np.array([x, y], np.float32), (NUM, 1))
    near = zoomed(dolls, np.full(NUM, cut, np.float32), place)
    for row in range(NUM):
        before, after = dolls.garment_mask[row].sum(), near.garment_mask[row].sum()
        scale = (near.keypoints[row, Joint.LEFT_SHOULDER] - near.keypoints[row, Joint.RIGHT_SHOULDER])[0] / (
            dolls.keypoints[row, Joint.LEFT_SHOULDER] - dolls.keypoints[row, Joint.RIGHT_SHOULDER]
        )[0]
        assert scale + 1e-6 >= 1
        assert scale <= 1 / (1 - cut) + 1e-4
        assert after == pytest.approx(before * scale**2, rel=0.03)
        np.testing.assert_allclose(measured(near, row), measured(dolls, row), atol=0.03)


def test_a_zoom_keeps_the_legs_of_trousers_without_a_head() -> None:
    """Their wearer ends at the waist, and shorts end far above the ankles, which tell how long legs are."""
    shorts, wearer, _ = trousers(hem=600)
    batch = empty_batch(range(1), *shorts.shape)
    batch.garment_mask[0], batch.categories[0] = shorts, str(Category.LOWER)
    keypoints = np.asarray(wearer.flat(), np.float32).reshape(25, 3)
    keypoints[[Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER]] = (np.nan, np.nan, 0)
    batch.keypoints[0] = keypoints
    near = zoomed(batch, np.full(1, 0.9, np.float32), np.full((1, 2), 0.5, np.float32))
    legs = [Joint.RIGHT_HIP, Joint.LEFT_HIP, Joint.RIGHT_KNEE, Joint.LEFT_KNEE, Joint.RIGHT_ANKLE]
    legs.append(Joint.LEFT_ANKLE)
    assert np.isfinite(near.keypoints[0, legs]).all()
    assert np.ptp(near.keypoints[0, legs, 1]) > 1.2 * np.ptp(keypoints[legs, 1])


def test_without_a_body_frame_there_is_no_zoom(dolls: Batch) -> None:
    keypoints = dolls.keypoints.copy()
    keypoints[0, Joint.LEFT_HIP] = (np.nan, np.nan, 0)
    lost = replace(dolls, keypoints=keypoints)
    near = zoomed(lost, np.full(NUM, 0.2, np.float32), np.zeros((NUM, 2), np.float32))
    assert np.array_equal(near.image[0], dolls.image[0])


def test_colours_change_alike_on_person_and_garment_and_nowhere_else(dolls: Batch) -> None:
    gains = np.array([[0.5, 1.0, 1.0]] * NUM, np.float32)
    light = recoloured(dolls, gains)
    for name in ("image", "cloth"):
        np.testing.assert_allclose(getattr(light, name)[..., 0], getattr(dolls, name)[..., 0] / 2, atol=0.5)
        assert np.array_equal(getattr(light, name)[..., 1:], getattr(dolls, name)[..., 1:])
    assert light.densepose is dolls.densepose
    assert light.garment_mask is dolls.garment_mask


def known(batch: Batch) -> Batch:
    """The batch with the ratios that are measured on it, and masks that hide every size."""
    ratios = of_tops([measured(batch, row) for row in range(len(batch))]).astype(np.float32)
    labels = ["loose"] * len(batch)
    everything = np.ones_like(batch.inpaint_mask)
    categories = [str(Category.UPPER)] * len(batch)
    return replace(batch, ratios=ratios, fit_label=labels, categories=categories, inpaint_mask=everything)


def test_a_resized_garment_measures_what_its_ratios_say(dolls: Batch) -> None:
    batch = known(dolls)
    growth = np.array([[1.1, 1.15, 0.9, 1], [np.nan] * 4, [0.95, 0.9, 1.05, 1]], np.float32)
    new = resized(batch, growth)
    np.testing.assert_allclose(new.ratios[[0, 2]], (batch.ratios * growth)[[0, 2]], rtol=1e-6)
    for row in (0, 2):
        np.testing.assert_allclose(measured(new, row), new.ratios[row, TOP_PLACES], rtol=0.03)
    assert new.keys == ["00000_00:resized", "00001_00", "00002_00:resized"]
    assert new.fit_label == [None, "loose", None]
    np.testing.assert_array_equal(new.image[1], batch.image[1])
    np.testing.assert_array_equal(new.keypoints, batch.keypoints)


def test_a_size_that_no_photo_follows_is_asked_for_as_it_is_worn(
    dolls: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worn_photo, "RESIZED", ("shoulder", "width"))
    batch = known(dolls)
    asked = asked_for(batch, 0, np.full(len(AXIS_NAMES), 0.95, np.float32))
    assert asked is not None
    np.testing.assert_allclose(asked / batch.ratios[0], of_tops([0.95, 0.95, 1]), rtol=1e-6)


def test_a_long_dress_is_resized() -> None:
    """It reaches down 2.5 torsos, further than any top can."""
    wearer, dress = person(), np.pad(tunic(), ((0, 256), (0, 0)))
    dress[350:1100, 254:514] = True
    batch = empty_batch(range(1), *dress.shape)
    batch.image[0] = np.where(dress[..., None], np.uint8((180, 30, 40)), np.uint8(220))
    batch.densepose[0] = 0
    batch.garment_mask[0], batch.inpaint_mask[0] = dress, 1
    batch.keypoints[0] = np.asarray(wearer.flat(), np.float32).reshape(25, 3)
    batch.keys[0], batch.categories[0] = "dress", str(Category.DRESS)
    batch.ratios[0] = of_tops(measured(batch, 0))
    assert batch.ratios[0, AXIS_NAMES.index("length")] == pytest.approx(2.5, abs=0.02)
    new = resized(batch, np.array([[1, 1.1, 0.95, 1]], np.float32))
    assert new.keys == ["dress:resized"]
    assert measured(new, 0)[2] == pytest.approx(2.5 * 0.95, rel=0.03)


def test_trousers_are_resized_on_what_is_known_of_them() -> None:
    """Legs of 70 px, H 100: a waist under a top stays unknown; nothing known, nothing new."""
    garment, wearer, _ = trousers()
    batch = empty_batch(range(2), *garment.shape)
    places = [AXIS_NAMES.index(name) for name in ("waist", "width", "length")]
    for row, ratios in enumerate(([np.nan, 1.4, 0.8], [np.nan] * 3)):
        batch.keys[row], batch.categories[row] = f"{row}", str(Category.LOWER)
        batch.image[row] = np.where(garment[..., None], np.uint8((20, 40, 160)), np.uint8(200))
        batch.densepose[row], batch.garment_mask[row], batch.inpaint_mask[row] = 0, garment, 1
        batch.keypoints[row] = np.asarray(wearer.flat(), np.float32).reshape(25, 3)
        batch.ratios[row] = np.nan
        batch.ratios[row, places] = ratios
    batch.ratios[0, places[2]] = length_of(batch, 0)
    new = resized(batch, np.full((2, len(AXIS_NAMES)), 0.95, np.float32))
    assert new.keys == ["0:resized", "1"]
    np.testing.assert_allclose(new.ratios[0], 0.95 * batch.ratios[0], rtol=1e-6)
    assert new.garment_mask[0, 560].sum() == pytest.approx(2 * 66.5, abs=2)
    assert length_of(new, 0) == pytest.approx(0.95 * length_of(batch, 0), rel=0.02)


def length_of(batch: Batch, row: int) -> float:
    """Of trousers, over that of the legs."""
    wearer = Keypoints.from_flat(batch.keypoints[row])
    lower = measure_lower(batch.garment_mask[row].astype(bool), wearer, None)
    return lower.lengths["length"].value / lower.body["leg"]


def test_no_garment_is_resized_on_a_guess_or_out_of_its_mask(dolls: Batch) -> None:
    growth = np.full((NUM, len(AXIS_NAMES)), 1.05, np.float32)
    batch = known(dolls)
    batch.ratios[0, 1] = np.nan
    batch.inpaint_mask[1] = batch.garment_mask[1]
    new = resized(batch, growth)
    assert new.keys == ["00000_00", "00001_00", "00002_00:resized"]
    np.testing.assert_array_equal(new.ratios[:2], batch.ratios[:2])
    np.testing.assert_array_equal(new.image[:2], batch.image[:2])


def test_no_garment_is_resized_that_would_not_measure_as_its_ratios_say(dolls: Batch) -> None:
    batch = known(dolls)
    batch.ratios[0, 0] *= 1.1  # as if an arm had been in the way
    new = resized(batch, np.full((NUM, len(AXIS_NAMES)), 1.05, np.float32))
    assert new.keys == ["00000_00", "00001_00:resized", "00002_00:resized"]


def cropped(batch: Batch, height: int) -> Batch:
    """The upper `height` rows."""
    pictures = ("image", "densepose", "garment_mask", "garment_cover", "inpaint_mask")
    return replace(batch, **{name: getattr(batch, name)[:, :height] for name in pictures})


def test_no_garment_is_resized_out_of_the_picture(dolls: Batch) -> None:
    whole = known(dolls)
    hem = int(np.flatnonzero(whole.garment_mask[0].any(axis=1)).max())
    low = cropped(whole, hem + 4)  # three rows below the hem; a tenth of the length is many more
    for length, key in ((1.1, "00000_00"), (0.9, "00000_00:resized")):
        growth = np.full((NUM, len(AXIS_NAMES)), np.nan, np.float32)
        growth[0] = (1, 1, length, 1)
        new = resized(low, growth)
        assert new.keys[0] == key
        np.testing.assert_allclose(measured(new, 0), new.ratios[0, TOP_PLACES], rtol=0.03)


def test_a_body_that_densepose_does_not_show_is_drawn_from_the_joints(dolls: Batch) -> None:
    batch = known(dolls)
    unseen = replace(batch, densepose=np.zeros_like(batch.densepose))
    new = resized(unseen, np.full((NUM, len(AXIS_NAMES)), 0.9, np.float32))
    assert new.keys == [f"{key}:resized" for key in batch.keys]
    assert not new.densepose.any()
