"""The demo in a browser: Chromium without a screen, on a page that is really served."""

import re
import shutil
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any

import pytest

from pipeline.demo import answers
from pipeline.demo.answers import fit_table
from pipeline.demo.pictures import pictures_of
from pipeline.demo.serve import EXAMPLE_CHART, serving
from pipeline.demo.visit import FittingRoom
from pipeline.tryon.size_aware import TryOnResult
from preprocess.sizes.axes import axes_of
from preprocess.sizes.centimetres import Wearer
from preprocess.vocabulary import Category
from tests.pipeline.photos import png_of

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright drives the browser: pip install -e .[dev]"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

PATIENCE = 90_000
"""Milliseconds until a test gives up; nothing is judged by them."""

FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Waits until the page has shown what it was told."""


@pytest.fixture(scope="module")
def url(room: FittingRoom) -> Iterator[str]:
    with serving(room, EXAMPLE_CHART, host="127.0.0.1", port=None) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    """The page after its first picture; it must not ask anybody else, nor run what visitors write."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE)
    asked: list[str] = []
    alarms: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: (alarms.append(dialog.message), dialog.dismiss()))
    page.goto(url)
    picture_of(page)
    yield page
    page.close()
    assert not [one for one in asked if not one.startswith((url, "data:", "blob:"))]
    assert not alarms


def picture_of(page: Any, other_than: str | None = None) -> str:
    """Wait for a picture, other than the one before, and return its address."""
    picture = page.locator("#picture img")
    sync_api.expect(picture).to_be_visible(timeout=PATIENCE)
    if other_than is not None:
        sync_api.expect(picture).not_to_have_attribute("src", other_than, timeout=PATIENCE)
    return str(picture.get_attribute("src"))


def message_of(page: Any) -> str:
    """Wait for a message, return its text and close it."""
    text = str(page.get_by_test_id("toast-text").first.inner_text())
    page.get_by_test_id("toast-close").first.click()
    sync_api.expect(page.get_by_test_id("toast-text")).to_have_count(0)
    return text


def upload(page: Any, where: str, name: str, content: bytes) -> None:
    page.locator(f"#{where}").locator("xpath=preceding-sibling::input[1]").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": content}
    )


def test_moving_a_slider_changes_the_picture(page: Any) -> None:
    before = picture_of(page)
    number = page.locator("#size-width input[type=number]")
    number.fill("2.0")
    number.blur()
    after = picture_of(page, other_than=before)
    slider = page.locator("#size-length input[type=range]")
    slider.focus()
    slider.press("ArrowRight")
    picture_of(page, other_than=after)
    page.locator("#natural").click()
    sync_api.expect(page.locator("#picture img")).to_have_attribute("src", before, timeout=PATIENCE)


def test_of_two_quick_sizes_the_last_one_is_shown(page: Any) -> None:
    number = page.locator("#size-width input[type=number]")
    for width in ("1.95", "0.85"):
        number.fill(width)
        number.blur()
    fit = page.locator("#fit tr").nth(1)
    sync_api.expect(fit).to_contain_text("asked 0.85", timeout=PATIENCE)
    sync_api.expect(number).to_have_value("0.85")


def test_of_two_quick_uploads_the_last_one_is_shown(page: Any) -> None:
    for width in (96, 128):
        upload(page, "garment-upload", f"{width}.png", png_of(width, 128))
    own = page.locator("#garments button").nth(2)
    sync_api.expect(own.locator("img")).to_have_js_property("naturalWidth", 256, timeout=PATIENCE)
    sync_api.expect(own).to_have_class(re.compile("selected"))


def test_the_natural_size_is_marked_and_chart_sizes_move_the_sliders(page: Any) -> None:
    marks = [page.locator(f"#mark-{name}").inner_text() for name in ("shoulder", "width", "length")]
    assert all(re.fullmatch(r"natural \d\.\d\d", mark.strip()) for mark in marks)
    before = picture_of(page)
    page.get_by_label("XL").check()
    picture_of(page, other_than=before)
    width = float(page.locator("#size-width input[type=number]").input_value())
    worn = EXAMPLE_CHART.request("XL", Wearer(chest_cm=92, height_cm=172))
    assert worn["width"] is not None
    assert abs(width - worn["width"]) <= 0.005


