"""The demo's work without its page: who is chosen, what is drawn, what is shown of it."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio.state_holder import StateHolder

from model.params import DrawingOptions
from pipeline import prepare_dataset
from pipeline.demo.answers import Answers
from pipeline.demo.page import build_page
from pipeline.demo.pictures import (
    MAP_COLOUR,
    OUTLINE,
    OUTLINE_COLOUR,
    fit_table,
    pictures_of,
    shown,
    slider_mark,
)
from pipeline.demo.privacy import FORGET_AFTER
from pipeline.demo.serve import EXAMPLE_CHART, OTHER_CHARTS, serve
from pipeline.demo.visit import FittingRoom, Garment, Visit, read_examples
from pipeline.tryon.size_aware import SizeAwareTryOn
from preprocess.person.fit_report import FitReport, RegionFit
from preprocess.sizes.axes import axes_of
from preprocess.sizes.centimetres import Wearer
from preprocess.sizes.chart import SizeChart
from preprocess.sizes.request import SizeRequest
from preprocess.sources.params import PaperDollParams, PrepareDatasetParams
from preprocess.vocabulary import Category, Joint

WIDTH = axes_of(Category.UPPER)["width"]
QUICK = DrawingOptions(num_steps=1)
TRAP = "<img src=x onerror=alert(1)>"


def test_a_visit_draws_the_chosen_person_and_garment_at_every_size(room: FittingRoom) -> None:
    visit = room.new_visit()
    person = room.choose_person(visit, 1)
    room.choose_garment(visit, 0)
    steps: list[tuple[int, int]] = []
    sizes = [SizeRequest(width=1.0), SizeRequest(width=2.0)]
    result = room.try_on(visit, sizes, QUICK, on_step=lambda done, of: steps.append((done, of)))
    assert [picture.size for picture in result.pictures] == [person.photo.shape[1::-1]] * 2
    assert steps[-1][0] == steps[-1][1]


def test_a_preview_shows_the_worn_garment_at_every_size(room: FittingRoom) -> None:
    visit = room.new_visit()
    person = room.choose_person(visit, 1)
    result = room.preview(visit, list(room.around(visit).values()))
    assert [picture.size for picture in result.pictures] == [person.photo.shape[1::-1]] * 7
    lengths = [fit.measured["length"] for fit in result.fit]
    assert lengths == sorted(lengths)
    assert lengths[-1] - lengths[0] == pytest.approx(6 * axes_of(Category.UPPER)["length"].step, rel=0.1)


def test_an_example_is_prepared_once_for_all_visitors(room: FittingRoom) -> None:
    first, second = room.new_visit(), room.new_visit()
    assert room.choose_person(first, 0) is room.choose_person(second, 0)


def test_an_own_garment_moves_no_other_and_is_nobody_elses(room: FittingRoom) -> None:
    visit, photo = room.new_visit(), np.full((80, 60, 3), 200, np.uint8)
    before = list(visit.garments)
    room.bring_garment(visit, np.zeros_like(photo))
    room.bring_garment(visit, photo)
    assert visit.garments[:-1] == before
    assert visit.garments[-1].photo is photo
    assert room.new_visit().garments == before


def test_a_forgotten_own_garment_is_not_taken_for_another(room: FittingRoom) -> None:
    visit = room.new_visit()
    room.bring_garment(visit, np.full((80, 60, 3), 200, np.uint8))
    place = len(visit.garments) - 1
    with pytest.raises(ValueError, match="Choose a person and a garment again"):
        room.choose_garment(room.new_visit(), place)


def test_html_in_a_chart_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    chart = tmp_path / "chart.csv"
    chart.write_text(f"size,chest_cm\n{TRAP},96\n")
    with pytest.raises(ValueError, match="a size's name must be"):
        serve(tmp_path, tmp_path / "manifest.parquet", chart, host="127.0.0.1", port=7860, num_examples=1)


@pytest.mark.parametrize("place", [-1, 2])
def test_a_choice_that_is_not_there_is_refused(room: FittingRoom, place: int) -> None:
    with pytest.raises(ValueError, match="Choose a person and a garment again"):
        room.choose_person(room.new_visit(), place)


def test_a_forgotten_visitor_is_asked_to_choose_again(room: FittingRoom) -> None:
    with pytest.raises(ValueError, match="forgotten after a quarter of an hour"):
        room.try_on(room.new_visit(), [SizeRequest(width=1.2)], QUICK)


def test_a_size_out_of_range_becomes_the_nearest_one(room: FittingRoom) -> None:
    visit = room.new_visit()
    room.choose_person(visit, 0)
    room.choose_garment(visit, 0)
    result = room.try_on(visit, [SizeRequest(width=9.0)], QUICK)
    assert result.requests[0]["width"] == WIDTH.asked[1]


def test_overlays_lie_where_they_belong() -> None:
    grey = np.full((96, 72, 3), 100, np.uint8)
    left = np.zeros((96, 72), np.float32)
    left[:, :36] = 1
    box = np.array([[18, 24], [54, 24], [54, 72], [18, 72]], np.float64)
    plain, mapped, outlined = shown(grey), shown(grey, left), shown(grey, outline=box)
    assert plain.shape == (768, 576, 3)
    np.testing.assert_allclose(mapped[400, 100], 0.45 * 100 + 0.55 * np.array(MAP_COLOUR), atol=1)
    assert (mapped[400, 400] == 100).all()
    assert tuple(outlined[24 * 8, 36 * 8]) == OUTLINE_COLOUR
    assert (outlined[400, 288] == 100).all()


def test_the_natural_size_is_marked_in_proportion() -> None:
    middle = sum(WIDTH.asked) / 2
    assert "--at:50.0%" in slider_mark(WIDTH.asked, middle)
    assert "--at:100.0%" in slider_mark(WIDTH.asked, 99)
    assert "not known" in slider_mark(WIDTH.asked, None)


def test_words_in_the_report_are_not_html() -> None:
    region = RegionFit(region="chest", requested=1.2, measured=None, natural=1.1, verdict=TRAP, obedience="")
    report = FitReport(regions={"width": region}, confidence=1.0, doubts=(TRAP,))
    text = fit_table([report], [TRAP])
    assert "<img" not in text
    assert text.count("&lt;img src=x") == 3
    assert "asked 1.20, measured -" in text


@dataclass
class Session:
    """What a visitor's browser has to do with Gradio's memory, without a browser."""

    answers: Answers
    holder: StateHolder
    name: str = "anna"

    @property
    def place(self) -> int:
        return int(self.answers.controls.visit._id)

    def remembered(self) -> Visit | None:
        found: Visit | None = self.holder[self.name][self.place]
        return found

    def keep(self, visit: Visit) -> None:
        self.holder[self.name][self.place] = self.answers.kept(visit)[self.answers.controls.visit]

    def leave(self) -> None:
        self.answers.leave(gr.Request(session_hash=self.name))


@pytest.fixture
def session(room: FittingRoom) -> Session:
    answers = Answers(room, EXAMPLE_CHART)
    holder = StateHolder()
    holder.set_blocks(build_page(answers))
    return Session(answers, holder)


def test_a_strip_says_of_no_picture_a_width_that_it_does_not_show(session: Session) -> None:
    answers = session.answers
    visit = answers.room.new_visit()
    person = answers.room.choose_person(visit, 1)
    assert person.natural_size is not None
    values = {answers.controls.visit: visit, answers.controls.overlays: []}

    def captions() -> list[str]:
        return [caption for _, caption in answers.preview_around(values)[answers.controls.strip]]

    natural = person.natural_size["width"]
    assert captions()[3] == f"natural: {natural:.2f}"
    lengths = SizeRequest(length=person.natural_size["length"])
    visit.person = replace(person, natural_size=lengths)
    assert captions()[2:5] == ["-1: width unknown", "natural: width unknown", "+1: width unknown"]


def test_a_strip_whose_boxes_were_ticked_is_not_sent_again_with_every_later_picture(session: Session) -> None:
    answers, strip = session.answers, session.answers.controls.strip
    visit = answers.room.new_visit()
    answers.room.arrive(visit)
    values = {answers.controls.visit: visit, answers.controls.overlays: []}
    assert strip in answers.preview_around(values)
    assert strip in answers.switch_overlays(values | {answers.controls.overlays: [OUTLINE]})
    visit.result = answers.room.try_on(visit, [SizeRequest()], QUICK)
    assert set(answers.catch_up(values)) == {answers.controls.visit, answers.controls.picture}
    assert set(answers.catch_up_strip(values)) == {answers.controls.visit, strip}


def test_what_is_shown_once_more_is_the_last_picture_with_what_was_ticked_last(session: Session) -> None:
    """The page may still show the picture before, or one without the outline: its values are as old."""
    answers, picture = session.answers, session.answers.controls.picture
    visit = answers.room.new_visit()
    answers.room.arrive(visit)
    values = {answers.controls.visit: visit, answers.controls.overlays: []}
    visit.result = answers.room.try_on(visit, [SizeRequest()], QUICK)
    before = answers.switch_overlays(values | {answers.controls.overlays: [OUTLINE]})[picture]
    visit.result = answers.room.try_on(visit, [SizeRequest(width=1.6)], QUICK)
    now = answers.catch_up(values)[picture]
    np.testing.assert_array_equal(now, pictures_of(visit.result, [OUTLINE])[0])
    assert not np.array_equal(now, before)


def test_a_visitor_finds_what_was_left_and_nobody_else_does(session: Session) -> None:
    visit = session.answers.visit({session.answers.controls.visit: None})
    session.keep(visit)
    assert session.remembered() is visit
    assert session.answers.visit({session.answers.controls.visit: visit}) is visit
    session.name = "bela"
    assert session.remembered() is None


def test_who_leaves_is_forgotten_even_while_a_picture_is_drawn(session: Session) -> None:
    session.leave()
    visit = session.answers.room.new_visit()
    session.keep(visit)
    session.leave()
    assert session.remembered() is None
    session.keep(visit)  # what was being drawn is finished
    assert session.remembered() is None


@pytest.mark.parametrize(("seconds", "forgotten"), [(-1, True), (FORGET_AFTER, False)])
def test_who_is_silent_for_long_is_forgotten(session: Session, seconds: float, forgotten: bool) -> None:
    state = session.answers.controls.visit
    assert state.time_to_live == FORGET_AFTER
    state.time_to_live = seconds
    session.keep(session.answers.room.new_visit())
    session.holder.delete_all_expired_state()
    assert (session.remembered() is None) == forgotten


def test_only_categories_that_the_networks_know_are_shown(
    wardrobe: FittingRoom, tryon: SizeAwareTryOn
) -> None:
    room = FittingRoom(tryon, wardrobe.people, wardrobe.garments)
    assert room.categories == ["upper"]
    assert len(room.garments) == 1


def test_a_preview_shows_trousers_at_every_size(wardrobe: FittingRoom) -> None:
    visit = wardrobe.new_visit()
    wardrobe.choose_garment(visit, 0)
    person = wardrobe.choose_person(visit, 0)
    result = wardrobe.preview(visit, list(wardrobe.around(visit).values()))
    assert [picture.size for picture in result.pictures] == [person.photo.shape[1::-1]] * 7
    lengths = [fit.measured["length"] for fit in result.fit]
    assert lengths == sorted(lengths)
    assert lengths[-1] - lengths[0] == pytest.approx(6 * axes_of(Category.LOWER)["length"].step, rel=0.1)


def test_the_garment_tells_the_category_and_its_sliders(wardrobe: FittingRoom) -> None:
    assert wardrobe.categories == ["lower", "upper"]
    assert wardrobe.axis_names == ["waist", "width", "length", "shoulder"]
    visit = wardrobe.new_visit()
    assert visit.category == "lower"
    wardrobe.choose_garment(visit, 0)
    legs = wardrobe.choose_person(visit, 0)
    assert legs.category == "lower"
    assert wardrobe.natural(visit).axes.keys() == {"waist", "width", "length"}
    wardrobe.choose_garment(visit, 1)
    assert visit.person is not None
    assert visit.person.category == visit.category == "upper"
    assert wardrobe.natural(visit).axes.keys() == {"shoulder", "width", "length"}
    wardrobe.choose_garment(visit, 0)
    assert visit.person is legs, "an example is prepared once for each category"


def test_sliders_that_a_category_lacks_are_not_shown(wardrobe: FittingRoom) -> None:
    answers = Answers(wardrobe, EXAMPLE_CHART, OTHER_CHARTS)
    build_page(answers)
    visit = wardrobe.new_visit()
    wardrobe.choose_person(visit, 0)
    for category, hidden in ((Category.LOWER, "shoulder"), (Category.UPPER, "waist")):
        wardrobe.try_category(visit, category)
        visit.size = wardrobe.natural(visit)
        shown = [slider.visible for slider in answers.moved(visit).values()]
        assert shown == [name != hidden for name in wardrobe.axis_names]
        assert "XL" in answers.chart_of(category).sizes
    assert answers.chart_of(Category.LOWER) is OTHER_CHARTS[Category.LOWER]


def without(source: Path | None, out: Path, *joints: Joint) -> Path:
    """Write the keypoints of a photo in which joints lie outside."""
    assert source is not None
    found = json.loads(source.read_text())
    for joint in joints:
        found["people"][0]["pose_keypoints_2d"][3 * joint : 3 * joint + 3] = [0, 0, 0]
    out.write_text(json.dumps(found))
    return out


@pytest.fixture
def halves(wardrobe: FittingRoom, tmp_path: Path) -> FittingRoom:
    """Somebody in trousers whose shoulders aren't seen, and one in a top without knees; such garments."""
    whole, photo = wardrobe.people[0], wardrobe.garments[0].photo
    shoulders = Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER
    knees = Joint.LEFT_KNEE, Joint.RIGHT_KNEE
    legs = without(whole.files["keypoints"], tmp_path / "legs.json", *shoulders)
    torso = without(whole.files["keypoints"], tmp_path / "torso.json", *knees)
    people = [
        replace(whole, files={**whole.files, "keypoints": legs}, category=Category.LOWER),
        replace(whole, files={**whole.files, "keypoints": torso}, category=Category.UPPER),
    ]
    top = Garment(photo=photo, caption="a top")
    return FittingRoom(
        wardrobe.tryon, people, [top, Garment(photo=photo, caption="trousers", category=Category.LOWER)]
    )


