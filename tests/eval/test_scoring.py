import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from eval.ladder.baselines import baseline_draws, gain_per_px, growth_px, scale_factor
from eval.ladder.people import Wardrobe
from eval.ladder.remeasure import read_garment
from eval.ladder.scoring import (
    Cell,
    Scorer,
    annotator_section,
    asked_cells,
    batches,
    cells_by_category,
    ladder_cells,
    shuffled_requests,
)
from eval.ladder.trials import Trials, beyond, has_ladder, ladder_values, ladders_of
from eval.params import EvaluateParams
from eval.report.card import COMPARED, compare
from eval.report.collect import Collector
from eval.report.summary import ADAPTER, summarize
from preprocess.body.legs import LegFrame
from preprocess.sizes.axes import AXIS_NAMES, FIT_PLACE
from preprocess.vocabulary import Category
from shards.stream import SampleStream
from tests.eval.dolls import DollStudio
from tests.preprocess.people import SKIN, beside, hanging, paint_photo, trousers, tunic
from tests.preprocess.people import person as someone
from tests.shards.making import record, sample, write_shards
from tests.sizes import TOP_PLACES, UPPER, of_tops

VALUES = of_tops(np.transpose([[0.95, 1.15, 1.35], [0.95, 1.25, 1.55], [0.6, 0.85, 1.1]])).T
STEP = VALUES[:, 1] - VALUES[:, 0]
PARAMS = EvaluateParams(num_bootstrap=200)
STUDIO = DollStudio(4)
SCORER = Scorer(STUDIO.scene, STUDIO.segment, batch_size=4, num_points=256)
REQUESTS = ladder_cells(STUDIO.scene.natural, VALUES)
THRESHOLDS = np.array([1.1, 1.4, 1.5])


COLLECTOR = Collector(SCORER, REQUESTS, num_people=2, num_worst=3)


@pytest.fixture(scope="module")
def truth() -> Trials:
    return SCORER.score("truth", STUDIO.draw, REQUESTS, COLLECTOR)


@pytest.fixture(scope="module")
def natural() -> Trials:
    return SCORER.score_fixed(STUDIO.scene.photos, REQUESTS)


@pytest.fixture(scope="module")
def one_size_off() -> Trials:
    def draw(person: int, requested: NDArray[np.float64]) -> NDArray[np.uint8]:
        changed = requested != STUDIO.scene.natural[person]
        return STUDIO.draw(person, requested + np.where(changed, STEP, 0))

    return SCORER.score("one size off", draw, REQUESTS)


def test_what_was_drawn_is_what_is_measured(truth: Trials) -> None:
    known = np.isfinite(truth.measured)
    assert known[:, TOP_PLACES][..., TOP_PLACES].mean() > 0.9
    np.testing.assert_allclose(truth.measured[known], truth.requested[known], atol=0.03)


def test_every_fit_figure_ranks_truth_first(truth: Trials, natural: Trials, one_size_off: Trials) -> None:
    systems = {"truth": truth, "natural": natural, "one size off": one_size_off}
    cards = {
        name: summarize({ADAPTER: trials}, THRESHOLDS, PARAMS) | {"protocol": {}}
        for name, trials in systems.items()
    }
    judged = [figure for figure, _ in COMPARED if not figure.endswith("coverage")]
    fit = [figure for figure in judged if not figure.startswith(("image.", "unpaired."))]
    rows = [row for row in compare(cards) if row["figure"] in fit]
    assert len(rows) == len(fit) == 12
    for row in (row for row in rows if "waist" not in row["figure"]):
        assert "truth" in row["best"], row
        assert "natural" not in row["best"], row
    figures = {row["figure"]: row for row in rows}
    assert figures["gfd.mean"]["best"] == ["truth"]
    assert figures["size_accuracy.balanced"]["best"] == ["truth"]
    for name in UPPER:  # one size off keeps the order, and is wrong by its step
        assert figures[f"ladder.{name}.order_accuracy"]["values"]["one size off"] == 1.0
        assert figures[f"ladder.{name}.mae"]["best"] == ["truth"]


