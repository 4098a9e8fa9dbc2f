import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from PIL import Image

from eval.images.fidelity import Truth
from eval.images.judges import ABSENT, Judges
from eval.images.meter import FIDELITY, NO_GARMENT, ImageMeter
from eval.ladder.pictures import CAPTION_PX, STRIP_HEIGHT, StripCell, StripRow, WorstCase
from eval.ladder.scoring import ladder_cells
from eval.ladder.trials import Trials
from eval.params import EvaluateParams
from eval.report.data_summary import CategorySizes, DataSummary
from eval.report.page import Part, Report, render
from eval.report.plots import share_legend
from eval.report.summary import (
    ADAPTER,
    BETTER,
    SCALE_ZERO,
    UNDECIDED,
    UNEQUAL,
    UNKNOWN,
    WORSE,
    compare,
    summarize,
    verdicts,
    without_nan,
)
from eval.report.write import write_report
from preprocess.sizes.axes import FIT_PLACE
from preprocess.vocabulary import Category
from tests.sizes import TOP_PLACES, of_tops

RNG = np.random.default_rng(0)
PARAMS = EvaluateParams(num_bootstrap=50)
NATURAL = of_tops(RNG.uniform([1.0, 1.0, 0.7], [1.3, 1.6, 1.1], (5, 3)))
VALUES = of_tops(np.transpose([[0.9, 1.1, 1.3], [0.9, 1.3, 1.7], [0.6, 0.9, 1.2]])).T
KEYS = [f"0000{person}_00" for person in range(5)]
THRESHOLDS = np.array([1.0, 1.25, 1.5])


BESIDE = {"autoencoder": dict.fromkeys(FIDELITY, 29.125)}


def measured_as(answer: Callable[[np.ndarray], np.ndarray], gfd: float) -> Trials:
    requests = ladder_cells(NATURAL, VALUES)
    trials = Trials.unmeasured(requests)
    trials.measured[:] = answer(requests)
    trials.gfd[:] = gfd + RNG.normal(0, 0.001, trials.gfd.shape)
    for part in (trials.hd95, trials.width_bias, trials.hem_error):
        part[:] = gfd
    return trials


def report(
    adapter: Trials,
    categories: Sequence[Category] = (Category.UPPER,),
    unpaired: Sequence[StripRow] = (),
) -> Report:
    natural = measured_as(lambda asked: np.broadcast_to(NATURAL[:, None, None], asked.shape), 0.06)
    scale = measured_as(lambda asked: 1.2 + 0.4 * (asked - 1.2), 0.05)
    trials = {ADAPTER: adapter, SCALE_ZERO: natural, "natural": natural, "dilate": scale, "scale": scale}
    pictures = RNG.integers(0, 256, (5, 32, 24, 3), dtype=np.uint8)
    masks = np.ones((5, 32, 24), bool)
    images = ImageMeter(Judges(), paired=True, seed=0)
    garments = np.zeros_like(masks)
    images.update(
        pictures, Truth(photos=pictures[::-1], masks=masks, garments=garments, prints=[None] * len(pictures))
    )
    fitting = without_nan(summarize(trials, THRESHOLDS, PARAMS) | {"annotator": {"width_mae": 0.01}})
    metrics = fitting | {
        "image": images.section() | {"outside_mask_mean_abs_difference": 0.0, "baselines": BESIDE},
        "protocol": {"seed": 0, "people": 5},
    }
    cells = [StripCell(picture=pictures[0], requested=1.0, measured=float(m)) for m in (0.9, 1.2, np.nan)]
    row = StripRow(key="<b>", photo=pictures[0], cloth=pictures[1], natural=1.2, cells=cells)
    sizes = CategorySizes(
        ratios={"train": NATURAL, "test": NATURAL},
        trusted=NATURAL,
        trusted_split="train",
        thresholds=THRESHOLDS,
    )
    parts = [
        Part(
            category=category,
            metrics=fitting,
            trials=trials,
            strip=[row],
            unpaired_strip=unpaired,
            sizes=sizes,
            seed=0,
        )
        for category in categories
    ]
    return Report(
        metrics=without_nan(metrics | {str(part.category): part.metrics for part in parts[1:]}),
        parts=parts,
        trials=trials,
        worst=[WorstCase(overlay=pictures[2], caption="width asked 1.20", gfd=0.2)],
        data=DataSummary(
            sizes=dict.fromkeys(categories, sizes),
            statuses={"train": {"ok": 4, "suspect": 1}, "test": {"ok": 5}},
            reasons={"back view": 1},
            copies=("photos <outside of train>: 1",),
            source="paper_dolls",
            drawing=None,
        ),
    )


OBEDIENT = measured_as(lambda asked: asked + RNG.normal(0, 0.005, asked.shape), 0.01)
DISOBEDIENT = measured_as(lambda asked: RNG.normal(1.2, 0.2, asked.shape), 0.09)