def test_the_mark_stands_below_the_whole_thumb_of_the_natural_size(page: Any) -> None:
    """A thumb of 16 px keeps inside of the track, so its middle travels the track's width less 16 px."""
    for name in ("shoulder", "width", "length"):
        slider = page.locator(f"#size-{name} input[type=range]")
        ends = [float(slider.get_attribute(end)) for end in ("min", "max")]
        share = (float(slider.input_value()) - ends[0]) / (ends[1] - ends[0])
        track = slider.bounding_box()
        tick, block = (page.locator(place).bounding_box() for place in (f"#mark-{name} i", f"#size-{name}"))
        thumb = track["x"] + 8 + share * (track["width"] - 16)
        assert tick["x"] + tick["width"] / 2 == pytest.approx(thumb, abs=1.5)
        assert track["y"] + track["height"] / 2 + 8 <= block["y"] + block["height"], "the thumb is cut off"


def test_overlays_are_switched_on_and_off(page: Any) -> None:
    plain = picture_of(page)
    page.get_by_label("Expected outline").check()
    outlined = picture_of(page, other_than=plain)
    page.get_by_label("Size map").check()
    picture_of(page, other_than=outlined)
    page.get_by_label("Size map").uncheck()
    page.get_by_label("Expected outline").uncheck()
    sync_api.expect(page.locator("#picture img")).to_have_attribute("src", plain, timeout=PATIENCE)


def test_an_overlay_that_is_switched_while_drawing_stays(page: Any) -> None:
    people, outline = page.locator("#people button"), page.get_by_label("Expected outline")
    first = picture_of(page)
    people.nth(1).click()
    plain = picture_of(page, other_than=first)
    outline.check()
    outlined = picture_of(page, other_than=plain)
    outline.uncheck()
    sync_api.expect(page.locator("#picture img")).to_have_attribute("src", plain, timeout=PATIENCE)
    people.nth(0).click()
    sync_api.expect(page.locator("#picture img")).to_have_attribute("src", first, timeout=PATIENCE)
    people.nth(1).click()
    outline.check()
    sync_api.expect(page.locator("#picture img")).to_have_attribute("src", outlined, timeout=PATIENCE)