def test_swapped_requests_bring_every_fit_figure_to_chance(truth: Trials) -> None:
    held = [SCORER.score_against(COLLECTOR.readings, shuffled_requests(REQUESTS, seed)) for seed in range(8)]
    cards = [summarize({ADAPTER: trials}, THRESHOLDS, PARAMS) for trials in held]
    for name in UPPER:
        order = np.mean([card["ladder"][name]["order_accuracy"] for card in cards])
        assert order == pytest.approx(0.5, abs=0.15)
        assert abs(np.mean([card["ladder"][name]["kendall_tau"] for card in cards])) < 0.3
    swapped = summarize({ADAPTER: truth}, THRESHOLDS, PARAMS)["controls"]["shuffled"]["size_accuracy"]
    assert swapped["balanced"] == pytest.approx(1 / 3, abs=0.1)  # three of the labels are asked for
    assert np.nanmean([trials.gfd for trials in held]) > 3 * np.nanmean(truth.gfd)
    errors = [trials.measured - trials.requested for trials in held]
    np.testing.assert_allclose([trials.width_bias for trials in held], np.array(errors)[..., FIT_PLACE])


def test_a_size_too_large_is_measured_with_its_sign(one_size_off: Trials) -> None:
    width, length = (AXIS_NAMES.index(name) for name in ("width", "length"))
    wide, long = one_size_off.width_bias[:, width], one_size_off.hem_error[:, length]
    np.testing.assert_allclose(wide[np.isfinite(wide)], STEP[width], atol=0.03)
    np.testing.assert_allclose(long[np.isfinite(long)], STEP[length], atol=0.03)


@pytest.mark.parametrize("factor", [0.95, 1.05])
def test_five_percent_of_width_is_told_from_none_with_its_sign(factor: float, truth: Trials) -> None:
    width = FIT_PLACE
    requests = ladder_cells(STUDIO.scene.natural, VALUES[:, :2], [width])
    change = of_tops([1.0, factor, 1.0])
    wrong = SCORER.score("wrong", lambda person, asked: STUDIO.draw(person, asked * change), requests)
    error = wrong.width_bias[:, width]
    assert (np.sign(error[np.isfinite(error)]) == np.sign(factor - 1)).all()
    assert np.nanmin(np.abs(error)) > np.nanmax(np.abs(truth.width_bias[:, width]))


@pytest.mark.parametrize("method", ["dilate", "scale", "resize"])
def test_baselines_grow_with_the_request(method: str) -> None:
    draw = baseline_draws(STUDIO.scene)[method]

    def cover(pictures: NDArray[np.uint8], person: int) -> NDArray[np.float32]:
        colour = np.median(STUDIO.scene.photos[person][STUDIO.scene.garment_masks[person]], axis=0)
        return (np.abs(pictures - colour).sum(axis=-1) < 60).astype(np.float32)

    widths = []
    for person in range(3):
        pictures = draw(person, REQUESTS[person, FIT_PLACE])
        widths.append([cover(pictures, person)[rung].sum() for rung in range(3)])
    assert (np.diff(widths, axis=1) > 0).all()


def test_a_baseline_at_the_natural_size_is_the_photo() -> None:
    for draw in baseline_draws(STUDIO.scene).values():
        picture = draw(0, STUDIO.scene.natural[:1])[0]
        assert np.abs(picture.astype(int) - STUDIO.scene.photos[0]).mean() < 1.5


def test_the_one_knob_of_a_baseline_is_its_best() -> None:
    natural, requested = np.array([1.0, 1.0, 1.0]), np.array([1.0, 1.3, 1.0])
    assert scale_factor(natural, requested) == pytest.approx(1.1)
    # widths gain 2 px / 100 px, the length 1 px / 150 px for each px of growth
    gains = np.array([0.02, 0.02, 1 / 150])
    growth = growth_px(natural, requested, gains)
    errors = [np.sum((gains * g - (requested - natural)) ** 2) for g in (growth - 0.1, growth, growth + 0.1)]
    assert np.argmin(errors) == 1


def test_legs_that_stand_apart_grow_at_four_edges() -> None:
    """H is 100 px: a row of trousers gains 4 px for one of growth, one of a skirt 2."""
    for skirt, gain in ((False, 0.04), (True, 0.02)):
        garment, keypoints, _ = trousers(skirt=skirt)
        gains = gain_per_px(LegFrame.from_keypoints(keypoints), Category.LOWER, garment)
        assert gains[FIT_PLACE] == pytest.approx(gain, abs=1e-3)
        assert gains[AXIS_NAMES.index("waist")] == pytest.approx(0.02)


