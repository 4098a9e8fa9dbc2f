"""Sizes in human units: every conversion is worked out on paper, every bad request says what must hold."""

import logging
import math
from pathlib import Path

import pytest

from preprocess.sizes.centimetres import GarmentMeasures, Wearer
from preprocess.sizes.chart import SizeChart
from preprocess.sizes.request import SizeRequest
from preprocess.vocabulary import Category

BODY = Wearer(chest_cm=90, shoulder_cm=40, torso_cm=50, chest_depth_cm=20)
"""Joints 28 cm apart; a snug garment is 45 - 20 (pi / 2 - 1) = 33.58 cm wide from the front."""


def test_a_garment_as_large_as_the_body_is_worked_out_on_paper() -> None:
    size = GarmentMeasures(chest_cm=90, shoulder_cm=42, length_cm=56.25).request(BODY)
    assert size["width"] == pytest.approx(33.584 / 28, rel=1e-4)
    assert size["shoulder"] == pytest.approx(1.5)
    assert size["length"] == pytest.approx(1.0), "56.25 cm from the neck end at the hips: 50 + 50 / 8"


def test_trousers_are_measured_at_waist_hips_and_inseam() -> None:
    """Of 100 cm around the hips one sees 50 less 20 (pi / 2 - 1); the joints are 0.462 shoulders apart."""
    body = Wearer(waist_cm=80, hip_cm=80, height_cm=200, shoulder_cm=50)
    trousers = GarmentMeasures(waist_cm=90, hip_cm=100, inseam_cm=86.2)
    size = trousers.request(body, Category.LOWER)
    hips, hidden = 0.66 * 0.7 * 50, 20 * (math.pi / 2 - 1)
    assert size["waist"] == pytest.approx((45 - hidden) / hips)
    assert size["width"] == pytest.approx((50 - hidden) / hips)
    assert size["length"] == pytest.approx((86.2 + 12) / 98.2)
    outseam = GarmentMeasures(waist_cm=90, hip_cm=100, length_cm=86.2 + 12 + 16)  # from crotch to waistband
    for name, ratio in outseam.request(body, Category.LOWER).asked:
        assert ratio == pytest.approx(size[name])
    with pytest.raises(
        ValueError, match="garments of lower have waist_cm, hip_cm, inseam_cm, length_cm, got"
    ):
        GarmentMeasures(chest_cm=100).request(body, Category.LOWER)
    with pytest.raises(ValueError, match="one of inseam_cm and length_cm"):
        GarmentMeasures(inseam_cm=80, length_cm=100).request(body, Category.LOWER)
    with pytest.raises(ValueError, match="a garment's waist_cm needs the wearer's waist_cm"):
        trousers.request(Wearer(hip_cm=80, height_cm=200), Category.LOWER)


def test_a_dress_is_measured_as_a_top_is() -> None:
    dress = GarmentMeasures(chest_cm=90, length_cm=106.25)
    assert dress.request(BODY, Category.DRESS)["length"] == pytest.approx(2.0)
    assert dress.request(BODY, Category.DRESS)["width"] == dress.request(BODY)["width"]


def test_what_was_not_measured_is_estimated_from_the_height_and_the_chest() -> None:
    tall = Wearer(chest_cm=100, height_cm=200)
    assert (tall.shoulder, tall.torso, tall.depth("chest_cm")) == pytest.approx((51.8, 57.6, 25.0))
    assert (BODY.shoulder, BODY.torso, BODY.depth("chest_cm")) == (40, 50, 20)
    with pytest.raises(ValueError, match="must have height_cm, or both of"):
        Wearer(chest_cm=100)


def test_steps_are_counted_from_the_natural_size() -> None:
    natural = SizeRequest(shoulder=1.2, width=1.3)
    assert SizeRequest.natural().resolved(natural) == natural
    two = SizeRequest.natural(2).resolved(natural)
    assert dict(two.asked) == pytest.approx({"shoulder": 1.28, "width": 1.5})
    assert SizeRequest(width=1.0, steps=0).resolved(natural) == SizeRequest(shoulder=1.2, width=1.0)
    assert SizeRequest.natural().resolved(None) == SizeRequest()
    with pytest.raises(ValueError, match="not known for this photo"):
        SizeRequest.natural(1).resolved(None)