@pytest.fixture(scope="module")
def page() -> str:
    return render(report(OBEDIENT))


def test_people_in_anothers_garment_have_a_strip_where_there_are_any(page: str, tmp_path: Path) -> None:
    (row,) = report(OBEDIENT).parts[0].strip
    both = report(OBEDIENT, unpaired=[row, row])
    shown = render(both)
    assert [part.count('<table class="strip">') for part in (page, shown)] == [1, 2]
    assert ["In another&#39;s garment</h2>" in part for part in (page, shown)] == [False, True]
    write_report(report(OBEDIENT), KEYS, tmp_path / "without")
    write_report(both, KEYS, tmp_path / "with")
    assert not (tmp_path / "without/strip_unpaired.png").exists()
    heights = [Image.open(tmp_path / "with" / name).height for name in ("strip.png", "strip_unpaired.png")]
    assert heights[1] - heights[0] == STRIP_HEIGHT + CAPTION_PX


def test_each_category_has_a_strip_and_figures_of_its_own(page: str, tmp_path: Path) -> None:
    both = report(OBEDIENT, (Category.UPPER, Category.LOWER))
    shown = render(both)
    assert [part.count('<table class="strip">') for part in (page, shown)] == [1, 2]
    assert '<h2 class="category">Lower</h2>' in shown
    assert 'class="category"' not in page, "with one category there is nothing to tell apart"
    assert "body hip widths" in shown
    assert "body hip widths" not in page
    write_report(both, KEYS, tmp_path / "reports")
    headline = json.loads((tmp_path / "reports" / "headline.json").read_text())
    assert headline["lower.ladder.width.order_accuracy"] == headline["ladder.width.order_accuracy"] == 1.0
    assert (tmp_path / "reports" / "plots" / "lower_ladder_width.csv").is_file()


def test_a_legend_names_what_any_panel_shows() -> None:
    figure = Figure()
    panels = dict(zip(("shoulder", "width"), figure.subplots(1, 2), strict=True))
    for axes in panels.values():
        axes.plot([0, 1], [0, 1], label="adapter")
    panels["width"].plot([0, 1], [0, 1], label="after train_size")
    share_legend(figure, panels)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["adapter", "after train_size"]


def test_a_category_without_a_width_ladder_has_its_other_figures(tmp_path: Path) -> None:
    """Nobody's width is known, so there is neither a ladder of it nor a fit label."""
    whole = report(OBEDIENT)
    (part,) = whole.parts
    trials = {name: own.of(list(range(5))) for name, own in part.trials.items()}
    for own in trials.values():
        own.requested[:, FIT_PLACE] = np.nan
    metrics = without_nan(summarize(trials, np.empty(0), PARAMS) | {"annotator": {"width_mae": None}})
    sizes = replace(part.sizes, thresholds=np.empty(0))
    one = replace(part, trials=trials, metrics=metrics, sizes=sizes, strip=[])
    thin = replace(whole, metrics=whole.metrics | metrics, parts=[one], trials=trials)
    write_report(thin, KEYS, tmp_path / "reports")
    headline = json.loads((tmp_path / "reports" / "headline.json").read_text())
    assert headline["ladder.length.order_accuracy"] == 1.0
    assert "ladder.width.order_accuracy" not in headline
    assert "Fit labels by width ratio" not in (tmp_path / "reports" / "report.html").read_text()


def test_ends_of_intervals_are_no_minuses(page: str) -> None:
    assert re.search(r"<small>-\d\.\d{3} to -?\d\.\d{3}</small>", page)


def test_panels_side_by_side_scroll_on_a_phone(page: str) -> None:
    """Of 10.5 in, 756 pt: shrunk to a phone's width their words would be 4 px high."""
    plots = re.findall(r'(<div class="scroll plot">)?\s*<svg [^>]*width="([0-9.]+)pt"', page)
    wide = [scrolls for scrolls, width in plots if float(width) > 700]
    assert wide
    assert all(wide)


def test_the_page_needs_no_network(page: str) -> None:
    references = set(re.findall(r'(?:src|href|url)\s*[=(]\s*"?(?!data:|#)([^">)]+)', page))
    assert not references
    assert "<script" not in page


def test_the_page_says_that_photos_are_in_both_splits(page: str) -> None:
    assert '<p class="warning">photos &lt;outside of train&gt;: 1</p>' in page


def test_the_page_names_every_reason_a_number_is_absent(page: str) -> None:
    for name, reason in ABSENT.items():
        (line,) = re.findall(f"<li>{re.escape(reason)}: (.*?)</li>", unescape(page))
        assert f"<code>image.{name}</code>" in line


def test_the_page_shows_the_garment_beside_what_the_autoencoder_leaves(page: str) -> None:
    table = unescape(page).split("Is it the same garment?")[1].split("</table>")[0]
    assert table.count("29.125") == len(FIDELITY)
    assert NO_GARMENT in unescape(page)