def test_a_picture_that_is_missing_stays_unknown() -> None:
    def find(cell: Cell) -> NDArray[np.uint8] | None:
        return STUDIO.scene.photos[cell[0]] if cell[2] == 0 else None

    trials = SCORER.score_found("half", find, REQUESTS)
    assert np.isnan(trials.measured[:, :, 1:]).all()
    assert np.isfinite(trials.measured[:, :, 0]).any()


def test_the_collector_keeps_the_strip_and_the_worst(truth: Trials) -> None:
    rows = COLLECTOR.strip(truth, Category.UPPER)
    assert [row.key for row in rows] == STUDIO.scene.keys[:2]
    assert [cell.requested for cell in rows[0].cells] == VALUES[FIT_PLACE].tolist()
    worst = COLLECTOR.worst()
    assert len(worst) == 3
    assert worst[0].gfd == pytest.approx(np.nanmax(truth.gfd))


def test_another_garment_is_looked_for_by_its_own_photo() -> None:
    """Everybody's own garment is red, and blue ones are worn where it was: as large as the data has them."""
    red, blue = (np.full_like(STUDIO.scene.cloths, colour) for colour in ((200, 0, 0), (0, 0, 200)))
    worn = STUDIO.scene.garment_masks[..., None]
    pictures = np.where(worn, blue, np.uint8(90))

    def by_colour(pictures: NDArray[np.uint8], cloths: NDArray[np.uint8]) -> NDArray[np.float32]:
        return (pictures == cloths).all(axis=3).astype(np.float32)

    own = Scorer(replace(STUDIO.scene, cloths=red), by_colour, batch_size=4, num_points=256)
    assert np.isnan(own.score_fixed(pictures, REQUESTS).measured).all()
    read = own.in_garments(blue).read(pictures)
    seen = enumerate(zip(worn[..., 0], pictures, strict=True))
    expected = [STUDIO.scene.read(person, *mask_and_picture).ratios for person, mask_and_picture in seen]
    np.testing.assert_array_equal([one.ratios for one in read], expected)
    assert np.isfinite(expected).any()
    assert own.scene.cloths is red, "who measures the own garments goes on with these"


def test_the_annotator_agrees_with_itself() -> None:
    section = annotator_section(SCORER.read(STUDIO.scene.photos), SCORER.worn, Category.UPPER)
    assert section["width_mae"] == 0.0
    assert section["width_slope"] == pytest.approx(1.0)
    found = [np.isfinite(worn.ratios[TOP_PLACES]).mean() for worn in SCORER.worn]
    assert section["coverage"] == pytest.approx(np.mean(found))


def test_the_annotator_that_reads_half_of_every_difference_has_half_the_slope() -> None:
    halved = [replace(worn, ratios=(worn.ratios + 1) / 2) for worn in SCORER.worn]
    section = annotator_section(halved, SCORER.worn, Category.UPPER)
    assert section["width_slope"] == pytest.approx(0.5)
    widths = np.array([worn.ratios[FIT_PLACE] for worn in SCORER.worn])
    assert section["width_bias"] == pytest.approx(np.nanmean((1 - widths) / 2))


def test_a_batch_never_mixes_people() -> None:
    cells = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    assert list(batches(cells, 2)) == [(0, cells[:2]), (0, cells[2:3]), (1, cells[3:])]


def test_ladders_span_the_middle_of_the_data() -> None:
    ratios = np.linspace(0, 1, 101)[:, None] + of_tops([1.0, 2.0, 3.0])
    values = ladder_values(Category.UPPER, ratios, 0.05, 0.95, 3)
    np.testing.assert_allclose(values[1], [2.05, 2.5, 2.95])
    np.testing.assert_allclose(beyond(Category.UPPER, values, 0.1)[1], [1.96, 3.04])
    low = np.full_like(values, np.nan)
    low[1] = [0.02, 1.0, 2.0]
    assert beyond(Category.UPPER, low, 0.1)[1, 0] == 0.01, "none has no width, or less"