def test_steps_of_trousers_are_of_their_axes() -> None:
    trousers = SizeRequest(waist=1.6, length=0.9, category=Category.LOWER)
    larger = SizeRequest.natural(2, Category.LOWER).resolved(trousers)
    assert larger.category is Category.LOWER
    assert dict(larger.asked) == pytest.approx({"waist": 1.76, "length": 0.96})
    assert SizeRequest(length=1.0, steps=0, category=Category.LOWER).resolved(trousers) == SizeRequest(
        waist=1.6, length=1.0, category=Category.LOWER
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("width=1.4,length=1.1", SizeRequest(width=1.4, length=1.1)),
        (" shoulder = 1 , steps=-1", SizeRequest(shoulder=1, steps=-1)),
    ],
)
def test_sizes_are_read_from_text(text: str, expected: SizeRequest) -> None:
    assert SizeRequest.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wide=1.4", "must be like width=1.4"),
        ("width=1,width=2", "at most once"),
        ("", "must be like"),
        ("width=a", "width must be a number"),
        ("width=nan", "finite"),
        ("width=inf", "finite"),
        ("width=-1", "above 0"),
        ("steps=50", "within 10"),
        ("=cmd|'/c calc'!A1", "must be like"),
        ("width=" + "9" * 5000, "finite"),
    ],
)
def test_what_is_no_size_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        SizeRequest.parse(text)
    assert len(str(error.value)) < 300


def test_sizes_out_of_range_are_refused_or_clamped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    size = SizeRequest(width=3.0, length=1.0)
    with pytest.raises(
        ValueError,
        match=r"width must be between 0.7 and 2.2, got 3, or be clamped to the nearest size \(--clamp",
    ):
        size.required_in_range()
    with caplog.at_level(logging.WARNING):
        assert size.clamped() == SizeRequest(width=2.2, length=1.0)
    assert "width must be between 0.7 and 2.2, got 3: clamped" in caplog.text
    largest = SizeRequest(width=2.2, shoulder=0.7)
    assert largest.required_in_range() is largest


def test_a_natural_ratio_out_of_range_is_clamped_and_what_was_asked_for_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A long coat reaches further than may be asked for; nobody who wants it wider has to ask for less."""
    natural = SizeRequest(width=1.1, length=1.87)
    asked = SizeRequest(width=1.4, steps=0).resolved(natural)
    assert asked.required_in_range(natural=natural) == SizeRequest(width=1.4, length=1.8)
    assert "length must be between 0.3 and 1.8, got 1.87: clamped" in caplog.text
    for refused in (SizeRequest(width=3.0, steps=0), SizeRequest.natural(1)):  # one step: length 1.9
        with pytest.raises(ValueError, match=r"(width .* got 3|length .* got 1.9), or be clamped"):
            refused.resolved(natural).required_in_range(natural=natural)


CSV = "size,chest_cm,shoulder_cm,length_cm\nS,96,44,68\nOne size,104,,70\n"
YAML = "S: {chest_cm: 96, shoulder_cm: 44, length_cm: 68}\n38: {chest_cm: 104}\n"


def test_what_was_measured_at_the_end_of_a_range_is_in_it() -> None:
    """Lengths are divided twice, so that it may come out a rounding beyond."""
    within = {"width": (0.7, 2.2)}
    for ratio in (0.7 - 1e-15, 2.2 + 1e-15):
        assert SizeRequest(width=ratio).required_in_range(within)["width"] == ratio
    assert SizeRequest(width=2.2 + 1e-6).out_of_range(within)


def test_a_ratio_is_asked_of_another_category_only_where_it_divides_the_same() -> None:
    """A top's width is over the shoulders, that of trousers over the hips; a dress is measured as a top."""
    wide = SizeRequest.parse("width=1.4,length=1.1")
    assert wide.of_category(Category.DRESS) == SizeRequest.of(dict(wide.asked), category=Category.DRESS)
    with pytest.raises(ValueError, match="width of upper is over the shoulder, of lower over the hip: ask"):
        wide.of_category(Category.LOWER)
    with pytest.raises(ValueError, match="length of lower is over the leg, of dress over the torso: ask"):
        SizeRequest(length=0.9, category=Category.LOWER).of_category(Category.DRESS)
    assert SizeRequest.natural(2).of_category(Category.LOWER) == SizeRequest.natural(2, Category.LOWER)


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_charts_are_read_from_csv_and_yaml(tmp_path: Path) -> None:
    small = GarmentMeasures(chest_cm=96, shoulder_cm=44, length_cm=68)
    chart = SizeChart.read(written(tmp_path, "chart.csv", "\ufeff" + CSV))
    assert chart.sizes == {"S": small, "One size": GarmentMeasures(chest_cm=104, length_cm=70)}
    again = SizeChart.read(written(tmp_path, "chart.yaml", YAML))
    assert again.sizes == {"S": small, "38": GarmentMeasures(chest_cm=104)}
    assert chart.request("S", BODY) == small.request(BODY)
    with pytest.raises(ValueError, match="size must be one of S, One size, got 'XL'"):
        chart.request("XL", BODY)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.csv", "size,category,chest_cm,length_cm\nS,dress,90,106.25\n"),
        ("c.yaml", "category: dress\nS: {chest_cm: 90, length_cm: 106.25}\n"),
    ],
)
def test_a_chart_says_which_garments_it_is_of(tmp_path: Path, name: str, text: str) -> None:
    """A dress of 106.25 cm reaches two torsos of 50 cm below the shoulders, an eighth beside the neck."""
    chart = SizeChart.read(written(tmp_path, name, text))
    assert (chart.category, list(chart.sizes)) == ("dress", ["S"])
    assert chart.request("S", BODY).category == "dress"
    assert chart.request("S", BODY)["length"] == pytest.approx(2.0)
    assert SizeChart.read(written(tmp_path, "t.csv", CSV)).category == "upper"
    assert SizeChart.read(written(tmp_path, "t.csv", CSV), Category.DRESS).category == "dress"


BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.csv", "size,chest_cm\n=HYPERLINK(1),96\n", "a size's name must be"),
        ("c.csv", "size,chest_cm\n../../etc,96\n", "a size's name must be"),
        ("c.csv", "size,chest_cm\n<script>,96\n", "a size's name must be"),
        ("c.csv", "size,chest_cm\nS,=1+1\n", "chest_cm of the garment must be 5 to 400 cm"),
        ("c.csv", "size,chest_cm\nS,38e9\n", "chest_cm of the garment must be 5 to 400 cm"),
        ("c.csv", "size,chest_cm\nS,nan\n", "chest_cm of the garment must be 5 to 400 cm"),
        ("c.csv", "size,bust\nS,96\n", "must have some of chest_cm"),
        ("c.csv", "size,chest_cm\nS,96\nS,97\n", "twice"),
        ("c.csv", "chest_cm\n96\n", "must have the columns size"),
        ("c.csv", "size,chest_cm,chest_cm\nS,96,97\n", "must have the columns size"),
        ("c.csv", 'size,chest_cm\n"S,96\n', "not CSV"),
        ("c.csv", "size,chest_cm\nS,96,1,2\n", "line 2 has more cells than the header"),
        ("c.csv", "", "must have the columns"),
        ("c.csv", "size,chest_cm\n", "1 to 200 sizes"),
        ("c.csv", b"\xff\xfe\x00", "UTF-8"),
        ("c.csv", "x" * 300_000, "at most 262144 bytes"),
        ("c.yaml", "!!python/object/apply:os.system [ls]", "not valid YAML"),
        ("c.csv", "size,chest_cm,category\nS,96,sock\n", "category must be one of upper, lower, dress"),
        ("c.csv", "size,chest_cm,category\nS,96,dress\nM,98,\n", "the same for every size, got a None"),
        ("c.csv", "size,chest_cm,category\nS,96,lower\n", "size S: garments of lower have waist_cm"),
        ("c.csv", "size,waist_cm\nS,80\n", "size S: garments of upper have shoulder_cm"),
        ("c.yaml", "category: [dress]\nS: {chest_cm: 96}", "category must be one of .*, got a list"),
        ("c.yaml", "category: dress", "1 to 200 sizes"),
        ("c.yaml", "- 1", "must be a mapping"),
        ("c.yaml", "S: 96", "must have measures"),
        ("c.yaml", "S: {chest_cm: [1]}", "got a list"),
        ("c.yaml", "S: {chest_cm: true}", "5 to 400 cm"),
        ("c.yaml", "S: {chest_cm: 96", "not valid YAML"),
        ("c.yaml", BOMB, "must have measures"),
        ("c.yaml", "S: {chest_cm: !!int ''}", "not valid YAML"),
        ("c.yaml", "S: {chest_cm: !!bool maybe}", "not valid YAML"),
        ("c.yaml", 'S: {chest_cm: "\\UFFFFFFFF"}', "not valid YAML"),
        ("c.yaml", "? [a, b]\n: 1", "not valid YAML|name must be"),
    ],
)
def test_a_hostile_chart_does_no_harm(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        SizeChart.read(written(tmp_path, name, text))
    assert len(str(error.value)) < 600


def test_a_wearer_is_read_from_yaml(tmp_path: Path) -> None:
    path = written(tmp_path, "wearer.yaml", "chest_cm: 92\nheight_cm: 172\n")
    assert Wearer.read(path) == Wearer(chest_cm=92, height_cm=172)
    for text, message in (
        ("chest_cm: 92", "must have height_cm"),
        ("height_cm: 172", "must have chest_cm"),
        ("chest_cm: 92\nheight_cm: 1.72", "height_cm of the wearer must be 5 to 400 cm, got 1.72"),
        ("chest_cm: 92\nage: 3", "must have some of chest_cm, waist_cm, hip_cm, height_cm"),
        ("chest_cm: 92\n? &a [x]\n: 1", "got 'chest_cm', a |not valid YAML"),
    ):
        with pytest.raises(ValueError, match=message):
            Wearer.read(written(tmp_path, "wearer.yaml", text))