def test_who_cannot_wear_the_first_garment_arrives_in_another(halves: FittingRoom) -> None:
    visit = halves.new_visit()
    assert halves.arrive(visit).caption == "trousers"
    assert visit.person is not None
    assert visit.person.category == visit.category == visit.size.category == "lower"


def test_what_is_clicked_on_is_taken_even_if_the_other_must_change(halves: FittingRoom) -> None:
    visit = halves.new_visit()
    halves.arrive(visit)
    halves.choose_person(visit, 1)
    assert (visit.place, visit.garment, visit.category) == (1, halves.garments[0], "upper")
    halves.choose_garment(visit, 1)
    assert (visit.place, visit.garment, visit.category) == (0, halves.garments[1], "lower")
    assert visit.person is not None
    assert visit.person.category == visit.size.category == "lower"


def test_what_the_visitor_brought_is_not_exchanged(halves: FittingRoom) -> None:
    visit = halves.new_visit()
    halves.arrive(visit)
    own = halves.bring_garment(visit, halves.garments[0].photo)
    with pytest.raises(ValueError, match="hips and knees"):
        halves.choose_person(visit, 1)
    assert (visit.place, visit.garment, visit.category) == (0, own, "lower")
    own_torso = halves.people[1]
    guest = FittingRoom(halves.tryon, halves.people[:1], halves.garments)
    visit = guest.new_visit()
    visit.people.append(own_torso)
    guest.choose_person(visit, 1)
    with pytest.raises(ValueError, match="hips and knees"):
        guest.choose_garment(visit, 1)
    assert (visit.place, visit.category) == (1, "upper")