def test_an_axis_that_the_data_does_not_know_has_no_ladder() -> None:
    ratios = np.linspace(0, 1, 101)[:, None] + of_tops([1.0, np.nan, 3.0])
    values = ladder_values(Category.UPPER, ratios, 0.05, 0.95, 3)
    assert has_ladder(values).tolist() == [True, False, True, False]
    np.testing.assert_allclose(values[0], [1.05, 1.5, 1.95])
    requests = ladder_cells(of_tops([[1.2, np.nan, 3.2]]), values)
    assert list(asked_cells(requests)) == [(0, axis, rung) for axis in (0, 2) for rung in range(3)]
    np.testing.assert_array_equal(requests[0, 2, 0], of_tops([1.2, np.nan, 3.05]))


def test_a_thin_category_leaves_the_others_their_ladders(caplog: pytest.LogCaptureFixture) -> None:
    """Of trousers one row is known, of dresses all lengths are alike: no ladders of the first or of these."""
    tops = np.linspace(0, 1, 101)[:, None] + of_tops([1.0, 2.0, 3.0])
    dresses = tops.copy()
    dresses[:, AXIS_NAMES.index("length")] = 2.0
    trousers_ratios = np.full((2, len(AXIS_NAMES)), np.nan)
    trousers_ratios[0, FIT_PLACE] = 1.2
    ratios = {Category.UPPER: tops, Category.LOWER: trousers_ratios, Category.DRESS: dresses}
    with caplog.at_level(logging.WARNING):
        values = ladders_of(ratios, 0.05, 0.95, 3)
    assert list(values) == [Category.UPPER, Category.DRESS]
    np.testing.assert_allclose(values[Category.DRESS][FIT_PLACE], [2.05, 2.5, 2.95])
    assert not has_ladder(values[Category.DRESS])[AXIS_NAMES.index("length")]
    assert [record.getMessage() for record in caplog.records] == [
        "no ladder of lower along width: all that is known of it is 1.200",
        "no ladder of dress along length: all that is known of it is 2.000",
    ]


@pytest.mark.parametrize("ratio", [np.nan, 1.0], ids=["unknown", "constant"])
def test_says_why_there_is_no_ladder(ratio: float) -> None:
    with pytest.raises(ValueError, match="must vary along an axis to build a ladder"):
        ladders_of({Category.UPPER: np.full((4, len(AXIS_NAMES)), ratio)}, 0.05, 0.95, 7)


def test_trousers_are_read_on_the_legs_in_units_of_the_hips() -> None:
    garment, wearer, _ = trousers()
    reading = read_garment(garment, wearer, Category.LOWER)
    found = dict(zip(AXIS_NAMES, reading.ratios, strict=True))
    assert found["waist"] == pytest.approx(1.8, abs=0.015)
    assert found["width"] == pytest.approx(1.4, abs=0.015)
    assert np.isnan(found["shoulder"])
    assert reading.unit_px == pytest.approx(100)
    assert len(reading.outline) > 100
    nothing = read_garment(np.zeros_like(garment), wearer, Category.LOWER)
    assert np.isnan(nothing.ratios).all()
    assert not len(nothing.outline)


def test_a_width_that_is_doubtful_is_not_read_and_the_length_beside_it_is() -> None:
    """Open from row 380 to its hem in row 700, 1.25 T below the shoulders: nobody knows how far."""
    opened = tunic(width=200)
    opened[380:, 372:396] = False
    reading = read_garment(opened, someone(), Category.UPPER)
    np.testing.assert_allclose(reading.ratios, of_tops([1.3, np.nan, 1.25]), rtol=0.003)
    assert not len(reading.outline)


def test_an_arm_beside_the_panel_hides_nothing_where_the_picture_shows_its_edge() -> None:
    """B is 200 px, the panel 240 px wide, and bare arms hang from 120 to 180 px off the body axis."""
    wearer, garment = hanging(150, 150), tunic(shoulder=300, width=240)
    picture = paint_photo(tunic(width=240), wearer, (200, 220, 255))
    picture[beside(120, 180)] = SKIN
    width = AXIS_NAMES.index("width")
    alone = read_garment(garment, wearer, Category.UPPER)
    assert np.isnan(alone.ratios[width])
    assert not len(alone.outline)
    seen = read_garment(garment, wearer, Category.UPPER, picture)
    assert seen.ratios[width] == pytest.approx(1.2, abs=0.015)
    laid_out = read_garment(garment, wearer, Category.UPPER, sure=True)
    assert laid_out.ratios[width] == pytest.approx(1.2, abs=0.015)
    np.testing.assert_array_equal(laid_out.outline.xy, seen.outline.xy)


