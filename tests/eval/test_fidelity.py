from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from eval.images.fidelity import (
    KEPT,
    Redrawn,
    Truth,
    garment_delta_e,
    print_correlation,
    print_region,
    redrawn,
)
from eval.images.judges import Judges
from eval.images.meter import NO_GARMENT, NO_PRINT, ImageMeter
from preprocess.sources.paper_dolls.dataset import PaperDolls, render_dataset
from preprocess.sources.paper_dolls.sample import (
    DollSample,
    doll_sample,
    plain_sample,
    render_sample,
    sample_of_key,
)
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Category

DRAWING = PaperDollParams(train=1, test=2, image_height=256, image_width=192, seed=3)
EVERYWHERE = np.ones((96, 24), bool)


def flat(*colour: int) -> NDArray[np.uint8]:
    return np.full((96, 24, 3), colour, np.uint8)


def test_colour_difference_of_two_greys_is_that_of_their_lightness() -> None:
    """CIE L* of sRGB 119 is 50.03 and of 144 59.76; near 50 CIEDE2000 weighs lightness by almost 1."""
    assert garment_delta_e(flat(144, 144, 144), flat(119, 119, 119), EVERYWHERE) == pytest.approx(
        9.3, abs=0.4
    )
    assert garment_delta_e(flat(9, 99, 9), flat(9, 99, 9), EVERYWHERE) == 0.0


def test_colour_difference_counts_the_garment_alone() -> None:
    garment = EVERYWHERE.copy()
    garment[:48] = False
    picture = np.where(garment[..., None], flat(119, 119, 119), flat(200, 0, 0))
    assert garment_delta_e(picture, flat(119, 119, 119), garment) == 0.0
    assert garment_delta_e(picture, flat(119, 119, 119), ~garment) > 30


STRIPES = np.broadcast_to(np.where((np.arange(96) + 2) % 8 < 4, 40, 0)[:, None, None], (96, 24, 3))
PLAIN = flat(100, 110, 120)
STRIPED = Redrawn((PLAIN + STRIPES).astype(np.uint8), PLAIN)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        pytest.param(PLAIN + STRIPES, 1.0, id="the print itself"),
        pytest.param(PLAIN + STRIPES // 2, 1.0, id="the print, fainter"),
        pytest.param(PLAIN + STRIPES + 30, 1.0, id="the print in brighter light"),
        pytest.param(PLAIN + STRIPES - 30, 1.0, id="the print in dimmer light"),
        pytest.param(PLAIN, 0.0, id="no print"),
        pytest.param(PLAIN + 20, 0.0, id="the print's mean colour"),
        pytest.param(PLAIN + np.roll(STRIPES, 4, axis=0), -1.0, id="stripes where there should be none"),
        pytest.param(PLAIN + np.roll(STRIPES, 2, axis=0), 0.0, id="stripes a quarter off"),
        pytest.param(PLAIN + np.roll(STRIPES, 1, axis=0), 0.5, id="stripes an eighth off"),
    ],
)
def test_a_print_correlates_with_itself(picture: NDArray[np.int64], expected: float) -> None:
    found = print_correlation(picture.astype(np.uint8), STRIPED, EVERYWHERE)
    assert found == pytest.approx(expected, abs=1e-6)


def test_what_is_not_the_print_is_subtracted_with_the_doll() -> None:
    folds = np.linspace(0, 60, 24).astype(np.int64)[None, :, None]
    drawn = Redrawn((PLAIN + STRIPES + folds).astype(np.uint8), (PLAIN + folds).astype(np.uint8))
    assert print_correlation(drawn.printed, drawn, EVERYWHERE) == pytest.approx(1.0)
    assert print_correlation(drawn.plain, drawn, EVERYWHERE) == 0.0


def test_the_region_of_a_print_has_its_gaps_and_ends_at_the_garment() -> None:
    difference = np.zeros((100, 60, 3), np.float32)
    difference[40:50, 20:30] = 30
    garment = np.zeros((100, 60), bool)
    garment[:48] = True
    region = print_region(difference, garment)
    assert region is not None
    rows, columns = np.nonzero(region)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (37, 47, 17, 32)  # 3 px around
    assert print_region(difference / 10, garment) is None  # 3 levels: nobody sees it