def test_after_a_refused_category_the_page_shows_the_one_that_holds(halves: FittingRoom) -> None:
    answers = Answers(halves, EXAMPLE_CHART, OTHER_CHARTS)
    build_page(answers)
    visit = halves.new_visit()
    halves.arrive(visit)
    with pytest.warns(UserWarning, match="both shoulders and the hips"):
        update = answers.choose_category(
            {answers.controls.visit: visit, answers.controls.category: str(Category.UPPER)}
        )
    assert update[answers.controls.category] == str(visit.category) == "lower"
    assert update[answers.controls.visit] is visit


def test_the_page_shows_what_changed_with_what_was_clicked_on(halves: FittingRoom) -> None:
    answers = Answers(halves, EXAMPLE_CHART, OTHER_CHARTS)
    page = build_page(answers)
    controls, visit = answers.controls, halves.new_visit()
    values = {control: control.value for control in controls.inputs()} | {controls.visit: visit}
    values[controls.num_steps] = 1
    outputs = {event.api_name: set(event.outputs) for event in page.fns.values()}

    def now(update: dict[Any, Any], name: str) -> list[Any]:
        assert update.keys() <= outputs[name]
        return [update[control] for control in (controls.caption, controls.category)]

    assert now(answers.arrive(values), "arrive") == ["trousers", "lower"]
    second = gr.SelectData(None, {"index": 1, "value": None})
    assert now(answers.choose_person(values, second), "choose_person") == ["a top", "upper"]
    update = answers.choose_garment(values, second)
    assert now(update, "choose_garment") == ["trousers", "lower"]
    assert update[controls.people].selected_index == 0


