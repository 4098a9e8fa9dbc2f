from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from preprocess.body.keypoints import KeypointError, Keypoints
from preprocess.body.openpose import read_openpose
from preprocess.garment.grabcut import segment_garment
from preprocess.garment.measurements import measure_worn
from preprocess.garment.parse import garment_mask, load_parse
from preprocess.garment.size_ratios import SizeRatioParams, size_ratios
from preprocess.vocabulary import Category
from tests.preprocess.people import HEIGHT, WIDTH, paint_photo, person, shifted, tunic, with_sleeves
from tests.shared_data import shared_data
from tests.sizes import TOP_PLACES

Mask = np.ndarray


def overlap(first: Mask, second: Mask) -> float:
    """Intersection over union."""
    return float((first & second).sum() / (first | second).sum())


def ratios(mask: Mask, keypoints: Keypoints) -> list[float]:
    return list(size_ratios(measure_worn(mask, keypoints), SizeRatioParams()).ratios[TOP_PLACES])


def test_finds_a_garment_whose_measures_are_known() -> None:
    found = segment_garment(paint_photo(tunic(width=240), person()), person())
    assert overlap(found, tunic(width=240)) > 0.98
    assert ratios(found, person()) == pytest.approx([1.3, 1.2, 1.25], rel=0.015)


def test_tells_sleeves_from_bare_arms() -> None:
    arms = with_sleeves(tunic(), person()) & ~tunic()
    bare = segment_garment(paint_photo(tunic(), person()), person())
    sleeved = segment_garment(paint_photo(with_sleeves(tunic(), person()), person()), person())
    assert (bare & arms).sum() < 0.02 * arms.sum()
    assert (sleeved & arms).sum() > 0.9 * arms.sum()


def test_the_colour_of_skin_is_no_hint_when_the_garment_has_it() -> None:
    mask = with_sleeves(tunic(), person())
    found = segment_garment(paint_photo(mask, person(), colour=(202, 152, 122)), person())
    assert overlap(found, mask) > 0.9


def test_a_print_is_no_hole() -> None:
    photo = paint_photo(tunic(), person())
    cv2.rectangle(photo, (350, 420), (418, 470), (250, 240, 60), cv2.FILLED)
    assert segment_garment(photo, person())[400:490, 330:438].all()


def test_hem_and_width_do_not_depend_on_where_the_seeds_end() -> None:
    for hem in (520, 640, 800):
        mask = tunic(shoulder=330, width=340, hem=hem)
        assert overlap(segment_garment(paint_photo(mask, person()), person()), mask) > 0.97


def test_half_the_photo_gives_the_same_ratios() -> None:
    photo = paint_photo(tunic(width=240), person())
    half = cv2.resize(photo, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    small = person().scaled(0.5, 0.5)
    found = segment_garment(half, small)
    assert found.shape == (HEIGHT // 2, WIDTH // 2)
    assert ratios(found, small) == pytest.approx([1.3, 1.2, 1.25], rel=0.015)


def test_the_same_photo_gives_the_same_mask_whatever_came_before() -> None:
    noise = np.random.default_rng(0).integers(-25, 25, (HEIGHT, WIDTH, 3))
    photo = (paint_photo(tunic(), person()) + noise).clip(0, 255).astype(np.uint8)
    first = segment_garment(photo, person())
    cv2.setRNGSeed(7)
    assert (segment_garment(photo, person()) == first).all()


@pytest.mark.parametrize(
    ("photo", "keypoints"),
    [
        pytest.param(np.full((HEIGHT, WIDTH, 3), 200, np.uint8), person(), id="nobody there"),
        pytest.param(paint_photo(tunic(), person()), shifted(person(), 3 * WIDTH, 0), id="out of frame"),
        pytest.param(paint_photo(tunic(), person()), person().scaled(0.01, 0.01), id="five pixels tall"),
    ],
)
def test_finds_nothing_where_no_garment_stands_out(photo: np.ndarray, keypoints: Keypoints) -> None:
    assert not segment_garment(photo, keypoints).any()


def test_needs_a_trunk_and_colours() -> None:
    with pytest.raises(KeypointError, match="missing_shoulders"):
        segment_garment(paint_photo(tunic(), person()), Keypoints.missing())
    with pytest.raises(ValueError, match="photo must have shape"):
        segment_garment(np.zeros((HEIGHT, WIDTH), np.uint8), person())


def test_most_of_the_garment_is_found_in_photos() -> None:
    folder = shared_data() / "data/vitonhd/test"
    found = [photo_overlap(folder, path) for path in sorted((folder / "image").glob("*.jpg"))]
    assert len(found) >= 6
    assert np.median(found) > 0.9


def photo_overlap(folder: Path, path: Path) -> float:
    """Overlap of what is found in a photo with its parse map."""
    keypoints = read_openpose(folder / "openpose_json" / f"{path.stem}_keypoints.json", WIDTH, HEIGHT)
    truth = garment_mask(load_parse(folder / "image-parse-v3" / f"{path.stem}.png"), Category.UPPER)
    return overlap(segment_garment(np.asarray(Image.open(path).convert("RGB")), keypoints), truth)