def test_the_page_says_that_dolls_are_no_photographs(page: str) -> None:
    assert "not evidence about photographs" in page
    assert "&lt;b&gt;" in page  # a key is text, not markup


def test_says_so_where_a_baseline_is_not_beaten(page: str) -> None:
    lost = verdicts(report(DISOBEDIENT).metrics)
    assert BETTER not in {verdict.outcome for verdict in lost if verdict.figure == "GFD"}
    assert "In the others it does not" not in page
    assert re.search(r"In the\s+others it does not", render(report(DISOBEDIENT)))
    won = verdicts(report(OBEDIENT).metrics)
    assert {verdict.outcome for verdict in won if "mae" in verdict.figure} == {BETTER}


def test_the_metrics_have_every_section() -> None:
    metrics = report(OBEDIENT).metrics
    assert metrics["ladder"]["width"]["order_accuracy"] == 1.0
    assert metrics["ladder"]["people"] == 5
    assert metrics["controls"]["shuffled"]["width"]["order_accuracy"] == pytest.approx(0.5, abs=0.15)
    assert metrics["controls"]["scale_zero"]["length"]["order_accuracy"] == 0.5
    assert metrics["baselines"]["natural"]["width"]["slope"] == pytest.approx(0.0, abs=1e-9)
    assert metrics["baselines"]["scale"]["gfd"]["mean"] == pytest.approx(0.05, abs=0.001)
    assert metrics["size_accuracy"]["balanced"] == 1.0
    talk = np.array(metrics["ladder"]["cross_talk"], dtype=float)[np.ix_(TOP_PLACES, TOP_PLACES)]
    np.testing.assert_allclose(talk, np.eye(3), atol=0.05)


def test_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_report(report_once, KEYS, tmp_path / name)
    files = [path.relative_to(tmp_path / "one") for path in sorted((tmp_path / "one").rglob("*.*"))]
    assert {path.name for path in files} >= {"metrics.json", "report.html", "strip.png", "ladder_width.csv"}
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "other" / path).read_bytes(), path
    assert json.loads((tmp_path / "one" / "metrics.json").read_text()) == report_once.metrics
    headline = json.loads((tmp_path / "one" / "headline.json").read_text())
    assert headline["ladder.width.order_accuracy"] == 1.0
    assert "image.fid" not in headline  # absent
    assert headline["image.baselines.autoencoder.garment_delta_e"] == 29.125
    plot = (tmp_path / "one" / "plots" / "ladder_width.csv").read_text().splitlines()
    assert plot[0] == "requested,measured,gfd"
    assert [float(line.split(",")[0]) for line in plot[1:]] == VALUES[1].tolist()
    rows = pq.read_table(tmp_path / "one" / "readings.parquet").to_pylist()
    assert len(rows) == 5 * 5 * 3 * 3
    assert rows[0]["key"] == KEYS[0]


report_once = report(OBEDIENT)


@pytest.mark.parametrize(
    ("ours", "theirs", "more_is_better", "less_is_better"),
    [
        pytest.param([0.1, 0.2], [0.3, 0.4], WORSE, BETTER, id="below"),
        pytest.param([0.3, 0.4], [0.1, 0.2], BETTER, WORSE, id="above"),
        pytest.param([0.1, 0.3], [0.2, 0.4], UNDECIDED, UNDECIDED, id="they overlap"),
        pytest.param([0.1, 0.2], [0.2, 0.3], UNDECIDED, UNDECIDED, id="they touch"),
        pytest.param(None, [0.2, 0.3], UNKNOWN, UNKNOWN, id="nothing was measured"),
    ],
)
def test_a_rival_is_beaten_where_the_intervals_lie_apart(
    ours: list[float] | None, theirs: list[float], more_is_better: str, less_is_better: str
) -> None:
    sections = [{"mae": 0.25, "mae_ci95": interval, "coverage": 1.0} for interval in (ours, theirs)]
    found = [compare("rival", "width mae", *sections, "mae", sign).outcome for sign in (1, -1)]
    assert found == [more_is_better, less_is_better]


@pytest.mark.parametrize(
    ("ours", "theirs", "better", "worse"),
    [
        pytest.param(0.33, 1.0, UNEQUAL, WORSE, id="a third"),
        pytest.param(0.78, 0.82, BETTER, WORSE, id="about as many"),
        pytest.param(1.0, 0.33, BETTER, UNEQUAL, id="more"),
    ],
)
def test_who_has_fewer_pictures_measured_beats_nobody(
    ours: float, theirs: float, better: str, worse: str
) -> None:
    sections = [
        {"mae": mae, "mae_ci95": [mae, mae], "coverage": share} for mae, share in ((0.1, ours), (0.2, theirs))
    ]
    found = [compare("rival", "width mae", *sections, "mae", sign).outcome for sign in (-1, 1)]
    assert found == [better, worse]