def test_examples_are_of_every_category_that_there_is(tmp_path: Path) -> None:
    dolls = PaperDollParams(
        train=3, test=9, categories=tuple(Category), image_height=256, image_width=192, seed=3
    )
    drawn = PrepareDatasetParams(source="paper_dolls", paper_dolls=dolls)
    prepare_dataset.run(drawn, raw=tmp_path / "raw", out=tmp_path / "manifest.parquet")
    people, garments = read_examples(tmp_path / "manifest.parquet", 1)
    assert sorted(person.category for person in people) == sorted(Category)
    assert [garment.category for garment in garments] == [person.category for person in people]


@pytest.mark.parametrize(
    ("category", "needed", "message"),
    [
        (Category.UPPER, ("chest", "height"), "fill in chest and height"),
        (Category.LOWER, ("waist", "hip", "height"), "fill in waist, hips and height"),
    ],
)
def test_a_chart_asks_for_no_measure_that_it_does_not_need(
    wardrobe: FittingRoom, category: Category, needed: tuple[str, ...], message: str
) -> None:
    answers = Answers(wardrobe, EXAMPLE_CHART, OTHER_CHARTS)
    build_page(answers)
    controls, visit = answers.controls, wardrobe.new_visit()
    visit.turn_to(category)
    every = {"chest": 92, "waist": 78, "hip": 98, "height": 172}
    values = {getattr(controls, name): every[name] if name in needed else None for name in every}
    assert answers.charted(visit, "M", values).asked
    for name in needed:
        with pytest.raises(ValueError, match=message):
            answers.charted(visit, "M", values | {getattr(controls, name): None})


def test_a_dress_has_a_chart_of_its_own(room: FittingRoom) -> None:
    """The T-shirt's sizes would be dresses of 1.25 to 1.37 torsos, where two are usual."""
    answers = Answers(room, EXAMPLE_CHART, OTHER_CHARTS)
    assert answers.chart_of(Category.UPPER) is EXAMPLE_CHART
    chart, wearer = answers.chart_of(Category.DRESS), Wearer(chest_cm=92, height_cm=172)
    lengths = [chart.request(name, wearer)["length"] for name in chart.sizes]
    assert lengths == pytest.approx([1.93, 1.97, 2.01, 2.06], abs=0.01)
    brand = SizeChart(sizes=chart.sizes, category=Category.DRESS)
    assert Answers(room, brand, OTHER_CHARTS).chart_of(Category.DRESS) is brand
    assert Answers(room, brand, OTHER_CHARTS).chart_of(Category.UPPER) is EXAMPLE_CHART