def printed_and_plain(drawing: PaperDollParams = DRAWING) -> tuple[DollSample, DollSample]:
    samples = [doll_sample(drawing, "test", index) for index in range(30)]
    return (
        next(sample for sample in samples if sample.design.pattern == "dots"),
        next(sample for sample in samples if sample.design.pattern == "plain"),
    )


@pytest.mark.parametrize("category", Category)
def test_a_doll_is_drawn_again_without_its_print(category: Category) -> None:
    drawing = replace(DRAWING, categories=(category,))
    printed, _ = printed_and_plain(drawing)
    assert sample_of_key(drawing, printed.key).doll == printed.doll
    photo = cv2.resize(render_sample(drawing, printed).image, (96, 128), interpolation=cv2.INTER_AREA)
    drawn = redrawn(drawing, printed.key, photo)
    assert drawn is not None
    np.testing.assert_array_equal(drawn.printed, photo)
    without = plain_sample(printed)
    assert without is not None
    assert replace(without, design=printed.design) == replace(printed, ratios=without.ratios)
    assert print_correlation(photo, drawn, np.ones((128, 96), bool)) == pytest.approx(1.0)
    assert print_correlation(drawn.plain, drawn, np.ones((128, 96), bool)) == 0.0
    blurred = cv2.GaussianBlur(photo, (0, 0), 6)
    lost = print_correlation(blurred, drawn, np.ones((128, 96), bool))
    assert lost is not None
    assert lost < KEPT


def test_nobody_without_a_print_and_no_stranger_is_drawn_again() -> None:
    printed, plain = printed_and_plain()
    photo = render_sample(DRAWING, printed).image
    assert redrawn(DRAWING, plain.key, render_sample(DRAWING, plain).image) is None
    assert redrawn(None, printed.key, photo) is None
    assert redrawn(replace(DRAWING, seed=4), printed.key, photo) is None  # another seed, another doll
    assert redrawn(DRAWING, "me", photo) is None
    with pytest.raises(ValueError, match=r"must be five digits and _00, got 'me'"):
        sample_of_key(DRAWING, "me")


def test_a_drawn_data_set_says_how(tmp_path: Path) -> None:
    render_dataset(DRAWING, tmp_path)
    assert '"seed": 3' in PaperDolls(tmp_path).drawing()


def truth(garments: NDArray[np.bool_], prints: list[Redrawn | None]) -> Truth:
    photos = np.stack([STRIPED.printed] * len(garments))
    masks = np.ones(garments.shape, bool)
    return Truth(photos=photos, masks=masks, garments=garments, prints=prints)


def test_the_meter_averages_over_those_who_have_a_figure() -> None:
    garments = np.stack([EVERYWHERE, EVERYWHERE, ~EVERYWHERE])
    meter = ImageMeter(Judges(), paired=True, seed=0)
    meter.update(
        np.stack([STRIPED.printed + np.uint8(10), PLAIN, PLAIN]), truth(garments, [STRIPED, STRIPED, None])
    )
    section = meter.section()
    assert (section["pictures"], section["garments"], section["prints"]) == (3, 2, 2)
    of_ten, of_stripes = 20 * np.log10(255 / 10), 10 * np.log10(255**2 / 800)  # half the rows are 40 off
    assert section["psnr_garment"] == pytest.approx((of_ten + of_stripes) / 2, abs=1e-5)
    assert (section["print_correlation"], section["print_kept"]) == (pytest.approx(0.5), 0.5)


def test_what_nobody_has_is_absent_with_its_reason() -> None:
    meter = ImageMeter(Judges(), paired=True, seed=0)
    meter.update(PLAIN[None], truth(~EVERYWHERE[None], [None]))
    section = meter.section()
    assert section["garment_delta_e"] == section["psnr_garment"] == {"absent": NO_GARMENT}
    assert section["print_kept"] == {"absent": NO_PRINT}
    assert "psnr_garment" not in ImageMeter(Judges(), paired=False, seed=0).section()