def test_a_layout_is_held_against_nothing_where_the_data_does_not_know_the_width() -> None:
    wearer, garment = hanging(150, 150), tunic(shoulder=300, width=240)
    picture = paint_photo(tunic(width=240), wearer, (200, 220, 255))
    picture[beside(120, 180)] = SKIN
    requested = of_tops([[np.nan, np.nan, 1.1]])[0]
    for width, there in ((1.2, True), (np.nan, False)):
        scene = replace(
            STUDIO.scene,
            factor=1,
            photos=picture[None],
            garment_covers=garment[None].astype(np.float32),
            keypoints=wearer.flat().reshape(1, 25, 3),
            natural=of_tops([[1.5, width, 1.25]]),
            categories=[Category.UPPER],
        )
        worn = scene.worn(0)
        assert worn.ratios[FIT_PLACE] == pytest.approx(1.2, abs=0.015)
        assert bool(len(scene.expected(0, worn.ratios, requested).outline)) is there


@pytest.mark.parametrize("top", [395, 410, 450])
def test_trousers_under_a_hanging_top_are_read_without_their_waist(top: int) -> None:
    """Hips at row 400: what begins below is the hem of a top, which a mask doesn't tell from a waistband."""
    garment, wearer, _ = trousers()
    garment[:top] = False
    scene = replace(
        STUDIO.scene,
        factor=1,
        keypoints=wearer.flat().reshape(1, 25, 3),
        natural=np.array([[np.nan, 1.4, 0.95, np.nan]]),
        categories=[Category.LOWER],
    )
    reading = scene.read(0, garment, np.zeros((*garment.shape, 3), np.uint8))
    found = dict(zip(AXIS_NAMES, reading.ratios, strict=True))
    assert np.isnan(found["waist"])
    assert (found["width"], found["length"]) == pytest.approx((1.4, 0.95), abs=0.015)
    assert len(reading.outline) > 100


def test_people_of_each_category_climb_its_own_rungs() -> None:
    natural = np.vstack([of_tops([[1.1, 1.3, 0.9]]), [[np.nan, 2.2, 0.9, 1.8]]])
    pictures = np.zeros((2, 4, 3), np.uint8)
    scene = replace(
        STUDIO.scene,
        keys=["top", "trousers"],
        natural=natural,
        categories=[Category.UPPER, Category.LOWER],
        photos=pictures,
    )
    legs = np.full((len(AXIS_NAMES), 3), np.nan)
    legs[AXIS_NAMES.index("waist")] = (1.5, 1.9, 2.3)
    requests = cells_by_category(scene, {Category.UPPER: VALUES, Category.LOWER: legs})
    asked = {cell[:2] for cell in asked_cells(requests)}
    assert asked == {(0, 0), (0, 1), (0, 2), (1, AXIS_NAMES.index("waist"))}
    np.testing.assert_array_equal(requests[1, -1, 0], [np.nan, 2.2, 0.9, 1.5])


def test_nobody_is_dressed_in_another_category(tmp_path: Path) -> None:
    """Two in tops name each other and a third names a dress, on whose axes they have no size."""
    names = {"a": ("b", Category.UPPER), "b": ("a", Category.UPPER), "c": ("d", Category.UPPER)}
    names["d"] = ("nobody", Category.DRESS)
    records = [record(key, unpaired_key=other, category=worn) for key, (other, worn) in names.items()]
    write_shards([sample(one.key, record=one) for one in records], tmp_path, "test", samples_per_shard=2)
    stream = SampleStream(tmp_path / "index.json", batch_size=4, image_height=32, image_width=24, seed=0)
    (people,) = stream.epoch_batches()
    rows, dressed = Wardrobe(stream.reader).swapped(people)
    assert sorted(dressed.keys) == sorted(people.keys[row] for row in rows) == ["a", "b"]
