"""What is said of a garment's fit is what was measured in the picture."""

import numpy as np
import pytest

from preprocess.person.fit_report import measure_fit
from preprocess.sizes.request import SizeRequest
from preprocess.vocabulary import Category
from tests.preprocess.people import SKIN, beside, hanging, paint_photo, person, trousers, tunic

NATURAL = SizeRequest(shoulder=1.3, width=1.2, length=1.25)
"""Of `tunic()`: 260 / 200, 240 / 200 and 400 / 320."""


def test_a_garment_is_put_into_words() -> None:
    fit = measure_fit(tunic(width=254, hem=780), person(), SizeRequest(width=1.2, length=1.5), NATURAL)
    assert fit.verdict == {
        "shoulder": "as worn at the shoulder",
        "width": "6 % wide at the chest",
        "length": "20 % long at the hem",
    }
    assert fit.summary == "as worn at the shoulder, 6 % wide at the chest, 20 % long at the hem"
    assert fit.regions["width"].obedience == "6 % more than asked"
    assert fit.regions["length"].obedience == "as asked"
    assert fit.regions["shoulder"].obedience == "not asked for"
    assert fit.confidence > 0.8
    saved = fit.to_dict()
    assert saved["regions"]["width"]["region"] == "chest"
    assert saved["regions"]["width"]["measured"] == pytest.approx(1.27, abs=0.01)


@pytest.mark.parametrize("width", range(180, 330, 10))
def test_the_words_have_the_sign_of_the_measure(width: int) -> None:
    fit = measure_fit(tunic(width=width), person(), SizeRequest(width=9.0), NATURAL)
    wide, tight = "wide" in fit.verdict["width"], "tight" in fit.verdict["width"]
    assert (wide, tight) == (width > 244, width < 236), "2 % is within what is measured twice"
    assert "less than asked" in fit.regions["width"].obedience


def test_what_the_mask_takes_of_an_arms_shade_is_told_by_the_picture() -> None:
    """240 px of light cloth, 8 px in the dark that the mask takes for cloth, then bare arms; B is 200 px."""
    wearer, garment = hanging(150, 150), tunic(shoulder=300, width=256)
    picture = paint_photo(tunic(width=240), wearer, (200, 220, 255))
    picture[beside(120, 129)] = 40
    picture[beside(128, 180)] = SKIN
    widths = [
        measure_fit(garment, wearer, SizeRequest(width=1.2), None, picture=seen).regions["width"].measured
        for seen in (None, picture)
    ]
    assert widths == pytest.approx([1.28, 1.2], abs=0.02)


def test_the_request_is_never_taken_for_a_measure() -> None:
    gone = np.zeros_like(tunic())
    fit = measure_fit(gone, person(), SizeRequest(width=1.4), NATURAL)
    assert fit.measured == {"shoulder": None, "width": None, "length": None}
    assert fit.verdict["width"] == "not measurable at the chest"
    assert fit.confidence == 0
    unknown = measure_fit(tunic(), person(), SizeRequest(), None)
    assert unknown.verdict["width"] == "1.20 at the chest, with nothing to compare it with"


def test_trousers_are_measured_on_the_legs() -> None:
    """180 px wide at the waist of hips 100 px apart, and worn 10 % wider than in the photo."""
    garment, wearer, _ = trousers()
    natural = SizeRequest(category=Category.LOWER, waist=1.64, width=1.4, length=0.9)
    fit = measure_fit(garment, wearer, SizeRequest(category=Category.LOWER, waist=1.8), natural)
    assert fit.regions.keys() == {"waist", "width", "length"}
    assert fit.verdict["waist"] == "10 % wide at the waist"
    assert fit.regions["waist"].obedience == "as asked"
    assert fit.regions["width"].measured == pytest.approx(1.4, abs=0.015)


def test_a_waist_under_a_hanging_top_is_not_measured() -> None:
    """Trousers begin at row 340, hips lie at 400: a top to 410 is told by its row, one to 380 by its map."""
    garment, wearer, _ = trousers()
    request = SizeRequest(category=Category.LOWER, waist=1.8)
    for hem, tops in ((450, None), (410, None), (380, np.zeros_like(garment))):
        seen = garment.copy()
        seen[:hem] = False
        if tops is not None:
            tops[100:hem, 270:500] = True
        fit = measure_fit(seen, wearer, request, None, tops)
        assert fit.regions["waist"].measured is None, hem
        assert fit.regions["width"].measured == pytest.approx(1.4, abs=0.015), hem
        assert "waist_unknown" in fit.doubts, hem
        assert fit.confidence > 0, hem


def test_trousers_beside_the_legs_are_not_measured_on_them() -> None:
    garment, wearer, _ = trousers()
    beside = np.roll(garment, 300, axis=1)
    fit = measure_fit(beside, wearer, SizeRequest(category=Category.LOWER, width=1.4), None)
    assert set(fit.measured.values()) == {None}
    assert "garment_off_body" in fit.doubts