def test_a_box_that_is_ticked_while_a_picture_is_on_its_way_is_obeyed(
    page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture is drawn without the outline, and held back until the tick has been answered."""
    drawn, answered = Event(), Event()

    def held_back(*args: Any) -> Any:
        drawn.set()
        answered.wait(PATIENCE / 1000)
        return fit_table(*args)

    monkeypatch.setattr(answers, "fit_table", held_back)
    first, fit = picture_of(page), page.locator("#fit")
    before = fit.inner_text()
    page.locator("#people button").nth(1).click()
    assert drawn.wait(PATIENCE / 1000)
    with page.expect_response(lambda response: "/run/predict" in response.url):
        page.get_by_label("Expected outline").check()
    outlined = picture_of(page, other_than=first)
    answered.set()
    sync_api.expect(fit).not_to_have_text(before, timeout=PATIENCE, use_inner_text=True)
    sync_api.expect(page.locator("#picture img")).to_have_attribute("src", outlined, timeout=PATIENCE)


def test_a_box_that_is_ticked_before_a_picture_is_looked_at_again_stays(page: Any) -> None:
    """What follows a picture left before the tick, and reaches the room after it."""
    late: list[Any] = []
    page.route("**/run/predict*", lambda route: route.continue_() if late else late.append(route))
    first = picture_of(page)
    page.locator("#people button").nth(1).click()
    plain = picture_of(page, other_than=first)
    while not late:
        page.wait_for_timeout(10)
    page.get_by_label("Expected outline").check()
    outlined = picture_of(page, other_than=plain)
    with page.expect_response(lambda response: response.request == late[0].request) as answer:
        late[0].continue_()
    answer.value.finished()
    page.evaluate(FRAMES)
    assert picture_of(page) == outlined


def test_a_garment_that_is_chosen_while_drawing_is_drawn_at_the_new_persons_size(page: Any) -> None:
    people, garments = page.locator("#people button"), page.locator("#garments button")
    first = picture_of(page)
    people.nth(1).click()
    in_first_garment = picture_of(page, other_than=first)
    garments.nth(1).click()
    wanted = picture_of(page, other_than=in_first_garment)
    people.nth(0).click()
    garments.nth(0).click()
    sync_api.expect(page.locator("#picture img")).to_have_attribute("src", first, timeout=PATIENCE)
    people.nth(1).click()
    garments.nth(1).click()
    sync_api.expect(page.locator("#picture img")).to_have_attribute("src", wanted, timeout=PATIENCE)


def test_all_sizes_stand_side_by_side(page: Any) -> None:
    page.locator("#all-sizes").click()
    pictures = page.locator("#strip img")
    sync_api.expect(pictures).to_have_count(7, timeout=PATIENCE)
    assert len({picture.get_attribute("src") for picture in pictures.all()}) == 7
    page.locator("#all-charted").click()
    sync_api.expect(pictures).to_have_count(4, timeout=PATIENCE)
    captions = page.locator("#strip .caption-label").all_inner_texts()
    assert [caption.split(":")[0] for caption in captions] == ["S", "M", "L", "XL"]


def test_a_garment_of_another_category_brings_its_own_sliders(browser: Any, wardrobe: FittingRoom) -> None:
    """Trousers are clicked on first, then a top for the same person; then hers are previewed."""
    with serving(wardrobe, EXAMPLE_CHART, host="127.0.0.1", port=None) as address:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        picture_of(page)
        top, trousers = (Category.UPPER, 1, "waist"), (Category.LOWER, 0, "shoulder")
        for category, place, lacks in (trousers, top, trousers):
            page.locator("#garments button").nth(place).click()
            sync_api.expect(page.locator(f"#size-{lacks}")).to_be_hidden(timeout=PATIENCE)
            for name in axes_of(category):
                sync_api.expect(page.locator(f"#size-{name}")).to_be_visible(timeout=PATIENCE)
                sync_api.expect(page.locator(f"#mark-{name}")).to_contain_text("natural", timeout=PATIENCE)
        picture_of(page)
        page.locator("#preview").click()
        sync_api.expect(page.locator("#strip img")).to_have_count(7, timeout=PATIENCE)
        assert len({picture.get_attribute("src") for picture in page.locator("#strip img").all()}) == 7
        page.close()


def test_a_strip_leaves_with_the_person_that_it_shows(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A box is ticked beside the strip, and the answer held back until another person has been chosen."""
    held, left = Event(), Event()

    def held_back(result: TryOnResult, overlays: Sequence[str]) -> list[Any]:
        pictures = pictures_of(result, overlays)
        if len(pictures) == 7 and overlays:
            held.set()
            left.wait(PATIENCE / 1000)
        return pictures

    monkeypatch.setattr(answers, "pictures_of", held_back)
    page.locator("#all-sizes").click()
    sync_api.expect(page.locator("#strip img")).to_have_count(7, timeout=PATIENCE)
    first = picture_of(page)
    with page.expect_request(lambda request: "Expected outline" in (request.post_data or "")) as ticked:
        page.get_by_label("Expected outline").check()
    assert held.wait(PATIENCE / 1000)
    page.locator("#people button").nth(1).click()
    second = picture_of(page, other_than=first)
    sync_api.expect(page.locator("#strip img")).to_have_count(0, timeout=PATIENCE)
    with page.expect_response(lambda response: response.request == ticked.value) as answer:
        left.set()
    answer.value.finished()
    page.evaluate(FRAMES)
    assert picture_of(page) == second
    sync_api.expect(page.locator("#strip img")).to_have_count(0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"not a photo", "whole photo", id="broken"),
        pytest.param(png_of(10_000, 10_000), "10000x10000", id="100 megapixels"),
    ],
)
def test_bad_uploads_are_refused_in_words(page: Any, content: bytes, message: str) -> None:
    before = picture_of(page)
    for where in ("person-upload", "garment-upload"):
        upload(page, where, "photo.png", content)
        assert message in message_of(page)
    assert picture_of(page) == before


def test_hostile_names_and_words_do_no_harm(page: Any) -> None:
    before = picture_of(page)
    trap = "<img src=x onerror=alert(1)>"
    upload(page, "garment-upload", f"../../{trap}.png", b"not a photo")
    assert "whole photo" in message_of(page)
    page.locator("#caption textarea").fill(f"{trap} ${{alert(2)}} {{{{7*7}}}}")
    page.locator("#caption textarea").press("Enter")
    picture_of(page, other_than=before)
    assert page.locator("img[src=x]").count() == 0


def test_a_phone_shows_everything_without_scrolling_sideways(browser: Any, url: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    picture_of(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator("#people img").count() == 2
    for part in ("#size-width", "#all-sizes", "#overlays", "#chart"):
        box = page.locator(part).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    page.close()
